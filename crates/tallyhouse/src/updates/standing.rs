//! How the tables of a connection stand, as the warehouse has it.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::{Store, StoreError};
use sync::{TableState, Walks};
use warehouse::{Checkpoint, Reader, SchemaName, Value};

use super::summary::failures;

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
    /// What is missing of it since Stripe does not show it, in a sentence.
    pub missing: Option<String>,
    /// Why the last update that got round to every table could not bring it up to date, in a sentence.
    pub failed: Option<String>,
}

/// Whether changes of the table may have been missed, so that it is compared with Stripe's list and not final before that
/// ends. Such a comparison knows of no walk before it (trap 14); one that is made because it is time does.
pub(crate) fn missed_changes(state: &TableState) -> bool {
    matches!(state, TableState::Comparing { walks, .. } if *walks == Walks::default())
}

/// Tables counted by one query: each takes some of the little memory that DuckDB has.
const TOGETHER: usize = 12;

/// Every table of the connection, in the catalogue's order; none before the first cycle. Asked of a reader, so that
/// nobody who looks waits for the batch that is being written.
///
/// # Errors
/// When the warehouse or the store cannot be read.
pub async fn standings(reader: &Reader, store: &Store, name: &str) -> anyhow::Result<Vec<Standing>> {
    let schema: SchemaName = name.parse()?;
    // Before it is asked which tables hold rows: one whose state is known may have had its first just then.
    let checkpoints = checkpoints(reader, &schema).await?;
    let held = held(reader, &schema).await?;
    let mut missing = sync::missing_parts(&checkpoints)?;
    let mut states = sync::table_states(checkpoints)?;
    let mut counts = counts(reader, &schema, &held).await?;
    let mut failed = failed(store, name).await?;
    let standing = |There { table, .. }: There| {
        let (rows, last_data_at) = counts.remove(table).unwrap_or_default();
        let (state, missing, failed) = (states.remove(table), missing.remove(table), failed.remove(table));
        Standing { table: table.to_owned(), rows, last_data_at, state, missing, failed }
    };
    Ok(held.into_iter().map(standing).collect())
}

/// A table that is there.
struct There {
    table: &'static str,
    /// It holds rows, or did.
    is_filled: bool,
}

/// What the last update that got round to every table could not bring up to date, of the connection that has this name
/// now.
async fn failed(store: &Store, name: &str) -> Result<HashMap<String, String>, StoreError> {
    let Some(connection) = store.connection_named(name).await? else { return Ok(HashMap::new()) };
    let end = store.last_whole_cycle(&connection.id).await?.and_then(|cycle| cycle.end);
    Ok(end.map(|end| failures(&end.detail)).unwrap_or_default())
}

/// Where each table is in its life, without looking at its rows.
pub(super) async fn states(reader: &Reader, name: &str) -> anyhow::Result<BTreeMap<String, TableState>> {
    Ok(sync::table_states(checkpoints(reader, &name.parse()?).await?)?)
}

/// Rows of the tables that hold any, and when the newest was asked for.
async fn counts(
    reader: &Reader,
    schema: &SchemaName,
    held: &[There],
) -> anyhow::Result<HashMap<String, (u64, Option<DateTime<Utc>>)>> {
    let filled: Vec<&str> = held.iter().filter(|held| held.is_filled).map(|held| held.table).collect();
    let mut rows = Vec::new();
    for some in filled.chunks(TOGETHER) {
        let counted = reader.query(&counting(schema, some), Vec::new()).await;
        rows.extend(counted.context("could not count rows")?.rows);
    }
    let count = |row: Vec<Value>| {
        let [Value::Text(table), Value::Integer(rows), newest] = row.as_slice() else { return None };
        let last_data_at = if let Value::Timestamp(at) = newest { Some(at.and_utc()) } else { None };
        Some((table.clone(), (u64::try_from(*rows).unwrap_or(0), last_data_at)))
    };
    Ok(rows.into_iter().filter_map(count).collect())
}

/// The tables that are there: an older version of the program made fewer.
async fn held(reader: &Reader, schema: &SchemaName) -> anyhow::Result<Vec<There>> {
    let ask = "SELECT table_name, estimated_size > 0 FROM duckdb_tables()
        WHERE database_name = current_database() AND schema_name = ?";
    let found = reader.query(ask, vec![Value::Text(schema.as_str().to_owned())]).await;
    let rows = found.context("could not look for the tables")?.rows;
    let there: HashMap<&str, bool> = rows
        .iter()
        .filter_map(|row| match row.as_slice() {
            [Value::Text(name), Value::Boolean(is_filled)] => Some((name.as_str(), *is_filled)),
            _ => None,
        })
        .collect();
    let ours = catalog::resources().iter().map(|resource| resource.table.name);
    Ok(ours.filter_map(|table| Some(There { table, is_filled: *there.get(table)? })).collect())
}

/// What the checkpoints say of tables, of rounds, and of what Stripe does not show. Those of slices are left out: there can be thousands.
async fn checkpoints(reader: &Reader, schema: &SchemaName) -> anyhow::Result<Vec<Checkpoint>> {
    let ask = "SELECT key, value FROM tallyhouse.checkpoints WHERE schema_name = ? AND (key LIKE 'table/%' OR key LIKE 'round/%' OR key LIKE 'owed/%' OR key LIKE 'unexpanded/%')";
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
    // Names from the catalogue and a checked schema name: nothing to escape.
    let count = |table| format!("SELECT '{table}', count(*), max(_as_of) FROM \"{schema}\".\"{table}\"");
    tables.iter().map(count).collect::<Vec<_>>().join(" UNION ALL ")
}
