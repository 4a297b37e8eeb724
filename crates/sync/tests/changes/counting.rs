//! A warehouse that counts its transactions, and can refuse one of them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use catalog::Table;
use sync::Engine;
use warehouse::{Applied, Batch, Checkpoint, Ids, Memory, SchemaName, Warehouse, WarehouseError};

use crate::small::Copied;

/// Counts transactions.
pub(crate) struct Counting {
    memory: Arc<Memory>,
    pub(crate) transactions: AtomicUsize,
    refused: Option<usize>,
}

impl Copied {
    /// The same engine on a warehouse that counts, and does not do the transaction of this number.
    pub(crate) fn counting(&self, refused: Option<usize>) -> Engine<Counting> {
        let memory = Arc::clone(&self.warehouse);
        Engine {
            stripe: self.engine.stripe.clone(),
            warehouse: Arc::new(Counting { memory, transactions: AtomicUsize::new(0), refused }),
            schema: self.engine.schema.clone(),
            progress: self.engine.progress.clone(),
            options: self.engine.options,
        }
    }
}

impl Warehouse for Counting {
    async fn prepare(&self, schema: &SchemaName, tables: Vec<&'static Table>) -> Result<(), WarehouseError> {
        self.memory.prepare(schema, tables).await
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, WarehouseError> {
        let number = self.transactions.fetch_add(1, Ordering::Relaxed) + 1;
        if Some(number) == self.refused {
            return Err(WarehouseError::Stopped);
        }
        self.memory.apply(batch).await
    }

    async fn checkpoints(&self, schema: &SchemaName) -> Result<Vec<Checkpoint>, WarehouseError> {
        self.memory.checkpoints(schema).await
    }

    async fn dangling(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        column: &str,
        target: &'static Table,
    ) -> Result<Vec<String>, WarehouseError> {
        self.memory.dangling(schema, table, column, target).await
    }

    async fn stale(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        ids: Vec<String>,
        since_micros: i64,
    ) -> Result<Vec<String>, WarehouseError> {
        self.memory.stale(schema, table, ids, since_micros).await
    }

    async fn ids(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        asked: Ids,
    ) -> Result<Vec<String>, WarehouseError> {
        self.memory.ids(schema, table, asked).await
    }

    async fn newest(
        &self,
        schema: &SchemaName,
        tables: Vec<&'static Table>,
    ) -> Result<Option<i64>, WarehouseError> {
        self.memory.newest(schema, tables).await
    }

    async fn seal(&self, schema: &SchemaName, table: &'static Table) -> Result<u64, WarehouseError> {
        self.memory.seal(schema, table).await
    }

    async fn count(&self, schema: &SchemaName, table: &'static Table) -> Result<u64, WarehouseError> {
        self.memory.count(schema, table).await
    }
}
