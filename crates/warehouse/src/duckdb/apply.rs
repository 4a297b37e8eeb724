//! Storing a batch: one transaction, rolled back whole on any error.

use std::collections::BTreeMap;

use ::duckdb::{Connection, Params, params};
use arrow_array::RecordBatch;
use catalog::{Reject, Table};
use serde_json::json;

use super::read::{LISTED, json_list, json_times};
use super::sql;
use crate::rows::{self, AS_OF, DELETED, ID, PARENT};
use crate::{Applied, Batch, Change, Ended, SchemaName, WarehouseError, Write};

/// Stores the batches, one after the other, or nothing of any.
pub(super) fn apply(connection: &Connection, batches: &[&Batch]) -> Result<Vec<Applied>, WarehouseError> {
    let failed = |source| WarehouseError::failed(format!("store {} batches", batches.len()), source);
    // Dropped without a commit, a transaction rolls back.
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let mut applied = Vec::new();
    for of_one_schema in batches.chunk_by(|one, other| one.schema == other.schema) {
        let Some(schema) = of_one_schema.first().map(|batch| &batch.schema) else { continue };
        let store = Store { connection, schema };
        for batch in of_one_schema {
            applied.push(Applied { rows: store.writes(&batch.writes)? });
            store.rejects(&batch.rejects).map_err(|source| store.failed("rejects", source))?;
        }
        let checkpoints = of_one_schema.iter().flat_map(|batch| &batch.checkpoints);
        store.checkpoints(checkpoints).map_err(|source| store.failed("checkpoints", source))?;
    }
    transaction.commit().map_err(failed)?;
    Ok(applied)
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
    fn failed(&self, what: &str, source: ::duckdb::Error) -> WarehouseError {
        WarehouseError::failed(format!("store {what} of {}", self.schema), source)
    }

    fn writes(&self, writes: &[Write]) -> Result<u64, WarehouseError> {
        let mut rows = self.children(writes)?;
        rows += self.inserts(writes)?;
        rows += self.merges(writes)?;
        rows += self.ended(writes)?;
        Ok(rows + self.marks(writes)?)
    }

    /// New rows, each table's in one go: DuckDB plans every append as a statement of its own.
    fn inserts(&self, writes: &[Write]) -> Result<u64, WarehouseError> {
        let mut stored = 0;
        for (table, batches) in by_table(writes, rows::inserted)? {
            stored +=
                self.insert(table, &batches).map_err(|source| doing("insert rows into", table, source))?;
        }
        Ok(stored)
    }

    /// Rows of objects that are not there, or that nobody looks up.
    pub(super) fn insert(&self, table: &Table, batches: &[&RecordBatch]) -> ::duckdb::Result<u64> {
        self.append(table, batches)?;
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
            let (ids, times): (Vec<&str>, Vec<i64>) = gone.into_iter().unzip();
            let gone = [json_list(&ids), json_times(times)];
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
        let parents: Vec<&str> = ended.iter().map(|ended| ended.parent.as_str()).collect();
        let parents = json_list(&parents);
        let times = json_times(ended.iter().map(|ended| ended.since_micros));
        let delete = format!(
            "DELETE FROM {} AS t USING (SELECT unnest(?::JSON::VARCHAR[]) AS parent, unnest(?::JSON::BIGINT[]) AS since) AS e
                WHERE t.{PARENT} = e.parent AND t.{AS_OF} < make_timestamp(e.since)",
            sql::name(self.schema, table)
        );
        let gone = self.execute(&delete, [&parents, &times])?;
        let Some(parent) = rows::parent_table(table) else { return Ok(wide(gone)) };
        let bury = format!(
            "UPDATE {} AS t SET {DELETED} = true, {AS_OF} = p.{AS_OF} FROM {} AS p
                WHERE t.{PARENT} = p.id AND p.{DELETED} AND NOT t.{DELETED} AND t.{AS_OF} <= p.{AS_OF}
                    AND t.{PARENT} IN ({LISTED})",
            sql::name(self.schema, table),
            sql::name(self.schema, parent)
        );
        Ok(wide(gone) + wide(self.execute(&bury, [parents])?))
    }

    /// Tombstones of ids that were never seen. Takes what [`Self::mark`] does.
    fn stubs(&self, table: &Table, gone: &[String; 2]) -> ::duckdb::Result<u64> {
        let insert = format!(
            "INSERT INTO {name} ({ID}, {AS_OF}, {DELETED})
                SELECT g.id, make_timestamp(g.at), true FROM ({GONE}) AS g
                WHERE NOT EXISTS (SELECT 1 FROM {name} AS t WHERE t.{ID} = g.id)",
            name = sql::name(self.schema, table)
        );
        Ok(wide(self.execute(&insert, gone.each_ref())?))
    }

    /// Tombstones of the rows whose `column` is among `gone`, which is what [`GONE`] takes.
    fn mark(&self, table: &Table, column: &str, gone: &[String; 2]) -> ::duckdb::Result<u64> {
        let update = format!(
            "UPDATE {name} AS t SET {DELETED} = true, {AS_OF} = make_timestamp(g.at) FROM ({GONE}) AS g
                WHERE t.{column} = g.id AND t.{AS_OF} <= make_timestamp(g.at)",
            name = sql::name(self.schema, table)
        );
        Ok(wide(self.execute(&update, gone.each_ref())?))
    }

    /// DuckDB plans each statement when it is prepared, and again when it is done: what is kept it plans once.
    pub(super) fn execute(&self, statement: &str, params: impl Params) -> ::duckdb::Result<usize> {
        self.connection.prepare_cached(statement)?.execute(params)
    }

    /// Whether there is any of these rows: a table, and which of it.
    pub(super) fn is_any(&self, rows: &str, params: impl Params) -> ::duckdb::Result<bool> {
        let any = format!("SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT 1)");
        Ok(self.connection.prepare_cached(&any)?.query_row(params, |row| row.get::<_, i64>(0))? > 0)
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
        self.execute(&delete, params![listed, schema])?;
        let insert = format!(
            "INSERT INTO tallyhouse.rejects
                SELECT ?, n.t, n.id, n.pointer, n.reason, n.raw, make_timestamp(epoch_us(now())) FROM {new}"
        );
        self.execute(&insert, params![schema, listed])?;
        Ok(())
    }
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
struct Marks<'a> {
    table: &'static Table,
    /// What is gone, and when it was last seen to be.
    gone: BTreeMap<&'a str, i64>,
}

