//! Accepted credentials: a connection is made, or goes on with them.

use secrecy::SecretString;
use store::{Connection, How, NewConnection, Reauthentication, Status, StoreError};
use stripe_api::Account;

use super::{App, Refusal, Viewer, sign_in::audit, words::sentence};

/// What new credentials are for.
pub(super) enum Purpose {
    /// A connection of this name.
    Make(String),
    /// This connection goes on with them.
    Again(Box<Connection>),
}

/// Credentials that Stripe accepted.
pub(super) struct Accepted {
    pub(super) account: Account,
    pub(super) livemode: bool,
    pub(super) how: How,
    pub(super) credentials: SecretString,
}

/// A connection that has its credentials.
pub(super) struct Joined {
    /// Where to go.
    pub(super) to: String,
    /// The address has a note already.
    pub(super) noted: bool,
}

/// Stores accepted credentials and begins the copy; or says, in a sentence, why they do not fit.
pub(super) async fn join(
    app: &App,
    viewer: &Viewer,
    purpose: Purpose,
    accepted: Accepted,
) -> Result<Result<Joined, String>, Refusal> {
    let (stored, name, action, news) = match purpose {
        Purpose::Make(name) => {
            let made = insert(app, name.clone(), accepted).await;
            (made.map(|()| Goes::On), name, "connection.create", "connected")
        }
        Purpose::Again(connection) => {
            let renewed = renew(app, &connection, accepted).await;
            (renewed, connection.name, "connection.reauthenticate", "reconnected")
        }
    };
    let goes = match refused(stored)? {
        Ok(goes) => goes,
        Err(text) => return Ok(Err(text)),
    };
    audit(app, viewer.id(), action, &name).await?;
    let note = match goes {
        Goes::On => begun(app, &name).await,
        Goes::Paused => "&note=paused",
    };
    Ok(Ok(Joined { to: format!("/admin/connections?{news}={name}{note}"), noted: !note.is_empty() }))
}

/// Whether updates of a connection go on by themselves.
enum Goes {
    /// They do.
    On,
    /// Somebody paused them.
    Paused,
}

/// Begins the copy; what there is to note about it.
async fn begun(app: &App, name: &str) -> &'static str {
    match app.sync.start(name).await {
        Ok(()) => "",
        Err(error) => {
            tracing::warn!(connection = name, %error, "connected, but the update did not begin");
            "&note=not_started"
        }
    }
}

async fn insert(app: &App, name: String, accepted: Accepted) -> Result<(), StoreError> {
    let Accepted { account, livemode, how, credentials } = accepted;
    let account_name = account.name.clone().unwrap_or_else(|| account.id.clone());
    let Account { id: account_id, time_zone, .. } = account;
    let new = NewConnection { name, account_id, account_name, time_zone, livemode, how, credentials };
    app.store.insert_connection(&new, app.clock.now()).await.map(|_| ())
}

/// Puts new credentials in place of the old. An update that runs still uses the old ones, so it ends before the next
/// begins, and before the status is set: its last word may be that Stripe refuses them.
async fn renew(app: &App, connection: &Connection, accepted: Accepted) -> Result<Goes, StoreError> {
    let Accepted { account, livemode, how, credentials } = accepted;
    let Account { id: account_id, time_zone, .. } = account;
    let new = Reauthentication { account_id, livemode, time_zone, how, credentials };
    app.store.replace_credentials(&connection.id, &new, app.clock.now()).await?;
    app.sync.stop(&connection.name).await;
    let status =
        if connection.last_success_began_at.is_some() { Status::Success } else { Status::Connecting };
    app.store.set_status_unless_paused(&connection.id, &status).await?;
    let now = app.store.connection(&connection.id).await?;
    let paused = now.is_some_and(|connection| connection.status == Status::Paused);
    Ok(if paused { Goes::Paused } else { Goes::On })
}

/// The store's refusals that a person can do something about, as sentences.
fn refused<T>(result: Result<T, StoreError>) -> Result<Result<T, String>, Refusal> {
    match result {
        Ok(stored) => Ok(Ok(stored)),
        Err(
            error @ (StoreError::InvalidName
            | StoreError::NameTaken { .. }
            | StoreError::AccountConnected { .. }
            | StoreError::OtherAccount { .. }),
        ) => Ok(Err(sentence(&error.to_string()))),
        Err(error) => Err(Refusal::store(error)),
    }
}
