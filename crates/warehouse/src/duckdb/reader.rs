//! Asking without being able to change anything.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::duckdb::{Connection, params_from_iter};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::arrow_value::{Bound, type_name, values};
use super::instance::Instance;
use super::sql::literal;
use super::worker::{Undone, Worker};
use crate::{ColumnMeta, QueryError, QueryTable, Value};

/// Rows that [`Reader::query`] gives unless told otherwise.
const ROW_LIMIT: usize = 10_000;
/// Bytes after which an answer is cut, however few its rows: they are held in memory. Exports have no limit.
const BYTE_LIMIT: usize = 32 << 20;

/// Asks the warehouse, one query after the other on a thread of its own; cheap to clone.
///
/// It cannot write: a query must parse as exactly one SELECT, runs in a read-only transaction, and reaches no file
/// but the warehouse's own. A query whose future is dropped is interrupted, so a time limit is
/// `tokio::time::timeout` around it.
#[derive(Clone)]
pub struct Reader {
    worker: Arc<Worker>,
    instance: Arc<Instance>,
    row_limit: usize,
}

/// The answer to a query as Arrow: for files.
#[derive(Debug, Clone)]
pub struct ArrowTable {
    /// The columns; also there when there are no rows.
    pub schema: SchemaRef,
    /// The rows, in order.
    pub batches: Vec<RecordBatch>,
    /// There were more rows, or bytes, than the reader gives.
    pub truncated: bool,
}

impl Reader {
    pub(super) fn new(worker: Worker, instance: &Arc<Instance>) -> Self {
        Self { worker: Arc::new(worker), instance: Arc::clone(instance), row_limit: ROW_LIMIT }
    }

    /// The same reader giving at most so many rows (10,000 unless told).
    #[must_use]
    pub fn with_row_limit(&self, row_limit: usize) -> Self {
        Self { row_limit, ..self.clone() }
    }

    /// Asks, with `params` for `$1`, `$2` (or `?`) in the query.
    ///
    /// # Errors
    /// [`QueryError`] says what to tell the asker.
    pub async fn query(&self, sql: &str, params: Vec<Value>) -> Result<QueryTable, QueryError> {
        let table = self.query_arrow(sql, params).await?;
        let column = |field: &Arc<arrow_schema::Field>| ColumnMeta {
            name: field.name().clone(),
            type_name: type_name(field.data_type()),
        };
        let columns = table.schema.fields().iter().map(column).collect();
        let mut rows = Vec::new();
        for batch in &table.batches {
            rows.extend(shown(batch)?);
        }
        Ok(QueryTable { columns, rows, truncated: table.truncated })
    }

    /// As [`Self::query`], the values as DuckDB has them.
    ///
    /// # Errors
    /// [`QueryError`] says what to tell the asker.
    pub async fn query_arrow(&self, sql: &str, params: Vec<Value>) -> Result<ArrowTable, QueryError> {
        let (sql, limit) = (sql.to_owned(), self.row_limit);
        let job = move |connection: &Connection| {
            select(connection, &sql)?;
            read_only(connection, |connection| fetch(connection, &sql, params, limit)).map_err(failed)
        };
        self.worker.run_while_awaited(job).await.map_err(undone)?
    }

    /// Writes all rows of the query to a Parquet file, replacing what is there; constant memory.
    ///
    /// # Errors
    /// [`QueryError::Export`] when the file cannot be written, else as [`Self::query`].
    pub async fn export_parquet(&self, sql: &str, path: &Path) -> Result<(), QueryError> {
        let (sql, exports, path) = (sql.to_owned(), self.instance.exports.clone(), path.to_owned());
        let job = move |connection: &Connection| {
            let select = select(connection, &sql)?;
            std::fs::create_dir_all(&exports).map_err(export)?;
            let part = exports.join(format!("{}.parquet", EXPORTS.fetch_add(1, Ordering::Relaxed)));
            let copy = format!("COPY ({select}) TO {} (FORMAT parquet)", literal(&part.to_string_lossy()));
            let done = read_only(connection, |connection| connection.execute_batch(&copy)).map_err(failed);
            let done = done.and_then(|()| std::fs::copy(&part, &path).map_err(export));
            // Nothing to remove when the copy did not begin.
            let _ = std::fs::remove_file(&part);
            done.map(|_| ())
        };
        self.worker.run_while_awaited(job).await.map_err(undone)?
    }
}

