//! Lists that say there is more: a walk goes on or gives up, and never asks the same for ever.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use stripe_sim::FaultScript;
use sync::SyncError;
use tokio_util::sync::CancellationToken;

use crate::small::{Small, connected, customer};

#[tokio::test]
async fn an_empty_page_that_says_there_is_more_is_not_asked_for_again() {
    let world = Small::default();
    (0..150).for_each(|number| world.put(customer(number, "")));
    let mut copied = connected(world, FaultScript::new()).await;
    let given = copied.answered(|asked| {
        let second = asked.starts_with("/v1/customers?") && asked.contains("starting_after");
        second.then(|| json!({ "object": "list", "data": [], "has_more": true, "url": "/v1/customers" }))
    });
    let report = copied.engine.run(&CancellationToken::new()).await.unwrap();
    let failed: Vec<_> = report.failed().filter(|(table, _)| *table == "customers").collect();
    assert!(matches!(failed[..], [(_, SyncError::Stuck { .. })]), "{failed:?}");
    assert_eq!(given.load(Ordering::Relaxed), 1);
    assert_eq!(copied.table("customer").len(), 100, "what came is stored");
}

#[tokio::test]
async fn trap_6_a_page_of_api_v2_that_shows_nothing_goes_on() {
    let mut copied = connected(Small::default(), FaultScript::new()).await;
    copied.answered(|asked| {
        let page = |data: Value, next: Value| json!({ "data": data, "next_page_url": next, "previous_page_url": null });
        let event = json!({ "id": "evt_v2", "object": "v2.core.event", "created": "2026-05-28T20:26:40.000Z", "type": "v1.a" });
        match asked {
            _ if !asked.starts_with("/v2/core/events?") => None,
            _ if asked.contains("page=2") => Some(page(json!([]), json!("/v2/core/events?page=3"))),
            _ if asked.contains("page=3") => Some(page(json!([event]), Value::Null)),
            _ => Some(page(json!([]), json!("/v2/core/events?page=2"))),
        }
    });
    copied.cycle().await;
    assert_eq!(copied.table("v2.core.event").into_keys().collect::<Vec<_>>(), ["evt_v2"]);
}
