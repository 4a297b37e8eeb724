//! What Stripe pushes: the same hints as those of the feed, without asking for them.
//!
//! A pass may run while a cycle of the same connection does. It only merges, into tables that are live or compared; a first
//! copy, the one thing that inserts, runs in neither. Which of two reads wins is decided by when they were sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use catalog::{Decoder, One, Resource};
use futures::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;
use warehouse::{Batch, Warehouse};

use crate::{
    Engine, SyncError, TableState,
    change::Changes,
    event::{self, Subject},
    fetch::Fetch,
    gathered,
    state::Stored,
};

/// How long one object may take: others wait behind it, and it is asked for again later.
const PATIENCE: Duration = Duration::from_secs(30);
/// Tables whose objects are read at once: Stripe's limits are for each endpoint.
const TABLES: usize = 4;

/// An event that Stripe pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedEvent {
    /// By which the caller knows it.
    pub id: String,
    /// As it came.
    pub body: Vec<u8>,
    /// What [`Pushed::Waits`] said when it was looked at before.
    pub looked_at_micros: Option<i64>,
}

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// What it names is in the warehouse as it was after it, and so is the event itself.
    Applied,
    /// Something that it names is not: look again later.
    Waits {
        /// What for; its words are a sentence for people.
        awaited: Awaited,
        /// To be given with it the next time: what was read since need not be read again.
        looked_at_micros: i64,
    },
    /// It can never be applied.
    Odd {
        /// Why, in a sentence.
        why: String,
    },
}

/// What an event waits for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Awaited {
    /// The first copy of a table: to try again before the next cycle ends is in vain.
    #[error("the first copy of {table} is not complete")]
    FirstCopy {
        /// The table.
        table: &'static str,
    },
    /// Stripe's answer about an object that could not be read, or could not be understood.
    #[error("{why}")]
    Object {
        /// Why it could not, in a sentence.
        why: String,
    },
}

/// What a pass did.
#[derive(Debug, Default)]
pub struct Pass {
    /// What came of each event, by its id.
    pub events: BTreeMap<String, Pushed>,
    /// Rows written.
    pub rows: u64,
}

impl<W: Warehouse> Engine<W> {
    /// Reads again what the events name, each object once, and stores it; then stores the events. Safe to stop and to
    /// repeat at any moment, in any order, and beside [`Engine::run`]. [`Engine::prepare`] must have been called.
    ///
    /// # Errors
    /// What concerns all tables: the warehouse, the credentials, a stop. Nothing is known of the events then. What
    /// concerns one object lets the events wait that name it.
    pub async fn apply_pushed(
        &self,
        events: Vec<PushedEvent>,
        stop: &CancellationToken,
    ) -> Result<Pass, SyncError> {
        let states = Stored::read(self.warehouse.checkpoints(&self.schema).await?)?.tables;
        let fetch = Fetch::new(&self.stripe, stop);
        let Self { warehouse, schema, options, .. } = self;
        let width = options.reads;
        let changes = Changes { fetch: &fetch, warehouse: &**warehouse, schema, width, patience: PATIENCE };
        let mut passing = Passing { changes, states: &states, done: Pass::default() };
        // What is read from now on shows at least what these events tell of: they had come before.
        let now_micros = self.stripe.now().timestamp_micros();
        for (since_micros, events) in rounds(events, now_micros, &mut passing.done) {
            passing.round(since_micros, events).await?;
        }
        Ok(passing.done)
    }
}

/// An event that is understood.
struct Told {
    id: String,
    body: Vec<u8>,
    subjects: Vec<Subject>,
    /// It is one of API v1, and so has a place in the table of events.
    is_v1: bool,
}

/// Events by when they were first looked at, the earliest first. What cannot be understood is told at once.
fn rounds(events: Vec<PushedEvent>, now_micros: i64, done: &mut Pass) -> BTreeMap<i64, Vec<Told>> {
    let mut rounds: BTreeMap<i64, Vec<Told>> = BTreeMap::new();
    for PushedEvent { id, body, looked_at_micros } in events {
        match event::pushed(&body) {
            Ok((hint, is_v1)) => {
                let told = Told { id, body, subjects: hint.subjects, is_v1 };
                rounds.entry(looked_at_micros.unwrap_or(now_micros)).or_default().push(told);
            }
            Err(error) => {
                let why = format!("this is not what events look like: {error}");
                done.events.insert(id, Pushed::Odd { why });
            }
        }
    }
    rounds
}

/// What is to be done about one thing that an event names.
enum Course {
    /// Read it again.
    Read(&'static Resource),
    /// Its table is not complete: what is read now must not meet the rows that its first copy inserts.
    Wait,
    /// Nothing; a first copy will read it once Stripe gives its table at all.
    Unavailable,
    /// Nothing: it has no table, or is shown by its list only.
    Nothing,
}

struct Passing<'a, W> {
    changes: Changes<'a, W>,
    states: &'a BTreeMap<String, TableState>,
    done: Pass,
}

