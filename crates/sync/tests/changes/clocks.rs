//! The clock of the machine is set back while nothing runs: what is read then must look newer all the same.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use stripe_api::RetryPolicy;
use tokio::sync::watch;

use crate::{
    beside::{cash_movement, lists_new_customers},
    small::{BEGAN, Copied, Small, Ticking, copied, customer},
    support,
};

/// In milliseconds.
const DAY: i64 = 86_400_000;

impl Copied {
    /// Starts again, when the clock shows so many days since the first start.
    fn start_again(&mut self, days: i64) {
        self.clock.0.store(BEGAN * 1_000 + days * DAY, Ordering::Relaxed);
        let clock = Arc::<Ticking>::clone(&self.clock);
        self.engine.stripe =
            support::stripe(&self.address, clock, RetryPolicy { attempts: 1, ..RetryPolicy::default() });
    }

    /// An object changes, and an event tells.
    async fn change(&self, number: i64, object: Value) {
        let name = format!("{}.updated", object["object"].as_str().unwrap());
        self.world.event(number, BEGAN + 900_000 + number, &name, &object);
        self.world.put(object);
        self.cycle().await;
    }
}

fn charge(number: i64, description: &str) -> Value {
    json!({ "id": format!("ch_{number}"), "object": "charge", "created": BEGAN + number, "description": description })
}

/// Charges have no round, whose beginning would be remembered.
#[tokio::test]
async fn what_is_read_by_a_clock_that_was_set_back_replaces_what_was_read_before() {
    let world = Small::default();
    // Every cycle lists the newer one again.
    [0, 100_000].iter().for_each(|number| world.put(charge(*number, "new")));
    let mut copied = copied(world).await;
    copied.start_again(10);
    copied.change(1, charge(0, "ten days later")).await;
    copied.start_again(1);
    copied.change(2, charge(0, "by a clock that was set back")).await;
    assert_eq!(copied.table("charge")["ch_0"].0["description"], "by a clock that was set back");
}

#[tokio::test]
async fn a_parent_that_is_read_by_a_clock_that_was_set_back_is_asked_by_the_next_round() {
    let world = Small::default();
    [0, 100_000].iter().for_each(|number| world.put(customer(*number, "before")));
    let mut copied = copied(world).await;
    // A round over all parents begins ten days, by the clock, after anything that is read.
    copied.engine.options.tables = 1;
    let every = std::mem::replace(&mut copied.engine.options.reread.rounds_every, Duration::ZERO);
    let (clock, listed) = (Arc::clone(&copied.clock), watch::channel(false).0);
    copied.treat(move |asked, answer| {
        let (clock, listed) = (Arc::clone(&clock), listed.clone());
        Box::pin(async move {
            if lists_new_customers(&asked) {
                let answer = answer.await;
                clock.0.fetch_add(10 * DAY, Ordering::Relaxed);
                listed.send_replace(true);
                return answer;
            }
            if asked.contains("cus_0/balance_transactions") {
                listed.subscribe().wait_for(|listed| *listed).await.unwrap();
            }
            answer.await
        })
    });
    copied.cycle().await;

    copied.start_again(1);
    copied.engine.options.reread.rounds_every = every;
    copied.world.put(cash_movement(0));
    copied.change(1, customer(0, "after")).await;
    assert_eq!(copied.cash_movements(), 1);
}
