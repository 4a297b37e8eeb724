//! How the tables of a connection stand, as the warehouse has it.

use std::{collections::HashSet, fmt::Write as _};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sync::TableState;
use warehouse::{Checkpoint, Reader, SchemaName, Value};

/// How one table stands between updates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its name.
    pub table: String,
    /// Rows in it, tombstones included.
    pub rows: u64,
    /// When Stripe was asked for its newest row.
    pub last_data_at: Option<DateTime<Utc>>,
    /// Where it is in its life; none before the first page.
    pub state: Option<TableState>,
    /// What is missing of it since Stripe does not show it to the key, in a sentence.
    pub missing: Option<String>,
}

/// Tables counted by one query: each takes some of the little memory that DuckDB has.
const TOGETHER: usize = 12;

impl Standing {
    fn empty(table: &str) -> Self {
        Self { table: table.to_owned(), rows: 0, last_data_at: None, state: None, missing: None }
    }
}

/// Every table of the connection, in the catalogue's order; none before the first cycle. Asked of a reader, so that
/// nobody who looks waits for the batch that is being written.
///
/// # Errors
/// When the warehouse cannot be read.
pub async fn standings(reader: &Reader, name: &str) -> anyhow::Result<Vec<Standing>> {
    let schema: SchemaName = name.parse()?;
    let held = held(reader, &schema).await?;
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let checkpoints = checkpoints(reader, &schema).await?;
    let mut missing = sync::missing_parts(&checkpoints);
    let mut states = sync::table_states(checkpoints)?;
    if states.is_empty() {
        // Rows come with the state of their table: there is nothing to count.
        return Ok(held.into_iter().map(Standing::empty).collect());
    }
    let mut rows = Vec::new();
    for some in held.chunks(TOGETHER) {
        let counted = reader.query(&counting(&schema, some), Vec::new()).await;
        rows.extend(counted.context("could not count rows")?.rows);
    }
    let standing = |row: Vec<Value>| {
        let [Value::Text(table), Value::Integer(rows), newest] = row.as_slice() else { return None };
        let last_data_at = if let Value::Timestamp(at) = newest { Some(at.and_utc()) } else { None };
        let (state, missing) = (states.remove(table.as_str()), missing.remove(table.as_str()));
        let (table, rows) = (table.clone(), u64::try_from(*rows).unwrap_or(0));
        Some(Standing { table, rows, last_data_at, state, missing })
    };
    Ok(rows.into_iter().filter_map(standing).collect())
}

/// The tables that are there: an older version of the program made fewer.
async fn held(reader: &Reader, schema: &SchemaName) -> anyhow::Result<Vec<&'static str>> {
    let ask = "SELECT table_name FROM information_schema.tables WHERE table_schema = ?";
    let found = reader.query(ask, vec![Value::Text(schema.as_str().to_owned())]).await;
    let rows = found.context("could not look for the tables")?.rows;
    let there: HashSet<&str> = rows
        .iter()
        .filter_map(|row| if let [Value::Text(name)] = row.as_slice() { Some(name.as_str()) } else { None })
        .collect();
    let ours = catalog::resources().iter().map(|resource| resource.table.name);
    Ok(ours.filter(|name| there.contains(name)).collect())
}

/// What the checkpoints say of tables, of rounds, and of what Stripe does not show. Those of slices are left out: there can be thousands.
async fn checkpoints(reader: &Reader, schema: &SchemaName) -> anyhow::Result<Vec<Checkpoint>> {
    let ask = "SELECT key, value FROM tallyhouse.checkpoints WHERE schema_name = ? AND (key LIKE 'table/%' OR key LIKE 'round/%' OR key LIKE 'unexpanded/%')";
    let found = reader.query(ask, vec![Value::Text(schema.as_str().to_owned())]).await;
    let rows = found.context("could not read the checkpoints")?.rows;
    let checkpoint = |row: Vec<Value>| {
        let [Value::Text(key), Value::Text(value)] = row.as_slice() else {
            anyhow::bail!("a checkpoint is not what this version writes")
        };
        let value = serde_json::from_str(value).with_context(|| format!("could not read {key}"))?;
        Ok(Checkpoint { key: key.clone(), value: Some(value) })
    };
    rows.into_iter().map(checkpoint).collect()
}

/// One row for each table: name, rows, newest `_as_of`.
fn counting(schema: &SchemaName, tables: &[&str]) -> String {
    let mut sql = String::new();
    for (place, table) in tables.iter().enumerate() {
        let union = if place == 0 { "" } else { " UNION ALL " };
        // Names from the catalogue and a checked schema name: nothing to escape.
        let _infallible = write!(
            sql,
            "{union}SELECT {place} AS place, '{table}' AS name, count(*) AS n, max(_as_of) AS newest FROM \"{schema}\".\"{table}\""
        );
    }
    format!("SELECT name, n, newest FROM ({sql}) ORDER BY place")
}
