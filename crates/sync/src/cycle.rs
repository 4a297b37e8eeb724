//! The steps of one update cycle: where the feed stands, and the walk over whole lists.

use std::{
    cmp::Reverse,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use catalog::Resource;
use futures::stream::{self, Stream, StreamExt};
use warehouse::{Batch, Warehouse};

use crate::{
    Began, Engine, Slice, SyncError, TableProgress, TableReport, TableState,
    around::arounds,
    change::Changes,
    copy::{Committed, Copy, Over, Walk},
    feeds::{Fed, tells_of},
    fetch::Fetch,
    room::Room,
    state::{Owed, Stored, owed_checkpoint, table_checkpoint},
};

/// What the steps of one cycle share.
pub(crate) struct Cycle<'a, W> {
    pub(crate) engine: &'a Engine<W>,
    pub(crate) fetch: Fetch,
    pub(crate) room: Arc<Room>,
    /// Table and id of objects that a walk did not meet and that could not be read again.
    pub(crate) owing: Mutex<Vec<(&'static str, String)>>,
}

impl<W: Warehouse> Cycle<'_, W> {
    /// Lists that events do not tell all of are walked again when it is time (trap 17).
    pub(crate) async fn walk_again_what_is_due(
        &self,
        stored: &mut Stored,
        feeds: &[Fed],
    ) -> Result<(), SyncError> {
        let now = Began::now(&self.fetch.stripe);
        let mut batch = Batch::of(&self.engine.schema);
        for resource in own_lists() {
            let name = resource.table.name;
            let read = feeds.iter().any(|Fed { events, feed, .. }| {
                let state = stored.tables.get(events.table.name);
                tells_of(events, resource) && !feed.refused && matches!(state, Some(TableState::Live { .. }))
            });
            let Some(state) = stored.tables.get_mut(name) else { continue };
            let due = match (stored.owed.get(name), &*state) {
                (Some(Owed { all: true, .. }), &TableState::Live { frontier, walks }) => {
                    stored.owed.remove(name);
                    batch.checkpoints.push(owed_checkpoint(name, None)?);
                    Some(TableState::Comparing { frontier, began: now, from: None, walks })
                }
                (_, state) => self.engine.options.reread.due(resource.list, state, now, read),
            };
            if let Some(due) = due {
                *state = due;
                batch.checkpoints.push(table_checkpoint(name, state)?);
            }
        }
        if !batch.checkpoints.is_empty() {
            self.engine.warehouse.apply(batch).await?;
        }
        Ok(())
    }

    /// The walk over every list that is not live yet, side by side, those first that most rounds wait for. One that is done
    /// makes room at once: a long list must not keep others from beginning.
    pub(crate) fn walks(&self, mut stored: Stored) -> impl Stream<Item = TableReport> {
        let waiting = |table: &str| arounds().filter(|around| around.waits_for(table)).count();
        let mut lists: Vec<_> = own_lists().collect();
        lists.sort_by_cached_key(|resource| Reverse(waiting(resource.table.name)));
        let walk = |resource: &'static Resource| {
            let state = stored.tables.remove(resource.table.name);
            let slices = stored.slices.remove(resource.table.name).unwrap_or_default();
            let owed = stored.owed.get(resource.table.name).cloned().unwrap_or_default();
            self.copy_table(resource, state, slices, owed)
        };
        let walks: Vec<_> = lists.into_iter().map(walk).collect();
        stream::iter(walks).buffer_unordered(self.engine.options.tables)
    }

    async fn copy_table(
        &self,
        resource: &'static Resource,
        state: Option<TableState>,
        slices: Vec<Slice>,
        owed: Owed,
    ) -> TableReport {
        let table = resource.table.name;
        let holds_nothing = matches!(state, None | Some(TableState::Unavailable { .. })) && slices.is_empty();
        let now = || Began::now(&self.fetch.stripe);
        let first = |began: Option<Began>| Walk::First { began: began.unwrap_or_else(now) };
        let (frontier, walk) = match state {
            Some(live @ TableState::Live { .. }) => {
                self.complete(table);
                return TableReport::new(table, 0, Ok(live));
            }
            Some(TableState::Copying { frontier, began }) => (frontier, first(began)),
            Some(TableState::Comparing { frontier, began, from, walks }) => {
                (frontier, Walk::Again { began, from, walks })
            }
            Some(TableState::Unavailable { .. }) | None => (None, first(None)),
        };
        let mut rows = 0;
        let mut longest = 1;
        let mut trouble = None;
        let outcome = self
            .copier(resource, walk, owed)
            .run(slices, frontier, |committed| {
                rows += committed.rows;
                longest = longest.max(committed.left);
                self.committed(table, &committed, longest);
            })
            .await;
        let outcome = outcome.map(|Over { state, failed }| {
            trouble = self.owe(table, failed);
            state
        });
        let holds_nothing = holds_nothing && rows == 0;
        let mut report =
            TableReport::new(table, rows, self.concluded(resource, outcome, holds_nothing).await);
        report.trouble = trouble;
        report
    }

    /// Notes what could not be read again; the last reason that is not Stripe's refusal to show one object.
    fn owe(&self, table: &'static str, failed: Vec<(String, SyncError)>) -> Option<SyncError> {
        let mut trouble = None;
        let mut owing = self.owing.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, error) in failed {
            owing.push((table, id));
            trouble = Some(error).filter(|error| !error.is_unavailable()).or(trouble);
        }
        trouble
    }

    /// Turns Stripe's refusal of a resource into a state of the table (trap 23), as long as the table holds nothing: one
    /// that holds rows keeps its state, and goes on from there once Stripe gives it again.
    pub(crate) async fn concluded(
        &self,
        resource: &'static Resource,
        outcome: Result<TableState, SyncError>,
        holds_nothing: bool,
    ) -> Result<TableState, SyncError> {
        let table = resource.table.name;
        match outcome {
            Ok(state) => {
                self.complete(table);
                Ok(state)
            }
            Err(error) if holds_nothing && refuses_list(resource, &error) => {
                let state = TableState::Unavailable { why: error.sentence() };
                self.show(table, |shown| {
                    (shown.unavailable, shown.why) = (true, Some(error.sentence()));
                });
                let mut batch = Batch::of(&self.engine.schema);
                batch.checkpoints.push(table_checkpoint(table, &state)?);
                self.engine.warehouse.apply(batch).await?;
                Ok(state)
            }
            Err(error) => self.unfinished(table, error),
        }
    }

    /// A table that cannot go on for now says why.
    pub(crate) fn unfinished(&self, table: &'static str, error: SyncError) -> Result<TableState, SyncError> {
        self.show(table, |shown| shown.why = Some(error.sentence()));
        Err(error)
    }

    pub(crate) fn changes(&self) -> Changes<'_, W> {
        let Engine { warehouse, schema, options, .. } = self.engine;
        // Whoever asks is patient: what cannot be read holds up its cycle no longer than its own retries do.
        let patience = Duration::MAX;
        Changes { fetch: &self.fetch, warehouse, schema, width: options.reads, patience }
    }

    fn copier(&self, resource: &'static Resource, walk: Walk, owed: Owed) -> Copy<'_, W> {
        let options = self.engine.options;
        Copy {
            changes: self.changes(),
            resource,
            width: options.slices,
            pages: options.pages,
            rows: options.rows,
            walk,
            room: &self.room,
            owed,
        }
    }

    fn committed(&self, table: &'static str, committed: &Committed, longest: i64) {
        self.show(table, |shown| {
            shown.rows += committed.rows;
            let left = committed.left.saturating_mul(1000) / longest.max(1);
            shown.permille = Some(u32::try_from((1000 - left).clamp(0, 999)).unwrap_or(0));
        });
    }

    pub(crate) fn complete(&self, table: &'static str) {
        self.show(table, |shown| {
            shown.complete = true;
            shown.permille = Some(1000);
        });
    }

    pub(crate) fn show(&self, table: &'static str, change: impl FnOnce(&mut TableProgress)) {
        self.engine.progress.send_modify(|progress| {
            if let Some(shown) = progress.tables.get_mut(table) {
                change(shown);
            }
        });
    }
}

/// A refused list is the table's own; what is refused of one object says nothing about its kind. Of a list for each parent
/// only what all were refused comes here.
fn refuses_list(resource: &Resource, error: &SyncError) -> bool {
    let of_list = |path: &str| resource.is_apart() || path == resource.list.path;
    error.is_unavailable() && matches!(error, SyncError::Stripe { path, .. } if of_list(path))
}

/// The resources whose list is the account's own.
pub(crate) fn own_lists() -> impl Iterator<Item = &'static Resource> {
    catalog::resources().iter().copied().filter(|resource| !resource.is_apart())
}
