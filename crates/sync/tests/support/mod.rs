//! What the tests share: a simulated Stripe that is served, and an engine that copies it.

use std::{sync::Arc, time::Duration};

use stripe_api::{Clock, Rates, RetryPolicy, Stripe};
use stripe_sim::{DEMO_KEY, Sim};
use sync::{Engine, Options, Progress};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use warehouse::{SchemaName, Warehouse};

/// Serves `sim` until `stop`; gives its address.
pub(crate) async fn serve(sim: &Sim, stop: CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let sim = sim.clone();
    #[expect(clippy::disallowed_methods, reason = "a test's server ends with the test")]
    tokio::spawn(async move { sim.serve(listener, stop).await });
    address
}

/// Copies the Stripe at `address` into `warehouse`, trying each request `attempts` times.
pub(crate) fn engine<W: Warehouse>(
    address: &str,
    warehouse: &Arc<W>,
    clock: Arc<dyn Clock>,
    attempts: u32,
) -> Engine<W> {
    let (base, longest) = (Duration::from_millis(1), Duration::from_millis(20));
    Engine {
        stripe: stripe(address, clock, RetryPolicy { attempts, base, longest }),
        warehouse: Arc::clone(warehouse),
        schema: schema(),
        progress: watch::channel(Progress::starting()).0,
        options: Options::default(),
    }
}

/// The Stripe at `address`, asked as fast as may be.
pub(crate) fn stripe(address: &str, clock: Arc<dyn Clock>, retry: RetryPolicy) -> Stripe {
    Stripe::new(config(address, retry), clock).unwrap()
}

/// How the Stripe at `address` is asked as fast as may be.
pub(crate) fn config(address: &str, retry: RetryPolicy) -> stripe_api::Config {
    stripe_api::Config {
        api_url: address.parse().unwrap(),
        key: DEMO_KEY.to_owned().into(),
        account: None,
        rates: Rates { per_second: 5_000, per_endpoint: 5_000, concurrent: 16 },
        retry,
    }
}

/// The schema that [`engine`] copies into.
pub(crate) fn schema() -> SchemaName {
    "stripe".parse().unwrap()
}

/// An object as Stripe shows it when it is not asked to expand anything.
pub(crate) fn unasked(resource: &catalog::Resource, mut object: serde_json::Value) -> serde_json::Value {
    for property in &resource.expand {
        let pointer = format!("/{}", property.replace('.', "/"));
        let (outer, name) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(outer) = object.pointer_mut(outer).and_then(serde_json::Value::as_object_mut) {
            outer.remove(name);
        }
    }
    object
}
