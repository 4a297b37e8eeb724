//! What the feed does not say, or says too late, too often or all at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use stripe_api::RetryPolicy;
use stripe_sim::{Fault, FaultScript};
use sync::{Options, SyncError};
use tokio_util::sync::CancellationToken;

use crate::{
    small::{
        BEGAN, Copied, Small, Ticking, connected, copied, customer, subscription, with_items,
        with_newer_subscription,
    },
    support,
};

const DAY: i64 = 86_400;

/// The first customer changed, the second is gone, the third stays; no event tells.
async fn changed_in_silence() -> Copied {
    let world = Small::default();
    (0..3).for_each(|number| world.put(customer(number * 100_000, "before")));
    world.event(1, BEGAN + 900_000, "customer.created", &customer(0, "before"));
    let mut copied = copied(world).await;
    copied.engine.options.reread.told_every = Duration::MAX;
    copied.world.put(customer(0, "after"));
    copied.world.delete("customer", "cus_100000");
    copied
}

#[tokio::test]
async fn trap_14_a_gap_of_more_than_30_days_is_closed_by_comparing_everything() {
    let copied = changed_in_silence().await;
    copied.world.age.fetch_add(28 * DAY, Ordering::Relaxed);
    copied.cycle().await;
    assert_eq!(copied.table("customer")["cus_0"].0["name"], "before", "without a gap nothing is compared");
    // 28 days later again, and nobody looked in between: twice 28 days are no gap.
    copied.world.age.fetch_add(28 * DAY, Ordering::Relaxed);
    copied.cycle().await;
    assert_eq!(copied.table("customer")["cus_0"].0["name"], "before");
    copied.world.age.fetch_add(31 * DAY, Ordering::Relaxed);
    copied.cycle().await;
    let customers = copied.table("customer");
    assert_eq!(customers["cus_0"], (customer(0, "after"), false));
    assert_eq!(customers["cus_100000"], (customer(100_000, "before"), true));
    assert_eq!(customers["cus_200000"], (customer(200_000, "before"), false));
    let asked = |copied: &Copied| copied.sim.stats().by_path["/v1/customers/{id}"];
    let requests = asked(&copied);
    copied.cycle().await;
    assert_eq!(asked(&copied), requests, "compared once, not for ever");
}

#[tokio::test]
async fn trap_14_after_a_gap_the_events_that_stripe_still_keeps_are_stored() {
    let copied = changed_in_silence().await;
    for (number, days) in [(2, 20), (3, 25)] {
        copied.world.event(number, BEGAN + 900_000 + days * DAY, "customer.updated", &customer(0, "after"));
    }
    copied.world.age.fetch_add(31 * DAY, Ordering::Relaxed);
    copied.cycle().await;
    let events: Vec<String> = copied.table("event").into_keys().collect();
    assert_eq!(events, ["evt_1", "evt_2", "evt_3"], "also those long before the newest");
}

#[tokio::test]
async fn trap_14_and_23_a_feed_that_was_refused_from_the_beginning_has_a_gap_too() {
    let world = Small::default();
    (0..3).for_each(|number| world.put(customer(number * 100_000, "before")));
    world.event(1, BEGAN + 900_000, "customer.created", &customer(200_000, "before"));
    let copied = connected(world, FaultScript::new().always("/v1/events", Fault::status(403))).await;
    copied.cycle().await;
    copied.world.put(customer(0, "after"));
    copied.sim.set_faults(FaultScript::new());
    copied.world.age.fetch_add(32 * DAY, Ordering::Relaxed);
    copied.clock.0.fetch_add(32 * DAY * 1000, Ordering::Relaxed);
    copied.cycle().await;
    assert_eq!(copied.table("customer")["cus_0"].0["name"], "after", "nobody knows which events are gone");
}

#[tokio::test]
async fn trap_12_a_comparison_takes_away_children_that_are_gone() {
    let world = Small::default();
    with_items(&world, "active", 3);
    with_newer_subscription(&world);
    world.event(1, BEGAN + 900_000, "customer.subscription.created", &subscription("active", 3));
    let copied = copied(world).await;
    with_items(&copied.world, "active", 1);
    copied.world.age.fetch_add(31 * DAY, Ordering::Relaxed);
    copied.cycle().await;
    assert_eq!(copied.items().len(), 1);
}

#[tokio::test]
async fn trap_14_a_comparison_that_is_stopped_goes_on() {
    let copied = changed_in_silence().await;
    copied.world.age.fetch_add(31 * DAY, Ordering::Relaxed);
    copied.sim.set_faults(FaultScript::new().always("/v1/customers", Fault::status(400)));
    copied.engine.run(&CancellationToken::new()).await.unwrap();
    copied.sim.set_faults(FaultScript::new());
    copied.cycle().await;
    assert_eq!(copied.table("customer")["cus_0"].0["name"], "after");
    assert!(copied.table("customer")["cus_100000"].1);
}

