use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::store::time;

/// A Stripe account whose data is copied. The credentials are not part of it: see [`credentials`](crate::Store::credentials).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// `con_...`; never changes.
    pub id: String,
    /// The name of its schema in the warehouse.
    pub name: String,
    /// Where the data comes from: `stripe`.
    pub source: String,
    /// Stripe's `acct_...`.
    pub account_id: String,
    /// What the account calls itself.
    pub account_name: String,
    /// The account's time zone as Stripe names it ("Europe/Berlin"), if it was told.
    pub time_zone: Option<String>,
    /// Live data, not test data.
    pub livemode: bool,
    /// How access was given.
    pub how: How,
    /// How it is doing.
    pub status: Status,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When the credentials were given.
    pub credentials_at: DateTime<Utc>,
    /// When the last update began.
    pub last_started_at: Option<DateTime<Utc>>,
    /// How long the last update that ended took.
    pub last_duration_ms: Option<i64>,
    /// When the last update that succeeded began: everything before is stored.
    pub last_success_began_at: Option<DateTime<Utc>>,
    /// When the last update brought rows.
    pub last_data_at: Option<DateTime<Utc>>,
}

/// How access to an account was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Through Stripe's own page.
    Oauth,
    /// A restricted key was typed in.
    ApiKey,
}

/// How a connection is doing. The sync sets all but `Paused`, which a user sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// Made, and nothing copied yet.
    Connecting,
    /// The first copy runs.
    Backfilling {
        /// 0 to 100.
        percent: u8,
    },
    /// The last update brought everything.
    Success,
    /// Updates are later than they should be.
    Delayed {
        /// Since when.
        since: DateTime<Utc>,
        /// Why, in a sentence.
        why: String,
    },
    /// Some tables are up to date, some are not.
    Partial {
        /// Why, in a sentence.
        why: String,
    },
    /// Stripe refuses the credentials; someone must connect again.
    ReauthenticationRequired {
        /// Why, in a sentence.
        why: String,
    },
    /// A user stopped the updates.
    Paused,
    /// The last update brought nothing.
    Failed {
        /// Why, in a sentence.
        why: String,
    },
}

/// A connection to be made.
#[derive(Debug)]
pub struct NewConnection {
    /// A schema name: `[a-z_][a-z0-9_]{0,62}`.
    pub name: String,
    /// Stripe's `acct_...`.
    pub account_id: String,
    /// What the account calls itself.
    pub account_name: String,
    /// The account's time zone as Stripe names it, if it is told.
    pub time_zone: Option<String>,
    /// Live data, not test data.
    pub livemode: bool,
    /// How access was given.
    pub how: How,
    /// What to authenticate with.
    pub credentials: SecretString,
}

/// New credentials for a connection, and whose they are.
#[derive(Debug)]
pub struct Reauthentication {
    /// Must be the connection's own.
    pub account_id: String,
    /// Must be the connection's own.
    pub livemode: bool,
    /// The account's time zone; none leaves the one that is stored.
    pub time_zone: Option<String>,
    /// How access was given.
    pub how: How,
    /// What to authenticate with.
    pub credentials: SecretString,
}

/// What an update that ended leaves on its connection.
#[derive(Debug, Clone, Copy)]
pub struct RunMark {
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// Whether everything came.
    pub success: bool,
    /// Whether any row came.
    pub brought_rows: bool,
}

impl How {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Oauth => "oauth",
            Self::ApiKey => "api_key",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "oauth" => Ok(Self::Oauth),
            "api_key" => Ok(Self::ApiKey),
            _ => Err(StoreError::Unreadable { what: "way of access" }),
        }
    }
}

impl Status {
    pub(super) fn text(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|source| StoreError::Json { what: "status", source })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: String,
    name: String,
    source: String,
    account_id: String,
    account_name: String,
    time_zone: Option<String>,
    livemode: bool,
    how: String,
    pub(super) credentials: String,
    status: String,
    created_at: i64,
    credentials_at: Option<i64>,
    last_started_at: Option<i64>,
    last_duration_ms: Option<i64>,
    last_success_began_at: Option<i64>,
    last_data_at: Option<i64>,
}

impl Row {
    pub(super) fn connection(self) -> Result<Connection, StoreError> {
        let status =
            serde_json::from_str(&self.status).map_err(|_| StoreError::Unreadable { what: "status" })?;
        Ok(Connection {
            id: self.id,
            name: self.name,
            source: self.source,
            account_id: self.account_id,
            account_name: self.account_name,
            time_zone: self.time_zone,
            livemode: self.livemode,
            how: How::parse(&self.how)?,
            status,
            created_at: time(self.created_at)?,
            credentials_at: time(self.credentials_at.unwrap_or(self.created_at))?,
            last_started_at: self.last_started_at.map(time).transpose()?,
            last_duration_ms: self.last_duration_ms,
            last_success_began_at: self.last_success_began_at.map(time).transpose()?,
            last_data_at: self.last_data_at.map(time).transpose()?,
        })
    }
}
