//! Tables as the catalogue has them.

use std::collections::HashSet;
use std::fmt::Write as _;

use ::duckdb::Connection;
use catalog::Table;

use super::sql;
use crate::{SchemaName, WarehouseError};

const HELD: &str = "SELECT table_name, column_name FROM duckdb_columns()
    WHERE database_name = current_database() AND schema_name = ?";

/// Creates what is missing, in one transaction. No keys and no indexes: that ids are unique is the
/// merge's job.
pub(super) fn prepare(
    connection: &Connection,
    schema: &SchemaName,
    tables: &[&'static Table],
) -> Result<(), WarehouseError> {
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
    let whole = format!("CREATE SCHEMA IF NOT EXISTS {};\n{ddl}", sql::quoted(schema.as_str()));
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    connection.execute_batch(&whole).map_err(failed)?;
    transaction.commit().map_err(failed)
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
