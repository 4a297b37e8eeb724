//! How the pages see updates: what the rest of the program implements for them.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use tokio::sync::watch;

/// Starts and stops updates, and tells how they go. Connections are named by their name.
pub trait SyncControl: Send + Sync + 'static {
    /// Begins an update now, whatever the schedule says. Returns once it is under way; one that runs already is fine.
    fn start<'a>(&'a self, connection: &'a str) -> BoxFuture<'a, Result<(), StartError>>;

    /// Ends a running update and waits until nothing of it is left. Does nothing when none runs.
    fn stop<'a>(&'a self, connection: &'a str) -> BoxFuture<'a, ()>;

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgressView {
    /// What it is doing.
    pub phase: SyncPhase,
    /// When it began; none between updates.
    pub began_at: Option<DateTime<Utc>>,
    /// Every table, in the order to show.
    pub tables: Vec<TableProgressView>,
}

/// What an update is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Why it does not go on, in a sentence.
    pub why: Option<String>,
}

/// Where a table is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableStanding {
    /// Nothing was asked yet.
    Waiting,
    /// Its first copy runs.
    Copying,
    /// The first copy is complete.
    Live,
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
}
