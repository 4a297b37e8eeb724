//! What changed since the last cycle: new objects by list, changed ones by event, read again at the pinned version.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use catalog::{Decoded, Decoder, Resource};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;
use warehouse::{Batch, Change, SchemaName, Warehouse, Write};

use crate::{
    Feed, Slice, SyncError, TableState,
    copy::batch,
    error::unless_stopped,
    event::{self, Hint, Subject},
    fetch::{Fetch, Object, Read},
    state::{feed_checkpoint, table_checkpoint},
};

/// Objects read again before they are stored together.
const TOGETHER: usize = 200;

/// What applying changes needs of its cycle.
pub(crate) struct Changes<'a, W> {
    pub(crate) fetch: &'a Fetch,
    pub(crate) warehouse: &'a W,
    pub(crate) schema: &'a SchemaName,
    /// Objects read at once.
    pub(crate) width: usize,
    pub(crate) stop: &'a CancellationToken,
}

/// The events since the cursor, read but not yet stored.
pub(crate) struct News {
    /// Objects that were created, changed or deleted.
    pub(crate) subjects: BTreeSet<Subject>,
    decoded: Vec<Decoded>,
    newest: Option<i64>,
}

/// New objects of a table.
pub(crate) struct Listed {
    pub(crate) ids: HashSet<String>,
    pub(crate) rows: u64,
    pub(crate) state: TableState,
}

