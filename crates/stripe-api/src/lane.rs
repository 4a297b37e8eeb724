//! One rate: requests depart one after another, evenly spaced, and not more at once than may be under way.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// Departures that may be made up for after a moment without any.
const BURST: u32 = 3;
/// Slowest after refusals: a sixteenth of full speed.
const SLOWEST: u32 = 1_600;
/// With each answer goes this part of what a pace is too slow: at 25 answers a second one refusal is made up for in
/// two seconds.
const PACE_RECOVERS: u32 = 16;
/// The same for what may be under way, which has no period of a second behind it and is refused again at once.
const WIDTH_RECOVERS: u32 = 64;
/// An answer that takes longer than those before makes the latency grow by this part: one that was late by chance, or since
/// this machine was busy, says nothing of how far Stripe is.
const LATENCY_GROWS: u32 = 16;

/// An account's or an endpoint's rate.
pub(crate) struct Lane {
    /// The pause between two at full speed.
    pause: Duration,
    /// Requests under way at once, at most.
    most: u32,
    /// Whoever holds it departs next; the others stand in line.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// A place became free, for the one whose turn it is.
    freed: Notify,
    state: Mutex<State>,
}

struct State {
    next: Instant,
    under_way: u32,
    pace: Slowness,
    width: Slowness,
    /// How long an answer takes when it comes soon.
    latency: Option<Duration>,
    /// Requests that are still to come, as is told.
    backlog: u32,
}

/// How much less than possible is asked, in percent: 100 is all that is possible.
struct Slowness {
    percent: u32,
    since: Option<Instant>,
}

impl Slowness {
    const NONE: Self = Self { percent: 100, since: None };

    /// Counts a refusal, unless its request departed before the last one that counted: that one said the same.
    fn refused(&mut self, departed: Instant) {
        if self.since.is_none_or(|since| departed > since) {
            self.percent = (self.percent * 3 / 2).min(SLOWEST);
            self.since = Some(Instant::now());
        }
    }

    fn answered(&mut self, part: u32) {
        let excess = self.percent - 100;
        self.percent -= (excess / part).max(1).min(excess);
    }
}

impl Lane {
    pub(crate) fn new(per_second: u32, concurrent: u32) -> Self {
        let (next, pace, width) = (Instant::now(), Slowness::NONE, Slowness::NONE);
        Self {
            pause: Duration::from_secs(1) / per_second.max(1),
            most: concurrent.max(1),
            turn: tokio::sync::Mutex::new(()),
            freed: Notify::new(),
            state: Mutex::new(State { next, under_way: 0, pace, width, latency: None, backlog: 0 }),
        }
    }

    /// Waits until one more may depart; asked by the one whose turn it is.
    pub(crate) async fn ready(&self) {
        loop {
            let next = {
                let state = self.state();
                let full = state.under_way >= (self.most * 100 / state.width.percent).max(1);
                if !full && state.next <= Instant::now() {
                    return;
                }
                (!full).then_some(state.next)
            };
            match next {
                Some(next) => sleep_until(next).await,
                None => self.freed.notified().await,
            }
        }
    }

    /// One departs now.
    pub(crate) fn depart(&self, now: Instant) {
        let mut state = self.state();
        let pause = self.pause * state.pace.percent / 100;
        let earliest = now.checked_sub(pause * BURST).unwrap_or(now);
        state.next = state.next.max(earliest) + pause;
        state.under_way += 1;
    }

    /// One that departed is back.
    pub(crate) fn arrive(&self) {
        self.state().under_way -= 1;
        self.freed.notify_one();
    }

    /// A little faster and more at once again, up to all that is possible.
    pub(crate) fn answered(&self, departed: Instant) {
        let mut state = self.state();
        state.pace.answered(PACE_RECOVERS);
        state.width.answered(WIDTH_RECOVERS);
        let took = departed.elapsed();
        state.latency = Some(state.latency.map_or(took, |soon| took.min(soon + soon / LATENCY_GROWS)));
    }

    /// How many must be under way at once so that they depart at full speed, or at `most_per_second` where that is slower; 1
    /// before the first answer.
    pub(crate) fn width(&self, most_per_second: u32) -> u32 {
        let pause = self.pause.max(Duration::from_secs(1) / most_per_second.max(1));
        let latency = self.state().latency.unwrap_or_default();
        u32::try_from(latency.as_nanos().div_ceil(pause.as_nanos().max(1)))
            .unwrap_or(u32::MAX)
            .clamp(1, self.most)
    }

    /// How many requests are still to come, as is told.
    pub(crate) fn backlog(&self) -> u32 {
        self.state().backlog
    }

    /// Who told of `told` says now that it is `now`.
    pub(crate) fn expect(&self, told: u32, now: u32) {
        let mut state = self.state();
        state.backlog = state.backlog.saturating_sub(told).saturating_add(now);
    }

    /// How long the backlog takes at the pace of now.
    pub(crate) fn backlog_takes(&self) -> Duration {
        self.takes(self.backlog())
    }

    /// How long so many requests take at the pace of now.
    pub(crate) fn takes(&self, requests: u32) -> Duration {
        let pause = self.pause * self.state().pace.percent / 100;
        pause.saturating_mul(requests)
    }

    /// Too fast, says the answer to what departed then. Nothing departs before `pause` is over.
    pub(crate) fn slow_down(&self, departed: Instant, pause: Option<Duration>) {
        let mut state = self.state();
        state.pace.refused(departed);
        if let Some(pause) = pause {
            state.next = state.next.max(Instant::now() + pause);
        }
    }

    /// Too many at once, says the answer to what departed then.
    pub(crate) fn narrow(&self, departed: Instant) {
        self.state().width.refused(departed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
