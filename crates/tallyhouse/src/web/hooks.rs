//! Webhooks: the one door that needs no session. What opens it is Stripe's signature over the bytes as they came.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::BytesMut;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use store::{Connection, Delivery, StoreError};
use stripe_api::webhook::{SIGNATURE_HEADER, SignatureError, plausible, verify};

use super::{App, words::sentence};
use crate::inbox::{Done, LARGEST, Room, What};

/// How long a body may take to come: what has come of it takes others' room meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
/// The event that tells a platform that an account's owner ended its access (trap 27).
const DEAUTHORIZED: &str = "account.application.deauthorized";
/// What the connection's status says then.
const ENDED: &str =
    "the account's owner ended the access at Stripe. Connect again, or paste a restricted key";

const OTHER_ACCOUNT: &str = "it is of another Stripe account than the connection's";
const TEST_EVENT: &str = "it is of test data, but the connection is of live data";
const LIVE_EVENT: &str = "it is of live data, but the connection is of test data";

/// The endpoints that Stripe sends to.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/webhooks/stripe", post(of_the_platform))
        .route("/webhooks/stripe/{connection}", post(of_one))
}

/// Taken: whatever the sentence says, Stripe need not send it again.
struct Taken(&'static str);

/// Why Stripe gets no 2xx, and so sends it again.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("there is no connection with this address: it was deleted, or the address has a mistake")]
    NoConnection,
    #[error(
        "no signing secret is stored for this address that can be used: copy it from the endpoint's page in Stripe's \
         dashboard into the Settings of the connection"
    )]
    NoSecret,
    #[error(
        "this address is for the endpoint of a Stripe Connect platform, and its signing secret is not configured: set \
         stripe.webhook_secret, or send to the address that a connection's Settings show"
    )]
    NoPlatform,
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error(
        "the event names no account, so it is not from an endpoint for connected accounts: send it to the address that \
         the connection's Settings show"
    )]
    NoAccount,
    #[error("the body is larger than {} bytes", LARGEST)]
    TooLarge,
    #[error("the body did not come in time")]
    Slow,
    #[error("the body ended before it was whole")]
    Cut,
    #[error("too much waits to be stored just now; send it again later")]
    Busy,
    #[error(
        "as many webhooks of this connection wait as may (webhooks.most_waiting, most_waiting_mb): its Settings say why; \
         send it again later"
    )]
    Full,
    #[error("it could not be stored; send it again later")]
    Failed,
}

/// What is read of an event before it is stored: whose it is.
#[derive(Debug, Default, Deserialize)]
struct Envelope {
    id: Option<String>,
    /// Of a connected account, on endpoints of platforms.
    account: Option<String>,
    /// The same, of thin events.
    context: Option<String>,
    livemode: Option<bool>,
    #[serde(rename = "type")]
    name: Option<String>,
    created: Option<serde_json::Value>,
}

async fn of_one(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    answer(take_of_one(&app, &id, request).await, &id)
}

async fn of_the_platform(State(app): State<App>, request: Request) -> Response {
    answer(take_of_platform(&app, request).await, "the platform")
}

fn answer(taken: Result<Taken, Refused>, whose: &str) -> Response {
    let refused = match taken {
        Ok(Taken(words)) => return words.into_response(),
        Err(refused) => refused,
    };
    let status = match refused {
        Refused::NoConnection => StatusCode::NOT_FOUND,
        Refused::NoSecret
        | Refused::NoPlatform
        | Refused::Signature(_)
        | Refused::NoAccount
        | Refused::Cut => StatusCode::BAD_REQUEST,
        Refused::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refused::Slow => StatusCode::REQUEST_TIMEOUT,
        Refused::Busy | Refused::Full | Refused::Failed => StatusCode::SERVICE_UNAVAILABLE,
    };
    if matches!(refused, Refused::Full) {
        // The inbox says once when it is full, and once when it is not any more.
        tracing::debug!(whose, "refused a webhook: {refused}");
    } else {
        tracing::warn!(whose, status = status.as_u16(), "refused a webhook: {refused}");
    }
    let words = sentence(&refused.to_string());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return (status, [(header::RETRY_AFTER, "5")], words).into_response();
    }
    (status, words).into_response()
}

