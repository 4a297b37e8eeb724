//! Tables as the catalogue has them.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use ::duckdb::Connection;
use catalog::Table;

use super::sql;
use crate::{SchemaName, WarehouseError};

const HELD: &str = "SELECT table_name, column_name FROM duckdb_columns()
    WHERE database_name = current_database() AND schema_name = ?";

/// What is said of tables and columns; the column of a table is empty.
const SAID: &str = "SELECT table_name, column_name, comment FROM duckdb_columns()
        WHERE database_name = current_database() AND schema_name = ? AND comment IS NOT NULL
    UNION ALL SELECT table_name, '', comment FROM duckdb_tables()
        WHERE database_name = current_database() AND schema_name = ? AND comment IS NOT NULL";

/// Creates what is missing, in one transaction; whether anything was. No keys and no indexes: that ids are unique is the
/// merge's job.
pub(super) fn prepare(
    connection: &Connection,
    schema: &SchemaName,
    tables: &[&'static Table],
) -> Result<bool, WarehouseError> {
    let failed =
        |source: ::duckdb::Error| WarehouseError::failed(format!("prepare the schema {schema}"), source);
    let held = held(connection, schema).map_err(failed)?;
    let mut ddl = String::new();
    for table in tables {
        match held.iter().any(|(name, _)| name == table.name) {
            true => add_columns(&mut ddl, schema, table, &held),
            false => create(&mut ddl, schema, table),
        }
    }
    let is_missing = !ddl.is_empty();
    let whole = format!("CREATE SCHEMA IF NOT EXISTS {};\n{ddl}", sql::quoted(schema.as_str()));
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    connection.execute_batch(&whole).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(is_missing)
}

fn held(connection: &Connection, schema: &SchemaName) -> ::duckdb::Result<HashSet<(String, String)>> {
    let mut statement = connection.prepare(HELD)?;
    statement.query_map([schema.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn create(ddl: &mut String, schema: &SchemaName, table: &Table) {
    let name = sql::name(schema, table);
    let fields = catalog::schema(table);
    let columns: Vec<String> = fields
        .fields()
        .iter()
        .map(|field| format!("{} {}", sql::quoted(field.name()), sql::sql_type(table, field.name())))
        .collect();
    // Writing to a `String` cannot fail.
    let _ = writeln!(ddl, "CREATE TABLE {name} ({});", columns.join(", "));
}

fn add_columns(ddl: &mut String, schema: &SchemaName, table: &Table, held: &HashSet<(String, String)>) {
    let name = sql::name(schema, table);
    for field in catalog::schema(table).fields() {
        if held.contains(&(table.name.to_owned(), field.name().clone())) {
            continue;
        }
        let (column, kind) = (sql::quoted(field.name()), sql::sql_type(table, field.name()));
        let _ = writeln!(ddl, "ALTER TABLE {name} ADD COLUMN {column} {kind};");
    }
}

/// What says of each table and its columns what they are, as far as it is not said yet. One statement for each makes
/// thousands: nobody should wait for them.
pub(super) fn descriptions(
    connection: &Connection,
    schema: &SchemaName,
    tables: &[&'static Table],
) -> Result<Vec<String>, WarehouseError> {
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
        whole.into_iter().chain(columns).collect::<Vec<_>>().join("\n")
    });
    Ok(all.filter(|statements| !statements.is_empty()).collect())
}

fn said(connection: &Connection, schema: &SchemaName) -> ::duckdb::Result<HashMap<(String, String), String>> {
    let mut statement = connection.prepare(SAID)?;
    let said = statement
        .query_map([schema.as_str(), schema.as_str()], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    said.collect()
}
