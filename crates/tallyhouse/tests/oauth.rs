//! Every way on which a Stripe account is not connected, walked in a real browser: Connections says why, and nothing is
//! half stored. `ui/refusals.mjs` does the walking and keeps pictures in `test-results`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

#[expect(dead_code, reason = "the browser ends when the server does")]
#[path = "support/server.rs"]
mod server;
#[path = "support/stripe.rs"]
mod stripe;

use std::{net::SocketAddr, path::Path, process::Stdio, sync::Arc};

use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
use stripe_sim::{
    Application, DEMO_CLIENT_ID, DEMO_PLATFORM_KEY, Sim, SimOptions,
    story::{Story, StorySpec},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// A simulated Stripe that can go away and come back.
struct Stripe {
    sim: Sim,
    address: SocketAddr,
    serving: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Stripe {
    /// One that knows `platform_key`.
    async fn start(platform_key: &str) -> Self {
        let application = Application { platform_key: platform_key.to_owned(), ..Application::demo() };
        let spec = StorySpec { seed: 3, customers: 20, months: 2, end: 1_790_000_000, livemode: false };
        let options = SimOptions { applications: vec![application], ..SimOptions::default() };
        let sim = Sim::new(Arc::new(Story::new(spec)), options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stripe = Self { sim, address: listener.local_addr().unwrap(), serving: None };
        stripe.serve(listener);
        stripe
    }

    fn serve(&mut self, listener: TcpListener) {
        self.serving = Some(stripe::serve(&self.sim, listener));
    }

    /// Does what the walk asks for.
    async fn act(&mut self, what: &str, data: &Path) {
        match what.split_once(' ').unwrap() {
            ("use", code) => self.use_code(code).await,
            ("age", _) => age_states(data).await,
            ("let", _) => drop(self.sim.world().advance(301)),
            ("stop", _) => {
                let (stop, serving) = self.serving.take().unwrap();
                stop.cancel();
                serving.await.unwrap();
            }
            ("start", _) => self.serve(TcpListener::bind(self.address).await.unwrap()),
            other => panic!("the walk asks for {other:?}"),
        }
    }

    /// Somebody else trades the code first.
    async fn use_code(&self, code: &str) {
        let form =
            [("grant_type", "authorization_code"), ("code", code), ("client_secret", DEMO_PLATFORM_KEY)];
        stripe_api::install_tls();
        let asked =
            reqwest::Client::new().post(format!("http://{}/oauth/token", self.address)).form(&form).send();
        assert!(asked.await.unwrap().status().is_success());
    }
}

/// Whoever left for Stripe did so long ago.
async fn age_states(data: &Path) {
    let options = SqliteConnectOptions::new().filename(data.join("tallyhouse.sqlite"));
    let mut store = options.connect().await.unwrap();
    let aged = sqlx::query("UPDATE oauth_states SET expires_at = 1 WHERE used_at IS NULL");
    assert!(aged.execute(&mut store).await.unwrap().rows_affected() > 0);
}

/// Walks `cases` with an installation that has `platform_key` and a Stripe that knows `known_key`.
async fn walk(platform_key: &str, known_key: &str, cases: &[&str]) {
    let mut stripe = Stripe::start(known_key).await;
    let data = tempfile::tempdir().unwrap();
    let address = format!("http://{}", stripe.address);
    let configured = [
        ("STRIPE__API_URL", address.as_str()),
        ("STRIPE__CONNECT_URL", address.as_str()),
        ("STRIPE__CLIENT_ID", DEMO_CLIENT_ID),
        ("STRIPE__PLATFORM_KEY", platform_key),
    ];
    let (_server, setup) = server::serve(data.path(), &configured);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut walk = tokio::process::Command::new("node")
        .args(["ui/refusals.mjs", &setup, "test-results/refusals"])
        .args(cases)
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut asks = tokio::io::BufReader::new(walk.stdout.take().unwrap()).lines();
    let mut answers = walk.stdin.take().unwrap();
    while let Some(line) = asks.next_line().await.unwrap() {
        stripe.act(line.strip_prefix("now ").unwrap(), data.path()).await;
        answers.write_all(b"done\n").await.unwrap();
    }
    assert!(walk.wait().await.unwrap().success(), "what is wrong is printed above");
}

#[tokio::test]
async fn trap_27_what_goes_wrong_on_the_way_is_told_and_connects_nothing() {
    let cases = [
        "declined",
        "replayed",
        "forged",
        "too-late",
        "code-expired",
        "code-used",
        "network-down",
        "another-session",
    ];
    walk(DEMO_PLATFORM_KEY, DEMO_PLATFORM_KEY, &cases).await;
}

#[tokio::test]
async fn trap_27_a_platform_that_stripe_does_not_know_is_told() {
    walk("sk_test_SomeOtherPlatformsKey0004", DEMO_PLATFORM_KEY, &["wrong-client"]).await;
}

#[tokio::test]
async fn trap_27_test_access_for_a_live_platform_is_told() {
    let live = "sk_live_TallyhouseDemoPlatformKey0005";
    walk(live, live, &["wrong-mode"]).await;
}
