//! What Stripe does not show: what is too new, the nested lists of one object, events.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

use arrow_array::cast::AsArray;
use serde_json::{Value, json};
use stripe_sim::{Fault, FaultScript};
use sync::{Awaited, Pass, Pushed, PushedEvent};
use tokio_util::sync::CancellationToken;

use crate::{
    small::{BEGAN, Copied, Small, Ticking, connected, copied, customer},
    support,
};

const DAY: i64 = 86_400;
/// What time it is for Stripe, as long as nothing passes.
const NOW: i64 = BEGAN + 1_000_000;

fn payment_method(number: i64) -> Value {
    json!({ "id": format!("pm_{number}"), "object": "payment_method", "created": BEGAN + number })
}

/// An event as it is pushed.
fn pushed(number: i64, created: i64, name: &str, object: &Value) -> PushedEvent {
    let data = json!({ "object": { "id": object["id"], "object": object["object"] } });
    let id = format!("evt_{number}");
    let event = json!({ "id": id, "object": "event", "created": created, "type": name, "data": data });
    PushedEvent { id, body: event.to_string().into_bytes(), looked_at_micros: None }
}

impl Copied {
    async fn pass(&self, events: Vec<PushedEvent>) -> Pass {
        self.engine.apply_pushed(events, &CancellationToken::new()).await.unwrap()
    }

    /// Pushes an event that waits; gives why, and the event as it is pushed again.
    async fn waits(&self, event: PushedEvent) -> (String, PushedEvent) {
        let mut pass = self.pass(vec![event.clone()]).await;
        let Some(Pushed::Waits { awaited: Awaited::Object { why }, looked_at_micros }) =
            pass.events.remove(&event.id)
        else {
            panic!("{pass:?}")
        };
        (why, PushedEvent { looked_at_micros: Some(looked_at_micros), ..event })
    }

    async fn is_applied(&self, event: PushedEvent) -> bool {
        let id = event.id.clone();
        self.pass(vec![event]).await.events[&id] == Pushed::Applied
    }

    /// The names of the children that are there, with their parents.
    fn children(&self, table: &str) -> Vec<(String, String)> {
        let resource = catalog::resource("customers").unwrap();
        let child = resource.children.iter().find(|child| child.table.name == table).unwrap();
        let rows = self.warehouse.rows(&support::schema(), child.table);
        let text = |name: &str| rows.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (parents, values) = (text("_parent"), text("value"));
        let gone = rows.column_by_name("_deleted").unwrap().as_boolean().clone();
        let there = (0..rows.num_rows()).filter(|&row| !gone.value(row));
        let mut there: Vec<_> =
            there.map(|row| (parents.value(row).to_owned(), values.value(row).to_owned())).collect();
        there.sort();
        there
    }
}

/// A copy of payment methods, whose list cannot be asked by time: nothing but the next walk would mend what is wrong.
async fn of_payment_methods() -> Copied {
    let world = Small::default();
    (0..3).for_each(|number| world.put(payment_method(number)));
    world.put(customer(0, ""));
    copied(world).await
}

#[tokio::test]
async fn trap_4_what_is_pushed_before_stripe_shows_it_waits_until_it_does() {
    let copied = of_payment_methods().await;
    let new = payment_method(9);
    let (why, event) = copied.waits(pushed(1, NOW, "payment_method.attached", &new)).await;
    assert_eq!(why, "Stripe does not show pm_9 yet");
    assert!(!copied.table("payment_method").contains_key("pm_9"));
    assert_eq!(copied.table("event").len(), 0, "the feed would pass over it");
    copied.world.age.fetch_add(30, Ordering::Relaxed);
    let (_, event) = copied.waits(event).await;
    copied.world.put(new.clone());
    assert!(copied.is_applied(event).await);
    assert_eq!(copied.table("payment_method")["pm_9"], (new, false));
    assert_eq!(copied.table("event").len(), 1);
}

