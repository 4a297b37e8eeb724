//! What holds for every request and every answer.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use url::{Host, Url};

use super::{App, error::Refusal};

/// Headers that every answer carries, next to the content security policy.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`: browsers would send `Origin: null` with our own forms then.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=()"),
];

/// Puts the security headers on every answer.
pub(super) async fn every_answer(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&policy(&app)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Lets only requests through that were made to this installation and, when they change something, by its own pages;
/// forbids storing the answers.
pub(super) async fn pages(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match foreign(&app.settings.public_url, &request) {
        Some(refusal) => axum::response::IntoResponse::into_response(refusal),
        None => next.run(request).await,
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Does what is asked to its end, also when whoever asked is gone: the handler of a closed connection is dropped wherever
/// it waits, and its last steps would never be done.
pub(super) async fn to_its_end(State(app): State<App>, request: Request, next: Next) -> Response {
    let done = app.begun.spawn(next.run(request)).await;
    done.unwrap_or_else(|error| axum::response::IntoResponse::into_response(Refusal::inside(&error)))
}

fn foreign(public: &Url, request: &Request) -> Option<Refusal> {
    let host = host(request.headers(), request.uri()).filter(|host| is_ours(public, host));
    // Browsers always name a host, so who names none gains nothing by being let in.
    let Some(host) = host else { return Some(Refusal::other_host(public)) };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    (!reads && !is_same_site(request.headers(), &host)).then(Refusal::foreign_form)
}

fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    named.or_else(|| uri.authority().map(ToString::to_string))
}

/// A page of another site can have its name point here, but never an address or `localhost`.
fn is_ours(public: &Url, host: &str) -> bool {
    let Ok(asked) = Url::parse(&format!("{}://{host}/", public.scheme())) else { return false };
    match asked.host() {
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        Some(Host::Domain("localhost")) => true,
        Some(Host::Domain(_)) => asked.host() == public.host(),
        None => false,
    }
}

/// What browsers say of where a form was. The CSRF token is asked for besides.
fn is_same_site(headers: &HeaderMap, host: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        (None, None) => true,
    }
}

/// Only our own files, nothing inline. A form may lead to Stripe's pages: browsers check a form's redirects too.
fn policy(app: &App) -> String {
    let stripe = app.settings.oauth.as_ref().map(|oauth| {
        let own = oauth.connect_url.origin().ascii_serialization();
        let is_stripe = oauth.connect_url.domain().is_some_and(|domain| domain.ends_with(".stripe.com"));
        if is_stripe { format!(" {own} https://*.stripe.com") } else { format!(" {own}") }
    });
    format!(
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; \
         form-action 'self'{}",
        stripe.unwrap_or_default()
    )
}
