//! A running cycle on the terminal: bars for a person, plain lines for a log.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sync::{Progress, TableProgress};
use tokio::{sync::watch, time::Instant};

use crate::output::Output;

/// How often progress is told in plain lines.
const EVERY: Duration = Duration::from_secs(5);

/// Shows progress until the cycle's sender is gone.
pub async fn show(mut progress: watch::Receiver<Progress>, output: Output) {
    let began = Instant::now();
    let mut shown = if output.is_watched() { Shown::Bars(Bars::new()) } else { Shown::Lines(began) };
    while progress.changed().await.is_ok() {
        let now = progress.borrow_and_update().clone();
        match &mut shown {
            Shown::Bars(bars) => bars.draw(&now),
            Shown::Lines(last) if last.elapsed() >= EVERY => {
                output.remark(&line(&now, began.elapsed()));
                *last = Instant::now();
            }
            Shown::Lines(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let last = progress.borrow().clone();
    match shown {
        Shown::Bars(mut bars) => bars.draw(&last),
        Shown::Lines(_) => output.remark(&line(&last, began.elapsed())),
    }
}

enum Shown {
    Bars(Bars),
    Lines(Instant),
}

struct Bars {
    all: MultiProgress,
    tables: BTreeMap<&'static str, ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        Self { all: MultiProgress::new(), tables: BTreeMap::new() }
    }

    fn draw(&mut self, progress: &Progress) {
        for (&table, state) in &progress.tables {
            let bar = self.tables.entry(table).or_insert_with(|| self.all.add(bar(table)));
            bar.set_position(u64::from(state.permille.unwrap_or(0)));
            bar.set_message(message(state));
            if state.complete {
                bar.abandon();
            }
        }
    }
}

fn bar(table: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(1000).with_prefix(table);
    match ProgressStyle::with_template("{prefix:24} [{bar:24}] {percent:>3}%  {msg}  {elapsed} (left {eta})")
    {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

fn message(table: &TableProgress) -> String {
    match &table.why {
        Some(why) => why.clone(),
        None => format!("{:>9} rows", table.rows),
    }
}

/// One line for a log: rows, rate, tables complete.
fn line(progress: &Progress, elapsed: Duration) -> String {
    let rows = progress.rows();
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = rows.saturating_mul(1000) / milliseconds;
    let complete = progress.tables.values().filter(|table| table.complete).count();
    let tables = progress.tables.len();
    format!("{rows} rows, {rate} rows/s, {complete} of {tables} tables complete")
}
