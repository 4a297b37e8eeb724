//! One update cycle of one connection.

use std::sync::Arc;

use catalog::Resource;
use futures::future::join_all;
use stripe_api::Stripe;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use warehouse::{SchemaName, Warehouse};

use crate::{
    Feed, Phase, Progress, Slice, SyncError, TableProgress, TableState,
    change::{Changes, News},
    copy::{Committed, Copy, batch},
    error::unless_stopped,
    fetch::Fetch,
    state::{Stored, feed_checkpoint, table_checkpoint},
};

/// How wide a cycle works.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Slices of one table walked at once.
    pub slices: usize,
    /// Pages gathered for one transaction.
    pub pages: usize,
    /// Objects read again at once.
    pub reads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { slices: 4, pages: 20, reads: 8 }
    }
}

/// Brings one connection's tables up to date.
pub struct Engine<W> {
    /// Whom to ask.
    pub stripe: Stripe,
    /// Where the rows rest.
    pub warehouse: Arc<W>,
    /// The connection's schema.
    pub schema: SchemaName,
    /// Told about every committed piece of work.
    pub progress: watch::Sender<Progress>,
    /// How wide to work.
    pub options: Options,
}

/// What a cycle did to one table.
#[derive(Debug)]
pub struct TableReport {
    /// The table.
    pub table: &'static str,
    /// Rows written.
    pub rows: u64,
    /// Where the table stands now, or why it could not go on.
    pub outcome: Result<TableState, SyncError>,
}

/// What a cycle did.
#[derive(Debug)]
pub struct Report {
    /// Each table, parents before children.
    pub tables: Vec<TableReport>,
    /// Requests sent to Stripe, repeated ones too.
    pub requests: u64,
}

impl Report {
    /// Rows written, all tables together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Tables that could not go on; unavailable ones are not among them.
    pub fn failed(&self) -> impl Iterator<Item = (&'static str, &SyncError)> {
        self.tables.iter().filter_map(|table| Some((table.table, table.outcome.as_ref().err()?)))
    }
}

impl<W: Warehouse> Engine<W> {
    /// One update cycle: resumes or begins the first copy, then applies what changed.
    ///
    /// Safe to stop and to repeat at any moment.
    ///
    /// # Errors
    /// What concerns all tables: the warehouse, the account as a whole, a stop. What concerns one is in the report.
    pub async fn run(&self, stop: &CancellationToken) -> Result<Report, SyncError> {
        let result = self.cycle(stop).await;
        self.progress.send_modify(|progress| progress.phase = Phase::Finished);
        result
    }

    async fn cycle(&self, stop: &CancellationToken) -> Result<Report, SyncError> {
        let before = self.stripe.requests();
        self.prepare().await?;
        let stored = Stored::read(self.warehouse.checkpoints(&self.schema).await?)?;
        let cycle = Cycle { engine: self, fetch: Fetch { stripe: self.stripe.clone() }, stop };
        let feed = cycle.feed(&stored).await?;
        self.progress.send_modify(|progress| progress.phase = Phase::Copying);
        let mut tables = cycle.copy(stored).await;
        unless_stopped(stop)?;
        self.progress.send_modify(|progress| progress.phase = Phase::Changes);
        cycle.apply_changes(&feed, &mut tables).await?;
        Ok(Report { tables, requests: self.stripe.requests() - before })
    }

    async fn prepare(&self) -> Result<(), SyncError> {
        Ok(self.warehouse.prepare(&self.schema, catalog::tables().collect()).await?)
    }
}

/// What the steps of one cycle share.
struct Cycle<'a, W> {
    engine: &'a Engine<W>,
    fetch: Fetch,
    stop: &'a CancellationToken,
}

