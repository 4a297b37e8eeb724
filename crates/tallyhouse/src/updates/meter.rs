//! From a cycle's progress to what is shown: rows in the warehouse, pace, time left.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use sync::{Phase, Progress, TableProgress, TableState};

use super::{Standing, missed_changes};
use crate::web::{ProgressView, SyncPhase, TableProgressView, TableStanding};

/// How far back the pace is measured.
const WINDOW: TimeDelta = TimeDelta::seconds(5);

/// Turns what one cycle says into what is shown of it.
pub(super) struct Meter {
    began_at: DateTime<Utc>,
    tables: BTreeMap<&'static str, Watched>,
}

/// What is remembered of a table between two looks.
#[derive(Default)]
struct Watched {
    before: u64,
    /// Its first copy was complete: what comes mostly replaces the rows that it has.
    full_before: bool,
    /// It is compared with Stripe, since changes of it may have been missed.
    missed_changes: bool,
    last_data_at: Option<DateTime<Utc>>,
    rows: u64,
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy)]
struct Sample {
    at: DateTime<Utc>,
    rows: u64,
    permille: Option<u32>,
}

impl Meter {
    /// For a cycle that begins with tables standing so.
    pub(super) fn new(before: &[Standing], began_at: DateTime<Utc>) -> Self {
        let watched = |standing: &Standing| Watched {
            before: standing.rows,
            full_before: standing.state.as_ref().is_some_and(is_full),
            missed_changes: standing.state.as_ref().is_some_and(missed_changes),
            last_data_at: standing.last_data_at,
            ..Watched::default()
        };
        let table = |name: &'static str| {
            let standing = before.iter().find(|standing| standing.table == name);
            (name, standing.map(watched).unwrap_or_default())
        };
        Self {
            began_at,
            tables: catalog::resources().iter().map(|resource| table(resource.table.name)).collect(),
        }
    }

    /// The cycle found that changes were missed, and which tables it therefore compares: now they stand so.
    pub(super) fn compares(&mut self, states: &BTreeMap<String, TableState>) {
        let missed = states.iter().filter(|(_, state)| missed_changes(state));
        for (table, _) in missed {
            if let Some(watched) = self.tables.get_mut(table.as_str()) {
                (watched.full_before, watched.missed_changes) = (true, true);
            }
        }
    }

    /// What to show of `progress`.
    pub(super) fn view(&mut self, progress: &Progress, now: DateTime<Utc>) -> ProgressView {
        let phase = match progress.phase {
            Phase::Starting => SyncPhase::Starting,
            Phase::Copying => SyncPhase::Copying,
            Phase::Changes | Phase::Finished => SyncPhase::Changes,
        };
        let tables = catalog::resources().iter().filter_map(|resource| {
            let name = resource.table.name;
            Some(self.tables.get_mut(name)?.view(name, progress.tables.get(name)?, now))
        });
        ProgressView { phase, began_at: Some(self.began_at), tables: tables.collect() }
    }
}

/// Whether the first copy of a table is complete. One that is compared with Stripe's list has its rows, too.
fn is_full(state: &TableState) -> bool {
    matches!(state, TableState::Live { .. } | TableState::Comparing { .. })
}

impl Watched {
    fn view(&mut self, name: &str, table: &TableProgress, now: DateTime<Utc>) -> TableProgressView {
        if table.rows > self.rows {
            (self.rows, self.last_data_at) = (table.rows, Some(now));
        }
        let pace = self.pace(Sample { at: now, rows: table.rows, permille: table.permille });
        let state = match &table.why {
            Some(_) if table.unavailable => TableStanding::Unavailable,
            Some(_) => TableStanding::Failed,
            None if table.complete => TableStanding::Live,
            None if self.missed_changes => TableStanding::Comparing,
            None if self.full_before => TableStanding::Live,
            None if table.permille.is_some() => TableStanding::Copying,
            None => TableStanding::Waiting,
        };
        let walking = matches!(state, TableStanding::Copying | TableStanding::Comparing);
        TableProgressView {
            table: name.to_owned(),
            state,
            // A cycle after the first copy mostly replaces rows; how many are new is known at its end.
            rows: if self.full_before { self.before } else { self.before + table.rows },
            percent: table.permille.and_then(|permille| u8::try_from(permille / 10).ok()),
            objects_per_s: pace.objects_per_s.filter(|_| walking),
            seconds_left: pace.seconds_left.filter(|_| walking),
            last_data_at: self.last_data_at,
            why: table.why.clone(),
        }
    }

