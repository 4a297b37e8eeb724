//! Connect's token endpoints, and who granted what to whom.

use std::collections::HashMap;
use std::sync::MutexGuard;

use axum::extract::{Form, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::auth::presented_key;
use super::error::json_response;
use super::options::Application;
use super::{Sim, lock};

/// How long an authorization code lives, in seconds.
const CODE_LIFE: i64 = 300;

/// Codes handed out and access granted.
#[derive(Default)]
pub(super) struct Grants {
    codes: HashMap<String, Code>,
    grants: Vec<Grant>,
}

struct Code {
    client_id: String,
    scope: String,
    issued: i64,
    used: bool,
}

struct Grant {
    client_id: String,
    code: String,
    scope: String,
    access_token: String,
    refresh_token: String,
    revoked: bool,
}

/// How access stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The owner granted it.
    Granted { read_only: bool },
    /// It was granted once.
    Revoked,
    /// It was never granted.
    Never,
}

impl Grants {
    pub(super) fn standing_of_token(&self, token: &str) -> Standing {
        standing(self.grants.iter().filter(|grant| grant.access_token == token))
    }

    pub(super) fn standing_of_application(&self, client_id: &str) -> Standing {
        standing(self.grants.iter().filter(|grant| grant.client_id == client_id))
    }

    fn revoke(&mut self, client_id: &str) -> bool {
        let mut active =
            self.grants.iter_mut().filter(|grant| grant.client_id == client_id && !grant.revoked);
        let mut any = false;
        active.by_ref().for_each(|grant| {
            grant.revoked = true;
            any = true;
        });
        any
    }

    /// Takes a code for its one use. A second use takes back what the first gave.
    fn redeem(&mut self, code: &str, client_id: &str, now: i64) -> Result<String, OauthError> {
        let known = self.codes.get_mut(code).filter(|known| known.client_id == client_id);
        let Some(known) = known else {
            return Err(OauthError::grant(format!("Authorization code does not exist: {code}")));
        };
        if known.used {
            let issued = self.grants.iter_mut().filter(|grant| grant.code == code);
            issued.for_each(|grant| grant.revoked = true);
            let message = "This authorization code has already been used. All tokens issued with this code have been \
                           revoked.";
            return Err(OauthError::grant(message));
        }
        if now - known.issued >= CODE_LIFE {
            return Err(OauthError::grant(format!("Authorization code expired: {code}")));
        }
        known.used = true;
        Ok(known.scope.clone())
    }
}

fn standing<'a>(grants: impl Iterator<Item = &'a Grant>) -> Standing {
    let mut standing = Standing::Never;
    for grant in grants {
        if !grant.revoked {
            return Standing::Granted { read_only: grant.scope == "read_only" };
        }
        standing = Standing::Revoked;
    }
    standing
}

/// A refusal in OAuth's own form.
struct OauthError {
    status: StatusCode,
    error: &'static str,
    description: String,
}

impl OauthError {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    fn grant(description: impl Into<String>) -> Self {
        Self::new("invalid_grant", description)
    }

    fn client(description: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new("invalid_client", description) }
    }
}

type Answer = Result<Value, OauthError>;
type Fields = HashMap<String, String>;

/// Exchanges a code, or a refresh token, for an access token.
pub(super) async fn token(State(sim): State<Sim>, headers: HeaderMap, Form(form): Form<Fields>) -> Response {
    respond(sim.exchange(&headers, &form))
}

/// Ends an application's access at its own wish.
pub(super) async fn deauthorize(
    State(sim): State<Sim>,
    headers: HeaderMap,
    Form(form): Form<Fields>,
) -> Response {
    respond(sim.disconnect(&headers, &form))
}

fn respond(answer: Answer) -> Response {
    match answer {
        Ok(body) => json_response(StatusCode::OK, body.to_string()),
        Err(OauthError { status, error, description }) => {
            let body = json!({ "error": error, "error_description": description });
            json_response(status, body.to_string())
        }
    }
}

impl Sim {
    /// The owner takes back every access granted, as from the Dashboard.
    pub fn revoke_access(&self) {
        let ids: Vec<&str> =
            self.inner.options.applications.iter().map(|one| one.client_id.as_str()).collect();
        for id in ids {
            self.end_access(id);
        }
    }

