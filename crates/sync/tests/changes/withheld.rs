//! What Stripe does not show: events.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use stripe_sim::{Fault, FaultScript};
use tokio_util::sync::CancellationToken;

use crate::{
    small::{BEGAN, Small, Ticking, connected, customer},
    support,
};

const DAY: i64 = 86_400;
/// What time it is for Stripe, as long as nothing passes.
const NOW: i64 = BEGAN + 1_000_000;

/// By its own clock everything else that is due would be so in 400 days.
#[tokio::test]
async fn trap_17_and_23_a_key_without_events_misses_nothing_though_the_clock_was_ahead_when_it_came() {
    let world = Small::default();
    [0, 100_000].iter().for_each(|number| world.put(customer(*number, "before")));
    let refused = FaultScript::new()
        .always("/v1/events", Fault::status(403))
        .always("/v2/core/events", Fault::status(403));
    let copied = connected(world, refused).await;
    let clock = |days: i64| Arc::new(Ticking(AtomicI64::new((NOW + days * DAY) * 1_000)));
    let engine = |days| support::engine(&copied.address, &copied.warehouse, clock(days), 3);
    engine(400).run(&CancellationToken::new()).await.unwrap();
    copied.world.put(customer(0, "after"));
    copied.world.age.fetch_add(8 * DAY, Ordering::Relaxed);
    engine(8).run(&CancellationToken::new()).await.unwrap();
    assert_eq!(copied.table("customer")["cus_0"].0["name"], "after");
}
