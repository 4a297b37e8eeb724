//! A small mixed world through the simulator's door.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::Mixed;
use super::kind::Kind;
use super::numbers::{Booking, Numbers, ROOM};
use crate::gallery::tests::compare;
use crate::http::tests::read;
use crate::shapes::fits::fits_record;
use crate::shapes::{FACTS, Property, Type};
use crate::world::Found;
use crate::{Sim, SimOptions};

static SIM: LazyLock<Sim> =
    LazyLock::new(|| Sim::new(Arc::new(Mixed::about(7, 5_000)), SimOptions::default()));

fn kinds() -> impl Iterator<Item = Kind> {
    Kind::names().into_iter().filter_map(Kind::parse)
}

fn all(kind: &str) -> Vec<Value> {
    SIM.truth(kind)
}

fn by_id(kind: &str) -> HashMap<String, Value> {
    all(kind).into_iter().map(|object| (object["id"].as_str().unwrap().to_owned(), object)).collect()
}

#[test]
fn numbers_lead_there_and_back() {
    for monthly in [1, 3, 41, 200] {
        let numbers = Numbers { monthly };
        for billing in 0..numbers.billings() {
            let (customer, nth) = numbers.billed(billing);
            let (came, last) = numbers.stay(customer);
            assert_eq!(numbers.billing(customer, came + nth - 1), billing);
            assert!(nth <= last - came + 1 && numbers.came(customer) <= numbers.at(billing));
            let charge = numbers.charge_of(billing);
            assert_eq!(numbers.billing_of(Kind::Charge, charge), Some(billing));
            if numbers.is_paid(billing) {
                let booked = numbers.booked(Booking::Charge(billing));
                assert_eq!(numbers.booking(booked), Booking::Charge(billing));
            }
            if let Some(refund) = numbers.refund_of(billing) {
                assert!(numbers.is_paid(billing) && numbers.refunded(refund) == billing);
                assert_eq!(numbers.booking(numbers.booked(Booking::Refund(refund))), Booking::Refund(refund));
            }
        }
        for payout in 0..numbers.count(Kind::Payout) {
            assert_eq!(numbers.booking(numbers.booked(Booking::Payout(payout))), Booking::Payout(payout));
        }
        for kind in kinds() {
            let times: Vec<i64> =
                (0..numbers.count(kind)).map(|number| numbers.created(kind, number)).collect();
            assert!(times.is_sorted(), "{kind:?}");
            assert!(times.iter().all(|at| (super::START..super::PRESENT).contains(at)), "{kind:?}");
        }
    }
}

#[test]
fn it_has_about_as_many_objects_as_it_is_told_to() {
    for objects in [1_700, 10_000, 200_000, 10_000_000] {
        let numbers = Numbers::about(objects);
        let count: u64 = kinds().filter(|kind| !kind.is_nested()).map(|kind| numbers.count(kind)).sum();
        assert!(count <= objects + 1_000 && count + 1_700 > objects, "{count} of {objects}");
    }
}

#[tokio::test]
async fn what_is_counted_is_there() {
    let (_, told) = read(&SIM, "/_sim/counts").await;
    for kind in Kind::names() {
        assert_eq!(told[kind], all(kind).len(), "{kind}");
    }
    let (_, lists) = read(&SIM, "/_sim/lists").await;
    let shown = |path: &str| {
        let list = lists.as_array().unwrap().iter().find(|list| list["path"] == path).unwrap();
        list["shown"].as_bool().unwrap()
    };
    assert!(shown("/v1/invoices/{invoice}/lines") && shown("/v1/customers/{customer}/tax_ids"));
    assert!(shown("/v1/payment_intents/{intent}/amount_details_line_items"));
    assert!(!shown("/v1/customers/{customer}/payment_methods") && !shown("/v1/charges"));
}

#[tokio::test]
async fn every_list_shows_what_it_is_true_of_page_by_page() {
    assert!(compare(&SIM).await > 100);
}