#[tokio::test]
async fn a_clock_that_was_ahead_loses_no_change() {
    let world = Small::default();
    world.put(customer(0, "before"));
    world.put(customer(500_000, "newest"));
    let ahead = copied(world).await;
    ahead.world.put(customer(0, "after"));
    ahead.world.event(1, BEGAN + 900_000, "customer.updated", &customer(0, "after"));
    let day_before = Arc::new(Ticking(AtomicI64::new((BEGAN - DAY) * 1000)));
    let behind = support::engine(&ahead.address, &ahead.warehouse, day_before, 3);
    behind.run(&CancellationToken::new()).await.unwrap();
    assert_eq!(ahead.table("customer")["cus_0"].0["name"], "after");
}

#[tokio::test]
async fn trap_19_what_changes_during_the_first_copy_is_applied_after_it() {
    let world = Small::default();
    (0..3).for_each(|number| world.put(customer(number * 100_000, "before")));
    world.event(1, BEGAN + 800_000, "customer.created", &customer(0, "before"));
    let change = |world: &Small| {
        world.put(customer(0, "after"));
        world.event(2, BEGAN + 900_000, "customer.updated", &customer(0, "after"));
        // So much newer that a cursor that is taken only now is past the other one.
        world.event(3, BEGAN + 900_500, "customer.updated", &customer(200_000, "before"));
    };
    *world.meanwhile.lock().unwrap() = Some(("customer", Box::new(change)));
    let copied = copied(world).await;
    assert_eq!(copied.table("customer")["cus_0"].0["name"], "after");
    assert_eq!(copied.table("event").len(), 3);
}

/// Every customer changed, each several times; pages of events are more than are read at once.
async fn after_a_long_feed(event_pages: usize) -> (Copied, u64) {
    let world = Small::default();
    (0..60).for_each(|number| world.put(customer(number * 1_000, "before")));
    let mut copied = copied(world).await;
    copied.engine.options = Options { event_pages, ..copied.engine.options };
    for number in 0..60 {
        copied.world.put(customer(number * 1_000, "after"));
    }
    for event in 0..900 {
        let changed = customer((event % 60) * 1_000, "after");
        copied.world.event(event, BEGAN + 100_000 + event * 500, "customer.updated", &changed);
    }
    let before = copied.sim.stats().by_path.get("/v1/customers/{id}").copied().unwrap_or(0);
    copied.cycle().await;
    let read = copied.sim.stats().by_path["/v1/customers/{id}"] - before;
    (copied, read)
}

#[tokio::test]
async fn trap_30_a_feed_too_long_to_be_held_is_worked_off_and_each_object_read_once() {
    for event_pages in [1, 2, 50] {
        let (copied, read) = after_a_long_feed(event_pages).await;
        assert_eq!(copied.table("event").len(), 900, "{event_pages} pages at once");
        let stale = copied.table("customer").values().filter(|(row, _)| row["name"] != "after").count();
        assert_eq!(stale, 0);
        assert!(read <= 60, "{read} reads of 60 customers, {event_pages} pages at once");
    }
}

#[tokio::test]
async fn trap_30_a_feed_is_worked_off_in_longer_stretches_where_less_happened() {
    let world = Small::default();
    world.put(customer(0, "before"));
    let mut copied = copied(world).await;
    copied.engine.options = Options { event_pages: 1, ..copied.engine.options };
    // Too many for one page within a second, then hours without any.
    for event in 0..150 {
        copied.world.event(event, BEGAN + 100_000, "customer.updated", &customer(0, "before"));
    }
    copied.world.event(150, BEGAN + 110_000, "customer.updated", &customer(0, "before"));
    copied.cycle().await;
    assert_eq!(copied.table("event").len(), 151);
    let asked = copied.sim.stats().by_path["/v1/events"];
    assert!(asked < 200, "{asked} requests");
}

#[tokio::test]
async fn trap_30_a_cycle_whose_warehouse_fails_at_any_transaction_leaves_every_change_to_the_next() {
    for refused in 1.. {
        let world = Small::default();
        (0..3).for_each(|number| world.put(customer(number * 100_000, "before")));
        let copied = copied(world).await;
        copied.world.put(customer(0, "after"));
        copied.world.event(1, BEGAN + 900_000, "customer.updated", &customer(0, "after"));
        // So much newer that a cursor that is ahead of the rows is past the other one.
        copied.world.event(2, BEGAN + 900_500, "customer.updated", &customer(100_000, "before"));
        let engine = copied.counting(Some(refused));
        let failed = engine.run(&CancellationToken::new()).await.is_err();
        copied.cycle().await;
        assert_eq!(copied.table("customer")["cus_0"].0["name"], "after", "transaction {refused} failed");
        assert_eq!(copied.table("event").len(), 2, "transaction {refused} failed");
        if !failed {
            assert!(refused > 3, "what the events name, and then the events, are stored");
            break;
        }
    }
}