/// What is marked, by table and the column that says which rows it is.
fn marks_by_table(writes: &[Write]) -> BTreeMap<(&'static str, &'static str), Marks<'_>> {
    let mut all: BTreeMap<_, Marks<'_>> = BTreeMap::new();
    for Write { table, change } in writes {
        let (column, ids, at) = match change {
            Change::MarkDeleted { ids, as_of_micros } => (ID, ids, as_of_micros),
            Change::MarkChildrenDeleted { parents, as_of_micros } => (PARENT, parents, as_of_micros),
            Change::Insert(_) | Change::Merge(_) | Change::EndSets(_) | Change::ReplaceChildren { .. } => {
                continue;
            }
        };
        let marks = all.entry((table.name, column)).or_insert_with(|| Marks { table, gone: BTreeMap::new() });
        for id in ids {
            let last = marks.gone.entry(id).or_insert(*at);
            *last = (*at).max(*last);
        }
    }
    all.retain(|_, marks| !marks.gone.is_empty());
    all
}

/// What is gone, and when it was last seen to be.
const GONE: &str = "SELECT unnest(?::JSON::VARCHAR[]) AS id, unnest(?::JSON::BIGINT[]) AS \"at\"";

pub(super) fn doing(what: &str, table: &Table, source: ::duckdb::Error) -> WarehouseError {
    WarehouseError::failed(format!("{what} {}", table.name), source)
}

pub(super) fn wide(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
