//! What checking a webhook needs of the store, remembered for a moment: thousands come in a second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use store::{Connection, StoreError};

use super::App;

/// How long it is believed. Secrets that a page adds or takes away count at once.
const LIFE: TimeDelta = TimeDelta::seconds(1);

/// A connection and what signs the webhooks of its own endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) connection: Connection,
    /// Those that can be opened.
    pub(super) secrets: Vec<SecretString>,
}

/// What is remembered; only of connections that there are.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    own: HashMap<String, (DateTime<Utc>, Arc<Endpoint>)>,
    all: Option<(DateTime<Utc>, Arc<Vec<Connection>>)>,
}

impl Endpoints {
    /// A connection's own endpoint; none when there is no such connection.
    pub(super) async fn of_one(&self, app: &App, id: &str) -> Result<Option<Arc<Endpoint>>, StoreError> {
        let now = app.clock.now();
        let known = self.known().own.get(id).filter(|(at, _)| is_fresh(*at, now)).cloned();
        if let Some((_, endpoint)) = known {
            return Ok(Some(endpoint));
        }
        let Some(connection) = app.store.connection(id).await? else {
            self.forget(id);
            return Ok(None);
        };
        let secrets = app.store.open_webhook_secrets(id).await?;
        let endpoint = Arc::new(Endpoint { connection, secrets });
        self.known().own.insert(id.to_owned(), (now, Arc::clone(&endpoint)));
        Ok(Some(endpoint))
    }

    /// The connections of an account: one for each mode.
    pub(super) async fn of_account(&self, app: &App, account: &str) -> Result<Vec<Connection>, StoreError> {
        let now = app.clock.now();
        let known = self.known().all.as_ref().filter(|(at, _)| is_fresh(*at, now)).cloned();
        let all = match known {
            Some((_, all)) => all,
            None => {
                let all = Arc::new(app.store.connections().await?);
                self.known().all = Some((now, Arc::clone(&all)));
                all
            }
        };
        Ok(all.iter().filter(|connection| connection.account_id == account).cloned().collect())
    }

    /// Its secrets changed.
    pub(super) fn forget(&self, id: &str) {
        self.known().own.remove(id);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that was set back makes nothing fresh for ever.
fn is_fresh(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - at).abs() < LIFE
}
