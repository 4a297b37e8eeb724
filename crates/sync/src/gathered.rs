//! What goes into one transaction of a copy: rows, and the slices that cover them.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
};

use arrow_array::{BooleanArray, RecordBatch, cast::AsArray};
use arrow_select::filter::filter_record_batch;
use catalog::{Decoded, Nested, Resource};
use warehouse::{Batch, Change, SchemaName, Write};

use crate::{
    Slice, SyncError, TableState,
    room::{Held, Part, Room},
    state::{slice_checkpoint, table_checkpoint},
};

/// Walked and not yet stored, in the order in which it came.
pub(crate) struct Gathered {
    part: Part,
    /// What a walk begins with; stored with its first rows.
    begun: Option<Step>,
    steps: VecDeque<Step>,
    rows: usize,
}

/// More bytes than this are not gathered, however few rows they are: nested lists can be long.
const MOST_BYTES: usize = 16 << 20;

/// A walk, or a split.
#[derive(Default)]
struct Step {
    decoded: Option<Decoded>,
    held: Option<Held>,
    /// As they are after it; halves of a split among them.
    slices: Vec<Slice>,
    state: Option<TableState>,
}

impl Step {
    fn rows(&self) -> usize {
        self.decoded.as_ref().map_or(0, |decoded| decoded.rows.num_rows())
    }

    fn bytes(&self) -> usize {
        let nested = |decoded: &Decoded| -> usize {
            decoded.nested.iter().map(|nested| nested.rows.get_array_memory_size()).sum()
        };
        self.decoded.as_ref().map_or(0, |decoded| decoded.rows.get_array_memory_size() + nested(decoded))
    }
}

impl Gathered {
    pub(crate) fn new(room: &Arc<Room>) -> Self {
        Self { part: room.part(), begun: None, steps: VecDeque::new(), rows: 0 }
    }

    /// The slices of a walk that begins, all of them: what is not stored would be forgotten when it is broken off.
    pub(crate) fn begin(&mut self, slices: Vec<Slice>, state: TableState) {
        self.begun = Some(Step { slices, state: Some(state), ..Step::default() });
    }

    /// Rows of a walk, the slice after them, and where the table stands if that is new.
    pub(crate) fn walked(&mut self, decoded: Decoded, slice: Slice, state: Option<TableState>) {
        let mut step = Step { decoded: Some(decoded), slices: vec![slice], state, ..Step::default() };
        step.held = Some(self.part.gather(step.bytes()));
        self.rows += step.rows();
        self.steps.push_back(step);
    }

    /// The halves of a slice.
    pub(crate) fn split(&mut self, halves: [Slice; 2]) {
        self.steps.push_back(Step { slices: halves.into(), ..Step::default() });
    }

    /// Whether there are more rows than `rows`, or more bytes than fit.
    pub(crate) fn is_full(&self, rows: usize) -> bool {
        self.rows >= rows || self.part.gathered() >= MOST_BYTES || self.part.is_to_make_room()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether there is nothing in it but how far the walk has come.
    pub(crate) fn brings_nothing(&self) -> bool {
        let nothing = |decoded: &Decoded| {
            let sets = decoded.nested.iter().map(|nested| nested.parents.len() + nested.rows.num_rows());
            decoded.rows.num_rows() + sets.sum::<usize>() + decoded.rejects.len() == 0
        };
        self.steps.iter().all(|step| step.decoded.as_ref().is_none_or(nothing))
    }

    /// What came first: as much as holds no more than `most` rows, but at least one step.
    pub(crate) fn take(&mut self, most: usize) -> Transaction {
        let mut taken = Transaction::default();
        taken.extend(self.begun.take());
        let mut bytes = 0;
        while let Some(step) = self.steps.pop_front() {
            let more = taken.rows + step.rows() > most || bytes + step.bytes() > MOST_BYTES;
            if taken.rows > 0 && more {
                self.steps.push_front(step);
                break;
            }
            taken.rows += step.rows();
            bytes += step.bytes();
            taken.extend(Some(step));
        }
        self.rows -= taken.rows;
        self.part.store(bytes);
        taken
    }
}

/// What is stored together: rows, and the slices that cover them as they are after all of them.
#[derive(Default)]
pub(crate) struct Transaction {
    pub(crate) rows: usize,
    decoded: Vec<Decoded>,
    slices: BTreeMap<u32, Slice>,
    state: Option<TableState>,
    /// Until it is stored.
    held: Vec<Held>,
}

impl Transaction {
    fn extend(&mut self, step: Option<Step>) {
        let Some(step) = step else { return };
        self.decoded.extend(step.decoded);
        self.held.extend(step.held);
        self.slices.extend(step.slices.into_iter().map(|slice| (slice.number, slice)));
        self.state = step.state.or(self.state.take());
    }

