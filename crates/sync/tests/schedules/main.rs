//! Schedules of faults, kills, concurrent edits and deletions, each derived from one number: whatever happens, in the end
//! the warehouse shows what there is. Nothing is lost, nothing doubled, nothing stale.
//!
//! `SCHEDULES=10000` plays so many, from `SCHEDULES_FROM` on; `SCHEDULES_SEED=17` plays one and tells all that happens.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail")]

mod account;
mod compare;
mod dice;
mod objects;
mod play;
mod post;
mod schedule;
mod warehouse;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    play::{Failure, play},
    schedule::Schedule,
    warehouse::DEFECTS,
};

/// Played by every run of the tests.
const USUAL: u64 = 150;
/// Enough for every defect to be met by some schedule.
const TO_FIND_DEFECTS: u64 = 150;
/// Plays for cutting a failure down.
const PATIENCE: u64 = 400;

#[test]
fn whatever_happens_nothing_is_lost_doubled_or_stale() {
    let (from, most) = match number("SCHEDULES_SEED") {
        Some(seed) => (seed, 1),
        None => (number("SCHEDULES_FROM").unwrap_or(0), number("SCHEDULES").unwrap_or(USUAL)),
    };
    let failed = first_failure(from, most, 2);
    assert!(failed.is_none(), "{}", failed.map(told).unwrap_or_default());
}

#[test]
fn a_schedule_replays() {
    for seed in 0..8 {
        let schedule = Schedule::of(seed);
        let happened = || play(&schedule, None).map_err(|failure| failure.journal);
        assert_eq!(happened(), happened(), "seed {seed}");
    }
}

#[test]
fn every_planted_defect_is_found() {
    for defect in DEFECTS {
        let found = (0..TO_FIND_DEFECTS).find(|&seed| play(&Schedule::of(seed), Some(defect)).is_err());
        assert!(found.is_some(), "no schedule finds out that a warehouse {defect:?}");
    }
}

/// The lowest seed that fails, of so many from one on; schedules are played on several threads.
fn first_failure(from: u64, most: u64, threads: u32) -> Option<u64> {
    let (next, failed) = (AtomicU64::new(from), AtomicU64::new(u64::MAX));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= (from + most).min(failed.load(Ordering::Relaxed)) {
                return;
            }
            if play(&Schedule::of(seed), None).is_err() {
                failed.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    Some(failed.into_inner()).filter(|&seed| seed != u64::MAX)
}

/// What failed, cut down to what is needed for it.
fn told(seed: u64) -> String {
    let mut schedule = Schedule::of(seed);
    let Err(mut failure) = play(&schedule, None) else { return format!("seed {seed} fails now and then") };
    let mut plays = 0;
    while let Some((smaller, fails)) = schedule.smaller().into_iter().find_map(|smaller| {
        plays += 1;
        let fails = if plays > PATIENCE { None } else { play(&smaller, None).err() };
        Some((smaller, fails?))
    }) {
        (schedule, failure) = (smaller, fails);
    }
    let Failure { what, journal } = failure;
    let all = number("SCHEDULES_SEED").is_some();
    let journal = journal.into_iter().filter(|line| all || !line.starts_with("  ?"));
    format!(
        "SCHEDULES_SEED={seed} fails: {what}\n\nCut down to\n{schedule}\nwhat happened is\n{}\n",
        journal.collect::<Vec<_>>().join("\n")
    )
}

#[expect(clippy::disallowed_methods, reason = "how many schedules are played is asked for from outside")]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
