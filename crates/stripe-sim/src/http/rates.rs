//! Request limits: so many at once, then one more each fraction of a second.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::error::ApiError;
use super::lock;
use super::options::RateLimits;

/// Remembers, per limit, when its bucket would be empty again.
#[derive(Default)]
pub(super) struct Limiter {
    busy_until: Mutex<HashMap<String, Instant>>,
}

impl Limiter {
    /// Counts a request, or refuses it.
    pub(super) fn admit(&self, limits: RateLimits, account: &str, endpoint: &str) -> Result<(), ApiError> {
        let now = Instant::now();
        let mut busy_until = lock(&self.busy_until);
        let own = format!("{account} {endpoint}");
        if !has_room(busy_until.get(account), limits.per_second, now) {
            return Err(refusal("global-rate"));
        }
        if !has_room(busy_until.get(&own), limits.per_endpoint, now) {
            return Err(refusal("endpoint-rate"));
        }
        for (key, rate) in [(account.to_owned(), limits.per_second), (own, limits.per_endpoint)] {
            let until = busy_until.entry(key).or_insert(now);
            *until = (*until).max(now) + interval(rate);
        }
        Ok(())
    }
}

fn interval(rate: u32) -> Duration {
    Duration::from_secs(1) / rate.max(1)
}

fn has_room(busy_until: Option<&Instant>, rate: u32, now: Instant) -> bool {
    let queued = busy_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
    queued + interval(rate) <= Duration::from_secs(1)
}

fn refusal(reason: &'static str) -> ApiError {
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits.",
    )
    .code("rate_limit")
    .header("stripe-rate-limited-reason", reason)
    .header("stripe-should-retry", "true")
}
