//! A warehouse in memory, for tests: the same meaning, no file, no SQL.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{
    Array, ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_schema::{Field, Schema, SchemaRef};
use catalog::{Reject, Table};

use crate::rows::{self, AS_OF, DELETED, ID, PARENT};
use crate::{
    Age, Applied, Batch, Belonging, Change, Checkpoint, Ended, Ids, SchemaName, Warehouse, WarehouseError,
    Write,
};

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

type Key = (SchemaName, &'static str);
/// By id; several rows of one id until the table is sealed.
type Rows = BTreeMap<String, Vec<Row>>;

#[derive(Debug, Clone, Default)]
struct State {
    /// Shared until written to, so that a copy of the state is cheap.
    tables: HashMap<Key, Arc<Rows>>,
    checkpoints: BTreeMap<(SchemaName, String), serde_json::Value>,
    rejects: Vec<(SchemaName, Reject)>,
}

#[derive(Debug, Clone)]
struct Row {
    slice: RecordBatch,
    parent: Option<String>,
    as_of: i64,
}

impl State {
    fn table(&mut self, schema: &SchemaName, table: &Table) -> Result<&mut Rows, WarehouseError> {
        let held = self.tables.get_mut(&key(schema, table)).map(Arc::make_mut);
        held.ok_or_else(|| WarehouseError::Failed {
            attempted: format!("find {}", table.name),
            source: "it is not prepared".into(),
        })
    }

    fn apply(&mut self, batch: &Batch) -> Result<u64, WarehouseError> {
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

    fn keep(&mut self, schema: &SchemaName, checkpoints: Vec<Checkpoint>) {
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

fn key(schema: &SchemaName, table: &Table) -> Key {
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

/// The second that a column shows.
fn second(row: &Row, column: &str) -> Option<i64> {
    let column = row.slice.column_by_name(column)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    Some(column.iter().next()??.div_euclid(1_000_000))
}

fn is_tombstone(row: &Row) -> bool {
    let deleted = row.slice.column_by_name(DELETED).and_then(|column| column.as_boolean_opt());
    deleted.is_some_and(|deleted| deleted.iter().next().flatten() == Some(true))
}

/// The rows of a batch, each a slice with the columns in the table's order.
fn split(table: &Table, batch: &RecordBatch) -> Result<Vec<(String, Row)>, WarehouseError> {
    let fields = nullable(table);
    let column = |field: &Arc<Field>| {
        let column =
            batch.column_by_name(field.name()).filter(|column| column.data_type() == field.data_type());
        column.cloned().ok_or_else(|| rows::shape(table, field.name()))
    };
    let columns: Vec<ArrayRef> = fields.fields().iter().map(column).collect::<Result<_, _>>()?;
    let whole = assemble(table, fields, columns)?;
    let (ids, times) = (rows::texts(table, &whole, ID)?, rows::as_of(table, &whole)?);
    let parents = if catalog::is_child(table) { Some(rows::texts(table, &whole, PARENT)?) } else { None };
    let row = |(index, (id, as_of)): (usize, (Option<&str>, Option<i64>))| {
        let parent =
            parents.filter(|parents| parents.is_valid(index)).map(|parents| parents.value(index).to_owned());
        let row = Row { slice: whole.slice(index, 1), parent, as_of: as_of? };
        Some((id?.to_owned(), row))
    };
    ids.iter()
        .zip(times.iter())
        .enumerate()
        .map(|item| row(item).ok_or_else(|| rows::shape(table, ID)))
        .collect()
}

/// A stub has an id and nothing else, so the columns accept nulls.
fn nullable(table: &Table) -> SchemaRef {
    let fields = catalog::schema(table);
    let fields = fields.fields().iter().map(|field| Field::clone(field).with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn stub(table: &Table, id: &str, as_of: i64) -> Result<RecordBatch, WarehouseError> {
    let fields = nullable(table);
    let column = |field: &Arc<Field>| -> ArrayRef {
        match field.name().as_str() {
            ID => Arc::new(StringArray::from(vec![id])),
            _ => new_null_array(field.data_type(), 1),
        }
    };
    let columns = fields.fields().iter().map(column).collect();
    tombstone(table, &assemble(table, fields, columns)?, as_of)
}

fn tombstone(table: &Table, row: &RecordBatch, as_of: i64) -> Result<RecordBatch, WarehouseError> {
    let fields = row.schema();
    let column = |(field, old): (&Arc<Field>, &ArrayRef)| -> ArrayRef {
        match field.name().as_str() {
            AS_OF => Arc::new(TimestampMicrosecondArray::from(vec![as_of])),
            DELETED => Arc::new(BooleanArray::from(vec![true])),
            _ => Arc::clone(old),
        }
    };
    let columns = fields.fields().iter().zip(row.columns()).map(column).collect();
    assemble(table, fields, columns)
}

fn assemble(table: &Table, fields: SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch, WarehouseError> {
    RecordBatch::try_new(fields, columns).map_err(|source| WarehouseError::Failed {
        attempted: format!("build rows of {}", table.name),
        source: source.into(),
    })
}

fn wide(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
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
