//! The DuckDB warehouse: one file, one thread that writes, readers beside it.

mod append;
mod apply;
mod arrow_value;
mod checkpoints;
mod describe;
mod instance;
mod merge;
mod newest;
mod open;
mod prepare;
mod read;
mod reader;
mod sets;
mod sql;
mod waiting;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ::duckdb::Connection;
use catalog::Table;

use self::describe::{Undescribed, describing};
use self::instance::{Instance, Seat, held};
pub use self::open::Options;
pub use self::reader::{ArrowTable, Reader};
use self::waiting::Waiting;
use self::worker::Worker;
use crate::{Applied, Batch, Checkpoint, Ids, SchemaName, Warehouse, WarehouseError};

/// A DuckDB file that this process alone has open.
///
/// Dropping it waits for the write under way, writes everything into the file itself and closes it. Readers keep it
/// open for themselves: until the last one goes, it cannot be opened again.
pub struct DuckDb {
    writer: Worker,
    instance: Arc<Instance>,
    waiting: Arc<Waiting>,
    /// Rows stored since the file was opened.
    stored: Arc<AtomicU64>,
    /// Tables that are there, since this began.
    prepared: Mutex<HashSet<(SchemaName, &'static str)>>,
    undescribed: Arc<Undescribed>,
}

/// Rows after which the file is opened again.
const MANY_ROWS: u64 = 250_000;

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
        let last = |seat: &Seat| {
            let whole = seat.work(|connection| connection?.execute_batch("CHECKPOINT"));
            if let Err(error) = whole {
                tracing::warn!(error = %error, "could not write the log into the warehouse file");
            }
        };
        let writer = Worker::spawn("warehouse-writer", seat, between, last)
            .map_err(|source| WarehouseError::Open { path: path.to_owned(), source: source.into() })?;
        let (waiting, prepared, undescribed) = (Arc::default(), Mutex::default(), Arc::default());
        Ok(Self { writer, instance, waiting, stored, prepared, undescribed })
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

    /// Has said in the warehouse what tables are, when there is time.
    fn describe(&self, descriptions: Vec<String>) {
        self.writer.when_idle(descriptions.into_iter().map(describing).collect());
    }

    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, WarehouseError> + Send + 'static,
    ) -> Result<T, WarehouseError> {
        self.writer.run(job).await.map_err(|undone| self.instance.refused(undone))?
    }
}

impl Warehouse for DuckDb {
    async fn prepare(&self, schema: &SchemaName, tables: Vec<&'static Table>) -> Result<(), WarehouseError> {
        let named: Vec<_> = tables.iter().map(|table| (schema.clone(), table.name)).collect();
        // A schema without tables is made each time.
        if !named.is_empty() && named.iter().all(|named| held(&self.prepared).contains(named)) {
            return Ok(());
        }
        let (schema, undescribed) = (schema.clone(), Arc::clone(&self.undescribed));
        let prepare = move |connection: &Connection| {
            prepare::prepare(connection, &schema, &tables)?;
            undescribed.add(connection, &schema, &tables)
        };
        let descriptions = self.write(prepare).await?;
        self.describe(descriptions);
        held(&self.prepared).extend(named);
        Ok(())
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, WarehouseError> {
        let (schema, undescribed) = (batch.schema.clone(), self.undescribed.named(&batch));
        let place = self.waiting.add(batch);
        let stored = Arc::clone(&self.stored);
        let store = move |connection: &Connection| {
            let applied = place.store(connection)?;
            stored.fetch_add(applied.rows, Ordering::Relaxed);
            Ok(applied)
        };
        let applied = self.write(store).await?;
        self.describe(self.undescribed.take(&schema, &undescribed));
        Ok(applied)
    }

    async fn checkpoints(&self, schema: &SchemaName) -> Result<Vec<Checkpoint>, WarehouseError> {
        let schema = schema.clone();
        self.write(move |connection| checkpoints::read(connection, &schema)).await
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
