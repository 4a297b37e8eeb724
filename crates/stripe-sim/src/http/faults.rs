//! Faults, scripted by tests or scattered by a seed.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt;
use http::{HeaderValue, StatusCode, header};
use rand::RngExt;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::Sim;
use super::error::ApiError;

/// One thing that goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection closes before the request is looked at.
    Refuse,
    /// Stripe answers with this status, whatever was asked.
    Status {
        /// HTTP status, such as 429 or 500.
        code: u16,
        /// Value of `Stripe-Should-Retry`; no such header when absent.
        should_retry: Option<bool>,
        /// Value of `Retry-After` in seconds; no such header when absent.
        retry_after: Option<u32>,
    },
    /// 429, with what `Stripe-Rate-Limited-Reason` says, such as `endpoint-rate`.
    Limited(&'static str),
    /// Stripe could not lock the object: 429, and not for the rate of requests.
    Locked,
    /// The answer comes after so many milliseconds.
    Slow(u64),
    /// Half the body arrives, then the connection closes, short of the announced length.
    CutBody,
    /// Half the body arrives as if it were all: the length agrees, the JSON ends early.
    HalfBody,
    /// The request is done, but the connection closes instead of the answer.
    LoseAnswer,
}

impl Fault {
    /// An answer with this status and no advice on retrying.
    #[must_use]
    pub const fn status(code: u16) -> Self {
        Self::Status { code, should_retry: None, retry_after: None }
    }
}

/// Which requests fail, and how. The first rule that fits a request decides.
#[derive(Debug, Clone, Default)]
pub struct FaultScript {
    rules: Vec<Rule>,
    share: Option<Share>,
    pub(super) hide_new: i64,
    pub(super) repeat_events: bool,
    pub(super) reorder_events: bool,
}

#[derive(Debug, Clone)]
struct Rule {
    prefix: String,
    first: u64,
    last: u64,
    fault: Fault,
    seen: u64,
}

#[derive(Debug, Clone)]
struct Share {
    random: ChaCha8Rng,
    per_mille: u32,
    faults: Vec<Fault>,
}

impl FaultScript {
    /// Nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The `nth` request (from 1) whose path begins with `prefix` meets `fault`.
    #[must_use]
    pub fn nth(self, prefix: &str, nth: u64, fault: Fault) -> Self {
        self.between(prefix, nth, nth, fault)
    }

    /// Every request whose path begins with `prefix` meets `fault`.
    #[must_use]
    pub fn always(self, prefix: &str, fault: Fault) -> Self {
        self.between(prefix, 1, u64::MAX, fault)
    }

    /// The requests from the `first` to the `last` (from 1) whose path begins with `prefix` meet `fault`.
    #[must_use]
    pub fn between(mut self, prefix: &str, first: u64, last: u64, fault: Fault) -> Self {
        self.rules.push(Rule { prefix: prefix.to_owned(), first, last, fault, seen: 0 });
        self
    }

    /// So many in a thousand API requests meet one of `faults`; the same seed picks the same requests.
    #[must_use]
    pub fn share(mut self, seed: u64, per_mille: u32, faults: Vec<Fault>) -> Self {
        self.share = Some(Share { random: ChaCha8Rng::seed_from_u64(seed), per_mille, faults });
        self
    }

    /// Objects show in lists only this many seconds after their `created`.
    #[must_use]
    pub fn hide_new(mut self, seconds: i64) -> Self {
        self.hide_new = seconds;
        self
    }

    /// Webhooks deliver each event twice.
    #[must_use]
    pub fn repeat_events(mut self) -> Self {
        self.repeat_events = true;
        self
    }

    /// Webhooks deliver the pending events newest first.
    #[must_use]
    pub fn reorder_events(mut self) -> Self {
        self.reorder_events = true;
        self
    }

