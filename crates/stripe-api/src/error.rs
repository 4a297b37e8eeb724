//! What can go wrong with a request, and what to do next.

use std::time::Duration;

use serde::Deserialize;

use crate::redact::redacted;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum StripeError {
    /// Stripe could not be reached, or the connection broke.
    #[error("{}", advice(source.as_ref()))]
    Network {
        /// What the connection said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Too many requests.
    #[error("Stripe refused the request for its rate ({reason})")]
    RateLimited {
        /// `Stripe-Rate-Limited-Reason`, or what stands in for it.
        reason: String,
        /// How long Stripe asks to wait.
        after: Option<Duration>,
        /// Stripe lets this request be repeated; without `Stripe-Should-Retry` it does.
        again: bool,
    },
    /// The key is not valid, or no longer.
    #[error("Stripe refused the key: {}. Connect again, or paste a valid key", message.trim_end_matches('.'))]
    Unauthorized {
        /// Stripe's words, without the key.
        message: String,
    },
    /// The key or the account may not do this.
    #[error("Stripe refused: {}. Add the permission to the key if you need it", message.trim_end_matches('.'))]
    Forbidden {
        /// Stripe's words, without the key.
        message: String,
    },
    /// There is no such object or path.
    #[error("Stripe has no such thing: {message}")]
    NotFound {
        /// Stripe's words, without the key.
        message: String,
        /// Stripe's code, "resource_missing".
        code: Option<String>,
    },
    /// The request itself is wrong for this account.
    #[error("Stripe refused the request: {message}")]
    Invalid {
        /// The HTTP status.
        status: u16,
        /// Stripe's words, without the key.
        message: String,
        /// Stripe's code.
        code: Option<String>,
        /// The parameter concerned.
        param: Option<String>,
    },
    /// Stripe failed.
    #[error("Stripe failed with status {status}")]
    Server {
        /// The HTTP status.
        status: u16,
        /// `Stripe-Should-Retry`, which decides.
        should_retry: Option<bool>,
    },
    /// Two requests wanted the same object at once.
    #[error("Stripe could not lock the object in time")]
    LockTimeout,
    /// The answer is not what Stripe documents.
    #[error("could not understand Stripe's answer")]
    Answer(#[source] serde_json::Error),
}

/// What to do after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Ask again after this long.
    After(Duration),
    /// Ask again after a growing pause.
    Backoff,
    /// Asking again cannot help.
    Never,
}

impl StripeError {
    /// What to do next.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::RateLimited { again: false, .. } => Retry::Never,
            Self::RateLimited { after: Some(after), .. } => Retry::After(*after),
            Self::RateLimited { after: None, .. } | Self::Network { .. } | Self::LockTimeout => {
                Retry::Backoff
            }
            Self::Server { should_retry, .. } if should_retry.unwrap_or(true) => Retry::Backoff,
            Self::Server { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Invalid { .. }
            | Self::Answer(_) => Retry::Never,
        }
    }

    /// The account cannot read this resource: not enabled, or not permitted (trap 23). One object that is missing
    /// says nothing about its kind.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        let one_object = |code: &Option<String>| code.as_deref() == Some("resource_missing");
        match self {
            Self::Forbidden { .. } => true,
            Self::NotFound { code, .. } | Self::Invalid { status: 400, code, .. } => !one_object(code),
            Self::Invalid { .. }
            | Self::Network { .. }
            | Self::RateLimited { .. }
            | Self::Unauthorized { .. }
            | Self::Server { .. }
            | Self::LockTimeout
            | Self::Answer(_) => false,
        }
    }

    /// The object is gone.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        // API v2 has a code of its own, which it also gives for paths that it does not know.
        let gone = |code: &str| code == "resource_missing" || code == "not_found";
        matches!(self, Self::NotFound { code: Some(code), .. } if gone(code))
    }

    /// An object that the request names, other than the one to go on from, is gone.
    #[must_use]
    pub fn is_missing_parent(&self) -> bool {
        let gone = matches!(self, Self::Invalid { code: Some(code), .. } if code == "resource_missing");
        self.is_missing() || (gone && !self.is_missing_cursor())
    }

    /// The request itself is wrong.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Invalid { .. })
    }

    /// The object that a list was to go on from is gone (trap 2).
    #[must_use]
    pub fn is_missing_cursor(&self) -> bool {
        let at_cursor = |param: &Option<String>| param.as_deref() == Some("starting_after");
        matches!(self, Self::Invalid { code: Some(code), param, .. } if code == "resource_missing" && at_cursor(param))
    }

    /// What a status and body say. `should_retry` and `after` are from the headers.
    pub(crate) fn from_answer(status: u16, body: &[u8], headers: &Headers) -> Self {
        let Problem { code, message, param } = match Problem::read(body) {
            Ok(problem) => problem,
            // A refusal that was cut on its way says nothing about what it refuses, but 429 says enough.
            Err(_) if (400..500).contains(&status) && status != 429 => {
                return Self::Server { status, should_retry: headers.should_retry };
            }
            Err(_) => Problem::default(),
        };
        let message = message.unwrap_or_else(|| format!("status {status}"));
        let locked = code.as_deref() == Some("lock_timeout");
        match status {
            // Also where this request may not be repeated: others came too fast all the same.
            429 if !locked => {
                let reason = headers.reason.clone().unwrap_or_else(|| "rate".to_owned());
                let again = headers.should_retry != Some(false);
                Self::RateLimited { reason, after: headers.after, again }
            }
            409 | 429 if headers.should_retry == Some(false) => {
                Self::Server { status, should_retry: Some(false) }
            }
            _ if locked => Self::LockTimeout,
            _ if headers.should_retry == Some(true) => Self::Server { status, should_retry: Some(true) },
            401 => Self::Unauthorized { message },
            403 => Self::Forbidden { message },
            404 => Self::NotFound { message, code },
            409 | 500.. => Self::Server { status, should_retry: headers.should_retry },
            _ => Self::Invalid { status, message, code, param },
        }
    }
}

