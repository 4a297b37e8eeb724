//! Passes over what Stripe pushed: at most one of a connection at a time, soon after it came, beside its cycles.

mod settled;

use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use store::{Connection, Due, Postponed, Settled, Status, StoreError, Waiting};
use sync::{Pass, PushedEvent, SyncError};
use tokio_util::sync::CancellationToken;
use warehouse::{SchemaName, Warehouse as _};

use self::settled::{pause, sentence, settled};
use super::{Inner, Parts, Updates};

/// How long the rest of a burst is waited for: what names one object is read once then.
const BURST: Duration = Duration::from_millis(100);
/// Events of one pass. It waits for the disk once for the inbox, and for the warehouse as often as memory is full, mostly
/// once too, however many they are.
const EVENTS: u32 = 1_000;
/// How often is looked for events that are due again, or that were left by a process that died.
const LOOK: Duration = Duration::from_secs(5);
/// Looks between two of the inbox's housekeeping, a minute: it waits for the disk too.
const TIDY: u64 = 12;
/// How long an event is kept that cannot be understood, to be looked at: as long as Stripe keeps it.
const REJECTED_KEPT: TimeDelta = TimeDelta::days(30);

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
        for look in 1_u64.. {
            match parts.store.connections_with_deliveries(parts.clock.now()).await {
                Ok(due) => due.iter().for_each(|(id, name)| self.wake_up(id, name)),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "could not look for webhooks that are due");
                }
            }
            if look % TIDY == 0 {
                parts.tidy().await;
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
            let error = &error as &dyn std::error::Error;
            tracing::warn!(connection = connection.name, error, "could not look at webhooks again");
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

impl Parts {
    /// Keeps the inbox small: what can never be applied leaves it in the end, and what is not used any more of its file
    /// goes back to the disk.
    async fn tidy(&self) {
        if let Err(error) = self.forget_rejected().await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "could not look for webhooks that were kept long enough");
        }
        if let Err(error) = self.store.give_space_back().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "could not give space of the inbox back to the disk");
        }
    }

    async fn forget_rejected(&self) -> Result<(), StoreError> {
        loop {
            let gone = self.store.forget_rejected_deliveries(self.clock.now() - REJECTED_KEPT).await?;
            if gone.is_empty() {
                return Ok(());
            }
            for (connection_id, count) in gone {
                tracing::warn!(
                    connection_id,
                    count,
                    "webhooks that could not be understood are gone: they were kept for 30 days, or 1,000 newer ones came"
                );
            }
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

    /// One pass; whether another is to follow at once: more may be due, and this one did not leave all as it was.
    async fn pass(&self, connection_id: &str, stop: &CancellationToken) -> anyhow::Result<bool> {
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        let Some(connection) = store.connection(connection_id).await? else { return Ok(false) };
        if matches!(connection.status, Status::Paused | Status::ReauthenticationRequired { .. }) {
            return Ok(false);
        }
        let Due { events: due, is_cut } = store.due_deliveries(connection_id, EVENTS, now).await?;
        if due.is_empty() {
            return Ok(false);
        }
        match self.apply(&connection, &due, stop).await {
            Ok(Some(pass)) => Ok(self.settle(&connection, &due, pass).await? && is_cut),
            Ok(None) => Ok(false),
            Err(error) => {
                self.put_off(connection_id, &due, sentence(&error)).await?;
                Err(error)
            }
        }
    }

    /// Tries to apply events; nothing when it was stopped, or when somebody must connect again first.
    async fn apply(
        &self,
        connection: &Connection,
        due: &[Waiting],
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Pass>> {
        let engine = self.engines.for_pass(&self.parts, connection).await?;
        let event = |waiting: &Waiting| PushedEvent {
            id: waiting.event_id.clone(),
            body: waiting.body.clone(),
            looked_at_micros: waiting.looked_at_micros,
        };
        match engine.apply_pushed(due.iter().map(event).collect(), stop).await {
            Ok(pass) => Ok(Some(pass)),
            Err(SyncError::Stopped) => Ok(None),
            Err(error) if error.is_unauthorized() => {
                let status = Status::ReauthenticationRequired { why: error.sentence() };
                self.parts.store.set_status_unless_paused(&connection.id, &status).await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Nothing can be said of single events: all wait, each as long as it was tried in vain, and say why.
    async fn put_off(&self, connection_id: &str, due: &[Waiting], why: String) -> anyhow::Result<()> {
        let now = self.parts.clock.now();
        let later = |Waiting { event_id, tries, .. }: &Waiting| Postponed {
            event_id: event_id.clone(),
            due_at: Some(now + pause(*tries)),
            looked_at_micros: None,
            why: why.clone(),
            awaits_copy_of: None,
        };
        let settled = Settled { postponed: due.iter().map(later).collect(), ..Settled::default() };
        Ok(self.parts.store.settle_deliveries(connection_id, &settled, now).await?)
    }

    /// Only now that they are in the warehouse do events leave the inbox, or now that updates are to see to them. Whether
    /// any is not due any more.
    async fn settle(&self, connection: &Connection, due: &[Waiting], pass: Pass) -> anyhow::Result<bool> {
        let (id, now, rows) = (&connection.id, self.parts.clock.now(), pass.rows);
        let mut settled = settled(id, due, pass, now);
        if !settled.handed_over.is_empty() && !self.feed_is_read(connection).await? {
            settled.postponed.append(&mut settled.handed_over);
        }
        for Postponed { event_id, why, .. } in &settled.handed_over {
            tracing::warn!(connection = connection.name, event_id, why, "a webhook is left to updates");
        }
        self.parts.store.settle_deliveries(id, &settled, now).await?;
        tracing::debug!(
            connection = connection.name,
            events = settled.applied.len(),
            rows,
            "applied webhooks"
        );
        let Settled { applied, postponed, handed_over, .. } = settled;
        Ok(!applied.is_empty() || !postponed.is_empty() || !handed_over.is_empty())
    }

    /// Whether updates read Stripe's events themselves: a key may not be allowed to.
    async fn feed_is_read(&self, connection: &Connection) -> anyhow::Result<bool> {
        let schema: SchemaName = connection.name.parse()?;
        Ok(sync::are_events_read(self.parts.warehouse.checkpoints(&schema).await?)?)
    }

    fn passing(&self) -> MutexGuard<'_, HashMap<String, Passing>> {
        self.passing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Updates {
    pub(super) fn is_passing(&self) -> bool {
        !self.inner.passing().is_empty()
    }
}

#[cfg(test)]
mod tests;
