use std::io;
use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::oauth_states::OauthStateError;
use crate::setup::SetupTokenError;
use crate::vault::VaultError;

/// Why the store could not do what was asked. No message holds a secret or a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database file could not be made or made private.
    #[error("could not open the store at {path}")]
    File {
        /// The database file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// The schema could not be brought up to date.
    #[error("could not bring the store's schema up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A statement failed.
    #[error("could not {doing}")]
    Database {
        /// What was attempted.
        doing: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// A stored value does not read back; the file was changed by something else, or by a newer version.
    #[error("the store holds a {what} that this version cannot read")]
    Unreadable {
        /// Which value.
        what: &'static str,
    },
    /// A value could not be put into JSON.
    #[error("could not write a {what} as JSON")]
    Json {
        /// Which value.
        what: &'static str,
        /// What the encoder said.
        #[source]
        source: serde_json::Error,
    },
    /// There is no such row.
    #[error("there is no such {what}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// The text is no email address.
    #[error("this is not an email address")]
    InvalidEmail,
    /// Someone already has this email address.
    #[error("a user with this email address exists already")]
    EmailTaken,
    /// Changing this user would leave nobody who may administer.
    #[error("this is the last administrator: make another one first")]
    LastAdmin,
    /// There is a user already, so the first administrator cannot be made any more.
    #[error("setup is done already: sign in instead")]
    AlreadySetUp,
    /// The one-time setup link is not good.
    #[error(transparent)]
    SetupToken(#[from] SetupTokenError),
    /// Too many attempts to sign in with this email address.
    #[error("too many attempts to sign in; try again after {until}")]
    Throttled {
        /// When the next attempt is heard.
        until: DateTime<Utc>,
    },
    /// A connection's name cannot be a schema name.
    #[error("a connection's name is 1 to 63 of a-z, 0-9 and _, and does not begin with a digit")]
    InvalidName,
    /// Another connection has this name.
    #[error("a connection named {name} exists already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The account is connected already, in the same mode.
    #[error("this Stripe account is connected already, as {existing}")]
    AccountConnected {
        /// The name of the connection that has it.
        existing: String,
    },
    /// Credentials of another account, or of the other mode, were offered for a connection.
    #[error(
        "these credentials are of {got}, but the connection is of {expected}: sign in to that account instead"
    )]
    OtherAccount {
        /// The account and mode of the connection.
        expected: String,
        /// The account and mode of the credentials.
        got: String,
    },
    /// The connection has this webhook signing secret already.
    #[error("this signing secret is stored already")]
    SecretKnown,
    /// The OAuth state is not good.
    #[error(transparent)]
    OauthState(#[from] OauthStateError),
    /// Sealing or opening a secret failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Says what a database call was for.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Database { doing, source })
    }
}