    /// Counts the request and tells what it meets.
    fn decide(&mut self, path: &str) -> Option<Fault> {
        let mut decided = None;
        for rule in self.rules.iter_mut().filter(|rule| path.starts_with(&rule.prefix)) {
            rule.seen += 1;
            if decided.is_none() && (rule.first..=rule.last).contains(&rule.seen) {
                decided = Some(rule.fault.clone());
            }
        }
        if decided.is_some() || !(path.starts_with("/v1/") || path.starts_with("/v2/")) {
            return decided;
        }
        let share = self.share.as_mut()?;
        if share.random.random_range(0..1000) >= share.per_mille {
            return None;
        }
        share.faults.choose(&mut share.random).cloned()
    }
}

/// Marks a response whose connection closes instead. Its body fails, for callers without a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dropped;

/// Waits out the latency, counts the request, names it, and lets the script interfere.
pub(super) async fn interfere(State(sim): State<Sim>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if path.starts_with("/_sim") || path == "/sim.css" {
        return next.run(request).await;
    }
    if !sim.inner.options.latency.is_zero() {
        tokio::time::sleep(sim.inner.options.latency).await;
    }
    let id = sim.next_request_id();
    let fault = sim.faults().decide(&path);
    sim.count(&path, fault.is_some());
    request.extensions_mut().insert(id.clone());
    let mut response = match fault {
        Some(fault) => act(fault, &id.0, request, next).await,
        None => next.run(request).await,
    };
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        sim.count_refused();
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert("request-id", value);
    }
    response
}

async fn act(fault: Fault, id: &str, request: Request, next: Next) -> Response {
    match fault {
        Fault::Refuse => dropped(),
        Fault::Status { code, should_retry, retry_after } => {
            status(code, should_retry, retry_after, "global-concurrency").respond(id)
        }
        Fault::Limited(reason) => status(429, None, None, reason).respond(id),
        Fault::Locked => {
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, LOCKED).code("lock_timeout").respond(id)
        }
        Fault::Slow(millis) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            next.run(request).await
        }
        Fault::CutBody => cut(next.run(request).await, false).await,
        Fault::HalfBody => cut(next.run(request).await, true).await,
        Fault::LoseAnswer => {
            next.run(request).await;
            dropped()
        }
    }
}

fn dropped() -> Response {
    let mut response = Response::new(failing(Bytes::new()));
    response.extensions_mut().insert(Dropped);
    response
}

/// A body that gives `bytes` and then breaks off.
fn failing(bytes: Bytes) -> Body {
    let broken = futures::stream::once(async {
        // What was written must leave before the connection does.
        tokio::time::sleep(Duration::from_millis(5)).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    });
    let given = (!bytes.is_empty()).then_some(Ok(bytes));
    Body::from_stream(futures::stream::iter(given).chain(broken))
}

async fn cut(response: Response, cleanly: bool) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(whole) = to_bytes(body, usize::MAX).await else { return dropped() };
    let half = whole.slice(..whole.len() / 2);
    let announced = if cleanly { half.len() } else { whole.len() };
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(announced));
    Response::from_parts(parts, if cleanly { Body::from(half) } else { failing(half) })
}

const LOCKED: &str = "This object cannot be accessed right now because another API request or Stripe process is \
    currently accessing it. If you see this error intermittently, retry the request. If you see this error frequently \
    and are making multiple concurrent requests to a single object, make your requests serially or at a lower rate.";

fn status(
    code: u16,
    should_retry: Option<bool>,
    retry_after: Option<u32>,
    limited: &'static str,
) -> ApiError {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut error = match code {
        429 => ApiError::new(status, "Request rate limit exceeded.")
            .code("rate_limit")
            .header("stripe-rate-limited-reason", limited),
        _ => ApiError::new(
            status,
            "An unknown error occurred. Contact us via https://support.stripe.com/contact with any questions.",
        ),
    };
    if let Some(retry) = should_retry {
        error = error.header("stripe-should-retry", retry.to_string());
    }
    if let Some(seconds) = retry_after {
        error = error.header("retry-after", seconds.to_string());
    }
    error
}