#[test]
fn objects_fit_their_types_and_name_what_there_is() {
    for kind in kinds() {
        let name = Kind::names()[usize::try_from(kind.salt()).unwrap()];
        let objects = all(if kind == Kind::Plan { "plan" } else { name });
        assert!(!objects.is_empty(), "{kind:?}");
        for object in objects {
            let own = object["object"].as_str().unwrap();
            let known = FACTS.properties(own);
            for name in object.as_object().unwrap().keys() {
                assert!(known.iter().any(|property| property.name == *name), "{own} has {name}");
            }
            fits_record(known, &object, own);
            resolves(known, &object, own);
        }
    }
}

/// Fails unless what an object refers to is there, where the world has objects of that kind.
fn resolves(properties: &[Property], object: &Value, at: &str) {
    for Property { name, kind, .. } in properties {
        if let Some(value) = object.get(name).filter(|value| !value.is_null()) {
            resolves_one(kind, value, &format!("{at}.{name}"));
        }
    }
}

fn resolves_one(kind: &Type, value: &Value, at: &str) {
    let there =
        |kind: &String| matches!(SIM.world().get(kind, value.as_str().unwrap()), Some(Found::Live(_)));
    match kind {
        Type::Reference(kinds) => {
            let ours = kinds.iter().any(|kind| Kind::parse(kind).is_some());
            let foreign = value.as_str().unwrap().starts_with("ba_");
            assert!(!ours || foreign || kinds.iter().any(there), "{at}: {value} is not there");
        }
        Type::Object(kind) => resolves(FACTS.properties(kind), value, at),
        Type::List(kinds) => {
            for member in value["data"].as_array().unwrap() {
                resolves(FACTS.properties(&kinds[0]), member, at);
                let id = member["id"].as_str().unwrap();
                assert!(SIM.world().get(&kinds[0], id).is_some(), "{at}: {id} is not there");
            }
        }
        Type::Array(inner) => {
            value.as_array().unwrap().iter().for_each(|value| resolves_one(inner, value, at));
        }
        Type::Record(properties) => resolves(properties, value, at),
        Type::Text
        | Type::Whole
        | Type::Moment
        | Type::Instant
        | Type::Flag
        | Type::Number
        | Type::Decimal
        | Type::WholeText
        | Type::True
        | Type::Any
        | Type::OneOf(_)
        | Type::Free(_) => {}
    }
}

#[tokio::test]
async fn objects_are_the_same_wherever_they_are_met() {
    for kind in Kind::names() {
        let nested = ["line_item", "subscription_item"].contains(&kind);
        for object in all(kind).into_iter().step_by(if nested { 7 } else { 3 }) {
            let id = object["id"].as_str().unwrap();
            let Some(Found::Live(found)) = SIM.world().get(kind, id) else { panic!("{id} is not there") };
            assert_eq!(found.into_value(), object);
            assert!(SIM.world().get(kind, &id.replace('_', "_0")).is_none());
        }
    }
    for invoice in all("invoice") {
        let members = invoice["lines"]["data"].as_array().unwrap();
        assert!(members.iter().all(|line| line["invoice"] == invoice["id"]));
        let path = format!("/v1/invoices/{}", invoice["id"].as_str().unwrap());
        let (_, shown) = read(&SIM, &path).await;
        let count = shown["lines"]["data"].as_array().unwrap().len();
        assert_eq!((count, &shown["lines"]["has_more"]), (members.len().min(10), &json!(members.len() > 10)));
    }
}

