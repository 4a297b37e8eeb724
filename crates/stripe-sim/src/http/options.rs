//! What a simulated Stripe is told when it starts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A source of the real time, in Unix seconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Everything about a [`Sim`](crate::Sim) besides the world it serves.
#[derive(Clone)]
pub struct SimOptions {
    /// API keys of the account itself.
    pub keys: Vec<Key>,
    /// Request limits; none when absent.
    pub rates: Option<RateLimits>,
    /// Applications that may ask for access through Connect.
    pub applications: Vec<Application>,
    /// People who can sign in on the OAuth pages. The first one is printed on the login page.
    pub users: Vec<User>,
    /// How much later each answer comes. Requests that are under way together wait together.
    pub latency: Duration,
    /// Objects on a page at most, however many were asked for: a small account then has long lists.
    pub page: usize,
    /// Whether the world's objects are live ones.
    pub livemode: bool,
    /// Whether `/_sim/truth/{kind}` answers without the `Sim-Truth` header.
    pub truth: bool,
    /// The API version of requests that name none.
    pub default_version: String,
    /// Signs webhooks and ages OAuth codes; the world's own clock when absent.
    pub clock: Option<Clock>,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            keys: vec![Key::full(DEMO_KEY)],
            rates: None,
            applications: vec![Application::demo()],
            users: vec![User::demo()],
            latency: Duration::ZERO,
            page: 100,
            livemode: false,
            truth: true,
            default_version: "2026-10-28.endive".to_owned(),
            clock: None,
        }
    }
}

impl fmt::Debug for SimOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimOptions").field("livemode", &self.livemode).finish_non_exhaustive()
    }
}

/// The full-access key of the demo account.
pub const DEMO_KEY: &str = "sk_test_TallyhouseDemoAccountFullKey0001";
/// The restricted key of the demo account: it may read everything and write nothing.
pub const DEMO_RESTRICTED_KEY: &str = "rk_test_TallyhouseDemoAccountReadKey0002";
/// The secret key of the demo application's platform account.
pub const DEMO_PLATFORM_KEY: &str = "sk_test_TallyhouseDemoPlatformKey0003";
/// The client id of the demo application.
pub const DEMO_CLIENT_ID: &str = "ca_demoTallyhouseSimulatedApplication";
/// The email address that signs in to the demo account.
pub const DEMO_EMAIL: &str = "owner@example.com";
/// The password that signs in to the demo account.
pub const DEMO_PASSWORD: &str = "simulated-stripe";

/// Requests allowed in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Of all kinds together, per account.
    pub per_second: u32,
    /// To one endpoint.
    pub per_endpoint: u32,
}

impl Default for RateLimits {
    /// Stripe's limits of a live account.
    fn default() -> Self {
        Self { per_second: 100, per_endpoint: 25 }
    }
}

/// An API key of the account. Its prefix tells its mode: `sk_test_`, `sk_live_`, `rk_test_`, `rk_live_`.
#[derive(Debug, Clone)]
pub struct Key {
    /// The key as clients send it.
    pub secret: String,
    /// What it opens.
    pub access: Access,
}

/// What a key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Full,
    /// Reading of every resource.
    ReadAll,
    /// Only what the named permissions allow, such as `rak_charge_read`.
    Permissions(Vec<String>),
}

impl Key {
    /// A secret key.
    pub fn full(secret: impl Into<String>) -> Self {
        Self { secret: secret.into(), access: Access::Full }
    }

    /// A restricted key with read access to everything.
    pub fn read_all(secret: impl Into<String>) -> Self {
        Self { secret: secret.into(), access: Access::ReadAll }
    }

    /// A restricted key with the named permissions, such as `rak_charge_read`.
    pub fn restricted(secret: impl Into<String>, permissions: &[&str]) -> Self {
        let permissions = permissions.iter().map(|&name| name.to_owned()).collect();
        Self { secret: secret.into(), access: Access::Permissions(permissions) }
    }
}

/// An application registered with Connect.
#[derive(Debug, Clone)]
pub struct Application {
    /// `ca_...`
    pub client_id: String,
    /// Shown to whoever is asked for access.
    pub name: String,
    /// The secret key of the platform's account.
    pub platform_key: String,
    /// Where it may be sent back to; empty for anywhere.
    pub redirect_uris: Vec<String>,
    /// Whether it may ask for `read_only`: Stripe grants that to extensions only.
    pub read_only: bool,
}

impl Application {
    /// The application that the demo registers.
    #[must_use]
    pub fn demo() -> Self {
        Self {
            client_id: DEMO_CLIENT_ID.to_owned(),
            name: "Tallyhouse".to_owned(),
            platform_key: DEMO_PLATFORM_KEY.to_owned(),
            redirect_uris: Vec::new(),
            read_only: true,
        }
    }
}

/// Somebody who can sign in on the OAuth pages.
#[derive(Debug, Clone)]
pub struct User {
    /// Email address.
    pub email: String,
    /// Password: printed on the login page, so never a real one.
    pub password: String,
}

impl User {
    /// The demo account's owner.
    #[must_use]
    pub fn demo() -> Self {
        Self { email: DEMO_EMAIL.to_owned(), password: DEMO_PASSWORD.to_owned() }
    }
}
