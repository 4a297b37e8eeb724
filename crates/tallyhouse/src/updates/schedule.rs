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
        if every_minutes == 0 {
            return;
        }
        let every = TimeDelta::minutes(i64::from(every_minutes));
        loop {
            self.begin_due(every).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    pub(super) async fn begin_due(&self, every: TimeDelta) {
        let connections = match self.inner.parts.store.connections().await {
            Ok(connections) => connections,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                return tracing::error!(error, "could not look for updates that are due");
            }
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

/// A first copy that was cut short is due at once; Stripe's refusal of the credentials waits for a person. A beginning that
/// lies in the future was noted while this machine's clock was ahead, and says nothing of how long ago it was.
fn is_due(connection: &Connection, every: TimeDelta, now: DateTime<Utc>) -> bool {
    match connection.status {
        Status::Paused | Status::ReauthenticationRequired { .. } => false,
        Status::Connecting | Status::Backfilling { .. } => true,
        Status::Success | Status::Delayed { .. } | Status::Partial { .. } | Status::Failed { .. } => {
            connection.last_started_at.is_none_or(|began| began > now || now - began >= every)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn connection(status: Status, last_started_at: Option<DateTime<Utc>>) -> Connection {
        Connection { status, last_started_at, ..testing::connection("shop") }
    }

    #[test]
    fn a_connection_is_due_when_its_last_cycle_began_long_enough_ago() {
        let due = |status, began, now| is_due(&connection(status, began), TimeDelta::minutes(15), at(now));
        let why = || "because".to_owned();
        for status in [
            Status::Success,
            Status::Partial { why: why() },
            Status::Failed { why: why() },
            Status::Delayed { since: at(0), why: why() },
        ] {
            assert!(due(status.clone(), Some(at(0)), 15), "{status:?}");
            assert!(!due(status.clone(), Some(at(0)), 14), "{status:?}");
            assert!(due(status.clone(), None, 0), "{status:?}");
        }
    }

    #[test]
    fn a_clock_that_was_ahead_keeps_no_connection_from_being_due() {
        let ahead = Some(at(365 * 24 * 60));
        assert!(is_due(&connection(Status::Success, ahead), TimeDelta::minutes(15), at(0)));
    }

    #[test]
    fn a_first_copy_goes_on_at_once_and_what_waits_for_a_person_does_not() {
        let due = |status| is_due(&connection(status, Some(at(0))), TimeDelta::minutes(15), at(0));
        assert!(due(Status::Connecting));
        assert!(due(Status::Backfilling { percent: 42 }));
        let due = |status| is_due(&connection(status, Some(at(0))), TimeDelta::minutes(15), at(1_000));
        assert!(!due(Status::Paused));
        assert!(!due(Status::ReauthenticationRequired { why: "because".to_owned() }));
    }
}
