//! What Stripe pushes, before or without a poll.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};
use stripe_sim::{Fault, FaultScript};
use sync::{Pass, Pushed, PushedEvent};
use tokio_util::sync::CancellationToken;

use crate::{
    small::{
        BEGAN, Copied, Small, connected, copied, customer, subscription, with_items, with_newer_subscription,
    },
    support,
};

/// An event as it is pushed: its payload is old and in another version.
fn told(number: i64, name: &str, object: &Value) -> PushedEvent {
    let data = json!({ "object": { "id": object["id"], "object": object["object"], "name": "stale" } });
    let event = json!({
        "id": format!("evt_{number}"), "object": "event", "created": BEGAN + 900_000 + number, "type": name,
        "data": data, "api_version": "2020-08-27", "livemode": false, "pending_webhooks": 1,
    });
    raw(&format!("evt_{number}"), &event.to_string())
}

fn raw(id: &str, body: &str) -> PushedEvent {
    PushedEvent { id: id.to_owned(), body: body.as_bytes().to_vec(), looked_at_micros: None }
}

fn waits(pass: &Pass, id: &str) -> (String, i64) {
    match &pass.events[id] {
        Pushed::Waits { awaited, looked_at_micros } => (awaited.to_string(), *looked_at_micros),
        other @ (Pushed::Applied | Pushed::Odd { .. }) => panic!("{id}: {other:?}"),
    }
}

impl Copied {
    async fn push(&self, events: Vec<PushedEvent>) -> Pass {
        self.engine.apply_pushed(events, &CancellationToken::new()).await.unwrap()
    }

    /// Pushes events that are all applied.
    async fn pushed(&self, events: Vec<PushedEvent>) {
        let pass = self.push(events).await;
        assert!(pass.events.values().all(|what| *what == Pushed::Applied), "{pass:?}");
    }

    fn asked(&self, path: &str) -> u64 {
        self.sim.stats().by_path.get(path).copied().unwrap_or(0)
    }
}

/// A copy of three old customers.
async fn of_three() -> Copied {
    let world = Small::default();
    (0..3).for_each(|number| world.put(customer(number * 100_000, "before")));
    copied(world).await
}

#[tokio::test]
async fn trap_14_what_is_pushed_is_read_again_not_taken_from_its_payload() {
    let copied = of_three().await;
    copied.world.put(customer(0, "after"));
    copied.pushed(vec![told(1, "customer.updated", &customer(0, ""))]).await;
    assert_eq!(copied.table("customer")["cus_0"], (customer(0, "after"), false));
    let event = &copied.table("event")["evt_1"].0;
    assert_eq!((&event["api_version"], &event["type"]), (&json!("2020-08-27"), &json!("customer.updated")));
}

#[tokio::test]
async fn what_was_pushed_is_passed_over_by_the_feed() {
    let copied = of_three().await;
    let changed = customer(0, "after");
    copied.world.put(changed.clone());
    copied.pushed(vec![told(1, "customer.updated", &changed)]).await;
    copied.world.event(1, BEGAN + 900_001, "customer.updated", &changed);
    let asked = copied.asked("/v1/customers/{id}");
    copied.cycle().await;
    assert_eq!(copied.asked("/v1/customers/{id}"), asked);
    assert_eq!(copied.table("event").len(), 1);
}

#[tokio::test]
async fn trap_15_repeated_and_reordered_events_end_with_the_present_state_and_cost_one_read() {
    let copied = of_three().await;
    copied.world.put(customer(0, "last"));
    let event = |number| told(number, "customer.updated", &customer(0, ""));
    let before = copied.asked("/v1/customers/{id}");
    copied.pushed(vec![event(9), event(2), event(9), event(5)]).await;
    assert_eq!(copied.asked("/v1/customers/{id}"), before + 1);
    copied.pushed(vec![event(2)]).await;
    assert_eq!(copied.table("customer")["cus_0"], (customer(0, "last"), false));
    assert_eq!(copied.table("event").len(), 3);
}

#[tokio::test]
async fn trap_11_and_12_new_objects_deletions_and_sets_of_children_come_by_push() {
    let world = Small::default();
    world.put(customer(0, "gone soon"));
    with_items(&world, "active", 3);
    with_newer_subscription(&world);
    let copied = copied(world).await;
    copied.world.delete("customer", "cus_0");
    copied.world.put(customer(7, "new"));
    with_items(&copied.world, "active", 12);
    copied
        .pushed(vec![
            told(1, "customer.deleted", &customer(0, "")),
            told(2, "customer.created", &customer(7, "")),
            told(3, "customer.subscription.updated", &subscription("active", 0)),
        ])
        .await;
    let customers = copied.table("customer");
    assert_eq!(customers["cus_0"], (customer(0, "gone soon"), true));
    assert_eq!(customers["cus_7"], (customer(7, "new"), false));
    assert_eq!(copied.items().len(), 12);
}

