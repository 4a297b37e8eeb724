//! Cycles against a small simulated Stripe over HTTP, with the warehouse in a real file.

use std::{
    sync::atomic::{AtomicI32, AtomicI64, Ordering},
    time::Duration,
};

use chrono::TimeDelta;
use secrecy::ExposeSecret;
use store::{MasterKey, NewConnection, Outcome, Reauthentication};
use stripe_sim::{
    DEMO_KEY, Fault, FaultScript, Key, Sim, SimOptions,
    bulk::{Bulk, BulkCounts},
    world::World,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use warehouse::DuckOptions;

use super::*;
use crate::{
    clock::SystemClock,
    testing::new_connection,
    web::{SyncPhase, TableStanding},
};

const RESTRICTED: &str = "rk_test_readsNoInvoices";
/// Longer than a test waits for a cycle to be under way, shorter than a stop waits for its page.
const SLOW: Fault = Fault::Slow(800);

/// The real time, until it is told to panic at the `n`th look, to do something else at the next, or to stand still.
#[derive(Default)]
struct Fuse(AtomicI32, Mutex<Option<Box<dyn FnOnce() + Send>>>, Mutex<Option<DateTime<Utc>>>);

impl Clock for Fuse {
    fn now(&self) -> DateTime<Utc> {
        assert_ne!(self.0.fetch_sub(1, Ordering::SeqCst), 1, "the fuse has burned down");
        let first = self.1.lock().unwrap().take();
        first.into_iter().for_each(|first| first());
        self.2.lock().unwrap().unwrap_or_else(|| SystemClock.now())
    }
}

/// An installation with one connection, `shop`.
pub(super) struct Here {
    pub(super) updates: Updates,
    pub(super) store: Arc<Store>,
    pub(super) shop: Connection,
    pub(super) sim: Sim,
    /// Seconds that passed at Stripe.
    age: Arc<AtomicI64>,
    fuse: Arc<Fuse>,
    stop: CancellationToken,
    beside: TaskTracker,
    _folder: TempDir,
}

impl Here {
    pub(super) async fn new() -> Self {
        Self::with_key(DEMO_KEY).await
    }

    async fn with_key(key: &str) -> Self {
        let keys =
            vec![Key::full(DEMO_KEY), Key::restricted(RESTRICTED, &["rak_charge_read", "rak_event_read"])];
        let world = Arc::new(Bulk::new(7, BulkCounts { customers: 5, charges: 40 }));
        let (present, age) = (world.now(), Arc::<AtomicI64>::default());
        let passed = Arc::clone(&age);
        let clock: stripe_sim::Clock = Arc::new(move || present + passed.load(Ordering::SeqCst));
        let sim = Sim::new(world, SimOptions { keys, clock: Some(clock), ..SimOptions::default() });
        let (stop, beside) = (CancellationToken::new(), TaskTracker::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (serving, until) = (sim.clone(), stop.clone());
        beside.spawn(async move { serving.serve(listener, until).await });

        let folder = tempfile::tempdir().unwrap();
        let options = DuckOptions { memory_limit_mb: 64, threads: 1 };
        let warehouse = Arc::new(DuckDb::open(folder.path().join("w.duckdb"), options).unwrap());
        let store = Store::in_memory(MasterKey::from_text(&"07".repeat(32)).unwrap()).await.unwrap();
        let shop = store.insert_connection(&shop(key), SystemClock.now()).await.unwrap();
        let (store, fuse) = (Arc::new(store), Arc::<Fuse>::default());
        let stripe =
            config::Stripe { api_url, requests_per_second: Some(5_000), ..config::Stripe::default() };
        let parts = Parts { store: Arc::clone(&store), warehouse, stripe, clock: Arc::<Fuse>::clone(&fuse) };
        let updates = Updates::new(parts).unwrap();
        Self { updates, store, shop, sim, age, fuse, stop, beside, _folder: folder }
    }

    pub(super) async fn run(&self) -> Arc<Summary> {
        self.updates.begin("shop", true).await.unwrap().ended().await
    }

    async fn shown(&self) -> ProgressView {
        self.updates.subscribe("shop").await.borrow().clone()
    }

    /// From now on the clock stands still.
    pub(super) fn stand_still(&self) {
        *self.fuse.2.lock().unwrap() = Some(SystemClock.now());
    }

    pub(super) async fn cycles(&self) -> Vec<store::Cycle> {
        self.store.cycles(&self.shop.id, 10).await.unwrap()
    }

    pub(super) async fn status(&self) -> Status {
        self.store.connection(&self.shop.id).await.unwrap().unwrap().status
    }

    /// A cycle that waits for Stripe.
    pub(super) async fn slow_cycle(&self) -> Running {
        self.sim.set_faults(FaultScript::new().always("/v1/", SLOW));
        let running = self.updates.begin("shop", true).await.unwrap();
        while self.cycles().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running
    }

    pub(super) async fn end(self) {
        self.updates.shut().await;
        self.stop.cancel();
        self.beside.close();
        self.beside.wait().await;
    }
}

fn shop(key: &str) -> NewConnection {
    new_connection("shop", key)
}

fn table<'a>(view: &'a ProgressView, name: &str) -> &'a crate::web::TableProgressView {
    view.tables.iter().find(|table| table.table == name).unwrap()
}

