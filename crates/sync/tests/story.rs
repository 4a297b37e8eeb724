//! A business that goes on living, copied: every table equals the simulator's truth, field by field, before and after.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail")]

mod support;

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use stripe_api::Clock;
use stripe_sim::{
    Fault, FaultScript, Sim, SimOptions,
    story::{Story, StorySpec},
    world::World,
};
use sync::{Engine, TableState};
use tokio_util::sync::CancellationToken;
use warehouse::Memory;

const SPEC: StorySpec =
    StorySpec { seed: 7, customers: 120, months: 24, end: 1_790_000_000, livemode: false };

/// All that the business has.
const KINDS: [&str; 18] = [
    "balance_transaction",
    "charge",
    "coupon",
    "credit_note",
    "customer",
    "dispute",
    "event",
    "invoice",
    "invoice_payment",
    "invoiceitem",
    "payment_intent",
    "payment_method",
    "payout",
    "plan",
    "price",
    "product",
    "refund",
    "subscription",
];

/// The world's own time.
struct Worlds(Arc<Story>);

impl Clock for Worlds {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.now(), 0).unwrap()
    }
}

struct Copy {
    story: Arc<Story>,
    sim: Sim,
    warehouse: Arc<Memory>,
    engine: Engine<Memory>,
}

async fn connected() -> Copy {
    let story = Arc::new(Story::new(SPEC));
    let sim = Sim::new(Arc::clone(&story) as Arc<dyn World>, SimOptions::default());
    let address = support::serve(&sim, CancellationToken::new()).await;
    let warehouse = Arc::new(Memory::new());
    let engine = support::engine(&address, &warehouse, Arc::new(Worlds(Arc::clone(&story))), 3);
    Copy { story, sim, warehouse, engine }
}

impl Copy {
    async fn cycle(&self) {
        let report = self.engine.run(&CancellationToken::new()).await.unwrap();
        assert_eq!(report.failed().count(), 0, "{report:?}");
    }

    fn rows(&self, table: &catalog::Table) -> RecordBatch {
        self.warehouse.rows(&support::schema(), table)
    }

    /// Objects by id as their rows turn back into them, whole; none for a tombstone.
    fn copied(&self, object: &str) -> BTreeMap<String, Option<Value>> {
        let resource = catalog::by_object(object).unwrap();
        let mut children: Vec<_> =
            resource.children.iter().map(|child| self.by_parent(child.table)).collect();
        let rows = self.rows(resource.table);
        let gone = rows.column_by_name("_deleted").unwrap().as_boolean().clone();
        let whole = |row| {
            let object = catalog::encode(resource.table, &rows, row).unwrap();
            let id = object["id"].as_str().unwrap().to_owned();
            let nested = children.iter_mut().map(|child| child.remove(&id).unwrap_or_default()).collect();
            let object = Value::Object(catalog::with_children(resource, object, nested));
            (id, (!gone.value(row)).then(|| uncut(resource, object)))
        };
        let by_id: BTreeMap<_, _> = (0..rows.num_rows()).map(whole).collect();
        assert_eq!(by_id.len(), rows.num_rows(), "an id of {object} is there twice");
        assert!(children.iter().all(BTreeMap::is_empty), "children without a parent");
        by_id
    }

    fn by_parent(&self, table: &'static catalog::Table) -> BTreeMap<String, Vec<Map<String, Value>>> {
        let rows = self.rows(table);
        let parents = rows.column_by_name("_parent").unwrap().as_string::<i32>();
        let places = rows.column_by_name("_position").unwrap().as_primitive::<Int64Type>();
        let mut order: Vec<usize> = (0..rows.num_rows()).collect();
        order.sort_by_key(|&row| (parents.value(row), places.value(row)));
        let mut all: BTreeMap<String, Vec<Map<String, Value>>> = BTreeMap::new();
        for row in order {
            let object = catalog::encode(table, &rows, row).unwrap();
            all.entry(parents.value(row).to_owned()).or_default().push(object);
        }
        all
    }

    fn truth(&self, object: &str) -> BTreeMap<String, Option<Value>> {
        let resource = catalog::by_object(object).unwrap();
        let objects = self.story.truth(object).into_iter();
        let entry = |object: Value| {
            let is_gone = object["deleted"] == true;
            (object["id"].as_str().unwrap().to_owned(), (!is_gone).then(|| uncut(resource, object)))
        };
        objects.map(entry).collect()
    }

    fn assert_equal(&self) {
        for object in KINDS {
            let (ours, theirs) = (self.copied(object), self.truth(object));
            for (id, theirs) in &theirs {
                match (ours.get(id), theirs) {
                    (Some(ours), theirs) => assert_eq!(ours, theirs, "{object} {id}"),
                    // Deleted before the copy began, and named by nothing that is copied.
                    (None, None) => {}
                    (None, Some(_)) => panic!("{object} {id} is missing"),
                }
            }
            // Events that Stripe no longer keeps stay here.
            let more = ours.keys().filter(|id| !theirs.contains_key(*id)).count();
            assert!(object == "event" || more == 0, "{more} of {object} are not Stripe's");
        }
    }
}

