//! What changes after the first copy, in a world small enough to be changed by hand.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use stripe_api::Clock;
use stripe_sim::{
    Fault, FaultScript, Sim, SimOptions,
    world::{Found, Rendered, Scan, World},
};
use sync::Engine;
use tokio_util::sync::CancellationToken;
use warehouse::Memory;

const BEGAN: i64 = 1_780_000_000;

#[derive(Default)]
struct Small {
    objects: Mutex<BTreeMap<String, Vec<Value>>>,
    deleted: Mutex<BTreeSet<String>>,
}

impl Small {
    /// Adds or replaces an object.
    fn put(&self, object: Value) {
        let kind = object["object"].as_str().unwrap().to_owned();
        let mut objects = self.objects.lock().unwrap();
        let kind = objects.entry(kind).or_default();
        kind.retain(|other| other["id"] != object["id"]);
        kind.push(object);
        kind.sort_by_key(|object| std::cmp::Reverse(object["created"].as_i64()));
    }

    fn delete(&self, kind: &str, id: &str) {
        self.objects.lock().unwrap().get_mut(kind).unwrap().retain(|object| object["id"] != id);
        self.deleted.lock().unwrap().insert(id.to_owned());
    }

    /// An event that shows `object` as a stale payload would.
    fn event(&self, number: i64, created: i64, name: &str, object: &Value) {
        let data = json!({ "object": { "id": object["id"], "object": object["object"], "name": "stale" } });
        self.put(json!({
            "id": format!("evt_{number}"), "object": "event", "created": created, "type": name, "data": data,
            "api_version": "2020-08-27",
        }));
    }
}

impl World for Small {
    fn now(&self) -> i64 {
        BEGAN + 1_000_000
    }

    fn account(&self) -> Value {
        json!({ "id": "acct_1", "object": "account" })
    }

    fn scan(&self, scan: &Scan, take: usize) -> Option<Vec<Rendered>> {
        let objects = self.objects.lock().unwrap();
        let all = objects.get(&scan.kind).cloned().unwrap_or_default();
        let from = match &scan.after {
            Some(id) => all.iter().position(|object| object["id"] == id.as_str())? + 1,
            None => 0,
        };
        let shown = all.into_iter().skip(from).filter(|object| {
            let created = object["created"].as_i64().unwrap();
            let fits = |(name, value): &(String, String)| object[name] == value.as_str();
            scan.created_gte.is_none_or(|second| created >= second)
                && scan.created_lt.is_none_or(|second| created < second)
                && scan.filters.iter().all(fits)
                && !(scan.hide_canceled && object["status"] == "canceled")
        });
        Some(shown.take(take).map(|object| Rendered::Value(Arc::new(object))).collect())
    }

    fn get(&self, kind: &str, id: &str) -> Option<Found> {
        if self.deleted.lock().unwrap().contains(id) {
            return Some(Found::Deleted);
        }
        let objects = self.objects.lock().unwrap();
        let object = objects.get(kind)?.iter().find(|object| object["id"] == id)?;
        Some(Found::Live(Rendered::Value(Arc::new(object.clone()))))
    }

    fn kinds(&self) -> Vec<&'static str> {
        vec!["customer", "charge", "subscription", "event"]
    }

    fn advance(&self, _seconds: i64) -> Vec<String> {
        Vec::new()
    }
}

/// Every reading is a millisecond later.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
    }
}

struct Copied {
    world: Arc<Small>,
    warehouse: Arc<Memory>,
    engine: Engine<Memory>,
}

async fn copied(world: Small) -> Copied {
    let copied = connected(world, FaultScript::new()).await;
    copied.cycle().await;
    copied
}

/// Nothing is copied yet.
async fn connected(world: Small, faults: FaultScript) -> Copied {
    let world = Arc::new(world);
    let sim = Sim::new(Arc::clone(&world) as Arc<dyn World>, SimOptions::default());
    sim.set_faults(faults);
    let address = support::serve(&sim, CancellationToken::new()).await;
    let warehouse = Arc::new(Memory::new());
    let engine = support::engine(&address, &warehouse, Arc::new(Ticking(AtomicI64::new(BEGAN * 1000))), 3);
    Copied { world, warehouse, engine }
}

