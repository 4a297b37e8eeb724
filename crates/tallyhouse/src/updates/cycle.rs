//! One update cycle of one connection, with what it leaves in the store.

use std::{sync::Arc, time::Duration};

use anyhow::bail;
use store::{Connection, CycleEnd, RunMark, Status, StoreError};
use stripe_api::RetryPolicy;
use sync::{Engine, Options, Progress, Report, SyncError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use warehouse::{Batch, Checkpoint, DuckDb, Reader, SchemaName, Warehouse};

use super::{Parts, Summary, meter::Meter, standings, summary::Done};
use crate::{installation::stripe, web::ProgressView};

/// A page under way may end after a stop; a request that waits for Stripe longer than that may not.
const GRACE: Duration = Duration::from_secs(5);
/// The checkpoint that says whose rows a schema holds.
const OWNER: &str = "account";
/// The shortest time between two looks at the progress.
const PAUSE: Duration = Duration::from_millis(200);

/// One update cycle.
pub(super) struct Cycle<'a> {
    pub(super) parts: &'a Parts,
    pub(super) reader: &'a Reader,
    pub(super) connection: &'a Connection,
    pub(super) forced: bool,
    pub(super) stop: &'a CancellationToken,
}

impl Cycle<'_> {
    /// Runs it to its end. What goes wrong is in the summary, in the connection's status and in the log.
    pub(super) async fn run(&self, shown: &watch::Sender<ProgressView>) -> Summary {
        let noted = async {
            let Some(id) = self.begun().await? else { return Ok(Summary::default()) };
            let began_at = self.parts.clock.now();
            let mut done = Done::default();
            let result = self.work(shown, &mut done).await;
            let summary = Summary::of(&result, done);
            self.note_end(&id, began_at, &summary).await?;
            Ok(summary)
        };
        noted.await.unwrap_or_else(|error| self.unnoted(&error))
    }

    /// The store failed: the rows are safe, but nobody can be told of them there. Where the connection was deleted
    /// meanwhile, nobody needs to be.
    fn unnoted(&self, error: &StoreError) -> Summary {
        if matches!(error, StoreError::NotFound { .. }) {
            return Summary::default();
        }
        tracing::error!(connection = self.connection.name, %error, "could not note an update cycle");
        Summary::of(&Err(SyncError::Setup(error.to_string())), Done::default())
    }

    /// Notes the beginning; none when the connection was deleted or paused since it was looked up. From here on whoever
    /// deletes or pauses it finds this cycle and stops it, so nothing slips through between the two.
    async fn begun(&self) -> Result<Option<String>, StoreError> {
        let (store, id, now) = (&self.parts.store, &self.connection.id, self.parts.clock.now());
        let still = store.connection(id).await?;
        if still.is_none_or(|now| now.status == Status::Paused && !self.forced) {
            return Ok(None);
        }
        store.mark_started(id, now).await?;
        store.begin_cycle(id, self.forced, now).await.map(Some)
    }

    /// The cycle itself. `done` is told what it did, however it ends.
    async fn work(&self, shown: &watch::Sender<ProgressView>, done: &mut Done) -> Result<Report, SyncError> {
        let setup = |error: anyhow::Error| SyncError::Setup(format!("{error:#}"));
        let (engine, progress) = self.engine().await.map_err(setup)?;
        let (stripe, last) = (engine.stripe.clone(), progress.clone());
        let before = standings(self.reader, &self.connection.name).await.map_err(setup)?;
        let meter = Meter::new(&before, self.parts.clock.now());
        shown.send_modify(|view| view.tables = ProgressView::at_rest(before).tables);
        let watching = self.show(progress, meter, shown);
        let working = async move {
            let cycle = engine.run(self.stop);
            let overdue = async {
                self.stop.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            // Dropping a cycle is safe at any moment, like killing it.
            tokio::select! {
                report = cycle => report,
                () = overdue => Err(SyncError::Stopped),
            }
        };
        let (report, ()) = tokio::join!(working, watching);
        *done = Done { rows: last.borrow().rows(), requests: stripe.requests() };
        report
    }

    async fn engine(&self) -> anyhow::Result<(Engine<DuckDb>, watch::Receiver<Progress>)> {
        let Parts { store, warehouse, stripe: options, clock } = self.parts;
        let schema: SchemaName = self.connection.name.parse()?;
        let key = store.credentials(&self.connection.id).await?;
        warehouse.prepare(&schema, catalog::tables().collect()).await?;
        self.claim(&schema).await?;
        let stripe = stripe(options, key, RetryPolicy::default(), Arc::clone(clock))?;
        let (sender, progress) = watch::channel(Progress::starting());
        let warehouse = Arc::clone(warehouse);
        Ok((Engine { stripe, warehouse, schema, progress: sender, options: Options::default() }, progress))
    }

    /// A schema holds one account's rows: under a name that was used before, another account's must not mix with them.
    async fn claim(&self, schema: &SchemaName) -> anyhow::Result<()> {
        let Connection { account_id, livemode, name, .. } = self.connection;
        let own = serde_json::json!({ "account": account_id, "livemode": livemode });
        let stored = self.parts.warehouse.checkpoints(schema).await?;
        let holder =
            stored.into_iter().find(|checkpoint| checkpoint.key == OWNER).and_then(|found| found.value);
        match holder {
            Some(holder) if holder == own => Ok(()),
            Some(holder) => bail!(
                "the schema {name} holds the copy of another account or mode ({holder}); delete this connection and \
                 connect under another name"
            ),
            None => {
                let checkpoints = vec![Checkpoint { key: OWNER.to_owned(), value: Some(own) }];
                let (schema, writes, rejects) = (schema.clone(), Vec::new(), Vec::new());
                self.parts.warehouse.apply(Batch { schema, writes, checkpoints, rejects }).await?;
                Ok(())
            }
        }
    }

    /// Shows the progress until the engine is gone.
    async fn show(
        &self,
        mut progress: watch::Receiver<Progress>,
        mut meter: Meter,
        shown: &watch::Sender<ProgressView>,
    ) {
        let first = self.connection.last_success_began_at.is_none();
        let mut noted = None;
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            let view = meter.view(&now, self.parts.clock.now());
            let percent = view.first_copy_percent();
            shown.send_replace(view);
            if let Some(percent) = percent.filter(|_| first)
                && noted != Some(percent)
            {
                noted = Some(percent);
                self.note_percent(percent).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn note_percent(&self, percent: u8) {
        let status = Status::Backfilling { percent };
        if let Err(error) = self.parts.store.set_status_unless_paused(&self.connection.id, &status).await {
            tracing::warn!(connection = self.connection.name, %error, "could not note how far the copy is");
        }
    }

    async fn note_end(
        &self,
        cycle: &str,
        began_at: chrono::DateTime<chrono::Utc>,
        summary: &Summary,
    ) -> Result<(), StoreError> {
        let (store, id, ended_at) = (&self.parts.store, &self.connection.id, self.parts.clock.now());
        let success = summary.ending == super::Ending::Success;
        store.mark_ended(id, RunMark { began_at, ended_at, success, brought_rows: summary.rows > 0 }).await?;
        if let Some(outcome) = summary.outcome() {
            let rows = i64::try_from(summary.rows).unwrap_or(i64::MAX);
            store
                .finish_cycle(cycle, &CycleEnd { at: ended_at, outcome, rows, detail: summary.detail() })
                .await?;
        }
        match summary.status() {
            Some(status) => store.set_status_unless_paused(id, &status).await,
            None => Ok(()),
        }
    }
}
