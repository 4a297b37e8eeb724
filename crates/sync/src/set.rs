//! The objects that one parent's list shows.

use std::collections::HashSet;

use catalog::{Api, Decoder, Page, Paging};
use stripe_api::Answer;
use warehouse::{Batch, Ended, Warehouse};

use crate::{
    SyncError,
    around::Around,
    asking::{self, Request},
    change::Changes,
    error::unless_stopped,
    gathered,
    line::Answered,
    slice::MOST_BEGINNINGS,
};

/// Rows of one parent that are gathered before they are stored: a set can be longer than memory.
const GATHERED: usize = 500;

/// No row is older: the set of one that was broken off only shares the fate of its parent, which may be gone meanwhile.
const EVERY_ROW_STAYS: i64 = 0;

/// What one parent's list brought.
pub(crate) struct Set {
    parent: String,
    decoder: Decoder,
    came: Came,
    /// Rows stored already, since there were many.
    pub(crate) stored: u64,
}

/// What became of the question.
enum Came {
    /// All of it, first asked for then.
    Whole { since_micros: i64 },
    /// Stripe has no such parent any more: its own event or the next walk says so.
    Nothing,
    /// Stripe refuses it for this parent, or it cannot be read.
    Failed(SyncError),
}

/// Where the walk over one parent's list stands.
#[derive(Default)]
struct Cursor {
    after: Option<String>,
    page: Option<String>,
    position: i64,
    /// When the first page was asked for.
    since_micros: Option<i64>,
    begun_anew: u32,
}

impl Set {
    /// Asks for the whole set of `parent`. Of a long one the first rows are stored at once, which may be repeated.
    pub(crate) async fn ask<W: Warehouse>(
        changes: &Changes<'_, W>,
        around: Around,
        parent: String,
    ) -> Result<Self, SyncError> {
        let mut set = Self { parent, decoder: Decoder::new(around.resource), came: Came::Nothing, stored: 0 };
        let mut cursor = Cursor::default();
        loop {
            unless_stopped(&changes.fetch.stop)?;
            let (after, page) = (cursor.after.as_deref(), cursor.page.as_deref());
            let request = asking::page_of(around.list, &set.parent, after, page);
            let (page, sent_micros) = match set.page(changes, around, &request, cursor.position).await {
                Ok(page) => page,
                Err(error) if cursor.is_gone(around, &error) => {
                    cursor = cursor.anew(error)?;
                    continue;
                }
                Err(error) => {
                    set.came = without(error)?;
                    return Ok(set);
                }
            };
            let since_micros = *cursor.since_micros.get_or_insert(sent_micros);
            if !page.has_more {
                set.came = Came::Whole { since_micros };
                return Ok(set);
            }
            cursor.go_on(page, &request)?;
            if set.decoder.rows() >= GATHERED {
                set.store(changes, around).await?;
            }
        }
    }

    async fn page<W: Warehouse>(
        &mut self,
        changes: &Changes<'_, W>,
        around: Around,
        request: &Request,
        position: i64,
    ) -> Result<(Page, i64), SyncError> {
        let Self { parent, decoder, .. } = self;
        let decoded = |answer: &Answer| {
            let as_of_micros = answer.sent_at.timestamp_micros();
            match around.resource.is_apart() {
                true => decoder.page_of(parent, position, &answer.body, as_of_micros),
                false => decoder.page(&answer.body, as_of_micros, &HashSet::new()),
            }
        };
        let (mut page, answer) = changes.fetch.decoded(request, decoded).await?;
        page.has_more &= around.list.paging != Paging::Whole;
        Ok((page, answer.sent_at.timestamp_micros()))
    }

    /// Stores what came so far.
    async fn store<W: Warehouse>(
        &mut self,
        changes: &Changes<'_, W>,
        around: Around,
    ) -> Result<(), SyncError> {
        let mut batch = Batch::of(changes.schema);
        self.write(around, &mut batch);
        self.stored += changes.warehouse.apply(batch).await?.rows;
        Ok(())
    }

    fn write(&mut self, around: Around, batch: &mut Batch) {
        if !self.decoder.is_empty() {
            gathered::merge(batch, around.resource, self.decoder.finish());
        }
    }

    /// Where Stripe has no such parent any more, that is all there is to show.
    pub(crate) fn answered(&self) -> Answered {
        match &self.came {
            Came::Whole { .. } | Came::Nothing => Answered::Shown,
            Came::Failed(error) if error.is_unavailable() => Answered::Refused,
            Came::Failed(_) => Answered::Failed,
        }
    }

    /// Rows that are not stored yet.
    pub(crate) fn rows(&self) -> usize {
        self.decoder.rows()
    }

    /// Whose it is.
    pub(crate) fn parent(&self) -> &str {
        &self.parent
    }

    /// Puts the rest of the rows into a batch. Where the table holds sets, and this one is whole: it has no others. Why it is
    /// not whole, if it is not.
    pub(crate) fn into_batch(
        mut self,
        around: Around,
        batch: &mut Batch,
    ) -> (Option<Ended>, Option<SyncError>) {
        if matches!(self.came, Came::Nothing) {
            let _of_nobody = self.decoder.finish();
        }
        self.write(around, batch);
        let (since_micros, error) = match self.came {
            Came::Whole { since_micros } => (since_micros, None),
            Came::Nothing => (EVERY_ROW_STAYS, None),
            Came::Failed(error) => (EVERY_ROW_STAYS, Some(error)),
        };
        (around.resource.is_apart().then_some(Ended { parent: self.parent, since_micros }), error)
    }
}

impl Cursor {
    /// Whether Stripe no longer knows the object or page to go on from (trap 2).
    fn is_gone(&self, around: Around, error: &SyncError) -> bool {
        let SyncError::Stripe { source, .. } = error else { return false };
        let at_page = around.list.api() == Api::V2 && self.page.is_some();
        self.after.is_some() && (source.is_missing_cursor() || (at_page && source.is_invalid()))
    }

    /// From the beginning again. Rows that were stored are merged once more.
    fn anew(self, error: SyncError) -> Result<Self, SyncError> {
        let begun_anew = self.begun_anew + 1;
        if begun_anew > MOST_BEGINNINGS {
            return Err(error);
        }
        Ok(Self { begun_anew, ..Self::default() })
    }

    fn go_on(&mut self, page: Page, request: &Request) -> Result<(), SyncError> {
        if !asking::has_moved(&page, self.after.as_deref(), self.page.as_deref()) {
            return Err(SyncError::Stuck { path: request.path.clone() });
        }
        self.position += i64::try_from(page.keys.len()).unwrap_or(i64::MAX);
        self.after = page.keys.last().map(|last| last.id.clone()).or(self.after.take());
        self.page = page.next;
        Ok(())
    }
}

/// What an error says of one parent; what it says of all stays an error.
fn without(error: SyncError) -> Result<Came, SyncError> {
    if error.concerns_all() {
        return Err(error);
    }
    let is_gone = matches!(&error, SyncError::Stripe { source, .. } if source.is_missing_parent());
    Ok(if is_gone { Came::Nothing } else { Came::Failed(error) })
}
