//! The client against a Stripe that misbehaves.

use std::{error::Error, net::SocketAddr, task::Poll};

use axum::{Router, response::IntoResponse, routing::get};
use stripe_sim::{
    DEMO_KEY, Fault, FaultScript, Key, Sim, SimOptions,
    bulk::{Bulk, BulkCounts},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;

/// A clock that stands where it is put.
#[derive(Default)]
struct Put(AtomicI64);

impl Clock for Put {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

fn config(address: SocketAddr) -> Config {
    Config {
        api_url: format!("http://{address}").parse().unwrap(),
        key: DEMO_KEY.to_owned().into(),
        account: None,
        rates: Rates { per_second: 5_000, per_endpoint: 5_000, concurrent: 8 },
        retry: RetryPolicy { attempts: 3, base: Duration::from_millis(1), longest: Duration::from_millis(4) },
    }
}

fn stripe(config: Config) -> Stripe {
    Stripe::new(config, Arc::new(Put::default())).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a server that ends with its test's runtime")]
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

#[expect(clippy::disallowed_methods, reason = "a server that ends with its test's runtime")]
async fn simulated(keys: Vec<Key>, faults: FaultScript) -> (Sim, Stripe) {
    let world = Bulk::new(7, BulkCounts { customers: 3, charges: 3 });
    let sim = Sim::new(Arc::new(world), SimOptions { keys, ..SimOptions::default() });
    sim.set_faults(faults);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = sim.clone();
    tokio::spawn(async move { serving.serve(listener, CancellationToken::new()).await });
    (sim, stripe(config(address)))
}

/// Asks a simulator whose first answers are `faults`; gives what came of it and how often it was asked.
async fn ask(faults: &[Fault]) -> (Result<Answer, StripeError>, u64) {
    let script = faults
        .iter()
        .zip(1..)
        .fold(FaultScript::new(), |script, (fault, nth)| script.nth("/v1/charges", nth, fault.clone()));
    let (sim, stripe) = simulated(vec![Key::full(DEMO_KEY)], script).await;
    let answer = stripe.get("/v1/charges", &[("limit", "2")]).await;
    assert_eq!(stripe.requests(), sim.stats().total);
    (answer, sim.stats().total)
}

const fn advised(code: u16, should_retry: bool) -> Fault {
    Fault::Status { code, should_retry: Some(should_retry), retry_after: None }
}

#[tokio::test]
async fn trap_22_what_may_pass_is_asked_again() {
    let passing = [
        Fault::status(429),
        Fault::status(500),
        Fault::Locked,
        Fault::Refuse,
        Fault::CutBody,
        Fault::LoseAnswer,
        advised(400, true),
        advised(429, true),
    ];
    for fault in passing {
        let (answer, asked) = ask(std::slice::from_ref(&fault)).await;
        let answer = answer.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        let page: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((page["data"].as_array().unwrap().len(), asked), (2, 2), "{fault:?}");
        assert!(answer.request_id.is_some() && answer.date.is_some());
    }
}

#[tokio::test]
async fn trap_22_what_cannot_pass_is_not_asked_again() {
    for fault in [Fault::status(400), Fault::status(404), advised(500, false), advised(429, false)] {
        let (answer, asked) = ask(std::slice::from_ref(&fault)).await;
        assert!(answer.is_err() && asked == 1, "{fault:?}: {asked}");
    }
}

#[tokio::test]
async fn attempts_have_an_end() {
    for fault in [Fault::status(500), Fault::status(429), Fault::Refuse] {
        let (answer, asked) = ask(&[fault.clone(), fault.clone(), fault.clone(), fault.clone()]).await;
        assert!(answer.is_err() && asked == 3, "{fault:?}: {asked}");
    }
}

#[tokio::test]
async fn trap_22_retry_after_is_waited_for() {
    let began = std::time::Instant::now();
    let (answer, asked) = ask(&[Fault::Status { code: 429, should_retry: None, retry_after: Some(1) }]).await;
    assert!(answer.is_ok() && asked == 2 && began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn trap_22_a_refusal_that_must_not_be_repeated_holds_what_follows_all_the_same() {
    let refused = || async {
        let steering = [
            ("stripe-should-retry", "false"),
            ("stripe-rate-limited-reason", "global-rate"),
            ("retry-after", "1"),
        ];
        (StatusCode::TOO_MANY_REQUESTS, steering, "{}")
    };
    let router = Router::new().route("/v1/charges", get(refused)).route("/v1/coupons", get(async || "{}"));
    let stripe = stripe(config(serve(router).await));
    let error = stripe.get("/v1/charges", &[]).await.unwrap_err();
    assert_eq!((error.retry(), stripe.requests()), (Retry::Never, 1), "{error:?}");
    let began = std::time::Instant::now();
    stripe.get("/v1/coupons", &[]).await.unwrap();
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_refusal_of_stripe_tells_its_time_and_one_of_a_proxy_does_not() {
    const DATE: (&str, &str) = ("date", "Tue, 20 Oct 2026 10:00:00 GMT");
    let refused = || async { (StatusCode::FORBIDDEN, [DATE, ("request-id", "req_1")], "{}") };
    let proxied = || async { (StatusCode::FORBIDDEN, [DATE], "<html>You may not go there.</html>") };
    let router = Router::new().route("/v1/events", get(refused)).route("/v1/charges", get(proxied));
    let stripe = stripe(config(serve(router).await));
    stripe.get("/v1/charges", &[]).await.unwrap_err();
    assert_eq!(stripe.date(), None);
    stripe.get("/v1/events", &[]).await.unwrap_err();
    assert_eq!(
        stripe.date().map(|date| date.to_rfc2822()).as_deref(),
        Some("Tue, 20 Oct 2026 10:00:00 +0000")
    );
}

#[tokio::test]
async fn trap_23_a_restricted_key_tells_its_account_by_the_refusal() {
    let keys = vec![Key::restricted(DEMO_KEY, &["rak_charge_read"])];
    let (sim, stripe) = simulated(keys, FaultScript::new()).await;
    let account = stripe.account().await.unwrap();
    assert_eq!((Some(account.id.as_str()), account.name), (sim.world().account()["id"].as_str(), None));
    let (sim, stripe) = simulated(vec![Key::read_all(DEMO_KEY)], FaultScript::new()).await;
    let account = stripe.account().await.unwrap();
    assert_eq!(Some(account.id.as_str()), sim.world().account()["id"].as_str());
    assert!(account.country.is_some());
}

#[tokio::test]
async fn requests_say_who_asks_what_and_for_whom() {
    let echo = |uri: axum::http::Uri, headers: HeaderMap| async move { format!("{uri} {headers:?}") };
    let address = serve(Router::new().route("/v1/charges", get(echo))).await;
    let config = Config { account: Some("acct_1".to_owned()), ..config(address) };
    let answer = stripe(config).get("/v1/charges", &[("created[gte]", "1"), ("limit", "5")]).await.unwrap();
    let said = String::from_utf8(answer.body.to_vec()).unwrap();
    for expected in [
        "/v1/charges?created%5Bgte%5D=1&limit=5 ",
        &format!("\"authorization\": \"Bearer {DEMO_KEY}\""),
        &format!("\"stripe-version\": \"{API_VERSION}\""),
        "\"stripe-account\": \"acct_1\"",
        "\"user-agent\": \"tallyhouse/",
        "gzip",
    ] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
}

#[tokio::test]
async fn the_key_goes_nowhere_else() {
    let router = Router::new()
        .route("/v1/charges", get(|| async { axum::response::Redirect::temporary("/elsewhere") }))
        .route("/elsewhere", get(|| async { "{}" }));
    let stripe = stripe(config(serve(router).await));
    let error = stripe.get("/v1/charges", &[]).await.unwrap_err();
    assert!(matches!(error, StripeError::Invalid { status: 307, .. }), "{error}");
    assert_eq!(stripe.requests(), 1);
}

/// An error and its sources, in people's words and in programmers'.
fn whole_text(error: &StripeError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    text
}

#[tokio::test]
async fn the_key_is_in_no_text() {
    for status in [401, 403, 404, 400, 500, 429] {
        let status = StatusCode::from_u16(status).unwrap();
        let body = format!(r#"{{"error":{{"message":"The provided key '{DEMO_KEY}' is no good"}}}}"#);
        let refuse = move || async move { (status, body).into_response() };
        let stripe = stripe(config(serve(Router::new().route("/v1/charges", get(refuse))).await));
        let text = whole_text(&stripe.get("/v1/charges", &[]).await.unwrap_err());
        assert!(!text.contains("Tallyhouse"), "{text}");
        assert!(!format!("{stripe:?}").contains("Tallyhouse"), "{stripe:?}");
    }
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let text = whole_text(&stripe(config(nobody)).get("/v1/charges", &[]).await.unwrap_err());
    assert!(!text.contains("Tallyhouse") && text.contains("could not reach"), "{text}");
}

#[tokio::test]
async fn answers_end_in_time() {
    let never = || async { std::future::pending::<String>().await };
    let address = serve(Router::new().route("/v1/charges", get(never))).await;
    let patience = Duration::from_millis(50);
    let stripe = Stripe::patient(config(address), Arc::new(Put::default()), patience, None).unwrap();
    let error = stripe.get("/v1/charges", &[]).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), stripe.requests()), ("Stripe took too long to answer", 3));
}

#[tokio::test]
async fn answers_have_a_size() {
    let large = || async { vec![b'x'; 3_000_000] };
    let address = serve(Router::new().route("/large", get(large))).await;
    let ask = || reqwest::get(format!("http://{address}/large"));
    crate::install_tls();
    assert_eq!(whole(ask().await.unwrap(), 3_000_000).await.unwrap().len(), 3_000_000);
    let error = whole(ask().await.unwrap(), 2_097_152).await.unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "it is larger than 2 MiB");
    assert_eq!(error.retry(), Retry::Never);
}

#[test]
fn live_keys_need_an_encrypted_address() {
    let config =
        Config { key: "rk_live_1".to_owned().into(), ..config(SocketAddr::from(([10, 0, 0, 1], 80))) };
    assert!(Stripe::new(config, Arc::new(Put::default())).is_err());
    let plain = "http://connect.example.com".parse().unwrap();
    assert!(crate::Connect::new(plain, "sk_live_1".to_owned().into()).is_err());
}

#[test]
fn time_never_goes_back() {
    let clock = Arc::new(Put::default());
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let stripe = Stripe::new(config(nobody), Arc::<Put>::clone(&clock)).unwrap();
    let mut last = i64::MIN;
    let mut later = |at: i64| {
        clock.0.store(at, Ordering::Relaxed);
        let now = stripe.now().timestamp_micros();
        assert!(now > last && now >= at, "{now} after {last}");
        last = now;
        now
    };
    assert_eq!([later(1_000), later(1_000), later(400), later(2_000)], [1_000, 1_001, 1_002, 2_000]);
    stripe.go_on_after(5_000);
    assert_eq!([later(2_001), later(5_000)], [5_001, 5_002]);
    stripe.go_on_after(3_000);
    assert_eq!([later(3_000), later(9_000)], [5_003, 9_000]);
}

/// Whoever asks for several at once may be busy with the first when the others stand in line.
#[tokio::test]
async fn requests_that_are_not_polled_keep_nobody_from_theirs() {
    let address = serve(Router::new().fallback(async || "{}")).await;
    let rates = Rates { per_second: 10, per_endpoint: 1_000, concurrent: 8 };
    let stripe = stripe(Config { rates, ..config(address) });
    let mut left: Vec<_> = (0..6).map(|_| Box::pin(stripe.get("/v1/invoices", &[]))).collect();
    for _ in 0..2 {
        let mut pending = Vec::new();
        for mut asked in left {
            let begun = std::future::poll_fn(|context| Poll::Ready(asked.as_mut().poll(context))).await;
            pending.extend(begun.is_pending().then_some(asked));
        }
        left = pending;
        // Past the endpoint's own line, so that one stands at the head of the account's.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(left.len() > 3, "they stand in line");
    let other = stripe.get("/v1/invoices/in_1/lines", &[]);
    let answer = tokio::time::timeout(Duration::from_secs(60), other).await;
    assert!(answer.expect("it waits for those that nobody polls").is_ok());
}
