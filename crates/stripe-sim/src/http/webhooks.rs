//! Events sent to endpoints: signed, repeated until taken, given up in the end.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sha2::Sha256;

use super::render::{cut, to_value};
use super::{Sim, lock};
use crate::world::Scan;

/// Tries per event and round.
const ATTEMPTS: u32 = 3;
/// Events kept for an endpoint that does not answer; the oldest go first.
const PENDING: usize = 10_000;
/// How long an endpoint may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Events read at a time.
const CHUNK: usize = 200;

/// The endpoints and what waits for them.
#[derive(Default)]
pub(super) struct Webhooks {
    endpoints: Vec<Endpoint>,
}

struct Endpoint {
    url: String,
    secret: String,
    /// Connect endpoints hear of connected accounts, whose id their events carry.
    connect: bool,
    last_seen: Option<String>,
    pending: VecDeque<Value>,
}

/// How a round of deliveries went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Events that an endpoint took, repetitions too.
    pub taken: u64,
    /// Events that wait for the next round.
    pub waiting: u64,
}

impl Sim {
    /// Sends events from now on to `url` (http), signed with `secret`.
    pub fn add_endpoint(&self, url: &str, secret: &str) {
        self.listen(url, secret, false);
    }

    /// Sends events from now on to a platform's endpoint: they carry the connected `account`, and it hears when the
    /// account's owner ends the access.
    pub fn add_connect_endpoint(&self, url: &str, secret: &str) {
        self.listen(url, secret, true);
    }

    fn listen(&self, url: &str, secret: &str, connect: bool) {
        let newest = self.events_above(None, 1).pop();
        let endpoint = Endpoint {
            url: url.to_owned(),
            secret: secret.to_owned(),
            connect,
            last_seen: newest.as_ref().and_then(id_of),
            pending: VecDeque::new(),
        };
        lock(&self.inner.webhooks).endpoints.push(endpoint);
    }

    /// Delivers every event since the last round, oldest first, trying each up to three times.
    ///
    /// What an endpoint did not take waits for the next round; at most ten thousand events wait for one endpoint.
    pub async fn deliver_pending(&self) -> Delivered {
        let mut delivered = Delivered::default();
        let count = lock(&self.inner.webhooks).endpoints.len();
        for index in 0..count {
            let Some((url, secret, events)) = self.due(index) else { continue };
            let mut missed = Vec::new();
            for event in events {
                if self.deliver(&url, &secret, &event).await {
                    delivered.taken += 1;
                } else {
                    delivered.waiting += 1;
                    missed.push(event);
                }
            }
            if let Some(endpoint) = lock(&self.inner.webhooks).endpoints.get_mut(index) {
                missed.into_iter().rev().for_each(|event| endpoint.pending.push_front(event));
            }
        }
        delivered
    }

    /// Tells Connect endpoints that access ended.
    pub(super) fn announce_deauthorization(&self, client_id: &str) {
        let event = json!({
            "id": format!("evt_{}", self.token("deauthorized", 24)),
            "object": "event",
            "account": self.account_id(),
            "api_version": self.inner.options.default_version,
            "created": self.clock(),
            "data": { "object": { "id": client_id, "object": "application", "name": null } },
            "livemode": self.inner.options.livemode,
            "pending_webhooks": 1,
            "request": { "id": null, "idempotency_key": null },
            "type": "account.application.deauthorized",
        });
        let mut webhooks = lock(&self.inner.webhooks);
        for endpoint in webhooks.endpoints.iter_mut().filter(|endpoint| endpoint.connect) {
            endpoint.pending.push_back(event.clone());
        }
    }

    /// What an endpoint is to be told now.
    fn due(&self, index: usize) -> Option<(String, String, Vec<Value>)> {
        let last_seen = lock(&self.inner.webhooks).endpoints.get(index)?.last_seen.clone();
        let fresh = self.events_above(last_seen.as_deref(), PENDING);
        let (repeat, reorder) = {
            let faults = self.faults();
            (faults.repeat_events, faults.reorder_events)
        };
        let account = self.account_id();
        let mut webhooks = lock(&self.inner.webhooks);
        let endpoint = webhooks.endpoints.get_mut(index)?;
        for mut event in fresh {
            endpoint.last_seen = id_of(&event);
            cut(&mut event);
            if endpoint.connect
                && let Value::Object(event) = &mut event
            {
                event.insert("account".to_owned(), json!(account));
            }
            endpoint.pending.push_back(event);
        }
        let surplus = endpoint.pending.len().saturating_sub(PENDING);
        endpoint.pending.drain(..surplus);
        let mut events: Vec<Value> = endpoint.pending.drain(..).collect();
        if repeat {
            events = events.into_iter().flat_map(|event| [event.clone(), event]).collect();
        }
        if reorder {
            events.reverse();
        }
        Some((endpoint.url.clone(), endpoint.secret.clone(), events))
    }

    /// Up to about `most` events newer than `last`, oldest first; without `last`, the newest of all.
    fn events_above(&self, last: Option<&str>, most: usize) -> Vec<Value> {
        let mut events = Vec::new();
        let mut scan = Scan { kind: "event".to_owned(), before: last.map(str::to_owned), ..Scan::default() };
        let take = most.min(CHUNK);
        loop {
            let found = self.inner.world.scan(&scan, take).unwrap_or_default();
            let full = found.len() == take;
            events.extend(found.into_iter().map(to_value).rev());
            scan.before = events.last().and_then(id_of);
            if last.is_none() || !full || events.len() >= most || scan.before.is_none() {
                return events;
            }
        }
    }

    async fn deliver(&self, url: &str, secret: &str, event: &Value) -> bool {
        let body = event.to_string();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
            }
            let signature = signature(secret, self.clock(), &body);
            let sent = tokio::time::timeout(PATIENCE, send(url, &signature, body.clone())).await;
            match sent {
                Ok(Ok(status)) if status.is_success() => return true,
                Ok(Ok(status)) => tracing::debug!(url, %status, "an endpoint refused an event"),
                Ok(Err(error)) => tracing::debug!(url, %error, "an endpoint could not be reached"),
                Err(_) => tracing::debug!(url, "an endpoint took too long"),
            }
        }
        false
    }
}

fn id_of(event: &Value) -> Option<String> {
    event.get("id").and_then(Value::as_str).map(str::to_owned)
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("could not write the request")]
    Request(#[from] http::Error),
    #[error("could not send the request")]
    Send(#[from] hyper_util::client::legacy::Error),
}

async fn send(url: &str, signature: &str, body: String) -> Result<http::StatusCode, SendError> {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::post(url)
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header(header::USER_AGENT, "Stripe/1.0 (simulated)")
        .header("stripe-signature", signature)
        .body(Body::from(body))?;
    Ok(client.request(request).await?.status())
}

/// The `Stripe-Signature` header: HMAC-SHA256 over time, dot and body.
fn signature(secret: &str, at: i64, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        // A key of any length is a key to HMAC.
        return String::new();
    };
    mac.update(format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}
