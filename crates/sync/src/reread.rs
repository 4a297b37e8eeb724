//! Lists that no event tells all of: they are walked again from time to time (trap 17).

use std::time::Duration;

use catalog::{List, Table};

use crate::{Began, TableState};

/// How often to walk again what events do not tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reread {
    /// The recent part of lists that can be asked by time, and others whole.
    pub recent_every: Duration,
    /// How long ago something may have been created to be recent: what is older seldom changes.
    pub recent: Duration,
    /// All of it.
    pub whole_every: Duration,
    /// All of what events do tell of: deletions without an event, and changes that Stripe tells nobody, show no other way.
    pub told_every: Duration,
    /// All parents of lists that must be asked parent by parent; between two rounds over all, those whose rows changed.
    pub rounds_every: Duration,
}

/// The objects whose tables are never walked again: what Stripe dropped cannot come back. One for each version of its API.
pub(crate) const EVENTS: [&str; 2] = ["event", "v2.core.event"];

/// Whether the table holds events.
pub(crate) fn is_feed(table: &Table) -> bool {
    EVENTS.contains(&table.object)
}

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

impl Default for Reread {
    fn default() -> Self {
        let (recent_every, recent) = (Duration::from_secs(6 * HOUR), Duration::from_secs(45 * DAY));
        let (whole_every, told_every) = (Duration::from_secs(7 * DAY), Duration::from_secs(28 * DAY));
        Self { recent_every, recent, whole_every, told_every, rounds_every: told_every }
    }
}

impl Reread {
    /// The state of a table whose list is to be walked again now; none when that is not due. Its events are `read` or not.
    pub(crate) fn due(&self, list: &List, state: &TableState, now: Began, read: bool) -> Option<TableState> {
        let TableState::Live { frontier, walks } = state else { return None };
        if is_feed(list.table) {
            return None;
        }
        let now_micros = now.dated_micros;
        let over = |last: Option<i64>, every| last.is_none_or(|last| now_micros - last >= micros(every));
        let told = read && list.is_followed();
        let whole = over(walks.whole_micros, if told { self.told_every } else { self.whole_every });
        let recent = !told && over(walks.recent_micros, self.recent_every);
        let from = match (list.created.is_some(), whole, recent) {
            (_, true, _) | (false, false, true) => None,
            (true, false, true) => Some((now_micros - micros(self.recent)) / 1_000_000),
            (_, false, false) => return None,
        };
        Some(TableState::Comparing { frontier: *frontier, began: now, from, walks: *walks })
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