#[tokio::test]
async fn a_cycle_copies_and_says_so_everywhere() {
    let here = Here::new().await;
    let before = here.shown().await;
    assert_eq!((before.phase, table(&before, "charges").state), (SyncPhase::Resting, TableStanding::Waiting));
    let summary = here.run().await;
    assert_eq!((summary.ending, summary.why.clone()), (Ending::Success, None));
    let charges = summary.tables.iter().find(|table| table.table == "charges").unwrap();
    // One that was seen again counts again.
    assert!(charges.rows >= 40);
    let words = charges.words();
    let after = here.shown().await;
    let charges = table(&after, "charges");
    assert_eq!((after.phase, charges.state, charges.rows), (SyncPhase::Resting, TableStanding::Live, 40));
    assert!(charges.last_data_at.is_some());
    assert_eq!(here.status().await, Status::Success);
    let cycle = here.cycles().await.remove(0);
    assert!(cycle.forced);
    let end = cycle.end.unwrap();
    assert_eq!((end.outcome, end.detail["charges"].as_str()), (Outcome::Success, Some(words.as_str())));
    here.end().await;
}

#[tokio::test]
async fn the_end_of_a_cycle_forgets_old_ones() {
    let here = Here::new().await;
    for _ in 0..1_005 {
        here.store.begin_cycle(&here.shop.id, false, SystemClock.now()).await.unwrap();
    }
    here.run().await;
    assert_eq!(here.store.cycles(&here.shop.id, 5_000).await.unwrap().len(), 1_000);
    here.end().await;
}

#[tokio::test]
async fn a_second_beginning_joins_the_cycle_that_runs() {
    let here = Here::new().await;
    let mut first = here.slow_cycle().await;
    assert!(here.updates.running_since("shop").is_some());
    let mut second = here.updates.begin("shop", false).await.unwrap();
    here.sim.set_faults(FaultScript::new());
    assert!(Arc::ptr_eq(&first.ended().await, &second.ended().await));
    assert_eq!(here.cycles().await.len(), 1);
    assert_eq!(here.updates.running_since("shop"), None);
    assert!(!Arc::ptr_eq(&first.ended().await, &here.run().await));
    assert_eq!(here.cycles().await.len(), 2);
    here.end().await;
}

#[tokio::test]
async fn stopping_waits_until_nothing_of_it_is_left() {
    let here = Here::new().await;
    let mut running = here.slow_cycle().await;
    here.updates.stop("shop").await;
    assert_eq!(here.updates.running_since("shop"), None);
    assert_eq!(running.ended().await.ending, Ending::Stopped);
    assert_eq!(here.cycles().await[0].end, None);
    assert_eq!(here.shown().await.phase, SyncPhase::Resting);
    // Nothing runs: nothing to wait for.
    here.updates.stop("shop").await;
    here.sim.set_faults(FaultScript::new());
    assert_eq!(here.run().await.ending, Ending::Success);
    here.end().await;
}

