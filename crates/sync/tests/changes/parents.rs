//! What belongs to parents, and what their lists leave out.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use serde_json::{Value, json};
use stripe_sim::{Fault, FaultScript};
use sync::TableState;
use tokio_util::sync::CancellationToken;

use crate::{
    small::{BEGAN, Copied, Small, Ticking, connected, copied, customer},
    support,
};

const DAY: i64 = 86_400;

/// A movement of the balance of customer 0.
fn movement(number: i64) -> Value {
    json!({
        "id": format!("cbtxn_{number}"), "object": "customer_balance_transaction", "created": BEGAN + number,
        "customer": "cus_0",
    })
}

impl Copied {
    fn movements(&self) -> usize {
        let table = catalog::resource("customer_balance_transactions").unwrap().table;
        self.warehouse.rows(&support::schema(), table).num_rows()
    }
}

#[tokio::test]
async fn a_long_set_is_stored_while_it_comes_and_is_whole_after_it_was_broken_off() {
    let world = Small::default();
    world.put(customer(0, ""));
    (0..1_200).for_each(|number| world.put(movement(number)));
    let seventh = FaultScript::new().nth("/v1/customers/cus_0/balance_transactions", 7, Fault::status(401));
    let copied = connected(world, seventh).await;
    copied.engine.run(&CancellationToken::new()).await.unwrap_err();
    assert_eq!(copied.movements(), 500, "no more than that are held in memory");
    copied.cycle().await;
    assert_eq!(copied.movements(), 1_200);
}

#[tokio::test]
async fn a_round_that_began_while_the_clock_was_ahead_hides_no_later_change() {
    let world = Small::default();
    world.put(customer(0, "before"));
    let copied = copied(world).await;
    // Nothing is listed again, neither expanded nor plain, so the round alone remembers the clock.
    copied.sim.set_faults(FaultScript::new().between("/v1/customers", 1, 2, Fault::status(403)));
    let days = |days: i64| Arc::new(Ticking(AtomicI64::new((BEGAN + days * DAY) * 1_000)));
    let ahead = support::engine(&copied.address, &copied.warehouse, days(3), 3);
    ahead.run(&CancellationToken::new()).await.unwrap();
    copied.world.put(movement(1));
    copied.world.event(1, BEGAN + 900_000, "customer.updated", &customer(0, ""));
    let right = support::engine(&copied.address, &copied.warehouse, days(1), 3);
    right.run(&CancellationToken::new()).await.unwrap();
    assert_eq!(copied.movements(), 1);
}

#[tokio::test]
async fn a_refused_expansion_is_asked_for_once_and_costs_its_nested_lists_only() {
    let world = Small::default();
    (0..250).for_each(|number| world.put(customer(number, "")));
    let mut copied = connected(world, FaultScript::new()).await;
    let refused = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&refused);
    copied.treat(move |asked, answer| {
        if !asked.contains("expand") {
            return answer;
        }
        let of_customers = asked.starts_with("/v1/customers?");
        counted.fetch_add(u64::from(of_customers), Ordering::Relaxed);
        let refusal =
            json!({ "error": { "message": "You may not expand this.", "type": "invalid_request_error" } });
        let answer = http::Response::builder().status(403).body(refusal.to_string().into());
        Box::pin(async move { Ok(answer?) })
    });
    let report = copied.engine.run(&CancellationToken::new()).await.unwrap();
    let customers = report.tables.iter().find(|table| table.table == "customers").unwrap();
    assert!(matches!(customers.outcome, Ok(TableState::Live { .. })), "{customers:?}");
    assert_eq!((copied.table("customer").len(), refused.load(Ordering::Relaxed)), (250, 1));
}

/// A set that is empty says as much as any other.
#[tokio::test]
async fn trap_9_the_last_part_that_a_parent_loses_is_gone() {
    let world = Small::default();
    let owner = customer(0, "");
    world.put(owner.clone());
    world.put(movement(1));
    // A newer one, so that the other is not listed again as new.
    world.put(json!({ "id": "cus_2", "object": "customer", "created": BEGAN + 600_000 }));
    let copied = copied(world).await;
    assert_eq!(copied.movements(), 1);
    copied.world.objects.lock().unwrap().remove("customer_balance_transaction");
    copied.world.event(1, BEGAN + 900_000, "customer.updated", &owner);
    copied.cycle().await;
    assert_eq!(copied.movements(), 0);
}
