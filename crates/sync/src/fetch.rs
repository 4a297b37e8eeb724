//! Pages and objects from Stripe into a decoder, nested lists completed.

use std::collections::HashSet;

use bytes::Bytes;
use catalog::{Decoder, Incomplete, List, One, Page, Paging, Place, Resource};
use chrono::{DateTime, Utc};
use stripe_api::{Answer, Stripe};
use tokio_util::sync::CancellationToken;

use crate::{Ask, Slice, SyncError, state::HOLD_BACK};

/// How often a page that is no JSON is asked for again: a proxy that cuts bodies cuts the next one elsewhere.
const ATTEMPTS: u32 = 5;

/// A page and what it was decoded from.
pub(crate) struct Fetched {
    pub(crate) page: Page,
    pub(crate) body: Bytes,
    /// Stripe's time.
    pub(crate) date: Option<DateTime<Utc>>,
}

impl Fetched {
    /// Up to where everything is surely visible, judged by the newest object of the page (trap 4).
    pub(crate) fn newest_held_back(&self) -> Option<i64> {
        Some(self.page.keys.first()?.created? - HOLD_BACK)
    }
}

/// One object as Stripe answered.
pub(crate) enum Object {
    Found(Answer),
    /// Stripe no longer has it, as of then.
    Gone {
        as_of_micros: i64,
    },
}

/// What became of one object that was read again.
pub(crate) enum Read {
    Row,
    /// Stripe no longer has it, as of then.
    Gone {
        as_of_micros: i64,
    },
}

/// Asks Stripe; all that is decoded goes into the caller's decoder.
#[derive(Clone)]
pub(crate) struct Fetch {
    pub(crate) stripe: Stripe,
    /// Requests, and the pauses before they are repeated, end with it.
    pub(crate) stop: CancellationToken,
}

impl Fetch {
    /// The next page of a slice, with its nested lists completed, and the slice after it.
    ///
    /// A cursor object that is gone (trap 2) gives no rows and a slice that goes on by time.
    pub(crate) async fn next(
        &self,
        resource: &'static Resource,
        slice: &Slice,
        decoder: &mut Decoder,
    ) -> Result<(Option<Fetched>, Slice), SyncError> {
        let List { params, again, paging, created, .. } = *resource.list;
        let Ask { query, skip } = slice.ask();
        let asked = if slice.again { again } else { params };
        let fixed = asked.iter().map(|&(name, value)| (name, value.to_owned()));
        // A list of one page takes no parameters for paging.
        let query: Vec<_> = fixed.chain(query.into_iter().filter(|_| paging != Paging::Whole)).collect();
        let mut fetched = match self.page(resource, &query, &skip, decoder).await {
            Ok(fetched) => fetched,
            Err(error) => return Ok((None, lost_cursor(slice, created, error)?)),
        };
        // Past this point the page's rows are in the decoder: a cursor that a nested list lost must not bring them again.
        self.complete(resource, std::mem::take(&mut fetched.page.incomplete), decoder).await?;
        if fetched.page.keys.is_empty() && fetched.page.has_more {
            return Err(SyncError::Stuck { path: resource.list.path.to_owned() });
        }
        let after = slice.walked(&fetched.page.keys, fetched.page.has_more);
        Ok((Some(fetched), after))
    }

    /// Asks for one object at the pinned version.
    pub(crate) async fn object(&self, resource: &'static Resource, id: &str) -> Result<Object, SyncError> {
        // Not later than the request is sent: what happens after it must win.
        let as_of_micros = self.stripe.now().timestamp_micros();
        let Some(path) = object_path(resource, id) else { return Ok(Object::Gone { as_of_micros }) };
        match self.ask(&path, &[]).await {
            Ok(answer) => Ok(Object::Found(answer)),
            Err(SyncError::Stripe { source, .. }) if source.is_missing() => Ok(Object::Gone { as_of_micros }),
            Err(error) => Err(error),
        }
    }

    /// Decodes an object, its nested lists completed; one that was cut is asked for again.
    pub(crate) async fn decode(
        &self,
        resource: &'static Resource,
        id: &str,
        mut object: Object,
        decoder: &mut Decoder,
    ) -> Result<Read, SyncError> {
        let mut attempt = 1;
        loop {
            let answer = match object {
                Object::Gone { as_of_micros } => return Ok(Read::Gone { as_of_micros }),
                Object::Found(answer) => answer,
            };
            let as_of_micros = answer.sent_at.timestamp_micros();
            match decoder.object(&answer.body, as_of_micros) {
                Ok(One::Deleted(_)) => return Ok(Read::Gone { as_of_micros }),
                Ok(One::Row { incomplete }) => {
                    self.complete(resource, incomplete, decoder).await?;
                    return Ok(Read::Row);
                }
                Err(source) if source.is_syntax() && attempt < ATTEMPTS => attempt += 1,
                Err(source) => return Err(decode(&object_path(resource, id).unwrap_or_default(), source)),
            }
            object = self.object(resource, id).await?;
        }
    }