#[tokio::test]
async fn what_a_list_expands_at_once_is_what_an_object_expands() {
    for (path, expand) in [
        ("/v1/customers", &["sources", "tax_ids"][..]),
        ("/v1/payment_intents", &["amount_details.line_items"]),
        ("/v1/customers", &["sources", "invoice_settings.default_payment_method"]),
    ] {
        let asked = |prefix: &str| {
            expand.iter().map(|name| format!("expand[]={prefix}{name}")).collect::<Vec<_>>().join("&")
        };
        let (_, page) = read(&SIM, &format!("{path}?limit=5&{}", asked("data."))).await;
        for object in page["data"].as_array().unwrap() {
            let one = format!("{path}/{}?{}", object["id"].as_str().unwrap(), asked(""));
            assert_eq!(*object, read(&SIM, &one).await.1);
        }
        let first = &page["data"][0];
        let expanded = first.pointer(&format!("/{}", expand[0].replace('.', "/"))).unwrap();
        assert_eq!((&expanded["object"], &expanded["data"]), (&json!("list"), &json!([])));
    }
}

#[test]
fn money_adds_up() {
    let (charges, refunds) = (by_id("charge"), by_id("refund"));
    let mut of_invoice: BTreeMap<&str, i64> = BTreeMap::new();
    let lines = all("line_item");
    for line in &lines {
        *of_invoice.entry(line["invoice"].as_str().unwrap()).or_default() += line["amount"].as_i64().unwrap();
    }
    for invoice in all("invoice") {
        assert_eq!(invoice["total"], of_invoice[invoice["id"].as_str().unwrap()]);
    }
    let mut paid_out = 0;
    let mut came_in = 0;
    let booked = all("balance_transaction");
    for transaction in booked.iter().rev() {
        let net = transaction["net"].as_i64().unwrap();
        assert_eq!(net, transaction["amount"].as_i64().unwrap() - transaction["fee"].as_i64().unwrap());
        let source = transaction["source"].as_str().unwrap();
        match transaction["type"].as_str().unwrap() {
            "payout" => {
                paid_out -= net;
                assert_eq!(paid_out, came_in, "{transaction}");
            }
            "charge" => came_in += net,
            _ => {
                came_in += net;
                let refund = &refunds[source];
                let charge = &charges[refund["charge"].as_str().unwrap()];
                assert_eq!(charge["amount_refunded"], refund["amount"]);
                assert_eq!(charge["refunded"], charge["amount"] == refund["amount"]);
            }
        }
    }
    assert!(paid_out > 0);
    assert!(charges.values().any(|charge| charge["status"] == "failed"));
}

#[test]
fn subscriptions_of_twelve_items_are_rare_and_of_different_prices() {
    let subscriptions = all("subscription");
    let items = |object: &Value| object["items"]["data"].as_array().unwrap().clone();
    let long: Vec<&Value> = subscriptions.iter().filter(|object| items(object).len() > 10).collect();
    assert!(!long.is_empty() && long.len() * 40 < subscriptions.len() * 2);
    for object in &subscriptions {
        let mut prices: Vec<String> =
            items(object).iter().map(|item| item["price"]["id"].to_string()).collect();
        prices.sort();
        prices.dedup();
        assert_eq!(prices.len(), items(object).len());
    }
    assert!(u64::try_from(items(long[0]).len()).unwrap() + 1 < ROOM);
}

#[tokio::test]
async fn lists_hide_what_stripe_s_hide() {
    let (_, listed) = read(&SIM, "/v1/subscriptions?limit=100").await;
    let statuses: Vec<&Value> = listed["data"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert!(!statuses.is_empty() && statuses.iter().all(|status| **status == "active"));
    let (_, canceled) = read(&SIM, "/v1/subscriptions?limit=100&status=canceled").await;
    assert_eq!(statuses.len() + canceled["data"].as_array().unwrap().len(), all("subscription").len());
    assert_eq!(read(&SIM, "/v1/payment_methods").await.1["data"], json!([]));
    let method = all("payment_method").remove(0);
    let owner = method["customer"].as_str().unwrap();
    let (_, theirs) = read(&SIM, &format!("/v1/payment_methods?customer={owner}")).await;
    assert_eq!(theirs["data"][0], method);
}
