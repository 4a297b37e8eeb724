//! Rows that are looked up before they are stored.

use std::collections::HashSet;

use arrow_array::RecordBatch;
use catalog::Table;

use super::apply::{Store, by_table, doing, wide};
use super::read::{LISTED, json_list};
use super::sql;
use crate::rows::{self, ID, PARENT};
use crate::{WarehouseError, Write};

impl Store<'_> {
    /// Rows by merge, each table's in one go: every merge looks through the whole table. Where no row of the table is of any
    /// of them, as in a first copy, they are new and only have to be inserted.
    pub(super) fn merges(&self, writes: &[Write]) -> Result<u64, WarehouseError> {
        let mut stored = 0;
        for (table, batches) in by_table(writes, rows::merged)? {
            stored += self.merge(table, &batches)?;
        }
        Ok(stored)
    }

    fn merge(&self, table: &Table, batches: &[&RecordBatch]) -> Result<u64, WarehouseError> {
        let failed = |source| doing("merge rows into", table, source);
        if batches.iter().all(|rows| rows.num_rows() == 0) {
            return Ok(0);
        }
        if let Some(owners) = owners_if_unique(table, batches)?
            && !self.holds_any_of(table, &owners).map_err(failed)?
        {
            return self.insert(table, batches).map_err(failed);
        }
        self.merge_by_stage(table, batches).map_err(failed)
    }

    /// Whether the table holds a row of one of these: of their ids, or for children of these parents.
    fn holds_any_of(&self, table: &Table, owners: &[&str]) -> ::duckdb::Result<bool> {
        let (name, owner) = (sql::name(self.schema, table), owner(table));
        self.is_any(&format!("{name} WHERE {owner} IN ({LISTED})"), [json_list(owners)])
    }

    fn merge_by_stage(&self, table: &Table, batches: &[&RecordBatch]) -> ::duckdb::Result<u64> {
        let name = sql::name(self.schema, table);
        let key = sql::key(table);
        let same =
            if catalog::is_child(table) { "t.id = s.id AND t._parent = s._parent" } else { "t.id = s.id" };
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
}

/// What a row is looked up by: its id, a child by its parent.
fn owner(table: &Table) -> &'static str {
    if catalog::is_child(table) { PARENT } else { ID }
}

/// What the rows are looked up by, each once; none when two of them are the same object.
fn owners_if_unique<'a>(
    table: &Table,
    batches: &[&'a RecordBatch],
) -> Result<Option<Vec<&'a str>>, WarehouseError> {
    let (mut keys, mut owners) = (HashSet::new(), HashSet::new());
    for rows in batches {
        let owned = rows::texts(table, rows, owner(table))?;
        for (owner, id) in owned.iter().zip(rows::texts(table, rows, ID)?) {
            let (Some(owner), Some(id)) = (owner, id) else { return Ok(None) };
            if !keys.insert((owner, id)) {
                return Ok(None);
            }
            owners.insert(owner);
        }
    }
    Ok(Some(owners.into_iter().collect()))
}
