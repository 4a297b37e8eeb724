//! A warehouse in memory, for tests: the same meaning, no file, no SQL.

mod row;
mod state;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::{Array, RecordBatch};
use catalog::{Reject, Table};

use self::row::{Row, is_tombstone, nullable, second};
use self::state::{State, key, wide};
use crate::rows;
use crate::{Age, Applied, Batch, Belonging, Checkpoint, Ids, SchemaName, Warehouse, WarehouseError};

/// Holds rows as the slices of record batches they came in. A clone is the same warehouse.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

impl Memory {
    /// An empty warehouse.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All rows of a table by id, as one batch with the columns of [`catalog::schema`], nullable.
    #[must_use]
    pub fn rows(&self, schema: &SchemaName, table: &Table) -> RecordBatch {
        let fields = nullable(table);
        let state = self.lock();
        let held = state.tables.get(&key(schema, table));
        let slices = held.into_iter().flat_map(|rows| rows.values().flatten().map(|row| &row.slice));
        arrow_select::concat::concat_batches(&fields, slices)
            .unwrap_or_else(|_| RecordBatch::new_empty(fields))
    }

    /// What could not be decoded, in the order it came.
    #[must_use]
    pub fn rejects(&self, schema: &SchemaName) -> Vec<Reject> {
        let state = self.lock();
        state.rejects.iter().filter(|(name, _)| name == schema).map(|(_, reject)| reject.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Warehouse for Memory {
    async fn prepare(&self, schema: &SchemaName, tables: Vec<&'static Table>) -> Result<(), WarehouseError> {
        let mut state = self.lock();
        for table in tables {
            state.tables.entry(key(schema, table)).or_default();
        }
        Ok(())
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, WarehouseError> {
        let mut state = self.lock();
        // All or nothing: the changes are made to a copy, which shares the rows themselves. Checkpoints cannot fail.
        let (tables, rejects) = (state.tables.clone(), state.rejects.clone());
        let mut next = State { tables, rejects, ..State::default() };
        let rows = next.apply(&batch)?;
        (state.tables, state.rejects) = (next.tables, next.rejects);
        state.keep(&batch.schema, batch.checkpoints);
        Ok(Applied { rows })
    }

    async fn checkpoints(&self, schema: &SchemaName) -> Result<Vec<Checkpoint>, WarehouseError> {
        let state = self.lock();
        let held = state.checkpoints.iter().filter(|((name, _), _)| name == schema);
        Ok(held
            .map(|((_, key), value)| Checkpoint { key: key.clone(), value: Some(value.clone()) })
            .collect())
    }

    async fn dangling(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        column: &str,
        target: &'static Table,
    ) -> Result<Vec<String>, WarehouseError> {
        let mut state = self.lock();
        let held: BTreeSet<String> = state.table(schema, target)?.keys().cloned().collect();
        let mut dangling = BTreeSet::new();
        for row in state.table(schema, table)?.values().flatten() {
            let value = rows::texts(table, &row.slice, column)?.iter().next().flatten();
            dangling.extend(value.filter(|value| !held.contains(*value)).map(str::to_owned));
        }
        Ok(dangling.into_iter().collect())
    }

    async fn stale(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        ids: Vec<String>,
        since_micros: i64,
    ) -> Result<Vec<String>, WarehouseError> {
        let mut state = self.lock();
        let held = state.table(schema, table)?;
        let fresh =
            |id: &String| held.get(id).is_some_and(|rows| rows.iter().any(|row| row.as_of >= since_micros));
        let stale: BTreeSet<String> = ids.into_iter().filter(|id| !fresh(id)).collect();
        Ok(stale.into_iter().collect())
    }

    async fn ids(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        Ids { age, created_from, belonging, prefix, after, most }: Ids,
    ) -> Result<Vec<String>, WarehouseError> {
        let mut state = self.lock();
        let within = |row: &Row| created_from.is_none_or(|(column, from)| second(row, column) >= Some(from));
        let shown = |row: &Row| match age {
            Age::Any => true,
            Age::Before(micros) => row.as_of < micros,
            Age::Since(micros) => row.as_of >= micros,
        };
        let empty =
            |row: &Row, column| row.slice.column_by_name(column).is_none_or(|column| column.is_null(0));
        let belongs = |row: &Row| match belonging {
            Belonging::Any => true,
            Belonging::To(column) => !empty(row, column),
            Belonging::Nowhere(column) => empty(row, column),
        };
        let asked = |row: &Row| shown(row) && !is_tombstone(row) && within(row) && belongs(row);
        let held = state.table(schema, table)?.iter();
        let named =
            held.filter(|(id, rows)| **id > after && id.starts_with(prefix) && rows.iter().any(asked));
        Ok(named.map(|(id, _)| id.clone()).take(most).collect())
    }

    async fn newest(
        &self,
        schema: &SchemaName,
        tables: Vec<&'static Table>,
    ) -> Result<Option<i64>, WarehouseError> {
        let mut held = self.lock();
        let mut newest = None;
        for table in tables {
            newest = newest.max(held.table(schema, table)?.values().flatten().map(|row| row.as_of).max());
        }
        Ok(newest)
    }

    async fn seal(&self, schema: &SchemaName, table: &'static Table) -> Result<u64, WarehouseError> {
        let mut state = self.lock();
        let mut gone = 0;
        for rows in state.table(schema, table)?.values_mut() {
            let before = rows.len();
            // Newest first, of equals the one that came last; then one for each parent.
            rows.reverse();
            rows.sort_by_key(|row| std::cmp::Reverse(row.as_of));
            let mut seen = BTreeSet::new();
            rows.retain(|row| seen.insert(row.parent.clone()));
            gone += wide(before - rows.len());
        }
        Ok(gone)
    }

    async fn count(&self, schema: &SchemaName, table: &'static Table) -> Result<u64, WarehouseError> {
        Ok(self.lock().table(schema, table)?.values().map(|rows| wide(rows.len())).sum())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conformance::{self, Subject, told};

    struct Kept(Memory);

    impl Subject for Kept {
        type Warehouse = Memory;

        fn open(&mut self) -> &Memory {
            &self.0
        }

        fn shut(&mut self) {}

        async fn dump(&mut self, table: &Table, columns: &[&str]) -> Vec<String> {
            let rows = self.0.rows(&conformance::name(), table);
            let columns: Vec<usize> =
                columns.iter().map(|name| rows.schema().index_of(name).unwrap()).collect();
            let mut lines = told(&rows.project(&columns).unwrap());
            lines.sort();
            lines
        }
    }

    #[tokio::test]
    async fn memory_conforms() {
        conformance::all(|| Kept(Memory::new())).await;
    }

    proptest! {
        #[test]
        fn newest_wins_in_memory((events, order) in conformance::histories()) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(conformance::newest_wins(Kept(Memory::new()), events, order));
        }
    }
}
