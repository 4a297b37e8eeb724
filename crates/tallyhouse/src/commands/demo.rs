//! `tallyhouse demo`: a simulated Stripe and the server, joined; nothing to configure.

use std::process::ExitCode;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use stripe_api::Mode;
use stripe_sim::{DEMO_CLIENT_ID, DEMO_EMAIL, DEMO_PASSWORD, DEMO_PLATFORM_KEY};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    cli,
    commands::{sim, stop_on_signal},
    config::{Config, Flags},
    output::Output,
    server::Server,
};

/// The business goes on living, so its copy is brought up to date often.
const EVERY_MINUTES: u32 = 1;

pub(crate) async fn run(flags: Flags, options: cli::Demo, output: Output) -> anyhow::Result<ExitCode> {
    let stop = stop_on_signal()?;
    let folder = tempfile::Builder::new().prefix("tallyhouse-demo-").tempdir();
    let folder = folder.context("could not make a folder for the demo")?;
    let listener = sim::bind(options.sim_listen).await?;
    let address = listener.local_addr().context("could not tell the address")?;
    let data = Some(folder.path().to_owned());
    let mut config = Config::load(&Flags { data, ..flags })?;
    join(&mut config, &options, address)?;
    let tasks = TaskTracker::new();
    let simulator_stop = CancellationToken::new();
    output.remark("Two years of a business are being made up …");
    simulate(&options, listener, &tasks, simulator_stop.clone());
    let served = serve(config, address, stop, output).await;
    simulator_stop.cancel();
    tasks.close();
    tasks.wait().await;
    served.map(|()| ExitCode::SUCCESS)
}

/// Everything that a real installation has in its configuration.
fn join(config: &mut Config, options: &cli::Demo, stripe: std::net::SocketAddr) -> anyhow::Result<()> {
    let address = Url::parse(&format!("http://{stripe}"))?;
    config.server.listen = options.listen;
    config.server.public_url = None;
    config.updates.every_minutes = EVERY_MINUTES;
    config.stripe.api_url = address.clone();
    config.stripe.connect_url = address;
    config.stripe.client_id = Some(DEMO_CLIENT_ID.to_owned());
    config.stripe.platform_key = Some(SecretString::from(DEMO_PLATFORM_KEY));
    config.stripe.platform_key_file = None;
    // A sandbox by its keys, but the simulator allows what Stripe allows a live account.
    config.stripe.requests_per_second.get_or_insert(config.stripe.rates(Mode::Live).per_second);
    Ok(())
}

fn simulate(options: &cli::Demo, listener: TcpListener, tasks: &TaskTracker, stop: CancellationToken) {
    let simulator = sim::living(options.story);
    if !options.still {
        let (follower, follower_stop) = (simulator.clone(), stop.clone());
        tasks.spawn(async move { follower.follow(sim::clock(), follower_stop).await });
    }
    tasks.spawn(async move { simulator.serve(listener, stop).await });
}

async fn serve(
    config: Config,
    stripe: std::net::SocketAddr,
    stop: CancellationToken,
    output: Output,
) -> anyhow::Result<()> {
    let data = config.data_dir.clone();
    let server = Server::open(config).await?;
    let setup = server.setup_url().await?;
    let start = setup.as_ref().map_or(server.public_url().as_str(), |url| url.expose_secret());
    output.tell(&format!("Open {start}"));
    output.tell(&format!(
        "The simulated Stripe is at http://{stripe}; sign in there as {DEMO_EMAIL} with {DEMO_PASSWORD}"
    ));
    output.tell(&format!("The copy is in {} until the demo ends. Ctrl-C ends it.", data.display()));
    server.run(stop).await
}