/// The list of payment methods cannot be asked for new ones: nothing else would find it before the next whole walk.
#[tokio::test]
async fn trap_4_what_the_feed_names_before_stripe_shows_it_is_looked_for_again_and_its_event_too() {
    let copied = of_payment_methods().await;
    let (new, gone) = (payment_method(9), payment_method(8));
    copied.world.event(1, NOW, "payment_method.attached", &new);
    copied.world.event(2, NOW - 1, "payment_method.detached", &payment_method(0));
    copied.world.event(3, NOW - 2, "payment_method.attached", &gone);
    copied.cycle().await;
    assert!(!copied.table("payment_method").contains_key("pm_9"));
    assert_eq!(
        copied.table("event").into_keys().collect::<Vec<_>>(),
        ["evt_2"],
        "the others must be read again"
    );
    copied.world.put(new.clone());
    copied.world.age.fetch_add(60, Ordering::Relaxed);
    copied.cycle().await;
    assert_eq!(copied.table("payment_method")["pm_9"], (new, false));
    assert_eq!(copied.table("event").into_keys().collect::<Vec<_>>(), ["evt_1", "evt_2"]);
    copied.world.age.fetch_add(60, Ordering::Relaxed);
    copied.cycle().await;
    assert!(copied.table("payment_method")["pm_8"].1, "two minutes are enough");
    assert_eq!(copied.table("event").len(), 3);
}

#[tokio::test]
async fn trap_4_and_11_what_the_feed_says_is_deleted_is_gone_at_once() {
    let copied = of_payment_methods().await;
    copied.world.event(1, NOW, "customer.created", &customer(7, ""));
    copied.world.event(2, NOW, "customer.deleted", &customer(7, ""));
    copied.cycle().await;
    assert!(copied.table("customer")["cus_7"].1);
    assert_eq!(copied.table("event").len(), 2);
}

#[tokio::test]
async fn trap_4_what_stripe_does_not_show_for_two_minutes_is_gone() {
    let copied = of_payment_methods().await;
    let (_, event) = copied.waits(pushed(1, NOW, "payment_method.attached", &payment_method(9))).await;
    copied.world.age.fetch_add(120, Ordering::Relaxed);
    assert!(copied.is_applied(event).await);
    assert!(copied.table("payment_method")["pm_9"].1);
}

#[tokio::test]
async fn trap_4_and_11_what_was_there_or_is_said_to_be_deleted_or_was_named_before_is_gone_at_once() {
    let copied = of_payment_methods().await;
    copied.world.objects.lock().unwrap().remove("payment_method");
    assert!(copied.is_applied(pushed(1, NOW, "payment_method.updated", &payment_method(0))).await);
    assert!(copied.is_applied(pushed(2, NOW, "payment_method.deleted", &payment_method(7))).await);
    let events = [NOW - 120, NOW].map(|created| {
        let number = created - BEGAN;
        pushed(number, created, "payment_method.updated", &payment_method(8))
    });
    let pass = copied.pass(events.to_vec()).await;
    assert!(pass.events.values().all(|what| *what == Pushed::Applied), "{pass:?}");
    let gone: Vec<_> =
        copied.table("payment_method").into_iter().filter(|(_, row)| row.1).map(|(id, _)| id).collect();
    assert_eq!(gone, ["pm_0", "pm_7", "pm_8"]);
}

/// An event that does not say when it happened.
#[tokio::test]
async fn trap_4_what_is_not_known_to_be_old_is_as_old_as_the_first_look_at_it() {
    let copied = of_payment_methods().await;
    let mut event = pushed(1, NOW, "payment_method.attached", &payment_method(9));
    event.body = String::from_utf8(event.body).unwrap().replace("created", "made").into_bytes();
    let (_, event) = copied.waits(event).await;
    copied.clock.0.fetch_add(119_000, Ordering::Relaxed);
    let (_, event) = copied.waits(event).await;
    copied.clock.0.fetch_add(2_000, Ordering::Relaxed);
    copied.pass(vec![event]).await;
    assert!(copied.table("payment_method")["pm_9"].1);
}

/// A thin event is read itself, since it is pushed without much of what it says.
#[tokio::test]
async fn trap_4_and_18_a_thin_event_that_does_not_show_yet_waits() {
    let copied = of_payment_methods().await;
    let created = chrono::DateTime::from_timestamp(NOW - 5, 0).unwrap().to_rfc3339();
    let thin = json!({
        "id": "evt_1", "object": "v2.core.event", "type": "v1.customer.deleted", "created": created,
        "related_object": { "id": "cus_0", "type": "customer", "url": "/v1/customers/cus_0" },
    });
    let event =
        PushedEvent { id: "evt_1".to_owned(), body: thin.to_string().into_bytes(), looked_at_micros: None };
    let (why, event) = copied.waits(event).await;
    assert_eq!(why, "Stripe does not show evt_1 yet");
    copied.world.age.fetch_add(120, Ordering::Relaxed);
    assert!(copied.is_applied(event).await);
}