#[cfg(test)]
impl Reader {
    /// As if ending one had failed.
    pub(super) async fn leave_a_transaction_open(&self) {
        self.worker.run(|connection| connection.execute_batch("BEGIN")).await.unwrap().unwrap();
    }
}

/// Names for files under way, which readers share a folder for.
static EXPORTS: AtomicU64 = AtomicU64::new(0);

/// Lets through exactly one SELECT and gives it back as DuckDB writes it: no comment, no semicolon. DuckDB's own
/// parser judges; preparing the text itself would already run all statements but the last.
fn select(connection: &Connection, sql: &str) -> Result<String, QueryError> {
    let parse = "SELECT json_serialize_sql(?::VARCHAR)::VARCHAR";
    let parsed: String = connection.query_row(parse, [sql], |row| row.get(0)).map_err(failed)?;
    let parsed: serde_json::Value =
        serde_json::from_str(&parsed).map_err(|source| QueryError::Failed { source: source.into() })?;
    if parsed.get("error").and_then(serde_json::Value::as_bool) != Some(false) {
        let reason = parsed.get("error_message").and_then(serde_json::Value::as_str);
        return Err(QueryError::NotASelect { reason: reason.unwrap_or("it does not parse").to_owned() });
    }
    if parsed.get("statements").and_then(serde_json::Value::as_array).map(Vec::len) != Some(1) {
        return Err(QueryError::NotOneStatement);
    }
    let print = "SELECT json_deserialize_sql(?::JSON)";
    connection.query_row(print, [parsed.to_string()], |row| row.get(0)).map_err(failed)
}

/// Runs `ask` in a transaction that refuses to write, whatever the query turns out to be.
fn read_only<T>(
    connection: &Connection,
    ask: impl FnOnce(&Connection) -> ::duckdb::Result<T>,
) -> ::duckdb::Result<T> {
    const BEGIN: &str = "BEGIN TRANSACTION READ ONLY";
    if connection.execute_batch(BEGIN).is_err() {
        // One that could not be ended earlier must not stand in the way for ever.
        let _none_open = connection.execute_batch("ROLLBACK");
        connection.execute_batch(BEGIN)?;
    }
    let answer = ask(connection);
    let ended = connection.execute_batch("ROLLBACK");
    answer.and_then(|answer| ended.map(|()| answer))
}

fn fetch(
    connection: &Connection,
    sql: &str,
    params: Vec<Value>,
    limit: usize,
) -> ::duckdb::Result<ArrowTable> {
    let mut statement = connection.prepare(sql)?;
    let stream = statement.stream_arrow(params_from_iter(params.into_iter().map(Bound)))?;
    let mut table = ArrowTable { schema: stream.get_schema(), batches: Vec::new(), truncated: false };
    let mut room = limit;
    let mut bytes = 0;
    for batch in stream {
        let batch = batch?;
        bytes += batch.get_array_memory_size();
        if bytes > BYTE_LIMIT && !table.batches.is_empty() {
            table.truncated = true;
            break;
        }
        if batch.num_rows() > room {
            table.truncated = true;
            table.batches.push(batch.slice(0, room));
            break;
        }
        room -= batch.num_rows();
        table.batches.push(batch);
    }
    Ok(table)
}

fn shown(batch: &RecordBatch) -> Result<Vec<Vec<Value>>, QueryError> {
    let mut rows = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
    for column in batch.columns() {
        let column = values(column).map_err(|source| QueryError::Failed { source: source.into() })?;
        for (row, value) in rows.iter_mut().zip(column) {
            row.push(value);
        }
    }
    Ok(rows)
}

fn undone(undone: Undone) -> QueryError {
    match undone {
        Undone::Gone => QueryError::Stopped,
        Undone::Closed(source) => QueryError::Closed { source: source.into() },
    }
}

fn failed(source: ::duckdb::Error) -> QueryError {
    QueryError::Failed { source: source.into() }
}

fn export(source: std::io::Error) -> QueryError {
    QueryError::Export { source: source.into() }
}
