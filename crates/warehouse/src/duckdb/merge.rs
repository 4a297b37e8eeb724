//! Rows that are looked up before they are stored.
//!
//! One narrow question tells which objects are there, and how old; what that means is decided here. Statements over all columns
//! of a table take DuckDB longer to plan than the rows of most batches take to store.

use std::collections::HashMap;

use ::duckdb::{Error, params_from_iter};
use arrow_array::RecordBatch;
use catalog::Table;

use super::apply::{Store, by_table, doing};
use super::newest::{Key, Newest, lists, named};
use super::read::kept;
use super::sql;
use crate::rows::{self, AS_OF, PARENT};
use crate::{WarehouseError, Write};

/// How old the rows are that are there, by parent and id.
type Held = HashMap<(String, String), i64>;

impl Store<'_> {
    /// Rows by merge, each table's in one go: every merge looks through the whole table.
    pub(super) fn merges(&self, writes: &[Write]) -> Result<u64, WarehouseError> {
        let mut stored = 0;
        for (table, batches) in by_table(writes, rows::merged)? {
            stored += self
                .merge(table, Newest::of(table, &batches)?)
                .map_err(|source| doing("merge rows into", table, source))?;
        }
        Ok(stored)
    }

    fn merge(&self, table: &Table, mut rows: Newest<'_>) -> ::duckdb::Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let held = self.held(table, &rows)?;
        if held.is_empty() {
            return self.insert_newest(table, &rows);
        }
        let age = |(parent, id): Key<'_>| held.get(&(parent.to_owned(), id.to_owned())).copied();
        rows.retain(|key, as_of| age(key).is_none_or(|held| held <= as_of));
        let replaced: Vec<Key<'_>> = rows.keys().filter(|key| age(*key).is_some()).collect();
        if !replaced.is_empty() {
            self.delete(table, replaced)?;
        }
        self.insert_newest(table, &rows)
    }

    /// The rows that are chosen; none of them is there.
    pub(super) fn insert_newest(&self, table: &Table, rows: &Newest<'_>) -> ::duckdb::Result<u64> {
        let rows = rows.rows().map_err(|source| Error::ToSqlConversionFailure(source.into()))?;
        self.insert(table, &rows.iter().collect::<Vec<&RecordBatch>>())
    }

    fn held(&self, table: &Table, rows: &Newest<'_>) -> ::duckdb::Result<Held> {
        let parent = if catalog::is_child(table) { PARENT } else { "''" };
        let held = format!(
            "SELECT {parent}, id, epoch_us(max({AS_OF})) FROM {name} SEMI JOIN ({named}) AS n USING ({key}) GROUP BY ALL",
            name = sql::name(self.schema, table),
            named = named(table),
            key = sql::key(table),
        );
        kept(self.connection, &held, params_from_iter(lists(table, rows.keys())), |row| {
            Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
        })
    }

    fn delete(&self, table: &Table, keys: Vec<Key<'_>>) -> ::duckdb::Result<()> {
        let same =
            if catalog::is_child(table) { "t.id = n.id AND t._parent = n._parent" } else { "t.id = n.id" };
        let (name, named) = (sql::name(self.schema, table), named(table));
        let delete = format!("DELETE FROM {name} AS t USING ({named}) AS n WHERE {same}");
        self.execute(&delete, params_from_iter(lists(table, keys.into_iter())))?;
        Ok(())
    }
}
