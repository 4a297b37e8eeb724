//! What the engine asks about rows and checkpoints.

use ::duckdb::{Connection, Params, Row, Statement, params};
use catalog::Table;

use super::sql;
use crate::rows::{AS_OF, DELETED, ID};
use crate::{Age, Belonging, Ids, SchemaName, WarehouseError};

/// A statement that found more than these is not kept: what it found would be.
const MANY: usize = 1_000;

/// A list of texts as one parameter: bound as a JSON array.
pub(super) const LISTED: &str = "SELECT unnest(?::JSON::VARCHAR[]) AS id";

pub(super) fn json_list(texts: &[impl AsRef<str>]) -> String {
    serde_json::Value::from_iter(texts.iter().map(AsRef::as_ref)).to_string()
}

pub(super) fn json_times(micros: impl IntoIterator<Item = i64>) -> String {
    serde_json::Value::from_iter(micros).to_string()
}

pub(super) fn dangling(
    connection: &Connection,
    schema: &SchemaName,
    (table, column): (&Table, &str),
    target: &Table,
) -> Result<Vec<String>, WarehouseError> {
    let text = format!(
        "SELECT DISTINCT {column} AS id FROM {table} AS t WHERE {column} IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM {target} AS g WHERE g.id = t.{column}) ORDER BY 1",
        column = sql::quoted(column),
        table = sql::name(schema, table),
        target = sql::name(schema, target),
    );
    connection.prepare(&text).and_then(|mut statement| texts(&mut statement, [])).map_err(|source| {
        WarehouseError::failed(format!("look for dangling {column} in {}", table.name), source)
    })
}

pub(super) fn stale(
    connection: &Connection,
    schema: &SchemaName,
    table: &Table,
    ids: &[String],
    since_micros: i64,
) -> Result<Vec<String>, WarehouseError> {
    let text = format!(
        "SELECT DISTINCT l.id FROM ({LISTED}) AS l WHERE NOT EXISTS
            (SELECT 1 FROM {} AS t WHERE t.id = l.id AND t.{AS_OF} >= make_timestamp(?::BIGINT)) ORDER BY 1",
        sql::name(schema, table)
    );
    kept(connection, &text, params![json_list(ids), since_micros], |row| row.get(0))
        .map_err(|source| WarehouseError::failed(format!("look up ids in {}", table.name), source))
}

pub(super) fn ids(
    connection: &Connection,
    schema: &SchemaName,
    table: &Table,
    Ids { age, created_from, belonging, prefix, after, most }: &Ids,
) -> Result<Vec<String>, WarehouseError> {
    let within = created_from.map(|(column, from)| {
        format!("AND {} >= make_timestamp({})", sql::quoted(column), from.saturating_mul(1_000_000))
    });
    let belonging = match belonging {
        Belonging::Any => String::new(),
        Belonging::To(column) => format!("AND {} IS NOT NULL", sql::quoted(column)),
        Belonging::Nowhere(column) => format!("AND {} IS NULL", sql::quoted(column)),
    };
    let shown = match age {
        Age::Any => String::new(),
        Age::Before(micros) => format!("AND {AS_OF} < make_timestamp({micros})"),
        Age::Since(micros) => format!("AND {AS_OF} >= make_timestamp({micros})"),
    };
    let text = format!(
        "SELECT DISTINCT {ID} FROM {} WHERE {ID} > ? AND starts_with({ID}, ?) AND NOT {DELETED} {shown} {belonging} {}
            ORDER BY 1 LIMIT {most}",
        sql::name(schema, table),
        within.unwrap_or_default()
    );
    connection
        .prepare(&text)
        .and_then(|mut statement| texts(&mut statement, params![after, prefix]))
        .map_err(|source| WarehouseError::failed(format!("look for rows of {}", table.name), source))
}

pub(super) fn newest(
    connection: &Connection,
    schema: &SchemaName,
    tables: &[&'static Table],
) -> Result<Option<i64>, WarehouseError> {
    let newest = |table: &Table| format!("SELECT max({AS_OF}) AS newest FROM {}", sql::name(schema, table));
    let each: Vec<String> = filled(connection, schema, tables)?.into_iter().map(newest).collect();
    if each.is_empty() {
        return Ok(None);
    }
    // At once: as many statements take many times as long.
    let text = format!("SELECT epoch_us(max(newest)) FROM ({})", each.join(" UNION ALL "));
    connection
        .query_row(&text, [], |row| row.get(0))
        .map_err(|source| WarehouseError::failed(format!("find the newest row in {schema}"), source))
}

/// Those of the tables that hold rows. DuckDB knows how many it keeps of each, or kept and marked as gone.
pub(super) fn filled(
    connection: &Connection,
    schema: &SchemaName,
    tables: &[&'static Table],
) -> Result<Vec<&'static Table>, WarehouseError> {
    let text = "SELECT table_name FROM duckdb_tables()
        WHERE database_name = current_database() AND schema_name = ? AND estimated_size > 0";
    let filled =
        connection.prepare(text).and_then(|mut statement| texts(&mut statement, [schema.as_str()])).map_err(
            |source| WarehouseError::failed(format!("see which tables of {schema} hold rows"), source),
        )?;
    Ok(tables.iter().copied().filter(|table| filled.iter().any(|name| name == table.name)).collect())
}

pub(super) fn count(
    connection: &Connection,
    schema: &SchemaName,
    table: &Table,
) -> Result<u64, WarehouseError> {
    let text = format!("SELECT count(*) FROM {}", sql::name(schema, table));
    connection
        .query_row(&text, [], |row| row.get(0))
        .map_err(|source| WarehouseError::failed(format!("count {}", table.name), source))
}

/// What a statement finds that is kept for the next time.
pub(super) fn kept<T, All: FromIterator<T>>(
    connection: &Connection,
    text: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> ::duckdb::Result<T>,
) -> ::duckdb::Result<All> {
    let mut statement = connection.prepare_cached(text)?;
    let found: Vec<T> = statement.query_map(params, read)?.collect::<::duckdb::Result<_>>()?;
    if found.len() > MANY {
        statement.discard();
    }
    Ok(found.into_iter().collect())
}

fn texts(statement: &mut Statement<'_>, params: impl Params) -> ::duckdb::Result<Vec<String>> {
    statement.query_map(params, |row| row.get(0))?.collect()
}
