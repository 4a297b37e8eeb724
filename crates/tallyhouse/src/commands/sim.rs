//! `tallyhouse sim`: the simulated Stripe alone.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use anyhow::Context;
use stripe_api::Clock;
use stripe_sim::{
    DEMO_KEY, DEMO_RESTRICTED_KEY, Fault, FaultScript, Key, Sim, SimOptions,
    bulk::{Bulk, BulkCounts},
    story::{Story, StorySpec},
    world::World,
};
use tokio::net::TcpListener;

use crate::{cli, clock::SystemClock, commands::stop_on_signal, output::Output};

pub(crate) async fn run(options: cli::Sim, output: Output) -> anyhow::Result<ExitCode> {
    let stop = stop_on_signal()?;
    let listener = bind(options.listen).await?;
    let address = listener.local_addr().context("could not tell the address")?;
    let sim = match options.charges {
        Some(charges) => simulator(bulk(options.story.seed, charges), !options.unlimited),
        None => living(options.story, !options.unlimited),
    };
    sim.set_faults(faults(options.story.seed, options.faults));
    output.tell(&format!("simulated Stripe at http://{address}, API key {DEMO_RESTRICTED_KEY}"));
    let follow = async {
        if options.charges.is_none() {
            sim.follow(clock(), stop.clone()).await;
        }
    };
    tokio::join!(sim.serve(listener, stop.clone()), follow);
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.with_context(|| format!("could not listen on {listen}"))
}

/// The real time, as the simulator takes it.
pub(crate) fn clock() -> stripe_sim::Clock {
    Arc::new(|| SystemClock.now().timestamp())
}

/// A business that has lived until now.
pub(crate) fn living(story: cli::Story, limited: bool) -> Sim {
    let cli::Story { customers, months, seed } = story;
    let spec = StorySpec { seed, customers, months, end: SystemClock.now().timestamp(), livemode: false };
    simulator(Arc::new(Story::new(spec)), limited)
}

fn bulk(seed: u64, charges: u64) -> Arc<dyn World> {
    Arc::new(Bulk::new(seed, BulkCounts { customers: (charges / 100).max(1), charges }))
}

fn simulator(world: Arc<dyn World>, limited: bool) -> Sim {
    if limited {
        return Sim::standalone(world, clock());
    }
    let keys = vec![Key::full(DEMO_KEY), Key::read_all(DEMO_RESTRICTED_KEY)];
    Sim::new(world, SimOptions { keys, ..SimOptions::default() })
}

fn faults(seed: u64, percent: u8) -> FaultScript {
    let soon = Fault::Status { code: 429, should_retry: None, retry_after: None };
    let kinds =
        vec![Fault::Refuse, soon, Fault::status(500), Fault::CutBody, Fault::HalfBody, Fault::LoseAnswer];
    FaultScript::new().share(seed, u32::from(percent) * 10, kinds)
}