#[tokio::test]
async fn a_dispute_changes_its_charge_too() {
    let world = Small::default();
    let charge =
        |disputed| json!({ "id": "ch_1", "object": "charge", "created": BEGAN, "disputed": disputed });
    world.put(charge(false));
    world.put(json!({ "id": "ch_2", "object": "charge", "created": BEGAN + 500_000 }));
    let copied = copied(world).await;
    copied.world.put(charge(true));
    copied.world.put(json!({
        "id": "evt_1", "object": "event", "created": BEGAN + 900_000, "type": "charge.dispute.created",
        "data": { "object": { "id": "dp_1", "object": "dispute", "charge": "ch_1" } },
    }));
    copied.cycle().await;
    assert_eq!(copied.table("charge")["ch_1"].0["disputed"], true);
}

#[tokio::test]
async fn trap_11_and_12_children_go_with_their_parent_and_stay_when_it_does_not_show_them() {
    let world = Small::default();
    with_items(&world, "active", 2);
    with_newer_subscription(&world);
    let copied = copied(world).await;
    let mut without = subscription("active", 0);
    without.as_object_mut().unwrap().remove("items");
    copied.world.put(without.clone());
    copied.world.event(1, BEGAN + 900_000, "customer.subscription.updated", &without);
    copied.cycle().await;
    let live = |copied: &Copied| copied.items().values().filter(|(_, gone)| !gone).count();
    assert_eq!(live(&copied), 2, "a list that is not shown says nothing");
    copied.world.objects.lock().unwrap().get_mut("subscription").unwrap().retain(|sub| sub["id"] != "sub_1");
    copied.world.event(2, BEGAN + 900_001, "customer.subscription.updated", &without);
    copied.cycle().await;
    assert!(copied.table("subscription")["sub_1"].1);
    assert_eq!((live(&copied), copied.items().len()), (0, 2), "kept, and marked");
}

#[tokio::test]
async fn trap_5_children_without_a_second_of_their_own_are_copied_whole() {
    let world = Small::default();
    let mut subscription = subscription("active", 230);
    for item in subscription["items"]["data"].as_array_mut().unwrap() {
        item.as_object_mut().unwrap().remove("created");
    }
    world.put(subscription);
    let copied = copied(world).await;
    assert_eq!(copied.items().len(), 230);
}

#[tokio::test]
async fn a_refused_key_ends_the_cycle_rather_than_each_table() {
    let world = Small::default();
    world.put(customer(0, "ours"));
    let copied = connected(world, FaultScript::new().always("/v1/customers", Fault::status(401))).await;
    let error = copied.engine.run(&CancellationToken::new()).await.unwrap_err();
    assert!(error.is_unauthorized(), "{error:?}");
}

#[tokio::test]
async fn a_stop_is_heard_within_the_pause_before_a_retry() {
    let mut copied = connected(Small::default(), FaultScript::new()).await;
    copied.sim.set_faults(FaultScript::new().always("/v1/", Fault::status(500)));
    let hour = Duration::from_secs(3_600);
    copied.engine.stripe = support::stripe(
        &copied.address,
        Arc::new(Ticking(AtomicI64::new(BEGAN * 1000))),
        RetryPolicy { attempts: 3, base: hour, longest: hour },
    );
    let stop = CancellationToken::new();
    let refused = async {
        while copied.sim.stats().faults == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    // A stop that is not heard is waited for as long as the pause is, an hour.
    let (ended, ()) = tokio::join!(copied.engine.run(&stop), refused);
    assert!(matches!(ended, Err(SyncError::Stopped)), "{ended:?}");
}

#[tokio::test]
async fn trap_14_an_object_that_cannot_be_read_holds_up_no_other_and_is_owed() {
    for status in [403, 500] {
        let world = Small::default();
        (0..3).for_each(|number| world.put(customer(number * 100_000, "before")));
        world.event(1, BEGAN + 900_000, "customer.created", &customer(200_000, "before"));
        let copied = copied(world).await;
        for number in 0..3 {
            copied.world.put(customer(number * 100_000, "after"));
            let event = BEGAN + 900_001 + number;
            copied.world.event(2 + number, event, "customer.updated", &customer(number * 100_000, "after"));
        }
        let refused = FaultScript::new().always("/v1/customers/cus_0", Fault::status(status));
        copied.sim.set_faults(refused);
        let report = copied.engine.run(&CancellationToken::new()).await.unwrap();
        let said: Vec<_> = report.failed().map(|(table, error)| (table, error.is_withheld())).collect();
        assert!(said.contains(&("customers", status == 403)), "{said:?}");
        let names = |copied: &Copied| -> Vec<String> {
            let rows = copied.table("customer").into_values();
            rows.map(|(row, _)| row["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&copied), ["before", "after", "after"], "{status}");
        assert_eq!(copied.table("event").len(), 4, "the cursor goes on");
        copied.sim.set_faults(FaultScript::new());
        copied.cycle().await;
        assert_eq!(names(&copied), ["after"; 3], "{status}");
    }
}
