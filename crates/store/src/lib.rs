//! Who may see it: users, sessions, connections with sealed credentials, leases, audit; and what Stripe pushed, until it is in
//! the warehouse.
//!
//! Everything rests in one SQLite file. The SQL is plain, ids are text and times are whole unix microseconds, so that
//! another database could follow. Time is always a parameter. Tokens are stored only as SHA-256, credentials only sealed.

mod audit;
mod browsers;
mod connections;
mod cycles;
mod error;
mod inbox;
mod leases;
mod oauth_states;
mod passwords;
mod sessions;
mod setup;
mod store;
mod throttle;
mod token;
mod users;
mod vault;
mod webhook_secrets;

pub use crate::audit::AuditEntry;
pub use crate::browsers::BROWSER_LIFETIME;
pub use crate::connections::{Connection, How, NewConnection, Reauthentication, RunMark, Status};
pub use crate::cycles::{Cycle, CycleEnd, Outcome};
pub use crate::error::StoreError;
pub use crate::inbox::{Delivery, Due, Inbox, Level, Postponed, Settled, Waiting};
pub use crate::leases::Lease;
pub use crate::oauth_states::{OauthPurpose, OauthStateError};
pub use crate::passwords::{PasswordDigest, PasswordError, Passwords};
pub use crate::sessions::{NewSession, SESSION_LIFETIME, Session};
pub use crate::setup::SetupTokenError;
pub use crate::store::Store;
pub use crate::throttle::{CheckedLogin, LOGIN_LIMIT, LOGIN_WINDOW, Login};
pub use crate::users::{NewUser, Role, User};
pub use crate::vault::{MasterKey, VaultError};
pub use crate::webhook_secrets::WebhookSecret;
