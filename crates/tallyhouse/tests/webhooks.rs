//! Webhooks alone keep a connection current: nothing is polled. The program is the built one, Stripe is the simulated one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
#![expect(clippy::print_stdout, reason = "a test that waits for ever says for what")]

#[expect(dead_code, reason = "the simulated Stripe is within this test, to be steered")]
#[path = "support/program.rs"]
mod program;
#[path = "support/server.rs"]
mod server;
#[path = "support/stripe.rs"]
mod stripe;

use std::{path::Path, sync::Arc, time::Duration};

use store::{MasterKey, Store};
use stripe_api::Clock;
use stripe_sim::{
    DEMO_RESTRICTED_KEY, Fault, FaultScript, Key, Sim, SimOptions,
    story::{Story, StorySpec},
};
use tallyhouse::clock::SystemClock;
use tempfile::TempDir;
use tokio::net::TcpListener;

use program::{connect, program, said};

const SECRET: &str = "whsec_signsThisConnectionsWebhooks";
const PLATFORM_SECRET: &str = "whsec_signsThePlatformsWebhooks";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A business of some customers, copied, and not polled any more.
struct Here {
    story: Arc<Story>,
    sim: Sim,
    address: String,
    data: TempDir,
    connection: String,
}

impl Here {
    async fn copied() -> Self {
        let now = SystemClock.now().timestamp();
        let spec = StorySpec { seed: 5, customers: 12, months: 2, end: now, livemode: false };
        let story = Arc::new(Story::new(spec));
        let options = SimOptions {
            keys: vec![Key::read_all(DEMO_RESTRICTED_KEY)],
            // Signatures are of now, whatever time the story has.
            clock: Some(Arc::new(|| SystemClock.now().timestamp())),
            ..SimOptions::default()
        };
        let sim = Sim::new(Arc::clone(&story) as _, options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        stripe::serve(&sim, listener);
        let data = tempfile::tempdir().unwrap();
        let made = apart(|| connect(&address, DEMO_RESTRICTED_KEY, data.path()));
        assert!(made.status.success(), "{}", said(&made));
        let copied = apart(|| program(&address, data.path(), &["sync"]).output().unwrap());
        assert!(copied.status.success(), "{}", said(&copied));
        let store = open(data.path()).await;
        let connection = store.connections().await.unwrap().remove(0).id;
        store.add_webhook_secret(&connection, &SECRET.into(), SystemClock.now()).await.unwrap();
        store.close().await;
        Self { story, sim, address, data, connection }
    }

    /// Serves, polling nothing; gives where Stripe is to send.
    fn serve(&self) -> (server::Server, String) {
        let configured = [
            ("STRIPE__API_URL", self.address.as_str()),
            ("UPDATES__EVERY_MINUTES", "0"),
            ("STRIPE__WEBHOOK_SECRET", PLATFORM_SECRET),
        ];
        let (server, setup) = apart(|| server::serve(self.data.path(), &configured));
        let (public, _) = setup.split_once("/setup").unwrap();
        (server, format!("{public}/webhooks/stripe"))
    }

    /// Some customer's id.
    fn customer(&self) -> String {
        let customers = self.story.truth("customer");
        let live = customers.iter().find(|customer| customer["deleted"] != true).unwrap();
        live["id"].as_str().unwrap().to_owned()
    }

    /// Delivers until every event is taken.
    async fn deliver(&self) {
        let delivered = self.sim.deliver_pending().await;
        assert!(delivered.taken > 0 && delivered.refused == 0, "{delivered:?}");
    }

    /// Waits until the warehouse shows the phone number that Stripe has of a customer now.
    async fn shows(&self, server: &mut server::Server, id: &str) {
        let customers = self.story.truth("customer");
        let customer = customers.iter().find(|customer| customer["id"] == id).unwrap();
        let phone = customer["phone"].as_str().unwrap();
        self.says(server, &format!("SELECT phone FROM stripe.customers WHERE id = '{id}'"), phone).await;
    }

    /// Asks until the answer holds the words. That can take as long as the machine likes while the server runs: whoever runs
    /// tests ends them.
    async fn says(&self, server: &mut server::Server, sql: &str, words: &str) {
        let ask = || program(&self.address, self.data.path(), &["query", sql]).output().unwrap();
        let mut seen = String::new();
        loop {
            let now = said(&apart(ask));
            if now.contains(words) {
                return;
            }
            if now != seen {
                println!("waiting for {words}; so far it is {now}");
                seen = now;
            }
            server.must_run();
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A program that is waited for must not keep the simulated Stripe from answering it.
fn apart<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

async fn open(data: &Path) -> Store {
    let key = MasterKey::load_or_create(&data.join("master.key")).unwrap();
    Store::open(&data.join("tallyhouse.sqlite"), key).await.unwrap()
}

async fn waiting(data: &Path, connection: &str) -> u64 {
    let store = open(data).await;
    let inbox = store.inbox(connection).await.unwrap();
    store.close().await;
    inbox.waiting
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_20_an_edit_at_stripe_is_in_the_warehouse_by_webhook_alone() {
    let here = Here::copied().await;
    let (mut server, hooks) = here.serve();
    here.sim.add_endpoint(&format!("{hooks}/{}", here.connection), SECRET);
    let id = here.customer();
    assert!(here.story.edit_customer(&id));
    here.deliver().await;
    here.shows(&mut server, &id).await;
    // Repeated and in another order, and the last of it is that the customer is gone.
    here.sim.set_faults(FaultScript::new().repeat_events().reorder_events());
    assert!(here.story.edit_customer(&id) && here.story.delete_customer(&id));
    here.deliver().await;
    let gone = format!("SELECT 'gone ' || _deleted FROM stripe.customers WHERE id = '{id}'");
    here.says(&mut server, &gone, "gone true").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_21_a_platforms_endpoint_brings_its_accounts_events() {
    let here = Here::copied().await;
    let (mut server, hooks) = here.serve();
    here.sim.add_connect_endpoint(&hooks, PLATFORM_SECRET);
    let id = here.customer();
    assert!(here.story.edit_customer(&id));
    here.deliver().await;
    here.shows(&mut server, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_21_what_was_received_survives_a_kill_before_it_was_applied() {
    let here = Here::copied().await;
    let (server, hooks) = here.serve();
    here.sim.add_endpoint(&format!("{hooks}/{}", here.connection), SECRET);
    let id = here.customer();
    assert!(here.story.edit_customer(&id));
    here.sim.set_faults(FaultScript::new().always("/v1/", Fault::status(500)));
    here.deliver().await;
    drop(server); // With SIGKILL.
    assert!(waiting(here.data.path(), &here.connection).await > 0, "2xx means that it is on disk");
    here.sim.set_faults(FaultScript::new());
    let (mut server, _) = here.serve();
    here.shows(&mut server, &id).await;
    // What is applied leaves the inbox.
    while waiting(here.data.path(), &here.connection).await > 0 {
        server.must_run();
        tokio::time::sleep(PAUSE).await;
    }
}
