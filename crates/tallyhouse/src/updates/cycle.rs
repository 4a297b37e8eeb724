//! One update cycle of one connection, with what it leaves in the store.

use std::time::Duration;

use store::{Connection, CycleEnd, RunMark, Status, StoreError};
use sync::{Phase, Progress, Report, SyncError};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use warehouse::Reader;

use super::{Parts, Summary, engines::Engines, meter::Meter, standing::states, standings, summary::Done};
use crate::web::ProgressView;

/// A page under way may end after a stop; a request that waits for Stripe longer than that may not.
const GRACE: Duration = Duration::from_secs(5);
/// The shortest time between two looks at the progress.
const PAUSE: Duration = Duration::from_millis(200);

/// One update cycle.
pub(super) struct Cycle<'a> {
    pub(super) parts: &'a Parts,
    pub(super) engines: &'a Engines,
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
            if let Err(error) = &result {
                self.log(error);
            }
            let summary = Summary::of(&result, done);
            self.note_end(&id, began_at, &summary).await?;
            Ok(summary)
        };
        noted.await.unwrap_or_else(|error| self.unnoted(&error))
    }

    /// Tells the log why the cycle ended early, with every cause: those of the warehouse are told nowhere else, since they
    /// can quote rows.
    fn log(&self, error: &SyncError) {
        let (connection, told) = (&self.connection.name, error as &dyn std::error::Error);
        if error.is_unauthorized() {
            // It waits for a person, and the connection's page says for what.
            tracing::warn!(connection, error = told, "Stripe refused the credentials of an update");
        } else if !matches!(error, SyncError::Stopped) {
            tracing::error!(connection, error = told, "an update failed");
        }
    }

    /// The store failed: the rows are safe, but nobody can be told of them there. Where the connection was deleted
    /// meanwhile, nobody needs to be.
    fn unnoted(&self, error: &StoreError) -> Summary {
        if matches!(error, StoreError::NotFound { .. }) {
            return Summary::default();
        }
        let told = error as &dyn std::error::Error;
        tracing::error!(connection = self.connection.name, error = told, "could not note an update cycle");
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
        let (engine, progress) = self.engines.for_cycle(self.parts, self.connection).await.map_err(setup)?;
        let (stripe, last) = (engine.stripe.clone(), progress.clone());
        let before = standings(self.reader, &self.parts.store, &self.connection.name).await.map_err(setup)?;
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

    /// Shows the progress until the engine is gone.
    async fn show(
        &self,
        mut progress: watch::Receiver<Progress>,
        mut meter: Meter,
        shown: &watch::Sender<ProgressView>,
    ) {
        let first = self.connection.last_success_began_at.is_none();
        let (mut noted, mut looked) = (None, false);
        let mut ending = progress.clone();
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            if now.phase != Phase::Starting && !std::mem::replace(&mut looked, true) {
                self.look_for_missed_changes(&mut meter).await;
            }
            let view = meter.view(&now, self.parts.clock.now());
            let percent = view.first_copy_percent();
            shown.send_replace(view);
            if let Some(percent) = percent.filter(|_| first)
                && noted != Some(percent)
            {
                noted = Some(percent);
                self.note_percent(percent).await;
            }
            // Nobody waits for a pause when there is nothing more to show.
            let _paused = timeout(PAUSE, ending.wait_for(|now| now.phase == Phase::Finished)).await;
        }
    }

    /// Before the first walk the engine has found out whether Stripe dropped changes before they were read.
    async fn look_for_missed_changes(&self, meter: &mut Meter) {
        match states(self.reader, &self.connection.name).await {
            Ok(states) => meter.compares(&states),
            Err(error) => tracing::error!(
                connection = self.connection.name,
                error = format!("{error:#}"),
                "could not read whether changes were missed"
            ),
        }
    }

    async fn note_percent(&self, percent: u8) {
        let status = Status::Backfilling { percent };
        if let Err(error) = self.parts.store.set_status_unless_paused(&self.connection.id, &status).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(connection = self.connection.name, error, "could not note how far the copy is");
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
        if let Some(status) = summary.status() {
            store.set_status_unless_paused(id, &status).await?;
        }
        if let Err(error) = store.forget_old_cycles(id).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(connection = self.connection.name, error, "could not forget old update cycles");
        }
        Ok(())
    }
}