impl<W: Warehouse> Cycle<'_, W> {
    /// The feed's cursor, taken before the first page of a first copy.
    async fn feed(&self, stored: &Stored) -> Result<Feed, SyncError> {
        if let Some(feed) = &stored.feed {
            return Ok(feed.clone());
        }
        let Some(events) = catalog::by_object("event") else {
            return Ok(Feed { since: None, catching_up: true });
        };
        let since = match self.changes().newest_event(events).await {
            Ok(since) => since,
            Err(error) if error.is_unavailable() => None,
            Err(error) => return Err(error),
        };
        let feed = Feed { since, catching_up: true };
        let engine = self.engine;
        engine.warehouse.apply(batch(&engine.schema, vec![feed_checkpoint(&feed)?])).await?;
        Ok(feed)
    }

    /// The first copy of every table that is not live yet, side by side.
    async fn copy(&self, mut stored: Stored) -> Vec<TableReport> {
        let tables = catalog::resources().iter().map(|&resource| {
            let state = stored.tables.remove(resource.table.name);
            let slices = stored.slices.remove(resource.table.name).unwrap_or_default();
            self.copy_table(resource, state, slices)
        });
        join_all(tables.collect::<Vec<_>>()).await
    }

    async fn copy_table(
        &self,
        resource: &'static Resource,
        state: Option<TableState>,
        mut slices: Vec<Slice>,
    ) -> TableReport {
        let table = resource.table.name;
        let holds_nothing = matches!(state, None | Some(TableState::Unavailable { .. })) && slices.is_empty();
        let frontier = match state {
            Some(TableState::Live { frontier }) => {
                self.complete(table);
                return TableReport { table, rows: 0, outcome: Ok(TableState::Live { frontier }) };
            }
            Some(TableState::Copying { frontier }) => frontier,
            Some(TableState::Unavailable { .. }) | None => None,
        };
        if slices.is_empty() {
            slices.push(Slice::whole());
        }
        let mut rows = 0;
        let mut longest = 1;
        let outcome = self
            .copier(resource)
            .run(&slices, frontier, |committed| {
                rows += committed.rows;
                longest = longest.max(committed.left);
                self.committed(table, &committed, longest);
            })
            .await;
        TableReport { table, rows, outcome: self.concluded(table, outcome, holds_nothing).await }
    }

    /// Turns Stripe's refusal of a resource into a state of the table (trap 23), as long as the table holds nothing: one
    /// that holds rows keeps its state, and goes on from there once Stripe gives it again.
    async fn concluded(
        &self,
        table: &'static str,
        outcome: Result<TableState, SyncError>,
        holds_nothing: bool,
    ) -> Result<TableState, SyncError> {
        match outcome {
            Ok(state) => {
                self.complete(table);
                Ok(state)
            }
            Err(error) if holds_nothing && refuses_list(table, &error) => {
                let state = TableState::Unavailable { why: error.sentence() };
                self.show(table, |shown| {
                    (shown.unavailable, shown.why) = (true, Some(error.sentence()));
                });
                let engine = self.engine;
                let checkpoint = table_checkpoint(table, &state)?;
                engine.warehouse.apply(batch(&engine.schema, vec![checkpoint])).await?;
                Ok(state)
            }
            Err(error) => {
                self.show(table, |shown| shown.why = Some(error.sentence()));
                Err(error)
            }
        }
    }

    /// New objects by list, changed ones by event, deleted ones that others name; then the cursor.
    async fn apply_changes(&self, feed: &Feed, tables: &mut [TableReport]) -> Result<(), SyncError> {
        let Some(events) = catalog::by_object("event") else { return Ok(()) };
        let changes = self.changes();
        let news = self.news(&changes, events, feed, tables).await?;
        let mut whole = true;
        for resource in
            catalog::resources().iter().filter(|resource| resource.table.name != events.table.name)
        {
            let Some(report) = report_of(tables, resource.table.name) else { continue };
            let Ok(TableState::Live { frontier }) = report.outcome else {
                whole &= matches!(report.outcome, Ok(TableState::Unavailable { .. }));
                continue;
            };
            let subjects = news.iter().flat_map(|news| &news.subjects);
            let ids = subjects.filter(|subject| subject.object == resource.table.object);
            let ids: Vec<String> = ids.map(|subject| subject.id.clone()).collect();
            match self.apply_table(&changes, resource, frontier, ids).await {
                Ok((rows, state)) => (report.rows, report.outcome) = (report.rows + rows, Ok(state)),
                Err(SyncError::Stopped) => return Err(SyncError::Stopped),
                Err(error) => {
                    (whole, report.outcome) = (false, self.concluded(report.table, Err(error), false).await);
                }
            }
        }
        self.apply_dangling(&changes, tables).await?;
        if let Some(news) = news
            && whole
        {
            let rows = changes.settle(events, news).await?;
            add(tables, events.table.name, rows);
        }
        Ok(())
    }

    /// What the feed says; nothing while Stripe does not give it, and then new objects are still listed.
    async fn news(
        &self,
        changes: &Changes<'_, W>,
        events: &'static Resource,
        feed: &Feed,
        tables: &mut [TableReport],
    ) -> Result<Option<News>, SyncError> {
        if !is_live(tables, events.table.name) {
            return Ok(None);
        }
        match changes.news(events, feed).await {
            Ok(news) => Ok(Some(news)),
            Err(error) if error.is_unavailable() => {
                let outcome = self.concluded(events.table.name, Err(error), false).await;
                if let Some(report) = report_of(tables, events.table.name) {
                    report.outcome = outcome;
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn apply_table(
        &self,
        changes: &Changes<'_, W>,
        resource: &'static Resource,
        frontier: Option<i64>,
        ids: Vec<String>,
    ) -> Result<(u64, TableState), SyncError> {
        let listed = changes.list_new(resource, frontier).await?;
        let older = ids.into_iter().filter(|id| !listed.ids.contains(id)).collect();
        let rows = listed.rows + changes.reread(resource, older).await?;
        self.show(resource.table.name, |shown| shown.rows += rows);
        Ok((rows, listed.state))
    }

    async fn apply_dangling(
        &self,
        changes: &Changes<'_, W>,
        tables: &mut [TableReport],
    ) -> Result<(), SyncError> {
        let Some(customers) = catalog::by_object("customer") else { return Ok(()) };
        if !is_live(tables, customers.table.name) {
            return Ok(());
        }
        let live: Vec<_> = catalog::resources()
            .iter()
            .copied()
            .filter(|resource| is_live(tables, resource.table.name))
            .collect();
        let rows = changes.fetch_dangling(&live, customers).await?;
        add(tables, customers.table.name, rows);
        Ok(())
    }

    fn changes(&self) -> Changes<'_, W> {
        let Engine { warehouse, schema, options, .. } = self.engine;
        Changes { fetch: &self.fetch, warehouse, schema, width: options.reads, stop: self.stop }
    }

    fn copier(&self, resource: &'static Resource) -> Copy<'_, W> {
        let Engine { warehouse, schema, options, .. } = self.engine;
        let (width, pages) = (options.slices, options.pages);
        Copy { fetch: &self.fetch, warehouse, schema, resource, width, pages, stop: self.stop }
    }

    fn committed(&self, table: &'static str, committed: &Committed, longest: i64) {
        self.show(table, |shown| {
            shown.rows += committed.rows;
            let left = committed.left.saturating_mul(1000) / longest.max(1);
            shown.permille = Some(u32::try_from((1000 - left).clamp(0, 999)).unwrap_or(0));
        });
    }

    fn complete(&self, table: &'static str) {
        self.show(table, |shown| {
            shown.complete = true;
            shown.permille = Some(1000);
        });
    }

    fn show(&self, table: &'static str, change: impl FnOnce(&mut TableProgress)) {
        self.engine.progress.send_modify(|progress| {
            if let Some(shown) = progress.tables.get_mut(table) {
                change(shown);
            }
        });
    }
}

fn report_of<'a>(tables: &'a mut [TableReport], table: &str) -> Option<&'a mut TableReport> {
    tables.iter_mut().find(|report| report.table == table)
}

fn add(tables: &mut [TableReport], table: &'static str, rows: u64) {
    if let Some(report) = report_of(tables, table) {
        report.rows += rows;
    }
}

/// A refused list is the table's own; what is refused of one object says nothing about its kind.
fn refuses_list(table: &str, error: &SyncError) -> bool {
    let list = catalog::resource(table).map(|resource| resource.list_path);
    error.is_unavailable() && matches!(error, SyncError::Stripe { path, .. } if Some(path.as_str()) == list)
}

fn is_live(tables: &[TableReport], name: &str) -> bool {
    tables.iter().any(|report| report.table == name && matches!(report.outcome, Ok(TableState::Live { .. })))
}