impl<W: Warehouse> Changes<'_, W> {
    /// Where the feed stands now: before the first page of a first copy (trap 19).
    pub(crate) async fn newest_event(&self, events: &'static Resource) -> Result<Option<i64>, SyncError> {
        let mut decoder = Decoder::new(events);
        let (fetched, _) = self.fetch.next(events, &Slice::whole(), &mut decoder).await?;
        Ok(fetched.and_then(|fetched| fetched.newest_held_back()))
    }

    /// The events since the cursor. Those that are stored are applied, unless a first copy ran meanwhile.
    pub(crate) async fn news(&self, events: &'static Resource, feed: &Feed) -> Result<News, SyncError> {
        let mut news = News { subjects: BTreeSet::new(), decoded: Vec::new(), newest: feed.since };
        let mut slice = Slice::since(feed.since);
        while !slice.done {
            unless_stopped(self.stop)?;
            let mut decoder = Decoder::new(events);
            let (fetched, after) = self.fetch.next(events, &slice, &mut decoder).await?;
            slice = after;
            let Some(fetched) = fetched else { continue };
            news.newest = news.newest.max(fetched.newest_held_back());
            let hints = event::hints(&fetched.body).map_err(|source| SyncError::Event { source })?;
            news.subjects.extend(self.fresh(events, feed, hints).await?);
            news.decoded.push(decoder.finish());
        }
        Ok(news)
    }

    /// Objects created since the table's frontier, stored by merge.
    pub(crate) async fn list_new(
        &self,
        resource: &'static Resource,
        frontier: Option<i64>,
    ) -> Result<Listed, SyncError> {
        let mut listed = Listed { ids: HashSet::new(), rows: 0, state: TableState::Live { frontier } };
        let mut newest = frontier;
        let mut slice = Slice::since(frontier);
        while !slice.done {
            unless_stopped(self.stop)?;
            let mut decoder = Decoder::new(resource);
            let stored = slice.ask().skip;
            let (fetched, after) = self.fetch.next(resource, &slice, &mut decoder).await?;
            slice = after;
            let Some(fetched) = fetched else { continue };
            newest = newest.max(fetched.newest_held_back());
            let ids = fetched.page.keys.into_iter().map(|key| key.id);
            let parents: Vec<String> = ids.filter(|id| !stored.contains(id)).collect();
            let batch = self.merging(resource, decoder.finish(), &parents);
            listed.rows += self.warehouse.apply(batch).await?.rows;
            listed.ids.extend(parents);
        }
        listed.state = TableState::Live { frontier: newest };
        let checkpoint = table_checkpoint(resource.table.name, &listed.state)?;
        self.warehouse.apply(batch(self.schema, vec![checkpoint])).await?;
        Ok(listed)
    }

    /// Reads objects again and stores what they are now; those that are gone become tombstones.
    pub(crate) async fn reread(
        &self,
        resource: &'static Resource,
        ids: Vec<String>,
    ) -> Result<u64, SyncError> {
        let mut rows = 0;
        for some in ids.chunks(TOGETHER) {
            unless_stopped(self.stop)?;
            let objects: Vec<(String, Object)> = stream::iter(some.iter().cloned())
                .map(|id| self.ask(resource, id))
                .buffer_unordered(self.width)
                .try_collect()
                .await?;
            rows += self.store_read(resource, objects).await?;
        }
        Ok(rows)
    }

    /// What was read again, and what is gone, in one transaction.
    async fn store_read(
        &self,
        resource: &'static Resource,
        objects: Vec<(String, Object)>,
    ) -> Result<u64, SyncError> {
        let mut decoder = Decoder::new(resource);
        let mut parents = Vec::new();
        let mut gone = Vec::new();
        for (id, object) in objects {
            match self.fetch.decode(resource, &id, object, &mut decoder).await? {
                Read::Row => parents.push(id),
                Read::Gone { as_of_micros } => gone.push(Change::MarkDeleted { ids: vec![id], as_of_micros }),
            }
        }
        let mut batch = self.merging(resource, decoder.finish(), &parents);
        batch.writes.extend(gone.into_iter().map(|change| Write { table: resource.table, change }));
        Ok(self.warehouse.apply(batch).await?.rows)
    }

    /// Stores the events themselves and moves the cursor, once all that they name is stored (trap 30).
    pub(crate) async fn settle(&self, events: &'static Resource, news: News) -> Result<u64, SyncError> {
        let feed = Feed { since: news.newest, catching_up: false };
        let mut batch = batch(self.schema, vec![feed_checkpoint(&feed)?]);
        let mut rows = 0;
        for decoded in news.decoded {
            rows += u64::try_from(decoded.rows.num_rows()).unwrap_or(u64::MAX);
            batch.writes.push(Write { table: events.table, change: Change::Merge(decoded.rows) });
            batch.rejects.extend(decoded.rejects);
        }
        self.warehouse.apply(batch).await?;
        Ok(rows)
    }

    /// Customers that others name but no list shows: deleted ones (trap 11).
    pub(crate) async fn fetch_dangling(
        &self,
        resources: &[&'static Resource],
        target: &'static Resource,
    ) -> Result<u64, SyncError> {
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

    async fn ask(&self, resource: &'static Resource, id: String) -> Result<(String, Object), SyncError> {
        let object = self.fetch.object(resource, &id).await?;
        Ok((id, object))
    }

    /// Rows by merge, the child sets of `parents` replaced: removing a child sends no event (trap 12).
    fn merging(&self, resource: &'static Resource, decoded: Decoded, parents: &[String]) -> Batch {
        let mut batch = Batch { rejects: decoded.rejects, ..batch(self.schema, Vec::new()) };
        batch.writes.push(Write { table: resource.table, change: Change::Merge(decoded.rows) });
        for (child, rows) in decoded.children {
            let change = Change::ReplaceChildren { parents: parents.to_vec(), rows };
            batch.writes.push(Write { table: child.table, change });
        }
        batch
    }

    /// The subjects of events that are not applied yet.
    async fn fresh(
        &self,
        events: &'static Resource,
        feed: &Feed,
        hints: Vec<Hint>,
    ) -> Result<Vec<Subject>, SyncError> {
        if feed.catching_up {
            return Ok(hints.into_iter().filter_map(|hint| hint.subject).collect());
        }
        let by_event: BTreeMap<String, Option<Subject>> =
            hints.into_iter().map(|hint| (hint.event, hint.subject)).collect();
        let ids = by_event.keys().cloned().collect();
        let unknown = self.warehouse.unknown(self.schema, events.table, ids).await?;
        Ok(unknown.iter().filter_map(|id| by_event.get(id).cloned().flatten()).collect())
    }
}
