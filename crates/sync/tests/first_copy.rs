//! The first copy over HTTP, from a simulated Stripe with and without faults, compared with the simulator's own truth.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail")]

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use stripe_api::Clock;
use stripe_sim::{
    DEMO_KEY, Fault, FaultScript, Key, Sim, SimOptions,
    bulk::{Bulk, BulkCounts},
    world::{Rendered, Scan, World},
};
use sync::{Engine, Options, Report, SyncError, TableState};
use tokio_util::sync::CancellationToken;
use warehouse::Memory;

/// Enough for many slices and pages, several objects to a second being rare.
const COUNTS: BulkCounts = BulkCounts { customers: 700, charges: 3_000 };

struct At(DateTime<Utc>);

impl Clock for At {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

struct Running {
    sim: Sim,
    world: Arc<Bulk>,
    address: String,
    stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn running(key: Key) -> Running {
    let world = Arc::new(Bulk::new(7, COUNTS));
    let sim = Sim::new(
        Arc::clone(&world) as Arc<dyn World>,
        SimOptions { keys: vec![key], ..SimOptions::default() },
    );
    let stop = CancellationToken::new();
    let address = support::serve(&sim, stop.clone()).await;
    Running { sim, world, address, stop }
}

fn engine(running: &Running, warehouse: &Arc<Memory>, width: usize) -> Engine<Memory> {
    let clock = At(DateTime::from_timestamp(running.world.now(), 0).unwrap());
    let small =
        Options { slices: width, pages: 2, rows: 400, event_pages: 1, reads: 4, ..Options::default() };
    Engine { options: small, ..support::engine(&running.address, warehouse, Arc::new(clock), 20) }
}

/// Each object of a table by id, as its row turns back into it.
fn copied(warehouse: &Memory, object: &str) -> BTreeMap<String, Value> {
    let resource = catalog::by_object(object).unwrap();
    let table = resource.table;
    let rows = warehouse.rows(&support::schema(), table);
    let object = |row| support::unasked(resource, Value::Object(catalog::encode(table, &rows, row).unwrap()));
    let objects = (0..rows.num_rows()).map(object);
    let by_id: BTreeMap<String, Value> =
        objects.map(|object| (object["id"].as_str().unwrap().to_owned(), object)).collect();
    assert_eq!(by_id.len(), rows.num_rows(), "an id is there twice");
    by_id
}

/// Each object of a kind by id, as the world has it.
fn truth(world: &Bulk, kind: &str) -> BTreeMap<String, Value> {
    let scan = Scan { kind: kind.to_owned(), ..Scan::default() };
    let objects = world.scan(&scan, usize::MAX).unwrap().into_iter().map(|object| match object {
        Rendered::Value(value) => (*value).clone(),
        Rendered::Raw(text) | Rendered::Expanded(text) => serde_json::from_str(&text).unwrap(),
    });
    let resource = catalog::by_object(kind).unwrap();
    let objects = objects.map(|object| support::unasked(resource, object));
    objects.map(|object: Value| (object["id"].as_str().unwrap().to_owned(), object)).collect()
}

fn assert_equal(running: &Running, warehouse: &Memory) {
    for (kind, count) in [("customer", COUNTS.customers), ("charge", COUNTS.charges)] {
        let (ours, theirs) = (copied(warehouse, kind), truth(&running.world, kind));
        assert_eq!(u64::try_from(theirs.len()).unwrap(), count);
        assert!(ours.keys().eq(theirs.keys()), "{kind}: {} of {} ids", ours.len(), theirs.len());
        for (id, theirs) in &theirs {
            assert_eq!(&ours[id], theirs, "{id}");
        }
    }
}

async fn run(engine: &Engine<Memory>) -> Result<Report, SyncError> {
    engine.run(&CancellationToken::new()).await
}

#[tokio::test]
async fn the_first_copy_equals_the_truth() {
    let running = running(Key::full(DEMO_KEY)).await;
    let warehouse = Arc::new(Memory::new());
    let report = run(&engine(&running, &warehouse, 4)).await.unwrap();
    assert_eq!(report.failed().count(), 0);
    assert_equal(&running, &warehouse);
}

#[tokio::test]
async fn one_worker_and_many_bring_the_same() {
    let running = running(Key::full(DEMO_KEY)).await;
    for width in [1, 9] {
        let warehouse = Arc::new(Memory::new());
        run(&engine(&running, &warehouse, width)).await.unwrap();
        assert_equal(&running, &warehouse);
    }
}

#[tokio::test]
async fn trap_22_faults_lose_and_double_nothing() {
    let running = running(Key::full(DEMO_KEY)).await;
    let faults = vec![
        Fault::Refuse,
        Fault::status(429),
        Fault::status(500),
        Fault::Slow(5),
        Fault::CutBody,
        Fault::HalfBody,
        Fault::LoseAnswer,
    ];
    for seed in 0..5 {
        running.sim.set_faults(FaultScript::new().share(seed, 200, faults.clone()));
        let warehouse = Arc::new(Memory::new());
        let report = run(&engine(&running, &warehouse, 4)).await.unwrap();
        assert_eq!(report.failed().count(), 0, "seed {seed}");
        assert_equal(&running, &warehouse);
    }
    assert!(running.sim.stats().faults > 50);
}

#[tokio::test]
async fn trap_30_a_copy_that_is_stopped_anywhere_goes_on_from_there() {
    let running = running(Key::full(DEMO_KEY)).await;
    let warehouse = Arc::new(Memory::new());
    let mut stops = 0;
    for milliseconds in 1.. {
        let engine = engine(&running, &warehouse, 4);
        // Dropping the cycle in the middle of whatever it does is what a crash leaves of it.
        match tokio::time::timeout(Duration::from_millis(milliseconds), run(&engine)).await {
            Err(_) => stops += 1,
            Ok(report) => {
                assert_eq!(report.unwrap().failed().count(), 0);
                break;
            }
        }
    }
    assert!(stops > 3, "only {stops} stops");
    assert_equal(&running, &warehouse);
}

#[tokio::test]
async fn trap_23_a_table_the_key_may_not_read_is_named_and_the_rest_goes_on() {
    let running = running(Key::restricted(DEMO_KEY, &["rak_customer_read"])).await;
    let warehouse = Arc::new(Memory::new());
    let report = run(&engine(&running, &warehouse, 4)).await.unwrap();
    let charges = report.tables.iter().find(|table| table.table == "charges").unwrap();
    assert!(
        matches!(&charges.outcome, Ok(TableState::Unavailable { why }) if why.contains("rak_charge_read")),
        "{charges:?}"
    );
    assert_eq!(copied(&warehouse, "customer"), truth(&running.world, "customer"));
}