impl<W: Warehouse> Passing<'_, W> {
    /// Events that were first looked at together.
    async fn round(&mut self, since_micros: i64, events: Vec<Told>) -> Result<(), SyncError> {
        let failed = self.read_named(since_micros, &events).await?;
        let mut applied = Vec::new();
        for told in events {
            match self.obstacle(&told, &failed) {
                Some(awaited) => {
                    self.done
                        .events
                        .insert(told.id, Pushed::Waits { awaited, looked_at_micros: since_micros });
                }
                None => applied.push(told),
            }
        }
        self.store_events(since_micros, applied).await
    }

    /// Reads again what events name, an object once however many name it; gives what could not be read, and why.
    async fn read_named(
        &mut self,
        since_micros: i64,
        events: &[Told],
    ) -> Result<BTreeMap<Subject, String>, SyncError> {
        let subjects: BTreeSet<&Subject> = events.iter().flat_map(|told| &told.subjects).collect();
        let mut by_table: BTreeMap<&str, (&'static Resource, Vec<String>)> = BTreeMap::new();
        for subject in subjects {
            for resource in resources_of(subject) {
                if let Course::Read(resource) = self.course(resource) {
                    let entry = by_table.entry(resource.table.name).or_insert((resource, Vec::new()));
                    entry.1.push(subject.id.clone());
                }
            }
        }
        let changes = &self.changes;
        let reading = by_table.into_values().map(|(resource, ids)| async move {
            (resource.table.object, changes.reread_stale(resource, ids, since_micros).await)
        });
        let mut reading = stream::iter(reading).buffer_unordered(TABLES);
        let (mut rows, mut failed) = (0, BTreeMap::new());
        while let Some((object, again)) = reading.next().await {
            let again = again?;
            rows += again.rows;
            let subject = |(id, error): (String, SyncError)| {
                (Subject { object: object.to_owned(), id }, error.sentence())
            };
            failed.extend(again.failed.into_iter().map(subject));
        }
        drop(reading);
        self.done.rows += rows;
        Ok(failed)
    }

    /// What keeps an event from being called applied.
    fn obstacle(&self, told: &Told, failed: &BTreeMap<Subject, String>) -> Option<Awaited> {
        told.subjects.iter().find_map(|subject| {
            if let Some(why) = failed.get(subject) {
                return Some(Awaited::Object { why: why.clone() });
            }
            let waiting =
                resources_of(subject).find(|resource| matches!(self.course(resource), Course::Wait))?;
            Some(Awaited::FirstCopy { table: waiting.table.name })
        })
    }

    /// The events themselves, last: one that is stored is passed over by the feed (trap 30).
    async fn store_events(&mut self, as_of_micros: i64, applied: Vec<Told>) -> Result<(), SyncError> {
        let Some(events) = catalog::by_object("event").filter(|_| !applied.is_empty()) else {
            return Ok(());
        };
        let (applied, thin): (Vec<Told>, Vec<Told>) = applied.into_iter().partition(|told| told.is_v1);
        self.read_thin(as_of_micros, thin).await?;
        let mut decoder = Decoder::new(events);
        for told in applied {
            let outcome = if self.belongs_to_the_feed(events, &told) {
                Pushed::Applied
            } else {
                match decoder.object(&told.body, as_of_micros) {
                    Ok(One::Row { .. } | One::Deleted(_)) => Pushed::Applied,
                    Err(error) => Pushed::Odd { why: format!("this is not what events look like: {error}") },
                }
            };
            self.done.events.insert(told.id, outcome);
        }
        let mut batch = Batch::of(self.changes.schema);
        gathered::merge(&mut batch, events, decoder.finish());
        self.done.rows += self.changes.warehouse.apply(batch).await?.rows;
        Ok(())
    }

    /// Thin events show only a part of what Stripe keeps of them: they are read, unless that is left to the feed.
    async fn read_thin(&mut self, since_micros: i64, thin: Vec<Told>) -> Result<(), SyncError> {
        let Some(events) = catalog::by_object("v2.core.event").filter(|_| !thin.is_empty()) else {
            return Ok(());
        };
        let own = |told: &&Told| !self.belongs_to_the_feed(events, told);
        let ids = match self.course(events) {
            Course::Read(_) => thin.iter().filter(own).map(|told| told.id.clone()).collect(),
            Course::Wait | Course::Unavailable | Course::Nothing => Vec::new(),
        };
        let again = self.changes.reread_stale(events, ids, since_micros).await?;
        self.done.rows += again.rows;
        let mut failed: BTreeMap<String, SyncError> = again.failed.into_iter().collect();
        for Told { id, .. } in thin {
            let outcome = match failed.remove(&id) {
                Some(error) => {
                    let awaited = Awaited::Object { why: error.sentence() };
                    Pushed::Waits { awaited, looked_at_micros: since_micros }
                }
                None => Pushed::Applied,
            };
            self.done.events.insert(id, outcome);
        }
        Ok(())
    }

    /// Whether the event's row is left to the feed, which will see to what it names. So it must be where a table is
    /// unavailable, lest its first copy have begun just now, with an older state, and the feed pass over the event.
    fn belongs_to_the_feed(&self, events: &'static Resource, told: &Told) -> bool {
        let is_read = !matches!(self.states.get(events.table.name), Some(TableState::Unavailable { .. }));
        let unavailable = |resource| matches!(self.course(resource), Course::Unavailable);
        is_read && told.subjects.iter().flat_map(resources_of).any(unavailable)
    }

    fn course(&self, resource: &'static Resource) -> Course {
        if resource.list.retrieve.is_none() {
            return Course::Nothing;
        }
        match self.states.get(resource.table.name) {
            Some(TableState::Live { .. } | TableState::Comparing { .. }) => Course::Read(resource),
            Some(TableState::Copying { .. }) | None => Course::Wait,
            Some(TableState::Unavailable { .. }) => Course::Unavailable,
        }
    }
}

/// Where objects of this kind rest, events of API v1 themselves apart.
fn resources_of(subject: &Subject) -> impl Iterator<Item = &'static Resource> + use<> {
    catalog::by_object(&subject.object).into_iter().filter(|resource| resource.table.object != "event")
}
