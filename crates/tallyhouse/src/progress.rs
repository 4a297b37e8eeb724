//! A running cycle on the terminal: bars for a person, plain lines for a log.

use std::{collections::BTreeMap, future::Future, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::{sync::watch, time::Instant};

use crate::{
    output::Output,
    web::{ProgressView, TableProgressView, TableStanding},
};

/// How often progress is told in plain lines.
const EVERY: Duration = Duration::from_secs(5);

/// Waits for `ending`, with `showing` beside it as long as it lasts.
pub async fn until<T>(ending: impl Future<Output = T>, showing: impl Future<Output = ()>) -> T {
    let mut ending = std::pin::pin!(ending);
    tokio::select! {
        ended = &mut ending => ended,
        () = showing => ending.await,
    }
}

/// Shows progress until its sender is gone or the update rests.
pub async fn show(mut progress: watch::Receiver<ProgressView>, output: Output) {
    let mut shown = if output.is_watched() { Shown::Bars(Bars::new()) } else { Shown::Lines(Instant::now()) };
    while progress.changed().await.is_ok() {
        let now = progress.borrow_and_update().clone();
        if !now.is_running() {
            return;
        }
        match &mut shown {
            Shown::Bars(bars) => bars.draw(&now),
            Shown::Lines(last) if last.elapsed() >= EVERY => {
                output.remark(&line(&now));
                *last = Instant::now();
            }
            Shown::Lines(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

enum Shown {
    Bars(Bars),
    Lines(Instant),
}

struct Bars {
    all: MultiProgress,
    tables: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        Self { all: MultiProgress::new(), tables: BTreeMap::new() }
    }

    fn draw(&mut self, progress: &ProgressView) {
        // A bar for each of seventy tables would be a wall: those that have something to show get one.
        let shows = |table: &&TableProgressView| table.percent.is_some() || table.rows > 0;
        for table in progress.tables.iter().filter(shows) {
            let bar = self
                .tables
                .entry(table.table.clone())
                .or_insert_with(|| self.all.add(bar(table.table.clone())));
            let complete = table.state == TableStanding::Live;
            bar.set_position(if complete { 100 } else { u64::from(table.percent.unwrap_or(0)) });
            bar.set_message(message(table));
            if complete {
                bar.abandon();
            }
        }
    }
}

/// What stays on the screen when the update is over.
impl Drop for Bars {
    fn drop(&mut self) {
        for bar in self.tables.values() {
            bar.abandon();
        }
    }
}

fn bar(table: String) -> ProgressBar {
    let bar = ProgressBar::new(100).with_prefix(table);
    match ProgressStyle::with_template("{prefix:24} [{bar:24}] {percent:>3}%  {msg}") {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// "12345 rows, 2400/s, 12 s left", or why it does not go on.
fn message(table: &TableProgressView) -> String {
    if let Some(why) = &table.why {
        return why.clone();
    }
    let pace = table.objects_per_s.map(|pace| format!(", {pace}/s")).unwrap_or_default();
    let left = table.seconds_left.map(|left| format!(", {left} s left")).unwrap_or_default();
    format!("{:>9} rows{pace}{left}", table.rows)
}

/// One line for a log: rows, pace, tables complete, time left.
fn line(progress: &ProgressView) -> String {
    let rows: u64 = progress.tables.iter().map(|table| table.rows).sum();
    let pace: u64 = progress.tables.iter().filter_map(|table| table.objects_per_s).sum();
    let complete = progress.tables.iter().filter(|table| table.state == TableStanding::Live).count();
    let left = progress.tables.iter().filter_map(|table| table.seconds_left).max();
    let left = left.map(|left| format!(", about {left} s left")).unwrap_or_default();
    format!("{rows} rows, {pace} objects/s, {complete} of {} tables complete{left}", progress.tables.len())
}
