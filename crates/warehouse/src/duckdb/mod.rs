//! The DuckDB warehouse: one file, one thread that writes, readers beside it.

mod apply;
mod arrow_value;
mod open;
mod prepare;
mod read;
mod reader;
mod sql;
mod worker;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ::duckdb::Connection;
use catalog::Table;

pub use self::open::Options;
pub use self::reader::{ArrowTable, Reader};
use self::worker::Worker;
use crate::{Applied, Batch, Checkpoint, Ids, SchemaName, Warehouse, WarehouseError};

/// A DuckDB file that this process alone has open.
///
/// Dropping it waits for the write under way, writes everything into the file itself and closes it. Readers keep it
/// open for themselves: until the last one goes, it cannot be opened again.
pub struct DuckDb {
    writer: Worker,
    spare: Mutex<Connection>,
    exports: PathBuf,
    only: Arc<open::Only>,
}

impl DuckDb {
    /// Opens the file, and makes it if need be. Beside it DuckDB keeps `<path>.wal` and `<path>.tmp`, and exports
    /// pass through `<path>.exports`; no other file can be reached from SQL, and no extension loaded.
    ///
    /// # Errors
    /// [`WarehouseError::InUse`] when it is open already, [`WarehouseError::Newer`] when a later version wrote it,
    /// else [`WarehouseError::Open`].
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, WarehouseError> {
        let opened = open::open(path.as_ref(), options)?;
        let failed = |source| open::refused(path.as_ref(), source);
        let spare = opened.connection.try_clone().map_err(failed)?;
        let writer = Worker::spawn("warehouse-writer", opened.connection, |connection| {
            if let Err(error) = connection.execute_batch("CHECKPOINT") {
                tracing::warn!(error = %error, "could not write the log into the warehouse file");
            }
        })
        .map_err(|source| WarehouseError::Open { path: path.as_ref().to_owned(), source: source.into() })?;
        Ok(Self { writer, spare: Mutex::new(spare), exports: opened.exports, only: Arc::new(opened.only) })
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
        let failed = |source| WarehouseError::failed("open a reader", source);
        let connection = self.spare.lock().unwrap_or_else(PoisonError::into_inner).try_clone();
        let connection = connection.map_err(failed)?;
        open::enter(&connection).map_err(failed)?;
        if let Some(schema) = schema {
            let inside = format!("USE {}.{}", open::CATALOG, sql::quoted(schema.as_str()));
            connection.execute_batch(&inside).map_err(failed)?;
        }
        let worker = Worker::spawn("warehouse-reader", connection, |_| {})
            .map_err(|source| WarehouseError::failed("start a reader", source))?;
        Ok(Reader::new(worker, self.exports.clone(), Arc::clone(&self.only)))
    }

    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, WarehouseError> + Send + 'static,
    ) -> Result<T, WarehouseError> {
        self.writer.run(job).await.ok_or(WarehouseError::Stopped)?
    }
}

impl Warehouse for DuckDb {
    async fn prepare(&self, schema: &SchemaName, tables: Vec<&'static Table>) -> Result<(), WarehouseError> {
        let schema = schema.clone();
        self.write(move |connection| prepare::prepare(connection, &schema, &tables)).await
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, WarehouseError> {
        self.write(move |connection| apply::apply(connection, &batch)).await
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
