//! Requests, paced and repeated.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::{
    API_VERSION, Account, Clock, Rates, Retry, StripeError,
    account::Wire,
    budget::{Backlog, Budget},
    endpoint::endpoint,
    error::{Headers, Obstacle},
    readings::{Reading, Readings},
    transport::{InProcess, check_address, sent, transport, whole},
};

/// How long an answer may take, to its last byte.
const PATIENCE: Duration = Duration::from_secs(120);
/// How large an answer may be: a page of a hundred objects is a few hundred kilobytes.
const LARGEST: usize = 64 * 1024 * 1024;
/// The header in which Stripe names a request.
const REQUEST_ID: &str = "request-id";

/// Whom to ask, and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// Stripe's API.
    pub api_url: Url,
    /// The API key.
    pub key: SecretString,
    /// The connected account, when the key is a platform's.
    pub account: Option<String>,
    /// How fast.
    pub rates: Rates,
    /// How patiently.
    pub retry: RetryPolicy,
}

/// How often a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all.
    pub attempts: u32,
    /// The first pause; it doubles with each try, and half of it is left to chance.
    pub base: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 10, base: Duration::from_millis(500), longest: Duration::from_secs(30) }
    }
}

/// An answer that Stripe gave with success.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The body, whole.
    pub body: Bytes,
    /// When the request was sent: what the body shows is at least as new. Never the same twice, see [`Stripe::now`].
    pub sent_at: DateTime<Utc>,
    /// What Stripe's own clock said, to the second.
    pub date: Option<DateTime<Utc>>,
    /// Stripe's name for the request.
    pub request_id: Option<String>,
}

/// Stripe, as seen by one account. Cheap to clone; clones share the budget and the count of requests.
#[derive(Clone)]
pub struct Stripe {
    inner: Arc<Inner>,
    retry: RetryPolicy,
    requests: Arc<AtomicU64>,
}

struct Inner {
    http: reqwest::Client,
    carrier: Option<Box<dyn InProcess>>,
    config: Config,
    budget: Budget,
    clock: Arc<dyn Clock>,
    /// The last time given, in microseconds.
    last: AtomicI64,
    /// What Stripe's clock said last, in seconds; 0 before its first answer.
    date: AtomicI64,
    readings: Arc<Readings>,
    patience: Duration,
}

