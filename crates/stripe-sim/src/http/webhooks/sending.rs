//! One event to one endpoint, signed.

use std::time::Duration;

use axum::body::Body;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::Sha256;

/// How long an endpoint may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What carries events.
pub(in crate::http) struct Outbound {
    client: Client<HttpConnector, Body>,
}

impl Default for Outbound {
    fn default() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http() }
    }
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("could not write the request")]
    Request(#[from] http::Error),
    #[error("could not send the request")]
    Send(#[from] hyper_util::client::legacy::Error),
}

impl Outbound {
    /// Whether the endpoint took the event.
    pub(super) async fn send(&self, url: &str, secret: &str, at: i64, body: &str) -> bool {
        let signature = signature(secret, at, body);
        match tokio::time::timeout(PATIENCE, self.post(url, &signature, body.to_owned())).await {
            Ok(Ok(status)) if status.is_success() => return true,
            Ok(Ok(status)) => tracing::debug!(url, %status, "an endpoint refused an event"),
            Ok(Err(error)) => tracing::debug!(url, %error, "an endpoint could not be reached"),
            Err(_) => tracing::debug!(url, "an endpoint took too long"),
        }
        false
    }

    async fn post(&self, url: &str, signature: &str, body: String) -> Result<http::StatusCode, SendError> {
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::USER_AGENT, "Stripe/1.0 (simulated)")
            .header("stripe-signature", signature)
            .body(Body::from(body))?;
        Ok(self.client.request(request).await?.status())
    }
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
