//! Storing a batch: one transaction, rolled back whole on any error.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{HashMap, HashSet};

use ::duckdb::{Connection, params};
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
const SMALL_BYTES: usize = 32 << 20;

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

struct Store<'a> {
    connection: &'a Connection,
    schema: &'a SchemaName,
}

impl Store<'_> {
    /// Sets of children, judged by what is stored before the batch's own rows of their parents are.
    fn children(&self, writes: &[Write]) -> Result<u64, WarehouseError> {
        let mut stored = 0;
        for sets in Sets::of(writes)? {
            stored += self
                .replace_children(&sets)
                .map_err(|source| doing("replace rows of", sets.table, source))?;
        }
        Ok(stored)
    }

    /// New rows, each table's in one go: DuckDB plans every append as a statement of its own.
    fn inserts(&self, writes: &[Write]) -> Result<u64, WarehouseError> {
        let mut stored = 0;
        for (table, batches) in by_table(writes, rows::inserted)? {
            let place = [open::CATALOG_NAME, self.schema.as_str(), table.name];
            self.append(place, &batches).map_err(|source| doing("insert rows into", table, source))?;
            stored += batches.iter().map(|rows| wide(rows.num_rows())).sum::<u64>();
        }
        Ok(stored)
    }

    /// Rows by merge, each table's in one go: every merge looks through the whole table.
    fn merges(&self, writes: &[Write]) -> Result<u64, WarehouseError> {
        let mut stored = 0;
        for (table, batches) in by_table(writes, rows::merged)? {
            stored +=
                self.merge(table, &batches).map_err(|source| doing("merge rows into", table, source))?;
        }
        Ok(stored)
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

    fn merge(&self, table: &Table, batches: &[&RecordBatch]) -> ::duckdb::Result<u64> {
        if batches.iter().all(|rows| rows.num_rows() == 0) {
            return Ok(0);
        }
        let name = sql::name(self.schema, table);
        let key = sql::key(table);
        let same =
            if rows::is_child(table) { "t.id = s.id AND t._parent = s._parent" } else { "t.id = s.id" };
        self.stage(&name, batches)?;
        self.connection.execute_batch(&format!(
            "DELETE FROM {name} AS t USING
                (SELECT {key}, max(_as_of) AS _as_of FROM temp.main.stage GROUP BY {key}) AS s
                WHERE {same} AND t._as_of <= s._as_of"
        ))?;
        let insert = format!(
            "INSERT INTO {name} ({columns}) SELECT {columns} FROM temp.main.stage AS s
                WHERE NOT EXISTS (SELECT 1 FROM {name} AS t WHERE {same})
                QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _as_of DESC, s.rowid DESC) = 1",
            columns = sql::columns(table)
        );
        let stored = self.connection.execute(&insert, [])?;
        self.connection.execute_batch("DROP TABLE temp.main.stage")?;
        Ok(wide(stored))
    }

    fn end_sets(&self, table: &Table, ended: &[Ended]) -> ::duckdb::Result<u64> {
        // Most accounts have nothing of most kinds: what follows is planned anew each time.
        let any = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT 1)", sql::name(self.schema, table));
        if self.connection.prepare_cached(&any)?.query_row([], |row| row.get::<_, i64>(0))? == 0 {
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

    fn replace_children(&self, sets: &Sets<'_>) -> ::duckdb::Result<u64> {
        let name = sql::name(self.schema, sets.table);
        self.connection.execute_batch("CREATE TEMP TABLE sets (parent VARCHAR)")?;
        self.connection.execute(&self.newer_sets(sets.table), [sets.ages()])?;
        let delete = format!("DELETE FROM {name} AS t USING temp.main.sets AS s WHERE t._parent = s.parent");
        self.connection.execute_batch(&delete)?;
        let stored = match sets.rows.iter().all(|rows| rows.num_rows() == 0) {
            true => 0,
            false => self.insert_children(sets)?,
        };
        self.connection.execute_batch("DROP TABLE temp.main.sets")?;
        Ok(wide(stored))
    }

    fn insert_children(&self, Sets { table, rows, .. }: &Sets<'_>) -> ::duckdb::Result<usize> {
        let name = sql::name(self.schema, table);
        self.stage(&name, rows)?;
        let insert = format!(
            "INSERT INTO {name} ({columns}) SELECT {columns} FROM temp.main.stage AS s
                WHERE _parent IN (SELECT parent FROM temp.main.sets)
                QUALIFY row_number() OVER (PARTITION BY _parent, id ORDER BY _as_of DESC, s.rowid DESC) = 1",
            columns = sql::columns(table)
        );
        let stored = self.connection.execute(&insert, [])?;
        self.connection.execute_batch("DROP TABLE temp.main.stage")?;
        Ok(stored)
    }

    /// Takes `[{parent, age}]` and keeps the parents whose stored state is not newer.
    fn newer_sets(&self, table: &Table) -> String {
        let name = sql::name(self.schema, table);
        let parent = rows::parent_table(table).map_or_else(
            || "NULL".to_owned(),
            |parent| {
                let parent = sql::name(self.schema, parent);
                format!("(SELECT max(epoch_us(p._as_of)) FROM {parent} AS p WHERE p.id = s.parent)")
            },
        );
        format!(
            "INSERT INTO temp.main.sets SELECT DISTINCT s.parent FROM (
                SELECT unnest(from_json(?::JSON, '[{{\"parent\":\"VARCHAR\",\"age\":\"BIGINT\"}}]'), recursive := true)
            ) AS s WHERE s.age IS NULL OR s.age >= COALESCE({parent},
                (SELECT max(epoch_us(c._as_of)) FROM {name} AS c WHERE c._parent = s.parent), s.age)"
        )
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

    /// Brings rows into `temp.main.stage`, made like `name`.
    fn stage(&self, name: &str, batches: &[&RecordBatch]) -> ::duckdb::Result<()> {
        self.connection.execute_batch(&format!("CREATE TEMP TABLE stage AS SELECT * FROM {name} LIMIT 0"))?;
        self.append(["temp", "main", "stage"], batches)
    }

    /// Appends by column name, within the transaction.
    fn append(&self, [catalog, schema, table]: [&str; 3], batches: &[&RecordBatch]) -> ::duckdb::Result<()> {
        let mut same_columns = batches.chunk_by(|one, other| one.schema() == other.schema());
        same_columns.try_for_each(|batches| {
            let Some(fields) = batches.first().map(|rows| rows.schema()) else { return Ok(()) };
            let columns: Vec<&str> = fields.fields().iter().map(|field| field.name().as_str()).collect();
            let mut appender =
                self.connection.appender_with_columns_to_catalog_and_db(table, catalog, schema, &columns)?;
            for rows in together(&fields, batches)? {
                appender.append_record_batch(rows)?;
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
        let schema = self.schema.as_str();
        let keys: Vec<String> = checkpoints.iter().map(|checkpoint| checkpoint.key.clone()).collect();
        let delete =
            format!("DELETE FROM tallyhouse.checkpoints WHERE schema_name = ? AND key IN ({LISTED})");
        self.connection.prepare_cached(&delete)?.execute(params![schema, json_list(&keys)])?;
        // A batch may set a key twice: the last one counts.
        let kept: BTreeMap<&str, Option<String>> = checkpoints
            .iter()
            .map(|Checkpoint { key, value }| (key.as_str(), value.as_ref().map(ToString::to_string)))
            .collect();
        let insert = "INSERT INTO tallyhouse.checkpoints VALUES (?, ?, ?)";
        for (key, value) in kept {
            if let Some(value) = value {
                self.connection.prepare_cached(insert)?.execute(params![schema, key, value])?;
            }
        }
        Ok(())
    }
}

/// The rows that one kind of change brings, by table, in the order of the writes.
fn by_table<'a>(
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

/// Sets of children of one table that are replaced together.
struct Sets<'a> {
    table: &'static Table,
    /// How old each parent's set is, if that is known.
    ages: BTreeMap<&'a str, Option<i64>>,
    rows: Vec<&'a RecordBatch>,
    /// The parents, and all others that `rows` name.
    named: HashSet<&'a str>,
}

impl<'a> Sets<'a> {
    /// Each table's in one go, as far as no parent is named twice: of two of its sets the later one stays.
    fn of(writes: &'a [Write]) -> Result<Vec<Self>, WarehouseError> {
        let mut all: BTreeMap<&str, (HashMap<&str, i64>, Vec<Self>)> = BTreeMap::new();
        for write in writes {
            let Change::ReplaceChildren { parents, rows } = &write.change else { continue };
            let table = write.table;
            let (of_parents, groups) = match all.entry(table.name) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert((rows::parent_ages(writes, table)?, Vec::new())),
            };
            let ages = rows::set_ages(of_parents, table, rows, parents)?;
            let named = rows::texts(table, rows, PARENT)?.iter().flatten();
            let named: HashSet<&str> = named.chain(parents.iter().map(String::as_str)).collect();
            let group = match groups.last_mut() {
                Some(last) if last.named.is_disjoint(&named) => last,
                Some(_) | None => groups.push_mut(Self {
                    table,
                    ages: BTreeMap::new(),
                    rows: Vec::new(),
                    named: HashSet::new(),
                }),
            };
            group
                .ages
                .extend(parents.iter().map(|parent| (parent.as_str(), ages.get(parent.as_str()).copied())));
            group.rows.push(rows);
            group.named.extend(named);
        }
        let groups = all.into_values().flat_map(|(_, groups)| groups);
        Ok(groups.filter(|sets| !sets.ages.is_empty()).collect())
    }

    /// As the JSON that [`Store::newer_sets`] takes.
    fn ages(&self) -> String {
        let sets: Vec<_> =
            self.ages.iter().map(|(parent, age)| json!({ "parent": parent, "age": age })).collect();
        serde_json::Value::from(sets).to_string()
    }
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

fn doing(what: &str, table: &Table, source: ::duckdb::Error) -> WarehouseError {
    WarehouseError::failed(format!("{what} {}", table.name), source)
}

fn wide(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
