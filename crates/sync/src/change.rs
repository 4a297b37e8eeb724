//! What changed since the last cycle: new objects by list, changed ones by event, read again at the pinned version.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    pin::pin,
    time::Duration,
};

use catalog::{Decoded, Decoder, Resource};
use chrono::{DateTime, Utc};
use futures::{
    future::join,
    stream::{self, Stream, StreamExt},
};
use tokio::time::timeout;
use warehouse::{Age, Batch, Belonging, Change, Checkpoint, Ids, SchemaName, Warehouse, Write};

use crate::{
    Feed, Slice, SyncError, TableState, Walks,
    error::unless_stopped,
    event::{self, Hint, Subject},
    fetch::{Fetch, Fetched, Object, Read},
    gathered,
    state::{feed_checkpoint, table_checkpoint},
};

/// Objects of a table that a cycle reads again before it stores them together.
const TOGETHER: usize = 100;
/// Objects, and bytes of their answers, of whatever tables, that are stored together at most.
const MOST_OBJECTS: usize = 500;
const MOST_BYTES: usize = 8 << 20;

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

    /// Reads again those of `ids` that the warehouse does not show as they were at `since` or later.
    pub(crate) async fn reread_stale(
        &self,
        resource: &'static Resource,
        ids: Vec<String>,
        since_micros: i64,
    ) -> Result<Again, SyncError> {
        if ids.is_empty() {
            return Ok(Again::default());
        }
        let stale = self.warehouse.stale(self.schema, resource.table, ids, since_micros).await?;
        self.reread(resource, stale).await
    }

    /// After a walk over the list, or what was created from a second on, that began at `since`: reads again what it did
    /// not meet, which is gone or hidden.
    pub(crate) async fn reread_untouched(
        &self,
        resource: &'static Resource,
        since_micros: i64,
        created_from: Option<i64>,
        belonging: Belonging,
    ) -> Result<Again, SyncError> {
        let created_from = resource.list.created.zip(created_from);
        let (mut again, mut after) = (Again::default(), String::new());
        loop {
            let table = resource.table;
            let asked = Ids {
                age: Age::Before(since_micros),
                created_from,
                belonging,
                prefix: "",
                after,
                most: TOGETHER,
            };
            let ids = self.warehouse.ids(self.schema, table, asked).await?;
            let Some(last) = ids.last() else { break };
            after = last.clone();
            again.extend(self.reread(resource, ids).await?);
        }
        Ok(again)
    }

    /// Reads objects again and stores what they are now; those that are gone become tombstones. One that cannot be read,
    /// or whose nested lists cannot, keeps no other from being stored. While some are stored the next are read.
    ///
    /// # Errors
    /// What concerns all tables.
    pub(crate) async fn reread(
        &self,
        resource: &'static Resource,
        ids: Vec<String>,
    ) -> Result<Again, SyncError> {
        let mut again = Again::default();
        let mut groups = pin!(self.asked(resource, ids).chunks(TOGETHER));
        let mut next = groups.next().await;
        while let Some(asked) = next {
            unless_stopped(&self.fetch.stop)?;
            let (stored, following) = join(self.store_read(asked), groups.next()).await;
            again.extend(stored?);
            next = following;
        }
        Ok(again)
    }

    /// Asks for objects, several at once; they come as they are answered.
    pub(crate) fn asked(&self, resource: &'static Resource, ids: Vec<String>) -> impl Stream<Item = Asked> {
        stream::iter(ids).map(move |id| self.ask(resource, id)).buffer_unordered(self.width)
    }

    async fn ask(&self, resource: &'static Resource, id: String) -> Asked {
        let slow = |_| Err(SyncError::Slow { path: resource.list.path.to_owned() });
        let object = timeout(self.patience, self.fetch.object(resource, &id)).await.unwrap_or_else(slow);
        Asked { resource, id, object }
    }

    async fn store_read(&self, asked: Vec<Asked>) -> Result<Again, SyncError> {
        let mut read = Reread::new(self.schema);
        for asked in asked {
            read.add(self.fetch, asked).await?;
        }
        let rows = self.store(read.take()).await?;
        let failed = read.failed.into_iter().map(|(_, id, error)| (id, error)).collect();
        Ok(Again { rows, failed })
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

    /// Customers that others name but no list shows: deleted ones (trap 11).
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

/// An object that was asked for again, and what came of it.
pub(crate) struct Asked {
    resource: &'static Resource,
    id: String,
    object: Result<Object, SyncError>,
}

/// Objects that were read again, to be stored in one transaction, of whatever tables they are.
pub(crate) struct Reread {
    /// What is gone.
    batch: Batch,
    /// By table, what is there, and those whose nested lists could not be read: half of them is among it.
    found: BTreeMap<&'static str, (&'static Resource, Decoder, HashSet<String>)>,
    objects: usize,
    bytes: usize,
    /// Those that could not be read.
    pub(crate) failed: Vec<(&'static Resource, String, SyncError)>,
}

impl Reread {
    pub(crate) fn new(schema: &SchemaName) -> Self {
        let (batch, found, failed) = (Batch::of(schema), BTreeMap::new(), Vec::new());
        Self { batch, found, objects: 0, bytes: 0, failed }
    }

    /// Takes an object, its nested lists completed. One that fails is noted; what concerns all tables is an error.
    pub(crate) async fn add(
        &mut self,
        fetch: &Fetch,
        Asked { resource, id, object }: Asked,
    ) -> Result<(), SyncError> {
        if let Ok(Object::Found(answer)) = &object {
            self.bytes += answer.body.len();
        }
        self.objects += 1;
        let new = || (resource, Decoder::new(resource), HashSet::new());
        let (_, decoder, halves) = self.found.entry(resource.table.name).or_insert_with(new);
        let before = decoder.rows();
        let read = match object {
            Ok(object) => fetch.decode(resource, &id, object, decoder).await,
            Err(error) => Err(error),
        };
        match read {
            Ok(Read::Row) => {}
            Ok(Read::Gone { as_of_micros }) => bury(&mut self.batch, resource, id, as_of_micros),
            Err(error) if error.concerns_all() => return Err(error),
            Err(error) => {
                if decoder.rows() > before {
                    halves.insert(id.clone());
                }
                self.failed.push((resource, id, error));
            }
        }
        Ok(())
    }

    /// Whether it is time to store what there is: memory is bounded.
    pub(crate) fn is_full(&self) -> bool {
        self.objects >= MOST_OBJECTS || self.bytes >= MOST_BYTES
    }

    /// What is to be stored so far.
    pub(crate) fn take(&mut self) -> Batch {
        (self.objects, self.bytes) = (0, 0);
        let empty = Batch::of(&self.batch.schema);
        let mut batch = std::mem::replace(&mut self.batch, empty);
        for (resource, mut decoder, halves) in std::mem::take(&mut self.found).into_values() {
            let decoded = decoder.finish();
            let decoded = if halves.is_empty() { decoded } else { gathered::without(decoded, &halves) };
            if decoded.rows.num_rows() > 0 || !decoded.rejects.is_empty() {
                gathered::merge(&mut batch, resource, decoded);
            }
        }
        batch
    }
}

/// What reading objects again brought.
#[derive(Default)]
pub(crate) struct Again {
    pub(crate) rows: u64,
    /// Those that could not be read.
    pub(crate) failed: Vec<(String, SyncError)>,
}

impl Again {
    pub(crate) fn extend(&mut self, other: Self) {
        self.rows += other.rows;
        self.failed.extend(other.failed);
    }
}

impl News {
    /// The cursor once these are applied. The copy that ran meanwhile, if one did, is caught up with.
    pub(crate) fn cursor(&self, feed: &Feed) -> Feed {
        let read_at = self.date.map(|date| date.timestamp()).or(feed.read_at);
        Feed { since: self.newest, catching_up: false, read_at }
    }

    /// The ids of one kind of object.
    pub(crate) fn ids(&self, object: &str) -> Vec<String> {
        let own = self.subjects.iter().filter(|subject| subject.object == object);
        own.map(|subject| subject.id.clone()).collect()
    }
}

/// Marks what Stripe no longer has, with what belonged to it.
fn bury(batch: &mut Batch, resource: &'static Resource, id: String, as_of_micros: i64) {
    for table in resource.belongings() {
        let change = Change::MarkChildrenDeleted { parents: vec![id.clone()], as_of_micros };
        batch.writes.push(Write { table, change });
    }
    batch
        .writes
        .push(Write { table: resource.table, change: Change::MarkDeleted { ids: vec![id], as_of_micros } });
}
