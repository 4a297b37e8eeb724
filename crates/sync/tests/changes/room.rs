//! Walks that share the room for what they have gathered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use stripe_sim::FaultScript;
use sync::Options;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::small::{BEGAN, Small, connected};

fn charge(number: i64) -> Value {
    let description = "n".repeat(5_000);
    json!({ "id": format!("ch_{number}"), "object": "charge", "created": BEGAN + number, "description": description })
}

fn method(number: i64) -> Value {
    let card = json!({ "description": "n".repeat(500) });
    json!({ "id": format!("pm_{number}"), "object": "payment_method", "created": BEGAN + number, "card": card })
}

/// Charges have gathered most and wait for an answer, which comes when payment methods have been
/// listed, for which there is no room.
/// What is gathered is stored every two seconds in any case, so they have one.
#[tokio::test(start_paused = true)]
async fn a_walk_that_waits_for_an_answer_makes_room_for_the_others_at_once() {
    let world = Small::default();
    (0..300).for_each(|number| world.put(charge(number)));
    (0..1_000).for_each(|number| world.put(method(number)));
    let mut copied = connected(world, FaultScript::new()).await;
    copied.engine.options = Options { slices: 1, pages: 1, bytes: 650_000, ..copied.engine.options };
    let (charges, methods) = (Arc::<AtomicUsize>::default(), watch::channel(0_usize).0);
    let (gathered, in_vain) = (watch::channel(false).0, watch::channel(None).0);
    let waited = in_vain.subscribe();
    copied.treat(move |asked, answer| {
        // The first page is stored at once, the second is gathered.
        let is_third = asked.starts_with("/v1/charges?") && charges.fetch_add(1, Ordering::Relaxed) == 2;
        let (methods, gathered, in_vain) = (methods.clone(), gathered.clone(), in_vain.clone());
        Box::pin(async move {
            if asked.starts_with("/v1/payment_methods?") {
                gathered.subscribe().wait_for(|gathered| *gathered).await.unwrap();
                if *methods.borrow() == 0 {
                    // All other walks come to their end, so that nobody else tells of anything.
                    sleep(Duration::from_millis(50)).await;
                }
                methods.send_modify(|pages| *pages += 1);
            }
            if is_third {
                gathered.send_replace(true);
                let mut listed = methods.subscribe();
                let all = timeout(Duration::from_secs(1), listed.wait_for(|pages| *pages >= 10)).await;
                in_vain.send_replace(Some(all.is_err()));
            }
            answer.await
        })
    });
    copied.cycle().await;
    assert_eq!(*waited.borrow(), Some(false), "nobody made room, or nobody heard of it");
}
