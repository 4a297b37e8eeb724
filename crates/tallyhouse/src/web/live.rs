//! Live progress: the same table as on the page, sent again whenever it changes.

use std::{convert::Infallible, time::Duration};

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use chrono::{DateTime, Utc};
use futures::stream::{self, Stream};
use tokio::{sync::watch, time::Instant};

use super::{
    Admin, App, ProgressView, Refusal, SyncPhase, TableProgressView, TableStanding,
    connect::known,
    connections::running_for,
    page::Tone,
    words::{Moment, duration, grouped},
};

/// The shortest time between two messages: people read no faster.
const PAUSE: Duration = Duration::from_millis(500);
/// After so long the browser asks again, and whoever lost the permission meanwhile is refused.
const LIFE: Duration = Duration::from_secs(300);
/// Of a table that is compared.
const MISSED: &str = "Changes were not read for 29 days or more, and Stripe drops them: all of it is compared with Stripe. Until that \
                      ends, some may be missing.";
/// How long a browser waits before it asks again.
const RETRY: Duration = Duration::from_secs(2);

/// The tables of a connection, ready to show.
pub(super) struct Tables {
    pub(super) summary: String,
    pub(super) running: bool,
    /// Those that hold something, or fail.
    pub(super) rows: Vec<TableRow>,
    /// Those that Stripe refuses.
    pub(super) refused: Vec<TableRow>,
    /// Those of which Stripe has no objects.
    pub(super) empty: Vec<String>,
    /// Those whose first page has not come.
    pub(super) waiting: Vec<String>,
}

/// One table of a connection.
pub(super) struct TableRow {
    pub(super) table: String,
    pub(super) word: &'static str,
    pub(super) tone: Tone,
    pub(super) rows: String,
    pub(super) percent: Option<u8>,
    pub(super) speed: Option<String>,
    pub(super) left: Option<String>,
    pub(super) last_data: Option<Moment>,
    pub(super) why: String,
}

#[derive(Template)]
#[template(path = "tables.html")]
struct Fragment {
    tables: Tables,
}

/// Streams `tables` events while an update runs, then one `rest` event.
pub(super) async fn events(
    State(app): State<App>,
    Admin(viewer): Admin,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    let connection = known(&app, &viewer, &name).await?;
    let progress = app.sync.subscribe(&connection.name).await;
    let stream = stream(app, progress);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}

/// Where a stream stands.
struct Streaming {
    app: App,
    progress: watch::Receiver<ProgressView>,
    began: Instant,
    next: Next,
}

enum Next {
    /// Send what is there.
    Now,
    /// Wait for a change, then send.
    Change,
    /// Nothing follows.
    End,
}

fn stream(
    app: App,
    progress: watch::Receiver<ProgressView>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let start = Streaming { app, progress, began: Instant::now(), next: Next::Now };
    stream::unfold(start, |mut at| async move {
        match at.next {
            Next::End => return None,
            Next::Now => {}
            Next::Change => {
                let left = LIFE.saturating_sub(at.began.elapsed());
                tokio::time::sleep(PAUSE).await;
                // The sender is gone when the program ends; the browser asks again then.
                tokio::time::timeout(left, at.progress.changed()).await.ok()?.ok()?;
            }
        }
        let now = at.progress.borrow_and_update().clone();
        let (kind, next) = if now.is_running() { ("tables", Next::Change) } else { ("rest", Next::End) };
        let html = Fragment { tables: tables(&at.app, &now) }.render().unwrap_or_default();
        at.next = next;
        Some((Ok(Event::default().event(kind).retry(RETRY).data(html)), at))
    })
}

/// What to show of the tables.
pub(super) fn tables(app: &App, progress: &ProgressView) -> Tables {
    let now = app.clock.now();
    let mut shown = Tables {
        summary: summary(progress, now),
        running: progress.is_running(),
        rows: Vec::new(),
        refused: Vec::new(),
        empty: Vec::new(),
        waiting: Vec::new(),
    };
    for table in &progress.tables {
        match table.state {
            TableStanding::Waiting => shown.waiting.push(table.table.clone()),
            TableStanding::Live if table.rows == 0 => shown.empty.push(table.table.clone()),
            TableStanding::Unavailable => shown.refused.push(table_row(app, table, now)),
            TableStanding::Live
            | TableStanding::Comparing
            | TableStanding::Copying
            | TableStanding::Failed => {
                shown.rows.push(table_row(app, table, now));
            }
        }
    }
    shown
}

fn summary(progress: &ProgressView, now: DateTime<Utc>) -> String {
    let all = progress.tables.len();
    let live = progress.tables.iter().filter(|table| table.state == TableStanding::Live).count();
    let rows = grouped(progress.tables.iter().map(|table| table.rows).sum::<u64>());
    let doing = match progress.phase {
        SyncPhase::Resting => {
            return format!("{live} of {all} tables complete, {rows} rows. No update is running.");
        }
        SyncPhase::Starting => "Asking Stripe what there is",
        SyncPhase::Copying => "First copy",
        SyncPhase::Changes => "Applying what changed",
    };
    let since = progress.began_at.map(|since| format!(", running for {}", running_for(since, now)));
    let left = progress.tables.iter().filter_map(|table| table.seconds_left).max();
    let left = left.map(|left| format!(", about {} left", duration(left)));
    format!(
        "{doing}: {live} of {all} tables complete, {rows} rows{}{}.",
        since.unwrap_or_default(),
        left.unwrap_or_default()
    )
}

fn why(table: &TableProgressView) -> String {
    match (&table.why, table.state) {
        (Some(why), _) => why.clone(),
        (None, TableStanding::Comparing) => MISSED.to_owned(),
        (None, _) => String::new(),
    }
}

fn table_row(app: &App, table: &TableProgressView, now: DateTime<Utc>) -> TableRow {
    let (word, tone) = match table.state {
        TableStanding::Waiting => ("Waiting", Tone::Neutral),
        TableStanding::Copying => ("Copying", Tone::Neutral),
        TableStanding::Live => ("Complete", Tone::Good),
        TableStanding::Comparing => ("Comparing", Tone::Attention),
        TableStanding::Unavailable => ("Unavailable", Tone::Attention),
        TableStanding::Failed => ("Failed", Tone::Bad),
    };
    TableRow {
        table: table.table.clone(),
        word,
        tone,
        rows: grouped(table.rows),
        percent: table
            .percent
            .filter(|_| matches!(table.state, TableStanding::Copying | TableStanding::Comparing))
            .map(|percent| percent.min(100)),
        speed: table.objects_per_s.map(|speed| format!("{}/s", grouped(speed))),
        left: table.seconds_left.map(|left| format!("{} left", duration(left))),
        last_data: table.last_data_at.map(|at| Moment::new(at, now, app.settings.time_zone)),
        why: why(table),
    }
}
