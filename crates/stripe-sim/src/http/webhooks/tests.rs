//! Webhooks, as an endpoint meets them.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::http::{DEMO_CLIENT_ID, FaultScript, SimOptions};
use crate::story::{Story, StorySpec};

const SECRET: &str = "whsec_test";
const NOW: i64 = 1_782_900_123;
const DAY: i64 = 86_400;

/// An endpoint that takes events, or refuses them while told to.
#[derive(Clone, Default)]
struct Receiver {
    refuses: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<(String, String)>>>,
}

impl Receiver {
    /// Listens; gives itself and its address.
    async fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(receiver.clone());
        #[expect(clippy::disallowed_methods, reason = "a test's server ends with the test")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, url)
    }

    fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    fn events(&self) -> Vec<Value> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.events().iter().map(|event| id_of(event).unwrap()).collect()
    }

    fn charges(&self) -> Vec<String> {
        let own = |event: &Value| event["type"] == "charge.succeeded";
        let charges = self.events().into_iter().filter(own);
        charges.map(|event| event["data"]["object"]["id"].as_str().unwrap().to_owned()).collect()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    if receiver.refuses.load(Ordering::Relaxed) {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let signature = headers["stripe-signature"].to_str().unwrap().to_owned();
    receiver.heard.lock().unwrap().push((signature, body));
    StatusCode::OK
}

/// A small business behind a simulator whose clock the test moves.
struct Here {
    story: Arc<Story>,
    sim: Sim,
    clock: Arc<AtomicI64>,
}

fn here() -> Here {
    let spec = StorySpec { seed: 3, customers: 10, months: 2, end: NOW, livemode: false };
    let (story, clock) = (Arc::new(Story::new(spec)), Arc::new(AtomicI64::new(NOW)));
    let reading = Arc::clone(&clock);
    let options = SimOptions {
        clock: Some(Arc::new(move || reading.load(Ordering::Relaxed))),
        ..SimOptions::default()
    };
    Here { sim: Sim::new(Arc::clone(&story) as _, options), story, clock }
}

impl Here {
    /// A round, so long after the one before.
    async fn round(&self, seconds: i64) -> Delivered {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
        self.sim.deliver_pending().await
    }

    async fn delivery(&self, wanted: bool) -> Vec<String> {
        let path = format!("/v1/events?limit=100&delivery_success={wanted}");
        let (_, list) = crate::http::tests::read(&self.sim, &path).await;
        list["data"].as_array().unwrap().iter().map(|event| id_of(event).unwrap()).collect()
    }
}

/// The signature as Stripe's documentation explains it.
fn expected(secret: &str, at: i64, body: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(at.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn trap_20_events_from_now_on_come_signed_and_in_order() {
    let here = here();
    let (receiver, url) = Receiver::start().await;
    here.sim.add_endpoint(&url, SECRET);
    let made = [here.story.create_charge(), here.story.create_charge()];
    let delivered = here.round(7).await;
    assert_eq!(receiver.charges(), made, "nothing from before it listened");
    assert_eq!(delivered, Delivered { taken: receiver.events().len() as u64, refused: 0 });
    for (signature, body) in receiver.heard.lock().unwrap().iter() {
        assert_eq!(*signature, expected(SECRET, NOW + 7, body));
    }
    assert_eq!(here.round(1).await, Delivered::default(), "once is enough");
}

#[tokio::test]
async fn trap_21_what_is_not_taken_comes_again() {
    let here = here();
    let (receiver, url) = Receiver::start().await;
    here.sim.add_endpoint(&url, SECRET);
    receiver.refuse(true);
    let charge = here.story.create_charge();
    let first = here.round(0).await;
    assert!(first.taken == 0 && first.refused > 0, "{first:?}");
    assert_eq!(here.round(1).await, Delivered::default(), "not at once");
    let waiting = here.delivery(false).await;
    assert_eq!(waiting.len() as u64, first.refused);
    receiver.refuse(false);
    assert_eq!(here.round(5).await.taken, first.refused);
    assert_eq!(receiver.charges(), [charge]);
    assert!(here.delivery(false).await.is_empty());
    let delivered = here.delivery(true).await;
    assert!(waiting.iter().all(|id| delivered.contains(id)));
}

#[tokio::test]
async fn trap_21_an_endpoint_that_refuses_for_three_days_is_disabled() {
    let here = here();
    let ((dead, dead_url), (well, well_url)) = (Receiver::start().await, Receiver::start().await);
    here.sim.add_endpoint(&dead_url, SECRET);
    here.sim.add_endpoint(&well_url, "whsec_other");
    dead.refuse(true);
    let charge = here.story.create_charge();
    for _ in 0..11 {
        here.round(DAY / 4).await;
        assert!(!here.sim.endpoint_is_disabled(&dead_url));
    }
    here.round(DAY).await;
    assert!(here.sim.endpoint_is_disabled(&dead_url) && !here.sim.endpoint_is_disabled(&well_url));
    dead.refuse(false);
    let later = here.story.create_charge();
    here.round(DAY).await;
    assert!(dead.events().is_empty());
    assert_eq!(well.charges(), [charge, later]);
    let lost = here.delivery(false).await;
    assert!(!lost.is_empty() && lost.iter().all(|id| well.ids().contains(id)), "{lost:?}");
}

#[tokio::test]
async fn an_endpoint_goes_on_hearing_after_a_long_silence() {
    let here = here();
    let (receiver, url) = Receiver::start().await;
    here.sim.add_endpoint(&url, SECRET);
    here.round(0).await;
    // All that the endpoint knew is gone by then.
    here.sim.world().advance(40 * DAY);
    let charge = here.story.create_charge();
    here.round(0).await;
    assert_eq!(receiver.charges().last(), Some(&charge));
    let told = here.sim.advance(60 * DAY);
    here.round(0).await;
    let heard = receiver.ids();
    assert!(told.len() > 100 && told.iter().all(|id| heard.contains(id)), "none is lost on the way");
}

#[tokio::test]
async fn trap_21_a_connect_endpoint_hears_whose_event_it_is() {
    let here = here();
    let ((own, url), (platform, platform_url)) = (Receiver::start().await, Receiver::start().await);
    here.sim.add_endpoint(&url, SECRET);
    here.sim.add_connect_endpoint(&platform_url, SECRET);
    here.story.create_charge();
    here.sim.announce_deauthorization(DEMO_CLIENT_ID);
    here.round(0).await;
    assert!(own.events().iter().all(|event| event.get("account").is_none()));
    assert!(platform.events().iter().all(|event| event["account"] == here.sim.account_id()));
    let ended = |event: &Value| event["type"] == "account.application.deauthorized";
    assert!(platform.events().iter().any(ended) && !own.events().iter().any(ended));
}

#[tokio::test]
async fn trap_15_events_can_come_twice_and_in_any_order() {
    let here = here();
    let (receiver, url) = Receiver::start().await;
    here.sim.add_endpoint(&url, SECRET);
    here.sim.set_faults(FaultScript::new().repeat_events().reorder_events());
    let [first, second] = [here.story.create_charge(), here.story.create_charge()];
    here.round(0).await;
    assert_eq!(receiver.charges(), [second.clone(), second, first.clone(), first]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_answers_does_not_stop_the_clock() {
    let here = here();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    here.sim.add_endpoint(&format!("http://{}/", silent.local_addr().unwrap()), SECRET);
    (0..5).for_each(|_| drop(here.story.create_charge()));
    let (began, stop) = (tokio::time::Instant::now(), CancellationToken::new());
    let clock = Arc::new(move || NOW + i64::try_from(began.elapsed().as_secs()).unwrap());
    tokio::select! {
        () = here.sim.follow(clock, stop) => {}
        () = tokio::time::sleep(Duration::from_secs(100)) => {}
    }
    assert!(here.sim.world().now() >= NOW + 98, "{}", here.sim.world().now() - NOW);
}
