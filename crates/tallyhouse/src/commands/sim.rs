//! `tallyhouse sim`: the simulated Stripe alone.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use stripe_api::Clock;
use stripe_sim::{
    DEMO_KEY, DEMO_RESTRICTED_KEY, Fault, FaultScript, Key, Sim, SimOptions,
    bulk::{Bulk, BulkCounts, Mixed},
    gallery::{Gallery, GallerySpec},
    story::{Story, StorySpec},
    world::World,
};
use tokio::net::TcpListener;

use crate::{cli, clock::SystemClock, commands::stop_on_signal, output::Output};

pub(crate) async fn run(options: cli::Sim, output: Output) -> anyhow::Result<ExitCode> {
    let stop = stop_on_signal()?;
    let listener = bind(options.listen).await?;
    let address = listener.local_addr().context("could not tell the address")?;
    let lives = options.charges.is_none() && options.objects.is_none();
    let sim =
        Sim::new(world(&options), answers(options.unlimited, Duration::from_millis(options.latency_ms)));
    sim.set_faults(faults(options.story.seed, options.faults));
    output.tell(&format!("simulated Stripe at http://{address}, API key {DEMO_RESTRICTED_KEY}"));
    let follow = async {
        if lives {
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

/// The demo's Stripe: a business that has lived until now, with a live account's limits.
pub(crate) fn living(story: cli::Story) -> Sim {
    Sim::new(business(story), answers(false, Duration::ZERO))
}

/// What there is to list.
fn world(options: &cli::Sim) -> Arc<dyn World> {
    let seed = options.story.seed;
    if let Some(charges) = options.charges {
        return Arc::new(Bulk::new(seed, BulkCounts { customers: (charges / 100).max(1), charges }));
    }
    if let Some(objects) = options.objects {
        return Arc::new(Mixed::about(seed, objects));
    }
    if options.gallery {
        let now = SystemClock.now().timestamp();
        return Arc::new(Gallery::new(GallerySpec { seed, now, change_every: 60, ..GallerySpec::default() }));
    }
    business(options.story)
}

fn business(story: cli::Story) -> Arc<dyn World> {
    let cli::Story { customers, months, seed } = story;
    let end = SystemClock.now().timestamp();
    Arc::new(Story::new(StorySpec { seed, customers, months, end, livemode: false }))
}

/// How it answers: with a live account's limits unless told otherwise.
fn answers(unlimited: bool, latency: Duration) -> SimOptions {
    if unlimited {
        let keys = vec![Key::full(DEMO_KEY), Key::read_all(DEMO_RESTRICTED_KEY)];
        return SimOptions { keys, latency, ..SimOptions::default() };
    }
    SimOptions { latency, ..SimOptions::standalone(clock()) }
}

fn faults(seed: u64, percent: u8) -> FaultScript {
    let soon = Fault::Status { code: 429, should_retry: None, retry_after: None };
    let kinds =
        vec![Fault::Refuse, soon, Fault::status(500), Fault::CutBody, Fault::HalfBody, Fault::LoseAnswer];
    FaultScript::new().share(seed, u32::from(percent) * 10, kinds)
}
