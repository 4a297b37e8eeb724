//! Pages and objects from Stripe into a decoder, nested lists completed.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use catalog::{DecodeError, Decoder, List, One, Page, Paging, Resource};
use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt};
use stripe_api::{Answer, Stripe};
use tokio_util::sync::CancellationToken;

use crate::{
    Slice, SyncError,
    asking::{self, Request},
    expansions::Expansions,
    state::HOLD_BACK,
};

/// How often a page that is no JSON is asked for again: a proxy that cuts bodies cuts the next one elsewhere.
const ATTEMPTS: u32 = 5;

/// Objects read at once when their list does not show them whole.
const THIN: usize = 8;

/// Answers that are decoded and stored in a second, about: asking faster only makes them wait.
const DIGESTED: u32 = 400;

/// The most requests to one endpoint under way at once.
const WIDEST: usize = 24;

/// A page and what it was decoded from.
pub(crate) struct Fetched {
    pub(crate) page: Page,
    pub(crate) body: Bytes,
    /// Stripe's time.
    pub(crate) date: Option<DateTime<Utc>>,
}

impl Fetched {
    /// Up to where everything is surely visible, judged by the newest object of the page (trap 4), unless that is dated
    /// ahead of Stripe's own clock.
    pub(crate) fn newest_held_back(&self) -> Option<i64> {
        let newest = self.page.keys.first()?.created?;
        Some(self.date.map_or(newest, |date| newest.min(date.timestamp())) - HOLD_BACK)
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
    /// Where Stripe refused to expand, objects are asked for without that.
    pub(crate) expansions: Arc<Mutex<Expansions>>,
}

impl Fetch {
    pub(crate) fn new(stripe: &Stripe, stop: &CancellationToken) -> Self {
        Self { stripe: stripe.clone(), stop: stop.clone(), expansions: Arc::default() }
    }

    /// How many requests to the endpoint of `path` to have under way at once: `least`, more when answers take long.
    pub(crate) fn width(&self, path: &str, least: usize) -> usize {
        self.stripe.width(path, DIGESTED).clamp(least, least.max(WIDEST))
    }

    /// The next page of a slice, with its nested lists completed, and the slice after it.
    ///
    /// A cursor object that is gone (trap 2) gives no rows and a slice that goes on by time.
    pub(crate) async fn next(
        &self,
        resource: &'static Resource,
        slice: &Slice,
        decoder: &mut Decoder,
    ) -> Result<(Option<Fetched>, Slice), SyncError> {
        let ask = slice.ask();
        let request = asking::page(resource, &ask, slice.again);
        let mut ids = Decoder::new(resource);
        let shown = if resource.list.thin { &mut ids } else { &mut *decoder };
        let path = request.path.clone();
        let mut fetched = match self.page(resource, request, &ask.skip, shown).await {
            Ok(fetched) => fetched,
            Err(error) => return Ok((None, lost_cursor(slice, resource.list, error)?)),
        };
        // Past this point the page's rows are in the decoder: a cursor that a nested list lost must not bring them again.
        self.complete(resource, std::mem::take(&mut fetched.page.incomplete), shown).await?;
        // A list of one page has no way to go on, whatever it says.
        fetched.page.has_more &= resource.list.paging != Paging::Whole;
        let at = slice.at.as_ref();
        let (after, page) = (at.map(|at| at.id.as_str()), at.and_then(|at| at.page.as_deref()));
        if fetched.page.has_more && !asking::has_moved(&fetched.page, after, page) {
            return Err(SyncError::Stuck { path });
        }
        if resource.list.thin {
            decoder.keep(ids.finish().rejects);
            let new = fetched.page.keys.iter().filter(|key| !ask.skip.contains(&key.id));
            self.whole(resource, new.map(|key| key.id.clone()), decoder).await?;
        }
        let after = slice.walked(&fetched.page.keys, fetched.page.has_more);
        let next = fetched.page.next.clone();
        Ok((Some(fetched), after.on_page(next)))
    }

