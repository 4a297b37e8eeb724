//! What goes into one transaction of a copy: rows, and the slices that cover them.

use std::collections::{BTreeMap, VecDeque};

use catalog::{Decoded, Nested, Resource};
use warehouse::{Batch, Change, SchemaName, Write};

use crate::{
    Slice, SyncError, TableState,
    state::{slice_checkpoint, table_checkpoint},
};

/// Walked and not yet stored, in the order in which it came.
#[derive(Default)]
pub(crate) struct Gathered {
    /// What a walk begins with; stored with its first rows.
    begun: Option<Step>,
    steps: VecDeque<Step>,
    rows: usize,
    bytes: usize,
}

/// More bytes than this are not gathered, however few rows they are: nested lists can be long.
const MOST_BYTES: usize = 32 << 20;

/// A walk, or a split.
#[derive(Default)]
struct Step {
    decoded: Option<Decoded>,
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
    /// The slices of a walk that begins, all of them: what is not stored would be forgotten when it is broken off.
    pub(crate) fn begin(&mut self, slices: Vec<Slice>, state: TableState) {
        self.begun = Some(Step { slices, state: Some(state), ..Step::default() });
    }

    /// Rows of a walk, the slice after them, and where the table stands if that is new.
    pub(crate) fn walked(&mut self, decoded: Decoded, slice: Slice, state: Option<TableState>) {
        let step = Step { decoded: Some(decoded), slices: vec![slice], state };
        self.rows += step.rows();
        self.bytes += step.bytes();
        self.steps.push_back(step);
    }

    /// The halves of a slice.
    pub(crate) fn split(&mut self, halves: [Slice; 2]) {
        self.steps.push_back(Step { slices: halves.into(), ..Step::default() });
    }

    /// Whether there are more rows than `rows`, or more bytes than fit.
    pub(crate) fn is_full(&self, rows: usize) -> bool {
        self.rows >= rows || self.bytes >= MOST_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
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
        self.bytes -= bytes;
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
}

impl Transaction {
    fn extend(&mut self, step: Option<Step>) {
        let Some(step) = step else { return };
        self.decoded.extend(step.decoded);
        self.slices.extend(step.slices.into_iter().map(|slice| (slice.number, slice)));
        self.state = step.state.or(self.state.take());
    }

    /// The batch. Rows that are known to be new are inserted, others merged.
    pub(crate) fn into_batch(
        self,
        schema: &SchemaName,
        resource: &'static Resource,
        new: bool,
    ) -> Result<Batch, SyncError> {
        let table = resource.table;
        let mut batch = Batch::of(schema);
        for slice in self.slices.values() {
            batch.checkpoints.push(slice_checkpoint(table.name, slice)?);
        }
        if let Some(state) = &self.state {
            batch.checkpoints.push(table_checkpoint(table.name, state)?);
        }
        for decoded in self.decoded {
            if new { insert(&mut batch, resource, decoded) } else { merge(&mut batch, resource, decoded) }
        }
        Ok(batch)
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

/// Rows by merge, the child sets of their parents replaced: removing a child sends no event (trap 12).
pub(crate) fn merge(batch: &mut Batch, resource: &'static Resource, decoded: Decoded) {
    batch.rejects.extend(decoded.rejects);
    batch.writes.push(Write { table: resource.table, change: Change::Merge(decoded.rows) });
    for Nested { child, rows, parents } in decoded.nested {
        batch.writes.push(Write { table: child.table, change: Change::ReplaceChildren { parents, rows } });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use catalog::Decoder;

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
        let mut gathered = Gathered::default();
        gathered.walked(customer(MOST_BYTES / 3), Slice::whole(), None);
        assert!(!gathered.is_full(100));
        (0..2).for_each(|_| gathered.walked(customer(MOST_BYTES), Slice::whole(), None));
        assert!(gathered.is_full(100), "three rows, but too long for a hundred");
        for _ in 0..3 {
            assert_eq!(gathered.take(100).rows, 1);
        }
        assert!(gathered.is_empty() && !gathered.is_full(1));
    }
}