/// What stands between this machine and Stripe, besides the network.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Obstacle {
    #[error("no whole answer within {} seconds", .0.as_secs())]
    Slow(Duration),
    #[error("{0}:// is not encrypted")]
    Plain(String),
}

fn advice(source: &(dyn std::error::Error + Send + Sync + 'static)) -> &'static str {
    match source.downcast_ref::<Obstacle>() {
        Some(Obstacle::Slow(_)) => "Stripe took too long to answer",
        Some(Obstacle::Plain(_)) => "a live key is sent over https only; change the configured address",
        None => "could not reach Stripe; check the network and the configured address",
    }
}

impl From<Obstacle> for StripeError {
    fn from(obstacle: Obstacle) -> Self {
        Self::Network { source: Box::new(obstacle) }
    }
}

/// The headers that steer repeating.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    pub(crate) should_retry: Option<bool>,
    pub(crate) after: Option<Duration>,
    pub(crate) reason: Option<String>,
}

#[derive(Deserialize)]
struct Wrapped {
    error: Problem,
}

#[derive(Deserialize, Default)]
struct Problem {
    code: Option<String>,
    message: Option<String>,
    param: Option<String>,
}

impl Problem {
    /// What the body says, be it nothing that Stripe documents.
    ///
    /// # Errors
    /// When it is no JSON, or ends too early.
    fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        let problem = match serde_json::from_slice::<Wrapped>(body) {
            Ok(wrapped) => wrapped.error,
            Err(error) if error.is_data() => Self::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { message: problem.message.map(|message| redacted(&message)), ..problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str, headers: &Headers) -> StripeError {
        StripeError::from_answer(status, body.as_bytes(), headers)
    }

    #[test]
    fn trap_22_should_retry_decides_before_the_status() {
        let yes = Headers { should_retry: Some(true), ..Headers::default() };
        let no = Headers { should_retry: Some(false), ..Headers::default() };
        assert_eq!(error(400, "{}", &yes).retry(), Retry::Backoff);
        assert_eq!(error(500, "{}", &no).retry(), Retry::Never);
        assert_eq!(error(429, "{}", &no).retry(), Retry::Never);
        assert_eq!(error(500, "{}", &Headers::default()).retry(), Retry::Backoff);
        assert_eq!(error(400, "{}", &Headers::default()).retry(), Retry::Never);
    }

    #[test]
    fn trap_22_retry_after_is_obeyed_and_a_lock_is_no_rate() {
        let after = Headers { after: Some(Duration::from_secs(3)), ..Headers::default() };
        assert_eq!(error(429, "{}", &after).retry(), Retry::After(Duration::from_secs(3)));
        let lock = r#"{"error":{"code":"lock_timeout"}}"#;
        assert!(matches!(error(429, lock, &Headers::default()), StripeError::LockTimeout));
        let no = Headers { should_retry: Some(false), ..Headers::default() };
        assert_eq!(error(429, lock, &no).retry(), Retry::Never);
        assert_eq!(error(409, lock, &no).retry(), Retry::Never);
    }

    #[test]
    fn trap_23_a_refusal_that_was_cut_says_nothing_about_what_it_refuses() {
        for status in [400, 401, 403, 404] {
            let cut = error(status, r#"{"error":{"message":"No such coupon"#, &Headers::default());
            assert_eq!((cut.retry(), cut.is_unavailable(), cut.is_missing()), (Retry::Backoff, false, false));
        }
        assert!(matches!(error(429, "Too", &Headers::default()), StripeError::RateLimited { .. }));
    }

    #[test]
    fn trap_2_a_lost_cursor_is_told_from_other_refusals() {
        let gone =
            r#"{"error":{"code":"resource_missing","param":"starting_after","message":"No such customer"}}"#;
        assert!(error(400, gone, &Headers::default()).is_missing_cursor());
        let other = r#"{"error":{"code":"resource_missing","param":"customer"}}"#;
        assert!(!error(400, other, &Headers::default()).is_missing_cursor());
    }

    #[test]
    fn a_key_that_stripe_echoes_is_left_out() {
        let body = r#"{"error":{"message":"Invalid API Key provided: sk_test_***1234"}}"#;
        let text = error(401, body, &Headers::default()).to_string();
        assert!(!text.contains("sk_test"), "{text}");
    }
}
