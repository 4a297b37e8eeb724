//! Asks Stripe whose account a key or an authorization is of, for the pages.

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt};
use secrecy::SecretString;
use stripe_api::{Account, Clock, Connect, ConnectError, Grant, RetryPolicy};

use crate::{
    config::{self, Platform},
    installation::stripe,
    web::{AccessError, Granted, StripeAccess},
};

/// Somebody waits before a browser: give up before they do.
const BRIEF: RetryPolicy =
    RetryPolicy { attempts: 3, base: Duration::from_millis(250), longest: Duration::from_secs(2) };

/// Stripe, as the configuration says.
pub struct ConfiguredStripe {
    stripe: config::Stripe,
    connect: Option<Connect>,
    clock: Arc<dyn Clock>,
}

impl ConfiguredStripe {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// When this machine cannot make TLS connections.
    pub fn new(
        stripe: config::Stripe,
        platform: Option<&Platform>,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let connect = platform.map(|platform| Connect::new(stripe.connect_url.clone(), platform.key.clone()));
        Ok(Self { stripe, connect: connect.transpose()?, clock })
    }

    async fn ask(&self, key: &SecretString) -> Result<Account, AccessError> {
        let stripe = stripe(&self.stripe, key.clone(), BRIEF, Arc::clone(&self.clock))?;
        Ok(stripe.account().await?)
    }

    async fn trade(&self, code: &SecretString) -> Result<Granted, AccessError> {
        // Without a platform nobody was sent to Stripe, so no code can be ours.
        let connect = self.connect.as_ref().ok_or(AccessError::UnknownClient)?;
        let Grant { account_id, livemode, access_token, scope: _ } = connect.exchange(code).await?;
        Ok(Granted { account_id, livemode, credentials: access_token })
    }
}

impl StripeAccess for ConfiguredStripe {
    fn account<'a>(&'a self, key: &'a SecretString) -> BoxFuture<'a, Result<Account, AccessError>> {
        self.ask(key).boxed()
    }

    fn exchange<'a>(&'a self, code: &'a SecretString) -> BoxFuture<'a, Result<Granted, AccessError>> {
        self.trade(code).boxed()
    }
}

impl From<ConnectError> for AccessError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Unreachable(source) => Self::Unreachable(source),
            ConnectError::Grant { .. } => Self::CodeSpent,
            ConnectError::Client { .. } => Self::UnknownClient,
            error @ (ConnectError::Refused { .. } | ConnectError::Answer { .. }) => {
                Self::Other { why: error.to_string() }
            }
        }
    }
}
