//! A running installation: pages, socket, schedule; from its start to its end.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use store::{Passwords, Store};
use stripe_api::Clock;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;
use warehouse::DuckDb;

use crate::{
    clock::SystemClock,
    config::{Config, Platform},
    inbox::{Inbox, inbox},
    installation::{open_store, open_warehouse},
    local,
    stripe_access::ConfiguredStripe,
    updates::{self, Updates},
    web::{self, App, OauthSettings, Settings, SyncControl, WarehouseNumbers},
};

/// How long the link that makes the first administrator works.
const SETUP_LIFE: TimeDelta = TimeDelta::hours(24);
/// How long answers under way may take once the end is near.
const GRACE: Duration = Duration::from_secs(10);

/// An installation that is open and listens, but answers nobody yet.
pub struct Server {
    config: Config,
    listener: TcpListener,
    socket: Option<local::Socket>,
    store: Arc<Store>,
    warehouse: Arc<DuckDb>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    platform: Option<Platform>,
}

impl Server {
    /// Opens the data folder and takes the address.
    ///
    /// # Errors
    /// A sentence that names the file, address or setting and what is wrong with it.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let listen = config.server.listen;
        let warehouse = Arc::new(open_warehouse(&config)?);
        // From now on no other command can open the warehouse, so they must be able to ask.
        let socket = socket(&config);
        let store = Arc::new(open_store(&config).await?);
        if let Err(error) = store.make_shrinkable().await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "the store's file cannot give space back yet; the next start tries again");
        }
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!("could not listen on {listen}; choose another address with server.listen")
        })?;
        let address = listener.local_addr().context("could not tell the address")?;
        let platform = config.platform()?;
        let settings = settings(&config, platform.as_ref(), address)?;
        let clock = Arc::new(SystemClock);
        Ok(Self { config, listener, socket, store, warehouse, clock, settings, platform })
    }

    /// Where people reach the pages.
    #[must_use]
    pub fn public_url(&self) -> &Url {
        &self.settings.public_url
    }

    /// Where the first administrator is made; none when there is one. Each call gives another link.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn setup_url(&self) -> anyhow::Result<Option<SecretString>> {
        if !self.store.needs_setup().await? {
            return Ok(None);
        }
        let token = self.store.create_setup_token(SETUP_LIFE, self.clock.now()).await?;
        let mut url = self.public_url().join("setup")?;
        url.query_pairs_mut().append_pair("token", token.expose_secret());
        Ok(Some(SecretString::from(String::from(url))))
    }

    /// Answers until `stop`; then running updates end at a page's border and everything is closed.
    ///
    /// # Errors
    /// When the pages cannot be served any more.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let updates = Updates::new(updates::Parts {
            store: Arc::clone(&self.store),
            warehouse: Arc::clone(&self.warehouse),
            stripe: self.config.stripe.clone(),
            clock: Arc::clone(&self.clock),
        })?;
        let (inbox, writer) = inbox(self.config.webhooks);
        let app = self.app(&updates, inbox)?;
        let beside = TaskTracker::new();
        let waking: Arc<dyn SyncControl> = Arc::new(updates.clone());
        beside.spawn(writer.run(Arc::clone(&self.store), waking, Arc::clone(&self.clock)));
        if let Some(socket) = self.socket.take() {
            beside.spawn(self.answer(socket, updates.clone(), stop.clone()));
        }
        beside.spawn(self.schedule(updates.clone(), stop.clone()));
        beside.spawn(follow(updates.clone(), stop.clone()));
        let served = pages(self.listener, app.clone(), &updates, &stop).await;
        stop.cancel();
        beside.close();
        let rest = async {
            app.finished().await;
            // With the last inbox the writer ends, when all that came is on disk.
            drop(app);
            beside.wait().await;
        };
        if tokio::time::timeout(GRACE, rest).await.is_err() {
            tracing::warn!("what was asked for was still being done at the end");
        }
        self.store.close().await;
        served
    }

    fn app(&self, updates: &Updates, inbox: Inbox) -> anyhow::Result<App> {
        let clock = Arc::clone(&self.clock);
        let stripe = ConfiguredStripe::new(self.config.stripe.clone(), self.platform.as_ref(), clock)?;
        let numbers =
            WarehouseNumbers::new(self.warehouse.reader()?, Arc::clone(&self.clock), self.settings.time_zone);
        Ok(App::new(web::Parts {
            store: Arc::clone(&self.store),
            sync: Arc::new(updates.clone()),
            numbers: Arc::new(numbers),
            stripe: Arc::new(stripe),
            clock: Arc::clone(&self.clock),
            passwords: Passwords::owasp()?,
            settings: self.settings.clone(),
            inbox,
        }))
    }

    fn answer(
        &self,
        socket: local::Socket,
        updates: Updates,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let warehouse = Arc::clone(&self.warehouse);
        async move {
            if let Err(error) = local::serve(socket, updates, warehouse, stop).await {
                tracing::error!("other commands cannot ask this server: {error:#}");
            }
        }
    }

    fn schedule(&self, updates: Updates, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
        let minutes = self.config.updates.every_minutes;
        async move { updates.keep_schedule(minutes, stop).await }
    }
}

async fn follow(updates: Updates, stop: CancellationToken) {
    updates.keep_following(stop).await;
}

/// Without the socket the pages still work, so its failure ends nothing.
fn socket(config: &Config) -> Option<local::Socket> {
    let made = local::Socket::make(config.socket_file());
    made.inspect_err(|error| tracing::error!("other commands cannot ask this server: {error:#}")).ok()
}

/// Serves the pages until `stop`. Running updates end first: pages that show them live end with them.
async fn pages(
    listener: TcpListener,
    app: App,
    updates: &Updates,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let stopped = stop.clone();
    let serving = axum::serve(listener, web::router(app)).with_graceful_shutdown(stopped.cancelled_owned());
    let ending = async {
        stop.cancelled().await;
        updates.shut().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving.into_future() => {
            updates.shut().await;
            served.context("could not serve the pages any more")
        }
        () = ending => Ok(()),
    }
}

fn settings(config: &Config, platform: Option<&Platform>, address: SocketAddr) -> anyhow::Result<Settings> {
    let public_url = match &config.server.public_url {
        Some(url) => url.clone(),
        None => Url::parse(&format!("http://{}", reachable(address)))?,
    };
    let oauth = platform.map(|platform| OauthSettings {
        connect_url: config.stripe.connect_url.clone(),
        client_id: platform.client_id.clone(),
        scope: config.stripe.oauth_scope.as_str().to_owned(),
        livemode: platform.livemode,
    });
    let webhook_secrets = config.webhook_secrets()?;
    Ok(Settings { public_url, oauth, time_zone: config.server.time_zone, webhook_secrets })
}

/// An address that listens everywhere is reached from this machine as localhost.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_writes_webhooks_has_ended_when_the_installation_has() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        config.server.listen = ([127, 0, 0, 1], 0).into();
        let server = Server::open(config).await.unwrap();
        // The writer holds the store, and so does all else that runs beside the pages.
        let store = Arc::downgrade(&server.store);
        let stop = CancellationToken::new();
        stop.cancel();
        server.run(stop).await.unwrap();
        assert!(store.upgrade().is_none(), "something still works on the store");
    }
}