#[tokio::test]
async fn what_is_paused_begins_only_when_somebody_asks() {
    let here = Here::new().await;
    here.store.set_status(&here.shop.id, &Status::Paused).await.unwrap();
    let refused = here.updates.begin("shop", false).await;
    assert_eq!(refused.err().map(|error| error.why).as_deref(), Some("shop is paused"));
    // Paused between being looked up and beginning.
    let summary = here.updates.join_or_spawn(here.shop.clone(), false).unwrap().ended().await;
    assert_eq!(summary.ending, Ending::Stopped);
    assert_eq!(here.cycles().await, Vec::new());
    assert_eq!(here.run().await.ending, Ending::Success);
    assert_eq!(here.status().await, Status::Paused);
    here.end().await;
}

#[tokio::test]
async fn a_deleted_connection_begins_nothing_and_its_cycle_leaves_no_word() {
    let here = Here::new().await;
    let mut running = here.slow_cycle().await;
    here.store.delete_connection(&here.shop.id).await.unwrap();
    let again = here.store.insert_connection(&shop(DEMO_KEY), SystemClock.now()).await.unwrap();
    let why = here.updates.begin("shop", true).await.err().unwrap().why;
    assert!(why.contains("still ending"), "{why}");
    here.updates.stop("shop").await;
    assert_eq!(running.ended().await.ending, Ending::Stopped);
    assert_eq!(here.store.cycles(&again.id, 10).await.unwrap(), Vec::new());
    here.store.delete_connection(&again.id).await.unwrap();
    let why = here.updates.begin("shop", true).await.err().unwrap().why;
    assert_eq!(why, "there is no connection named shop");
    // Deleted between being looked up and beginning.
    let summary = here.updates.join_or_spawn(again, true).unwrap().ended().await;
    assert_eq!(summary.ending, Ending::Stopped);
    here.end().await;
}

#[tokio::test]
async fn a_cycle_that_panics_is_a_failure_and_does_not_begin_again_at_once() {
    let here = Here::new().await;
    // The first look is the beginning's own, the second the cycle's.
    here.fuse.0.store(2, Ordering::SeqCst);
    let mut running = here.updates.begin("shop", true).await.unwrap();
    assert_eq!(running.ended().await.ending, Ending::Failed);
    assert_eq!(here.updates.running_since("shop"), None);
    assert_eq!(here.shown().await.phase, SyncPhase::Resting);
    let Status::Failed { why } = here.status().await else { panic!("a failure") };
    assert!(why.contains("fault of Tallyhouse's own"), "{why}");
    here.updates.begin_due(TimeDelta::minutes(15)).await;
    assert_eq!(here.updates.running_since("shop"), None);
    here.updates.stop("shop").await;
    assert_eq!(here.run().await.ending, Ending::Success);
    here.end().await;
}

#[tokio::test]
async fn what_an_interrupted_cycle_wrote_is_told() {
    let here = Here::new().await;
    here.sim.set_faults(FaultScript::new().always("/v1/charges", SLOW));
    let mut running = here.updates.begin("shop", true).await.unwrap();
    while table(&here.shown().await, "customers").rows == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    here.updates.stop("shop").await;
    let summary = running.ended().await;
    assert_eq!(summary.ending, Ending::Stopped);
    assert!(summary.rows >= 5 && summary.requests > 0, "{summary:?}");
    assert!(here.store.connection(&here.shop.id).await.unwrap().unwrap().last_data_at.is_some());
    here.end().await;
}

#[tokio::test]
async fn a_cycle_that_reaches_no_table_does_not_take_warnings_away_and_another_connection_does() {
    let here = Here::new().await;
    here.run().await;
    here.sim.set_faults(FaultScript::new().always("/v1/charges", Fault::status(400)));
    assert_eq!(here.run().await.ending, Ending::Partial);
    here.sim.set_faults(FaultScript::new().always("/v1/", Fault::status(401)));
    assert_eq!(here.run().await.ending, Ending::Failed);
    assert_eq!(table(&here.shown().await, "charges").state, TableStanding::Failed);
    here.store.delete_connection(&here.shop.id).await.unwrap();
    here.store.insert_connection(&shop(DEMO_KEY), SystemClock.now()).await.unwrap();
    assert_eq!(table(&here.shown().await, "charges").state, TableStanding::Live);
    here.end().await;
}