#[tokio::test]
async fn trap_30_an_event_is_stored_only_once_what_it_names_is_and_holds_up_no_other() {
    let copied = of_three().await;
    for number in [0, 100_000] {
        copied.world.put(customer(number, "after"));
    }
    copied.sim.set_faults(FaultScript::new().always("/v1/customers/cus_100000", Fault::status(500)));
    let events = || {
        vec![
            told(1, "customer.updated", &customer(100_000, "")),
            told(2, "customer.updated", &customer(0, "")),
        ]
    };
    let pass = copied.push(events()).await;
    assert_eq!(pass.events["evt_2"], Pushed::Applied);
    let (why, looked_at_micros) = waits(&pass, "evt_1");
    assert!(why.contains("/v1/customers/cus_100000"), "{why}");
    assert_eq!(copied.table("customer")["cus_0"].0["name"], "after");
    assert_eq!(copied.table("event").into_keys().collect::<Vec<_>>(), ["evt_2"]);
    copied.sim.set_faults(FaultScript::new());
    let again = PushedEvent { looked_at_micros: Some(looked_at_micros), ..events().remove(0) };
    copied.pushed(vec![again]).await;
    assert_eq!(copied.table("customer")["cus_100000"].0["name"], "after");
    assert_eq!(copied.table("event").len(), 2);
}

#[tokio::test]
async fn one_object_that_cannot_be_understood_holds_up_no_other() {
    let copied = of_three().await;
    copied.world.put(customer(0, "after"));
    copied.world.put(json!({ "id": "cus_100000", "object": "customer", "created": BEGAN, "name": "odd" }));
    copied.sim.set_faults(FaultScript::new().always("/v1/customers/cus_100000", Fault::HalfBody));
    let events = [100_000, 0].map(|number| told(number, "customer.updated", &customer(number, "")));
    let pass = copied.push(events.to_vec()).await;
    assert_eq!(pass.events["evt_0"], Pushed::Applied);
    assert_eq!(copied.table("customer")["cus_0"].0["name"], "after");
    waits(&pass, "evt_100000");
}

/// A subscription of twelve items, of which its own list shows ten.
fn long_subscription(world: &Small, id: &str) -> Value {
    let item = |n: i64| json!({ "id": format!("si_{id}_{n}"), "object": "subscription_item", "created": BEGAN, "subscription": id });
    let data: Vec<Value> = (0..12).map(item).collect();
    data.iter().for_each(|item| world.put(item.clone()));
    let list = json!({ "object": "list", "data": data, "has_more": false, "url": "/v1/subscription_items" });
    let subscription =
        json!({ "id": id, "object": "subscription", "created": BEGAN, "status": "active", "items": list });
    world.put(subscription.clone());
    subscription
}

#[tokio::test]
async fn trap_12_an_object_whose_nested_list_cannot_be_read_is_owed_and_no_other_is_read_twice() {
    let world = Small::default();
    with_newer_subscription(&world);
    let copied = copied(world).await;
    let ids = ["sub_a", "sub_b", "sub_c"];
    let events: Vec<_> = (1..)
        .zip(ids)
        .map(|(n, id)| told(n, "customer.subscription.updated", &long_subscription(&copied.world, id)))
        .collect();
    // The rest of one list comes; the second is asked for three times in vain; then the third one's.
    let list = "/v1/subscription_items";
    copied.sim.set_faults(FaultScript::new().between(list, 2, 4, Fault::status(500)));
    let pass = copied.push(events).await;
    let applied = pass.events.values().filter(|what| **what == Pushed::Applied).count();
    assert_eq!((applied, copied.asked(list)), (2, 5), "{pass:?}");
    let stored = copied.table("subscription");
    assert_eq!((stored.len(), copied.items().len()), (3, 24), "nothing of the half is stored: {stored:?}");
    assert_eq!(copied.table("event").len(), 2);
}