/// A connection's own endpoint.
async fn take_of_one(app: &App, id: &str, request: Request) -> Result<Taken, Refused> {
    let endpoint = app.endpoints.of_one(app, id).await.map_err(failed)?.ok_or(Refused::NoConnection)?;
    if endpoint.secrets.is_empty() {
        return Err(Refused::NoSecret);
    }
    let sent = Sent::read(app, request).await?;
    sent.check(&endpoint.secrets, app.clock.now())?;
    let event = sent.envelope();
    let connection = &endpoint.connection;
    let other = event.account().is_some_and(|account| account != connection.account_id);
    let why = if other { Some(OTHER_ACCOUNT) } else { event.wrong_mode(connection) };
    match why {
        Some(why) => drop_it(app, connection, why, sent.room).await,
        None => keep(app, connection, event, sent).await,
    }
}

/// The endpoint of the Connect platform: it hears of every account, in both modes (trap 21).
async fn take_of_platform(app: &App, request: Request) -> Result<Taken, Refused> {
    let secrets = &app.settings.webhook_secrets;
    if secrets.is_empty() {
        return Err(Refused::NoPlatform);
    }
    let sent = Sent::read(app, request).await?;
    sent.check(secrets, app.clock.now())?;
    let event = sent.envelope();
    let account = event.account().ok_or(Refused::NoAccount)?;
    let connections = app.endpoints.of_account(app, account).await.map_err(failed)?;
    let Some(connection) = connections.iter().find(|connection| event.wrong_mode(connection).is_none())
    else {
        return match connections.first() {
            Some(other) => {
                let why = event.wrong_mode(other).unwrap_or(OTHER_ACCOUNT);
                drop_it(app, other, why, sent.room).await
            }
            None => {
                tracing::info!(account, "dropped a webhook of an account that is not connected");
                Ok(Taken("Received and dropped: the account is not connected here."))
            }
        };
    };
    if event.name.as_deref() == Some(DEAUTHORIZED) {
        return end_access(app, connection, &event).await;
    }
    keep(app, connection, event, sent).await
}

/// Somebody must connect again. It is done to its end, also when whoever told it does not wait.
async fn end_access(app: &App, connection: &Connection, event: &Envelope) -> Result<Taken, Refused> {
    let at = event.created.as_ref().and_then(serde_json::Value::as_i64);
    let at = at.and_then(|second| DateTime::from_timestamp(second, 0)).unwrap_or_else(|| app.clock.now());
    let ending = note_ended_access(app.clone(), connection.clone(), at);
    match app.begun.spawn(ending).await {
        Ok(Ok(true)) => Ok(Taken("Received: the connection waits for somebody who connects again.")),
        Ok(Ok(false)) => Ok(Taken("Received: it concerns no present access.")),
        Ok(Err(error)) => Err(failed(error)),
        Err(error) => {
            tracing::error!(%error, connection = connection.name, "could not note that access ended");
            Err(Refused::Failed)
        }
    }
}

/// Whether access ended by this. Credentials that were given later are not concerned, nor is what was told before.
async fn note_ended_access(app: App, connection: Connection, at: DateTime<Utc>) -> Result<bool, StoreError> {
    let Connection { id, name, .. } = &connection;
    if !app.store.end_access(id, at, ENDED).await? {
        return Ok(false);
    }
    app.store.append_audit("stripe", "connection.access_ended", name, app.clock.now()).await?;
    app.sync.stop(name).await;
    // An update that was ending just then may have said how it went.
    app.store.end_access(id, at, ENDED).await?;
    Ok(true)
}