#[tokio::test]
async fn trap_29_refused_credentials_wait_for_a_person_and_are_never_renewed_behind_anybodys_back() {
    let here = Here::new().await;
    here.run().await;
    here.sim.set_faults(FaultScript::new().always("/v1/", Fault::status(401)));
    assert!(here.run().await.unauthorized);
    assert!(matches!(here.status().await, Status::ReauthenticationRequired { .. }));
    assert_eq!(table(&here.shown().await, "charges").rows, 40, "nothing is lost");
    let key = here.store.credentials(&here.shop.id).await.unwrap();
    assert_eq!(key.expose_secret(), DEMO_KEY);
    let asked = here.sim.stats();
    here.updates.begin_due(TimeDelta::zero()).await;
    assert_eq!(here.updates.running_since("shop"), None, "nobody connected again");
    assert_eq!(here.sim.stats(), asked);
    assert!(asked.by_path.keys().all(|path| !path.contains("oauth")), "{asked:?}");
    // Another key is used from the store, and only from there.
    here.sim.set_faults(FaultScript::new());
    let NewConnection { account_id, livemode, time_zone, how, .. } = shop(DEMO_KEY);
    let credentials = RESTRICTED.to_owned().into();
    let new = Reauthentication { account_id, livemode, time_zone, how, credentials };
    here.store.replace_credentials(&here.shop.id, &new, SystemClock.now()).await.unwrap();
    let summary = here.run().await;
    assert_eq!((summary.ending, summary.unauthorized), (Ending::Partial, false), "{summary:?}");
    assert_eq!(table(&here.shown().await, "customers").state, TableStanding::Failed, "it may not read them");
    here.end().await;
}

#[tokio::test]
async fn what_the_last_cycle_could_not_read_is_remembered_until_the_next() {
    let here = Here::new().await;
    assert_eq!(here.run().await.ending, Ending::Success);
    here.sim.set_faults(FaultScript::new().always("/v1/charges", Fault::status(400)));
    let summary = here.run().await;
    assert_eq!(summary.ending, Ending::Partial, "{summary:?}");
    let view = here.shown().await;
    let charges = table(&view, "charges");
    assert_eq!((charges.state, charges.rows), (TableStanding::Failed, 40));
    assert!(charges.why.is_some());
    assert_eq!(table(&view, "customers").state, TableStanding::Live);
    assert!(matches!(here.status().await, Status::Partial { .. }));
    // After a restart, too.
    let Parts { store, warehouse, stripe, clock } = &here.updates.inner.parts;
    let parts = Parts {
        store: Arc::clone(store),
        warehouse: Arc::clone(warehouse),
        stripe: stripe.clone(),
        clock: Arc::clone(clock),
    };
    let restarted = Updates::new(parts).unwrap().subscribe("shop").await.borrow().clone();
    assert_eq!(restarted, view);
    here.sim.set_faults(FaultScript::new());
    here.run().await;
    assert_eq!(table(&here.shown().await, "charges").state, TableStanding::Live);
    here.end().await;
}

#[tokio::test]
async fn a_table_that_the_key_may_not_read_is_unavailable_and_no_failure() {
    let here = Here::with_key(RESTRICTED).await;
    let summary = here.run().await;
    assert_eq!((summary.ending, summary.unauthorized), (Ending::Success, false), "{summary:?}");
    let view = here.shown().await;
    assert_eq!(table(&view, "charges").state, TableStanding::Live);
    let invoices = table(&view, "invoices");
    assert_eq!(invoices.state, TableStanding::Unavailable);
    assert!(invoices.why.is_some());
    here.end().await;
}

#[tokio::test]
async fn looking_at_a_running_cycle_shows_its_tables_from_the_beginning() {
    let here = Here::new().await;
    here.run().await;
    let _running = here.slow_cycle_again().await;
    let view = here.shown().await;
    assert!(view.is_running());
    assert_eq!(table(&view, "charges").state, TableStanding::Live);
    here.end().await;
}

