//! What a cycle did, as it is told and kept.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use store::{Outcome, Status};
use sync::{Report, SyncError, TableReport, TableState};

/// New objects still come by list.
const UNFOLLOWED: &str = "events cannot be read, so changes of older objects are not followed; \
                          add read access to events to the key";

/// How the words begin that tell of a table that failed. Cycles are stored with them.
const FAILED: &str = "failed: ";

/// Why each table failed that did, as the detail of a stored cycle tells ([`Summary::detail`]).
pub(super) fn failures(detail: &serde_json::Value) -> HashMap<String, String> {
    let why = |words: &serde_json::Value| Some(words.as_str()?.strip_prefix(FAILED)?.to_owned());
    let told = detail.as_object().into_iter().flatten();
    told.filter_map(|(table, words)| Some((table.clone(), why(words)?))).collect()
}

/// What a cycle did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How it ended.
    pub ending: Ending,
    /// Why it did not end well, in a sentence.
    pub why: Option<String>,
    /// What it did to each table.
    pub tables: Vec<TableSummary>,
    /// Rows written.
    pub rows: u64,
    /// Requests to Stripe.
    pub requests: u64,
    /// Stripe refuses the credentials.
    pub unauthorized: bool,
}

/// How a cycle ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Everything came.
    Success,
    /// Some tables failed.
    Partial,
    /// What concerns all tables ended it early.
    Failed,
    /// Somebody ended it; the next one goes on from there.
    #[default]
    Stopped,
}

/// What a cycle did to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSummary {
    /// Its name.
    pub table: String,
    /// Rows written.
    pub rows: u64,
    /// What kept it from going on.
    pub note: Option<String>,
    /// It should have gone on; an unavailable table, or one of which Stripe does not show all, has a note only.
    pub failed: bool,
}

/// What a cycle has done by its end, also an early one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    /// Rows written.
    pub(super) rows: u64,
    /// Requests to Stripe.
    pub(super) requests: u64,
}

impl Summary {
    pub(super) fn of(result: &Result<Report, SyncError>, Done { rows, requests }: Done) -> Self {
        match result {
            Ok(report) => Self::of_report(report),
            Err(error) => Self {
                ending: if matches!(error, SyncError::Stopped) { Ending::Stopped } else { Ending::Failed },
                why: Some(error.sentence()),
                unauthorized: error.is_unauthorized(),
                rows,
                requests,
                ..Self::default()
            },
        }
    }

    /// A cycle that a fault of this program ended.
    pub(super) fn of_panic() -> Self {
        let why =
            "the update ended by a fault of Tallyhouse's own, which the log shows; what was copied is safe";
        Self { ending: Ending::Failed, why: Some(why.to_owned()), ..Self::default() }
    }

    fn of_report(report: &Report) -> Self {
        let tables: Vec<TableSummary> = report.tables.iter().map(TableSummary::of).collect();
        let failed = tables.iter().filter(|table| table.failed);
        let failed: Vec<String> = failed
            .map(|table| format!("{}: {}", table.table, table.note.as_deref().unwrap_or_default()))
            .collect();
        let unfollowed = report.tables.iter().any(is_refused_feed).then(|| UNFOLLOWED.to_owned());
        let failed: Vec<String> = failed.into_iter().chain(unfollowed).collect();
        let mut errors = report.tables.iter().filter_map(TableReport::error);
        Self {
            ending: if failed.is_empty() { Ending::Success } else { Ending::Partial },
            why: (!failed.is_empty()).then(|| failed.join("; ")),
            unauthorized: errors.any(SyncError::is_unauthorized),
            rows: report.rows(),
            requests: report.requests,
            tables,
        }
    }

    /// What the connection's status becomes; none leaves it as it is.
    pub(super) fn status(&self) -> Option<Status> {
        let why = self.why.clone().unwrap_or_default();
        match self.ending {
            Ending::Stopped => None,
            Ending::Success => Some(Status::Success),
            Ending::Partial | Ending::Failed if self.unauthorized => {
                Some(Status::ReauthenticationRequired { why })
            }
            Ending::Partial => Some(Status::Partial { why }),
            Ending::Failed => Some(Status::Failed { why }),
        }
    }

    /// As the list of cycles knows it; none for one that was stopped, which stays without end.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self.ending {
            Ending::Success => Some(Outcome::Success),
            Ending::Partial => Some(Outcome::PartlyFailed),
            Ending::Failed => Some(Outcome::Failed),
            Ending::Stopped => None,
        }
    }

    /// For each table with something to say, what it says.
    pub(super) fn detail(&self) -> serde_json::Value {
        let told = self.tables.iter().filter(|table| table.rows > 0 || table.note.is_some());
        let mut detail: serde_json::Map<String, serde_json::Value> =
            told.map(|table| (table.table.clone(), table.words().into())).collect();
        if detail.is_empty()
            && let Some(why) = &self.why
        {
            detail.insert("all tables".to_owned(), why.clone().into());
        }
        detail.into()
    }
}

/// Whether these are the events, and Stripe does not give them, or no longer.
fn is_refused_feed(report: &TableReport) -> bool {
    let is_refused = matches!(report.outcome, Ok(TableState::Unavailable { .. }));
    report.table == "events" && (is_refused || report.error().is_some_and(SyncError::is_unavailable))
}

impl TableSummary {
    fn of(report: &TableReport) -> Self {
        let note = match (report.error(), &report.outcome) {
            (Some(error), _) => Some(error.sentence()),
            (None, Ok(TableState::Unavailable { why })) => Some(format!("unavailable: {why}")),
            (None, _) => None,
        };
        // What a key may not be shown is said, and no failure: nothing that is tried again would mend it.
        let failed = report.error().is_some_and(|error| !error.is_withheld());
        Self { table: report.table.to_owned(), rows: report.rows, note, failed }
    }

    /// "1204 rows", or why not.
    #[must_use]
    pub fn words(&self) -> String {
        let rows = || format!("{} {}", self.rows, if self.rows == 1 { "row" } else { "rows" });
        match &self.note {
            Some(note) if self.failed => format!("{FAILED}{note}"),
            Some(note) if self.rows > 0 => format!("{}; {note}", rows()),
            Some(note) => note.clone(),
            None => rows(),
        }
    }
}