    pub(super) fn grants(&self) -> MutexGuard<'_, Grants> {
        lock(&self.inner.grants)
    }

    /// A fresh authorization code.
    pub(super) fn issue_code(&self, client_id: &str, scope: &str) -> String {
        let code = format!("ac_{}", self.token("code", 32));
        let issued = Code {
            client_id: client_id.to_owned(),
            scope: scope.to_owned(),
            issued: self.clock(),
            used: false,
        };
        self.grants().codes.insert(code.clone(), issued);
        code
    }

    fn end_access(&self, client_id: &str) -> bool {
        let ended = self.grants().revoke(client_id);
        if ended {
            self.announce_deauthorization(client_id);
        }
        ended
    }

    fn application(&self, headers: &HeaderMap, form: &Fields) -> Result<&Application, OauthError> {
        let secret = form.get("client_secret").cloned().or_else(|| presented_key(headers));
        let secret = secret.ok_or_else(|| OauthError::client("No API key was given as client_secret."))?;
        let known = self.inner.options.applications.iter().find(|known| known.platform_key == secret);
        known.ok_or_else(|| OauthError::client("The API key given as client_secret belongs to no platform."))
    }

    fn exchange(&self, headers: &HeaderMap, form: &Fields) -> Answer {
        let application = self.application(headers, form)?;
        match form.get("grant_type").map(String::as_str) {
            Some("authorization_code") => {
                let code = form.get("code").ok_or_else(|| missing("code"))?;
                let scope = self.grants().redeem(code, &application.client_id, self.clock())?;
                Ok(self.grant(&application.client_id, code, scope))
            }
            Some("refresh_token") => {
                let token = form.get("refresh_token").ok_or_else(|| missing("refresh_token"))?;
                self.refresh(&application.client_id, token)
            }
            Some(other) => Err(OauthError::new(
                "unsupported_grant_type",
                format!("Grant type '{other}' is not supported: use authorization_code or refresh_token."),
            )),
            None => Err(missing("grant_type")),
        }
    }

    fn grant(&self, client_id: &str, code: &str, scope: String) -> Value {
        let grant = Grant {
            client_id: client_id.to_owned(),
            code: code.to_owned(),
            scope,
            access_token: format!("sk_{}_{}", self.mode(), self.token("access", 32)),
            refresh_token: format!("rt_{}", self.token("refresh", 32)),
            revoked: false,
        };
        let answer = self.token_answer(&grant);
        self.grants().grants.push(grant);
        answer
    }

    fn refresh(&self, client_id: &str, token: &str) -> Answer {
        let access_token = format!("sk_{}_{}", self.mode(), self.token("access", 32));
        let mut grants = self.grants();
        let mut known = grants.grants.iter_mut();
        let known = known
            .find(|grant| grant.refresh_token == token && grant.client_id == client_id && !grant.revoked);
        let Some(known) = known else {
            return Err(OauthError::grant(format!("Refresh token does not exist: {token}")));
        };
        known.access_token = access_token;
        Ok(self.token_answer(known))
    }

    fn token_answer(&self, grant: &Grant) -> Value {
        json!({
            "access_token": grant.access_token,
            "livemode": self.inner.options.livemode,
            "refresh_token": grant.refresh_token,
            "scope": grant.scope,
            "stripe_publishable_key": format!("pk_{}_simulatedPublishableKey", self.mode()),
            "stripe_user_id": self.account_id(),
            "token_type": "bearer",
        })
    }

    fn mode(&self) -> &'static str {
        if self.inner.options.livemode { "live" } else { "test" }
    }

    fn disconnect(&self, headers: &HeaderMap, form: &Fields) -> Answer {
        let application = self.application(headers, form)?;
        let client_id = form.get("client_id").ok_or_else(|| missing("client_id"))?;
        let account = form.get("stripe_user_id").ok_or_else(|| missing("stripe_user_id"))?;
        if *client_id != application.client_id {
            return Err(OauthError::client(format!("No such application: '{client_id}'")));
        }
        if *account != self.account_id() || !self.end_access(client_id) {
            return Err(OauthError::client(format!(
                "This application is not connected to stripe account {account}, or that account does not exist."
            )));
        }
        Ok(json!({ "stripe_user_id": account }))
    }
}

fn missing(name: &str) -> OauthError {
    OauthError::new("invalid_request", format!("No {name} was given."))
}
