//! Passes against a small simulated Stripe over HTTP, with the warehouse in a real file.

use chrono::{DateTime, Utc};
use serde_json::json;
use store::{Delivery, Inbox};
use stripe_api::Clock;
use stripe_sim::{Fault, FaultScript};

use super::settled::TRIED;
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
        self.push_at(event_id, body, SystemClock.now()).await;
    }

    async fn push_at(&self, event_id: &str, body: &str, received_at: DateTime<Utc>) {
        let delivery = Delivery {
            connection_id: self.shop.id.clone(),
            event_id: event_id.to_owned(),
            received_at,
            body: body.as_bytes().to_vec(),
        };
        self.store.keep_deliveries(&[delivery]).await.unwrap();
    }

    /// Makes an event due that was postponed.
    async fn due_now(&self, event_id: &str) {
        let (event_id, why) = (event_id.to_owned(), "a test is in a hurry".to_owned());
        let due_at = Some(SystemClock.now());
        let now = Postponed { event_id, due_at, looked_at_micros: None, why, awaits_copy_of: None };
        self.postpone(now).await;
    }

    async fn postpone(&self, event: Postponed) {
        let settled = Settled { postponed: vec![event], ..Settled::default() };
        self.store.settle_deliveries(&self.shop.id, &settled, SystemClock.now()).await.unwrap();
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
async fn more_than_one_pass_reads_at_once_is_worked_off_in_one_go() {
    let here = Here::new().await;
    here.run().await;
    here.rested().await;
    for number in 0..5 {
        let large = json!({ "id": "none", "object": "balance", "description": "x".repeat(4_000_000) });
        let event = json!({
            "id": format!("evt_{number}"), "object": "event", "created": 1, "type": "balance.available",
            "livemode": false, "data": { "object": large },
        });
        here.push_raw(&format!("evt_{number}"), &event.to_string()).await;
    }
    here.wake();
    assert_eq!(here.rested().await.waiting, 0);
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
    here.due_now("evt_1").await;
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
    let before = here.sim.stats().total;
    let mut cycle = here.slow_cycle().await;
    here.push("evt_1", "customer", &here.customer()).await;
    here.wake();
    while here.inbox().await.waiting > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(here.updates.running_since("shop").is_some(), "it did not wait for the cycle");
    here.sim.set_faults(FaultScript::new());
    let requests = cycle.ended().await.requests;
    here.rested().await;
    assert_eq!(here.sim.stats().total - before, requests + 1, "the pass's own is not the cycle's");
    let Inner { engines, parts, .. } = &*here.updates.inner;
    let connection = here.store.connection(&here.shop.id).await.unwrap().unwrap();
    let of_pass = engines.for_pass(parts, &connection).await.unwrap().stripe;
    let of_cycle = engines.for_cycle(parts, &connection).await.unwrap().0.stripe;
    here.stand_still();
    let stamps = [of_cycle.now(), of_pass.now(), of_cycle.now(), of_pass.now()];
    assert!(stamps.is_sorted_by(|one, next| one < next), "one clock stamps both: {stamps:?}");
    here.end().await;
}

#[tokio::test]
async fn what_cannot_be_read_for_days_is_left_to_updates_and_said() {
    let here = Here::new().await;
    here.run().await;
    here.rested().await;
    here.sim.set_faults(FaultScript::new().always("/v1/customers", Fault::status(403)));
    let event = |id: &str| {
        let object = json!({ "id": here.customer(), "object": "customer" });
        json!({ "id": id, "object": "event", "created": 1, "type": "customer.updated", "livemode": false, "data": { "object": object } })
            .to_string()
    };
    let old = SystemClock.now() - TRIED - TimeDelta::minutes(1);
    here.push_at("evt_old", &event("evt_old"), old).await;
    here.push_raw("evt_new", &event("evt_new")).await;
    here.wake();
    let inbox = here.rested().await;
    assert_eq!((inbox.waiting, inbox.handed_over), (1, 1), "{inbox:?}");
    assert!(inbox.last_handed_over.unwrap().1.contains("/v1/customers/"));
    let events = here.events().await;
    assert!(!events.contains("evt_old"), "updates pass over what is there: {events}");
    // Another cycle hastens nothing but what waits for a first copy.
    let (why, due_at) = (inbox.reasons[0].0.clone(), Some(SystemClock.now() + TimeDelta::hours(1)));
    let event_id = "evt_new".to_owned();
    let later = Postponed { event_id, due_at, looked_at_micros: None, why, awaits_copy_of: None };
    here.postpone(later).await;
    let before = here.reads();
    here.run().await;
    here.rested().await;
    assert_eq!(here.reads(), before);
    here.end().await;
}

#[tokio::test]
async fn a_pass_that_fails_as_a_whole_is_repeated_later_and_says_why() {
    let here = Here::new().await;
    let Inner { parts, .. } = &*here.updates.inner;
    let schema: SchemaName = "shop".parse().unwrap();
    parts.warehouse.prepare(&schema, catalog::tables().collect()).await.unwrap();
    let value = Some(json!({ "account": "acct_other", "livemode": false }));
    let checkpoints = vec![warehouse::Checkpoint { key: "account".to_owned(), value }];
    let batch = warehouse::Batch { schema, writes: Vec::new(), checkpoints, rejects: Vec::new() };
    parts.warehouse.apply(batch).await.unwrap();
    here.push("evt_1", "customer", &here.customer()).await;
    here.wake();
    let inbox = here.rested().await;
    assert!(inbox.reasons[0].0.contains("the copy of another account"), "{inbox:?}");
    let far = SystemClock.now() + TimeDelta::days(1);
    let waiting = here.store.due_deliveries(&here.shop.id, 10, far).await.unwrap().events.remove(0);
    assert_eq!((waiting.event_id.as_str(), waiting.tries), ("evt_1", 1));
    here.end().await;
}
