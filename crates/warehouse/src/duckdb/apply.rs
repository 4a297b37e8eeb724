//! Storing a batch: one transaction, rolled back whole on any error.

use std::collections::BTreeMap;

use ::duckdb::{Connection, Params, params, params_from_iter};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use catalog::{Reject, Table};
use serde_json::json;

use super::read::{LISTED, json_list};
use super::{open, sql};
use crate::rows::{self, AS_OF, DELETED, ID, PARENT};
use crate::{Applied, Batch, Change, Checkpoint, Ended, SchemaName, WarehouseError, Write};

/// Batches of so many rows and bytes together are put together before DuckDB takes them over.
const SMALL_ROWS: usize = 2_048;
const SMALL_BYTES: usize = 8 << 20;
/// What DuckDB takes over, it holds once more until it is told that this is all; it plans each part as a statement of its own.
const MOST_BYTES: usize = 8 << 20;
/// Checkpoints that one statement sets, at most.
const MOST_KEYS: usize = 100;

/// Stores the batch or nothing of it.
pub(super) fn apply(connection: &Connection, batch: &Batch) -> Result<Applied, WarehouseError> {
    let failed = |source: ::duckdb::Error| {
        WarehouseError::failed(format!("store a batch in {}", batch.schema), source)
    };
    // Dropped without a commit, a transaction rolls back.
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let store = Store { connection, schema: &batch.schema };
    let mut rows = store.children(&batch.writes)?;
    rows += store.inserts(&batch.writes)?;
    rows += store.merges(&batch.writes)?;
    rows += store.ended(&batch.writes)?;
    rows += store.marks(&batch.writes)?;
    store.rejects(&batch.rejects).map_err(failed)?;
    store.checkpoints(&batch.checkpoints).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(Applied { rows })
}

/// Leaves one row of each id, the newest.
pub(super) fn seal(
    connection: &Connection,
    schema: &SchemaName,
    table: &Table,
) -> Result<u64, WarehouseError> {
    let failed = |source: ::duckdb::Error| {
        WarehouseError::failed(format!("make ids of {} unique", table.name), source)
    };
    let name = sql::name(schema, table);
    let key = sql::key(table);
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let doubled =
        format!("CREATE TEMP TABLE doubled AS SELECT {key} FROM {name} GROUP BY {key} HAVING count(*) > 1");
    connection.execute_batch(&doubled).map_err(failed)?;
    let delete = format!(
        "DELETE FROM {name} WHERE rowid IN (
            SELECT t.rowid FROM {name} AS t SEMI JOIN temp.main.doubled USING ({key})
            QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _as_of DESC, t.rowid DESC) > 1)"
    );
    let gone = connection.execute(&delete, []).map_err(failed)?;
    connection.execute_batch("DROP TABLE temp.main.doubled").map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(wide(gone))
}

/// Where a batch is stored.
pub(super) struct Store<'a> {
    pub(super) connection: &'a Connection,
    pub(super) schema: &'a SchemaName,
}

