//! What changed since the last cycle: new objects by list, changed ones by event.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use catalog::{Decoded, Decoder, Resource};
use chrono::{DateTime, Utc};
use warehouse::{Batch, Checkpoint, SchemaName, Warehouse};

use crate::{
    Feed, Slice, SyncError, TableState, Walks,
    again::Again,
    error::unless_stopped,
    event::{self, Hint, Subject},
    fetch::{Fetch, Fetched},
    gathered,
    state::{feed_checkpoint, table_checkpoint},
};

/// What applying changes needs of its cycle.
pub(crate) struct Changes<'a, W> {
    pub(crate) fetch: &'a Fetch,
    pub(crate) warehouse: &'a W,
    pub(crate) schema: &'a SchemaName,
    /// Objects read at once.
    pub(crate) width: usize,
    /// How long one object may take: others wait behind it.
    pub(crate) patience: Duration,
}

/// Events, read but not yet stored.
pub(crate) struct News {
    /// Objects that were created, changed or deleted.
    subjects: BTreeSet<Subject>,
    /// When the last of their pages had come: what was asked later shows at least what they tell of.
    pub(crate) read_micros: i64,
    pub(crate) pages: usize,
    decoded: Vec<Decoded>,
    newest: Option<i64>,
    date: Option<DateTime<Utc>>,
    /// What only events name that are so young that Stripe may not show it yet, with these events; none where others name it too.
    early: BTreeMap<Subject, Option<BTreeSet<String>>>,
}

/// New objects of a table.
pub(crate) struct Listed {
    pub(crate) rows: u64,
    pub(crate) state: TableState,
}

impl<W: Warehouse> Changes<'_, W> {
    /// The newest page of the feed; none when there is no event.
    pub(crate) async fn newest_events(
        &self,
        events: &'static Resource,
    ) -> Result<Option<Fetched>, SyncError> {
        let mut decoder = Decoder::new(events);
        Ok(self.fetch.next(events, &Slice::whole(), &mut decoder).await?.0)
    }

    /// The events from the cursor on, created before `until`; none when they take more than `most` pages. Those that
    /// are stored are applied, unless a first copy ran meanwhile.
    pub(crate) async fn news(
        &self,
        events: &'static Resource,
        feed: &Feed,
        until: Option<i64>,
        most: usize,
    ) -> Result<Option<News>, SyncError> {
        let mut news = News {
            subjects: BTreeSet::new(),
            read_micros: 0,
            pages: 0,
            decoded: Vec::new(),
            newest: feed.since,
            date: None,
            early: BTreeMap::new(),
        };
        let mut slice = Slice { lt: until, ..Slice::since(feed.since) };
        while !slice.done {
            unless_stopped(&self.fetch.stop)?;
            if news.pages == most {
                return Ok(None);
            }
            let mut decoder = Decoder::new(events);
            let (fetched, after) = self.fetch.next(events, &slice, &mut decoder).await?;
            slice = after;
            let Some(fetched) = fetched else { continue };
            news.pages += 1;
            news.newest = news.newest.max(fetched.newest_held_back());
            news.date = news.date.or(fetched.date);
            let hints = event::hints(&fetched.body).map_err(|source| SyncError::Event { source })?;
            news.note_early(&hints, fetched.date);
            news.subjects.extend(self.fresh(events, feed, hints).await?);
            news.decoded.push(decoder.finish());
        }
        news.read_micros = self.fetch.stripe.now().timestamp_micros();
        Ok(Some(news))
    }

    /// Objects created since the table's frontier, stored by merge.
    pub(crate) async fn list_new(
        &self,
        resource: &'static Resource,
        frontier: Option<i64>,
        walks: Walks,
    ) -> Result<Listed, SyncError> {
        if resource.list.created.is_none() {
            // It cannot be asked for new ones: events tell of them, or the next walk over all.
            return Ok(Listed { rows: 0, state: TableState::Live { frontier, walks } });
        }
        let mut rows = 0;
        let mut newest = frontier;
        let mut slice = Slice::since(frontier);
        while !slice.done {
            unless_stopped(&self.fetch.stop)?;
            let mut decoder = Decoder::new(resource);
            let (fetched, after) = self.fetch.next(resource, &slice, &mut decoder).await?;
            slice = after;
            let Some(fetched) = fetched else { continue };
            newest = newest.max(fetched.newest_held_back());
            rows += self.merge(resource, decoder.finish()).await?;
        }
        let state = TableState::Live { frontier: newest, walks };
        if newest != frontier {
            let mut batch = Batch::of(self.schema);
            batch.checkpoints.push(table_checkpoint(resource.table.name, &state)?);
            self.warehouse.apply(batch).await?;
        }
        Ok(Listed { rows, state })
    }

    /// Stores a batch, if there is anything in it; how many rows.
    pub(crate) async fn store(&self, batch: Batch) -> Result<u64, SyncError> {
        if batch.is_empty() { Ok(0) } else { Ok(self.warehouse.apply(batch).await?.rows) }
    }

    async fn merge(&self, resource: &'static Resource, decoded: Decoded) -> Result<u64, SyncError> {
        let mut batch = Batch::of(self.schema);
        gathered::merge(&mut batch, resource, decoded);
        self.store(batch).await
    }

    /// Stores the events themselves and moves the cursor, once all that they name is stored (trap 30).
    ///
    /// What could not be read again is owed, and named in the same transaction.
    pub(crate) async fn settle(
        &self,
        events: &'static Resource,
        news: News,
        feed: &Feed,
        owed: Vec<Checkpoint>,
    ) -> Result<u64, SyncError> {
        let mut batch = Batch::of(self.schema);
        batch.checkpoints.push(feed_checkpoint(events.table, feed)?);
        batch.checkpoints.extend(owed);
        for decoded in news.decoded {
            gathered::merge(&mut batch, events, decoded);
        }
        Ok(self.warehouse.apply(batch).await?.rows)
    }

    /// Objects that others name but no list shows.
    pub(crate) async fn fetch_dangling(
        &self,
        resources: &[&'static Resource],
        target: &'static Resource,
    ) -> Result<Again, SyncError> {
        let mut ids = BTreeSet::new();
        for resource in resources {
            for column in resource.table.columns.iter().filter(|column| column.refers_to(target.table.object))
            {
                let found =
                    self.warehouse.dangling(self.schema, resource.table, column.name, target.table).await?;
                ids.extend(found);
            }
        }
        self.reread(target, ids.into_iter().collect()).await
    }

    /// The subjects of events that are not applied yet.
    async fn fresh(
        &self,
        events: &'static Resource,
        feed: &Feed,
        hints: Vec<Hint>,
    ) -> Result<Vec<Subject>, SyncError> {
        if feed.catching_up {
            return Ok(hints.into_iter().flat_map(|hint| hint.subjects).collect());
        }
        let mut by_event: BTreeMap<String, Vec<Subject>> =
            hints.into_iter().map(|hint| (hint.event, hint.subjects)).collect();
        let ids = by_event.keys().cloned().collect();
        let unknown = self.warehouse.stale(self.schema, events.table, ids, 0).await?;
        Ok(unknown.iter().filter_map(|id| by_event.remove(id)).flatten().collect())
    }
}

