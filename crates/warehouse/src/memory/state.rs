//! All that a warehouse in memory holds, and what batches do to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::RecordBatch;
use catalog::{Reject, Table};

use super::row::{Row, is_tombstone, split, stub, tombstone};
use crate::rows;
use crate::{Batch, Change, Checkpoint, Ended, SchemaName, WarehouseError, Write};

pub(super) type Key = (SchemaName, &'static str);
/// By id; several rows of one id until the table is sealed.
pub(super) type Rows = BTreeMap<String, Vec<Row>>;

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// Shared until written to, so that a copy of the state is cheap.
    pub(super) tables: HashMap<Key, Arc<Rows>>,
    pub(super) checkpoints: BTreeMap<(SchemaName, String), serde_json::Value>,
    pub(super) rejects: Vec<(SchemaName, Reject)>,
}

impl State {
    pub(super) fn table(&mut self, schema: &SchemaName, table: &Table) -> Result<&mut Rows, WarehouseError> {
        let held = self.tables.get_mut(&key(schema, table)).map(Arc::make_mut);
        held.ok_or_else(|| WarehouseError::Failed {
            attempted: format!("find {}", table.name),
            source: "it is not prepared".into(),
        })
    }

    pub(super) fn apply(&mut self, batch: &Batch) -> Result<u64, WarehouseError> {
        let mut rows = 0;
        for write in &batch.writes {
            if let Change::ReplaceChildren { parents, rows: children } = &write.change {
                rows += self.replace_children(batch, write.table, parents, children)?;
            }
        }
        // Rows before what takes some away, and that before what marks them.
        let turn = |write: &&Write| match write.change {
            Change::Insert(_) | Change::Merge(_) | Change::ReplaceChildren { .. } => 0,
            Change::EndSets(_) => 1,
            Change::MarkDeleted { .. } | Change::MarkChildrenDeleted { .. } => 2,
        };
        let mut writes: Vec<_> = batch.writes.iter().collect();
        writes.sort_by_key(turn);
        for write in writes {
            rows += self.write(&batch.schema, write)?;
        }
        for reject in &batch.rejects {
            self.rejects.retain(|(schema, old)| *schema != batch.schema || !same_place(old, reject));
            self.rejects.push((batch.schema.clone(), reject.clone()));
        }
        Ok(rows)
    }

    pub(super) fn keep(&mut self, schema: &SchemaName, checkpoints: Vec<Checkpoint>) {
        for Checkpoint { key, value } in checkpoints {
            let key = (schema.clone(), key);
            match value {
                Some(value) => drop(self.checkpoints.insert(key, value)),
                None => drop(self.checkpoints.remove(&key)),
            }
        }
    }

    fn write(&mut self, schema: &SchemaName, write: &Write) -> Result<u64, WarehouseError> {
        if let Change::EndSets(ended) = &write.change {
            return self.end_sets(schema, write.table, ended);
        }
        let table = self.table(schema, write.table)?;
        match &write.change {
            Change::Insert(batch) => {
                let new = split(write.table, batch)?;
                let rows = wide(new.len());
                for (id, row) in new {
                    table.entry(id).or_default().push(row);
                }
                Ok(rows)
            }
            Change::Merge(batch) => {
                let new = split(write.table, batch)?;
                Ok(new.into_iter().map(|(id, row)| merge(table, id, row)).sum())
            }
            Change::MarkDeleted { ids, as_of_micros } => {
                let ids: BTreeSet<&String> = ids.iter().collect();
                ids.into_iter().map(|id| mark(write.table, table, id, *as_of_micros)).sum()
            }
            Change::MarkChildrenDeleted { parents, as_of_micros } => {
                mark_children(write.table, table, parents, *as_of_micros)
            }
            Change::EndSets(_) | Change::ReplaceChildren { .. } => Ok(0),
        }
    }

    fn end_sets(
        &mut self,
        schema: &SchemaName,
        table: &Table,
        ended: &[Ended],
    ) -> Result<u64, WarehouseError> {
        let mut changed = end_sets(self.table(schema, table)?, ended);
        let Some(of) = rows::parent_table(table).filter(|of| self.tables.contains_key(&key(schema, of)))
        else {
            return Ok(changed);
        };
        for Ended { parent, .. } in ended {
            let rows = self.table(schema, of)?.get(parent).into_iter().flatten();
            let gone = rows.filter(|row| is_tombstone(row)).map(|row| row.as_of).max();
            if let Some(as_of) = gone {
                changed +=
                    mark_children(table, self.table(schema, table)?, std::slice::from_ref(parent), as_of)?;
            }
        }
        Ok(changed)
    }

