//! Update cycles as a running program has them: at most one of a connection at a time, begun by people or by the
//! schedule, shown while they run, stopped when the program ends; and passes over what Stripe pushed beside them.

mod cycle;
mod engines;
mod meter;
mod passes;
mod schedule;
mod standing;
mod summary;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use futures::future::{BoxFuture, FutureExt};
use store::{Connection, Status, Store};
use stripe_api::Clock;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warehouse::{DuckDb, Reader};

pub(crate) use standing::missed_changes;
pub use standing::{Standing, standings};
pub use summary::{Ending, Summary, TableSummary};

use crate::{
    config,
    web::{ProgressView, StartError, SyncControl},
};

/// The update cycles of an installation. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Updates {
    inner: Arc<Inner>,
}

/// What cycles work with.
pub struct Parts {
    /// Connections and their credentials.
    pub store: Arc<Store>,
    /// Where rows go. This process alone has it open, so no other can run a cycle beside ours.
    pub warehouse: Arc<DuckDb>,
    /// Where Stripe is, and how fast it may be asked.
    pub stripe: config::Stripe,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

struct Inner {
    parts: Parts,
    reader: Reader,
    places: Mutex<HashMap<String, Place>>,
    engines: engines::Engines,
    /// By connection.
    passing: Mutex<HashMap<String, passes::Passing>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What is known of a connection's updates.
struct Place {
    shown: watch::Sender<ProgressView>,
    running: Option<Running>,
}

/// A cycle under way.
#[derive(Clone)]
pub struct Running {
    /// How it goes.
    pub progress: watch::Receiver<ProgressView>,
    /// Of which connection: a name can be given again.
    connection: String,
    ended: watch::Receiver<Option<Arc<Summary>>>,
    stop: CancellationToken,
}

impl Running {
    /// Waits for its end.
    pub async fn ended(&mut self) -> Arc<Summary> {
        match self.ended.wait_for(Option::is_some).await {
            Ok(summary) => summary.clone().unwrap_or_default(),
            // The task is gone without a word: the program ends.
            Err(_) => Arc::default(),
        }
    }
}

impl Updates {
    /// Nothing runs yet.
    ///
    /// # Errors
    /// When the warehouse has no reader left to give.
    pub fn new(parts: Parts) -> Result<Self, warehouse::WarehouseError> {
        let reader = parts.warehouse.reader()?;
        let inner = Inner {
            parts,
            reader,
            places: Mutex::default(),
            engines: engines::Engines::default(),
            passing: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Begins a cycle, or joins the one that runs. `forced`: somebody asked, rather than the schedule, which leaves
    /// paused connections alone.
    ///
    /// # Errors
    /// When there is no such connection, it is paused and nobody asked, or the program is ending.
    pub async fn begin(&self, name: &str, forced: bool) -> Result<Running, StartError> {
        let failed = |why: String| StartError { why };
        let found = self.inner.parts.store.connection_named(name).await;
        let found = found.map_err(|error| failed(error.to_string()))?;
        let connection = found.ok_or_else(|| failed(format!("there is no connection named {name}")))?;
        if !forced && connection.status == Status::Paused {
            return Err(failed(format!("{name} is paused")));
        }
        self.join_or_spawn(connection, forced)
    }

    fn join_or_spawn(&self, connection: Connection, forced: bool) -> Result<Running, StartError> {
        let mut places = self.places();
        if self.inner.stop.is_cancelled() {
            return Err(StartError { why: "the program is ending".to_owned() });
        }
        let place = places.entry(connection.name.clone()).or_default();
        if let Some(running) = place.running.as_ref().filter(|_| place.is_running()) {
            if running.connection != connection.id {
                let why = "the last update of a deleted connection of this name is still ending; try again";
                return Err(StartError { why: why.to_owned() });
            }
            return Ok(running.clone());
        }
        let (tell, ended) = watch::channel(None);
        let stop = self.inner.stop.child_token();
        let progress = place.shown.subscribe();
        let running = Running { progress, connection: connection.id.clone(), ended, stop };
        place.running = Some(running.clone());
        let began_at = self.inner.parts.clock.now();
        place.shown.send_modify(|view| view.begin(began_at));
        let (updates, stop) = (self.clone(), running.stop.clone());
        // Before the places are free: whoever ends the program must find every cycle that was let begin.
        self.inner.tasks.spawn(async move { updates.run(connection, forced, stop, tell).await });
        drop(places);
        Ok(running)
    }

    /// One cycle, from its beginning to its end being told.
    async fn run(
        &self,
        connection: Connection,
        forced: bool,
        stop: CancellationToken,
        tell: watch::Sender<Option<Arc<Summary>>>,
    ) {
        let shown = self.places().entry(connection.name.clone()).or_default().shown.clone();
        let Inner { parts, reader, engines, .. } = &*self.inner;
        let began_at = shown.borrow().began_at;
        let cycle = cycle::Cycle { parts, engines, reader, connection: &connection, forced, stop: &stop };
        let summary = match AssertUnwindSafe(cycle.run(&shown)).catch_unwind().await {
            Ok(summary) => summary,
            Err(_) => self.panicked(&connection, began_at).await,
        };
        let rest = self.at_rest(&connection.name).await;
        if let Some(place) = self.places().get_mut(&connection.name) {
            place.running = None;
            place.shown.send_replace(rest);
        }
        self.look_again(&connection).await;
        tell.send_replace(Some(Arc::new(summary)));
    }

    /// Notes that a fault of this program ended a cycle, so that the next one begins when it is due and not at once.
    async fn panicked(&self, connection: &Connection, began_at: Option<DateTime<Utc>>) -> Summary {
        let (summary, store, id) = (Summary::of_panic(), &self.inner.parts.store, &connection.id);
        let noted = async {
            if let Some(began_at) = began_at {
                store.mark_started(id, began_at).await?;
            }
            match summary.status() {
                Some(status) => store.set_status_unless_paused(id, &status).await,
                None => Ok(()),
            }
        };
        if let Err(error) = noted.await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(connection = connection.name, error, "could not note an update that panicked");
        }
        summary
    }

    /// Stops every cycle and waits for their ends; then nobody is told anything any more.
    pub async fn shut(&self) {
        {
            let _none_begins_meanwhile = self.places();
            self.inner.stop.cancel();
        }
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.places().clear();
    }

    async fn stop_one(&self, name: &str) {
        let running = self.places().get(name).and_then(|place| place.running.clone());
        if let Some(mut running) = running {
            running.stop.cancel();
            running.ended().await;
        }
        self.stop_passing(name).await;
        self.inner.engines.forget(name);
    }

    /// While a cycle runs, what it says of itself; else what is stored.
    async fn watch(&self, name: &str) -> watch::Receiver<ProgressView> {
        if let Some(shown) = self.shown_by_a_cycle(name) {
            return shown;
        }
        let rest = self.at_rest(name).await;
        let mut places = self.places();
        let place = places.entry(name.to_owned()).or_default();
        let running = place.is_running();
        place.shown.send_if_modified(|view| {
            // A cycle that just began has not looked at the tables yet.
            let next = if running && view.tables.is_empty() {
                ProgressView { tables: rest.tables, ..view.clone() }
            } else if running {
                return false;
            } else {
                rest
            };
            let differs = *view != next;
            *view = next;
            differs
        });
        place.shown.subscribe()
    }

    fn shown_by_a_cycle(&self, name: &str) -> Option<watch::Receiver<ProgressView>> {
        let places = self.places();
        let place = places.get(name).filter(|place| place.is_running())?;
        (!place.shown.borrow().tables.is_empty()).then(|| place.shown.subscribe())
    }

    /// How the tables of the connection stand, as it is stored.
    ///
    /// # Errors
    /// When the warehouse or the store cannot be read.
    pub async fn standings(&self, name: &str) -> anyhow::Result<Vec<Standing>> {
        standings(&self.inner.reader, &self.inner.parts.store, name).await
    }

    /// What is stored. A warehouse that cannot be asked shows nothing here; asking it for numbers says why.
    async fn at_rest(&self, name: &str) -> ProgressView {
        match self.standings(name).await {
            Ok(standings) => ProgressView::at_rest(standings),
            Err(error) => {
                tracing::error!(
                    connection = name,
                    error = format!("{error:#}"),
                    "could not read how tables stand"
                );
                ProgressView::default()
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        self.inner.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// One whose task is gone has dropped its end without a word.
    fn is_running(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.ended.has_changed().is_ok())
    }
}

impl Default for Place {
    fn default() -> Self {
        Self { shown: watch::Sender::new(ProgressView::default()), running: None }
    }
}

impl SyncControl for Updates {
    fn start<'a>(&'a self, connection: &'a str) -> BoxFuture<'a, Result<(), StartError>> {
        async move { self.begin(connection, true).await.map(|_| ()) }.boxed()
    }

    fn stop<'a>(&'a self, connection: &'a str) -> BoxFuture<'a, ()> {
        self.stop_one(connection).boxed()
    }

    fn wake(&self, connection_id: &str, name: &str) {
        self.wake_up(connection_id, name);
    }

    fn running_since(&self, connection: &str) -> Option<DateTime<Utc>> {
        let places = self.places();
        let place = places.get(connection).filter(|place| place.is_running())?;
        place.shown.borrow().began_at
    }

    fn subscribe<'a>(&'a self, connection: &'a str) -> BoxFuture<'a, watch::Receiver<ProgressView>> {
        self.watch(connection).boxed()
    }
}
