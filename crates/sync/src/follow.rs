//! Following what happens: new objects by list, changed ones by event, deleted ones that others name; then the cursor.

use std::collections::BTreeMap;

use catalog::{Api, Resource};
use futures::stream::{self, StreamExt};
use warehouse::Warehouse;

use crate::{
    Feed, SyncError, TableReport, TableState, Walks,
    again::Again,
    change::{Changes, Listed, News},
    cycle::{Cycle, own_lists},
    error::counted,
    event::Subject,
    feeds::Fed,
    state::{KEPT, Owed, owed_checkpoint},
};

/// What is owed, by table.
pub(crate) type Debts = BTreeMap<String, Owed>;

/// Objects that others name although no list shows them: customers that are deleted (trap 11), reviews that are closed and
/// prices that were made inline (trap 10).
const NAMED: [&str; 3] = ["customer", "review", "price"];

/// How often a feed that is too long is worked off before the rest is held whole.
const WORKED_OFF: u32 = 3;

/// The end of a cycle: every table that can be is brought up to date, of one version of Stripe's API.
pub(crate) struct Following<'a, W> {
    pub(crate) cycle: &'a Cycle<'a, W>,
    pub(crate) changes: Changes<'a, W>,
    pub(crate) events: &'static Resource,
}

impl<W: Warehouse> Following<'_, W> {
    /// Applies what changed since the cursor, and moves it. What a table could not be told is owed to it.
    pub(crate) async fn run(
        &self,
        Fed { mut feed, unread, .. }: Fed,
        tables: &mut [TableReport],
        owed: &mut Debts,
    ) -> Result<(), SyncError> {
        let heard = match unread {
            Some(error) => Err(error),
            None => self.hear(&mut feed, tables, owed).await,
        };
        let mut news = match heard {
            Ok(news) => news,
            // New objects are listed all the same.
            Err(error) => self.untold(tables, error).map(|()| None)?,
        };
        // Listed after the events were read: what shows in a list is then as new as they say.
        self.list_all(tables).await?;
        if let Some(news) = &mut news {
            let unshown = self.reread_all(news, news.read_micros, tables, owed).await?;
            news.leave_out(&unshown);
        }
        if self.events.list.api() == Api::V1 {
            self.apply_dangling(tables).await?;
        }
        if let Some(news) = news {
            feed = news.cursor(&feed);
            self.settle(news, &feed, tables, owed).await?;
        }
        self.note_expansions(tables, owed).await
    }

    /// What the feed says, the beginning of one that is too long worked off already; none where there are no events yet.
    async fn hear(
        &self,
        feed: &mut Feed,
        tables: &mut [TableReport],
        owed: &mut Debts,
    ) -> Result<Option<News>, SyncError> {
        if !is_live(tables, self.events.table.name) {
            return Ok(None);
        }
        let mut most = self.cycle.engine.options.event_pages;
        for times in 1.. {
            if let Some(news) = self.changes.news(self.events, feed, None, most).await? {
                return Ok(Some(news));
            }
            self.work_off(feed, tables, owed).await?;
            if times == WORKED_OFF {
                most = usize::MAX; // Events come as fast as they are worked off: the rest is held whole.
            }
        }
        Ok(None)
    }

    /// Nobody hears what the feed tells.
    fn untold(&self, tables: &mut [TableReport], error: SyncError) -> Result<(), SyncError> {
        if error.concerns_all() {
            return Err(error);
        }
        let is_live = |report: &&mut TableReport| matches!(report.outcome, Ok(TableState::Live { .. }));
        match report_of(tables, self.events.table.name).filter(is_live) {
            Some(report) => self.failed(report, error),
            // It says so itself.
            None => Ok(()),
        }
    }

    /// Stores events with the cursor after them, and what could not be read again.
    async fn settle(
        &self,
        news: News,
        feed: &Feed,
        tables: &mut [TableReport],
        owed: &Debts,
    ) -> Result<(), SyncError> {
        let named = others(self.events).map(|resource| resource.table.name);
        let owed: Vec<_> =
            named.map(|table| owed_checkpoint(table, owed.get(table))).collect::<Result<_, _>>()?;
        let rows = self.changes.settle(self.events, news, feed, owed).await?;
        if let Some(report) = report_of(tables, self.events.table.name) {
            self.wrote(report, rows);
        }
        Ok(())
    }

    /// Works through a feed that is too long to be held at once, from its oldest events on, each stretch with its own
    /// step of the cursor.
    ///
    /// What was listed or read again after the newest event of a stretch needs no second look, so an object that
    /// changed a thousand times is read once.
    async fn work_off(
        &self,
        feed: &mut Feed,
        tables: &mut [TableReport],
        owed: &mut Debts,
    ) -> Result<(), SyncError> {
        let newest = self.changes.newest_events(self.events).await?.and_then(|page| page.newest_held_back());
        let shown_since = self.cycle.fetch.stripe.now().timestamp_micros();
        self.list_all(tables).await?;
        let Some(until) = newest else { return Ok(()) };
        // A feed that had no event yet begins with the oldest that Stripe can have.
        let mut since = feed.since.unwrap_or(until - KEPT);
        let mut width = ((until - since) / 2).max(1);
        while since < until {
            let end = since.saturating_add(width).min(until);
            let most = if end - since > 1 { self.cycle.engine.options.event_pages } else { usize::MAX };
            feed.since = Some(since);
            let Some(mut news) = self.changes.news(self.events, feed, Some(end), most).await? else {
                width = ((end - since) / 2).max(1);
                continue;
            };
            let unshown = self.reread_all(&news, shown_since, tables, owed).await?;
            news.leave_out(&unshown);
            if news.pages <= (most / 2).max(1) {
                width = width.saturating_mul(2);
            }
            (since, feed.since) = (end, Some(end));
            self.settle(news, feed, tables, owed).await?;
        }
        Ok(())
    }

    /// New objects of every live table. One that cannot be listed says so, and is asked from where it stands next time.
    async fn list_all(&self, tables: &mut [TableReport]) -> Result<(), SyncError> {
        let live = |resource: &'static Resource| match &report_of(tables, resource.table.name)?.outcome {
            &Ok(TableState::Live { frontier, walks }) => Some(self.list_new(resource, frontier, walks)),
            Ok(_) | Err(_) => None,
        };
        let asked: Vec<_> = others(self.events).filter_map(live).collect();
        let width = self.cycle.engine.options.reads;
        let listed: Vec<_> = stream::iter(asked).buffer_unordered(width).collect().await;
        for (resource, listed) in listed {
            let Some(report) = report_of(tables, resource.table.name) else { continue };
            match listed {
                Ok(Listed { rows, state }) => {
                    report.outcome = Ok(state);
                    self.wrote(report, rows);
                }
                Err(error) => self.failed(report, error)?,
            }
        }
        Ok(())
    }

    async fn list_new(
        &self,
        resource: &'static Resource,
        frontier: Option<i64>,
        walks: Walks,
    ) -> (&'static Resource, Result<Listed, SyncError>) {
        (resource, self.changes.list_new(resource, frontier, walks).await)
    }

    /// Objects that events name, and those that are owed, in every table that holds any. Gives those that Stripe may not show
    /// yet.
    async fn reread_all(
        &self,
        news: &News,
        since_micros: i64,
        tables: &mut [TableReport],
        owed: &mut Debts,
    ) -> Result<Vec<Subject>, SyncError> {
        let mut unshown = Vec::new();
        for resource in others(self.events) {
            let Some(report) = report_of(tables, resource.table.name) else { continue };
            let object = resource.table.object;
            let named = news.ids(object);
            let owed = owed.entry(resource.table.name.to_owned()).or_default();
            match report.outcome {
                Ok(TableState::Live { .. }) => {
                    let may_come = |id: &str| news.may_come(object, id);
                    let ids = self.reread(resource, named, (since_micros, may_come), (report, owed)).await?;
                    unshown.extend(ids.into_iter().map(|id| Subject { object: object.to_owned(), id }));
                }
                // It holds nothing: its first copy will show what is.
                Ok(TableState::Unavailable { .. }) => {}
                Ok(TableState::Copying { .. } | TableState::Comparing { .. }) | Err(_) => owed.add(named),
            }
        }
        Ok(unshown)
    }

    async fn reread(
        &self,
        resource: &'static Resource,
        named: Vec<String>,
        (since_micros, may_come): (i64, impl Fn(&str) -> bool),
        (report, owed): (&mut TableReport, &mut Owed),
    ) -> Result<Vec<String>, SyncError> {
        let mut again = self.changes.reread_stale(resource, named, since_micros, may_come).await?;
        let before = std::mem::take(&mut owed.ids);
        again.extend(self.changes.reread(resource, before.into_iter().collect()).await?);
        owed.add(again.failed.iter().map(|(id, _)| id.clone()));
        self.wrote(report, again.rows);
        let unshown = std::mem::take(&mut again.unshown);
        self.conclude(report, again)?;
        Ok(unshown)
    }

    /// Objects that Stripe refuses to show are said and owed; any other failure is the table's.
    fn conclude(&self, report: &mut TableReport, again: Again) -> Result<(), SyncError> {
        let (refused, failed): (Vec<_>, Vec<_>) =
            again.failed.into_iter().map(|(_, error)| error).partition(SyncError::is_unavailable);
        let withheld = refused.last().map(|last| SyncError::Withheld {
            what: format!("{} of {}", counted(refused.len(), "changed object"), report.table),
            why: last.sentence(),
        });
        failed.into_iter().next().or(withheld).map_or(Ok(()), |error| self.failed(report, error))
    }

    async fn apply_dangling(&self, tables: &mut [TableReport]) -> Result<(), SyncError> {
        for named in NAMED.into_iter().filter_map(catalog::by_object) {
            if !is_live(tables, named.table.name) {
                continue;
            }
            let live = |resource: &&Resource| is_live(tables, resource.table.name);
            let live: Vec<_> = catalog::resources().iter().copied().filter(live).collect();
            let again = self.changes.fetch_dangling(&live, named).await?;
            let Some(report) = report_of(tables, named.table.name) else { continue };
            self.wrote(report, again.rows);
            self.conclude(report, again)?;
        }
        Ok(())
    }

    fn wrote(&self, report: &mut TableReport, rows: u64) {
        report.rows += rows;
        self.cycle.show(report.table, |shown| shown.rows += rows);
    }

    /// A table that stands, but could not be brought up to date; what concerns all ends the cycle.
    fn failed(&self, report: &mut TableReport, error: SyncError) -> Result<(), SyncError> {
        if error.concerns_all() {
            return Err(error);
        }
        if !error.is_withheld() {
            self.cycle.show(report.table, |shown| shown.why = Some(error.sentence()));
        }
        report.note(error);
        Ok(())
    }
}

/// Every resource that the feed tells of, but the events themselves and what is only asked for parent by parent.
fn others(events: &'static Resource) -> impl Iterator<Item = &'static Resource> {
    own_lists().filter(|other| other.list.api() == events.list.api() && other.table.name != events.table.name)
}

fn report_of<'a>(tables: &'a mut [TableReport], table: &str) -> Option<&'a mut TableReport> {
    tables.iter_mut().find(|report| report.table == table)
}

fn is_live(tables: &[TableReport], name: &str) -> bool {
    tables.iter().any(|report| report.table == name && matches!(report.outcome, Ok(TableState::Live { .. })))
}
