//! A warehouse that can be struck before, within or after a transaction, and that can be given a defect, to prove that
//! the schedules would find one.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use arrow_array::{
    ArrayRef, RecordBatch, TimestampMicrosecondArray, cast::AsArray, types::TimestampMicrosecondType,
};
use catalog::Table;
use tokio::sync::Notify;
use warehouse::{
    Applied, Batch, Change, Checkpoint, Ids, Memory, SchemaName, Warehouse, WarehouseError, Write,
};

use crate::dice::Dice;

/// What happens to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    /// The process dies before it is committed.
    DiesBefore,
    /// The process dies after it is committed, before anybody hears of it.
    DiesAfter,
    /// It is refused.
    FailsBefore,
    /// It is committed, but is said to have failed.
    FailsAfter,
}

/// What a warehouse must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Checkpoints are committed before the rows that they cover.
    CheckpointFirst,
    /// Now and then the rows of a transaction are lost, its checkpoints are not.
    LosesRows,
    /// Now and then a transaction is stored after later ones, and what is stored last wins, however old it is.
    LastWins,
    /// What is there already is not replaced.
    FirstWins,
    /// What is gone is not marked.
    KeepsGone,
    /// Children that are gone stay.
    KeepsChildren,
    /// Now and then a transaction is stored twice, and nobody makes ids unique again but those of events.
    Doubles,
    /// Nobody makes ids unique again.
    NeverSeals,
}

pub(crate) const DEFECTS: [Defect; 8] = [
    Defect::CheckpointFirst,
    Defect::LosesRows,
    Defect::LastWins,
    Defect::FirstWins,
    Defect::KeepsGone,
    Defect::KeepsChildren,
    Defect::Doubles,
    Defect::NeverSeals,
];

/// Memory, with what goes wrong.
pub(crate) struct Struck {
    pub(crate) memory: Memory,
    pub(crate) defect: Option<Defect>,
    /// One after another, as a warehouse with one writer has it: who stands in line and is not polled holds up all behind.
    line: tokio::sync::Mutex<()>,
    /// By the number of the transaction in this cycle.
    strikes: Mutex<Strikes>,
    /// What is stored after later ones, and the transaction after which it is.
    late: Mutex<Option<(u64, Batch)>>,
    /// Told when the process is to die.
    pub(crate) died: Arc<Notify>,
}

struct Strikes {
    planned: Option<(u64, Strike)>,
    /// Transactions in this cycle, and in all.
    stored: [u64; 2],
    dice: Dice,
}

/// What happens to a transaction, its number in all, and the milliseconds it takes before and after its commit.
struct Coming {
    strike: Option<Strike>,
    number: u64,
    waits: [u64; 2],
}

impl Struck {
    pub(crate) fn new(defect: Option<Defect>, died: Arc<Notify>, dice: Dice) -> Self {
        let strikes = Mutex::new(Strikes { planned: None, stored: [0; 2], dice });
        Self {
            memory: Memory::new(),
            defect,
            line: tokio::sync::Mutex::default(),
            strikes,
            late: Mutex::default(),
            died,
        }
    }

    /// Begins a cycle, in which the transaction of this number is struck.
    pub(crate) fn plan(&self, strike: Option<(u64, Strike)>) {
        let mut strikes = self.strikes.lock().unwrap();
        strikes.planned = strike;
        strikes.stored[0] = 0;
    }

    fn coming(&self) -> Coming {
        let mut strikes = self.strikes.lock().unwrap();
        strikes.stored.iter_mut().for_each(|stored| *stored += 1);
        let [here, number] = strikes.stored;
        let strike = strikes.planned.filter(|planned| planned.0 == here).map(|planned| planned.1);
        let mut wait = || if strikes.dice.one_in(4) { strikes.dice.below(20) } else { 0 };
        Coming { strike, number, waits: [wait(), wait()] }
    }

    async fn dies(&self) -> ! {
        self.died.notify_one();
        std::future::pending().await
    }

    async fn store(
        &self,
        batch: Batch,
        number: u64,
        strike: Option<Strike>,
    ) -> Result<Applied, WarehouseError> {
        let checkpoints = Batch { writes: Vec::new(), rejects: Vec::new(), ..batch.clone() };
        match self.defect {
            Some(Defect::CheckpointFirst) => {
                self.memory.apply(checkpoints).await?;
                if strike.is_some() {
                    self.dies().await;
                }
                self.memory.apply(batch).await
            }
            Some(Defect::LosesRows) if number % 37 == 5 => self.memory.apply(checkpoints).await,
            Some(Defect::LastWins) => self.store_late(batch, number).await,
            Some(Defect::FirstWins) => self.memory.apply(oldest(batch)).await,
            Some(Defect::KeepsGone) => {
                let gone = |write: &Write| matches!(write.change, Change::MarkDeleted { .. });
                let writes = batch.writes.iter().filter(|write| !gone(write)).cloned().collect();
                self.memory.apply(Batch { writes, ..batch }).await
            }
            Some(Defect::KeepsChildren) => self.memory.apply(only_more_children(batch)).await,
            Some(Defect::Doubles) if number % 37 == 5 => {
                self.memory.apply(batch.clone()).await?;
                self.memory.apply(batch).await
            }
            Some(Defect::LosesRows | Defect::Doubles | Defect::NeverSeals) | None => {
                self.memory.apply(batch).await
            }
        }
    }

