//! What the warehouse itself says its tables and columns are.
//!
//! One statement of a quarter of a millisecond for each makes thousands. So nobody waits for them, and a table is described once
//! it holds rows: most accounts have nothing of most kinds.

use std::collections::HashMap;
use std::sync::Mutex;

use ::duckdb::Connection;
use catalog::{Column, Table};

use super::instance::held;
use super::read;
use super::sql;
use super::worker::Job;
use crate::{Batch, SchemaName, WarehouseError};

/// What is said of tables and columns; the column of a table is empty.
const SAID: &str = "SELECT table_name, column_name, comment FROM duckdb_columns()
        WHERE database_name = current_database() AND schema_name = ? AND comment IS NOT NULL
    UNION ALL SELECT table_name, '', comment FROM duckdb_tables()
        WHERE database_name = current_database() AND schema_name = ? AND comment IS NOT NULL";

/// What is not said yet of tables that hold no rows, by schema and table.
#[derive(Default)]
pub(super) struct Undescribed(Mutex<All>);

type All = HashMap<SchemaName, HashMap<&'static str, Missing>>;

/// What is not said yet of a table.
struct Missing {
    table: &'static Table,
    /// Its own description; else only those of columns.
    lacks_own: bool,
    columns: Vec<&'static Column>,
}

impl Undescribed {
    /// What describes those of the tables that hold rows already; of the others it is kept what they lack.
    pub(super) fn add(
        &self,
        connection: &Connection,
        schema: &SchemaName,
        tables: &[&'static Table],
    ) -> Result<Vec<String>, WarehouseError> {
        let filled = read::filled(connection, schema, tables)?;
        let said = said(connection, schema)
            .map_err(|source| WarehouseError::failed(format!("see what is said of {schema}"), source))?;
        let missing =
            tables.iter().map(|table| Missing::of(table, &said)).filter(|missing| !missing.is_empty());
        let (now, later): (Vec<_>, Vec<_>) =
            missing.partition(|missing| filled.iter().any(|filled| filled.name == missing.table.name));
        let later = later.into_iter().map(|missing| (missing.table.name, missing));
        held(&self.0).entry(schema.clone()).or_default().extend(later);
        Ok(now.iter().map(|missing| missing.statements(schema)).collect())
    }

    /// Which of them a batch brings rows to.
    pub(super) fn named(&self, batch: &Batch) -> Vec<&'static str> {
        let all = held(&self.0);
        let Some(undescribed) = all.get(&batch.schema) else { return Vec::new() };
        let brought = batch.writes.iter().filter(|write| write.rows() > 0).map(|write| write.table.name);
        brought.filter(|table| undescribed.contains_key(table)).collect()
    }

    /// What describes those that hold rows from now on.
    pub(super) fn take(&self, schema: &SchemaName, tables: &[&'static str]) -> Vec<String> {
        let mut all = held(&self.0);
        let Some(undescribed) = all.get_mut(schema) else { return Vec::new() };
        let taken = tables.iter().filter_map(|table| undescribed.remove(table));
        taken.map(|missing| missing.statements(schema)).collect()
    }
}

/// What is said, by table and column.
type Said = HashMap<(String, String), String>;

impl Missing {
    fn of(table: &'static Table, said: &Said) -> Self {
        let is_new = |column: &str, text: &str| {
            said.get(&(table.name.to_owned(), column.to_owned())).is_none_or(|said| said != text)
        };
        let columns =
            table.columns.iter().filter(|column| is_new(column.name, &column.description())).collect();
        Self { table, lacks_own: is_new("", table.description), columns }
    }

    fn is_empty(&self) -> bool {
        !self.lacks_own && self.columns.is_empty()
    }

    fn statements(&self, schema: &SchemaName) -> String {
        let name = sql::name(schema, self.table);
        let whole = format!("COMMENT ON TABLE {name} IS {};", sql::literal(self.table.description));
        let columns = self.columns.iter().map(|column| {
            let (own, text) = (sql::quoted(column.name), sql::literal(&column.description()));
            format!("COMMENT ON COLUMN {name}.{own} IS {text};")
        });
        self.lacks_own.then_some(whole).into_iter().chain(columns).collect::<Vec<_>>().join("\n")
    }
}

fn said(connection: &Connection, schema: &SchemaName) -> ::duckdb::Result<Said> {
    let mut statement = connection.prepare(SAID)?;
    let said = statement
        .query_map([schema.as_str(), schema.as_str()], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    said.collect()
}

/// Says what a table is, with these statements.
pub(super) fn describing(statements: String) -> Job {
    Box::new(move |connection| {
        if let Err(error) = connection.and_then(|connection| describe(connection, &statements)) {
            tracing::warn!(error = %error, "could not say in the warehouse what a table is");
        }
    })
}

fn describe(connection: &Connection, statements: &str) -> ::duckdb::Result<()> {
    connection.execute_batch(&format!("BEGIN; {statements} COMMIT;")).inspect_err(|_| {
        // After an error it waits for its end.
        let _none = connection.execute_batch("ROLLBACK");
    })
}
