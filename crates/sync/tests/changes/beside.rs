//! Rounds that go beside the walks, and beside what follows changes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use stripe_sim::FaultScript;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    small::{BEGAN, Copied, Small, connected, copied, customer},
    support,
};

impl Copied {
    pub(crate) fn cash_movements(&self) -> usize {
        let table = catalog::resource("customer_cash_balance_transactions").unwrap().table;
        self.warehouse.rows(&support::schema(), table).num_rows()
    }
}

/// New customers since the copy, which is how a change is followed.
pub(crate) fn lists_new_customers(asked: &str) -> bool {
    asked.starts_with("/v1/customers?") && asked.contains("created")
}

pub(crate) fn cash_movement(number: i64) -> Value {
    json!({
        "id": format!("ccsbtxn_{number}"), "object": "customer_cash_balance_transaction", "created": BEGAN + number,
        "customer": format!("cus_{number}"),
    })
}

/// The walk over customers has not met the new one, and the round over them begins before it is stored that there is one.
#[tokio::test(start_paused = true)]
async fn trap_4_a_round_that_begins_while_new_parents_are_listed_asks_them_too() {
    let world = Small::default();
    world.put(customer(0, ""));
    let mut copied = connected(world, FaultScript::new()).await;
    // One round at a time.
    copied.engine.options.tables = 1;
    let (listed, began) = (watch::channel(false).0, watch::channel(false).0);
    let world = Arc::clone(&copied.world);
    copied.treat(move |asked, answer| {
        let (listed, began, world) = (listed.clone(), began.clone(), Arc::clone(&world));
        Box::pin(async move {
            if lists_new_customers(&asked) {
                world.put(customer(1, ""));
                world.put(cash_movement(1));
                let answer = answer.await;
                listed.send_replace(true);
                began.subscribe().wait_for(|began| *began).await.unwrap();
                return answer;
            }
            if asked.contains("cus_0/balance_transactions") {
                listed.subscribe().wait_for(|listed| *listed).await.unwrap();
            }
            if asked.contains("cus_0/cash_balance_transactions") {
                began.send_replace(true);
            }
            answer.await
        })
    });
    copied.cycle().await;
    assert_eq!(copied.cash_movements(), 1);
}

#[tokio::test(start_paused = true)]
async fn rounds_have_their_time_however_long_changes_are_followed() {
    let world = Small::default();
    (0..60).for_each(|number| world.put(customer(number, "")));
    world.event(100, BEGAN, "customer.created", &customer(0, ""));
    let mut copied = copied(world).await;
    copied.engine.options.rounds = Duration::from_secs(5);
    let turns = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&turns);
    copied.treat(move |asked, answer| {
        let newest_events = asked.starts_with("/v1/events?") && !asked.contains("created");
        counted.fetch_add(u64::from(newest_events), Ordering::Relaxed);
        Box::pin(async move {
            if lists_new_customers(&asked) {
                sleep(Duration::from_secs(10)).await;
            }
            answer.await
        })
    });
    for number in 0..60 {
        copied.world.put(cash_movement(number));
        copied.world.event(number, BEGAN + 900_000 + number, "customer.updated", &customer(number, ""));
    }
    copied.engine.run(&CancellationToken::new()).await.unwrap();
    assert_eq!((copied.cash_movements(), turns.load(Ordering::Relaxed)), (60, 1));
}

/// Whether the round over customer 0 does not begin while new customers are listed, which waits for it. Other questions about
/// customers take so long.
async fn waits_for_following(copied: &mut Copied, others: Duration) -> bool {
    let (began, in_vain) = (watch::channel(false).0, watch::channel(None).0);
    let waited = in_vain.subscribe();
    copied.treat(move |asked, answer| {
        let (began, in_vain) = (began.clone(), in_vain.clone());
        Box::pin(async move {
            if asked.contains("cus_0/") {
                began.send_replace(true);
            } else if lists_new_customers(&asked) {
                let mut began = began.subscribe();
                let seen = timeout(Duration::from_secs(60), began.wait_for(|began| *began)).await;
                in_vain.send_replace(Some(seen.is_err()));
            } else if asked.starts_with("/v1/customers?") {
                sleep(others).await;
            }
            answer.await
        })
    });
    copied.cycle().await;
    let waited = *waited.borrow();
    waited.expect("new customers were listed")
}

#[tokio::test(start_paused = true)]
async fn where_no_list_is_walked_rounds_go_beside_following_too() {
    let world = Small::default();
    world.put(customer(0, ""));
    let mut copied = copied(world).await;
    copied.engine.options.reread.rounds_every = Duration::ZERO;
    assert!(!waits_for_following(&mut copied, Duration::ZERO).await);
}

/// Their list is the last to be walked, and changes are followed as soon as it is.
#[tokio::test(start_paused = true)]
async fn the_round_over_what_was_walked_last_goes_beside_following() {
    let world = Small::default();
    world.put(customer(0, ""));
    let mut copied = connected(world, FaultScript::new()).await;
    assert!(!waits_for_following(&mut copied, Duration::from_secs(1)).await);
}