    async fn store_late(&self, batch: Batch, number: u64) -> Result<Applied, WarehouseError> {
        let mut late = self.late.lock().unwrap().take();
        let merges = batch.writes.iter().any(|write| matches!(write.change, Change::Merge(_)));
        let stored = if late.is_none() && merges {
            let checkpoints = Batch { writes: Vec::new(), rejects: Vec::new(), ..batch.clone() };
            late = Some((number + 60, batch));
            self.memory.apply(checkpoints).await
        } else {
            self.memory.apply(batch).await
        };
        match late {
            Some((due, late)) if due <= number => {
                self.memory.apply(aged(late, &self.memory).await?).await?;
            }
            waiting => *self.late.lock().unwrap() = waiting,
        }
        stored
    }
}

impl Warehouse for Struck {
    async fn prepare(&self, schema: &SchemaName, tables: Vec<&'static Table>) -> Result<(), WarehouseError> {
        self.memory.prepare(schema, tables).await
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, WarehouseError> {
        let _turn = self.line.lock().await;
        let Coming { strike, number, waits: [before, after] } = self.coming();
        wait(before).await;
        match strike {
            Some(Strike::DiesBefore) => self.dies().await,
            Some(Strike::FailsBefore) => return Err(WarehouseError::Stopped),
            Some(Strike::DiesAfter | Strike::FailsAfter) | None => {}
        }
        let applied = self.store(batch, number, strike).await?;
        wait(after).await;
        match strike {
            Some(Strike::DiesAfter) => self.dies().await,
            Some(Strike::FailsAfter) => Err(WarehouseError::Stopped),
            Some(Strike::DiesBefore | Strike::FailsBefore) | None => Ok(applied),
        }
    }

    async fn checkpoints(&self, schema: &SchemaName) -> Result<Vec<Checkpoint>, WarehouseError> {
        let _turn = self.line.lock().await;
        self.memory.checkpoints(schema).await
    }

    async fn dangling(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        column: &str,
        target: &'static Table,
    ) -> Result<Vec<String>, WarehouseError> {
        let _turn = self.line.lock().await;
        self.memory.dangling(schema, table, column, target).await
    }

    async fn stale(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        ids: Vec<String>,
        since_micros: i64,
    ) -> Result<Vec<String>, WarehouseError> {
        let _turn = self.line.lock().await;
        self.memory.stale(schema, table, ids, since_micros).await
    }

    async fn ids(
        &self,
        schema: &SchemaName,
        table: &'static Table,
        asked: Ids,
    ) -> Result<Vec<String>, WarehouseError> {
        let _turn = self.line.lock().await;
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
        match self.defect {
            Some(Defect::NeverSeals) => Ok(0),
            Some(Defect::Doubles) if table.object != "event" => Ok(0),
            Some(_) | None => self.memory.seal(schema, table).await,
        }
    }

    async fn count(&self, schema: &SchemaName, table: &'static Table) -> Result<u64, WarehouseError> {
        let _turn = self.line.lock().await;
        self.memory.count(schema, table).await
    }
}

async fn wait(milliseconds: u64) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

/// The same, but whoever is in it is added to those who are there.
fn only_more_children(batch: Batch) -> Batch {
    let keep = |write: Write| match write.change {
        Change::ReplaceChildren { rows, .. } => Some(Write { change: Change::Merge(rows), ..write }),
        Change::EndSets(_) => None,
        Change::Insert(_)
        | Change::Merge(_)
        | Change::MarkDeleted { .. }
        | Change::MarkChildrenDeleted { .. } => Some(write),
    };
    Batch { writes: batch.writes.into_iter().filter_map(keep).collect(), ..batch }
}

/// The same, but older than anything.
fn oldest(batch: Batch) -> Batch {
    let old = |write: Write| match write.change {
        Change::Merge(rows) => Write { change: Change::Merge(with_age(&rows, |_| 0)), ..write },
        Change::Insert(_)
        | Change::EndSets(_)
        | Change::ReplaceChildren { .. }
        | Change::MarkDeleted { .. }
        | Change::MarkChildrenDeleted { .. } => write,
    };
    Batch { writes: batch.writes.into_iter().map(old).collect(), ..batch }
}

/// The same, but as new as anything that is there.
async fn aged(batch: Batch, memory: &Memory) -> Result<Batch, WarehouseError> {
    let mut writes = Vec::new();
    for write in batch.writes {
        let newest = memory.newest(&batch.schema, vec![write.table]).await?.unwrap_or(i64::MIN);
        let change = match write.change {
            same @ (Change::Insert(_) | Change::EndSets(_)) => same,
            Change::Merge(rows) => Change::Merge(with_age(&rows, |own| own.max(newest))),
            Change::ReplaceChildren { parents, rows } => {
                Change::ReplaceChildren { parents, rows: with_age(&rows, |own| own.max(newest)) }
            }
            Change::MarkDeleted { ids, as_of_micros } => {
                Change::MarkDeleted { ids, as_of_micros: as_of_micros.max(newest) }
            }
            Change::MarkChildrenDeleted { parents, as_of_micros } => {
                Change::MarkChildrenDeleted { parents, as_of_micros: as_of_micros.max(newest) }
            }
        };
        writes.push(Write { table: write.table, change });
    }
    Ok(Batch { writes, ..batch })
}

fn with_age(rows: &RecordBatch, age: impl Fn(i64) -> i64) -> RecordBatch {
    let (place, _) = rows.schema_ref().column_with_name("_as_of").unwrap();
    let own = rows.column(place).as_primitive::<TimestampMicrosecondType>();
    let aged: TimestampMicrosecondArray = own.iter().map(|own| Some(age(own.unwrap()))).collect();
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns[place] = Arc::new(aged);
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}
