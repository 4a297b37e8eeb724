//! The part of a connection's Settings about webhooks: its endpoint's address, its signing secrets, what came.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use store::{Connection, Level, Status, StoreError, WebhookSecret};

use super::{
    Admin, App, Refusal,
    connect::known,
    connection::{settings_address, settings_refused},
    form::Posted,
    sign_in::audit,
    words::{Moment, grouped, sentence},
};
use crate::{config::is_signing_secret, inbox::LARGEST};

/// The form that adds a secret.
#[derive(Debug, Deserialize)]
pub(super) struct Adding {
    #[serde(default)]
    secret: SecretString,
}

/// The form that takes one away.
#[derive(Debug, Deserialize)]
pub(super) struct Removing {
    #[serde(default)]
    secret: String,
}

/// What the Settings show of webhooks.
pub(super) struct HooksView {
    /// Where Stripe is to send.
    pub(super) address: String,
    /// Stripe sends over https only.
    pub(super) is_secure: bool,
    /// The platform's endpoint brings the account's events too.
    pub(super) by_platform: bool,
    pub(super) secrets: Vec<SecretView>,
    pub(super) last_received: Option<Moment>,
    pub(super) received: String,
    /// How many are not in the warehouse yet, since when, and why.
    pub(super) waiting: Option<(String, Option<Moment>)>,
    pub(super) reasons: Vec<(String, String)>,
    /// So much waits that others are refused, or large ones among them.
    pub(super) is_full: bool,
    /// Why nothing is applied just now.
    pub(super) held: Option<&'static str>,
    /// How many were left to updates, and the last of them.
    pub(super) handed_over: Option<(String, Option<(Moment, String)>)>,
    pub(super) dropped: Option<(String, Option<(Moment, String)>)>,
    pub(super) rejected: Vec<(String, Moment, String)>,
}

/// A signing secret, by what may be shown of it.
pub(super) struct SecretView {
    pub(super) id: String,
    pub(super) last4: String,
    pub(super) added: Moment,
    pub(super) opens: bool,
}

/// Keeps a signing secret.
pub(super) async fn add(
    State(app): State<App>,
    Path(name): Path<String>,
    Posted { by: Admin(viewer), form }: Posted<Admin, Adding>,
) -> Result<Response, Refusal> {
    let connection = known(&app, &viewer, &name).await?;
    let secret = SecretString::from(form.secret.expose_secret().trim().to_owned());
    if !is_signing_secret(secret.expose_secret()) {
        let text = "A signing secret begins with whsec_. Stripe's dashboard shows it on the endpoint's page.";
        return settings_refused(&app, &viewer, connection, text.to_owned()).await;
    }
    let added = match app.store.add_webhook_secret(&connection.id, &secret, app.clock.now()).await {
        Ok(added) => added,
        Err(error @ StoreError::SecretKnown) => {
            return settings_refused(&app, &viewer, connection, sentence(&error.to_string())).await;
        }
        Err(error) => return Err(Refusal::store(error)),
    };
    app.endpoints.forget(&connection.id);
    let subject = format!("{} …{}", connection.name, added.last4);
    audit(&app, viewer.id(), "connection.webhook_secret_add", &subject).await?;
    Ok(Redirect::to(&settings_address(&connection)).into_response())
}

/// Forgets a signing secret.
pub(super) async fn remove(
    State(app): State<App>,
    Path(name): Path<String>,
    Posted { by: Admin(viewer), form }: Posted<Admin, Removing>,
) -> Result<Response, Refusal> {
    let connection = known(&app, &viewer, &name).await?;
    let secrets = app.store.webhook_secrets(&connection.id).await.map_err(Refusal::store)?;
    // Gone already is as good.
    if let Some(WebhookSecret { id, last4, .. }) = secrets.iter().find(|secret| secret.id == form.secret) {
        match app.store.remove_webhook_secret(&connection.id, id).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(Refusal::store(error)),
        }
        app.endpoints.forget(&connection.id);
        let subject = format!("{} …{last4}", connection.name);
        audit(&app, viewer.id(), "connection.webhook_secret_remove", &subject).await?;
    }
    Ok(Redirect::to(&settings_address(&connection)).into_response())
}

/// What the Settings of a connection show.
pub(super) async fn hooks_view(app: &App, connection: &Connection) -> Result<HooksView, Refusal> {
    let secrets = app.store.webhook_secrets(&connection.id).await.map_err(Refusal::store)?;
    let inbox = app.store.inbox(&connection.id).await.map_err(Refusal::store)?;
    let level = app.store.inbox_level(&connection.id).await.map_err(Refusal::store)?;
    // The writer has room for the one that Stripe sends next, however large it is.
    let one_more = Level { events: level.events + 1, bytes: level.bytes + LARGEST as u64 };
    let moment = |at| Moment::new(at, app.clock.now(), app.settings.time_zone);
    let secret = |WebhookSecret { id, last4, added_at, opens }| {
        let added = moment(added_at);
        SecretView { id, last4, added, opens }
    };
    let last = |(at, why): (_, String)| (moment(at), sentence(&why));
    let public = app.settings.public_url.as_str().trim_end_matches('/');
    Ok(HooksView {
        address: format!("{public}/webhooks/stripe/{}", connection.id),
        is_secure: app.is_secure(),
        by_platform: !app.settings.webhook_secrets.is_empty() && connection.how == store::How::Oauth,
        secrets: secrets.into_iter().map(secret).collect(),
        last_received: inbox.last_received_at.map(moment),
        received: grouped(inbox.received),
        waiting: (inbox.waiting > 0).then(|| (grouped(inbox.waiting), inbox.oldest_at.map(moment))),
        is_full: !app.inbox.bound().holds(one_more),
        held: held(&connection.status),
        reasons: inbox.reasons.into_iter().map(|(why, count)| (grouped(count), sentence(&why))).collect(),
        handed_over: (inbox.handed_over > 0)
            .then(|| (grouped(inbox.handed_over), inbox.last_handed_over.map(last))),
        dropped: (inbox.dropped > 0).then(|| (grouped(inbox.dropped), inbox.last_dropped.map(last))),
        rejected: inbox.rejected.into_iter().map(|(id, at, why)| (id, moment(at), sentence(&why))).collect(),
    })
}

/// Why nothing that came is applied, whatever it is.
fn held(status: &Status) -> Option<&'static str> {
    match status {
        Status::Paused => Some("Updates are paused: they are applied when you resume them."),
        Status::ReauthenticationRequired { .. } => {
            Some("Stripe does not let us in any more: connect again, and they are applied.")
        }
        Status::Connecting
        | Status::Backfilling { .. }
        | Status::Success
        | Status::Delayed { .. }
        | Status::Partial { .. }
        | Status::Failed { .. } => None,
    }
}
