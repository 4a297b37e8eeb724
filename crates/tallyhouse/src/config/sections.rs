//! The sections of the configuration and their defaults.

use std::{net::SocketAddr, path::PathBuf};

use chrono_tz::Tz;
use secrecy::SecretString;
use serde::Deserialize;
use stripe_api::{Mode, Rates};
use url::Url;

/// Where the pages are and how they tell time.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Where people reach the pages; by default where they are listened for.
    pub public_url: Option<Url>,
    /// The time zone that times are shown in, and months are counted in for accounts whose own is not known.
    pub time_zone: Tz,
}

/// When tables are brought up to date.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Updates {
    /// Minutes between the beginnings of two update cycles of a connection; 0 leaves them to people.
    pub every_minutes: u32,
}

/// How much may wait of what Stripe pushes, for each connection. Beyond that webhooks are answered with 503, and Stripe
/// sends them again for three days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Events.
    pub most_waiting: u64,
    /// Megabytes of their bodies.
    pub most_waiting_mb: u64,
}

/// What seals credentials.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// 64 hexadecimal digits; by default the file `master.key` within the data folder, made at the first start.
    pub master_key: Option<SecretString>,
    /// A file that holds them.
    pub master_key_file: Option<PathBuf>,
}

/// Where Stripe lives and how it may be asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stripe {
    /// Stripe's API.
    pub api_url: Url,
    /// Stripe's pages for giving access.
    pub connect_url: Url,
    /// The `ca_...` of your Stripe Connect platform. Without one, accounts are joined by a pasted key.
    pub client_id: Option<String>,
    /// The platform's secret key.
    pub platform_key: Option<SecretString>,
    /// A file that holds it.
    pub platform_key_file: Option<PathBuf>,
    /// What signs webhooks to the platform's endpoint: `whsec_...`, two of them with a space between while one rolls.
    pub webhook_secret: Option<SecretString>,
    /// A file that holds it.
    pub webhook_secret_file: Option<PathBuf>,
    /// What is asked for: `read_only`, or `read_write` for platforms to which Stripe does not grant the former.
    pub oauth_scope: OauthScope,
    /// Requests a second, all together; unless told, what [`Stripe::rates`] says of the account's mode.
    pub requests_per_second: Option<u32>,
    /// Requests a second to one endpoint. Stripe allows 25.
    pub requests_per_second_per_endpoint: u32,
    /// Requests under way at once.
    pub concurrent_requests: u32,
}

impl Stripe {
    /// How fast an account of this mode may be asked. Stripe allows 100 requests a second for a live account and 25 for a
    /// sandbox; unless the configuration says otherwise a fifth of them is left to the owner's own programs.
    #[must_use]
    pub fn rates(&self, mode: Mode) -> Rates {
        let usual = match mode {
            Mode::Live => 80,
            Mode::Test => 20,
        };
        Rates {
            per_second: self.requests_per_second.unwrap_or(usual),
            per_endpoint: self.requests_per_second_per_endpoint,
            concurrent: self.concurrent_requests,
        }
    }
}

/// A scope of Stripe Connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OauthScope {
    /// Reading only.
    ReadOnly,
    /// What most platforms get. Tallyhouse only reads with it.
    ReadWrite,
}

impl OauthScope {
    /// As Stripe spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::ReadWrite => "read_write",
        }
    }
}

/// How the warehouse may use the machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Warehouse {
    /// Memory that DuckDB may take, in megabytes.
    pub memory_limit_mb: u32,
    /// Threads that DuckDB may take; half of the machine's unless told.
    pub threads: u16,
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8420)), public_url: None, time_zone: Tz::UTC }
    }
}

impl Default for Updates {
    fn default() -> Self {
        Self { every_minutes: 15 }
    }
}

impl Default for Webhooks {
    fn default() -> Self {
        Self { most_waiting: 200_000, most_waiting_mb: 1_024 }
    }
}

impl Default for Stripe {
    fn default() -> Self {
        Self {
            api_url: known("https://api.stripe.com"),
            connect_url: known("https://connect.stripe.com"),
            client_id: None,
            platform_key: None,
            platform_key_file: None,
            webhook_secret: None,
            webhook_secret_file: None,
            oauth_scope: OauthScope::ReadOnly,
            requests_per_second: None,
            requests_per_second_per_endpoint: 24,
            concurrent_requests: 64,
        }
    }
}

impl Default for Warehouse {
    fn default() -> Self {
        Self { memory_limit_mb: 64, threads: half_of_the_cores() }
    }
}

/// The other half fetches. On two cores a second thread of DuckDB's mostly waits for the first, and waits busily: it
/// costs a first copy a fifth of its time.
fn half_of_the_cores() -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(cores / 2).unwrap_or(u16::MAX).max(1)
}

#[expect(clippy::expect_used, reason = "only called with addresses that are part of the program")]
fn known(address: &str) -> Url {
    Url::parse(address).expect("a known address parses")
}
