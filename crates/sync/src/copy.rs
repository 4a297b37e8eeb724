//! The walk over one whole list: slices walked side by side, split while workers are free, stored as they come.

use std::{sync::Arc, time::Duration};

use catalog::{Decoded, Decoder, List, Paging, Resource};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{MissedTickBehavior, interval};
use warehouse::{Batch, Belonging, Warehouse};

use crate::{
    Began, Slice, SyncError, TableState, Walks,
    around::arounds,
    change::Changes,
    error::unless_stopped,
    gathered::{Gathered, Transaction},
    left::Left,
    reread::is_feed,
    room::Room,
    seal::seal,
    state::{Owed, owed_checkpoint, slice_removed, table_checkpoint},
};

/// What is gathered is stored at least this often, so that a slow copy shows its progress and loses little.
const PATIENCE: Duration = Duration::from_secs(2);

/// Objects of a page, at most.
pub(crate) const PAGE: u16 = 100;

/// What a copy needs of its cycle.
pub(crate) struct Copy<'a, W> {
    pub(crate) changes: Changes<'a, W>,
    pub(crate) resource: &'static Resource,
    /// Slices walked at once, more when answers take long.
    pub(crate) width: usize,
    /// Pages walked in one go.
    pub(crate) pages: usize,
    /// The most rows that one transaction stores.
    pub(crate) rows: usize,
    pub(crate) walk: Walk,
    /// Shared with the other walks.
    pub(crate) room: &'a Arc<Room>,
    /// What is owed to the table already.
    pub(crate) owed: Owed,
}

/// A walk at its end.
pub(crate) struct Over {
    /// Where the table stands.
    pub(crate) state: TableState,
    /// What it did not meet and could not read again; that it is owed is stored.
    pub(crate) failed: Vec<(String, SyncError)>,
}

/// Why a list is walked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Walk {
    /// The table holds nothing yet.
    First { began: Began },
    /// It holds rows: merge, and read again what shows a state before the beginning and was not met.
    Again { began: Began, from: Option<i64>, walks: Walks },
}

impl Walk {
    /// What is walked at first: the list, and what it leaves out when it is not asked for.
    pub(crate) fn slices(self, list: &List) -> Vec<Slice> {
        let from = match self {
            Self::First { .. } => None,
            Self::Again { from, .. } => from,
        };
        let slice = Slice::since(from);
        let again = (!list.again.is_empty()).then(|| Slice { number: 1, again: true, ..slice.clone() });
        std::iter::once(slice).chain(again).collect()
    }

    /// Where the table stands meanwhile.
    fn going_on(self, frontier: Option<i64>) -> TableState {
        match self {
            Self::First { began } => TableState::Copying { frontier, began: Some(began) },
            Self::Again { began, from, walks } => TableState::Comparing { frontier, began, from, walks },
        }
    }

    /// Where it stands at the end.
    fn over(self, frontier: Option<i64>) -> TableState {
        let walks = match self {
            Self::First { began } => Walks::default().and(began, true),
            Self::Again { began, from, walks } => walks.and(began, from.is_none()),
        };
        TableState::Live { frontier, walks }
    }
}

/// What was committed just now.
pub(crate) struct Committed {
    pub(crate) rows: u64,
    /// Seconds of the time line still to walk, all slices together.
    pub(crate) left: i64,
}

/// A walked stretch, not yet stored.
struct Walked {
    slice: Slice,
    decoded: Decoded,
    /// The first page of the whole list: its newest second, held back, is where new objects are looked for later.
    frontier: Option<i64>,
    pages: u32,
    /// Seconds of the time line that they covered; none where that is not known.
    seconds: Option<i64>,
}

