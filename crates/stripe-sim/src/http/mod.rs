//! The HTTP half: Stripe's routes, refusals, limits, OAuth pages and webhooks over any [`World`].

mod api;
mod auth;
mod control;
mod error;
mod faults;
mod oauth;
mod options;
mod pages;
mod permissions;
mod query;
mod rates;
mod render;
mod routes;
mod serve;
#[cfg(test)]
pub(crate) mod tests;
mod webhooks;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header::DATE};
use axum::middleware::{from_fn_with_state, map_response_with_state};
use axum::response::Response;
use axum::routing::{any, get, post};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::world::World;

#[cfg(test)]
pub(crate) use self::render::cut;
pub use faults::{Fault, FaultScript};
pub use options::{
    Access, Application, Clock, DEMO_CLIENT_ID, DEMO_EMAIL, DEMO_KEY, DEMO_PASSWORD, DEMO_PLATFORM_KEY,
    DEMO_RESTRICTED_KEY, Key, RateLimits, SimOptions, User,
};
pub use serve::InProcess;
pub use webhooks::Delivered;

/// A simulated Stripe. Clones share everything.
#[derive(Clone)]
pub struct Sim {
    inner: Arc<Inner>,
}

struct Inner {
    world: Arc<dyn World>,
    /// The account whose objects the world holds.
    account_id: String,
    options: SimOptions,
    limiter: rates::Limiter,
    faults: Mutex<FaultScript>,
    stats: Mutex<Stats>,
    grants: Mutex<oauth::Grants>,
    webhooks: Mutex<webhooks::Webhooks>,
    outbound: webhooks::Outbound,
    counter: AtomicU64,
}

/// What a [`Sim`] has been asked so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests of all kinds, those that met a fault too; the simulator's own `/_sim` routes are not counted.
    pub total: u64,
    /// Of these, how many met a scripted fault.
    pub faults: u64,
    /// Of these, how many were refused with 429: for the rate of requests, or by the script.
    pub refused: u64,
    /// Requests by path, with `{id}` in place of ids.
    pub by_path: BTreeMap<String, u64>,
}

/// The id of one request, as `Request-Id` gives it.
#[derive(Debug, Clone)]
struct RequestId(String);

impl Sim {
    /// A Stripe that serves `world`.
    #[must_use]
    pub fn new(world: Arc<dyn World>, options: SimOptions) -> Self {
        let account_id =
            world.account().get("id").and_then(Value::as_str).unwrap_or("acct_simulated").to_owned();
        Self {
            inner: Arc::new(Inner {
                world,
                account_id,
                options,
                limiter: rates::Limiter::default(),
                faults: Mutex::default(),
                stats: Mutex::default(),
                grants: Mutex::default(),
                webhooks: Mutex::default(),
                outbound: webhooks::Outbound::default(),
                counter: AtomicU64::new(0),
            }),
        }
    }

    /// Every route: Stripe's API, the OAuth pages and the simulator's own `/_sim`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/oauth/authorize", get(pages::authorize))
            .route("/oauth/deny", post(pages::deny))
            .route("/login", get(pages::login).post(pages::sign_in))
            .route("/oauth/token", post(oauth::token))
            .route("/oauth/deauthorize", post(oauth::deauthorize))
            .route("/sim.css", get(pages::style))
            .route("/_sim/truth/{kind}", get(control::truth))
            .route("/_sim/advance", post(control::advance))
            .route("/_sim/step", post(control::step))
            .route("/_sim/stats", get(control::stats))
            .route("/_sim/counts", get(control::counts))
            .route("/_sim/truth", get(control::truth_of_list))
            .route("/_sim/lists", get(control::lists))
            .route("/v1/{*path}", any(api::answer))
            .route("/v2/{*path}", any(api::answer))
            .layer(from_fn_with_state(self.clone(), faults::interfere))
            .layer(map_response_with_state(self.clone(), dated))
            .with_state(self.clone())
    }

    /// The world behind it.
    #[must_use]
    pub fn world(&self) -> &dyn World {
        self.inner.world.as_ref()
    }

    /// Replaces the fault script; its counts begin again.
    pub fn set_faults(&self, script: FaultScript) {
        *self.faults() = script;
    }

    /// What has been asked so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        lock(&self.inner.stats).clone()
    }

    fn faults(&self) -> MutexGuard<'_, FaultScript> {
        lock(&self.inner.faults)
    }

    fn count(&self, path: &str, fault: bool) {
        let mut stats = lock(&self.inner.stats);
        stats.total += 1;
        stats.faults += u64::from(fault);
        *stats.by_path.entry(routes::template(path)).or_default() += 1;
    }

    fn count_refused(&self) {
        lock(&self.inner.stats).refused += 1;
    }

    fn next_request_id(&self) -> RequestId {
        RequestId(format!("req_{}", self.token("request", 14)))
    }

    /// A fresh identifier of `length` letters and digits (at most 64); the same in every run.
    fn token(&self, purpose: &str, length: usize) -> String {
        let count = self.inner.counter.fetch_add(1, Ordering::Relaxed);
        hex::encode(Sha256::digest(format!("{purpose}:{count}"))).chars().take(length).collect()
    }

    /// The account whose objects the world holds.
    fn account_id(&self) -> &str {
        &self.inner.account_id
    }

    fn clock(&self) -> i64 {
        self.inner.options.clock.as_ref().map_or_else(|| self.inner.world.now(), |clock| clock())
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

/// Every answer says what time it is in the simulated world.
async fn dated(State(sim): State<Sim>, mut answer: Response) -> Response {
    let now =
        chrono::DateTime::from_timestamp(sim.clock(), 0).map(|now| now.format("%a, %d %b %Y %H:%M:%S GMT"));
    if let Some(date) = now.and_then(|now| HeaderValue::from_str(&now.to_string()).ok()) {
        answer.headers_mut().insert(DATE, date);
    }
    answer
}

/// Locks, going on with what a panicked holder left.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