    /// The batch, and what it holds of the room until it is stored. Rows are inserted, or looked up and merged.
    pub(crate) fn into_batch(
        self,
        schema: &SchemaName,
        resource: &'static Resource,
        inserts: bool,
    ) -> Result<(Batch, Vec<Held>), SyncError> {
        let table = resource.table;
        let mut batch = Batch::of(schema);
        for slice in self.slices.values() {
            batch.checkpoints.push(slice_checkpoint(table.name, slice)?);
        }
        if let Some(state) = &self.state {
            batch.checkpoints.push(table_checkpoint(table.name, state)?);
        }
        for decoded in self.decoded {
            if inserts { insert(&mut batch, resource, decoded) } else { merge(&mut batch, resource, decoded) }
        }
        Ok((batch, self.held))
    }
}

fn insert(batch: &mut Batch, resource: &'static Resource, decoded: Decoded) {
    batch.rejects.extend(decoded.rejects);
    batch.writes.push(Write { table: resource.table, change: Change::Insert(decoded.rows) });
    let nested = decoded.nested.into_iter();
    batch.writes.extend(
        nested.map(|Nested { child, rows, .. }| Write { table: child.table, change: Change::Insert(rows) }),
    );
}

/// The same without some objects: neither their rows nor anything of their nested lists.
pub(crate) fn without(decoded: Decoded, ids: &HashSet<String>) -> Decoded {
    let Decoded { rows, nested, mut rejects } = decoded;
    let other = |nested: Nested| {
        let parents = nested.parents.into_iter().filter(|parent| !ids.contains(parent)).collect();
        Nested { rows: rows_without(&nested.rows, "_parent", ids), parents, ..nested }
    };
    rejects.retain(|reject| reject.id.as_ref().is_none_or(|id| !ids.contains(id)));
    Decoded { rows: rows_without(&rows, "id", ids), nested: nested.into_iter().map(other).collect(), rejects }
}

fn rows_without(rows: &RecordBatch, column: &str, ids: &HashSet<String>) -> RecordBatch {
    let named = rows.column_by_name(column).and_then(|column| column.as_string_opt::<i32>());
    let Some(named) = named else { return rows.clone() };
    let kept: BooleanArray = named.iter().map(|id| Some(id.is_none_or(|id| !ids.contains(id)))).collect();
    #[expect(clippy::expect_used, reason = "the filter is as long as the rows are")]
    filter_record_batch(rows, &kept).expect("rows can be filtered by their own ids")
}

/// Rows by merge, the child sets of their parents replaced: removing a child sends no event (trap 12).
pub(crate) fn merge(batch: &mut Batch, resource: &'static Resource, decoded: Decoded) {
    batch.rejects.extend(decoded.rejects);
    if decoded.rows.num_rows() > 0 {
        batch.writes.push(Write { table: resource.table, change: Change::Merge(decoded.rows) });
    }
    let shown = |set: &Nested| !set.parents.is_empty() || set.rows.num_rows() > 0;
    for Nested { child, rows, parents } in decoded.nested.into_iter().filter(shown) {
        batch.writes.push(Write { table: child.table, change: Change::ReplaceChildren { parents, rows } });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use catalog::Decoder;
    use futures::FutureExt;

    use super::*;

    /// One customer who is so many bytes long.
    fn customer(bytes: usize) -> Decoded {
        let resource = catalog::resource("customers").unwrap();
        let mut decoder = Decoder::new(resource);
        let name = "n".repeat(bytes);
        let page =
            format!(r#"{{"data":[{{"id":"cus_1","object":"customer","name":"{name}"}}],"has_more":false}}"#);
        decoder.page(page.as_bytes(), 0, &HashSet::new()).unwrap();
        decoder.finish()
    }

    #[test]
    fn few_rows_that_are_long_are_full_and_stored_one_by_one() {
        let mut gathered = Gathered::new(&Room::new(usize::MAX));
        gathered.walked(customer(MOST_BYTES / 3), Slice::whole(), None);
        assert!(!gathered.is_full(100));
        (0..2).for_each(|_| gathered.walked(customer(MOST_BYTES), Slice::whole(), None));
        assert!(gathered.is_full(100), "three rows, but too long for a hundred");
        for _ in 0..3 {
            assert_eq!(gathered.take(100).rows, 1);
        }
        assert!(gathered.is_empty() && !gathered.is_full(1));
    }

    #[test]
    fn who_has_most_of_a_full_room_is_full_and_makes_room_when_stored() {
        let bytes = |length| {
            let mut gathered = Gathered::new(&Room::new(usize::MAX));
            gathered.walked(customer(length), Slice::whole(), None);
            gathered.part.gathered()
        };
        let room = Room::new(bytes(1_000_000) + 2 * bytes(1));
        let [mut much, mut little] = [(); 2].map(|()| Gathered::new(&room));
        much.walked(customer(1_000_000), Slice::whole(), None);
        little.walked(customer(1), Slice::whole(), None);
        assert!(!room.is_full() && !much.is_full(100));
        // Whoever waits hears of it: that the room is full, that it is another's turn, that there is room again.
        let listen = || {
            let mut change = Box::pin(room.changed());
            assert!((&mut change).now_or_never().is_none());
            change
        };
        let change = listen();
        little.walked(customer(1), Slice::whole(), None);
        assert!(change.now_or_never().is_some());
        assert!(room.is_full() && much.is_full(100) && !little.is_full(100));
        let change = listen();
        let (_batch, held) = much
            .take(100)
            .into_batch(&"a".parse().unwrap(), catalog::resource("customers").unwrap(), true)
            .unwrap();
        assert!(change.now_or_never().is_some());
        assert!(room.is_full() && little.is_full(100), "it is not stored yet");
        let change = listen();
        drop(held);
        assert!(change.now_or_never().is_some());
        assert!(!room.is_full() && !little.is_full(100));
    }
}
