//! The one rate budget of an account, shared by all that ask.
//!
//! Requests are spaced evenly, in all and for each endpoint, and a refusal slows the budget concerned; it recovers
//! with every answer.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

/// How fast an account may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Requests a second, all together.
    pub per_second: u32,
    /// Requests a second to one endpoint.
    pub per_endpoint: u32,
    /// Requests under way at once.
    pub concurrent: u32,
}

pub(crate) struct Budget {
    rates: Rates,
    lanes: Mutex<Lanes>,
    concurrent: Semaphore,
}

struct Lanes {
    all: Lane,
    endpoints: HashMap<String, Lane>,
}

/// Evenly spaced departures.
struct Lane {
    /// The pause between two at full speed.
    pause: Duration,
    /// How much slower than full speed, in percent: 100 is full speed.
    percent: u32,
    next: Instant,
}

/// Slowest after refusals: a sixteenth of full speed.
const SLOWEST: u32 = 1_600;
/// Departures that may be made up for after a moment without any.
const BURST: u32 = 3;

impl Lane {
    fn new(per_second: u32) -> Self {
        Self { pause: Duration::from_secs(1) / per_second.max(1), percent: 100, next: Instant::now() }
    }

    /// The next departure not before `now`.
    fn depart(&mut self, now: Instant) -> Instant {
        let pause = self.pause * self.percent / 100;
        let earliest = now.checked_sub(pause * BURST).unwrap_or(now);
        let slot = self.next.max(earliest);
        self.next = slot + pause;
        slot
    }
}

impl Budget {
    pub(crate) fn new(rates: Rates) -> Self {
        let lanes = Lanes { all: Lane::new(rates.per_second), endpoints: HashMap::new() };
        let concurrent = Semaphore::new(usize::try_from(rates.concurrent.max(1)).unwrap_or(1));
        Self { rates, lanes: Mutex::new(lanes), concurrent }
    }

    /// Waits for a place and a departure. The place is free again when the permit is dropped.
    pub(crate) async fn admit(&self, endpoint: &str) -> Option<SemaphorePermit<'_>> {
        let permit = self.concurrent.acquire().await.ok();
        let departure = {
            let mut lanes = self.lanes();
            let now = Instant::now();
            let rates = self.rates;
            let own = lanes.endpoint(endpoint, rates).depart(now);
            lanes.all.depart(now).max(own)
        };
        sleep_until(departure).await;
        permit
    }

    /// Stripe refused for rate: slow down where it says.
    pub(crate) fn refused(&self, endpoint: &str, reason: &str) {
        let mut lanes = self.lanes();
        let rates = self.rates;
        let lane =
            if reason.starts_with("global") { &mut lanes.all } else { lanes.endpoint(endpoint, rates) };
        lane.percent = (lane.percent * 3 / 2).min(SLOWEST);
    }

    /// Stripe answered: a little faster again, up to full speed.
    pub(crate) fn answered(&self, endpoint: &str) {
        let mut lanes = self.lanes();
        let rates = self.rates;
        let own = lanes.endpoint(endpoint, rates);
        own.percent = own.percent.saturating_sub(1).max(100);
        lanes.all.percent = lanes.all.percent.saturating_sub(1).max(100);
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    fn endpoint(&mut self, endpoint: &str, rates: Rates) -> &mut Lane {
        self.endpoints.entry(endpoint.to_owned()).or_insert_with(|| Lane::new(rates.per_endpoint))
    }
}

/// What Stripe counts as one endpoint: the path with ids left out.
pub(crate) fn endpoint(path: &str) -> String {
    let parts = path.split('/').enumerate().map(|(place, part)| match place {
        // "/v1/charges/ch_1" and "/v1/invoices/in_1/lines": the third part is an id.
        3 => "*",
        _ => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates { per_second: 50, per_endpoint: 20, concurrent: 1_000 };

    async fn run(budget: &Budget, endpoints: &[&str], requests: u32) -> Duration {
        let began = Instant::now();
        for (place, _) in (0..requests).enumerate() {
            let endpoint = endpoints[place % endpoints.len()];
            drop(budget.admit(endpoint).await);
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn trap_22_one_endpoint_is_asked_at_its_rate_and_not_faster() {
        let took = run(&Budget::new(RATES), &["a"], 201).await.as_millis();
        assert!((9_800..=10_050).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn trap_22_all_endpoints_share_the_account() {
        let took = run(&Budget::new(RATES), &["a", "b", "c", "d", "e"], 501).await.as_millis();
        assert!((9_900..=10_050).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn trap_22_a_refusal_slows_down_and_answers_recover() {
        let budget = Budget::new(RATES);
        let before = run(&budget, &["a"], 100).await;
        for _ in 0..5 {
            budget.refused("a", "endpoint-rate");
        }
        assert!(run(&budget, &["a"], 100).await > before * 5);
        for _ in 0..2_000 {
            budget.answered("a");
        }
        assert!(run(&budget, &["a"], 100).await < before * 2);
    }

    #[test]
    fn ids_are_left_out_of_endpoints() {
        assert_eq!(endpoint("/v1/invoices/in_1/lines"), "/v1/invoices/*/lines");
        assert_eq!(endpoint("/v1/charges"), "/v1/charges");
    }
}
