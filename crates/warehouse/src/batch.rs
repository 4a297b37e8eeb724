use arrow_array::RecordBatch;
use catalog::{Reject, Table};
use serde_json::Value;

use crate::SchemaName;

/// What one transaction stores: rows, and the checkpoints that cover them.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Where to.
    pub schema: SchemaName,
    /// The changes. Sets of children come first, judged by the state before the batch; then all rows, then what marks or
    /// takes some away: their order here does not matter.
    pub writes: Vec<Write>,
    /// How far the copy has come once `writes` are stored.
    pub checkpoints: Vec<Checkpoint>,
    /// What could not be decoded; kept in a table of its own, once for each table, id and place.
    pub rejects: Vec<Reject>,
}

impl Batch {
    /// A batch that does nothing yet.
    #[must_use]
    pub fn of(schema: &SchemaName) -> Self {
        Self { schema: schema.clone(), writes: Vec::new(), checkpoints: Vec::new(), rejects: Vec::new() }
    }

    /// Whether it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.checkpoints.is_empty() && self.rejects.is_empty()
    }

    /// Rows that its writes bring.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.writes.iter().map(Write::rows).sum()
    }
}

/// A change of one table.
#[derive(Debug, Clone)]
pub struct Write {
    /// Which table; prepared before.
    pub table: &'static Table,
    /// What happens to it.
    pub change: Change,
}

impl Write {
    /// Rows that it brings, tombstones of its own table among them.
    #[must_use]
    pub fn rows(&self) -> usize {
        match &self.change {
            Change::Insert(rows) | Change::Merge(rows) | Change::ReplaceChildren { rows, .. } => {
                rows.num_rows()
            }
            Change::MarkDeleted { ids, .. } => ids.len(),
            Change::EndSets(_) | Change::MarkChildrenDeleted { .. } => 0,
        }
    }
}

/// What happens to a table. Record batches have the columns of [`catalog::schema`], in any order.
#[derive(Debug, Clone)]
pub enum Change {
    /// Rows that nobody looks up: a slice of a first copy, which is sealed when it is whole. What is there already is doubled until
    /// then (see [`Warehouse::seal`](crate::Warehouse::seal)).
    Insert(RecordBatch),
    /// By id (children: within their parent), the newest `_as_of` wins; a row that is there already with the same
    /// `_as_of` is replaced.
    Merge(RecordBatch),
    /// Parents have no other children than those that show a state from then on: others go, and those of a parent that is
    /// a tombstone, and newer than they, become tombstones. Whatever the order of a batch, a parent that it marks is no
    /// tombstone yet. With [`Change::Merge`] it replaces sets that are too long for one batch.
    EndSets(Vec<Ended>),
    /// Children as of now: the set of each parent is replaced, by nothing if `rows` has none.
    ///
    /// The set is as old as its parent's row in the same batch, else as its newest row; it is passed over when the
    /// stored parent (else the newest of its stored children) is newer. An empty set without its parent's row in
    /// the batch has no age and always replaces.
    ReplaceChildren {
        /// Ids of the parents; rows of other parents in `rows` are not stored.
        parents: Vec<String>,
        /// The children they have now.
        rows: RecordBatch,
    },
    /// Tombstones: fields are kept, `_deleted` becomes true. An id never seen gets a stub. Passed over for rows that
    /// are newer; only a newer (or as new) live row undoes one.
    MarkDeleted {
        /// Ids of the rows.
        ids: Vec<String>,
        /// When they were seen to be gone.
        as_of_micros: i64,
    },
    /// The children of parents that are gone become tombstones too. Passed over for children that are newer.
    MarkChildrenDeleted {
        /// Ids of the parents.
        parents: Vec<String>,
        /// When the parents were seen to be gone.
        as_of_micros: i64,
    },
}

/// A parent whose children were stored. Where it is a tombstone already, they become tombstones too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its id.
    pub parent: String,
    /// When they were first asked for: whatever shows an older state is gone. 0 when not all of them came.
    pub since_micros: i64,
}

/// How far something has come, under a key of the caller's choosing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Unique in its schema.
    pub key: String,
    /// What is known; `None` removes the key.
    pub value: Option<Value>,
}

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Rows added, replaced or marked; rows passed over do not count.
    pub rows: u64,
}

impl std::iter::Sum for Applied {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        Self { rows: all.map(|applied| applied.rows).sum() }
    }
}