impl Copied {
    async fn cycle(&self) {
        let report = self.engine.run(&CancellationToken::new()).await.unwrap();
        assert_eq!(report.failed().count(), 0, "{report:?}");
    }

    /// The rows of a table by id, each with its tombstone mark.
    fn rows(&self, table: &'static catalog::Table) -> BTreeMap<String, (Value, bool)> {
        let rows = self.warehouse.rows(&support::schema(), table);
        let gone = rows.column_by_name("_deleted").unwrap();
        let gone = arrow_array::cast::AsArray::as_boolean(gone.as_ref()).clone();
        let row = |row| {
            let object = Value::Object(catalog::encode(table, &rows, row).unwrap());
            (object["id"].as_str().unwrap().to_owned(), (object, gone.value(row)))
        };
        (0..rows.num_rows()).map(row).collect()
    }

    fn table(&self, object: &str) -> BTreeMap<String, (Value, bool)> {
        self.rows(catalog::by_object(object).unwrap().table)
    }
}

fn customer(number: i64, name: &str) -> Value {
    json!({ "id": format!("cus_{number}"), "object": "customer", "created": BEGAN + number, "name": name })
}

fn subscription(status: &str, items: i64) -> Value {
    let item = |n| json!({ "id": format!("si_{n}"), "object": "subscription_item", "created": BEGAN, "subscription": "sub_1" });
    let data: Vec<Value> = (0..items).map(item).collect();
    let list = json!({ "object": "list", "data": data, "has_more": false, "url": "/v1/subscription_items" });
    json!({ "id": "sub_1", "object": "subscription", "created": BEGAN, "status": status, "items": list })
}

fn with_items(world: &Small, status: &str, items: i64) {
    let subscription = subscription(status, items);
    world.objects.lock().unwrap().remove("subscription_item");
    for item in subscription["items"]["data"].as_array().unwrap() {
        world.put(item.clone());
    }
    world.put(subscription);
}

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
async fn trap_4_and_15_late_and_repeated_events_end_with_the_present_state() {
    let world = Small::default();
    let first = customer(0, "first");
    world.put(first.clone());
    world.put(customer(500_000, "newest"));
    world.event(1, BEGAN + 900_000, "customer.created", &first);
    let copied = copied(world).await;
    let last = customer(0, "last");
    copied.world.put(last.clone());
    // Older than the newest event seen, but visible only now.
    copied.world.event(2, BEGAN + 899_990, "customer.updated", &last);
    copied.cycle().await;
    copied.cycle().await;
    assert_eq!(copied.table("customer")["cus_0"], (last, false));
    assert_eq!(copied.table("event").len(), 2);
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
    world.put(
        json!({ "id": "sub_2", "object": "subscription", "created": BEGAN + 500_000, "status": "active" }),
    );
    let copied = copied(world).await;
    let items = catalog::by_object("subscription").unwrap().children[0].table;
    assert_eq!(copied.rows(items).len(), 25);
    with_items(&copied.world, "active", 3);
    copied.world.event(1, BEGAN + 900_000, "customer.subscription.updated", &subscription("active", 0));
    copied.cycle().await;
    assert_eq!(copied.rows(items).len(), 3);
}

#[tokio::test]
async fn trap_12_a_child_list_that_stays_cut_doubles_no_child() {
    let world = Small::default();
    with_items(&world, "active", 25);
    // Newer, so that the first one is not listed again as new, which would mend what this test looks for.
    world.put(
        json!({ "id": "sub_2", "object": "subscription", "created": BEGAN + 500_000, "status": "active" }),
    );
    let faults = FaultScript::new().between("/v1/subscription_items", 1, 7, Fault::HalfBody);
    let copied = connected(world, faults).await;
    for _ in 0..3 {
        copied.engine.run(&CancellationToken::new()).await.unwrap();
    }
    let items = catalog::by_object("subscription").unwrap().children[0].table;
    assert_eq!(copied.warehouse.rows(&support::schema(), items).num_rows(), 25);
}
