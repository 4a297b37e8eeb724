//! What no event tells of: walked again when it is due.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use stripe_sim::{Fault, FaultScript};
use tokio_util::sync::CancellationToken;

use crate::small::{BEGAN, Copied, Small, connected, copied};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn intent(id: &str, days_ago: i64, description: &str) -> Value {
    json!({ "id": id, "object": "payment_intent", "created": BEGAN - days_ago * DAY, "description": description })
}

fn method(number: i64) -> Value {
    json!({ "id": format!("pm_{number}"), "object": "payment_method", "created": BEGAN + number })
}

impl Copied {
    /// A cycle after so many more hours.
    async fn cycle_after(&self, hours: i64) {
        self.world.age.fetch_add(hours * HOUR, Ordering::Relaxed);
        self.cycle().await;
    }

    fn description(&self, id: &str) -> (Value, bool) {
        let (object, gone) = self.table("payment_intent").remove(id).unwrap();
        (object["description"].clone(), gone)
    }
}

#[tokio::test]
async fn trap_17_what_no_event_tells_is_read_again_when_it_is_due() {
    let world = Small::default();
    let all = [("pi_new", 0), ("pi_recent", 10), ("pi_gone", 11), ("pi_old", 100), ("pi_old_gone", 101)];
    all.iter().for_each(|(id, days)| world.put(intent(id, *days, "before")));
    let copied = copied(world).await;
    copied.world.put(intent("pi_recent", 10, "after"));
    copied.world.put(intent("pi_old", 100, "after"));
    copied.world.delete("payment_intent", "pi_gone");
    copied.world.delete("payment_intent", "pi_old_gone");
    copied.cycle_after(5).await;
    for (id, _) in all {
        assert_eq!(copied.description(id), (json!("before"), false), "{id} is not due");
    }
    copied.cycle_after(1).await;
    assert_eq!(copied.description("pi_recent"), (json!("after"), false));
    assert_eq!(copied.description("pi_gone"), (json!("before"), true));
    assert_eq!(copied.description("pi_old"), (json!("before"), false), "the old part is not due");
    assert_eq!(copied.description("pi_old_gone"), (json!("before"), false), "the old part is not due");
    copied.cycle_after(7 * 24).await;
    assert_eq!(copied.description("pi_old"), (json!("after"), false));
    assert_eq!(copied.description("pi_old_gone"), (json!("before"), true));
}

#[tokio::test]
async fn trap_7_a_list_without_created_is_walked_whole_and_again() {
    let world = Small::default();
    (0..250).for_each(|number| world.put(method(number)));
    let copied = copied(world).await;
    assert_eq!(copied.table("payment_method").len(), 250);
    copied.world.put(method(1_000));
    copied.world.delete("payment_method", "pm_7");
    copied.cycle_after(5).await;
    assert_eq!(copied.table("payment_method").len(), 250, "nothing tells of it");
    copied.cycle_after(1).await;
    let methods = copied.table("payment_method");
    assert_eq!((methods.len(), methods["pm_7"].1, methods["pm_1000"].1), (251, true, false));
}

#[tokio::test]
async fn trap_2_a_list_that_cannot_go_on_by_time_begins_again() {
    let world = Small::default();
    (0..250).for_each(|number| world.put(method(number)));
    // The last object of the first page goes.
    let gone = |world: &Small| world.delete("payment_method", "pm_150");
    *world.meanwhile.lock().unwrap() = Some(("payment_method", Box::new(gone)));
    let copied = copied(world).await;
    let methods = copied.table("payment_method");
    assert_eq!(
        methods.values().filter(|(_, gone)| !gone).count(),
        250,
        "none is missing, and none is there twice"
    );
    copied.cycle_after(6).await;
    assert!(copied.table("payment_method")["pm_150"].1);
}

#[tokio::test]
async fn trap_10_inactive_prices_are_copied() {
    let world = Small::default();
    let price =
        |id: &str, active: bool| json!({ "id": id, "object": "price", "created": BEGAN, "active": active });
    world.put(price("price_1", true));
    world.put(price("price_2", false));
    let copied = copied(world).await;
    let prices: Vec<String> = copied.table("price").into_keys().collect();
    assert_eq!(prices, ["price_1", "price_2"]);
}

#[tokio::test]
async fn trap_10_what_a_list_shows_and_what_it_leaves_out_are_both_walked_though_only_one_was_begun() {
    for refused in [1, 2] {
        let world = Small::default();
        for (id, active) in [("price_1", true), ("price_2", false)] {
            world.put(json!({ "id": id, "object": "price", "created": BEGAN, "active": active }));
        }
        let once = Fault::Status { code: 503, should_retry: Some(false), retry_after: None };
        let copied = connected(world, FaultScript::new().nth("/v1/prices", refused, once)).await;
        let report = copied.engine.run(&CancellationToken::new()).await.unwrap();
        assert_eq!(report.failed().map(|(table, _)| table).collect::<Vec<_>>(), ["prices"]);
        assert_eq!(copied.table("price").len(), 1);
        copied.cycle().await;
        assert_eq!(copied.table("price").len(), 2, "request {refused} was refused");
    }
}
