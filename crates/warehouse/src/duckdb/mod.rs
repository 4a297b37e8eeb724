//! The DuckDB warehouse: one file, one thread that writes, readers beside it.

mod apply;
mod arrow_value;
mod instance;
mod merge;
mod open;
mod prepare;
mod read;
mod reader;
mod sets;
mod sql;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::duckdb::Connection;
use catalog::Table;

use self::instance::{Instance, Seat};
pub use self::open::Options;
pub use self::reader::{ArrowTable, Reader};
use self::worker::{Job, Worker};
use crate::{Applied, Batch, Checkpoint, Ids, SchemaName, Warehouse, WarehouseError};

/// A DuckDB file that this process alone has open.
///
/// Dropping it waits for the write under way, writes everything into the file itself and closes it. Readers keep it
/// open for themselves: until the last one goes, it cannot be opened again.
pub struct DuckDb {
    writer: Worker,
    instance: Arc<Instance>,
    /// Rows stored since the file was opened.
    stored: Arc<AtomicU64>,
    /// Whose tables were described since this began.
    described: Mutex<HashSet<SchemaName>>,
}

/// Rows after which the file is opened again.
const MANY_ROWS: u64 = 500_000;

impl DuckDb {
    /// Opens the file, and makes it if need be. Beside it DuckDB keeps `<path>.wal` and `<path>.tmp`, exports
    /// pass through `<path>.exports`, and `<path>.lock` says that it is open; no other file can be reached from SQL, and no extension loaded.
    ///
    /// # Errors
    /// [`WarehouseError::InUse`] when it is open already, [`WarehouseError::Newer`] when a later version wrote it,
    /// else [`WarehouseError::Open`].
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, WarehouseError> {
        Self::renewing(path.as_ref(), options, MANY_ROWS)
    }

    /// Opens the file again whenever so many rows were stored.
    fn renewing(path: &Path, options: Options, rows: u64) -> Result<Self, WarehouseError> {
        let instance = Instance::new(open::open(path, options)?, options);
        let seat = instance.seat(String::new()).map_err(|source| open::refused(path, source))?;
        let stored = Arc::<AtomicU64>::default();
        let (since, renewed) = (Arc::clone(&stored), Arc::clone(&instance));
        let between = move || {
            if since.load(Ordering::Relaxed) >= rows && renewed.reopen() {
                since.store(0, Ordering::Relaxed);
            }
        };
        let whole = |connection: &Connection| {
            if let Err(error) = connection.execute_batch("CHECKPOINT") {
                tracing::warn!(error = %error, "could not write the log into the warehouse file");
            }
        };
        let last = move |seat: &Seat| {
            let _closed = seat.work(whole);
        };
        let writer = Worker::spawn("warehouse-writer", seat, between, last)
            .map_err(|source| WarehouseError::Open { path: path.to_owned(), source: source.into() })?;
        Ok(Self { writer, instance, stored, described: Mutex::default() })
    }

    /// A reader that names tables with their schema.
    ///
    /// # Errors
    /// When no further connection can be made.
    pub fn reader(&self) -> Result<Reader, WarehouseError> {
        self.reader_with(None)
    }

    /// A reader to which tables of `schema` need not be named with it.
    ///
    /// # Errors
    /// When the schema is not prepared, or no further connection can be made.
    pub fn reader_for(&self, schema: &SchemaName) -> Result<Reader, WarehouseError> {
        self.reader_with(Some(schema))
    }

    fn reader_with(&self, schema: Option<&SchemaName>) -> Result<Reader, WarehouseError> {
        let inside = schema.map_or_else(String::new, |schema| {
            format!("USE {}.{}", open::CATALOG, sql::quoted(schema.as_str()))
        });
        let seat = self.instance.seat(inside);
        let seat = seat.map_err(|source| WarehouseError::failed("open a reader", source))?;
        let worker = Worker::spawn("warehouse-reader", seat, || {}, |_| {})
            .map_err(|source| WarehouseError::failed("start a reader", source))?;
        Ok(Reader::new(worker, &self.instance))
    }

    fn described(&self) -> MutexGuard<'_, HashSet<SchemaName>> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has said in the warehouse what its tables are, when there is time.
    async fn describe(&self, schema: SchemaName, tables: Vec<&'static Table>) -> Result<(), WarehouseError> {
        let name = schema.clone();
        let missing = self.write(move |connection| prepare::descriptions(connection, &name, &tables)).await?;
        self.writer.when_idle(missing.into_iter().map(describing).collect());
        self.described().insert(schema);
        Ok(())
    }

    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, WarehouseError> + Send + 'static,
    ) -> Result<T, WarehouseError> {
        self.writer.run(job).await.ok_or(WarehouseError::Stopped)?
    }
}

/// Says what a table is, with these statements.
fn describing(statements: String) -> Job {
    Box::new(move |connection| {
        let transaction = format!("BEGIN; {statements} COMMIT;");
        if let Err(error) = connection.execute_batch(&transaction) {
            tracing::warn!(error = %error, "could not say in the warehouse what a table is");
            // After an error it waits for its end.
            let _none = connection.execute_batch("ROLLBACK");
        }
    })
}

impl Warehouse for DuckDb {
    async fn prepare(&self, schema: &SchemaName, tables: Vec<&'static Table>) -> Result<(), WarehouseError> {
        let (name, all) = (schema.clone(), tables.clone());
        let are_new = self.write(move |connection| prepare::prepare(connection, &name, &all)).await?;
        if are_new || !self.described().contains(schema) {
            self.describe(schema.clone(), tables).await?;
        }
        Ok(())
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, WarehouseError> {
        let stored = Arc::clone(&self.stored);
        self.write(move |connection| {
            let applied = apply::apply(connection, &batch)?;
            stored.fetch_add(applied.rows, Ordering::Relaxed);
            Ok(applied)
        })
        .await
    }

    async fn checkpoints(&self, schema: &SchemaName) -> Result<Vec<Checkpoint>, WarehouseError> {
        let schema = schema.clone();
        self.write(move |connection| read::checkpoints(connection, &schema)).await
    }

    async fn dangling(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        column: &str,
        target: &'static Table,
    ) -> Result<Vec<String>, WarehouseError> {
        let (schema, column) = (schema.clone(), column.to_owned());
        self.write(move |connection| read::dangling(connection, &schema, (table, &column), target)).await
    }

    async fn stale(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        ids: Vec<String>,
        since_micros: i64,
    ) -> Result<Vec<String>, WarehouseError> {
        let schema = schema.clone();
        self.write(move |connection| read::stale(connection, &schema, table, &ids, since_micros)).await
    }

    async fn ids(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        asked: Ids,
    ) -> Result<Vec<String>, WarehouseError> {
        let schema = schema.clone();
        self.write(move |connection| read::ids(connection, &schema, table, &asked)).await
    }

    async fn newest(
        &self,
        schema: &SchemaName,
        tables: Vec<&'static Table>,
    ) -> Result<Option<i64>, WarehouseError> {
        let schema = schema.clone();
        self.write(move |connection| read::newest(connection, &schema, &tables)).await
    }

    async fn seal(&self, schema: &SchemaName, table: &'static Table) -> Result<u64, WarehouseError> {
        let schema = schema.clone();
        self.write(move |connection| apply::seal(connection, &schema, table)).await
    }

    async fn count(&self, schema: &SchemaName, table: &'static Table) -> Result<u64, WarehouseError> {
        let schema = schema.clone();
        self.write(move |connection| read::count(connection, &schema, table)).await
    }
}
