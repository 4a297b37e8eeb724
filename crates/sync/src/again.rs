//! Objects that are read again, one by one, at the pinned version.

use std::{
    collections::{BTreeMap, HashSet},
    pin::pin,
};

use catalog::{Decoder, Resource};
use futures::{
    future::join,
    stream::{self, Stream, StreamExt},
};
use tokio::time::timeout;
use warehouse::{Age, Batch, Belonging, Change, Ids, SchemaName, Warehouse, Write};

use crate::{
    SyncError,
    change::Changes,
    error::unless_stopped,
    fetch::{Fetch, Object, Read},
    gathered,
};

/// Objects of a table that a cycle reads again before it stores them together.
const TOGETHER: usize = 100;
/// Objects, and bytes of their answers, of whatever tables, that are stored together at most.
const MOST_OBJECTS: usize = 500;
const MOST_BYTES: usize = 8 << 20;

impl<W: Warehouse> Changes<'_, W> {
    /// Reads again those of `ids` that the warehouse does not show as they were at `since` or later.
    pub(crate) async fn reread_stale(
        &self,
        resource: &'static Resource,
        ids: Vec<String>,
        since_micros: i64,
        may_come: impl Fn(&str) -> bool,
    ) -> Result<Again, SyncError> {
        if ids.is_empty() {
            return Ok(Again::default());
        }
        let stale = self.warehouse.stale(self.schema, resource.table, ids, since_micros).await?;
        self.reread_unless(resource, stale, may_come).await
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
        self.reread_unless(resource, ids, |_| false).await
    }

    /// The same; what was never there and `may_come` yet is no more gone than read.
    async fn reread_unless(
        &self,
        resource: &'static Resource,
        ids: Vec<String>,
        may_come: impl Fn(&str) -> bool,
    ) -> Result<Again, SyncError> {
        let mut again = Again::default();
        let mut groups = pin!(self.asked(resource, ids).chunks(TOGETHER));
        let mut next = groups.next().await;
        while let Some(asked) = next {
            unless_stopped(&self.fetch.stop)?;
            let (stored, following) = join(self.store_read(asked, &may_come), groups.next()).await;
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
        let object = timeout(self.patience, self.object(resource, &id)).await.unwrap_or_else(slow);
        Asked { resource, id, object }
    }

    async fn store_read(
        &self,
        asked: Vec<Asked>,
        may_come: impl Fn(&str) -> bool,
    ) -> Result<Again, SyncError> {
        let (mut read, mut unshown) = (ReadAgain::new(self.schema), Vec::new());
        for asked in asked {
            if self.may_show_yet(&asked, &may_come).await? {
                unshown.push(asked.id);
            } else {
                read.add(self.fetch, asked).await?;
            }
        }
        let rows = self.store(read.take()).await?;
        let failed = read.failed.into_iter().map(|(_, id, error)| (id, error)).collect();
        Ok(Again { rows, failed, unshown })
    }

    /// Whether an object is not gone, since it `may_come` yet: Stripe says nothing of it, not even that it was deleted, and the
    /// warehouse holds nothing of it, not even that it is gone.
    pub(crate) async fn may_show_yet(
        &self,
        Asked { resource, id, object }: &Asked,
        may_come: impl Fn(&str) -> bool,
    ) -> Result<bool, SyncError> {
        if !matches!(object, Ok(Object::Gone { .. })) || !may_come(id) {
            return Ok(false);
        }
        let unknown = self.warehouse.stale(self.schema, resource.table, vec![id.clone()], 0).await?;
        Ok(!unknown.is_empty())
    }
}

/// An object that was asked for again, and what came of it.
pub(crate) struct Asked {
    pub(crate) resource: &'static Resource,
    pub(crate) id: String,
    object: Result<Object, SyncError>,
}

/// Objects that were read again, to be stored in one transaction, of whatever tables they are.
pub(crate) struct ReadAgain {
    /// What is gone.
    batch: Batch,
    /// By table, what is there, and those whose nested lists could not be read: half of them is among it.
    found: BTreeMap<&'static str, (&'static Resource, Decoder, HashSet<String>)>,
    objects: usize,
    bytes: usize,
    /// Those that could not be read.
    pub(crate) failed: Vec<(&'static Resource, String, SyncError)>,
}

impl ReadAgain {
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
    /// Those that Stripe may not show yet.
    pub(crate) unshown: Vec<String>,
}

impl Again {
    pub(crate) fn extend(&mut self, other: Self) {
        self.rows += other.rows;
        self.failed.extend(other.failed);
        self.unshown.extend(other.unshown);
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
