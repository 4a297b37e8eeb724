//! Parents that Stripe refuses to show anything of.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use stripe_sim::{Fault, FaultScript};
use sync::{Report, SyncError, TableState};
use tokio_util::sync::CancellationToken;

use crate::{
    small::{BEGAN, Copied, Small, connected, customer},
    support,
};

const TABLE: &str = "customer_balance_transactions";

fn movement(customer: i64, number: i64) -> Value {
    json!({
        "id": format!("cbtxn_{customer}_{number}"), "object": "customer_balance_transaction", "created": BEGAN + number,
        "customer": format!("cus_{customer}"),
    })
}

fn refusing(path: &str) -> FaultScript {
    FaultScript::new().always(path, Fault::status(403))
}

impl Copied {
    fn shown_movements(&self) -> usize {
        self.warehouse.rows(&support::schema(), catalog::resource(TABLE).unwrap().table).num_rows()
    }

    /// An hour later.
    async fn next_cycle(&self) -> Report {
        self.world.age.fetch_add(3_600, Ordering::Relaxed);
        self.clock.0.fetch_add(3_600_000, Ordering::Relaxed);
        self.engine.run(&CancellationToken::new()).await.unwrap()
    }

    /// A customer gets one more, and an event tells of that.
    fn moves(&self, number: i64, event: i64) {
        self.world.put(movement(number, event));
        self.world.event(event, BEGAN + 900_000 + event, "customer.updated", &customer(number, ""));
    }
}

/// The newest customer is listed in every cycle, so a round asks for it alone when nobody else changed.
#[tokio::test]
async fn one_parent_that_is_refused_for_good_keeps_no_other_from_being_asked() {
    let world = Small::default();
    (1..9).for_each(|number| world.put(customer(number, "")));
    world.put(json!({ "id": "cus_9", "object": "customer", "created": BEGAN + 600_000 }));
    world.event(1, BEGAN + 900_000, "customer.updated", &customer(1, ""));
    let copied = connected(world, refusing("/v1/customers/cus_9/balance_transactions")).await;
    for (event, number) in [(0, 0), (4, 1), (5, 2), (6, 3), (7, 4)] {
        copied.next_cycle().await;
        copied.next_cycle().await;
        if event > 0 {
            copied.moves(number, event);
        }
    }
    let report = copied.next_cycle().await;
    assert_eq!(copied.shown_movements(), 4);
    let told: Vec<_> = report.failed().filter(|(table, _)| *table == TABLE).map(|(_, error)| error).collect();
    let [error @ SyncError::Withheld { what, .. }] = told[..] else { panic!("{told:?}") };
    assert!(error.is_withheld());
    assert_eq!(what, "customer_balance_transactions of 1 parent in customers");
    let missing = sync::missing_parts(&copied.stored().await).unwrap();
    assert!(
        missing[TABLE].starts_with("what belongs to 1 parent in customers could not be read"),
        "{missing:?}"
    );
}

#[tokio::test]
async fn however_many_parents_are_refused_the_others_are_asked() {
    let world = Small::default();
    (100..160).chain(200..230).for_each(|number| world.put(customer(number, "")));
    (200..230).for_each(|number| world.put(movement(number, 1)));
    let copied = connected(world, refusing("/v1/customers/cus_1")).await;
    for _ in 0..4 {
        copied.next_cycle().await;
    }
    assert_eq!(copied.shown_movements(), 30);
    copied.sim.set_faults(FaultScript::new());
    copied.world.put(movement(100, 1));
    copied.world.put(movement(159, 1));
    copied.next_cycle().await;
    assert_eq!(copied.shown_movements(), 32, "and the refused ones once they are shown");
}

/// Payment methods have a list of their own; what is attached to customers only these show.
#[tokio::test]
async fn what_belongs_to_parents_that_are_refused_is_said_and_the_table_stands() {
    let world = Small::default();
    world.put(json!({ "id": "pm_1", "object": "payment_method", "created": BEGAN }));
    let copied = connected(world, refusing("/v1/customers")).await;
    for _ in 0..2 {
        let report = copied.next_cycle().await;
        let methods = report.tables.into_iter().find(|table| table.table == "payment_methods").unwrap();
        let Some(SyncError::Withheld { what, .. }) = methods.trouble else { panic!("{:?}", methods.trouble) };
        assert_eq!(what, "payment_methods of customers");
        let stands = &sync::table_states(copied.stored().await).unwrap()["payment_methods"];
        assert!(matches!(stands, TableState::Live { .. }), "{stands:?}");
    }
}

#[tokio::test]
async fn an_object_that_stripe_refuses_to_show_again_is_said_and_owed() {
    let world = Small::default();
    (0..3).for_each(|number| world.put(customer(number * 100_000, "before")));
    world.event(1, BEGAN + 900_000, "customer.created", &customer(200_000, "before"));
    let copied = connected(world, FaultScript::new()).await;
    copied.cycle().await;
    copied.world.put(customer(0, "after"));
    copied.world.event(2, BEGAN + 900_001, "customer.updated", &customer(0, "after"));
    copied.sim.set_faults(refusing("/v1/customers/cus_0"));
    for _ in 0..2 {
        let report = copied.next_cycle().await;
        let customers = report.tables.into_iter().find(|table| table.table == "customers").unwrap();
        let said = customers.trouble.map(|trouble| trouble.sentence()).unwrap_or_default();
        assert!(
            said.starts_with("Stripe does not show 1 changed object of customers. Its last answer: "),
            "{said}"
        );
        let missing = sync::missing_parts(&copied.stored().await).unwrap();
        assert!(missing["customers"].starts_with("1 changed object could not be read"), "{missing:?}");
    }
    copied.sim.set_faults(FaultScript::new());
    copied.cycle().await;
    assert_eq!(copied.table("customer")["cus_0"].0["name"], "after");
}
