//! Stripe Connect's OAuth, as a platform's server speaks it: <https://docs.stripe.com/connect/oauth-reference>.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use crate::{
    StripeError,
    redact::redacted,
    transport::{check_address, transport},
};

/// Stripe answers within a few seconds; somebody waits before a browser.
const PATIENCE: Duration = Duration::from_secs(30);

/// A platform's way to trade codes for access, and to give access back. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connect {
    http: reqwest::Client,
    connect_url: Url,
    platform_key: SecretString,
}

/// Access to an account that its owner granted.
#[derive(Debug, Deserialize)]
pub struct Grant {
    /// `acct_...`
    #[serde(rename = "stripe_user_id")]
    pub account_id: String,
    /// To live data, not test data.
    pub livemode: bool,
    /// What was granted: `read_only` or `read_write`.
    pub scope: String,
    /// Used like a secret key of the account.
    pub access_token: SecretString,
}

/// Why Stripe gave, or took, no access. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Stripe cannot be reached. Whether it acted is unknown.
    #[error("could not reach Stripe; check the network and the configured address")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// `invalid_grant`: the code was used, is older than five minutes, or is another platform's.
    #[error("Stripe refused the code: {description}")]
    Grant {
        /// Stripe's words.
        description: String,
    },
    /// `invalid_client`: client id and platform key do not belong together, or the account is not connected.
    #[error("Stripe refused the platform: {description}")]
    Client {
        /// Stripe's words.
        description: String,
    },
    /// Anything else, with Stripe's name for it.
    #[error("Stripe refused ({error}): {description}")]
    Refused {
        /// "invalid_request".
        error: String,
        /// Stripe's words.
        description: String,
    },
    /// The answer is not what Stripe documents.
    #[error("could not understand Stripe's answer (status {status})")]
    Answer {
        /// The HTTP status.
        status: u16,
    },
}

impl Connect {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// When this machine cannot make TLS connections, or a live key would travel without.
    pub fn new(connect_url: Url, platform_key: SecretString) -> Result<Self, StripeError> {
        check_address(&connect_url, &platform_key)?;
        Ok(Self { http: transport()?, connect_url, platform_key })
    }

    /// Trades the code that Stripe sent a person back with. Asked once only: a code that arrived twice takes back
    /// what it gave.
    ///
    /// # Errors
    /// [`ConnectError`] says what to tell the person.
    pub async fn exchange(&self, code: &SecretString) -> Result<Grant, ConnectError> {
        let key = self.platform_key.expose_secret();
        let form =
            [("grant_type", "authorization_code"), ("code", code.expose_secret()), ("client_secret", key)];
        self.post("/oauth/token", &form).await
    }

    /// Gives the access to an account back.
    ///
    /// # Errors
    /// [`ConnectError`]; an account that is not connected any more is [`ConnectError::Client`].
    pub async fn deauthorize(&self, client_id: &str, account_id: &str) -> Result<(), ConnectError> {
        let key = self.platform_key.expose_secret();
        let form = [("client_id", client_id), ("stripe_user_id", account_id), ("client_secret", key)];
        self.post::<Deauthorized>("/oauth/deauthorize", &form).await.map(|_| ())
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, form: &[(&str, &str)]) -> Result<T, ConnectError> {
        let unreachable = |error: reqwest::Error| ConnectError::Unreachable(Box::new(error.without_url()));
        let address = format!("{}{path}", self.connect_url.as_str().trim_end_matches('/'));
        let answer =
            self.http.post(address).form(form).timeout(PATIENCE).send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|_| ConnectError::Answer { status: status.as_u16() });
        }
        Err(refusal(status.as_u16(), &body))
    }
}

#[derive(Deserialize)]
struct Deauthorized {
    #[serde(rename = "stripe_user_id")]
    _account_id: String,
}

/// OAuth's own form of an error, or that of Stripe's API: a wrong platform key is refused before OAuth begins.
#[derive(Deserialize)]
struct Problem {
    error: Named,
    error_description: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Oauth(String),
    Api { message: Option<String> },
}

fn refusal(status: u16, body: &[u8]) -> ConnectError {
    let Ok(Problem { error, error_description }) = serde_json::from_slice(body) else {
        return ConnectError::Answer { status };
    };
    let (error, description) = match error {
        Named::Oauth(error) => (error, error_description),
        Named::Api { message } if status == 401 => ("invalid_client".to_owned(), message),
        Named::Api { message } => ("invalid_request".to_owned(), message),
    };
    let description = redacted(&description.unwrap_or_else(|| format!("status {status}")));
    match error.as_str() {
        "invalid_grant" => ConnectError::Grant { description },
        "invalid_client" => ConnectError::Client { description },
        _ => ConnectError::Refused { error, description },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_and_give_nothing_away() {
        let body = br#"{"error":"invalid_grant","error_description":"Authorization code expired: ac_123"}"#;
        let ConnectError::Grant { description } = refusal(400, body) else { panic!("a grant") };
        assert_eq!(description, "Authorization code expired: [key]");
        let body =
            br#"{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: sk_test_1"}}"#;
        let error = refusal(401, body);
        assert!(matches!(error, ConnectError::Client { .. }), "{error}");
        assert!(!error.to_string().contains("sk_test"), "{error}");
        assert!(matches!(refusal(400, br#"{"error":"invalid_scope"}"#), ConnectError::Refused { .. }));
        assert!(matches!(refusal(502, b"<html>"), ConnectError::Answer { status: 502 }));
    }
}
