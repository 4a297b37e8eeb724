//! What Stripe pushes: the same hints as those of the feed, without asking for them.
//!
//! A pass may run while a cycle of the same connection does. It only merges, into tables that are live or compared; a first
//! copy, the one thing that inserts, runs in neither. Events alone it merges into their table whatever its state: one that a
//! first copy inserts too is there twice until that is sealed. Which of two reads wins is decided by when they were sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    time::Duration,
};

use catalog::{Decoder, One, Resource};
use futures::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;
use warehouse::{Batch, Warehouse};

use crate::{
    Awaited, Engine, Feed, Pass, Pushed, PushedEvent, SyncError, TableState,
    again::ReadAgain,
    change::Changes,
    event::Subject,
    fetch::Fetch,
    gathered,
    state::Stored,
    told::{Told, rounds},
};

/// How long one object may take: others wait behind it, and it is asked for again later.
const PATIENCE: Duration = Duration::from_secs(30);
/// Tables whose objects are read at once: Stripe's limits are for each endpoint.
const TABLES: usize = 4;

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
        let _reading = self.stripe.reading();
        let Stored { tables: states, feeds, .. } = self.stored().await?;
        let fetch = Fetch::new(&self.stripe, stop);
        let Self { warehouse, schema, options, .. } = self;
        let width = options.reads;
        let changes = Changes { fetch: &fetch, warehouse: &**warehouse, schema, width, patience: PATIENCE };
        let mut passing = Passing { changes, states: &states, feeds: &feeds, done: Pass::default() };
        // What is read from now on shows at least what these events tell of: they had come before.
        let now_micros = self.stripe.now().timestamp_micros();
        for (since_micros, events) in rounds(events, now_micros, &mut passing.done.events) {
            passing.round(since_micros, events).await?;
        }
        Ok(passing.done)
    }
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
    feeds: &'a BTreeMap<String, Feed>,
    done: Pass,
}