/// `has_more` of a nested list tells of the page it came in, not of the object. A list inside an event shows ten.
fn uncut(resource: &catalog::Resource, object: Value) -> Value {
    let mut object = support::unasked(resource, object);
    for child in &resource.children {
        if let Some(list) = object[child.property].as_object_mut() {
            list.remove("has_more");
        }
    }
    if resource.table.object == "event" {
        for property in ["lines", "items"] {
            let Some(list) = object.pointer_mut(&format!("/data/object/{property}")) else { continue };
            let Some(list) = list.as_object_mut() else { continue };
            list.remove("has_more");
            if let Some(data) = list.get_mut("data").and_then(Value::as_array_mut) {
                data.truncate(10);
            }
        }
    }
    object
}

#[tokio::test]
async fn a_living_business_is_copied_and_followed() {
    let copy = connected().await;
    copy.cycle().await;
    copy.assert_equal();
    let lines = copy.rows(catalog::by_object("invoice").unwrap().children[0].table);
    assert!(lines.num_rows() > copy.rows(catalog::by_object("invoice").unwrap().table).num_rows());
    for days in [1, 6, 20] {
        assert!(!copy.story.advance(days * 86_400).is_empty());
        copy.cycle().await;
        copy.assert_equal();
    }
}

#[tokio::test]
async fn trap_11_and_12_hand_made_changes_are_followed() {
    let copy = connected().await;
    copy.cycle().await;
    let subscription = |least: usize| {
        let all = copy.story.truth("subscription");
        let fits = |object: &Value| {
            object["status"] == "active" && object["items"]["data"].as_array().unwrap().len() >= least
        };
        all.into_iter().find(|object| fits(object)).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let alive = copy.story.truth("customer").into_iter().filter(|customer| customer["deleted"] != true);
    let ids: Vec<String> = alive.map(|customer| customer["id"].as_str().unwrap().to_owned()).collect();
    assert!(copy.story.remove_subscription_item(&subscription(11)));
    assert!(copy.story.cancel_subscription(&subscription(1)));
    assert!(copy.story.edit_customer(&ids[0]));
    assert!(copy.story.delete_customer(&ids[1]));
    copy.story.create_charge();
    copy.cycle().await;
    copy.assert_equal();
    assert_eq!(copy.copied("customer")[&ids[1]], None, "a deleted customer keeps a tombstone");
}

/// One cycle in which Stripe answers `path` with `status`; the failed tables.
async fn refused(copy: &Copy, path: &str, status: u16) -> Vec<&'static str> {
    copy.sim.set_faults(FaultScript::new().always(path, Fault::status(status)));
    let report = copy.engine.run(&CancellationToken::new()).await.unwrap();
    copy.sim.set_faults(FaultScript::new());
    report.failed().map(|(table, _)| table).collect()
}

#[tokio::test]
async fn trap_23_a_table_that_is_refused_for_a_while_goes_on_where_it_was() {
    let copy = connected().await;
    copy.cycle().await;
    copy.story.advance(5 * 86_400);
    assert_eq!(refused(&copy, "/v1/invoices", 403).await, ["invoices"]);
    copy.story.advance(5 * 86_400);
    copy.cycle().await;
    copy.assert_equal();
}

#[tokio::test]
async fn trap_23_without_events_new_objects_still_come() {
    let copy = connected().await;
    copy.sim.set_faults(FaultScript::new().always("/v1/events", Fault::status(403)));
    copy.cycle().await;
    let charge = copy.story.create_charge();
    let report = copy.engine.run(&CancellationToken::new()).await.unwrap();
    let events = report.tables.iter().find(|table| table.table == "events").unwrap();
    assert!(matches!(events.outcome, Ok(TableState::Unavailable { .. })), "{events:?}");
    assert!(copy.copied("charge").contains_key(&charge));
}

#[tokio::test]
async fn trap_23_events_that_are_refused_later_fail_only_themselves() {
    let copy = connected().await;
    copy.cycle().await;
    copy.story.advance(86_400);
    assert_eq!(refused(&copy, "/v1/events", 403).await, ["events"]);
    copy.cycle().await;
    copy.assert_equal();
}

#[tokio::test]
async fn trap_12_a_nested_list_that_is_gone_meanwhile_doubles_nothing_and_hides_no_table() {
    let copy = connected().await;
    assert_eq!(refused(&copy, "/v1/invoices/", 404).await, ["invoices"]);
    copy.cycle().await;
    copy.assert_equal();
}
