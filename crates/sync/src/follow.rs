//! Following what happens: new objects by list, changed ones by event, deleted ones that others name; then the cursor.

use catalog::Resource;
use futures::stream::{self, StreamExt};
use warehouse::Warehouse;

use crate::{
    Feed, SyncError, TableReport, TableState, Walks,
    change::{Changes, Listed, News},
    cycle::Cycle,
    state::KEPT,
};

/// What the feed has to say.
enum Said {
    /// Everything from the cursor on.
    All(News),
    /// More than is read at once.
    TooMuch,
    /// Stripe does not give it, or its first copy is not complete.
    Nothing,
}

/// The end of a cycle: every table that can be is brought up to date.
pub(crate) struct Following<'a, W> {
    pub(crate) cycle: &'a Cycle<'a, W>,
    pub(crate) changes: Changes<'a, W>,
    pub(crate) events: &'static Resource,
}

impl<W: Warehouse> Following<'_, W> {
    /// Applies what changed since the cursor, and moves it when every table could be brought up to date.
    pub(crate) async fn run(&self, mut feed: Feed, tables: &mut [TableReport]) -> Result<(), SyncError> {
        let mut most = self.cycle.engine.options.event_pages;
        let mut said = self.said(&feed, most, tables).await?;
        while matches!(said, Said::TooMuch) {
            let Some(further) = self.work_off(feed.clone(), tables).await? else {
                return Ok(());
            };
            if further == feed {
                most = usize::MAX; // All of it is within the hold-back: read it whole.
            }
            feed = further;
            said = self.said(&feed, most, tables).await?;
        }
        let news = match said {
            Said::All(news) => Some(news),
            Said::TooMuch | Said::Nothing => None,
        };
        // Listed after the events were read: what shows in a list is then as new as they say.
        let mut whole = self.list_all(tables).await?;
        if let Some(news) = &news {
            whole &= self.reread_all(news, news.read_micros, tables).await?;
        }
        self.apply_dangling(tables).await?;
        if let Some(news) = news.filter(|_| whole) {
            let cursor = news.cursor(&feed);
            let rows = self.changes.settle(self.events, news, &cursor).await?;
            add(tables, self.events.table.name, rows);
        }
        Ok(())
    }

    /// What the feed says; nothing while Stripe does not give it, and then new objects are still listed.
    async fn said(&self, feed: &Feed, most: usize, tables: &mut [TableReport]) -> Result<Said, SyncError> {
        if !is_live(tables, self.events.table.name) {
            return Ok(Said::Nothing);
        }
        match self.changes.news(self.events, feed, None, most).await {
            Ok(news) => Ok(news.map_or(Said::TooMuch, Said::All)),
            Err(error) if error.is_unavailable() => {
                if let Some(report) = report_of(tables, self.events.table.name) {
                    self.failed(report, error).await?;
                }
                Ok(Said::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// Works through a feed that is too long to be held at once, from its oldest events on, each stretch with its own
    /// step of the cursor. Gives the cursor reached, none when a table could not go on.
    ///
    /// What was listed or read again after the newest event of a stretch needs no second look, so an object that
    /// changed a thousand times is read once.
    async fn work_off(&self, mut feed: Feed, tables: &mut [TableReport]) -> Result<Option<Feed>, SyncError> {
        let newest = self.changes.newest_events(self.events).await?.and_then(|page| page.newest_held_back());
        let shown_since = self.cycle.fetch.stripe.now().timestamp_micros();
        if !self.list_all(tables).await? {
            return Ok(None);
        }
        let Some(until) = newest else { return Ok(Some(feed)) };
        // A feed that had no event yet begins with the oldest that Stripe can have.
        let mut since = feed.since.unwrap_or(until - KEPT);
        let mut width = ((until - since) / 2).max(1);
        while since < until {
            let end = since.saturating_add(width).min(until);
            let most = if end - since > 1 { self.cycle.engine.options.event_pages } else { usize::MAX };
            feed.since = Some(since);
            let Some(news) = self.changes.news(self.events, &feed, Some(end), most).await? else {
                width = ((end - since) / 2).max(1);
                continue;
            };
            if !self.reread_all(&news, shown_since, tables).await? {
                return Ok(None);
            }
            if news.pages <= (most / 2).max(1) {
                width = width.saturating_mul(2);
            }
            (since, feed.since) = (end, Some(end));
            let rows = self.changes.settle(self.events, news, &feed).await?;
            add(tables, self.events.table.name, rows);
        }
        Ok(Some(feed))
    }

    /// New objects of every live table; whether all could be listed.
    async fn list_all(&self, tables: &mut [TableReport]) -> Result<bool, SyncError> {
        let mut whole = true;
        let mut asked = Vec::new();
        for resource in others(self.events) {
            match report_of(tables, resource.table.name).map(|report| &report.outcome) {
                Some(&Ok(TableState::Live { frontier, walks })) => {
                    asked.push(self.list_new(resource, frontier, walks));
                }
                Some(Ok(TableState::Unavailable { .. })) | None => {}
                Some(Ok(TableState::Copying { .. } | TableState::Comparing { .. }) | Err(_)) => whole = false,
            }
        }
        let width = self.cycle.engine.options.reads;
        let listed: Vec<_> = stream::iter(asked).buffer_unordered(width).collect().await;
        for (resource, listed) in listed {
            let Some(report) = report_of(tables, resource.table.name) else { continue };
            match listed {
                Ok(Listed { rows, state }) => {
                    report.outcome = Ok(state);
                    self.wrote(report, rows);
                }
                Err(error) => whole = self.failed(report, error).await?,
            }
        }
        Ok(whole)
    }

    async fn list_new(
        &self,
        resource: &'static Resource,
        frontier: Option<i64>,
        walks: Walks,
    ) -> (&'static Resource, Result<Listed, SyncError>) {
        (resource, self.changes.list_new(resource, frontier, walks).await)
    }

    /// Objects that events name, in every live table; whether all could be read.
    async fn reread_all(
        &self,
        news: &News,
        since_micros: i64,
        tables: &mut [TableReport],
    ) -> Result<bool, SyncError> {
        let mut whole = true;
        for resource in others(self.events) {
            let Some(report) = report_of(tables, resource.table.name) else { continue };
            if !matches!(report.outcome, Ok(TableState::Live { .. })) {
                continue;
            }
            match self.changes.reread_stale(resource, news.ids(resource.table.object), since_micros).await {
                Ok(rows) => self.wrote(report, rows),
                Err(error) => whole = self.failed(report, error).await?,
            }
        }
        Ok(whole)
    }

    async fn apply_dangling(&self, tables: &mut [TableReport]) -> Result<(), SyncError> {
        let Some(customers) = catalog::by_object("customer") else { return Ok(()) };
        if !is_live(tables, customers.table.name) {
            return Ok(());
        }
        let live: Vec<_> = catalog::resources()
            .iter()
            .copied()
            .filter(|resource| is_live(tables, resource.table.name))
            .collect();
        let rows = self.changes.fetch_dangling(&live, customers).await?;
        add(tables, customers.table.name, rows);
        Ok(())
    }

    fn wrote(&self, report: &mut TableReport, rows: u64) {
        report.rows += rows;
        self.cycle.show(report.table, |shown| shown.rows += rows);
    }

    /// A table that cannot go on; what concerns all ends the cycle.
    async fn failed(&self, report: &mut TableReport, error: SyncError) -> Result<bool, SyncError> {
        if error.concerns_all() {
            return Err(error);
        }
        report.outcome = self.cycle.concluded(report.table, Err(error), false).await;
        Ok(false)
    }
}

/// Every resource but the events themselves.
fn others(events: &'static Resource) -> impl Iterator<Item = &'static Resource> {
    catalog::resources().iter().copied().filter(|resource| resource.table.name != events.table.name)
}

fn report_of<'a>(tables: &'a mut [TableReport], table: &str) -> Option<&'a mut TableReport> {
    tables.iter_mut().find(|report| report.table == table)
}

fn add(tables: &mut [TableReport], table: &'static str, rows: u64) {
    if let Some(report) = report_of(tables, table) {
        report.rows += rows;
    }
}

fn is_live(tables: &[TableReport], name: &str) -> bool {
    tables.iter().any(|report| report.table == name && matches!(report.outcome, Ok(TableState::Live { .. })))
}
