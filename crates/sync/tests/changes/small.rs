//! A world small enough to be changed by hand, and a copy of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use stripe_api::{Carried, Clock, InProcess, RetryPolicy, Stripe};
use stripe_sim::{
    FaultScript, Sim, SimOptions,
    world::{Found, Rendered, Scan, World},
};
use sync::Engine;
use tokio_util::sync::CancellationToken;
use warehouse::{Checkpoint, Memory, Warehouse as _};

use crate::support;

pub(crate) const BEGAN: i64 = 1_780_000_000;

type Meanwhile = Box<dyn FnOnce(&Small) + Send>;

#[derive(Default)]
pub(crate) struct Small {
    pub(crate) objects: Mutex<BTreeMap<String, Vec<Value>>>,
    pub(crate) deleted: Mutex<BTreeSet<String>>,
    /// Seconds since the beginning.
    pub(crate) age: AtomicI64,
    /// Happens once, right after the first page of this kind was read.
    pub(crate) meanwhile: Mutex<Option<(&'static str, Meanwhile)>>,
}

impl Small {
    /// Adds or replaces an object.
    pub(crate) fn put(&self, object: Value) {
        let kind = object["object"].as_str().unwrap().to_owned();
        let mut objects = self.objects.lock().unwrap();
        let kind = objects.entry(kind).or_default();
        kind.retain(|other| other["id"] != object["id"]);
        kind.push(object);
        kind.sort_by_key(|object| std::cmp::Reverse(object["created"].as_i64()));
    }

    pub(crate) fn delete(&self, kind: &str, id: &str) {
        self.objects.lock().unwrap().get_mut(kind).unwrap().retain(|object| object["id"] != id);
        self.deleted.lock().unwrap().insert(id.to_owned());
    }

    /// An event that shows `object` as a stale payload would.
    pub(crate) fn event(&self, number: i64, created: i64, name: &str, object: &Value) {
        let data = json!({ "object": { "id": object["id"], "object": object["object"], "name": "stale" } });
        self.put(json!({
            "id": format!("evt_{number}"), "object": "event", "created": created, "type": name, "data": data,
            "api_version": "2020-08-27",
        }));
    }
}

impl World for Small {
    fn now(&self) -> i64 {
        BEGAN + 1_000_000 + self.age.load(Ordering::Relaxed)
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
            let created = object["created"].as_i64().unwrap_or(BEGAN);
            let fits = |(name, value): &(String, String)| {
                object[name] == value.as_str()
                    || serde_json::from_str::<Value>(value).is_ok_and(|value| object[name] == value)
            };
            let hidden = object["active"] == false && !scan.filters.iter().any(|(name, _)| name == "active");
            !hidden
                && scan.created_gte.is_none_or(|second| created >= second)
                && scan.created_lt.is_none_or(|second| created < second)
                && scan.filters.iter().chain(&scan.parent).all(fits)
                && !(scan.hide_canceled && object["status"] == "canceled")
        });
        let page = shown.take(take).map(|object| Rendered::Value(Arc::new(object))).collect();
        drop(objects);
        let now = self.meanwhile.lock().unwrap().take_if(|(kind, _)| *kind == scan.kind);
        if let Some((_, change)) = now {
            change(self);
        }
        Some(page)
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
        vec![
            "customer",
            "customer_balance_transaction",
            "customer_cash_balance_transaction",
            "charge",
            "subscription",
            "event",
            "payment_intent",
            "payment_method",
            "price",
        ]
    }

    fn advance(&self, _seconds: i64) -> Vec<String> {
        Vec::new()
    }
}

/// Every reading is a millisecond later.
pub(crate) struct Ticking(pub(crate) AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
    }
}

/// What is done to a request: its path and query, and how it is answered.
type Treated = Box<dyn Fn(String, Carried) -> Carried + Send + Sync>;

/// A line to the simulator on which requests can be held.
struct Line {
    answering: Arc<stripe_sim::InProcess>,
    treated: Treated,
}

impl InProcess for Line {
    fn carry(&self, request: http::Request<()>) -> Carried {
        let asked = request.uri().path_and_query().unwrap().to_string();
        let answering = Arc::clone(&self.answering);
        (self.treated)(asked, Box::pin(async move { Ok(answering.answer(request).await?) }))
    }
}

pub(crate) struct Copied {
    pub(crate) world: Arc<Small>,
    pub(crate) sim: Sim,
    pub(crate) warehouse: Arc<Memory>,
    pub(crate) engine: Engine<Memory>,
    pub(crate) clock: Arc<Ticking>,
    pub(crate) address: String,
}

pub(crate) async fn copied(world: Small) -> Copied {
    let copied = connected(world, FaultScript::new()).await;
    copied.cycle().await;
    copied
}

