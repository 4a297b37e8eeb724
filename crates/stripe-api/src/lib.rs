//! How Stripe is asked: transport, rate budgets, retries; and whether a [`webhook`] is Stripe's.
//!
//! An account is only read, by construction: the one verb of [`Stripe`] is GET. [`Connect`] asks for access and gives it back. A request that returns has been paced by the account's budget
//! and repeated as often as makes sense; an error says what happened and whether asking again later can help.

mod account;
mod budget;
mod client;
mod connect;
mod endpoint;
mod error;
mod key;
mod lane;
mod readings;
mod redact;
mod transport;
pub mod webhook;

use chrono::{DateTime, Utc};

pub use account::Account;
pub use budget::{Backlog, Rates};
pub use client::{Answer, Config, RetryPolicy, Stripe};
pub use connect::{Connect, ConnectError, Grant};
pub use error::{Retry, StripeError};
pub use key::{BadKey, KeyKind, Mode};
pub use readings::Reading;
pub use transport::{Carried, InProcess, install_tls};

/// The API version that every request asks for; the catalogue is made from the same one.
pub const API_VERSION: &str = "2026-10-28.endive";

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> DateTime<Utc>;
}