impl<W: Warehouse> Passing<'_, W> {
    /// Events that were first looked at together. What they name is stored with them, in one transaction as far as memory
    /// allows: a commit waits for the disk, whatever it holds.
    async fn round(&mut self, since_micros: i64, events: Vec<Told>) -> Result<(), SyncError> {
        let mut read = ReadAgain::new(self.changes.schema);
        let named = self.named(&events);
        let Fetch { stripe, .. } = self.changes.fetch;
        let may_come = |subject: &Subject| {
            let mut naming = events.iter().filter(|told| told.hint.subjects.contains(subject));
            naming.all(|told| !told.hint.is_deletion && told.is_young(since_micros, stripe))
        };
        let failed = self.read(named, since_micros, &mut read, may_come).await?;
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
        let (applied, thin): (Vec<Told>, Vec<Told>) = applied.into_iter().partition(|told| told.is_v1);
        self.read_thin(since_micros, thin, &mut read).await?;
        let mut batch = read.take();
        self.add_events(since_micros, applied, &mut batch);
        self.done.rows += self.changes.store(batch).await?;
        Ok(())
    }

    /// What events name and is to be read again, by table.
    fn named(&self, events: &[Told]) -> BTreeMap<&'static str, (&'static Resource, Vec<String>)> {
        let subjects: BTreeSet<&Subject> = events.iter().flat_map(|told| &told.hint.subjects).collect();
        let mut by_table: BTreeMap<_, (&'static Resource, Vec<String>)> = BTreeMap::new();
        for subject in subjects {
            for resource in resources_of(subject) {
                if let Course::Read(resource) = self.course(resource) {
                    let entry = by_table.entry(resource.table.name).or_insert((resource, Vec::new()));
                    entry.1.push(subject.id.clone());
                }
            }
        }
        by_table
    }

    /// Reads objects again that the warehouse does not show as they are since, the tables side by side: Stripe's limits
    /// are for each of them. Gives those that it could not read, and why: what was never there and `may_come` yet is no
    /// more gone than read.
    async fn read(
        &mut self,
        named: BTreeMap<&'static str, (&'static Resource, Vec<String>)>,
        since_micros: i64,
        read: &mut ReadAgain,
        may_come: impl Fn(&Subject) -> bool,
    ) -> Result<BTreeMap<Subject, String>, SyncError> {
        let changes = &self.changes;
        let mut asked = Vec::new();
        for (resource, ids) in named.into_values() {
            let stale = changes.warehouse.stale(changes.schema, resource.table, ids, since_micros).await?;
            asked.push(changes.asked(resource, stale));
        }
        let mut asked = pin!(stream::iter(asked).flatten_unordered(TABLES));
        let (mut failed, mut rows) = (BTreeMap::new(), 0);
        while let Some(asked) = asked.next().await {
            let named = |id: &str| subject(asked.resource, id.to_owned());
            if changes.may_show_yet(&asked, |id| may_come(&named(id))).await? {
                failed.insert(named(&asked.id), format!("Stripe does not show {} yet", asked.id));
                continue;
            }
            read.add(changes.fetch, asked).await?;
            if read.is_full() {
                rows += changes.store(read.take()).await?;
            }
        }
        self.done.rows += rows;
        failed.extend(failures(read));
        Ok(failed)
    }

    /// What keeps an event from being called applied.
    fn obstacle(&self, told: &Told, failed: &BTreeMap<Subject, String>) -> Option<Awaited> {
        told.hint.subjects.iter().find_map(|subject| {
            if let Some(why) = failed.get(subject) {
                return Some(Awaited::Object { why: why.clone() });
            }
            let waiting =
                resources_of(subject).find(|resource| matches!(self.course(resource), Course::Wait))?;
            Some(Awaited::FirstCopy { table: waiting.table.name })
        })
    }

    /// The events themselves, no earlier than what they name: one that is stored is passed over by the feed (trap 30).
    fn add_events(&mut self, as_of_micros: i64, applied: Vec<Told>, batch: &mut Batch) {
        let Some(events) = catalog::by_object("event").filter(|_| !applied.is_empty()) else { return };
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
        gathered::merge(batch, events, decoder.finish());
    }

    /// Thin events show only a part of what Stripe keeps of them: they are read, unless that is left to the feed.
    async fn read_thin(
        &mut self,
        since_micros: i64,
        thin: Vec<Told>,
        read: &mut ReadAgain,
    ) -> Result<(), SyncError> {
        let Some(events) = catalog::by_object("v2.core.event").filter(|_| !thin.is_empty()) else {
            return Ok(());
        };
        let own = |told: &&Told| !self.belongs_to_the_feed(events, told);
        let ids = match self.course(events) {
            Course::Read(_) => thin.iter().filter(own).map(|told| told.id.clone()).collect(),
            Course::Wait | Course::Unavailable | Course::Nothing => Vec::new(),
        };
        let named = BTreeMap::from([(events.table.name, (events, ids))]);
        let Fetch { stripe, .. } = self.changes.fetch;
        let may_come = |subject: &Subject| {
            thin.iter().any(|told| told.id == subject.id && told.is_young(since_micros, stripe))
        };
        let mut failed = self.read(named, since_micros, read, may_come).await?;
        for Told { id, .. } in thin {
            let outcome = match failed.remove(&subject(events, id.clone())) {
                Some(why) => {
                    Pushed::Waits { awaited: Awaited::Object { why }, looked_at_micros: since_micros }
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
        let (state, feed) = (self.states.get(events.table.name), self.feeds.get(events.table.name));
        let is_read =
            !matches!(state, Some(TableState::Unavailable { .. })) && feed.is_none_or(|feed| !feed.refused);
        let unavailable = |resource| matches!(self.course(resource), Course::Unavailable);
        is_read && told.hint.subjects.iter().flat_map(resources_of).any(unavailable)
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

/// What could not be read, and why.
fn failures(read: &mut ReadAgain) -> BTreeMap<Subject, String> {
    let failed = std::mem::take(&mut read.failed).into_iter();
    failed.map(|(resource, id, error)| (subject(resource, id), error.sentence())).collect()
}

fn subject(resource: &Resource, id: String) -> Subject {
    Subject { object: resource.table.object.to_owned(), id }
}

/// Where objects of this kind rest, events of API v1 themselves apart.
fn resources_of(subject: &Subject) -> impl Iterator<Item = &'static Resource> + use<> {
    catalog::by_object(&subject.object).into_iter().filter(|resource| resource.table.object != "event")
}