    fn replace_children(
        &mut self,
        batch: &Batch,
        table: &Table,
        parents: &[String],
        children: &RecordBatch,
    ) -> Result<u64, WarehouseError> {
        let of_parents = rows::parent_ages(&batch.writes, table)?;
        let ages = rows::set_ages(&of_parents, table, children, parents)?;
        let mut replaced = BTreeSet::new();
        for parent in parents {
            let stored = self.stored_age(&batch.schema, table, parent)?;
            if ages.get(parent.as_str()).zip(stored).is_none_or(|(age, stored)| *age >= stored) {
                replaced.insert(parent.clone());
            }
        }
        let inside = |row: &Row| row.parent.as_ref().is_some_and(|parent| replaced.contains(parent));
        let held = self.table(&batch.schema, table)?;
        for rows in held.values_mut() {
            rows.retain(|row| !inside(row));
        }
        held.retain(|_, rows| !rows.is_empty());
        let mut stored = 0;
        for (id, row) in split(table, children)?.into_iter().filter(|(_, row)| inside(row)) {
            stored += merge(held, id, row);
        }
        Ok(stored)
    }

    /// How old the stored set of a parent is: as the parent, else as the newest child.
    fn stored_age(
        &mut self,
        schema: &SchemaName,
        table: &Table,
        parent: &str,
    ) -> Result<Option<i64>, WarehouseError> {
        if let Some(of) = rows::parent_table(table)
            && let Some(rows) = self.table(schema, of)?.get(parent)
        {
            return Ok(rows.iter().map(|row| row.as_of).max());
        }
        let children = self.table(schema, table)?.values().flatten();
        Ok(children.filter(|row| row.parent.as_deref() == Some(parent)).map(|row| row.as_of).max())
    }
}

pub(super) fn key(schema: &SchemaName, table: &Table) -> Key {
    (schema.clone(), table.name)
}

fn same_place(one: &Reject, other: &Reject) -> bool {
    let place = one.table == other.table && one.id == other.id && one.pointer == other.pointer;
    place && (one.id.is_some() || one.raw == other.raw)
}

/// Rows no newer than `row` go; it stays unless a newer one does.
fn merge(table: &mut Rows, id: String, row: Row) -> u64 {
    let held = table.entry(id).or_default();
    held.retain(|old| old.parent != row.parent || old.as_of > row.as_of);
    if held.iter().any(|old| old.parent == row.parent) {
        return 0;
    }
    held.push(row);
    1
}

/// Children that show an older state than their parent's set go.
fn end_sets(table: &mut Rows, ended: &[Ended]) -> u64 {
    let mut since: HashMap<&str, i64> = HashMap::new();
    for Ended { parent, since_micros } in ended {
        let latest = since.entry(parent).or_insert(*since_micros);
        *latest = (*latest).max(*since_micros);
    }
    let gone = |row: &Row| {
        let since = row.parent.as_deref().and_then(|parent| since.get(parent));
        since.is_some_and(|since| row.as_of < *since)
    };
    let count = table.values().flatten().filter(|row| gone(row)).count();
    table.values_mut().for_each(|rows| rows.retain(|row| !gone(row)));
    table.retain(|_, rows| !rows.is_empty());
    wide(count)
}

fn mark(of: &Table, table: &mut Rows, id: &str, as_of: i64) -> Result<u64, WarehouseError> {
    let Some(held) = table.get_mut(id) else {
        let row = Row { slice: stub(of, id, as_of)?, parent: None, as_of };
        table.insert(id.to_owned(), vec![row]);
        return Ok(1);
    };
    mark_each(of, held.iter_mut(), as_of)
}

fn mark_children(
    of: &Table,
    table: &mut Rows,
    parents: &[String],
    as_of: i64,
) -> Result<u64, WarehouseError> {
    let inside = |row: &&mut Row| row.parent.as_ref().is_some_and(|parent| parents.contains(parent));
    mark_each(of, table.values_mut().flatten().filter(inside), as_of)
}

/// Makes tombstones of the rows that are not newer.
fn mark_each<'a>(
    of: &Table,
    rows: impl Iterator<Item = &'a mut Row>,
    as_of: i64,
) -> Result<u64, WarehouseError> {
    let mut marked = 0;
    for row in rows.filter(|row| row.as_of <= as_of) {
        row.slice = tombstone(of, &row.slice, as_of)?;
        row.as_of = as_of;
        marked += 1;
    }
    Ok(marked)
}

pub(super) fn wide(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
