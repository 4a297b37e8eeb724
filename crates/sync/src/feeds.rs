//! The feeds of events in one cycle: where each stands, and whether it can be read.

use catalog::{Api, Resource};
use warehouse::{Batch, Warehouse};

use crate::{
    Began, Feed, SyncError, TableState, Walks,
    cycle::{Cycle, own_lists},
    reread::EVENTS,
    seal::seal,
    state::{HOLD_BACK, Stored, feed_checkpoint, round_checkpoint, slice_removed, table_checkpoint},
};

/// A feed in one cycle.
pub(crate) struct Fed {
    pub(crate) events: &'static Resource,
    pub(crate) feed: Feed,
    /// Why it is not read in this cycle: where its newest events cannot be, nobody knows whether it has a gap.
    pub(crate) unread: Option<SyncError>,
}

impl<W: Warehouse> Cycle<'_, W> {
    /// The feeds, one for each version of Stripe's API.
    ///
    /// # Errors
    /// Where one fails and Stripe gives no other, it may be Stripe, or the way to it: a cycle would try everything in vain.
    pub(crate) async fn feeds(&self, stored: &mut Stored) -> Result<Vec<Fed>, SyncError> {
        let mut feeds = Vec::new();
        for events in EVENTS.into_iter().filter_map(catalog::by_object) {
            feeds.push(self.feed(events, stored).await?);
        }
        let failed = |fed: &Fed| fed.unread.as_ref().is_some_and(|error| !error.is_unavailable());
        match feeds.iter().position(failed) {
            Some(failed) if feeds.iter().all(|fed| fed.unread.is_some()) => {
                feeds.swap_remove(failed).unread.map_or(Ok(Vec::new()), Err)
            }
            Some(_) | None => Ok(feeds),
        }
    }

    /// A feed with its cursor: taken before the first page of a first copy (trap 19), and again, with every table to be
    /// compared, when the feed has a gap. One that cannot be read stays as it was, and keeps no table from anything.
    async fn feed(&self, events: &'static Resource, stored: &mut Stored) -> Result<Fed, SyncError> {
        let held = stored.feeds.get(events.table.name).cloned();
        let mut batch = Batch::of(&self.engine.schema);
        let (feed, unread) = match self.changes().newest_events(events).await {
            Ok(newest) => {
                let now = newest.as_ref().and_then(|page| page.date).map(|date| date.timestamp());
                let gap = held.as_ref().is_some_and(|feed| feed.has_gap(now));
                if gap {
                    tracing::warn!(
                        "changes of more than 30 days were missed: every table is compared with Stripe"
                    );
                    self.compare_all(events.list.api(), stored, &mut batch).await?;
                }
                let since = newest.and_then(|page| page.newest_held_back());
                let begins = Feed { since, catching_up: true, read_at: now, refused: false };
                let goes_on = held.clone().filter(|_| !gap).map(|feed| Feed { refused: false, ..feed });
                (goes_on.unwrap_or(begins), None)
            }
            Err(error) => match self.unread(held.clone(), &error) {
                Some(feed) => (feed, Some(error)),
                None => return Err(error),
            },
        };
        if held.as_ref() != Some(&feed) {
            batch.checkpoints.push(feed_checkpoint(events.table, &feed)?);
            self.engine.warehouse.apply(batch).await?;
        }
        Ok(Fed { events, feed, unread })
    }

    /// Where a feed stands whose newest events cannot be read; none when nothing can go on.
    fn unread(&self, held: Option<Feed>, error: &SyncError) -> Option<Feed> {
        let refused = error.is_unavailable();
        match held {
            _ if error.concerns_all() => None,
            Some(held) => Some(Feed { refused, ..held }),
            None if refused => Some(Feed { catching_up: true, refused, ..Feed::default() }),
            // What happens from now on is to be read once the feed can be.
            None => {
                let now = self.fetch.stripe.date()?.timestamp();
                Some(Feed { since: Some(now - HOLD_BACK), catching_up: true, read_at: Some(now), refused })
            }
        }
    }

    /// Every table that holds rows is to be walked whole again, of one version of Stripe's API; that of events for those
    /// that Stripe still keeps.
    async fn compare_all(&self, api: Api, stored: &mut Stored, batch: &mut Batch) -> Result<(), SyncError> {
        let began = Began::now(&self.fetch.stripe);
        for resource in own_lists().filter(|resource| resource.list.api() == api) {
            let name = resource.table.name;
            if let Some(round) = stored.rounds.get_mut(name) {
                round.begin_anew();
                batch.checkpoints.push(round_checkpoint(name, round)?);
            }
            let Some(state) = stored.tables.get_mut(name) else { continue };
            match state {
                TableState::Unavailable { .. } => continue,
                TableState::Copying { .. } => {
                    seal(&*self.engine.warehouse, &self.engine.schema, resource).await?;
                }
                TableState::Comparing { .. } | TableState::Live { .. } => {}
            }
            let walks = Walks::default();
            *state = TableState::Comparing { frontier: None, began, from: None, walks };
            batch.checkpoints.push(table_checkpoint(name, state)?);
            let walked = stored.slices.remove(name).unwrap_or_default();
            batch.checkpoints.extend(walked.iter().map(|slice| slice_removed(name, slice.number)));
        }
        Ok(())
    }
}

/// Whether these events are those of a resource's kind.
pub(crate) fn tells_of(events: &Resource, resource: &Resource) -> bool {
    events.list.api() == resource.list.api()
}
