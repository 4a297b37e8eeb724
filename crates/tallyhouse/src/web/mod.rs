//! The pages: plain links and forms that work without scripts, made better by them.
//!
//! [`App`] holds what the pages need, each behind a trait where the rest of the program decides; [`router`] gives the
//! routes. What a person may do is decided by the type a handler asks for (`Admin`, `Analyst`, `Viewer`), and every form goes
//! through `Posted`, which wants the session's CSRF token. Webhooks (`hooks`) are let in by Stripe's signature instead.

mod access;
mod asset;
mod auth;
mod callback;
mod completeness;
mod connect;
mod connection;
mod connections;
mod endpoints;
mod error;
mod form;
mod from_reports;
mod grants;
mod guard;
mod hashing;
mod home;
mod hooks;
mod join;
mod live;
mod model;
mod numbers;
mod page;
mod sign_in;
mod signing;
#[cfg(test)]
mod tests;
mod words;

use std::{fmt, sync::Arc};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    response::Redirect,
    routing::{get, post},
};
use chrono_tz::Tz;
use secrecy::SecretString;
use store::{Connection, Passwords, Store};
use stripe_api::Clock;
use tokio_util::task::TaskTracker;
use tower_http::compression::CompressionLayer;
use url::Url;

pub use access::{AccessError, Granted, StripeAccess};
pub use from_reports::WarehouseNumbers;
pub use model::{ProgressView, StartError, SyncControl, SyncPhase, TableProgressView, TableStanding};
pub use numbers::{Amount, Axis, Card, Chart, Numbers, NumbersError, Point, Series, Shape, Unit};

use auth::{Admin, Analyst, Viewer};
use error::Refusal;

use crate::inbox::Inbox;

/// The longest form that is read.
const LONGEST_FORM: usize = 64 * 1024;

/// What the pages need. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct App {
    inner: Arc<Parts>,
    hashing: hashing::Hashing,
    /// What was asked for and is being done, whether or not anybody still waits for it.
    begun: TaskTracker,
    grants: Arc<grants::Grants>,
    endpoints: Arc<endpoints::Endpoints>,
}

/// The parts of an [`App`].
pub struct Parts {
    /// Users, sessions, connections.
    pub store: Arc<Store>,
    /// Starts updates and tells how they go.
    pub sync: Arc<dyn SyncControl>,
    /// The numbers of the first page.
    pub numbers: Arc<dyn Numbers>,
    /// Asks Stripe whose account a key or an authorization is of.
    pub stripe: Arc<dyn StripeAccess>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// What the configuration says.
    pub settings: Settings,
    /// Where webhooks go.
    pub inbox: Inbox,
}

/// What the configuration says about the pages.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where people reach this installation: Stripe sends them back to it, and cookies are Secure when it is https.
    pub public_url: Url,
    /// How to send people to Stripe; none when the owner has no Connect platform.
    pub oauth: Option<OauthSettings>,
    /// The time zone that times are shown in, and months are counted in for accounts whose own is not known.
    pub time_zone: Tz,
    /// What signs webhooks to the endpoint of the owner's Connect platform; empty when there is none.
    pub webhook_secrets: Vec<SecretString>,
}

/// How to send people to Stripe.
#[derive(Debug, Clone)]
pub struct OauthSettings {
    /// Where Stripe's Connect pages are: `https://connect.stripe.com`.
    pub connect_url: Url,
    /// The platform's `ca_...`.
    pub client_id: String,
    /// `read_only`, or `read_write` for platforms that Stripe does not grant the former.
    pub scope: String,
    /// The platform's key is a live one, so that only live accounts can be joined with it.
    pub livemode: bool,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            inner: Arc::new(parts),
            hashing: hashing::Hashing::default(),
            begun: TaskTracker::new(),
            grants: Arc::default(),
            endpoints: Arc::default(),
        }
    }

    /// Waits until what was asked for is done, also where whoever asked did not wait. For the end: no page may be served
    /// any more.
    pub async fn finished(&self) {
        self.begun.close();
        self.begun.wait().await;
    }

    /// Whether people come over https, so that cookies must not leave it.
    fn is_secure(&self) -> bool {
        self.settings.public_url.scheme() == "https"
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.inner
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Whose days and months a connection's numbers are of: the account's own time zone, as its owner sees it at Stripe;
/// `otherwise` where Stripe told none, or one that is not known here.
fn zone_of(connection: &Connection, otherwise: Tz) -> Tz {
    let Some(told) = &connection.time_zone else { return otherwise };
    told.parse().unwrap_or_else(|_| {
        tracing::warn!(
            connection = connection.name,
            time_zone = told,
            "the account's time zone is not known"
        );
        otherwise
    })
}

/// Every route.
pub fn router(app: App) -> Router {
    // What changes connections. A change has several steps, which one who closes the page must not end halfway.
    let changes = Router::new()
        .route("/admin/connections/update", post(connections::update_all))
        .route("/admin/connections/new/stripe/oauth", post(connect::begin_oauth))
        .route("/admin/connections/new/stripe/key", post(connect::paste_key))
        .route(callback::PATH, get(callback::arrive))
        .route("/admin/connections/{name}/update", post(connection::update))
        .route("/admin/connections/{name}/pause", post(connection::pause))
        .route("/admin/connections/{name}/resume", post(connection::resume))
        .route("/admin/connections/{name}/delete", post(connection::delete))
        .route("/admin/connections/{name}/webhook-secrets", post(signing::add))
        .route("/admin/connections/{name}/webhook-secrets/remove", post(signing::remove))
        .layer(from_fn_with_state(app.clone(), guard::to_its_end));
    let pages = Router::new()
        .route("/", get(home::show))
        .route("/setup", get(sign_in::setup_form).post(sign_in::setup))
        .route("/login", get(sign_in::login_form).post(sign_in::login))
        .route("/logout", post(sign_in::logout))
        .route("/admin", get(|| async { Redirect::to("/admin/connections") }))
        .route("/admin/connections", get(connections::list))
        .route("/admin/connections/new", get(connect::gallery))
        .route("/admin/connections/new/stripe", get(connect::authorization))
        .route("/admin/connections/{name}", get(connection::show))
        .route("/admin/connections/{name}/events", get(live::events))
        .merge(changes)
        .fallback(error::nowhere)
        .layer(from_fn_with_state(app.clone(), guard::pages));
    Router::new()
        .route("/assets/{*path}", get(asset::serve))
        .merge(pages)
        .layer(DefaultBodyLimit::max(LONGEST_FORM))
        .layer(CompressionLayer::new())
        // Their bodies are larger than forms, and bounded by themselves.
        .merge(hooks::router())
        .layer(from_fn_with_state(app.clone(), guard::every_answer))
        .with_state(app)
}
