//! Stripe's own SDKs, unmodified, list and retrieve from the simulator: what it serves is not our own fiction.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use stripe_sim::gallery::{Gallery, GallerySpec};
use stripe_sim::story::{Story, StorySpec};
use stripe_sim::world::World;
use stripe_sim::{DEMO_KEY, Sim, SimOptions};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

const SDKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdks");
/// The lists that both SDKs have.
const LISTS: u64 = 138;

fn gallery() -> Arc<dyn World> {
    let gallery = Gallery::new(GallerySpec { seed: 11, ..GallerySpec::default() });
    gallery.change(200);
    Arc::new(gallery)
}

fn story() -> Arc<dyn World> {
    let spec = StorySpec { seed: 3, customers: 60, months: 6, end: 1_793_491_200, livemode: false };
    Arc::new(Story::new(spec))
}

/// What an SDK says of a simulator that serves `world`.
async fn report(world: Arc<dyn World>, program: OsString, script: &str) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let sim = Sim::new(world, SimOptions::default());
    let stop = CancellationToken::new();
    let asked = async {
        let script = Path::new(SDKS).join(script);
        let output = Command::new(&program).arg(script).args([&address, DEMO_KEY]).output().await;
        stop.cancel();
        output
    };
    let (output, ()) = tokio::join!(asked, sim.serve(listener, stop.clone()));
    let output = output.unwrap_or_else(|error| panic!("could not run {}: {error}", program.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

fn python() -> OsString {
    std::env::var_os("TALLYHOUSE_TEST_PYTHON").expect(
        "run `make test`: it installs a Python with Stripe's SDK and names it in TALLYHOUSE_TEST_PYTHON",
    )
}

fn node() -> OsString {
    let installed = Path::new(SDKS).join("node_modules/stripe/package.json");
    assert!(
        installed.exists(),
        "run `make test`, or `npm ci` in {SDKS}: Stripe's SDK for Node.js is not installed"
    );
    "node".into()
}

fn agrees(report: &Value, version: &str, lists: u64, objects: u64) {
    assert_eq!(report["failures"].as_array().unwrap(), &Vec::<Value>::new());
    assert_eq!(report["sdk"], version);
    assert!(report["lists"].as_u64().unwrap() >= lists, "{report}");
    assert!(report["objects"].as_u64().unwrap() >= objects, "{report}");
    assert!(report["retrieved"].as_u64().unwrap() > lists, "{report}");
}

#[tokio::test]
async fn stripe_for_python_reads_the_gallery() {
    agrees(&report(gallery(), python(), "lists.py").await, "16.1.0", LISTS, 5_000);
}

#[tokio::test]
async fn stripe_for_python_reads_the_story() {
    agrees(&report(story(), python(), "lists.py").await, "16.1.0", 20, 1_000);
}

#[tokio::test]
async fn stripe_for_node_reads_the_gallery() {
    agrees(&report(gallery(), node(), "lists.mjs").await, "23.1.0", LISTS, 5_000);
}

#[tokio::test]
async fn stripe_for_node_reads_the_story() {
    agrees(&report(story(), node(), "lists.mjs").await, "23.1.0", 20, 1_000);
}
