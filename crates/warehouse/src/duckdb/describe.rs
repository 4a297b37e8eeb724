//! What the warehouse itself says its tables and columns are.
//!
//! One statement of a quarter of a millisecond for each makes thousands. So nobody waits for them, and a table is described once
//! it holds rows: most accounts have nothing of most kinds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::duckdb::Connection;
use catalog::Table;

use super::read;
use super::sql;
use super::worker::Job;
use crate::{Batch, SchemaName, WarehouseError};

/// What is said of tables and columns; the column of a table is empty.
const SAID: &str = "SELECT table_name, column_name, comment FROM duckdb_columns()
        WHERE database_name = current_database() AND schema_name = ? AND comment IS NOT NULL
    UNION ALL SELECT table_name, '', comment FROM duckdb_tables()
        WHERE database_name = current_database() AND schema_name = ? AND comment IS NOT NULL";

/// A table of a schema.
type Named = (SchemaName, &'static str);

/// The statements that describe tables, until they hold rows.
#[derive(Default)]
pub(super) struct Undescribed(Mutex<HashMap<Named, String>>);

impl Undescribed {
    /// What describes those of the tables that hold rows already; that of the others is kept for when they do.
    pub(super) fn add(
        &self,
        connection: &Connection,
        schema: &SchemaName,
        tables: &[&'static Table],
    ) -> Result<Vec<String>, WarehouseError> {
        let filled = read::filled(connection, schema, tables)?;
        let (now, later): (Vec<_>, Vec<_>) = descriptions(connection, schema, tables)?
            .into_iter()
            .partition(|(table, _)| filled.iter().any(|filled| filled.name == *table));
        self.all().extend(later.into_iter().map(|(table, said)| ((schema.clone(), table), said)));
        Ok(now.into_iter().map(|(_, said)| said).collect())
    }

    /// Which of them a batch brings rows to.
    pub(super) fn named(&self, batch: &Batch) -> Vec<Named> {
        let all = self.all();
        if all.is_empty() {
            return Vec::new();
        }
        let brought = batch.writes.iter().filter(|write| write.rows() > 0);
        let named = brought.map(|write| (batch.schema.clone(), write.table.name));
        named.filter(|named| all.contains_key(named)).collect()
    }

    /// What describes those that hold rows from now on.
    pub(super) fn take(&self, named: &[Named]) -> Vec<String> {
        let mut all = self.all();
        named.iter().filter_map(|named| all.remove(named)).collect()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Named, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What says of each table and its columns what they are, as far as it is not said yet.
fn descriptions(
    connection: &Connection,
    schema: &SchemaName,
    tables: &[&'static Table],
) -> Result<Vec<(&'static str, String)>, WarehouseError> {
    let said = said(connection, schema)
        .map_err(|source| WarehouseError::failed(format!("see what is said of {schema}"), source))?;
    let is_new = |table: &str, column: &str, text: &str| {
        said.get(&(table.to_owned(), column.to_owned())).is_none_or(|said| said != text)
    };
    let all = tables.iter().map(|table| {
        let name = sql::name(schema, table);
        let whole = format!("COMMENT ON TABLE {name} IS {};", sql::literal(table.description));
        let whole = is_new(table.name, "", table.description).then_some(whole);
        let columns = table.columns.iter().filter_map(|column| {
            let (own, text) = (sql::quoted(column.name), column.description());
            is_new(table.name, column.name, &text)
                .then(|| format!("COMMENT ON COLUMN {name}.{own} IS {};", sql::literal(&text)))
        });
        (table.name, whole.into_iter().chain(columns).collect::<Vec<_>>().join("\n"))
    });
    Ok(all.filter(|(_, statements)| !statements.is_empty()).collect())
}

fn said(connection: &Connection, schema: &SchemaName) -> ::duckdb::Result<HashMap<(String, String), String>> {
    let mut statement = connection.prepare(SAID)?;
    let said = statement
        .query_map([schema.as_str(), schema.as_str()], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    said.collect()
}

/// Says what a table is, with these statements.
pub(super) fn describing(statements: String) -> Job {
    Box::new(move |connection| {
        let transaction = format!("BEGIN; {statements} COMMIT;");
        if let Err(error) = connection.execute_batch(&transaction) {
            tracing::warn!(error = %error, "could not say in the warehouse what a table is");
            // After an error it waits for its end.
            let _none = connection.execute_batch("ROLLBACK");
        }
    })
}
