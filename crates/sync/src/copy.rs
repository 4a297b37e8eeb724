//! The first copy of one table: slices walked side by side, split while workers are free.

use std::collections::{BTreeMap, HashMap, VecDeque};

use catalog::{Decoded, Decoder, Resource};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio_util::sync::CancellationToken;
use warehouse::{Batch, Change, Checkpoint, SchemaName, Warehouse, Write};

use crate::{
    Slice, SyncError, TableState,
    error::unless_stopped,
    fetch::Fetch,
    state::{slice_checkpoint, slice_removed, table_checkpoint},
};

/// What a copy needs of its cycle.
pub(crate) struct Copy<'a, W> {
    pub(crate) fetch: &'a Fetch,
    pub(crate) warehouse: &'a W,
    pub(crate) schema: &'a SchemaName,
    pub(crate) resource: &'static Resource,
    /// Slices walked at once.
    pub(crate) width: usize,
    /// Pages gathered for one transaction.
    pub(crate) pages: usize,
    pub(crate) stop: &'a CancellationToken,
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
}

impl<W: Warehouse> Copy<'_, W> {
    /// Walks `slices` to their end and leaves the table live. `frontier` is known when the copy began earlier.
    pub(crate) async fn run(
        &self,
        slices: &[Slice],
        mut frontier: Option<i64>,
        mut committed: impl FnMut(Committed),
    ) -> Result<TableState, SyncError> {
        let mut waiting: VecDeque<Slice> = slices.iter().filter(|slice| !slice.done).cloned().collect();
        let mut numbers: Vec<u32> = slices.iter().map(|slice| slice.number).collect();
        let mut spans = HashMap::new();
        let mut running = FuturesUnordered::new();
        loop {
            unless_stopped(self.stop)?;
            self.split(&mut waiting, &mut numbers, running.len()).await?;
            while running.len() < self.width
                && let Some(slice) = waiting.pop_front()
            {
                spans.insert(slice.number, slice.span());
                running.push(self.walk(slice));
            }
            let Some(walked) = running.next().await else { break };
            let walked = walked?;
            let slice = walked.slice.clone();
            frontier = frontier.or(walked.frontier);
            let rows = self.store(walked, frontier).await?;
            spans.insert(slice.number, if slice.done { 0 } else { slice.span() });
            committed(Committed { rows, left: spans.values().sum() });
            if !slice.done {
                waiting.push_front(slice);
            }
        }
        self.finish(&numbers, frontier).await
    }

    /// Pages of one slice, up to a transaction's worth.
    async fn walk(&self, mut slice: Slice) -> Result<Walked, SyncError> {
        let mut decoder = Decoder::new(self.resource);
        let mut frontier = None;
        for _ in 0..self.pages {
            if slice.done || self.stop.is_cancelled() {
                break;
            }
            let first = slice.at.is_none() && slice.lt.is_none();
            let (fetched, after) = self.fetch.next(self.resource, &slice, &mut decoder).await?;
            slice = after;
            if first {
                frontier = fetched.and_then(|fetched| fetched.newest_held_back());
                break; // the newest page shows where the list begins: store it, so that the rest can be split
            }
        }
        Ok(Walked { slice, decoded: decoder.finish(), frontier })
    }

    /// Rows and the slice that covers them, in one transaction.
    async fn store(&self, walked: Walked, frontier: Option<i64>) -> Result<u64, SyncError> {
        let Walked { slice, decoded, frontier: first } = walked;
        let table = self.resource.table;
        let mut checkpoints = vec![slice_checkpoint(table.name, &slice)?];
        if first.is_some() {
            checkpoints.push(table_checkpoint(table.name, &TableState::Copying { frontier })?);
        }
        let mut batch = Batch { rejects: decoded.rejects, ..batch(self.schema, checkpoints) };
        let rows = u64::try_from(decoded.rows.num_rows()).unwrap_or(u64::MAX);
        batch.writes.push(Write { table, change: Change::Insert(decoded.rows) });
        let children = decoded.children.into_iter();
        batch
            .writes
            .extend(children.map(|(child, rows)| Write { table: child.table, change: Change::Insert(rows) }));
        self.warehouse.apply(batch).await?;
        Ok(rows)
    }

    /// Splits the longest waiting slices until every worker has one. Both halves are stored before either is walked.
    async fn split(
        &self,
        waiting: &mut VecDeque<Slice>,
        numbers: &mut Vec<u32>,
        running: usize,
    ) -> Result<(), SyncError> {
        let mut checkpoints = Vec::new();
        while self.resource.created_filter && waiting.len() + running < self.width {
            let number = numbers.iter().max().map_or(0, |most| most + 1);
            let longest = waiting.iter().enumerate().max_by_key(|(_, slice)| slice.span());
            let Some((index, halves)) = longest.map(|(index, slice)| (index, slice.split(number))) else {
                break;
            };
            let Some((newer, older)) = halves else { break };
            checkpoints.push(slice_checkpoint(self.resource.table.name, &newer)?);
            checkpoints.push(slice_checkpoint(self.resource.table.name, &older)?);
            numbers.push(number);
            waiting.remove(index);
            waiting.push_back(newer);
            waiting.push_back(older);
        }
        if !checkpoints.is_empty() {
            self.warehouse.apply(batch(self.schema, last_of_each(checkpoints))).await?;
        }
        Ok(())
    }

    /// Makes ids unique again, whatever happened, and leaves the table live.
    async fn finish(&self, numbers: &[u32], frontier: Option<i64>) -> Result<TableState, SyncError> {
        let table = self.resource.table;
        let children = self.resource.children.iter().map(|child| child.table);
        for sealed in std::iter::once(table).chain(children) {
            let removed = self.warehouse.seal(self.schema, sealed).await?;
            if removed > 0 {
                tracing::warn!(table = sealed.name, removed, "removed {removed} rows that were stored twice");
            }
        }
        let state = TableState::Live { frontier };
        let mut checkpoints = vec![table_checkpoint(table.name, &state)?];
        checkpoints.extend(numbers.iter().map(|&number| slice_removed(table.name, number)));
        self.warehouse.apply(batch(self.schema, checkpoints)).await?;
        Ok(state)
    }
}

/// A batch that so far only carries checkpoints.
pub(crate) fn batch(schema: &SchemaName, checkpoints: Vec<Checkpoint>) -> Batch {
    Batch { schema: schema.clone(), writes: Vec::new(), checkpoints, rejects: Vec::new() }
}

/// The last of the checkpoints under each key.
fn last_of_each(checkpoints: Vec<Checkpoint>) -> Vec<Checkpoint> {
    let by_key: BTreeMap<String, Checkpoint> =
        checkpoints.into_iter().map(|checkpoint| (checkpoint.key.clone(), checkpoint)).collect();
    by_key.into_values().collect()
}