#[tokio::test]
async fn a_pass_waits_for_the_disk_once_however_many_objects_of_however_many_tables_it_brings() {
    let copied = of_three().await;
    let engine = copied.counting(None);
    let charge = json!({ "id": "ch_1", "object": "charge", "created": BEGAN });
    copied.world.put(charge.clone());
    copied.world.delete("customer", "cus_0");
    let updated = (1..200).map(|number| {
        copied.world.put(customer(number, "after"));
        told(number, "customer.updated", &customer(number, ""))
    });
    let mut events: Vec<_> = updated.collect();
    events.push(told(300, "customer.deleted", &customer(0, "")));
    events.push(told(301, "charge.updated", &charge));
    let pass = engine.apply_pushed(events, &CancellationToken::new()).await.unwrap();
    assert!(pass.events.values().all(|what| *what == Pushed::Applied), "{pass:?}");
    assert_eq!(engine.warehouse.transactions.load(Ordering::Relaxed), 1);
    for (object, rows) in [("customer", 202), ("charge", 1), ("event", 201)] {
        let table = catalog::by_object(object).unwrap().table;
        assert_eq!(copied.warehouse.rows(&support::schema(), table).num_rows(), rows, "{object}");
    }
}

#[tokio::test]
async fn trap_19_an_event_of_a_table_that_is_not_copied_yet_waits_for_it() {
    let world = Small::default();
    (0..3).for_each(|number| world.put(customer(number * 100_000, "first")));
    let faults = FaultScript::new().always("/v1/customers", Fault::status(500));
    let copied = connected(world, faults).await;
    copied.engine.prepare().await.unwrap();
    let event = || told(1, "customer.updated", &customer(0, ""));
    let (why, _) = waits(&copied.push(vec![event()]).await, "evt_1");
    assert_eq!(why, "the first copy of customers is not complete");
    copied.engine.run(&CancellationToken::new()).await.unwrap();
    let (_, looked_at_micros) = waits(&copied.push(vec![event()]).await, "evt_1");
    assert_eq!(copied.asked("/v1/customers/{id}"), 0);
    assert_eq!(copied.table("event").len(), 0);
    copied.sim.set_faults(FaultScript::new());
    copied.cycle().await;
    copied.pushed(vec![PushedEvent { looked_at_micros: Some(looked_at_micros), ..event() }]).await;
    assert_eq!(copied.asked("/v1/customers/{id}"), 0, "the copy has read it since");
    assert_eq!(copied.table("event").len(), 1);
}

#[tokio::test]
async fn without_read_access_to_events_nothing_that_is_pushed_is_lost_or_doubled_later() {
    let world = Small::default();
    (0..3).for_each(|number| world.put(customer(number * 100_000, "before")));
    let newest = 1_000;
    for number in 1..=newest {
        world.event(number, BEGAN + 900_000 + number, "customer.updated", &customer(0, ""));
    }
    let mut copied = connected(world, FaultScript::new().always("/v1/events", Fault::status(403))).await;
    copied.cycle().await;
    copied.world.put(customer(0, "after"));
    copied.pushed(vec![told(newest, "customer.updated", &customer(0, ""))]).await;
    assert_eq!(copied.table("customer")["cus_0"].0["name"], "after");
    assert_eq!(copied.table("event").len(), 1);
    // The permission is given: the first copy of events meets what was pushed.
    copied.sim.set_faults(FaultScript::new());
    copied.engine.options.rows = 1;
    copied.cycle().await;
    let events = catalog::by_object("event").unwrap().table;
    assert_eq!(copied.warehouse.rows(&support::schema(), events).num_rows(), 1_000, "and each of them once");
    assert_eq!(copied.table("event").len(), 1_000);
}

/// An event that was pushed is listed too, by a first copy that stops in the middle; when it goes on, Stripe has dropped the event
/// and there is a gap.
#[tokio::test]
async fn an_event_that_a_first_copy_left_doubled_is_there_once_after_a_gap() {
    let world = Small::default();
    let nameless = json!({ "object": "balance" });
    (1..=250)
        .for_each(|number| world.event(number, BEGAN + 900_000 + number, "balance.available", &nameless));
    let mut copied = connected(world, FaultScript::new()).await;
    copied.engine.prepare().await.unwrap();
    copied.pushed(vec![told(250, "balance.available", &nameless)]).await;
    let stop = CancellationToken::new();
    let on_the_way = stop.clone();
    copied.treat(move |asked, answer| {
        if asked.starts_with("/v1/events?") && asked.contains("created%5Blt%5D") {
            on_the_way.cancel();
        }
        answer
    });
    assert!(copied.engine.run(&stop).await.is_err(), "it did not stop");
    let events = catalog::by_object("event").unwrap().table;
    let stored = |copied: &Copied| copied.warehouse.rows(&support::schema(), events).num_rows();
    let before = stored(&copied);
    assert_eq!(before, copied.table("event").len() + 1, "it is not there twice");

    copied.world.age.fetch_add(31 * 86_400, Ordering::Relaxed);
    copied.world.objects.lock().unwrap().remove("event");
    copied.treat(|_, answer| answer);
    copied.cycle().await;
    assert_eq!(stored(&copied), before - 1);
}

