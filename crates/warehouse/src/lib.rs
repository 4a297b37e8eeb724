//! Where rows rest: what a warehouse promises, the batches it takes, and the warehouses there are.
//!
//! [`Warehouse`] is the contract and `conformance` its test, run by every implementation: [`Memory`] for tests,
//! `DuckDb` (feature `duckdb`) for use.

mod batch;
#[cfg(test)]
mod conformance;
#[cfg(feature = "duckdb")]
mod duckdb;
mod error;
mod memory;
mod query;
mod rows;
mod schema_name;

use catalog::Table;

pub use crate::batch::{Applied, Batch, Change, Checkpoint, Ended, Write};
#[cfg(feature = "duckdb")]
pub use crate::duckdb::{ArrowTable, DuckDb, Options as DuckOptions, Reader};
pub use crate::error::{Source, WarehouseError};
pub use crate::memory::Memory;
pub use crate::query::{ColumnMeta, QueryError, QueryTable, Value};
pub use crate::schema_name::{BadSchemaName, SchemaName};

/// Which rows [`Warehouse::ids`] is to name.
#[derive(Debug, Clone)]
pub struct Ids {
    /// How old the state is that they show.
    pub age: Age,
    /// By this column they were created in this second or later; none for all, also those that do not say when.
    pub created_from: Option<(&'static str, i64)>,
    /// Whether they belong to something.
    pub belonging: Belonging,
    /// Their ids begin so.
    pub prefix: &'static str,
    /// Their ids come after this one.
    pub after: String,
    /// Not more than so many, the first.
    pub most: usize,
}

/// Whether rows belong to something that a column names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belonging {
    /// It does not matter.
    Any,
    /// This column names something.
    To(&'static str),
    /// This column names nothing.
    Nowhere(&'static str),
}

/// How old the state is that a row shows: its `_as_of`, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// As old as it may be.
    Any,
    /// Before then.
    Before(i64),
    /// From then on.
    Since(i64),
}

/// A place that keeps rows, and with them how far the copy has come.
///
/// Every method may be called again after an error: nothing is half done. After [`WarehouseError::Stopped`] the
/// caller must assume nothing about the last call and open the warehouse again.
pub trait Warehouse: Send + Sync + 'static {
    /// Creates the schema, the tables, and new columns of tables that exist. Never drops or rewrites anything.
    ///
    /// # Errors
    /// When the warehouse refuses, or is gone.
    fn prepare(
        &self,
        schema: &SchemaName,
        tables: Vec<&'static Table>,
    ) -> impl Future<Output = Result<(), WarehouseError>> + Send;

    /// One transaction: every write and every checkpoint, or none. An older `_as_of` never replaces a newer row.
    ///
    /// Safe to repeat, [`Change::Insert`] apart. On `Ok` the batch survives a crash of the process.
    ///
    /// # Errors
    /// When any part was refused (then nothing was stored), or the warehouse is gone.
    fn apply(&self, batch: Batch) -> impl Future<Output = Result<Applied, WarehouseError>> + Send;

    /// All checkpoints of `schema`, by key.
    ///
    /// # Errors
    /// When they cannot be read.
    fn checkpoints(
        &self,
        schema: &SchemaName,
    ) -> impl Future<Output = Result<Vec<Checkpoint>, WarehouseError>> + Send;

    /// Values of `column` in `table` that no row of `target` has as id (deleted customers that charges still name),
    /// in order.
    ///
    /// # Errors
    /// When the tables cannot be read.
    fn dangling(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        column: &str,
        target: &'static Table,
    ) -> impl Future<Output = Result<Vec<String>, WarehouseError>> + Send;

    /// Of `ids`, those that `table` does not hold as they were at `since` or later, in order; a tombstone is held.
    ///
    /// # Errors
    /// When the table cannot be read.
    fn stale(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        ids: Vec<String>,
        since_micros: i64,
    ) -> impl Future<Output = Result<Vec<String>, WarehouseError>> + Send;

    /// The ids, in order and each once, of rows that are no tombstones.
    ///
    /// # Errors
    /// When the table cannot be read.
    fn ids(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        asked: Ids,
    ) -> impl Future<Output = Result<Vec<String>, WarehouseError>> + Send;

    /// The newest `_as_of` of all `tables` together, none when they are empty.
    ///
    /// # Errors
    /// When one cannot be read.
    fn newest(
        &self,
        schema: &SchemaName,
        tables: Vec<&'static Table>,
    ) -> impl Future<Output = Result<Option<i64>, WarehouseError>> + Send;

    /// Makes ids unique again (children: within their parent), newest `_as_of` kept; returns how many rows went. Run
    /// when a first copy ends.
    ///
    /// # Errors
    /// When the table cannot be changed; then it is as it was.
    fn seal(
        &self,
        schema: &SchemaName,
        table: &'static Table,
    ) -> impl Future<Output = Result<u64, WarehouseError>> + Send;

    /// How many rows `table` holds, tombstones included.
    ///
    /// # Errors
    /// When the table cannot be read.
    fn count(
        &self,
        schema: &SchemaName,
        table: &'static Table,
    ) -> impl Future<Output = Result<u64, WarehouseError>> + Send;
}
