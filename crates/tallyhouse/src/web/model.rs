//! How the pages see updates: what the rest of the program implements for them.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sync::TableState;
use tokio::sync::watch;

use crate::updates::{Standing, missed_changes};

/// Starts and stops updates, and tells how they go. Connections are named by their name.
pub trait SyncControl: Send + Sync + 'static {
    /// Begins an update now, whatever the schedule says. Returns once it is under way; one that runs already is fine.
    fn start<'a>(&'a self, connection: &'a str) -> BoxFuture<'a, Result<(), StartError>>;

    /// Ends a running update, and whatever else writes rows of the connection, and waits until nothing of it is left. Does nothing when none runs.
    fn stop<'a>(&'a self, connection: &'a str) -> BoxFuture<'a, ()>;

    /// Events that Stripe pushed are on disk: they are to be applied soon. Returns at once.
    fn wake(&self, connection_id: &str, name: &str);

    /// When the running update began; none when none runs. Nothing is asked for it.
    fn running_since(&self, connection: &str) -> Option<DateTime<Utc>>;

    /// How the connection's tables stand now, and how that changes. Between updates it tells what is stored. The
    /// receiver ends when the program does.
    fn subscribe<'a>(&'a self, connection: &'a str) -> BoxFuture<'a, watch::Receiver<ProgressView>>;
}

/// Why an update did not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not begin the update: {why}")]
pub struct StartError {
    /// A sentence without secrets, for the page.
    pub why: String,
}

/// How an update of one connection goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressView {
    /// What it is doing.
    pub phase: SyncPhase,
    /// When it began; none between updates.
    pub began_at: Option<DateTime<Utc>>,
    /// Every table, in the order to show.
    pub tables: Vec<TableProgressView>,
}

/// What an update is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncPhase {
    /// None runs.
    #[default]
    Resting,
    /// Asking what there is.
    Starting,
    /// The first copy.
    Copying,
    /// Applying what changed since.
    Changes,
}

/// How one table stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableProgressView {
    /// Its name in the warehouse.
    pub table: String,
    /// Where it is in its life.
    pub state: TableStanding,
    /// Rows in the warehouse.
    pub rows: u64,
    /// Of the first copy; none when its length is unknown.
    pub percent: Option<u8>,
    /// How fast it goes now.
    pub objects_per_s: Option<u64>,
    /// How long the rest will take at that pace.
    pub seconds_left: Option<u64>,
    /// When a row was last written.
    pub last_data_at: Option<DateTime<Utc>>,
    /// Why it does not go on, or what is missing of it, in a sentence.
    pub why: Option<String>,
}

/// Where a table is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableStanding {
    /// Nothing was asked yet.
    Waiting,
    /// Its first copy runs.
    Copying,
    /// The first copy is complete.
    Live,
    /// The first copy is complete, but changes since may have been missed: it is compared with Stripe.
    Comparing,
    /// Stripe does not give it: not enabled, or the key lacks the permission.
    Unavailable,
    /// The last attempt failed.
    Failed,
}

impl ProgressView {
    /// Whether an update runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.phase != SyncPhase::Resting
    }

    /// Between updates.
    #[must_use]
    pub fn at_rest(standings: Vec<Standing>) -> Self {
        let mut tables: Vec<_> = standings.into_iter().map(TableProgressView::at_rest).collect();
        if tables.is_empty() {
            let nothing = |resource: &&catalog::Resource| TableProgressView::waiting(resource.table.name);
            tables = catalog::resources().iter().map(nothing).collect();
        }
        Self { phase: SyncPhase::Resting, began_at: None, tables }
    }

    /// An update begins where the last one ended.
    pub fn begin(&mut self, at: DateTime<Utc>) {
        (self.phase, self.began_at) = (SyncPhase::Starting, Some(at));
    }

    /// How far a first copy is, all tables together; none when there is none.
    #[must_use]
    pub fn first_copy_percent(&self) -> Option<u8> {
        if self.phase != SyncPhase::Copying
            || self
                .tables
                .iter()
                .all(|table| matches!(table.state, TableStanding::Live | TableStanding::Comparing))
        {
            return None;
        }
        let done = |table: &TableProgressView| match table.state {
            TableStanding::Live | TableStanding::Comparing | TableStanding::Unavailable => 100,
            TableStanding::Waiting | TableStanding::Copying | TableStanding::Failed => {
                table.percent.unwrap_or(0)
            }
        };
        let sum: usize = self.tables.iter().map(|table| usize::from(done(table))).sum();
        u8::try_from(sum / self.tables.len().max(1)).ok()
    }
}

impl TableProgressView {
    /// Before the first page.
    #[must_use]
    pub fn waiting(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            state: TableStanding::Waiting,
            rows: 0,
            percent: None,
            objects_per_s: None,
            seconds_left: None,
            last_data_at: None,
            why: None,
        }
    }

    fn at_rest(standing: Standing) -> Self {
        let Standing { table, rows, last_data_at, state, missing, failed } = standing;
        let (state, why) = match state {
            _ if failed.is_some() => (TableStanding::Failed, failed),
            None => (TableStanding::Waiting, None),
            Some(TableState::Copying { .. }) => (TableStanding::Copying, None),
            Some(state) if missed_changes(&state) => (TableStanding::Comparing, missing),
            // Its rows are all there; that they are compared, since it is time, is the cycle's business.
            Some(TableState::Live { .. } | TableState::Comparing { .. }) => (TableStanding::Live, missing),
            Some(TableState::Unavailable { why }) => (TableStanding::Unavailable, Some(why)),
        };
        Self { state, rows, last_data_at, why, ..Self::waiting(&table) }
    }
}
