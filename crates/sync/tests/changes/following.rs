//! New, changed and deleted objects, event by event.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use stripe_sim::{Fault, FaultScript};
use sync::TableState;
use tokio_util::sync::CancellationToken;

use crate::small::{
    BEGAN, Small, connected, copied, customer, subscription, with_items, with_newer_subscription,
};

#[tokio::test]
async fn trap_1_and_14_an_old_object_that_changed_is_read_again_not_taken_from_its_event() {
    let world = Small::default();
    (0..5).for_each(|number| world.put(customer(number * 100_000, "before")));
    let copied = copied(world).await;
    let changed = customer(0, "after");
    copied.world.put(changed.clone());
    copied.world.event(1, BEGAN + 900_000, "customer.updated", &changed);
    copied.cycle().await;
    assert_eq!(copied.table("customer")["cus_0"], (changed, false));
    assert_eq!(copied.table("event").len(), 1);
}

#[tokio::test]
async fn trap_1_what_is_created_during_a_walk_is_listed_after_it_though_no_event_tells() {
    let world = Small::default();
    (0..250).for_each(|number| world.put(customer(number, "there before")));
    let create = |world: &Small| world.put(customer(900_000, "above where the walk began"));
    *world.meanwhile.lock().unwrap() = Some(("customer", Box::new(create)));
    let copied = copied(world).await;
    assert_eq!(copied.table("event").len(), 0);
    let customers = copied.table("customer");
    assert_eq!((customers.len(), customers.contains_key("cus_900000")), (251, true));
}

#[tokio::test]
async fn trap_4_and_15_late_and_repeated_events_end_with_the_present_state() {
    let world = Small::default();
    let first = customer(0, "first");
    world.put(first.clone());
    world.put(customer(500_000, "newest"));
    world.event(1, BEGAN + 900_000, "customer.created", &first);
    let copied = copied(world).await;
    let last = customer(0, "last");
    copied.world.put(last.clone());
    // 100 seconds older than the newest event seen, but visible only now.
    copied.world.event(2, BEGAN + 899_900, "customer.updated", &last);
    copied.cycle().await;
    copied.cycle().await;
    assert_eq!(copied.table("customer")["cus_0"], (last, false));
    assert_eq!(copied.table("event").len(), 2);
}

#[tokio::test]
async fn trap_4_an_object_that_becomes_visible_late_is_listed_though_no_event_tells() {
    let world = Small::default();
    world.put(customer(500_000, "newest"));
    let copied = copied(world).await;
    copied.world.put(customer(499_900, "late"));
    copied.cycle().await;
    assert_eq!(copied.table("customer").into_keys().collect::<Vec<_>>(), ["cus_499900", "cus_500000"]);
}

#[tokio::test]
async fn trap_10_canceled_subscriptions_are_copied() {
    let world = Small::default();
    with_items(&world, "canceled", 1);
    let copied = copied(world).await;
    assert_eq!(copied.table("subscription").len(), 1);
}

#[tokio::test]
async fn trap_11_deleted_customers_keep_their_row_and_named_ones_get_one() {
    let world = Small::default();
    let ours = customer(0, "ours");
    world.put(ours.clone());
    world.put(customer(500_000, "newest"));
    world.put(json!({ "id": "ch_1", "object": "charge", "created": BEGAN, "customer": "cus_long_gone" }));
    world.deleted.lock().unwrap().insert("cus_long_gone".to_owned());
    let copied = copied(world).await;
    assert!(
        copied.table("customer")["cus_long_gone"].1,
        "a customer that only a charge names is a tombstone"
    );
    copied.world.delete("customer", "cus_0");
    copied.world.event(1, BEGAN + 900_000, "customer.deleted", &ours);
    copied.cycle().await;
    assert_eq!(copied.table("customer")["cus_0"], (ours, true));
}

#[tokio::test]
async fn trap_12_long_child_lists_are_whole_and_removed_children_go() {
    let world = Small::default();
    with_items(&world, "active", 25);
    with_newer_subscription(&world);
    let copied = copied(world).await;
    assert_eq!(copied.items().len(), 25);
    with_items(&copied.world, "active", 3);
    copied.world.event(1, BEGAN + 900_000, "customer.subscription.updated", &subscription("active", 0));
    copied.cycle().await;
    assert_eq!(copied.items().len(), 3);
}