    /// A page, asked for again when it was cut. When it fails, no row was added.
    async fn page(
        &self,
        resource: &'static Resource,
        query: &[(&str, String)],
        skip: &HashSet<String>,
        decoder: &mut Decoder,
    ) -> Result<Fetched, SyncError> {
        let mut attempt = 1;
        loop {
            match self.try_page(resource, query, skip, decoder).await {
                Err(SyncError::Decode { source, path }) if source.is_syntax() && attempt < ATTEMPTS => {
                    tracing::debug!(path, attempt, "Stripe's answer was cut; asking again");
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    /// The page itself. When it fails, no row was added.
    async fn try_page(
        &self,
        resource: &'static Resource,
        query: &[(&str, String)],
        skip: &HashSet<String>,
        decoder: &mut Decoder,
    ) -> Result<Fetched, SyncError> {
        let answer = self.ask(resource.list.path, query).await?;
        let as_of = answer.sent_at.timestamp_micros();
        let page =
            decoder.page(&answer.body, as_of, skip).map_err(|source| decode(resource.list.path, source))?;
        Ok(Fetched { page, body: answer.body, date: answer.date })
    }

    /// Fetches what nested lists left out (trap 12).
    async fn complete(
        &self,
        resource: &'static Resource,
        incomplete: Vec<Incomplete>,
        decoder: &mut Decoder,
    ) -> Result<(), SyncError> {
        for mut rest in incomplete {
            while self.child_page(resource, &mut rest, decoder).await? {}
        }
        Ok(())
    }

    /// One more page of a nested list; whether there is more after it.
    async fn child_page(
        &self,
        resource: &'static Resource,
        rest: &mut Incomplete,
        decoder: &mut Decoder,
    ) -> Result<bool, SyncError> {
        let Some(child) = resource.children.get(rest.child) else { return Ok(false) };
        let mut query = vec![("limit", "100".to_owned()), ("starting_after", rest.after.clone())];
        let path = match child.place {
            Place::Path(name) => child.list.path.replace(&format!("{{{name}}}"), &encoded(&rest.parent)),
            Place::Query(name) => {
                query.push((name, rest.parent.clone()));
                child.list.path.to_owned()
            }
        };
        let page = self.decoded_child(&path, &query, rest, decoder).await?;
        let Some(last) = page.keys.last() else {
            return if page.has_more { Err(SyncError::Stuck { path }) } else { Ok(false) };
        };
        rest.after.clone_from(&last.id);
        rest.position += i64::try_from(page.keys.len()).unwrap_or(i64::MAX);
        Ok(page.has_more)
    }

    async fn decoded_child(
        &self,
        path: &str,
        query: &[(&str, String)],
        rest: &Incomplete,
        decoder: &mut Decoder,
    ) -> Result<Page, SyncError> {
        let mut attempt = 1;
        loop {
            let answer = self.ask(path, query).await?;
            let as_of = answer.sent_at.timestamp_micros();
            match decoder.child_page(rest, &answer.body, as_of) {
                Ok(page) => return Ok(page),
                Err(source) if source.is_syntax() && attempt < ATTEMPTS => attempt += 1,
                Err(source) => return Err(decode(path, source)),
            }
        }
    }

    async fn ask(&self, path: &str, query: &[(&str, String)]) -> Result<Answer, SyncError> {
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = self.stop.run_until_cancelled(self.stripe.get(path, &query)).await;
        let answer = answer.ok_or(SyncError::Stopped)?;
        answer.map_err(|source| SyncError::Stripe { path: path.to_owned(), source })
    }
}

/// The slice that goes on when the cursor object is gone; every other error stays one.
fn lost_cursor(slice: &Slice, by_time: bool, error: SyncError) -> Result<Slice, SyncError> {
    match &error {
        SyncError::Stripe { source, .. } if source.is_missing_cursor() => {
            slice.without_cursor(by_time).ok_or(error)
        }
        SyncError::Stripe { .. }
        | SyncError::Decode { .. }
        | SyncError::Warehouse(_)
        | SyncError::Checkpoint { .. }
        | SyncError::Stuck { .. }
        | SyncError::Slow { .. }
        | SyncError::Event { .. }
        | SyncError::Setup(_)
        | SyncError::Stopped => Err(error),
    }
}

fn decode(path: &str, source: catalog::DecodeError) -> SyncError {
    SyncError::Decode { path: path.to_owned(), source }
}

/// None for the few kinds that Stripe only lists: there the list has the last word.
fn object_path(resource: &Resource, id: &str) -> Option<String> {
    Some(resource.list.retrieve?.replace("{id}", &encoded(id)))
}

/// What an id keeps as it is: all that a path segment may hold unescaped.
const PLAIN: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.').remove(b'~');

/// An id as one path segment: ids of coupons and plans are chosen by people.
fn encoded(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, PLAIN).to_string()
}
