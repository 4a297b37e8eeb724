//! What a running cycle shows.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a cycle is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Asking what there is.
    Starting,
    /// The first copy.
    Copying,
    /// Applying what changed since.
    Changes,
    /// Over, well or not.
    Finished,
}

/// A table within a running cycle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableProgress {
    /// Rows written in this cycle.
    pub rows: u64,
    /// Of 1,000 parts of the time to walk, those walked; none while the list's length is unknown.
    pub permille: Option<u32>,
    /// The first copy of the table is complete.
    pub complete: bool,
    /// Stripe does not give it: not enabled, or not permitted.
    pub unavailable: bool,
    /// Why the table does not go on.
    pub why: Option<String>,
}

/// A running cycle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Each table by name.
    pub tables: BTreeMap<&'static str, TableProgress>,
}

impl Progress {
    /// Before the first page.
    #[must_use]
    pub fn starting() -> Self {
        let tables =
            catalog::resources().iter().map(|resource| (resource.table.name, TableProgress::default()));
        Self { phase: Phase::Starting, tables: tables.collect() }
    }

    /// Rows written in this cycle, all tables together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|table| table.rows).sum()
    }
}