impl std::fmt::Debug for Stripe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stripe").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Stripe {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// When this machine cannot make TLS connections, or a live key would travel without.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StripeError> {
        Self::patient(config, clock, PATIENCE, None)
    }

    /// The same, but `carrier` carries requests and answers; nothing goes over the network.
    ///
    /// # Errors
    /// As [`Stripe::new`].
    pub fn in_process(
        config: Config,
        clock: Arc<dyn Clock>,
        carrier: Box<dyn InProcess>,
    ) -> Result<Self, StripeError> {
        Self::patient(config, clock, PATIENCE, Some(carrier))
    }

    fn patient(
        config: Config,
        clock: Arc<dyn Clock>,
        patience: Duration,
        carrier: Option<Box<dyn InProcess>>,
    ) -> Result<Self, StripeError> {
        check_address(&config.api_url, &config.key)?;
        let http = transport()?;
        let budget = Budget::new(config.rates);
        let (last, date) = (AtomicI64::new(i64::MIN), AtomicI64::new(0));
        let retry = config.retry;
        let readings = Arc::default();
        let inner = Inner { http, carrier, config, budget, clock, last, date, readings, patience };
        Ok(Self { inner: Arc::new(inner), retry, requests: Arc::default() })
    }

    /// The same Stripe, budget and clock; requests are counted anew.
    #[must_use]
    pub fn counting(&self) -> Self {
        Self { requests: Arc::default(), ..self.clone() }
    }

    /// The same Stripe, budget, clock and count, asked with another patience.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        Self { retry, ..self.clone() }
    }

    /// Reads `path`, repeating while that makes sense.
    ///
    /// # Errors
    /// What Stripe or the network said last.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, StripeError> {
        let policy = self.retry;
        let endpoint = endpoint(path);
        let mut attempt = 1;
        loop {
            let error = match self.begun(path, query, &endpoint).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = match error.retry() {
                Retry::Never => return Err(error),
                Retry::After(_) | Retry::Backoff if attempt >= policy.attempts => return Err(error),
                Retry::After(pause) => pause,
                Retry::Backoff => backoff(policy, attempt),
            };
            tracing::debug!(path, attempt, error = %error, "asking Stripe again");
            attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }

    /// The account that the key belongs to: only its id when a restricted key may not read more.
    ///
    /// # Errors
    /// As [`Stripe::get`]; a key that Stripe refuses is [`StripeError::Unauthorized`].
    pub async fn account(&self) -> Result<Account, StripeError> {
        match self.get("/v1/account", &[]).await {
            Ok(answer) => {
                let wire: Wire = serde_json::from_slice(&answer.body).map_err(StripeError::Answer)?;
                Ok(wire.into())
            }
            Err(StripeError::Forbidden { message }) => Account::from_refusal(message),
            Err(error) => Err(error),
        }
    }

    /// Requests sent so far by this one and its clones, repeated ones too.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The time by the clock that stamps answers, always later than any it gave before: what is asked later must not
    /// look older, also when the clock of this machine is set back.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = self.inner.clock.now().timestamp_micros();
        let later = |last: i64| Some(micros.max(last.saturating_add(1)));
        let last = self.inner.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        let given = last.map_or(micros, |last| micros.max(last.saturating_add(1)));
        DateTime::from_timestamp_micros(given).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The time by Stripe's own clock, as its last answer said, be it a refusal; none before the first. How long ago something was is asked
    /// of it, since the clock of this machine may be wrong.
    #[must_use]
    pub fn date(&self) -> Option<DateTime<Utc>> {
        let seconds = self.inner.date.load(Ordering::Relaxed);
        if seconds == 0 { None } else { DateTime::from_timestamp(seconds, 0) }
    }

    /// From now on every time given is later than `micros`: the newest state that is stored.
    pub fn go_on_after(&self, micros: i64) {
        self.inner.last.fetch_max(micros, Ordering::Relaxed);
    }

    /// To be held from before the first request until its answer and all that follow are stored, or given up.
    pub fn reading(&self) -> Reading {
        Readings::begin(&self.inner.readings, || self.now().timestamp_micros())
    }

    /// What anybody stores from now on was asked for at this moment or later, in microseconds of [`Stripe::now`].
    #[must_use]
    pub fn unsettled_since(&self) -> i64 {
        self.inner.readings.first_or(|| self.now().timestamp_micros())
    }

    /// How many requests to the endpoint of `path` must be under way at once so that it is asked as fast as it may be, or
    /// `most_per_second` times a second where that is slower: the longer answers take, the more. 1 before the first.
    #[must_use]
    pub fn width(&self, path: &str, most_per_second: u32) -> usize {
        let width = self.inner.budget.width(&endpoint(path), most_per_second);
        usize::try_from(width).unwrap_or(usize::MAX)
    }

    /// To tell how many requests to the endpoint of `path` are still to come. Those endpoints go first that decide how long all
    /// of it takes; the others share what these leave of the account's rate, and always get some of it.
    pub fn backlog(&self, path: &str) -> Backlog {
        self.inner.budget.backlog(&endpoint(path))
    }

    /// Asks once, in a task of its own: whoever waits for a turn or holds a place keeps others from theirs, and must not
    /// depend on the caller's polling it. It ends with the caller.
    #[expect(clippy::disallowed_methods, reason = "the task ends when whoever waits for it does")]
    async fn begun(&self, path: &str, query: &[(&str, &str)], endpoint: &str) -> Result<Answer, StripeError> {
        let (stripe, path, endpoint) = (self.clone(), path.to_owned(), endpoint.to_owned());
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let query: Vec<(String, String)> = query.iter().map(owned).collect();
        let asked = tokio::spawn(async move {
            let query: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            stripe.once(&path, &query, &endpoint).await
        });
        match AbortOnDropHandle::new(asked).await {
            Ok(answer) => answer,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            // Only the runtime ends it otherwise, and with it everybody who waits.
            Err(_) => std::future::pending().await,
        }
    }

    /// Asks once, when it may, and tells the budget.
    async fn once(&self, path: &str, query: &[(&str, &str)], endpoint: &str) -> Result<Answer, StripeError> {
        let place = self.inner.budget.admit(endpoint).await;
        let patience = self.inner.patience;
        let answer = tokio::time::timeout(patience, self.send(path, query)).await;
        let answer = answer.unwrap_or_else(|_| Err(Obstacle::Slow(patience).into()));
        match &answer {
            Ok(_) => place.answered(),
            Err(StripeError::RateLimited { reason, after, .. }) => place.refused(reason, *after),
            Err(_) => {}
        }
        answer
    }

    async fn send(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, StripeError> {
        let Inner { http, carrier, config, .. } = &*self.inner;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent_at = self.now();
        let address = format!("{}{path}", config.api_url.as_str().trim_end_matches('/'));
        let mut request = http
            .get(address)
            .query(query)
            .bearer_auth(config.key.expose_secret())
            .header("Stripe-Version", API_VERSION);
        if let Some(account) = &config.account {
            request = request.header("Stripe-Account", account);
        }
        let answer = sent(request, carrier.as_deref()).await?;
        let status = answer.status();
        let headers = answer.headers().clone();
        let date = self.dated(status, &headers);
        let body = whole(answer, LARGEST).await?;
        if !status.is_success() {
            return Err(StripeError::from_answer(status.as_u16(), &body, &steering(&headers)));
        }
        Ok(Answer { body, sent_at, date, request_id: text(&headers, REQUEST_ID) })
    }

    /// What Stripe's clock says in an answer, be it a refusal; kept for [`Stripe::date`]. A refusal in which Stripe names no
    /// request may be a proxy's, which has a clock of its own.
    fn dated(&self, status: StatusCode, headers: &HeaderMap) -> Option<DateTime<Utc>> {
        let is_stripes = status.is_success() || headers.contains_key(REQUEST_ID);
        let date = text(headers, "date").filter(|_| is_stripes)?;
        let date = DateTime::parse_from_rfc2822(&date).ok()?;
        self.inner.date.store(date.timestamp(), Ordering::Relaxed);
        Some(date.into())
    }
}

fn steering(headers: &HeaderMap) -> Headers {
    let seconds = text(headers, "retry-after").and_then(|text| text.parse().ok());
    Headers {
        should_retry: text(headers, "stripe-should-retry").and_then(|text| text.parse().ok()),
        // A pause of more than two minutes is no answer for somebody who waits; ask again earlier.
        after: seconds.map(|seconds: u64| Duration::from_secs(seconds.min(120))),
        reason: text(headers, "stripe-rate-limited-reason"),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn backoff(policy: RetryPolicy, attempt: u32) -> Duration {
    let doubled = policy.base.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(policy.longest);
    let half = doubled / 2;
    half + half * rand::rng().random_range(0..=100) / 100
}

#[cfg(test)]
mod tests;