#[tokio::test]
async fn trap_12_a_child_list_that_stays_cut_doubles_no_child() {
    let world = Small::default();
    with_items(&world, "active", 25);
    with_newer_subscription(&world);
    let faults = FaultScript::new().between("/v1/subscription_items", 1, 7, Fault::HalfBody);
    let copied = connected(world, faults).await;
    for _ in 0..3 {
        copied.engine.run(&CancellationToken::new()).await.unwrap();
    }
    assert_eq!(copied.items_stored(), 25);
}

#[tokio::test]
async fn trap_13_what_stripe_does_not_let_a_key_expand_is_said_until_it_does_and_then_all_is_read_again() {
    let world = Small::default();
    (0..3).for_each(|number| world.put(customer(number * 100_000, "before")));
    let copied = copied(world).await;
    let turn = async || {
        let report = copied.engine.run(&CancellationToken::new()).await.unwrap();
        let customers = report.tables.into_iter().find(|table| table.table == "customers").unwrap();
        (customers.trouble.map(|trouble| trouble.sentence()), customers.outcome.unwrap())
    };
    // What is refused is the expansion: without it the list is shown.
    copied.sim.set_faults(FaultScript::new().nth("/v1/customers", 1, Fault::status(403)));
    let said = turn().await.0.unwrap();
    let words = "Stripe does not let this key expand sources, tax_ids: the sources, tax_ids of customers are not copied";
    assert!(said.starts_with(words), "{said}");
    let missing = sync::missing_parts(&copied.stored().await).unwrap();
    assert_eq!(missing["customers"], said, "whoever shows the table can say it too");
    copied.sim.set_faults(FaultScript::new());
    let (said, state) = turn().await;
    assert_eq!(said, None);
    assert!(sync::missing_parts(&copied.stored().await).unwrap().is_empty());
    let walked = |state| {
        let TableState::Live { walks, .. } = state else { panic!("{state:?}") };
        walks.whole_micros
    };
    let before = walked(state);
    copied.world.age.fetch_add(10, Ordering::Relaxed);
    assert!(walked(turn().await.1) > before, "nothing else tells which rows lack something");
}

/// Stripe's answer about an account of API v2, of which an event tells once it was renamed.
fn renamed(asked: &str, is_renamed: bool) -> Option<Value> {
    let page = |data: &[&Value]| json!({ "data": data, "next_page_url": null, "previous_page_url": null });
    let name = if is_renamed { "after" } else { "before" };
    let account = json!({
        "id": "acct_1", "object": "v2.core.account", "created": "2026-05-28T20:26:40.000Z", "display_name": name,
    });
    let event = |id: &str, day: i64, about: Value| {
        let created = format!("2026-06-{day:02}T00:00:00.000Z");
        json!({ "id": id, "object": "v2.core.event", "created": created, "type": "a", "related_object": about })
    };
    let url = "/v2/core/accounts/acct_1";
    let first = event("evt_1", 1, Value::Null);
    let second = event("evt_2", 2, json!({ "id": "acct_1", "type": "v2.core.account", "url": url }));
    match asked.split('?').next()? {
        "/v2/core/accounts" if asked.contains("closed=true") => Some(page(&[])),
        "/v2/core/accounts" => Some(page(&[&account])),
        "/v2/core/accounts/acct_1/persons" => Some(page(&[])),
        "/v2/core/events" if is_renamed => Some(page(&[&second, &first])),
        "/v2/core/events" => Some(page(&[&first])),
        path => (path == url).then_some(account),
    }
}

#[tokio::test]
async fn trap_18_what_a_thin_event_in_the_feed_names_is_read_again_though_its_list_is_not() {
    let mut copied = connected(Small::default(), FaultScript::new()).await;
    let (is_renamed, asked) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<String>>>::default());
    let (renaming, asking) = (Arc::clone(&is_renamed), Arc::clone(&asked));
    copied.answered(move |path| {
        asking.lock().unwrap().push(path.split('?').next()?.to_owned());
        renamed(path, renaming.load(Ordering::Relaxed))
    });
    copied.cycle().await;
    assert_eq!(copied.table("v2.core.account")["acct_1"].0["display_name"], "before");
    is_renamed.store(true, Ordering::Relaxed);
    asked.lock().unwrap().clear();
    copied.cycle().await;
    assert_eq!(copied.table("v2.core.account")["acct_1"].0["display_name"], "after");
    let asked = asked.lock().unwrap();
    let times = |path: &str| asked.iter().filter(|other| *other == path).count();
    assert_eq!((times("/v2/core/accounts"), times("/v2/core/accounts/acct_1")), (0, 1));
}
