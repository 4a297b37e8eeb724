//! How much of each connection's webhooks waits, against how much may.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use store::{Delivery, Level, Store, StoreError};

use crate::config::Webhooks;

/// How long a count is believed that leaves no room: until then nothing was applied, as far as is known.
const LIFE: TimeDelta = TimeDelta::seconds(1);

/// What is known of each connection. What leaves the inbox is seen only when there seems to be no room any more.
#[derive(Debug)]
pub(super) struct Levels {
    bound: Webhooks,
    known: HashMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    /// At most: what came since `counted_at` is added, what was applied since is not taken away.
    level: Level,
    counted_at: DateTime<Utc>,
    is_full: bool,
}

impl Levels {
    pub(super) fn new(bound: Webhooks) -> Self {
        Self { bound, known: HashMap::new() }
    }

    /// Whether a delivery may still wait; one that may is counted. The log says when a connection's room ends, and when
    /// there is some again.
    pub(super) async fn admit(
        &mut self,
        store: &Store,
        now: DateTime<Utc>,
        delivery: &Delivery,
        name: &str,
    ) -> Result<bool, StoreError> {
        let id = &delivery.connection_id;
        let size = u64::try_from(delivery.body.len()).unwrap_or(u64::MAX);
        let more = |level: Level| Level { events: level.events + 1, bytes: level.bytes.saturating_add(size) };
        let before = self.known.get(id);
        let was_full = before.is_some_and(|known| known.is_full);
        let believed = before
            .filter(|known| self.bound.holds(more(known.level)) || (now - known.counted_at).abs() < LIFE);
        let (level, counted_at) = match believed {
            Some(known) => (known.level, known.counted_at),
            None => (store.inbox_level(id).await?, now),
        };
        let fits = self.bound.holds(more(level));
        let level = if fits { more(level) } else { level };
        let Level { events, bytes } = level;
        match (was_full, fits) {
            (false, false) => tracing::warn!(
                connection = name,
                events,
                bytes,
                "webhooks are refused until some of those that wait are applied; Stripe sends them again for three days"
            ),
            (true, true) => tracing::info!(connection = name, events, bytes, "webhooks are taken again"),
            (false, true) | (true, false) => {}
        }
        self.known.insert(id.clone(), Known { level, counted_at, is_full: !fits });
        Ok(fits)
    }
}

impl Webhooks {
    /// Whether so much may wait.
    #[must_use]
    pub fn holds(&self, level: Level) -> bool {
        level.events <= self.most_waiting && level.bytes <= self.most_waiting_mb.saturating_mul(1024 * 1024)
    }
}
