//! What the pages ask of Stripe: whose account a key or an authorization is of.

use futures::future::BoxFuture;
use secrecy::SecretString;
use stripe_api::{Account, StripeError};

/// Asks Stripe on behalf of the pages.
pub trait StripeAccess: Send + Sync + 'static {
    /// The account that the key belongs to.
    fn account<'a>(&'a self, key: &'a SecretString) -> BoxFuture<'a, Result<Account, AccessError>>;

    /// Trades the code that Stripe sent a person back with for access. A code is good once and for five minutes.
    fn exchange<'a>(&'a self, code: &'a SecretString) -> BoxFuture<'a, Result<Granted, AccessError>>;

    /// Gives the access to an account back that was granted through [`Self::exchange`]. `livemode` is the connection's:
    /// a platform of the other mode has no access to give back.
    fn give_back<'a>(&'a self, account_id: &'a str, livemode: bool)
    -> BoxFuture<'a, Result<(), AccessError>>;
}

/// Access that an account's owner granted.
#[derive(Debug)]
pub struct Granted {
    /// `acct_...`
    pub account_id: String,
    /// To live data, not test data.
    pub livemode: bool,
    /// What to authenticate with from now on.
    pub credentials: SecretString,
}

/// Why Stripe gave no access. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Stripe cannot be reached.
    #[error("could not reach Stripe")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Stripe did not answer while somebody waits, or asked to wait longer than they do.
    #[error("Stripe took too long to answer")]
    Slow,
    /// The code was used before, or is older than five minutes.
    #[error("Stripe's code has expired or was used already")]
    CodeSpent,
    /// Stripe does not know the platform: its client id and key do not belong together.
    #[error("Stripe does not know this installation's client id")]
    UnknownClient,
    /// Stripe refuses the key.
    #[error("Stripe refused the key: {why}")]
    Refused {
        /// Stripe's words, without the key.
        why: String,
    },
    /// The key may not do this.
    #[error("the key lacks a permission: {why}")]
    Forbidden {
        /// Stripe's words, without the key.
        why: String,
    },
    /// Anything else.
    #[error("Stripe answered: {why}")]
    Other {
        /// A sentence without secrets.
        why: String,
    },
}

impl From<StripeError> for AccessError {
    fn from(error: StripeError) -> Self {
        match error {
            StripeError::Unauthorized { message } => Self::Refused { why: message },
            StripeError::Forbidden { message } => Self::Forbidden { why: message },
            StripeError::NotFound { message, .. } | StripeError::Invalid { message, .. } => {
                Self::Other { why: message }
            }
            error @ (StripeError::Network { .. } | StripeError::Server { .. }) => {
                Self::Unreachable(Box::new(error))
            }
            error @ (StripeError::RateLimited { .. } | StripeError::LockTimeout | StripeError::Answer(_)) => {
                Self::Other { why: error.to_string() }
            }
        }
    }
}