/// Nothing is copied yet.
pub(crate) async fn connected(world: Small, faults: FaultScript) -> Copied {
    let world = Arc::new(world);
    let sim = Sim::new(Arc::clone(&world) as Arc<dyn World>, SimOptions::default());
    sim.set_faults(faults);
    let address = support::serve(&sim, CancellationToken::new()).await;
    let warehouse = Arc::new(Memory::new());
    let clock = Arc::new(Ticking(AtomicI64::new(BEGAN * 1000)));
    let engine = support::engine(&address, &warehouse, Arc::<Ticking>::clone(&clock), 3);
    Copied { world, sim, warehouse, engine, clock, address }
}

impl Copied {
    /// From now on every request goes through `treated` on its way, within this process.
    pub(crate) fn treat(&mut self, treated: impl Fn(String, Carried) -> Carried + Send + Sync + 'static) {
        let config = support::config("http://localhost", RetryPolicy::default());
        let line = Line { answering: Arc::new(self.sim.in_process()), treated: Box::new(treated) };
        let clock: Arc<dyn Clock> = Arc::<Ticking>::clone(&self.clock);
        self.engine.stripe = Stripe::in_process(config, clock, Box::new(line)).unwrap();
    }

    /// From now on `answers` are given instead of the simulator's, where there is one; how many were.
    pub(crate) fn answered(
        &mut self,
        answers: impl Fn(&str) -> Option<Value> + Send + Sync + 'static,
    ) -> Arc<AtomicUsize> {
        let given = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&given);
        self.treat(move |asked, answer| {
            // A walk without end ends: the simulator answers in the end.
            let own = answers(&asked).filter(|_| count.load(Ordering::Relaxed) < 100);
            let Some(body) = own else { return answer };
            count.fetch_add(1, Ordering::Relaxed);
            let body = body.to_string();
            Box::pin(async move { Ok(http::Response::builder().status(200).body(body.into()).unwrap()) })
        });
        given
    }

    pub(crate) async fn cycle(&self) {
        let report = self.engine.run(&CancellationToken::new()).await.unwrap();
        assert_eq!(report.failed().map(|(table, _)| table).collect::<Vec<_>>(), [""; 0]);
    }

    /// The checkpoints.
    pub(crate) async fn stored(&self) -> Vec<Checkpoint> {
        self.warehouse.checkpoints(&support::schema()).await.unwrap()
    }

    /// The rows of a table by id, each with its tombstone mark.
    pub(crate) fn rows(&self, table: &'static catalog::Table) -> BTreeMap<String, (Value, bool)> {
        let rows = self.warehouse.rows(&support::schema(), table);
        let gone = rows.column_by_name("_deleted").unwrap();
        let gone = arrow_array::cast::AsArray::as_boolean(gone.as_ref()).clone();
        let row = |row| {
            let object = Value::Object(catalog::encode(table, &rows, row).unwrap());
            let resource = catalog::resource(table.name);
            let object = resource.map_or(object.clone(), |resource| support::unasked(resource, object));
            (object["id"].as_str().unwrap().to_owned(), (object, gone.value(row)))
        };
        (0..rows.num_rows()).map(row).collect()
    }

    /// Subscription items by id.
    pub(crate) fn items(&self) -> BTreeMap<String, (Value, bool)> {
        self.rows(items())
    }

    /// Rows of subscription items, those that are there twice too.
    pub(crate) fn items_stored(&self) -> usize {
        self.warehouse.rows(&support::schema(), items()).num_rows()
    }

    pub(crate) fn table(&self, object: &str) -> BTreeMap<String, (Value, bool)> {
        self.rows(catalog::by_object(object).unwrap().table)
    }
}

pub(crate) fn customer(number: i64, name: &str) -> Value {
    json!({ "id": format!("cus_{number}"), "object": "customer", "created": BEGAN + number, "name": name })
}

pub(crate) fn subscription(status: &str, items: i64) -> Value {
    let item = |n| json!({ "id": format!("si_{n}"), "object": "subscription_item", "created": BEGAN, "subscription": "sub_1" });
    let data: Vec<Value> = (0..items).map(item).collect();
    let list = json!({ "object": "list", "data": data, "has_more": false, "url": "/v1/subscription_items" });
    json!({ "id": "sub_1", "object": "subscription", "created": BEGAN, "status": status, "items": list })
}

pub(crate) fn with_items(world: &Small, status: &str, items: i64) {
    let subscription = subscription(status, items);
    world.objects.lock().unwrap().remove("subscription_item");
    for item in subscription["items"]["data"].as_array().unwrap() {
        world.put(item.clone());
    }
    world.put(subscription);
}

/// One that is newer than what [`with_items`] makes, so that the latter is not listed again as new: that would mend what a
/// test looks for.
pub(crate) fn with_newer_subscription(world: &Small) {
    world.put(
        json!({ "id": "sub_2", "object": "subscription", "created": BEGAN + 500_000, "status": "active" }),
    );
}

fn items() -> &'static catalog::Table {
    catalog::by_object("subscription").unwrap().children[0].table
}
