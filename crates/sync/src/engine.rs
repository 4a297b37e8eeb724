//! One update cycle of one connection.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use stripe_api::Stripe;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use warehouse::{SchemaName, Warehouse};

use crate::{
    Phase, Progress, Reread, SyncError, TableState,
    cycle::Cycle,
    error::unless_stopped,
    feeds::Fed,
    fetch::Fetch,
    follow::{Debts, Following},
    room::Room,
    rounds::{Ended, Rounds},
    state::Stored,
    time::Time,
};

/// How wide a cycle works.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Slices of one table walked at once; more when answers take long.
    pub slices: usize,
    /// Pages of a slice walked in one go.
    pub pages: usize,
    /// The most rows of a copy that one transaction stores: a warehouse that keeps rows in groups wants them nearly full.
    pub rows: usize,
    /// Bytes that all walks together gather and do not store yet, about.
    pub bytes: usize,
    /// Pages of events read before what they name is read again: more are worked off from the oldest on.
    pub event_pages: usize,
    /// Objects read again at once, or parents asked; more parents when answers take long.
    pub reads: usize,
    /// Tables walked at once, and rounds that go beside them: Stripe's limits are full with a few, and each holds a transaction
    /// in memory.
    pub tables: usize,
    /// Parents looked up at once that are asked for what belongs to them.
    pub parents: usize,
    /// How often to walk again what events do not tell of.
    pub reread: Reread,
    /// How long parents are asked for what belongs to them before changes are looked for again.
    pub rounds: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            slices: 2,
            pages: 5,
            rows: 8_192,
            bytes: 24 << 20,
            event_pages: 50,
            reads: 8,
            tables: 6,
            parents: 1_000,
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
    /// What went wrong with some of its objects although it stands: they are owed to it.
    pub trouble: Option<SyncError>,
}

impl TableReport {
    pub(crate) fn new(table: &'static str, rows: u64, outcome: Result<TableState, SyncError>) -> Self {
        Self { table, rows, outcome, trouble: None }
    }

    /// One more trouble: the last counts, but what Stripe does not show hides no failure.
    pub(crate) fn note(&mut self, error: SyncError) {
        let hides = |held: &SyncError| error.is_withheld() && !held.is_withheld();
        if !self.trouble.as_ref().is_some_and(hides) {
            self.trouble = Some(error);
        }
    }

    /// What went wrong, with all of it or a part.
    #[must_use]
    pub fn error(&self) -> Option<&SyncError> {
        self.outcome.as_ref().err().or(self.trouble.as_ref())
    }
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

    /// Tables that could not go on, or not with all of their objects; unavailable ones are not among them.
    pub fn failed(&self) -> impl Iterator<Item = (&'static str, &SyncError)> {
        self.tables.iter().filter_map(|table| Some((table.table, table.error()?)))
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
        let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
        let mut ended = Ended::new();
        loop {
            let (mut tables, goes_on) = self.turn(ended, stop).await?;
            for report in &mut tables {
                let sum = rows.entry(report.table).or_default();
                *sum += report.rows;
                report.rows = *sum;
            }
            let Some(more) = goes_on else {
                let place = |table| catalog::resources().iter().position(|one| one.table.name == table);
                tables.sort_by_key(|report| place(report.table));
                return Ok(Report { tables, requests: self.stripe.requests() - before });
            };
            ended = more;
        }
    }

    /// Everything once; the rounds that are done with when others go on. Asking parents for what belongs to them can take
    /// hours: by turns with the rest.
    async fn turn(
        &self,
        ended: Ended,
        stop: &CancellationToken,
    ) -> Result<(Vec<TableReport>, Option<Ended>), SyncError> {
        let mut stored = self.stored().await?;
        let (fetch, room) = (Fetch::new(&self.stripe, stop), Room::new(self.options.bytes));
        let cycle = Cycle { engine: self, fetch, room, owing: Mutex::default() };
        let feeds = cycle.feeds(&mut stored).await?;
        cycle.walk_again_what_is_due(&mut stored, &feeds).await?;
        let (held, owed) = (std::mem::take(&mut stored.rounds), stored.owed.clone());
        let stood = stored.tables.clone();
        let rounds = Rounds {
            cycle: &cycle,
            changes: cycle.changes(),
            time: Time::new(self.options.rounds),
            held,
            stood,
            ended,
        };
        self.progress.send_modify(|progress| progress.phase = Phase::Copying);
        let walks = cycle.walks(stored);
        let follow = async |walked| self.follow(&cycle, feeds, unless_all_is_lost(walked)?, owed).await;
        rounds.run(walks, follow).await
    }

    /// Applies what changed since the feeds' cursors.
    async fn follow(
        &self,
        cycle: &Cycle<'_, W>,
        feeds: Vec<Fed>,
        mut tables: Vec<TableReport>,
        mut owed: Debts,
    ) -> Result<Vec<TableReport>, SyncError> {
        // Rounds may begin meanwhile: what is read here and stored later must not look settled to them.
        let _reading = self.stripe.reading();
        for (table, id) in cycle.owing.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            owed.entry(table.to_owned()).or_default().add([id]);
        }
        self.progress.send_modify(|progress| progress.phase = Phase::Changes);
        for fed in feeds {
            unless_stopped(&cycle.fetch.stop)?;
            let following = Following { cycle, changes: cycle.changes(), events: fed.events };
            following.run(fed, &mut tables, &mut owed).await?;
        }
        Ok(tables)
    }

    /// Makes the tables, and sees to it that what is asked now looks newer than what they hold. [`Engine::run`] begins
    /// with it.
    ///
    /// # Errors
    /// When the warehouse refuses.
    pub async fn prepare(&self) -> Result<(), SyncError> {
        self.warehouse.prepare(&self.schema, catalog::tables().collect()).await?;
        let newest = self.warehouse.newest(&self.schema, catalog::tables().collect()).await?;
        newest.into_iter().for_each(|newest| self.stripe.go_on_after(newest));
        Ok(())
    }

    /// What the checkpoints say. Walks and rounds under way judge rows by when they began, which may be later than any row:
    /// what is asked from now on looks newer.
    pub(crate) async fn stored(&self) -> Result<Stored, SyncError> {
        let stored = Stored::read(self.warehouse.checkpoints(&self.schema).await?)?;
        stored.began().for_each(|began| self.stripe.go_on_after(began.as_of_micros));
        Ok(stored)
    }
}

/// What concerns all tables, if a walk met it; what concerns one is in its report.
fn unless_all_is_lost(mut tables: Vec<TableReport>) -> Result<Vec<TableReport>, SyncError> {
    let of_all = |report: &TableReport| report.outcome.as_ref().is_err_and(SyncError::concerns_all);
    match tables.iter().position(of_all).map(|index| tables.swap_remove(index).outcome) {
        Some(Err(error)) => Err(error),
        Some(Ok(_)) | None => Ok(tables),
    }
}
