//! `tallyhouse sim`: the simulated Stripe alone.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use stripe_api::Clock;
use stripe_sim::{
    DEMO_KEY, DEMO_RESTRICTED_KEY, Key, Sim, SimOptions,
    bulk::{Bulk, BulkCounts},
};
use tokio::net::TcpListener;

use crate::{cli, clock::SystemClock, commands::stop_on_signal, output::Output};

pub(crate) async fn run(options: cli::Sim, output: Output) -> anyhow::Result<ExitCode> {
    let counts = BulkCounts { customers: (options.charges / 10).max(1), charges: options.charges };
    let world = Arc::new(Bulk::new(options.seed, counts));
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("could not listen on {}", options.listen))?;
    let address = listener.local_addr().context("could not tell the address")?;
    let sim = if options.unlimited {
        let keys = vec![Key::full(DEMO_KEY), Key::read_all(DEMO_RESTRICTED_KEY)];
        Sim::new(world, SimOptions { keys, ..SimOptions::default() })
    } else {
        Sim::standalone(world, Arc::new(|| SystemClock.now().timestamp()))
    };
    output.line(&format!("simulated Stripe at http://{address}, API key {DEMO_RESTRICTED_KEY}"))?;
    sim.serve(listener, stop_on_signal()?).await;
    Ok(ExitCode::SUCCESS)
}