/// A customer, and the tax id that Stripe shows with it when it is asked to expand that.
fn taxed(number: i64, value: &str) -> [Value; 2] {
    let tax_id = json!({
        "id": format!("txi_{number}"), "object": "tax_id", "created": BEGAN, "customer": format!("cus_{number}"),
        "value": value,
    });
    [customer(number, value), tax_id]
}

/// What was asked, and how one kind of request is refused.
#[derive(Clone, Default)]
struct Refusing {
    asked: Arc<Mutex<Vec<String>>>,
    refused: Arc<Mutex<&'static str>>,
}

impl Refusing {
    /// From now on refuses to expand what begins so.
    fn refuse(&self, path: &'static str) {
        *self.refused.lock().unwrap() = path;
    }

    /// How many objects, and lists, of customers were asked for since the last time, expanded and plain.
    fn asked(&self) -> [usize; 4] {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let of = |list: bool, expanded: bool| {
            asked
                .iter()
                .filter(|path| {
                    path.starts_with("/v1/customers?") == list && path.contains("expand") == expanded
                })
                .count()
        };
        [of(false, true), of(false, false), of(true, true), of(true, false)]
    }
}

/// Ten old customers and a new one, copied; Stripe may refuse to expand them.
async fn of_taxed() -> (Copied, Refusing) {
    let world = Small::default();
    (100..110).flat_map(|number| taxed(number, "before")).for_each(|object| world.put(object));
    world.put(customer(500_000, ""));
    world.event(1, BEGAN + 900_000, "customer.updated", &customer(500_000, ""));
    let mut copied = connected(world, FaultScript::new()).await;
    let refusing = Refusing::default();
    let on_the_way = refusing.clone();
    copied.treat(move |path, answer| {
        let of_parts = ["balance_transactions", "payment_methods", "sources?", "tax_ids?"];
        if path.starts_with("/v1/customers") && !of_parts.iter().any(|part| path.contains(part)) {
            on_the_way.asked.lock().unwrap().push(path.clone());
        }
        let refused = *on_the_way.refused.lock().unwrap();
        if refused.is_empty() || !path.starts_with(refused) || !path.contains("expand") {
            return answer;
        }
        let message = "This property cannot be expanded (sources).";
        let refusal = json!({ "error": { "message": message, "type": "invalid_request_error" } });
        let answer = http::Response::builder().status(400).body(refusal.to_string().into());
        Box::pin(async move { Ok(answer?) })
    });
    copied.cycle().await;
    assert_eq!(copied.children("customer_tax_ids").len(), 10);
    refusing.asked();
    (copied, refusing)
}

fn told() -> Vec<PushedEvent> {
    let events = 100..110;
    events
        .map(|number| pushed(number, BEGAN + 900_000 + number, "customer.updated", &customer(number, "")))
        .collect()
}

impl Copied {
    /// All old customers change.
    fn change_taxed(&self, value: &str) {
        (100..110).flat_map(|number| taxed(number, value)).for_each(|object| self.world.put(object));
    }

    fn tell(&self) {
        for number in 100..110 {
            self.world.event(number, BEGAN + 900_000 + number, "customer.updated", &customer(number, ""));
        }
    }

    /// How many customers, and how many tax ids, are as they became.
    fn changed(&self) -> (usize, usize) {
        let customers =
            self.table("customer").into_values().filter(|(row, _)| row["name"] == "after").count();
        let children = self.children("customer_tax_ids");
        assert_eq!(children.len(), 10, "none is blanked");
        (customers, children.iter().filter(|(_, value)| value == "after").count())
    }

    async fn missing(&self) -> Option<String> {
        let stored = warehouse::Warehouse::checkpoints(&*self.warehouse, &support::schema()).await.unwrap();
        sync::missing_parts(&stored).unwrap().remove("customers")
    }
}