impl Store<'_> {
    /// New rows, each table's in one go: DuckDB plans every append as a statement of its own.
    fn inserts(&self, writes: &[Write]) -> Result<u64, WarehouseError> {
        let mut stored = 0;
        for (table, batches) in by_table(writes, rows::inserted)? {
            stored +=
                self.insert(table, &batches).map_err(|source| doing("insert rows into", table, source))?;
        }
        Ok(stored)
    }

    /// Rows that are known to be new.
    pub(super) fn insert(&self, table: &Table, batches: &[&RecordBatch]) -> ::duckdb::Result<u64> {
        self.append([open::CATALOG_NAME, self.schema.as_str(), table.name], batches)?;
        Ok(batches.iter().map(|rows| wide(rows.num_rows())).sum())
    }

    /// What takes rows away.
    fn ended(&self, writes: &[Write]) -> Result<u64, WarehouseError> {
        let mut gone = 0;
        for Write { table, change } in writes {
            if let Change::EndSets(ended) = change {
                gone += self.end_sets(table, ended).map_err(|source| doing("end sets of", table, source))?;
            }
        }
        Ok(gone)
    }

    /// What marks rows as deleted, each table's in one go: objects are found to be gone one by one, each at its time, and
    /// every statement looks through the whole table.
    fn marks(&self, writes: &[Write]) -> Result<u64, WarehouseError> {
        let mut marked = 0;
        for ((_, column), Marks { table, gone }) in marks_by_table(writes) {
            let gone = serde_json::Value::from(gone).to_string();
            let stubs =
                |marked| if column == ID { Ok(marked + self.stubs(table, &gone)?) } else { Ok(marked) };
            marked += self
                .mark(table, column, &gone)
                .and_then(stubs)
                .map_err(|source| doing("mark rows as deleted in", table, source))?;
        }
        Ok(marked)
    }

    fn end_sets(&self, table: &Table, ended: &[Ended]) -> ::duckdb::Result<u64> {
        // Most accounts have nothing of most kinds: what follows is planned anew each time.
        if !self.is_any(&sql::name(self.schema, table), [])? {
            return Ok(0);
        }
        let listed: Vec<_> = ended
            .iter()
            .map(|Ended { parent, since_micros }| json!({ "parent": parent, "since": since_micros }))
            .collect();
        let delete = format!(
            "DELETE FROM {} AS t USING
                (SELECT unnest(from_json(?::JSON, '[{{\"parent\":\"VARCHAR\",\"since\":\"BIGINT\"}}]'), recursive := true)) AS e
                WHERE t.{PARENT} = e.parent AND t.{AS_OF} < make_timestamp(e.since)",
            sql::name(self.schema, table)
        );
        let gone = self.connection.execute(&delete, [serde_json::Value::from(listed).to_string()])?;
        let Some(parent) = rows::parent_table(table) else { return Ok(wide(gone)) };
        let parents: Vec<String> = ended.iter().map(|ended| ended.parent.clone()).collect();
        let bury = format!(
            "UPDATE {} AS t SET {DELETED} = true, {AS_OF} = p.{AS_OF} FROM {} AS p
                WHERE t.{PARENT} = p.id AND p.{DELETED} AND NOT t.{DELETED} AND t.{AS_OF} <= p.{AS_OF}
                    AND t.{PARENT} IN ({LISTED})",
            sql::name(self.schema, table),
            sql::name(self.schema, parent)
        );
        Ok(wide(gone) + wide(self.connection.execute(&bury, [json_list(&parents)])?))
    }

    /// Tombstones of ids that were never seen. Takes what [`Self::mark`] does.
    fn stubs(&self, table: &Table, gone: &str) -> ::duckdb::Result<u64> {
        let insert = format!(
            "INSERT INTO {name} ({ID}, {AS_OF}, {DELETED})
                SELECT g.id, make_timestamp(g.at), true FROM ({GONE}) AS g
                WHERE NOT EXISTS (SELECT 1 FROM {name} AS t WHERE t.{ID} = g.id)",
            name = sql::name(self.schema, table)
        );
        Ok(wide(self.connection.execute(&insert, [gone])?))
    }

    /// Tombstones of the rows whose `column` is among `gone`, which is what [`GONE`] takes.
    fn mark(&self, table: &Table, column: &str, gone: &str) -> ::duckdb::Result<u64> {
        let update = format!(
            "UPDATE {name} AS t SET {DELETED} = true, {AS_OF} = make_timestamp(g.at) FROM ({GONE}) AS g
                WHERE t.{column} = g.id AND t.{AS_OF} <= make_timestamp(g.at)",
            name = sql::name(self.schema, table)
        );
        Ok(wide(self.connection.execute(&update, [gone])?))
    }

    /// Whether there is any of these rows: a table, and which of it.
    pub(super) fn is_any(&self, rows: &str, params: impl Params) -> ::duckdb::Result<bool> {
        let any = format!("SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT 1)");
        Ok(self.connection.prepare_cached(&any)?.query_row(params, |row| row.get::<_, i64>(0))? > 0)
    }

    /// Brings rows into `temp.main.stage`, made like `name`.
    pub(super) fn stage(&self, name: &str, batches: &[&RecordBatch]) -> ::duckdb::Result<()> {
        self.connection.execute_batch(&format!("CREATE TEMP TABLE stage AS SELECT * FROM {name} LIMIT 0"))?;
        self.append(["temp", "main", "stage"], batches)
    }

    /// Appends by column name, within the transaction.
    pub(super) fn append(
        &self,
        [catalog, schema, table]: [&str; 3],
        batches: &[&RecordBatch],
    ) -> ::duckdb::Result<()> {
        let mut same_columns = batches.chunk_by(|one, other| one.schema() == other.schema());
        same_columns.try_for_each(|batches| {
            let Some(fields) = batches.first().map(|rows| rows.schema()) else { return Ok(()) };
            let columns: Vec<&str> = fields.fields().iter().map(|field| field.name().as_str()).collect();
            let mut appender =
                self.connection.appender_with_columns_to_catalog_and_db(table, catalog, schema, &columns)?;
            let mut bytes = 0;
            for rows in together(&fields, batches)? {
                bytes += rows.get_array_memory_size();
                appender.append_record_batch(rows)?;
                if bytes > MOST_BYTES {
                    appender.flush()?;
                    bytes = 0;
                }
            }
            appender.flush()
        })
    }

    /// One for each table, id and place: the last. All at once, since each statement looks through all that are kept.
    fn rejects(&self, rejects: &[Reject]) -> ::duckdb::Result<()> {
        if rejects.is_empty() {
            return Ok(());
        }
        let last: BTreeMap<_, &Reject> = rejects.iter().map(|reject| (place(reject), reject)).collect();
        let listed = last.into_values().map(|Reject { table, id, pointer, reason, raw }| {
            json!({ "t": table, "id": id, "pointer": pointer, "reason": reason, "raw": raw })
        });
        let listed = serde_json::Value::from_iter(listed).to_string();
        let schema = self.schema.as_str();
        let shape = "'[{\"t\":\"VARCHAR\",\"id\":\"VARCHAR\",\"pointer\":\"VARCHAR\",\"reason\":\"VARCHAR\",\"raw\":\"VARCHAR\"}]'";
        let new = format!("(SELECT unnest(from_json(?::JSON, {shape}), recursive := true)) AS n");
        let delete = format!(
            "DELETE FROM tallyhouse.rejects AS r USING {new} WHERE r.schema_name = ? AND r.table_name = n.t
                AND r.id IS NOT DISTINCT FROM n.id AND r.pointer = n.pointer AND (n.id IS NOT NULL OR r.raw = n.raw)"
        );
        self.connection.execute(&delete, params![listed, schema])?;
        let insert = format!(
            "INSERT INTO tallyhouse.rejects
                SELECT ?, n.t, n.id, n.pointer, n.reason, n.raw, make_timestamp(epoch_us(now())) FROM {new}"
        );
        self.connection.execute(&insert, params![schema, listed])?;
        Ok(())
    }

    fn checkpoints(&self, checkpoints: &[Checkpoint]) -> ::duckdb::Result<()> {
        if checkpoints.is_empty() {
            return Ok(());
        }
        // A batch may set a key twice: the last one counts.
        let last: BTreeMap<&str, &Checkpoint> =
            checkpoints.iter().map(|checkpoint| (checkpoint.key.as_str(), checkpoint)).collect();
        let last: Vec<&Checkpoint> = last.into_values().collect();
        last.chunks(MOST_KEYS).try_for_each(|some| self.set_checkpoints(some))
    }

    /// Two statements for all: planning takes longer than what they do.
    fn set_checkpoints(&self, checkpoints: &[&Checkpoint]) -> ::duckdb::Result<()> {
        let schema = self.schema.as_str();
        let delete = format!(
            "DELETE FROM tallyhouse.checkpoints WHERE schema_name = ? AND key IN ({})",
            places("?", checkpoints.len())
        );
        let keys = checkpoints.iter().map(|checkpoint| checkpoint.key.as_str());
        self.connection.execute(&delete, params_from_iter(std::iter::once(schema).chain(keys)))?;
        let set: Vec<(&str, String)> = checkpoints
            .iter()
            .filter_map(|Checkpoint { key, value }| Some((key.as_str(), value.as_ref()?.to_string())))
            .collect();
        if set.is_empty() {
            return Ok(());
        }
        let insert = format!("INSERT INTO tallyhouse.checkpoints VALUES {}", places("(?, ?, ?)", set.len()));
        let values = set.iter().flat_map(|(key, value)| [schema, key, value]);
        self.connection.execute(&insert, params_from_iter(values))?;
        Ok(())
    }
}

