//! Feeds of events that Stripe refuses or fails to give: what they would have told is found otherwise, or later.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};
use stripe_sim::{Fault, FaultScript};
use sync::{Report, SyncError};
use tokio_util::sync::CancellationToken;

use crate::small::{BEGAN, Copied, Small, connected, copied};

const DAY: i64 = 86_400;

fn charge(number: i64, description: &str) -> Value {
    json!({ "id": format!("ch_{number}"), "object": "charge", "created": BEGAN + number, "description": description })
}

fn shop() -> Small {
    let world = Small::default();
    [0, 500_000].iter().for_each(|number| world.put(charge(*number, "before")));
    world.event(1, BEGAN + 900_000, "charge.updated", &charge(500_000, ""));
    world
}

impl Copied {
    /// Stripe's clock is so many seconds after the beginning.
    fn it_is(&self, age: i64) {
        self.world.age.store(age, Ordering::Relaxed);
    }

    async fn report(&self) -> Report {
        self.engine.run(&CancellationToken::new()).await.unwrap()
    }

    fn described(&self, charge: &str) -> Value {
        self.table("charge")[charge].0["description"].clone()
    }
}

fn failed(report: &Report) -> Vec<&str> {
    report.failed().map(|(table, _)| table).collect()
}

#[tokio::test]
async fn trap_17_what_events_no_longer_tell_of_is_walked_again_as_if_they_never_had() {
    let copied = copied(shop()).await;
    copied.sim.set_faults(FaultScript::new().always("/v1/events", Fault::status(403)));
    copied.report().await;
    copied.world.put(charge(0, "after"));
    copied.it_is(8 * DAY);
    let report = copied.report().await;
    assert_eq!(copied.described("ch_0"), "after", "a week is the longest that it may take");
    let said: Vec<_> =
        report.failed().filter(|(_, error)| error.is_unavailable()).map(|(table, _)| table).collect();
    assert_eq!(said, ["events"]);
    let are_read = async || sync::are_events_read(copied.stored().await).unwrap();
    assert!(!are_read().await, "whoever leaves something to them must know");
    copied.sim.set_faults(FaultScript::new());
    copied.report().await;
    assert!(are_read().await);
}

#[tokio::test]
async fn a_feed_that_fails_keeps_no_table_from_its_new_objects_and_tells_all_later() {
    for feed in ["/v1/events", "/v2/core/events"] {
        let copied = copied(shop()).await;
        copied.world.put(charge(600_000, "new"));
        copied.world.put(charge(0, "after"));
        copied.world.event(2, BEGAN + 900_001, "charge.updated", &charge(0, ""));
        copied.sim.set_faults(FaultScript::new().always(feed, Fault::status(500)));
        let report = copied.report().await;
        assert_eq!(failed(&report), [if feed == "/v1/events" { "events" } else { "v2_core_events" }]);
        assert_eq!(copied.table("charge").len(), 3);
        copied.sim.set_faults(FaultScript::new());
        copied.cycle().await;
        assert_eq!(copied.described("ch_0"), "after");
    }
}

#[tokio::test]
async fn trap_19_a_first_copy_begins_although_a_feed_cannot_be_read_and_follows_it_later() {
    for feed in ["/v1/events", "/v2/core/events"] {
        let copied = connected(shop(), FaultScript::new().always(feed, Fault::status(500))).await;
        let report = copied.report().await;
        assert_eq!(failed(&report), [if feed == "/v1/events" { "events" } else { "v2_core_events" }]);
        assert_eq!(copied.table("charge").len(), 2);
        copied.world.put(charge(0, "after"));
        copied.world.event(2, BEGAN + 1_000_001, "charge.updated", &charge(0, ""));
        copied.sim.set_faults(FaultScript::new());
        copied.cycle().await;
        assert_eq!(copied.described("ch_0"), "after", "{feed}");
    }
}

#[tokio::test]
async fn where_neither_feed_can_be_read_the_cycle_ends_at_once() {
    let copied = copied(shop()).await;
    let before = copied.sim.stats().total;
    copied.sim.set_faults(FaultScript::new().always("/v", Fault::status(500)));
    let ended = copied.engine.run(&CancellationToken::new()).await;
    assert!(matches!(ended, Err(SyncError::Stripe { .. })), "{ended:?}");
    assert_eq!(copied.sim.stats().total - before, 6, "three tries of either");
}

/// The feed cannot be read when it is looked whether it has a gap, and a moment later it can.
#[tokio::test]
async fn trap_14_a_gap_is_seen_although_nobody_could_look_for_it_at_first() {
    let mut copied = copied(shop()).await;
    copied.engine.options.reread.told_every = Duration::MAX;
    copied.world.put(charge(0, "after"));
    copied.it_is(40 * DAY);
    // Every try of the first question.
    copied.sim.set_faults(FaultScript::new().between("/v1/events", 1, 3, Fault::status(500)));
    let report = copied.report().await;
    let said = report.failed().find(|(table, _)| *table == "events").map(|(_, error)| error);
    assert!(matches!(said, Some(SyncError::Stripe { .. })), "{said:?}");
    copied.sim.set_faults(FaultScript::new());
    copied.cycle().await;
    assert_eq!(copied.described("ch_0"), "after");
}
