//! Lists that no event tells all of: they are walked again from time to time (trap 17).

use std::time::Duration;

use catalog::List;

use crate::TableState;

/// How often to walk again what events do not tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reread {
    /// The recent part of lists that can be asked by time, and others whole.
    pub recent_every: Duration,
    /// How long ago something may have been created to be recent: what is older seldom changes.
    pub recent: Duration,
    /// All of it.
    pub whole_every: Duration,
}

/// The table of events, which is not walked again when it is time: the feed itself is read. What Stripe dropped stays.
pub(crate) const EVENTS: &str = "events";

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

impl Default for Reread {
    fn default() -> Self {
        let (recent_every, recent) = (Duration::from_secs(6 * HOUR), Duration::from_secs(45 * DAY));
        Self { recent_every, recent, whole_every: Duration::from_secs(7 * DAY) }
    }
}

impl Reread {
    /// The state of a table whose list is to be walked again now; none when that is not due.
    pub(crate) fn due(&self, list: &List, state: &TableState, now_micros: i64) -> Option<TableState> {
        let TableState::Live { frontier, walks } = state else { return None };
        if list.is_followed() || list.table.name == EVENTS {
            return None;
        }
        let over = |last: Option<i64>, every| last.is_none_or(|last| now_micros - last >= micros(every));
        let whole = over(walks.whole_micros, self.whole_every);
        let recent = over(walks.recent_micros, self.recent_every);
        let from = match (list.created, whole, recent) {
            (_, true, _) | (false, false, true) => None,
            (true, false, true) => Some((now_micros - micros(self.recent)) / 1_000_000),
            (_, false, false) => return None,
        };
        Some(TableState::Comparing { frontier: *frontier, since_micros: now_micros, from, walks: *walks })
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
