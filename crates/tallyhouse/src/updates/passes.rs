//! Passes over what Stripe pushed: at most one of a connection at a time, soon after it came, beside its cycles.

use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use store::{Connection, Postponed, Status, Waiting};
use sync::{Pass, Pushed, PushedEvent, SyncError};
use tokio_util::sync::CancellationToken;

use super::{Inner, Updates};

/// How long the rest of a burst is waited for: what names one object is read once then.
const BURST: Duration = Duration::from_millis(100);
/// Events of one pass.
const EVENTS: u32 = 500;
/// How often is looked for events that are due again, or that were left by a process that died.
const LOOK: Duration = Duration::from_secs(5);
/// The longest that an event waits before it is looked at again.
const LONGEST: TimeDelta = TimeDelta::minutes(5);

/// A connection whose events are worked on.
pub(super) struct Passing {
    /// Its name; deleting and pausing know it by that.
    name: String,
    /// More came since the last look.
    more: bool,
    stop: CancellationToken,
    /// Cancelled when nothing of it is left.
    over: CancellationToken,
}

/// Takes the mark away, whatever happens.
struct Mark<'a> {
    inner: &'a Inner,
    connection_id: &'a str,
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        if let Some(passing) = self.inner.passing().remove(self.connection_id) {
            passing.over.cancel();
        }
    }
}

impl Updates {
    /// Events of the connection are due: a pass begins, or the one that runs looks again.
    pub(super) fn wake_up(&self, connection_id: &str, name: &str) {
        let mut all = self.inner.passing();
        if self.inner.stop.is_cancelled() {
            return;
        }
        if let Some(passing) = all.get_mut(connection_id) {
            passing.more = true;
            return;
        }
        let (stop, over) = (self.inner.stop.child_token(), CancellationToken::new());
        let passing = Passing { name: name.to_owned(), more: true, stop: stop.clone(), over };
        all.insert(connection_id.to_owned(), passing);
        let (updates, connection_id) = (self.clone(), connection_id.to_owned());
        self.inner.tasks.spawn(async move { updates.inner.work_off(&connection_id, &stop).await });
    }

    /// Looks for events that are due, until `stop`.
    pub async fn keep_following(&self, stop: CancellationToken) {
        let Inner { parts, .. } = &*self.inner;
        loop {
            match parts.store.connections_with_deliveries(parts.clock.now()).await {
                Ok(due) => due.iter().for_each(|(id, name)| self.wake_up(id, name)),
                Err(error) => tracing::error!(%error, "could not look for webhooks that are due"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// A cycle ended: what waited for it may go on.
    pub(super) async fn look_again(&self, connection: &Connection) {
        let Inner { parts, .. } = &*self.inner;
        if let Err(error) = parts.store.hasten_deliveries(&connection.id, parts.clock.now()).await {
            tracing::warn!(connection = connection.name, %error, "could not look at webhooks again");
        }
        self.wake_up(&connection.id, &connection.name);
    }

    /// Stops the pass of a connection and waits until nothing of it is left.
    pub(super) async fn stop_passing(&self, name: &str) {
        let found = self.inner.passing().values().find(|passing| passing.name == name).map(|passing| {
            passing.stop.cancel();
            passing.over.clone()
        });
        if let Some(over) = found {
            over.cancelled().await;
        }
    }
}

impl Inner {
    /// Passes, until nothing is due.
    async fn work_off(&self, connection_id: &str, stop: &CancellationToken) {
        let mark = Mark { inner: self, connection_id };
        let mut full = false;
        loop {
            let burst = if full { Duration::ZERO } else { BURST };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(burst) => {}
            }
            self.passing().get_mut(connection_id).into_iter().for_each(|passing| passing.more = false);
            full = match self.pass(connection_id, stop).await {
                Ok(full) => full,
                Err(error) => {
                    tracing::error!(connection_id, "webhooks wait, since a pass failed: {error:#}");
                    return;
                }
            };
            let mut all = self.passing();
            let more = full || all.get(connection_id).is_some_and(|passing| passing.more);
            if !more || stop.is_cancelled() {
                // Under the lock that whoever wakes it takes: nobody is told that it goes on when it does not.
                if let Some(passing) = all.remove(connection_id) {
                    passing.over.cancel();
                }
                std::mem::forget(mark);
                return;
            }
        }
    }

    /// One pass; whether it was as large as one may be, so that more may be due.
    async fn pass(&self, connection_id: &str, stop: &CancellationToken) -> anyhow::Result<bool> {
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        let Some(connection) = store.connection(connection_id).await? else { return Ok(false) };
        if matches!(connection.status, Status::Paused | Status::ReauthenticationRequired { .. }) {
            return Ok(false);
        }
        let due = store.due_deliveries(connection_id, EVENTS, now).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let engine = self.engines.for_pass(&self.parts, &connection).await?;
        let is_full = u32::try_from(due.len()).is_ok_and(|events| events >= EVENTS);
        let event = |waiting: &Waiting| PushedEvent {
            id: waiting.event_id.clone(),
            body: waiting.body.clone(),
            looked_at_micros: waiting.looked_at_micros,
        };
        match engine.apply_pushed(due.iter().map(event).collect(), stop).await {
            Ok(pass) => self.settle(connection_id, &due, pass).await.map(|()| is_full),
            Err(SyncError::Stopped) => Ok(false),
            Err(error) if error.is_unauthorized() => {
                let status = Status::ReauthenticationRequired { why: error.sentence() };
                store.set_status_unless_paused(connection_id, &status).await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Only now that they are in the warehouse do events leave the inbox.
    async fn settle(&self, connection_id: &str, due: &[Waiting], mut pass: Pass) -> anyhow::Result<()> {
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        let (mut applied, mut postponed) = (Vec::new(), Vec::new());
        for Waiting { event_id, tries, .. } in due {
            match pass.events.remove(event_id) {
                Some(Pushed::Applied) => applied.push(event_id.clone()),
                Some(Pushed::Waits { why, looked_at_micros }) => {
                    let due_at = Some(now + pause(*tries));
                    let (event_id, looked_at_micros) = (event_id.clone(), Some(looked_at_micros));
                    postponed.push(Postponed { event_id, due_at, looked_at_micros, why });
                }
                Some(Pushed::Odd { why }) => {
                    tracing::warn!(
                        connection_id,
                        event_id,
                        why,
                        "a webhook cannot be understood; it is kept"
                    );
                    let event_id = event_id.clone();
                    postponed.push(Postponed { event_id, due_at: None, looked_at_micros: None, why });
                }
                // Said nothing of: it stays due.
                None => {}
            }
        }
        if pass.rows > 0 {
            store.mark_data(connection_id, now).await?;
        }
        store.postpone_deliveries(connection_id, &postponed).await?;
        store.finish_deliveries(connection_id, &applied).await?;
        tracing::debug!(connection_id, events = applied.len(), rows = pass.rows, "applied webhooks");
        Ok(())
    }

    fn passing(&self) -> MutexGuard<'_, HashMap<String, Passing>> {
        self.passing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long after so many tries in vain: 1 s, 2 s, 4 s, up to [`LONGEST`].
fn pause(tries: u32) -> TimeDelta {
    TimeDelta::seconds(1 << tries.min(16)).min(LONGEST)
}

#[cfg(test)]
impl Updates {
    pub(super) fn is_passing(&self) -> bool {
        !self.inner.passing().is_empty()
    }
}

#[cfg(test)]
mod tests;
