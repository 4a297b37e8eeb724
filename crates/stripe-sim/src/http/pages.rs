//! The pages where an account's owner grants access.

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use url::Url;

use super::Sim;
use super::options::{Application, User};

/// What an application asks for, as it travels from page to page.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    response_type: String,
    client_id: String,
    scope: String,
    redirect_uri: String,
    state: String,
}

/// What the login page sends.
#[derive(Deserialize)]
pub(super) struct SignIn {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    response_type: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    state: String,
}

#[derive(Template)]
#[template(path = "authorize.html")]
struct AuthorizePage<'a> {
    name: &'a str,
    reads_only: bool,
    asked: &'a Asked,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    name: &'a str,
    asked: &'a Asked,
    email: &'a str,
    problem: &'a str,
    demo: Option<&'a User>,
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage<'a> {
    problem: &'a str,
}

/// Asks the owner whether to grant access.
pub(super) async fn authorize(State(sim): State<Sim>, Query(asked): Query<Asked>) -> Response {
    match sim.check(asked) {
        Ok((application, asked)) => {
            let reads_only = asked.scope == "read_only";
            page(StatusCode::OK, &AuthorizePage { name: &application.name, reads_only, asked: &asked })
        }
        Err(refusal) => refusal,
    }
}

/// Sends the owner back without access.
pub(super) async fn deny(State(sim): State<Sim>, Form(asked): Form<Asked>) -> Response {
    match sim.check(asked) {
        Ok((_, asked)) => send_back(
            &asked,
            &[("error", "access_denied"), ("error_description", "The user denied your request")],
        ),
        Err(refusal) => refusal,
    }
}

/// Asks for email and password.
pub(super) async fn login(State(sim): State<Sim>, Query(asked): Query<Asked>) -> Response {
    match sim.check(asked) {
        Ok((application, asked)) => sim.login_page(application, &asked, None),
        Err(refusal) => refusal,
    }
}

/// Checks the password, and sends the owner back with a code.
pub(super) async fn sign_in(State(sim): State<Sim>, Form(form): Form<SignIn>) -> Response {
    let SignIn { email, password, response_type, client_id, scope, redirect_uri, state } = form;
    let asked = Asked { response_type, client_id, scope, redirect_uri, state };
    let (application, asked) = match sim.check(asked) {
        Ok(checked) => checked,
        Err(refusal) => return refusal,
    };
    let email = email.trim();
    let mut users = sim.inner.options.users.iter();
    if !users.any(|user| user.email.eq_ignore_ascii_case(email) && user.password == password) {
        return sim.login_page(application, &asked, Some(email));
    }
    let code = sim.issue_code(&application.client_id, &asked.scope);
    send_back(&asked, &[("scope", &asked.scope), ("code", &code)])
}

/// The pages' style.
pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../../templates/sim.css"))
        .into_response()
}

impl Sim {
    /// The asking application and its request made whole, or the answer that refuses it.
    #[expect(clippy::result_large_err, reason = "the refusal is the answer, passed on once and never stored")]
    fn check(&self, mut asked: Asked) -> Result<(&Application, Asked), Response> {
        let known = self.inner.options.applications.iter().find(|known| known.client_id == asked.client_id);
        let Some(application) = known else {
            return Err(refused("No application matches the supplied client identifier"));
        };
        if asked.redirect_uri.is_empty() {
            let first = application.redirect_uris.first();
            asked.redirect_uri = first.cloned().ok_or_else(|| refused("No redirect URI was given"))?;
        }
        let registered = &application.redirect_uris;
        let is_web =
            Url::parse(&asked.redirect_uri).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_web || (!registered.is_empty() && !registered.contains(&asked.redirect_uri)) {
            return Err(refused(&format!(
                "Invalid redirect URI '{}'. Ensure this uri exactly matches one of the uris specified in your \
                 application settings",
                asked.redirect_uri
            )));
        }
        if asked.response_type != "code" {
            return Err(send_back(
                &asked,
                &[
                    ("error", "unsupported_response_type"),
                    ("error_description", "The only supported response type is 'code'"),
                ],
            ));
        }
        if asked.scope.is_empty() {
            "read_only".clone_into(&mut asked.scope);
        }
        let allowed = asked.scope == "read_write" || (asked.scope == "read_only" && application.read_only);
        if !allowed {
            let description =
                "Invalid scope: read_write, or read_only for applications registered as extensions";
            return Err(send_back(&asked, &[("error", "invalid_scope"), ("error_description", description)]));
        }
        Ok((application, asked))
    }

    fn login_page(&self, application: &Application, asked: &Asked, failed: Option<&str>) -> Response {
        let problem =
            failed.map_or("", |_| "That email and password do not match. Use the ones shown below.");
        let status = if failed.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let demo = self.inner.options.users.first();
        let email = failed.unwrap_or_default();
        page(status, &LoginPage { name: &application.name, asked, email, problem, demo })
    }
}

fn refused(problem: &str) -> Response {
    page(StatusCode::BAD_REQUEST, &RefusedPage { problem })
}

fn page(status: StatusCode, page: &impl Template) -> Response {
    let Ok(html) = page.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let policy = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (status, headers, Html(html)).into_response()
}

/// Back to the application, with the answer in the query.
fn send_back(asked: &Asked, answer: &[(&str, &str)]) -> Response {
    let Ok(mut target) = Url::parse(&asked.redirect_uri) else {
        return refused("The redirect URI is not an address");
    };
    target.query_pairs_mut().extend_pairs(answer);
    if !asked.state.is_empty() {
        target.query_pairs_mut().append_pair("state", &asked.state);
    }
    (StatusCode::SEE_OTHER, [(header::LOCATION, target.as_str().to_owned())]).into_response()
}