/// So many places for values in a statement.
fn places(one: &str, count: usize) -> String {
    vec![one; count].join(", ")
}

/// The rows that one kind of change brings, by table, in the order of the writes.
pub(super) fn by_table<'a>(
    writes: &'a [Write],
    brought: impl Fn(&'a Change) -> Option<&'a RecordBatch>,
) -> Result<Vec<(&'static Table, Vec<&'a RecordBatch>)>, WarehouseError> {
    let mut by_table: BTreeMap<&str, (&'static Table, Vec<&RecordBatch>)> = BTreeMap::new();
    for Write { table, change } in writes {
        if let Some(rows) = brought(change) {
            rows::as_of(table, rows)?;
            by_table.entry(table.name).or_insert((table, Vec::new())).1.push(rows);
        }
    }
    Ok(by_table.into_values().collect())
}

/// Where a reject belongs; what has no id is known by what it says.
fn place(reject: &Reject) -> (&str, Option<&str>, &str, Option<&str>) {
    let Reject { table, id, pointer, raw, .. } = reject;
    (table, id.as_deref(), pointer, id.is_none().then_some(raw))
}

/// What is marked as deleted in one table.
struct Marks {
    table: &'static Table,
    /// What [`GONE`] takes.
    gone: Vec<serde_json::Value>,
}

/// What is marked, by table and the column that says which rows it is.
fn marks_by_table(writes: &[Write]) -> BTreeMap<(&'static str, &'static str), Marks> {
    let mut all: BTreeMap<_, Marks> = BTreeMap::new();
    for Write { table, change } in writes {
        let (column, ids, at) = match change {
            Change::MarkDeleted { ids, as_of_micros } => (ID, ids, as_of_micros),
            Change::MarkChildrenDeleted { parents, as_of_micros } => (PARENT, parents, as_of_micros),
            Change::Insert(_) | Change::Merge(_) | Change::EndSets(_) | Change::ReplaceChildren { .. } => {
                continue;
            }
        };
        let marks = all.entry((table.name, column)).or_insert_with(|| Marks { table, gone: Vec::new() });
        marks.gone.extend(ids.iter().map(|id| json!({ "id": id, "at": at })));
    }
    all.retain(|_, marks| !marks.gone.is_empty());
    all
}

/// What is gone and when it was last seen to be, as one parameter.
const GONE: &str = "SELECT id, max(\"at\") AS \"at\" FROM
    (SELECT unnest(from_json(?::JSON, '[{\"id\":\"VARCHAR\",\"at\":\"BIGINT\"}]'), recursive := true)) GROUP BY id";

/// Rows of small batches in one: DuckDB takes over a batch of one row nearly as slowly as one of a thousand.
fn together(fields: &SchemaRef, batches: &[&RecordBatch]) -> ::duckdb::Result<Vec<RecordBatch>> {
    let batches: Vec<RecordBatch> =
        batches.iter().filter(|rows| rows.num_rows() > 0).map(|rows| (*rows).clone()).collect();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
    if batches.len() < 2 || rows > SMALL_ROWS || bytes > SMALL_BYTES {
        return Ok(batches);
    }
    let whole = concat_batches(fields, &batches);
    Ok(vec![whole.map_err(|source| ::duckdb::Error::ToSqlConversionFailure(source.into()))?])
}

pub(super) fn doing(what: &str, table: &Table, source: ::duckdb::Error) -> WarehouseError {
    WarehouseError::failed(format!("{what} {}", table.name), source)
}

pub(super) fn wide(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