    /// How fast it has been going lately.
    fn pace(&mut self, now: Sample) -> Pace {
        while self.samples.front().is_some_and(|oldest| now.at - oldest.at > WINDOW) && self.samples.len() > 1
        {
            self.samples.pop_front();
        }
        let since = self.samples.front().copied();
        self.samples.push_back(now);
        since.map_or_else(Pace::default, |since| Pace::between(since, now))
    }
}

#[derive(Default)]
struct Pace {
    objects_per_s: Option<u64>,
    seconds_left: Option<u64>,
}

impl Pace {
    fn between(since: Sample, now: Sample) -> Self {
        let Ok(ms @ 1..) = u64::try_from((now.at - since.at).num_milliseconds()) else {
            return Self::default();
        };
        let walked = now.permille.zip(since.permille).map(|(now, since)| now.saturating_sub(since));
        let left = now.permille.map(|permille| 1000_u64.saturating_sub(u64::from(permille)));
        Self {
            objects_per_s: Some(now.rows.saturating_sub(since.rows) * 1000 / ms),
            seconds_left: walked
                .filter(|walked| *walked > 0)
                .zip(left)
                .map(|(walked, left)| (left * ms).div_ceil(u64::from(walked) * 1000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use sync::{Began, Walks};

    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    fn copying(rows: u64, permille: u32) -> Progress {
        let mut progress = Progress::starting();
        progress.phase = Phase::Copying;
        let table = TableProgress { rows, permille: Some(permille), ..TableProgress::default() };
        progress.tables.insert("charges", table);
        progress
    }

    #[test]
    fn pace_and_time_left_come_from_the_last_seconds() {
        let mut meter = Meter::new(&[], at(0));
        meter.view(&copying(0, 0), at(0));
        let view = meter.view(&copying(3_000, 250), at(2_000));
        let charges = view.tables.iter().find(|table| table.table == "charges").unwrap();
        assert_eq!((charges.rows, charges.percent), (3_000, Some(25)));
        assert_eq!((charges.objects_per_s, charges.seconds_left), (Some(1_500), Some(6)));
        assert_eq!(charges.last_data_at, Some(at(2_000)));
        // A standstill is told as one once the window has passed.
        meter.view(&copying(3_000, 250), at(4_000));
        let view = meter.view(&copying(3_000, 250), at(8_000));
        let charges = view.tables.iter().find(|table| table.table == "charges").unwrap();
        assert_eq!((charges.objects_per_s, charges.seconds_left), (Some(0), None));
        assert_eq!(charges.last_data_at, Some(at(2_000)));
    }

    fn standing(state: TableState) -> Standing {
        Standing {
            table: "charges".to_owned(),
            rows: 70,
            last_data_at: None,
            state: Some(state),
            missing: None,
            failed: None,
        }
    }

    #[test]
    fn a_table_that_was_full_keeps_its_count_until_the_end() {
        let walks = Walks { whole_micros: Some(0), recent_micros: Some(0) };
        let began = Began { as_of_micros: 1, dated_micros: 1 };
        for state in [
            TableState::Live { frontier: None, walks },
            TableState::Comparing { frontier: None, began, from: None, walks },
        ] {
            let view = Meter::new(&[standing(state)], at(0)).view(&copying(5, 500), at(1));
            let charges = view.tables.iter().find(|table| table.table == "charges").unwrap();
            assert_eq!((charges.rows, charges.state), (70, TableStanding::Live));
        }
    }
}