#[tokio::test]
async fn trap_13_a_refusal_to_expand_one_object_speaks_for_no_other() {
    let (copied, refusing) = of_taxed().await;
    copied.change_taxed("after");
    copied.tell();
    refusing.refuse("/v1/customers/cus_100?");
    let said = async || {
        let report = copied.engine.run(&CancellationToken::new()).await.unwrap();
        let said: Vec<_> = report.failed().map(|(table, error)| (table, error.is_withheld())).collect();
        assert_eq!(said, [("customers", true)]);
    };
    said().await;
    assert_eq!((copied.changed(), refusing.asked()), ((9, 9), [10, 0, 1, 0]), "it is as good as not read");
    said().await;
    assert_eq!((copied.changed(), refusing.asked()), ((9, 9), [1, 0, 1, 0]), "it is owed, and nothing else");
    let missing = copied.missing().await;
    assert_eq!(missing.as_deref(), Some("1 changed object could not be read; each update asks again"));
    refusing.refuse("");
    copied.cycle().await;
    assert_eq!(copied.changed(), (10, 10));
    refusing.asked();
    copied.cycle().await;
    assert_eq!(copied.missing().await, None);
    assert_eq!(refusing.asked(), [0, 0, 1, 0], "nothing is walked again");
}

#[tokio::test]
async fn trap_13_in_a_pass_the_event_of_an_object_that_is_not_expanded_waits_and_no_other() {
    let (copied, refusing) = of_taxed().await;
    copied.change_taxed("after");
    refusing.refuse("/v1/customers/cus_100?");
    let mut pass = copied.pass(told()).await;
    assert_eq!(refusing.asked(), [10, 0, 1, 0], "its list is asked, since it may speak for all");
    let waiting = pass.events.remove("evt_100");
    assert!(
        matches!(&waiting, Some(Pushed::Waits { awaited: Awaited::Object { why }, .. }) if why.contains("cus_100"))
    );
    assert!(pass.events.values().all(|what| *what == Pushed::Applied), "{pass:?}");
    assert_eq!(copied.changed(), (9, 9));
    refusing.refuse("");
    let Some(Pushed::Waits { looked_at_micros, .. }) = waiting else { panic!("{waiting:?}") };
    let again = PushedEvent { looked_at_micros: Some(looked_at_micros), ..told().remove(0) };
    assert!(copied.is_applied(again).await);
    assert_eq!(copied.changed(), (10, 10));
}

#[tokio::test]
async fn trap_13_a_pass_learns_from_the_list_that_nothing_is_expanded_and_what_it_lacks_is_read_later() {
    let (copied, refusing) = of_taxed().await;
    copied.change_taxed("after");
    refusing.refuse("/v1/customers");
    let applied = async || {
        let pass = copied.pass(told()).await;
        assert!(pass.events.values().all(|what| *what == Pushed::Applied), "{pass:?}");
    };
    applied().await;
    assert_eq!(copied.changed(), (10, 0));
    assert!(copied.missing().await.unwrap().contains("cannot be expanded"));
    refusing.asked();
    applied().await;
    let [expanded, plain, listed @ ..] = refusing.asked();
    assert!((1..=8).contains(&expanded) && plain == 10, "{expanded} {plain}");
    assert_eq!(listed, [0, 0], "what is stored needs not be asked");
    // Nothing but the mark in the warehouse tells which rows lack something.
    refusing.refuse("");
    copied.cycle().await;
    copied.cycle().await;
    assert_eq!((copied.changed(), copied.missing().await), ((10, 10), None));
}

#[tokio::test]
async fn trap_13_and_23_where_the_list_is_refused_too_every_event_waits_and_it_is_not_asked_for_each() {
    let (copied, refusing) = of_taxed().await;
    copied.change_taxed("after");
    copied.sim.set_faults(FaultScript::new().always("/v1/customers", Fault::status(403)));
    let pass = copied.pass(told()).await;
    assert!(pass.events.values().all(|what| matches!(what, Pushed::Waits { .. })), "{pass:?}");
    let [expanded, plain, listed, listed_plain] = refusing.asked();
    assert_eq!((expanded, plain), (10, 0));
    assert!(listed < 10 && listed == listed_plain, "only those under way at once ask it: {listed}");
    assert_eq!((copied.changed(), copied.missing().await), ((0, 0), None));
}

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
