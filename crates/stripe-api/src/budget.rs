//! The one rate budget of an account, shared by all that ask.
//!
//! Requests are spaced evenly, in all and for each endpoint, and a refusal slows the budget concerned, or lets fewer
//! be under way; it recovers with every answer. Refusals of requests that departed before the last slowdown are the
//! same news again.

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
    /// Places taken away after refusals for concurrency, and when last.
    withheld: usize,
    withheld_at: Instant,
    answers: u64,
}

/// A request's place among those under way.
pub(crate) struct Place<'a> {
    _permit: Option<SemaphorePermit<'a>>,
    /// When it may be sent.
    pub(crate) departed: Instant,
}

/// Evenly spaced departures.
struct Lane {
    /// The pause between two at full speed.
    pause: Duration,
    /// How much slower than full speed, in percent: 100 is full speed.
    percent: u32,
    next: Instant,
    slowed_at: Instant,
}

/// Slowest after refusals: a sixteenth of full speed.
const SLOWEST: u32 = 1_600;
/// Departures that may be made up for after a moment without any.
const BURST: u32 = 3;
/// Answers after which one withheld place is given back.
const ANSWERS_A_PLACE: u64 = 20;

impl Lane {
    fn new(per_second: u32) -> Self {
        let now = Instant::now();
        Self { pause: Duration::from_secs(1) / per_second.max(1), percent: 100, next: now, slowed_at: now }
    }

    /// Stripe refused a request that departed then: half as slow again, and not before `after`.
    fn slow(&mut self, departed: Instant, after: Option<Duration>) {
        let now = Instant::now();
        self.next = self.next.max(now + after.unwrap_or_default());
        if departed >= self.slowed_at {
            self.percent = (self.percent * 3 / 2).min(SLOWEST);
            self.slowed_at = now;
        }
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
        let lanes = Lanes {
            all: Lane::new(rates.per_second),
            endpoints: HashMap::new(),
            withheld: 0,
            withheld_at: Instant::now(),
            answers: 0,
        };
        let concurrent = Semaphore::new(usize::try_from(rates.concurrent.max(1)).unwrap_or(1));
        Self { rates, lanes: Mutex::new(lanes), concurrent }
    }

    /// Waits for a place and a departure. The place is free again when the permit is dropped.
    pub(crate) async fn admit(&self, endpoint: &str) -> Place<'_> {
        let permit = self.concurrent.acquire().await.ok();
        let departed = {
            let mut lanes = self.lanes();
            let now = Instant::now();
            let rates = self.rates;
            let own = lanes.endpoint(endpoint, rates).depart(now);
            lanes.all.depart(now).max(own)
        };
        sleep_until(departed).await;
        Place { _permit: permit, departed }
    }

    /// Stripe refused a request that departed then: slow down where it says, or let fewer be under way.
    pub(crate) fn refused(&self, endpoint: &str, reason: &str, departed: Instant, after: Option<Duration>) {
        let mut lanes = self.lanes();
        let rates = self.rates;
        if reason.ends_with("concurrency") {
            if departed >= lanes.withheld_at {
                // Of those that nobody holds now, up to half: a place that is held comes up another time.
                lanes.withheld +=
                    self.concurrent.forget_permits(self.concurrent.available_permits().div_ceil(2));
                lanes.withheld_at = Instant::now();
            }
            return;
        }
        let lane =
            if reason.starts_with("global") { &mut lanes.all } else { lanes.endpoint(endpoint, rates) };
        lane.slow(departed, after);
    }

    /// Stripe answered: a little faster again, up to full speed.
    pub(crate) fn answered(&self, endpoint: &str) {
        let mut lanes = self.lanes();
        let rates = self.rates;
        let own = lanes.endpoint(endpoint, rates);
        own.percent = own.percent.saturating_sub(1).max(100);
        lanes.all.percent = lanes.all.percent.saturating_sub(1).max(100);
        lanes.answers += 1;
        if lanes.withheld > 0 && lanes.answers.is_multiple_of(ANSWERS_A_PLACE) {
            lanes.withheld -= 1;
            self.concurrent.add_permits(1);
        }
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

/// Parts of a path that are followed by a collection, where others are followed by an id.
const NAMESPACES: [&str; 20] = [
    "apps",
    "billing",
    "billing_portal",
    "checkout",
    "climate",
    "core",
    "crypto",
    "entitlements",
    "financial_connections",
    "forwarding",
    "identity",
    "issuing",
    "radar",
    "reporting",
    "sigma",
    "tax",
    "terminal",
    "test_helpers",
    "treasury",
    "money_management",
];

/// What Stripe counts as one endpoint: the path with ids left out.
///
/// "/v1/charges/ch_1" and "/v1/invoices/in_1/lines" have an id as third part, "/v1/checkout/sessions/cs_1" as fourth.
pub(crate) fn endpoint(path: &str) -> String {
    let spaced = path.split('/').nth(2).is_some_and(|part| NAMESPACES.contains(&part));
    let id_at = if spaced { 4 } else { 3 };
    let parts = path.split('/').enumerate().map(|(place, part)| if place == id_at { "*" } else { part });
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
            tokio::time::advance(Duration::from_millis(1)).await;
            budget.refused("a", "endpoint-rate", Instant::now(), None);
        }
        assert!(run(&budget, &["a"], 100).await > before * 5);
        for _ in 0..2_000 {
            budget.answered("a");
        }
        assert!(run(&budget, &["a"], 100).await < before * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn trap_22_refusals_at_once_are_one_slowdown() {
        let budget = Budget::new(RATES);
        let before = run(&budget, &["a"], 100).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let departed = Instant::now();
        for _ in 0..7 {
            tokio::time::advance(Duration::from_millis(1)).await;
            budget.refused("a", "endpoint-rate", departed, None);
        }
        assert!(run(&budget, &["a"], 100).await < before * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn trap_22_retry_after_holds_the_whole_endpoint() {
        let budget = Budget::new(RATES);
        budget.refused("a", "endpoint-rate", Instant::now(), Some(Duration::from_secs(9)));
        assert!(run(&budget, &["b"], 1).await < Duration::from_secs(1), "not the others");
        assert!(run(&budget, &["a"], 1).await >= Duration::from_secs(9));
    }

    #[tokio::test(start_paused = true)]
    async fn trap_22_too_many_at_once_lets_fewer_be_under_way_and_recovers() {
        let budget = Budget::new(Rates { concurrent: 8, ..RATES });
        let pace = run(&budget, &["a"], 100).await;
        for _ in 0..3 {
            budget.refused("a", "global-concurrency", Instant::now(), None);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!((1..=2).contains(&budget.concurrent.available_permits()), "never none");
        assert!(run(&budget, &["a"], 100).await < pace + pace / 10, "the pace is not to blame");
        (0..200).for_each(|_| budget.answered("a"));
        assert_eq!(budget.concurrent.available_permits(), 8);
    }

    #[test]
    fn ids_are_left_out_of_endpoints() {
        for namespaced in ["/v1/checkout/sessions", "/v1/radar/value_lists", "/v1/test_helpers/test_clocks"] {
            assert_eq!(endpoint(namespaced), namespaced);
        }
        assert_eq!(endpoint("/v1/checkout/sessions/cs_1/line_items"), "/v1/checkout/sessions/*/line_items");
        assert_eq!(endpoint("/v2/core/events"), "/v2/core/events");
        assert_eq!(endpoint("/v1/invoices/in_1/lines"), "/v1/invoices/*/lines");
        assert_eq!(endpoint("/v1/charges"), "/v1/charges");
    }
}
