//! One update cycle of one connection.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use catalog::Resource;
use stripe_api::Stripe;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use warehouse::{SchemaName, Warehouse};

use crate::{
    Feed, Phase, Progress, Reread, SyncError, TableState,
    cycle::Cycle,
    error::unless_stopped,
    fetch::Fetch,
    follow::{Debts, Following},
    rounds::{Round, Rounds},
    state::Stored,
};

/// How wide a cycle works.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Slices of one table walked at once.
    pub slices: usize,
    /// Pages of a slice walked in one go.
    pub pages: usize,
    /// The most rows of a copy that one transaction stores: a warehouse that keeps rows in groups wants them nearly full.
    pub rows: usize,
    /// Pages of events read before what they name is read again: more are worked off from the oldest on.
    pub event_pages: usize,
    /// Objects read again at once.
    pub reads: usize,
    /// Tables walked at once: Stripe's limits are full with a few, and each holds a transaction in memory.
    pub tables: usize,
    /// How often to walk again what events do not tell of.
    pub reread: Reread,
    /// How long parents are asked for what belongs to them before changes are looked for again.
    pub rounds: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            slices: 4,
            pages: 5,
            rows: 8_192,
            event_pages: 50,
            reads: 8,
            tables: 6,
            reread: Reread::default(),
            rounds: Duration::from_secs(300),
        }
    }
}

/// Brings one connection's tables up to date.
pub struct Engine<W> {
    /// Whom to ask.
    pub stripe: Stripe,
    /// Where the rows rest.
    pub warehouse: Arc<W>,
    /// The connection's schema.
    pub schema: SchemaName,
    /// Told about every committed piece of work.
    pub progress: watch::Sender<Progress>,
    /// How wide to work.
    pub options: Options,
}

/// What a cycle did to one table.
#[derive(Debug)]
pub struct TableReport {
    /// The table.
    pub table: &'static str,
    /// Rows written.
    pub rows: u64,
    /// Where the table stands now, or why it could not go on.
    pub outcome: Result<TableState, SyncError>,
}

/// What a cycle did.
#[derive(Debug)]
pub struct Report {
    /// Each table, parents before children.
    pub tables: Vec<TableReport>,
    /// Requests sent to Stripe, repeated ones too.
    pub requests: u64,
}

impl Report {
    /// Rows written, all tables together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Tables that could not go on; unavailable ones are not among them.
    pub fn failed(&self) -> impl Iterator<Item = (&'static str, &SyncError)> {
        self.tables.iter().filter_map(|table| Some((table.table, table.outcome.as_ref().err()?)))
    }
}

impl<W: Warehouse> Engine<W> {
    /// One update cycle: resumes or begins the first copy, then applies what changed.
    ///
    /// Safe to stop and to repeat at any moment.
    ///
    /// # Errors
    /// What concerns all tables: the warehouse, the account as a whole, a stop. What concerns one is in the report.
    pub async fn run(&self, stop: &CancellationToken) -> Result<Report, SyncError> {
        let result = self.cycle(stop).await;
        self.progress.send_modify(|progress| progress.phase = Phase::Finished);
        result
    }

    async fn cycle(&self, stop: &CancellationToken) -> Result<Report, SyncError> {
        let before = self.stripe.requests();
        self.prepare().await?;
        let mut stored = Stored::read(self.warehouse.checkpoints(&self.schema).await?)?;
        let fetch = Fetch { stripe: self.stripe.clone(), stop: stop.clone() };
        let cycle = Cycle { engine: self, fetch };
        let feeds = cycle.feeds(&mut stored).await?;
        cycle.walk_again_what_is_due(&mut stored).await?;
        let rounds = std::mem::take(&mut stored.rounds);
        let mut owed = std::mem::take(&mut stored.owed);
        self.progress.send_modify(|progress| progress.phase = Phase::Copying);
        let mut tables = cycle.copy(stored).await?;
        self.progress.send_modify(|progress| progress.phase = Phase::Changes);
        self.follow(&cycle, feeds, (rounds, &mut owed), &mut tables).await?;
        tables
            .sort_by_key(|report| catalog::resources().iter().position(|one| one.table.name == report.table));
        Ok(Report { tables, requests: self.stripe.requests() - before })
    }

    /// What changed, then what belongs to it; by turns, since the latter can take hours the first time.
    async fn follow(
        &self,
        cycle: &Cycle<'_, W>,
        mut feeds: Vec<(&'static Resource, Feed)>,
        (mut rounds, owed): (BTreeMap<String, Round>, &mut Debts),
        tables: &mut Vec<TableReport>,
    ) -> Result<(), SyncError> {
        loop {
            for (events, feed) in &mut feeds {
                unless_stopped(&cycle.fetch.stop)?;
                let following = Following { cycle, changes: cycle.changes(), events };
                *feed = following.run(feed.clone(), tables, owed).await?;
            }
            let until = Instant::now() + self.options.rounds;
            if (Rounds { cycle, changes: cycle.changes(), until }).run(&mut rounds, tables).await? {
                return Ok(());
            }
        }
    }

    /// Makes the tables, and sees to it that what is asked now looks newer than what they hold. [`Engine::run`] begins
    /// with it.
    ///
    /// # Errors
    /// When the warehouse refuses.
    pub async fn prepare(&self) -> Result<(), SyncError> {
        self.warehouse.prepare(&self.schema, catalog::tables().collect()).await?;
        for table in catalog::tables() {
            if let Some(newest) = self.warehouse.newest(&self.schema, table).await? {
                self.stripe.go_on_after(newest);
            }
        }
        Ok(())
    }
}
