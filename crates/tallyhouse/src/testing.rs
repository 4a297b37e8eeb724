//! Connections for tests.

use chrono::DateTime;
use secrecy::SecretString;
use store::{Connection, How, NewConnection, Status};

/// One that is up to date and never began a cycle.
pub(crate) fn connection(name: &str) -> Connection {
    Connection {
        id: "con_1".to_owned(),
        name: name.to_owned(),
        source: "stripe".to_owned(),
        account_id: "acct_1".to_owned(),
        account_name: "Shop".to_owned(),
        time_zone: None,
        livemode: false,
        how: How::ApiKey,
        status: Status::Success,
        created_at: DateTime::UNIX_EPOCH,
        credentials_at: DateTime::UNIX_EPOCH,
        last_started_at: None,
        last_duration_ms: None,
        last_success_began_at: None,
        last_data_at: None,
    }
}

/// One to be stored.
pub(crate) fn new_connection(name: &str, key: &str) -> NewConnection {
    NewConnection {
        name: name.to_owned(),
        account_id: "acct_1".to_owned(),
        account_name: "Shop".to_owned(),
        time_zone: None,
        livemode: false,
        how: How::ApiKey,
        credentials: SecretString::from(key),
    }
}