#[tokio::test]
async fn trap_23_an_event_of_an_unavailable_table_is_left_to_the_feed() {
    let world = Small::default();
    world.put(customer(0, "before"));
    let charge = json!({ "id": "ch_1", "object": "charge", "created": BEGAN });
    world.put(charge.clone());
    let copied = connected(world, FaultScript::new().always("/v1/charges", Fault::status(403))).await;
    copied.cycle().await;
    copied.pushed(vec![told(1, "charge.updated", &charge)]).await;
    assert_eq!(copied.table("event").len(), 0, "a first copy may just have begun: the feed must see it");
    copied.world.event(1, BEGAN + 900_001, "charge.updated", &charge);
    copied.cycle().await;
    assert_eq!(copied.table("event").len(), 1);
}

#[tokio::test]
async fn trap_23_where_the_feed_is_refused_nothing_is_left_to_it() {
    let world = Small::default();
    let charge = json!({ "id": "ch_1", "object": "charge", "created": BEGAN });
    world.put(charge.clone());
    let copied = connected(world, FaultScript::new().always("/v1/charges", Fault::status(403))).await;
    copied.cycle().await;
    let refused = FaultScript::new().always("/v1/charges", Fault::status(403));
    copied.sim.set_faults(refused.always("/v1/events", Fault::status(403)));
    copied.engine.run(&CancellationToken::new()).await.unwrap();
    copied.pushed(vec![told(1, "charge.updated", &charge)]).await;
    assert_eq!(copied.table("event").len(), 1, "nobody else would store it");
}

#[tokio::test]
async fn trap_16_and_18_what_names_nothing_is_stored_and_what_is_no_event_is_told() {
    let copied = of_three().await;
    let balance = told(1, "balance.available", &json!({ "object": "balance" }));
    let thin = json!({
        "id": "evt_2", "object": "v2.core.event", "type": "v1.customer.updated", "livemode": false,
        "related_object": { "id": "cus_0", "type": "customer", "url": "/v1/customers/cus_0" },
    });
    copied.world.put(customer(0, "after"));
    let odd = [raw("evt_3", "{"), raw("evt_4", "[]"), raw("evt_5", r#"{"id":"evt_5","data":{"object":7}}"#)];
    let events = [balance, raw("evt_2", &thin.to_string())].into_iter().chain(odd).collect();
    let pass = copied.push(events).await;
    let odd = |id: &str| matches!(pass.events[id], Pushed::Odd { .. });
    assert!(["evt_3", "evt_4", "evt_5"].into_iter().all(odd), "{pass:?}");
    assert_eq!(
        copied.table("event").into_keys().collect::<Vec<_>>(),
        ["evt_1"],
        "a thin event is none of API v1's"
    );
    assert_eq!(pass.events["evt_1"], Pushed::Applied);
    assert_eq!(copied.table("customer")["cus_0"].0["name"], "after", "its state was fetched");
}

#[tokio::test]
async fn trap_27_a_refused_key_ends_the_pass_and_nothing_is_called_applied() {
    let copied = of_three().await;
    copied.sim.set_faults(FaultScript::new().always("/v1/customers", Fault::status(401)));
    let event = told(1, "customer.updated", &customer(0, ""));
    let refused = copied.engine.apply_pushed(vec![event], &CancellationToken::new()).await;
    assert!(refused.is_err_and(|error| error.is_unauthorized()));
    assert_eq!(copied.table("event").len(), 0);
}

#[tokio::test]
async fn a_pass_amid_a_first_copy_doubles_nothing() {
    let world = Small::default();
    for number in 0..250 {
        world.put(customer(number, "first"));
        world.event(number, BEGAN + 900_000 + number, "customer.created", &customer(number, ""));
    }
    let copied = connected(world, FaultScript::new()).await;
    copied.engine.prepare().await.unwrap();
    let copying = copied.cycle();
    let pushing = async {
        let mut waited = 0;
        for round in 0..12 {
            let pass =
                copied.push((0..250).map(|n| told(n, "customer.updated", &customer(n, ""))).collect()).await;
            waited += usize::from(pass.events.values().any(|what| *what != Pushed::Applied));
            tokio::time::sleep(Duration::from_millis(round)).await;
        }
        waited
    };
    let ((), waited) = tokio::join!(copying, pushing);
    assert!(waited > 0, "no pass ran amid the copy");
    for object in ["customer", "event"] {
        let table = catalog::by_object(object).unwrap().table;
        assert_eq!(copied.warehouse.rows(&support::schema(), table).num_rows(), 250, "{object}");
    }
}