    /// Reads objects by themselves, since their list does not show them whole.
    async fn whole(
        &self,
        resource: &'static Resource,
        ids: impl Iterator<Item = String>,
        decoder: &mut Decoder,
    ) -> Result<(), SyncError> {
        let ids: Vec<String> = ids.collect();
        let mut objects = stream::iter(ids).map(|id| self.named(resource, id)).buffered(THIN);
        while let Some(object) = objects.next().await {
            let (id, object) = object?;
            // One that is gone meanwhile has an event of its own.
            self.decode(resource, &id, object, decoder).await?;
        }
        Ok(())
    }

    async fn named(&self, resource: &'static Resource, id: String) -> Result<(String, Object), SyncError> {
        let object = self.object(resource, &id).await?;
        Ok((id, object))
    }

    /// Asks for one object at the pinned version. Whoever can tell what its refusal means asks by `Changes::object`.
    pub(crate) async fn object(&self, resource: &'static Resource, id: &str) -> Result<Object, SyncError> {
        // Not later than the request is sent: what happens after it must win.
        let as_of_micros = self.stripe.now().timestamp_micros();
        let Some(request) = asking::object(resource, id) else { return Ok(Object::Gone { as_of_micros }) };
        match self.ask(&self.allowed(resource, request)).await {
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
                Err(source) => {
                    let path = asking::object(resource, id).map(|request| request.path);
                    return Err(decode(&path.unwrap_or_default(), source));
                }
            }
            object = self.object(resource, id).await?;
        }
    }

    /// A page, asked for again when it was cut. When it fails, no row was added.
    async fn page(
        &self,
        resource: &'static Resource,
        request: Request,
        skip: &HashSet<String>,
        decoder: &mut Decoder,
    ) -> Result<Fetched, SyncError> {
        let decoded = |answer: &Answer| decoder.page(&answer.body, answer.sent_at.timestamp_micros(), skip);
        let (page, answer) = self.listed(resource, request, decoded).await?;
        Ok(Fetched { page, body: answer.body, date: answer.date })
    }

    /// An answer as `decode` takes it; asked for again when it was cut.
    pub(crate) async fn decoded<T>(
        &self,
        request: &Request,
        mut decode: impl FnMut(&Answer) -> Result<T, DecodeError>,
    ) -> Result<(T, Answer), SyncError> {
        let mut attempt = 1;
        loop {
            let answer = self.ask(request).await?;
            match decode(&answer) {
                Ok(decoded) => return Ok((decoded, answer)),
                Err(source) if source.is_syntax() && attempt < ATTEMPTS => {
                    tracing::debug!(path = request.path, attempt, "Stripe's answer was cut; asking again");
                    attempt += 1;
                }
                Err(source) => return Err(self::decode(&request.path, source)),
            }
        }
    }

    async fn ask(&self, Request { path, query }: &Request) -> Result<Answer, SyncError> {
        let query: Vec<(&str, &str)> =
            query.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
        let answer = self.stop.run_until_cancelled(self.stripe.get(path, &query)).await;
        let answer = answer.ok_or(SyncError::Stopped)?;
        answer.map_err(|source| SyncError::Stripe { path: path.clone(), source })
    }
}

/// The slice that goes on when the cursor object is gone; every other error stays one.
fn lost_cursor(slice: &Slice, list: &List, error: SyncError) -> Result<Slice, SyncError> {
    // API v2 says only that the page is not valid.
    let on_page = slice.at.as_ref().is_some_and(|at| at.page.is_some()) && !slice.by_time;
    match &error {
        SyncError::Stripe { source, .. }
            if source.is_missing_cursor() || (on_page && source.is_invalid()) =>
        {
            slice.without_cursor(list.created.is_some()).ok_or(error)
        }
        SyncError::Stripe { .. }
        | SyncError::Decode { .. }
        | SyncError::Warehouse(_)
        | SyncError::Checkpoint { .. }
        | SyncError::Stuck { .. }
        | SyncError::Slow { .. }
        | SyncError::Event { .. }
        | SyncError::Parents { .. }
        | SyncError::Unexpanded { .. }
        | SyncError::Withheld { .. }
        | SyncError::Setup(_)
        | SyncError::Stopped => Err(error),
    }
}

fn decode(path: &str, source: catalog::DecodeError) -> SyncError {
    SyncError::Decode { path: path.to_owned(), source }
}
