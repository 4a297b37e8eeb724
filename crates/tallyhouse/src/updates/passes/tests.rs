//! Passes against a small simulated Stripe over HTTP, with the warehouse in a real file.

use serde_json::json;
use store::{Delivery, Inbox};
use stripe_api::Clock;
use stripe_sim::{Fault, FaultScript};

use super::*;
use crate::{clock::SystemClock, updates::tests::Here, web::SyncControl};

impl Here {
    /// Puts an event about an object into the inbox, and wakes nobody.
    async fn push(&self, event_id: &str, object: &str, id: &str) {
        let object = json!({ "id": id, "object": object });
        let event = json!({
            "id": event_id, "object": "event", "created": 1, "type": "customer.updated", "livemode": false,
            "data": { "object": object },
        });
        self.push_raw(event_id, &event.to_string()).await;
    }

    async fn push_raw(&self, event_id: &str, body: &str) {
        let delivery = Delivery {
            connection_id: self.shop.id.clone(),
            event_id: event_id.to_owned(),
            received_at: SystemClock.now(),
            body: body.as_bytes().to_vec(),
        };
        self.store.keep_deliveries(&[delivery]).await.unwrap();
    }

    fn wake(&self) {
        self.updates.wake_up(&self.shop.id, "shop");
    }

    async fn inbox(&self) -> Inbox {
        self.store.inbox(&self.shop.id).await.unwrap()
    }

    /// Waits until no pass is under way.
    async fn rested(&self) -> Inbox {
        while self.updates.is_passing() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.inbox().await
    }

    async fn events(&self) -> String {
        let reader = &self.updates.inner.reader;
        let found = reader.query("SELECT id FROM shop.events ORDER BY id", Vec::new()).await.unwrap();
        format!("{:?}", found.rows)
    }

    fn customer(&self) -> String {
        self.sim.truth("customer")[0]["id"].as_str().unwrap().to_owned()
    }

    fn reads(&self) -> u64 {
        self.sim.stats().by_path.get("/v1/customers/{id}").copied().unwrap_or(0)
    }
}

#[tokio::test]
async fn trap_15_a_burst_is_read_once_and_leaves_the_inbox_for_the_warehouse() {
    let here = Here::new().await;
    here.run().await;
    here.rested().await;
    let before = here.store.connection(&here.shop.id).await.unwrap().unwrap().last_data_at;
    for number in 0..5 {
        here.push(&format!("evt_{number}"), "customer", &here.customer()).await;
        here.wake();
    }
    assert_eq!(here.rested().await.waiting, 0);
    assert_eq!(here.reads(), 1);
    let events = here.events().await;
    assert!((0..5).all(|number| events.contains(&format!("evt_{number}"))), "{events}");
    let after = here.store.connection(&here.shop.id).await.unwrap().unwrap().last_data_at;
    assert!(after > before, "the page says when data last came");
    here.end().await;
}

#[tokio::test]
async fn trap_19_what_came_before_the_first_copy_waits_for_it_and_then_goes_on() {
    let here = Here::new().await;
    here.push("evt_1", "customer", &here.customer()).await;
    here.wake();
    let inbox = here.rested().await;
    assert_eq!(inbox.waiting, 1);
    assert_eq!(inbox.reasons[0].0, "the first copy of customers is not complete");
    here.run().await;
    assert_eq!(here.rested().await.waiting, 0);
    assert!(here.events().await.contains("evt_1"));
    here.end().await;
}

#[tokio::test]
async fn what_is_paused_waits_and_what_was_left_is_found_again() {
    let here = Here::new().await;
    here.run().await;
    here.rested().await;
    here.store.set_status(&here.shop.id, &Status::Paused).await.unwrap();
    here.push("evt_1", "customer", &here.customer()).await;
    here.wake();
    assert_eq!(here.rested().await.waiting, 1);
    assert_eq!(here.reads(), 0);
    here.store.set_status(&here.shop.id, &Status::Success).await.unwrap();
    let stop = CancellationToken::new();
    let following = here.updates.keep_following(stop.clone());
    let watching = async {
        while here.inbox().await.waiting > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    tokio::join!(following, watching);
    assert_eq!(here.reads(), 1);
    here.end().await;
}

#[tokio::test]
async fn trap_27_a_refused_key_waits_for_a_person_and_nothing_is_lost() {
    let here = Here::new().await;
    here.run().await;
    here.rested().await;
    here.sim.set_faults(FaultScript::new().always("/v1/customers", Fault::status(401)));
    here.push("evt_1", "customer", &here.customer()).await;
    here.wake();
    assert_eq!(here.rested().await.waiting, 1);
    assert!(matches!(here.status().await, Status::ReauthenticationRequired { .. }));
    here.end().await;
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_tried_later_and_what_is_no_event_is_shown() {
    let here = Here::new().await;
    here.run().await;
    here.rested().await;
    here.sim.set_faults(FaultScript::new().always("/v1/customers", Fault::status(403)));
    here.push("evt_1", "customer", &here.customer()).await;
    here.push("evt_2", "balance", "none").await;
    here.push_raw("sha256:odd", "{]").await;
    here.wake();
    let inbox = here.rested().await;
    assert_eq!((inbox.waiting, inbox.rejected.len()), (1, 1), "{inbox:?}");
    assert!(inbox.reasons[0].0.contains("/v1/customers/"), "{inbox:?}");
    assert_eq!(inbox.rejected[0].0, "sha256:odd");
    let events = here.events().await;
    assert!(events.contains("evt_2") && !events.contains("evt_1"), "{events}");
    here.sim.set_faults(FaultScript::new());
    here.store.hasten_deliveries(&here.shop.id, SystemClock.now()).await.unwrap();
    here.wake();
    assert_eq!(here.rested().await.waiting, 0);
    here.end().await;
}

#[tokio::test]
async fn stopping_waits_until_nothing_of_a_pass_is_left() {
    let here = Here::new().await;
    here.run().await;
    here.rested().await;
    here.sim.set_faults(FaultScript::new().always("/v1/customers", Fault::Slow(800)));
    here.push("evt_1", "customer", &here.customer()).await;
    here.wake();
    while here.sim.stats().faults == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    here.updates.stop_passing("shop").await;
    assert!(!here.updates.is_passing());
    assert_eq!(here.inbox().await.waiting, 1, "it was not applied, so it stays");
    here.end().await;
}

#[tokio::test]
async fn a_pass_runs_beside_a_cycle_and_asks_through_the_same_stripe() {
    let here = Here::new().await;
    here.run().await;
    here.rested().await;
    let cycle = here.slow_cycle().await;
    here.push("evt_1", "customer", &here.customer()).await;
    here.wake();
    while here.inbox().await.waiting > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(here.updates.running_since("shop").is_some(), "it did not wait for the cycle");
    drop(cycle);
    let connection = here.store.connection(&here.shop.id).await.unwrap().unwrap();
    let engine = here.updates.inner.engines.for_pass(&here.updates.inner.parts, &connection).await.unwrap();
    let (of_cycle, _) =
        here.updates.inner.engines.for_cycle(&here.updates.inner.parts, &connection).await.unwrap();
    let now = of_cycle.stripe.now();
    assert!(engine.stripe.now() > now, "one clock stamps both");
    assert!(engine.stripe.requests() > 0, "one budget paces both");
    here.end().await;
}

#[test]
fn pauses_grow_and_end() {
    assert_eq!([0, 1, 5].map(pause), [1, 2, 32].map(TimeDelta::seconds));
    assert_eq!(pause(u32::MAX), LONGEST);
}