async fn keep(app: &App, connection: &Connection, event: Envelope, sent: Sent) -> Result<Taken, Refused> {
    let Sent { body, room, .. } = sent;
    // One that cannot be understood is kept too, to be shown; repeated, it is the same again.
    let event_id = event.id.unwrap_or_else(|| format!("sha256:{}", hex::encode(Sha256::digest(&body))));
    let (connection_id, received_at) = (connection.id.clone(), app.clock.now());
    let delivery = Delivery { connection_id, event_id, received_at, body: body.into() };
    match app.inbox.put(What::Keep { delivery, name: connection.name.clone() }, room).await {
        Done::Stored => Ok(Taken("Received.")),
        Done::Gone => Err(Refused::NoConnection),
        Done::Full => Err(Refused::Full),
        Done::Failed => Err(Refused::Failed),
    }
}

/// Taken, so that Stripe does not send it again, counted, and shown on the connection's page.
async fn drop_it(
    app: &App,
    connection: &Connection,
    why: &'static str,
    room: Room,
) -> Result<Taken, Refused> {
    tracing::info!(connection = connection.name, "dropped a webhook: {why}");
    match app.inbox.put(What::Count { connection_id: connection.id.clone(), why }, room).await {
        Done::Stored | Done::Gone => Ok(Taken("Received and dropped: it is not of this account and mode.")),
        Done::Full | Done::Failed => Err(Refused::Failed),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
fn failed(error: StoreError) -> Refused {
    tracing::error!(error = &error as &dyn std::error::Error, "could not look for a webhook's connection");
    Refused::Failed
}

/// A request, read whole.
struct Sent {
    headers: HeaderMap,
    body: Bytes,
    room: Room,
}

impl Sent {
    /// Reads what Stripe could have sent: whatever else comes is refused before its body is, and takes nobody's room.
    async fn read(app: &App, request: Request) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        plausible(signature(&parts.headers)?, app.clock.now())?;
        let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse::<usize>().ok());
        if length.is_some_and(|length| length > LARGEST) {
            return Err(Refused::TooLarge);
        }
        let read = tokio::time::timeout(PATIENCE, whole(body, app.inbox.room())).await;
        let (body, room) = read.map_err(|_| Refused::Slow)??;
        Ok(Self { headers: parts.headers, body, room })
    }

    fn check(&self, secrets: &[SecretString], now: DateTime<Utc>) -> Result<(), SignatureError> {
        verify(signature(&self.headers)?, &self.body, secrets, now)
    }

    /// Of what is no event nothing is known.
    fn envelope(&self) -> Envelope {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

fn signature(headers: &HeaderMap) -> Result<&str, SignatureError> {
    let header = headers.get(SIGNATURE_HEADER).ok_or(SignatureError::Missing)?;
    header.to_str().map_err(|_| SignatureError::Malformed)
}

/// The body, which takes room as it comes.
async fn whole(body: Body, mut room: Room) -> Result<(Bytes, Room), Refused> {
    let mut whole = BytesMut::new();
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| Refused::Cut)?;
        let bytes = whole.len() + part.len();
        if bytes > LARGEST {
            return Err(Refused::TooLarge);
        }
        if !room.hold(bytes) {
            return Err(Refused::Busy);
        }
        whole.extend_from_slice(&part);
    }
    // Empty ones take a place in the line too.
    if room.hold(whole.len()) { Ok((whole.freeze(), room)) } else { Err(Refused::Busy) }
}

impl Envelope {
    fn account(&self) -> Option<&str> {
        self.account.as_deref().or(self.context.as_deref())
    }

    /// Why it is not for a connection of this mode.
    fn wrong_mode(&self, connection: &Connection) -> Option<&'static str> {
        match (self.livemode, connection.livemode) {
            (Some(false), true) => Some(TEST_EVENT),
            (Some(true), false) => Some(LIVE_EVENT),
            (None, _) | (Some(true), true) | (Some(false), false) => None,
        }
    }
}