#[tokio::test]
async fn trap_14_after_a_gap_no_table_looks_complete_before_it_is_compared() {
    let here = Here::new().await;
    here.run().await;
    here.age.store(31 * 86_400, Ordering::SeqCst);
    here.sim.set_faults(FaultScript::new().always("/v1/charges", SLOW));
    // In the update that finds the gap, between updates, and in the one that goes on.
    let mut running = here.updates.begin("shop", true).await.unwrap();
    running.progress.wait_for(|view| view.phase == SyncPhase::Copying).await.unwrap();
    let charges = |view: &ProgressView| (table(view, "charges").state, table(view, "charges").rows);
    assert_eq!(charges(&running.progress.borrow()), (TableStanding::Comparing, 40));
    here.updates.stop("shop").await;
    assert_eq!(charges(&here.shown().await), (TableStanding::Comparing, 40));
    let mut running = here.updates.begin("shop", true).await.unwrap();
    running.progress.wait_for(|view| view.phase == SyncPhase::Copying).await.unwrap();
    assert_eq!(charges(&running.progress.borrow()), (TableStanding::Comparing, 40));
    here.sim.set_faults(FaultScript::new());
    assert_eq!(running.ended().await.ending, Ending::Success);
    assert_eq!(charges(&here.shown().await), (TableStanding::Live, 40));
    // A comparison that is made because it is time misses nothing.
    here.age.fetch_add(28 * 86_400, Ordering::SeqCst);
    here.sim.set_faults(FaultScript::new().always("/v1/charges", SLOW));
    let mut running = here.updates.begin("shop", true).await.unwrap();
    running.progress.wait_for(|view| view.phase == SyncPhase::Copying).await.unwrap();
    assert_eq!(charges(&running.progress.borrow()), (TableStanding::Live, 40));
    here.updates.stop("shop").await;
    let states = standing::states(&here.updates.inner.reader, "shop").await.unwrap();
    assert!(matches!(states["charges"], sync::TableState::Comparing { .. }), "{:?}", states["charges"]);
    assert_eq!(charges(&here.shown().await), (TableStanding::Live, 40));
    here.end().await;
}

impl Here {
    /// Another cycle, just begun: nobody has looked before.
    async fn slow_cycle_again(&self) -> Running {
        self.updates.places().clear();
        self.sim.set_faults(FaultScript::new().always("/v1/", SLOW));
        self.updates.begin("shop", true).await.unwrap()
    }
}

#[tokio::test]
async fn after_the_end_nothing_begins() {
    let here = Here::new().await;
    let mut running = here.slow_cycle().await;
    here.updates.shut().await;
    assert_eq!(running.ended().await.ending, Ending::Stopped);
    let why = here.updates.begin("shop", true).await.err().unwrap().why;
    assert_eq!(why, "the program is ending");
    here.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cycle_that_begins_while_the_program_ends_is_waited_for() {
    let here = Here::new().await;
    let (updates, runtime) = (here.updates.clone(), tokio::runtime::Handle::current());
    let (tell, left) = tokio::sync::oneshot::channel();
    // When the cycle is let begin, and does not run yet.
    *here.fuse.1.lock().unwrap() = Some(Box::new(move || {
        std::thread::spawn(move || {
            runtime.block_on(updates.shut());
            // Time for a cycle to be begun behind it.
            std::thread::sleep(Duration::from_millis(20));
            tell.send(updates.inner.tasks.len()).unwrap();
        });
        // Time for the program to end, if nothing keeps it.
        std::thread::sleep(Duration::from_millis(100));
    }));
    let mut running = here.updates.begin("shop", true).await.unwrap();
    assert_eq!(left.await.unwrap(), 0, "the program ended before the cycle");
    assert_eq!(running.ended().await.ending, Ending::Stopped);
    here.end().await;
}

#[tokio::test]
async fn the_schedule_begins_what_is_due_until_it_is_stopped() {
    let here = Here::new().await;
    let stop = CancellationToken::new();
    let keeping = here.updates.keep_schedule(60, stop.clone());
    let watching = async {
        while here.status().await != Status::Success || here.updates.running_since("shop").is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    tokio::join!(keeping, watching);
    let cycles = here.cycles().await;
    assert_eq!(cycles.len(), 1);
    assert!(!cycles[0].forced);
    // Just done, so not due.
    here.updates.begin_due(TimeDelta::minutes(60)).await;
    assert_eq!(here.updates.running_since("shop"), None);
    // Without minutes there is no schedule, however long ago.
    here.updates.keep_schedule(0, CancellationToken::new()).await;
    assert_eq!(here.cycles().await.len(), 1);
    here.end().await;
}
