//! Budgets under virtual time.

use tokio::{
    task::JoinSet,
    time::{advance, sleep},
};

use super::*;

const RATES: Rates = Rates { per_second: 50, per_endpoint: 20, concurrent: 1_000 };
/// A live account's.
const LIVE: Rates = Rates { per_second: 100, per_endpoint: 25, concurrent: 24 };

/// Asks one after another; each is answered at once.
async fn run(budget: &Budget, endpoints: &[&str], requests: usize) -> Duration {
    let began = Instant::now();
    for place in 0..requests {
        budget.admit(endpoints[place % endpoints.len()]).await.answered();
    }
    began.elapsed()
}

/// Sends so many, and refuses them all together.
async fn refuse(budget: &Budget, endpoint: &str, requests: usize, reason: &str, pause: Option<Duration>) {
    let mut under_way = Vec::new();
    for _ in 0..requests {
        under_way.push(budget.admit(endpoint).await);
    }
    advance(Duration::from_millis(1)).await;
    under_way.iter().for_each(|place| place.refused(reason, pause));
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
async fn trap_22_refusals_of_one_moment_are_one_slowdown_soon_made_up_for() {
    let budget = Budget::new(LIVE);
    refuse(&budget, "a", 7, "endpoint-rate", None).await;
    let first = run(&budget, &["a"], 25).await;
    assert!((1_150..1_500).contains(&first.as_millis()), "slower, by one step: {first:?}");
    run(&budget, &["a"], 25).await;
    let later = run(&budget, &["a"], 25).await;
    assert!(later <= Duration::from_millis(1_005), "full speed again: {later:?}");
}

#[tokio::test(start_paused = true)]
async fn trap_22_refusals_again_and_again_slow_down_further() {
    let budget = Budget::new(LIVE);
    for _ in 0..12 {
        refuse(&budget, "a", 1, "endpoint-rate", None).await;
    }
    let one = run(&budget, &["a"], 2).await;
    assert!((1_100..=1_300).contains(&one.as_millis()), "a sixteenth: {one:?}");
    assert!(
        run(&budget, &["b"], 25).await <= Duration::from_secs(1),
        "another endpoint is as fast as before"
    );
    let back = run(&budget, &["a"], 140).await;
    assert!(back < Duration::from_secs(17), "{back:?}");
    assert!(run(&budget, &["a"], 25).await <= Duration::from_millis(1_005));
}

#[tokio::test(start_paused = true)]
async fn trap_22_retry_after_holds_the_lane_and_no_other() {
    let budget = Budget::new(LIVE);
    refuse(&budget, "a", 1, "endpoint-rate", Some(Duration::from_secs(5))).await;
    assert!(run(&budget, &["b"], 1).await < Duration::from_millis(50));
    assert!(run(&budget, &["a"], 1).await > Duration::from_millis(4_900));
    refuse(&budget, "a", 1, "global-rate", Some(Duration::from_secs(5))).await;
    assert!(run(&budget, &["b"], 1).await > Duration::from_millis(4_900));
}

/// How many of `wanted` requests to "a" come to be under way at once.
async fn at_once(budget: &Budget, wanted: usize) -> usize {
    let mut places = Vec::new();
    while places.len() < wanted {
        match tokio::time::timeout(Duration::from_secs(10), budget.admit("a")).await {
            Ok(place) => places.push(place),
            Err(_) => break,
        }
    }
    places.len()
}

#[tokio::test(start_paused = true)]
async fn trap_22_too_many_at_once_makes_fewer_at_the_same_pace() {
    let budget = Budget::new(LIVE);
    assert_eq!(at_once(&budget, 30).await, 24);
    refuse(&budget, "a", 7, "global-concurrency", Some(Duration::from_secs(5))).await;
    assert_eq!(at_once(&budget, 30).await, 16);
    refuse(&budget, "a", 7, "endpoint-concurrency", None).await;
    assert!(run(&budget, &["a"], 25).await <= Duration::from_millis(1_005), "as fast as before");
    run(&budget, &["a"], 60).await;
    assert_eq!(at_once(&budget, 30).await, 24);
}

#[tokio::test(start_paused = true)]
async fn a_request_given_up_takes_nothing_with_it() {
    let budget = Budget::new(LIVE);
    refuse(&budget, "a", 1, "endpoint-rate", Some(Duration::from_secs(5))).await;
    for _ in 0..100 {
        assert!(tokio::time::timeout(Duration::from_millis(10), budget.admit("a")).await.is_err());
    }
    assert!(run(&budget, &["a"], 25).await < Duration::from_millis(5_500));
}

/// A Stripe that lets through a second's worth at once, and then one each fraction of a second.
#[derive(Default)]
struct Limits {
    busy_until: Mutex<HashMap<&'static str, Instant>>,
}

impl Limits {
    fn refuses(&self, endpoint: &'static str) -> Option<&'static str> {
        let now = Instant::now();
        let mut busy_until = self.busy_until.lock().unwrap();
        let rates = [("all", 100, "global-rate"), (endpoint, 25, "endpoint-rate")];
        for (name, rate, reason) in rates {
            let queued = busy_until.get(name).map_or(Duration::ZERO, |until| until.duration_since(now));
            if queued + Duration::from_secs(1) / rate > Duration::from_secs(1) {
                return Some(reason);
            }
        }
        for (name, rate, _) in rates {
            let until = busy_until.entry(name).or_insert(now);
            *until = (*until).max(now) + Duration::from_secs(1) / rate;
        }
        None
    }
}

/// A copy that tells what is still to come: how long it takes, how much is asked and how much refused. In its fifth second whatever is under way is
/// refused together, as when another program of the account was busy for a moment.
async fn copy(tables: &[(&'static str, u32)]) -> (Duration, u32, u32) {
    let (budget, limits) = (Arc::new(Budget::new(LIVE)), Arc::new(Limits::default()));
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for &(table, pages) in tables {
        for worker in 0..5 {
            let (budget, limits) = (Arc::clone(&budget), Arc::clone(&limits));
            workers.spawn(async move {
                let (mut left, mut asked, mut refused) = (pages / 5, 0, 0);
                let mut backlog = budget.backlog(table);
                while left > 0 {
                    backlog.is(left);
                    let place = budget.admit(table).await;
                    asked += 1;
                    sleep(Duration::from_millis(40 + u64::from(asked * 37 + worker * 13) % 90)).await;
                    let busy = (5_000..5_050).contains(&began.elapsed().as_millis());
                    if let Some(reason) = limits.refuses(table).or(busy.then_some("endpoint-rate")) {
                        place.refused(reason, None);
                        refused += 1;
                    } else {
                        place.answered();
                        left -= 1;
                    }
                }
                (asked, refused)
            });
        }
    }
    let counts = workers.join_all().await;
    let sum = |part: fn(&(u32, u32)) -> u32| counts.iter().map(part).sum();
    (began.elapsed(), sum(|count| count.0), sum(|count| count.1))
}

#[tokio::test(start_paused = true)]
async fn trap_22_a_copy_takes_hardly_longer_than_it_must_and_is_hardly_refused() {
    for (tables, least) in [
        (&[("charges", 1_500), ("customers", 500)][..], 60),
        (&[("a", 1_000), ("b", 1_000), ("c", 1_000), ("d", 1_000), ("e", 1_000), ("f", 1_000)], 60),
        (&[("a", 1_500), ("b", 1_500), ("c", 1_000), ("d", 500), ("e", 500), ("f", 500), ("g", 300)], 60),
        (&[("a", 1_500), ("b", 1_500), ("c", 1_500), ("d", 250), ("e", 250), ("f", 250), ("g", 250)], 60),
    ] {
        let (took, asked, refused) = copy(tables).await;
        assert!(took < Duration::from_secs(least) * 105 / 100, "{took:?}");
        assert!(refused * 100 <= asked, "{refused} of {asked}");
        assert!(refused >= 3, "{refused}");
    }
}

/// How many of a second's departures the first of eight endpoints has, all with somebody who waits, with such backlogs.
async fn departures(backlogs: [u32; 8]) -> u32 {
    let budget = Arc::new(Budget::new(LIVE));
    let mut workers = JoinSet::new();
    for (endpoint, requests) in ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().zip(backlogs) {
        let budget = Arc::clone(&budget);
        workers.spawn(async move {
            let mut backlog = budget.backlog(endpoint);
            backlog.is(requests);
            let (began, mut departed) = (Instant::now(), 0);
            while began.elapsed() < Duration::from_secs(10) {
                budget.admit(endpoint).await.answered();
                departed += u32::from(endpoint == "a");
            }
            departed
        });
    }
    workers.join_all().await.into_iter().sum::<u32>() / 10
}

#[tokio::test(start_paused = true)]
async fn what_takes_longest_goes_first_and_nobody_else_does() {
    let longest = departures([1_000, 300, 300, 300, 300, 300, 300, 300]).await;
    assert!((24..=25).contains(&longest), "all that it may have: {longest}");
    let one_of_three = departures([1_000, 950, 980, 0, 0, 0, 0, 0]).await;
    assert!((24..=25).contains(&one_of_three), "{one_of_three}");
    let together_longer = departures([1_000, 600, 600, 600, 600, 600, 600, 600]).await;
    assert!((12..=13).contains(&together_longer), "equal shares: {together_longer}");
    let short = departures([0, 1_000, 1_000, 1_000, 1_000, 0, 0, 0]).await;
    assert!((4..=6).contains(&short), "nobody waits until others are done: {short}");
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_forgotten_with_who_told_of_it() {
    let budget = Budget::new(LIVE);
    let (mut one, mut other) = (budget.backlog("a"), budget.backlog("a"));
    one.is(7);
    one.is(5);
    other.is(2);
    assert_eq!(budget.endpoint("a").backlog(), 7);
    drop(one);
    assert_eq!(budget.endpoint("a").backlog(), 2);
}

/// How wide an endpoint must be asked whose answers take so long, in turn.
async fn width(rates: Rates, latencies: &[u64], most_per_second: u32) -> u32 {
    let budget = Budget::new(rates);
    for &latency in latencies {
        let place = budget.admit("a").await;
        advance(Duration::from_millis(latency)).await;
        place.answered();
    }
    budget.width("a", most_per_second)
}

#[tokio::test(start_paused = true)]
async fn the_longer_answers_take_the_more_must_be_under_way() {
    assert_eq!(width(LIVE, &[], 400).await, 1, "nothing is known");
    assert_eq!(width(LIVE, &[2], 400).await, 1);
    assert_eq!(width(LIVE, &[400], 400).await, 10, "25 a second for 0.4 seconds each");
    assert_eq!(width(LIVE, &[400, 10_000], 400).await, 11, "one that is late says little");
    assert_eq!(width(LIVE, &[400, 2], 400).await, 1, "one that is soon says much");
    assert_eq!(width(LIVE, &[9_000], 400).await, LIVE.concurrent);
    assert_eq!(width(Rates { per_endpoint: 20_000, ..LIVE }, &[50], 400).await, 20);
}
