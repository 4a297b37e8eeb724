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
/// How long they wait at most, whatever pause Stripe asks for and however slowly it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// The platform, and the way to ask as it.
struct Asking {
    connect: Connect,
    client_id: String,
    livemode: bool,
}

/// Stripe, as the configuration says.
pub struct ConfiguredStripe {
    stripe: config::Stripe,
    platform: Option<Asking>,
    clock: Arc<dyn Clock>,
    patience: Duration,
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
        let asking = |platform: &Platform| {
            let connect = Connect::new(stripe.connect_url.clone(), platform.key.clone())?;
            anyhow::Ok(Asking { connect, client_id: platform.client_id.clone(), livemode: platform.livemode })
        };
        let platform = platform.map(asking).transpose()?;
        Ok(Self { stripe, platform, clock, patience: PATIENCE })
    }

    async fn ask(&self, key: &SecretString) -> Result<Account, AccessError> {
        let stripe = stripe(&self.stripe, key.clone(), BRIEF, Arc::clone(&self.clock))?;
        match tokio::time::timeout(self.patience, stripe.account()).await {
            Ok(account) => Ok(account?),
            Err(_) => Err(AccessError::Slow),
        }
    }

    async fn trade(&self, code: &SecretString) -> Result<Granted, AccessError> {
        // Without a platform nobody was sent to Stripe, so no code can be ours.
        let platform = self.platform.as_ref().ok_or(AccessError::UnknownClient)?;
        let Grant { account_id, livemode, access_token, scope: _ } = platform.connect.exchange(code).await?;
        Ok(Granted { account_id, livemode, credentials: access_token })
    }

    async fn end(&self, account_id: &str, livemode: bool) -> Result<(), AccessError> {
        let platform = self.platform.as_ref().filter(|platform| platform.livemode == livemode);
        let Asking { connect, client_id, .. } = platform.ok_or(AccessError::UnknownClient)?;
        Ok(connect.deauthorize(client_id, account_id).await?)
    }
}

impl StripeAccess for ConfiguredStripe {
    fn account<'a>(&'a self, key: &'a SecretString) -> BoxFuture<'a, Result<Account, AccessError>> {
        self.ask(key).boxed()
    }

    fn exchange<'a>(&'a self, code: &'a SecretString) -> BoxFuture<'a, Result<Granted, AccessError>> {
        self.trade(code).boxed()
    }

    fn give_back<'a>(
        &'a self,
        account_id: &'a str,
        livemode: bool,
    ) -> BoxFuture<'a, Result<(), AccessError>> {
        self.end(account_id, livemode).boxed()
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

#[cfg(test)]
mod tests {
    use stripe_sim::{
        DEMO_KEY, Fault, FaultScript, Key, Sim, SimOptions,
        bulk::{Bulk, BulkCounts},
    };
    use tokio::net::TcpListener;
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn nobody_waits_for_a_page_as_long_as_stripe_asks_to_wait() {
        let world = Arc::new(Bulk::new(7, BulkCounts { customers: 1, charges: 1 }));
        let sim = Sim::new(world, SimOptions { keys: vec![Key::full(DEMO_KEY)], ..SimOptions::default() });
        let later = Fault::Status { code: 429, should_retry: None, retry_after: Some(60) };
        sim.set_faults(FaultScript::new().always("/v1/account", later));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (serving, until) = (sim.clone(), stop.clone());
        tasks.spawn(async move { serving.serve(listener, until).await });
        let options = config::Stripe { api_url, ..Default::default() };
        let mut asking = ConfiguredStripe::new(options, None, Arc::new(SystemClock)).unwrap();
        asking.patience = Duration::from_millis(300);
        let refused = asking.account(&SecretString::from(DEMO_KEY)).await;
        assert!(matches!(refused, Err(AccessError::Slow)), "{refused:?}");
        assert_eq!(sim.stats().total, 1);
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn only_a_platform_of_the_connections_mode_is_asked_to_give_access_back() {
        let nowhere =
            config::Stripe { connect_url: "http://127.0.0.1:1/".parse().unwrap(), ..Default::default() };
        let key = SecretString::from("sk_test_platform");
        let test = Platform { client_id: "ca_1".to_owned(), key, livemode: false };
        let with =
            |platform| ConfiguredStripe::new(nowhere.clone(), platform, Arc::new(SystemClock)).unwrap();
        let none = with(None).give_back("acct_1", false).await;
        assert!(matches!(none, Err(AccessError::UnknownClient)), "{none:?}");
        let other = with(Some(&test)).give_back("acct_1", true).await;
        assert!(matches!(other, Err(AccessError::UnknownClient)), "{other:?}");
        let asked = with(Some(&test)).give_back("acct_1", false).await;
        assert!(matches!(asked, Err(AccessError::Unreachable(_))), "{asked:?}");
    }
}