impl News {
    /// The cursor once these are applied. The copy that ran meanwhile, if one did, is caught up with.
    pub(crate) fn cursor(&self, feed: &Feed) -> Feed {
        let read_at = self.date.map(|date| date.timestamp()).or(feed.read_at);
        Feed { since: self.newest, catching_up: false, read_at, refused: false }
    }

    fn note_early(&mut self, hints: &[Hint], date: Option<DateTime<Utc>>) {
        for hint in hints {
            // Without Stripe's clock nobody knows. The newest come first: nothing is early that an old one named before.
            let is_young = date.is_some() && hint.is_young(date, u64::MAX);
            for subject in &hint.subjects {
                if is_young && !self.early.contains_key(subject) {
                    self.early.insert(subject.clone(), Some(BTreeSet::new()));
                }
                let Some(naming) = self.early.get_mut(subject) else { continue };
                match naming {
                    Some(events) if is_young && !hint.is_deletion => drop(events.insert(hint.event.clone())),
                    Some(_) | None => *naming = None,
                }
            }
        }
    }

    /// Whether Stripe may not show an object yet that these events name.
    pub(crate) fn may_come(&self, object: &str, id: &str) -> bool {
        let subject = Subject { object: object.to_owned(), id: id.to_owned() };
        self.early.get(&subject).is_some_and(Option::is_some)
    }

    /// What names these objects is not stored: it is looked at again in the next cycle.
    pub(crate) fn leave_out(&mut self, unshown: &[Subject]) {
        let named = unshown.iter().filter_map(|subject| self.early.get(subject)?.as_ref());
        let events: HashSet<String> = named.flatten().cloned().collect();
        if events.is_empty() {
            return;
        }
        let decoded = std::mem::take(&mut self.decoded).into_iter();
        self.decoded = decoded.map(|decoded| gathered::without(decoded, &events)).collect();
    }

    /// The ids of one kind of object.
    pub(crate) fn ids(&self, object: &str) -> Vec<String> {
        let own = self.subjects.iter().filter(|subject| subject.object == object);
        own.map(|subject| subject.id.clone()).collect()
    }
}