impl<W: Warehouse> Copy<'_, W> {
    /// Walks to the end and leaves the table live. `slices` are those of a walk that began earlier, and then `frontier` is
    /// known.
    ///
    /// Fetching goes on while a transaction is stored; transactions are stored in the order in which they were
    /// gathered, so a stored slice never tells of rows that are not.
    pub(crate) async fn run(
        &self,
        slices: Vec<Slice>,
        mut frontier: Option<i64>,
        mut committed: impl FnMut(Committed),
    ) -> Result<Over, SyncError> {
        // Whether there may be rows that were inserted without being looked up.
        let mut inserted = !slices.is_empty();
        let (mut left, mut gathered) = self.begun(&slices, frontier);
        let mut backlog = self.changes.fetch.stripe.backlog(self.resource.list.path);
        let are_parents = arounds().any(|around| around.parent.table == self.resource.table.name);
        let mut walking = FuturesUnordered::new();
        let mut storing = FuturesUnordered::new();
        let mut failed = None;
        let mut due = false;
        let mut patience = interval(PATIENCE);
        patience.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (width, pages) = self.reach();
            // No more than a transaction is gathered while another is stored: memory stays what it is.
            let may_go_on =
                failed.is_none() && !self.changes.fetch.stop.is_cancelled() && !gathered.is_full(self.rows);
            if may_go_on && !self.room.is_full() {
                self.split(&mut left, &mut gathered, width.saturating_sub(walking.len()));
                let free = width.saturating_sub(walking.len());
                walking.extend(left.take(free).map(|slice| self.walk(slice, pages)));
            }
            let is_walked = walking.is_empty() && left.waiting.is_empty();
            if is_walked && failed.is_none() && gathered.brings_nothing() {
                gathered = Gathered::new(self.room); // The last transaction says all that there is to say.
            }
            let waits_for_room = may_go_on && self.room.is_full() && !left.waiting.is_empty();
            let over = walking.is_empty() && !waits_for_room;
            // One walk more might not fit.
            let full = gathered.is_full(self.rows.saturating_sub(self.pages * usize::from(PAGE)));
            if storing.is_empty() && !gathered.is_empty() && (full || due || over) {
                storing.push(self.store(gathered.take(self.rows)));
                due = false;
                patience.reset();
            }
            if over && storing.is_empty() {
                break;
            }
            // It may become the one that has most while it waits for a slow answer.
            let may_have_to_make_room = storing.is_empty() && !gathered.is_empty();
            tokio::select! {
                biased; // what comes first is decided, so that a schedule can be played again
                Some(walked) = walking.next() => match walked {
                    Ok(walked) => {
                        frontier = frontier.or(walked.frontier);
                        self.gather(walked, frontier, &mut left, &mut gathered);
                        backlog.is(left.requests(are_parents));
                    }
                    Err(error) => failed = failed.or(Some(error)),
                },
                Some(stored) = storing.next() => {
                    inserted = true;
                    committed(Committed { rows: stored?, left: left.span() });
                }
                () = self.room.changed(), if waits_for_room || may_have_to_make_room => {}
                _ = patience.tick() => due = true,
            }
        }
        failed.map_or(Ok(()), Err)?;
        unless_stopped(&self.changes.fetch.stop)?;
        self.finish(left.spans.into_keys(), frontier, inserted).await
    }

    /// What is left to walk, and what is to be stored before any of it.
    fn begun(&self, slices: &[Slice], frontier: Option<i64>) -> (Left, Gathered) {
        let mut gathered = Gathered::new(self.room);
        if !slices.is_empty() {
            return (Left::of(slices), gathered);
        }
        let slices = self.walk.slices(self.resource.list);
        let left = Left::of(&slices);
        gathered.begin(slices, self.walk.going_on(frontier));
        (left, gathered)
    }

    /// How many slices to walk at once, and how many pages of one in one go: as many pages on the way, however wide.
    fn reach(&self) -> (usize, usize) {
        let width = self.changes.fetch.width(self.resource.list.path, self.width);
        (width, (self.width * self.pages / width).clamp(1, self.pages))
    }

    /// Pages of one slice, up to a walk's worth.
    async fn walk(&self, mut slice: Slice, pages: usize) -> Result<Walked, SyncError> {
        let mut decoder = Decoder::new(self.resource);
        let (mut frontier, mut walked) = (None, 0);
        let before = slice.known_span();
        for _ in 0..pages {
            if slice.done || self.changes.fetch.stop.is_cancelled() {
                break;
            }
            let first = slice.at.is_none() && slice.lt.is_none() && !slice.again;
            let (fetched, after) = self.changes.fetch.next(self.resource, &slice, &mut decoder).await?;
            slice = after;
            walked += 1;
            if first {
                frontier = fetched.and_then(|fetched| fetched.newest_held_back());
                break; // the newest page shows where the list begins, so that the rest can be split
            }
        }
        // Up to the oldest object that was met: what is before it is as empty as it looks.
        let seconds = before.zip(slice.known_span()).map(|(before, after)| before - after);
        Ok(Walked { slice, decoded: decoder.finish(), frontier, pages: walked, seconds })
    }

    fn gather(&self, walked: Walked, frontier: Option<i64>, left: &mut Left, gathered: &mut Gathered) {
        let Walked { slice, decoded, frontier: first, pages, seconds } = walked;
        left.covered(pages, decoded.rows.num_rows(), seconds);
        let state = first.map(|_| self.walk.going_on(frontier));
        gathered.walked(decoded, slice.clone(), state);
        left.back(slice);
    }

    /// Rows and the slices that cover them, in one transaction; how many rows of the table itself.
    async fn store(&self, transaction: Transaction) -> Result<u64, SyncError> {
        let rows = u64::try_from(transaction.rows).unwrap_or(u64::MAX);
        // What two walks may both show is looked up. An event that is pushed meanwhile is there twice until the table is sealed: no
        // figure is made of events, and to look up every one that is listed costs as much as to store it.
        let inserts = matches!(self.walk, Walk::First { .. }) && self.resource.list.again.is_empty();
        let (batch, _held) = transaction.into_batch(self.changes.schema, self.resource, inserts)?;
        self.changes.warehouse.apply(batch).await?;
        Ok(rows)
    }

    /// Splits the longest waiting slices until every worker has one. Both halves are stored no later than what is
    /// walked of either.
    fn split(&self, left: &mut Left, gathered: &mut Gathered, free: usize) {
        // A page of API v2 goes on in the stretch that was asked for first: its walk cannot be cut short.
        let list = self.resource.list;
        while list.created.is_some() && list.paging == Paging::After && left.waiting.len() < free {
            let Some((newer, older)) = left.split_longest() else { break };
            gathered.split([newer, older]);
        }
    }

    /// Makes ids unique again, whatever happened, and leaves the table live.
    async fn finish(
        &self,
        numbers: impl Iterator<Item = u32>,
        frontier: Option<i64>,
        inserted: bool,
    ) -> Result<Over, SyncError> {
        let Changes { warehouse, schema, .. } = self.changes;
        let table = self.resource.table;
        let mut failed = Vec::new();
        match self.walk {
            // Events that the walk did not meet are too old for Stripe to keep, not gone.
            Walk::Again { began, from, .. } if !is_feed(table) => {
                // What belongs to a parent is that one's to show (see `rounds`).
                let parent = self.resource.also.and_then(|also| also.parent);
                let belonging =
                    parent.map_or(Belonging::Any, |parent| Belonging::Nowhere(parent.place.name()));
                let again =
                    self.changes.reread_untouched(self.resource, began.as_of_micros, from, belonging).await?;
                failed = again.failed;
            }
            Walk::Again { .. } => {}
            Walk::First { .. } if inserted => seal(warehouse, schema, self.resource).await?,
            Walk::First { .. } => {}
        }
        let state = self.walk.over(frontier);
        let mut batch = Batch::of(schema);
        batch.checkpoints.push(table_checkpoint(table.name, &state)?);
        if !failed.is_empty() {
            let mut owed = self.owed.clone();
            owed.add(failed.iter().map(|(id, _)| id.clone()));
            batch.checkpoints.push(owed_checkpoint(table.name, Some(&owed))?);
        }
        batch.checkpoints.extend(numbers.map(|number| slice_removed(table.name, number)));
        warehouse.apply(batch).await?;
        Ok(Over { state, failed })
    }
}
