//! Begins the cycles that are due.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use store::{Connection, Status};
use tokio_util::sync::CancellationToken;

use super::Updates;

/// How often is looked whether a cycle is due: connections come and go meanwhile.
const LOOK: Duration = Duration::from_secs(5);

impl Updates {
    /// Begins a cycle of every connection whose last one began so long ago, until `stop`. Paused ones are left alone. With
    /// 0 minutes there is no schedule.
    pub async fn keep_schedule(&self, every_minutes: u32, stop: CancellationToken) {
        let every = TimeDelta::minutes(i64::from(every_minutes));
        while every_minutes > 0 {
            self.begin_due(every).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn begin_due(&self, every: TimeDelta) {
        let connections = match self.inner.parts.store.connections().await {
            Ok(connections) => connections,
            Err(error) => return tracing::error!(%error, "could not look for updates that are due"),
        };
        let now = self.inner.parts.clock.now();
        for connection in connections.iter().filter(|connection| is_due(connection, every, now)) {
            if let Err(error) = self.begin(&connection.name, false).await {
                // Mostly somebody paused or deleted it just now.
                tracing::warn!(connection = connection.name, %error, "could not begin a scheduled update");
            }
        }
    }
}

/// A first copy that was cut short is due at once; Stripe's refusal of the credentials waits for a person.
fn is_due(connection: &Connection, every: TimeDelta, now: DateTime<Utc>) -> bool {
    match connection.status {
        Status::Paused | Status::ReauthenticationRequired { .. } => false,
        Status::Connecting | Status::Backfilling { .. } => true,
        Status::Success | Status::Delayed { .. } | Status::Partial { .. } | Status::Failed { .. } => {
            connection.last_started_at.is_none_or(|began| now - began >= every)
        }
    }
}
