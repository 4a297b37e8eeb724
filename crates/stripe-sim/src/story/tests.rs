//! What must be true of every story.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use serde_json::Value;

use super::billing::Extra;
use super::customer::Customer;
use super::invoice::{Reason, State};
use super::money::{Currency, Tax, portion};
use super::shelf::Handle;
use super::subscription::Subscription;
use super::{Story, StorySpec};
use crate::world::{Found, Rendered, Scan, World};

const DAY: i64 = 86_400;
const SPEC: StorySpec =
    StorySpec { seed: 11, customers: 400, months: 24, end: 1_782_900_123, livemode: false };
const SMALL: StorySpec = StorySpec { seed: 3, customers: 40, months: 6, ..SPEC };

/// Nobody changes this one.
static STORY: LazyLock<Story> = LazyLock::new(|| Story::new(SPEC));

fn everything(story: &Story) -> Vec<(&'static str, Vec<Value>)> {
    story.kinds().into_iter().map(|kind| (kind, story.truth(kind))).collect()
}

fn scan(story: &Story, kind: &str, filters: &[(&str, &str)]) -> Vec<Value> {
    let filters = filters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let scan = Scan { kind: kind.to_owned(), filters, ..Scan::default() };
    values(story.scan(&scan, usize::MAX).unwrap())
}

fn values(rendered: Vec<Rendered>) -> Vec<Value> {
    let value = |object| match object {
        Rendered::Value(value) => (*value).clone(),
        Rendered::Raw(text) | Rendered::Expanded(text) => serde_json::from_str(&text).unwrap(),
    };
    rendered.into_iter().map(value).collect()
}

fn number(object: &Value, property: &str) -> i64 {
    object[property].as_i64().unwrap_or_else(|| panic!("{property} of {object}"))
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

fn sum(members: &Value, property: &str) -> i64 {
    members.as_array().unwrap().iter().map(|member| number(member, property)).sum()
}

#[test]
fn equal_specs_tell_equal_stories() {
    assert_eq!(everything(&Story::new(SMALL)), everything(&Story::new(SMALL)));
    let other = Story::new(StorySpec { seed: 4, ..SMALL });
    assert_ne!(Story::new(SMALL).truth("customer"), other.truth("customer"));
}

#[test]
fn the_clock_may_move_in_steps_or_at_once() {
    let (steps, once) = (Story::new(SMALL), Story::new(SMALL));
    let mut events = Vec::new();
    for _ in 0..25 {
        events.extend(steps.advance(DAY));
    }
    assert_eq!(events, once.advance(25 * DAY));
    assert!(events.len() > 50, "{}", events.len());
    assert_eq!(everything(&steps), everything(&once));
    assert_eq!(steps.now(), SMALL.end + 25 * DAY);
}

#[test]
fn payouts_are_the_sum_of_their_transactions() {
    let mut paid_out: BTreeMap<String, i64> = BTreeMap::new();
    let payouts = STORY.truth("payout");
    assert!(payouts.len() > 500, "{}", payouts.len());
    let mut seen = BTreeSet::new();
    for payout in &payouts {
        let members = scan(&STORY, "balance_transaction", &[("payout", id(payout))]);
        let own = payout["balance_transaction"].as_str().unwrap();
        let net: i64 =
            members.iter().filter(|member| id(member) != own).map(|member| number(member, "net")).sum();
        assert_eq!(net, number(payout, "amount"), "{payout}");
        for member in &members {
            assert!(seen.insert(id(member).to_owned()), "{} is paid out twice", id(member));
            assert_eq!(member["currency"], payout["currency"]);
            assert!(number(member, "available_on") <= number(payout, "created"));
        }
        *paid_out.entry(payout["currency"].to_string()).or_default() += net;
    }
    assert_eq!(paid_out.len(), 3, "{paid_out:?}");
}

#[test]
fn transactions_add_up_and_belong_to_something() {
    for transaction in STORY.truth("balance_transaction") {
        assert_eq!(number(&transaction, "net"), number(&transaction, "amount") - number(&transaction, "fee"));
        assert_eq!(sum(&transaction["fee_details"], "amount"), number(&transaction, "fee"));
        let Some(source) = transaction["source"].as_str() else {
            assert_eq!(transaction["type"], "stripe_fee");
            continue;
        };
        let kind = match source.split('_').next() {
            Some("ch") => "charge",
            Some("re") => "refund",
            Some("dp") => "dispute",
            Some("po") => "payout",
            other => panic!("{other:?}"),
        };
        assert!(matches!(STORY.get(kind, source), Some(Found::Live(_))), "{transaction}");
    }
}

#[test]
fn captured_money_reaches_the_balance() {
    let transactions: HashMap<String, Value> = STORY
        .truth("balance_transaction")
        .into_iter()
        .map(|transaction| (id(&transaction).to_owned(), transaction))
        .collect();
    let (mut failed, mut expired) = (0, 0);
    for charge in STORY.truth("charge") {
        if number(&charge, "amount_captured") == 0 {
            assert_eq!(charge["balance_transaction"], Value::Null, "{charge}");
            failed += i32::from(charge["status"] == "failed");
            expired += i32::from(charge["refunded"] == true);
            continue;
        }
        let booked = &transactions[charge["balance_transaction"].as_str().unwrap()];
        assert_eq!(booked["source"], charge["id"]);
        if booked["exchange_rate"].is_null() {
            assert_eq!(booked["amount"], charge["amount_captured"]);
            assert_eq!(booked["currency"], charge["currency"]);
        } else {
            assert_eq!(booked["currency"], "usd");
        }
    }
    assert!(failed > 20 && expired > 0, "{failed} failed, {expired} expired");
}

#[test]
fn refunds_of_a_charge_are_what_it_says() {
    let mut refunded: HashMap<String, i64> = HashMap::new();
    let (mut failures, mut partial) = (0, 0);
    for refund in STORY.truth("refund") {
        let failed = refund["status"] == "failed";
        failures += i32::from(failed);
        let charge = refund["charge"].as_str().unwrap().to_owned();
        *refunded.entry(charge).or_default() += if failed { 0 } else { number(&refund, "amount") };
    }
    for charge in STORY.truth("charge") {
        let says = number(&charge, "amount_refunded");
        if number(&charge, "amount_captured") > 0 {
            assert_eq!(refunded.get(id(&charge)).copied().unwrap_or(0), says, "{charge}");
        }
        assert_eq!(charge["refunded"], says == number(&charge, "amount"));
        partial += i32::from(says > 0 && charge["refunded"] == false);
    }
    assert!(failures > 0 && partial > 5, "{failures} failed, {partial} partial");
}

#[test]
fn invoices_add_up() {
    let (mut discounted, mut taxed, mut negative) = (0, 0, 0);
    for invoice in STORY.truth("invoice") {
        let lines = &invoice["lines"]["data"];
        let subtotal = number(&invoice, "subtotal");
        assert_eq!(sum(lines, "amount"), subtotal);
        let discount = sum(&invoice["total_discount_amounts"], "amount");
        let line_discounts: i64 =
            lines.as_array().unwrap().iter().map(|line| sum(&line["discount_amounts"], "amount")).sum();
        assert_eq!(discount, line_discounts, "{invoice}");
        let tax = sum(&invoice["total_taxes"], "amount");
        let line_taxes: i64 =
            lines.as_array().unwrap().iter().map(|line| sum(&line["taxes"], "amount")).sum();
        assert_eq!(tax, line_taxes, "{invoice}");
        let inclusive = invoice["total_taxes"][0]["tax_behavior"] == "inclusive";
        let total = number(&invoice, "total");
        assert_eq!(total, subtotal - discount + if inclusive { 0 } else { tax });
        assert_eq!(number(&invoice, "total_excluding_tax"), total - tax);
        assert!(discount >= 0 && (subtotal < 0 || discount <= subtotal.max(0) + 1), "{invoice}");
        (discounted, taxed) = (discounted + i32::from(discount > 0), taxed + i32::from(tax != 0));
        negative += i32::from(total < 0);
        check_due(&invoice);
    }
    assert!(discounted > 50 && taxed > 50 && negative > 0, "{discounted} {taxed} {negative}");
}

fn check_due(invoice: &Value) {
    let (due, paid) = (number(invoice, "amount_due"), number(invoice, "amount_paid"));
    assert_eq!(number(invoice, "amount_remaining"), due - paid);
    if let Some(ending) = invoice["ending_balance"].as_i64() {
        let credited = number(invoice, "pre_payment_credit_notes_amount");
        let owed = number(invoice, "total") + number(invoice, "starting_balance") - ending;
        assert_eq!(due, owed - credited, "{invoice}");
    }
    let paid_at = &invoice["status_transitions"]["paid_at"];
    match invoice["status"].as_str().unwrap() {
        "paid" => assert!(paid == due && !paid_at.is_null(), "{invoice}"),
        "draft" => assert!(invoice["number"].is_null() && paid == 0, "{invoice}"),
        "open" | "uncollectible" | "void" => assert!(paid == 0 && due > 0 && paid_at.is_null(), "{invoice}"),
        other => panic!("{other}"),
    }
}

#[test]
fn payments_of_an_invoice_are_what_it_was_paid() {
    let mut paid: HashMap<String, i64> = HashMap::new();
    for payment in STORY.truth("invoice_payment") {
        if payment["status"] == "paid" {
            let invoice = payment["invoice"].as_str().unwrap().to_owned();
            *paid.entry(invoice).or_default() += number(&payment, "amount_paid");
            if let Some(intent) = payment["payment"]["payment_intent"].as_str() {
                let intent = one("payment_intent", intent);
                assert_eq!(intent["status"], "succeeded");
                assert_eq!(intent["amount_received"], payment["amount_paid"]);
            }
        }
    }
    let mut out_of_band = 0;
    for invoice in STORY.truth("invoice") {
        let amount = paid.get(id(&invoice)).copied().unwrap_or(0);
        assert_eq!(number(&invoice, "amount_paid"), amount, "{invoice}");
        out_of_band += i32::from(number(&invoice, "amount_paid_off_stripe") > 0);
    }
    assert!(out_of_band > 20, "{out_of_band}");
}

fn one(kind: &str, wanted: &str) -> Value {
    match STORY.get(kind, wanted) {
        Some(Found::Live(object)) => values(vec![object]).remove(0),
        Some(Found::Deleted) | None => panic!("{kind} {wanted}"),
    }
}

#[test]
fn charges_name_customers_who_exist_or_did() {
    let mut deleted = 0;
    for charge in STORY.truth("charge") {
        let Some(customer) = charge["customer"].as_str() else { continue };
        match STORY.get("customer", customer).unwrap() {
            Found::Live(_) => {}
            Found::Deleted => deleted += 1,
        }
    }
    assert!(deleted > 0);
    let stubs: Vec<Value> =
        STORY.truth("customer").into_iter().filter(|customer| customer["deleted"] == true).collect();
    let stub = stubs.first().unwrap();
    assert_eq!(stub.as_object().unwrap().len(), 3, "{stub}");
    assert!(scan(&STORY, "customer", &[]).iter().all(|customer| customer["id"] != stub["id"]));
    let gone = Scan { kind: "customer".to_owned(), after: Some(id(stub).to_owned()), ..Scan::default() };
    assert!(STORY.scan(&gone, 10).is_none(), "the cursor is gone with the customer");
}

#[test]
fn the_business_meets_every_case() {
    let statuses = |kind| -> BTreeSet<String> {
        STORY.truth(kind).iter().map(|object| object["status"].as_str().unwrap().to_owned()).collect()
    };
    let of = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    assert!(statuses("subscription").is_superset(&of(&[
        "active",
        "canceled",
        "trialing",
        "incomplete_expired"
    ])));
    assert!(statuses("invoice").is_superset(&of(&["open", "paid", "void", "uncollectible"])));
    assert!(statuses("dispute").is_superset(&of(&["won", "lost"])));
    let invoices = STORY.truth("invoice");
    let lines = |invoice: &Value| invoice["lines"]["data"].as_array().unwrap().len();
    assert!(invoices.iter().any(|invoice| lines(invoice) > 100));
    assert!(invoices.iter().any(|invoice| (11..100).contains(&lines(invoice))));
    assert!(invoices.iter().any(|invoice| number(invoice, "total") > i64::from(i32::MAX)));
    assert!(STORY.truth("charge").iter().any(|charge| number(charge, "amount") > i64::from(i32::MAX)));
    let many = |subscription: &Value| subscription["items"]["data"].as_array().unwrap().len() > 10;
    assert!(STORY.truth("subscription").iter().any(many));
    let currencies: BTreeSet<String> =
        invoices.iter().map(|invoice| invoice["currency"].to_string()).collect();
    assert_eq!(currencies.len(), 5, "{currencies:?}");
    let intervals: BTreeSet<String> = STORY
        .truth("plan")
        .iter()
        .map(|plan| format!("{}{}", plan["interval"], plan["interval_count"]))
        .collect();
    assert_eq!(intervals.len(), 3, "{intervals:?}");
    let names: String = STORY
        .truth("customer")
        .iter()
        .filter_map(|customer| customer["name"].as_str().map(str::to_owned))
        .collect();
    assert!(names.contains('山') && names.contains('م') && names.contains('ß'));
}

#[test]
fn several_objects_share_a_second_and_none_goes_back_in_time() {
    for (kind, objects) in everything(&STORY).into_iter().filter(|(kind, _)| *kind != "line_item") {
        let second = if kind == "invoiceitem" { "date" } else { "created" };
        let live: Vec<&Value> = objects.iter().filter(|object| object["deleted"] != true).collect();
        assert!(!live.is_empty(), "no {kind}");
        let seconds: Vec<i64> = live.iter().map(|object| number(object, second)).collect();
        if kind != "subscription_item" {
            assert!(seconds.is_sorted_by(|newer, older| newer >= older), "{kind}");
        }
        if matches!(kind, "customer" | "charge" | "event" | "price" | "balance_transaction") {
            assert!(seconds.windows(2).any(|pair| pair[0] == pair[1]), "{kind}");
        }
        let ids: BTreeSet<&str> = live.iter().map(|object| id(object)).collect();
        assert_eq!(ids.len(), live.len(), "{kind}");
    }
}

#[test]
fn walking_pages_meets_every_object_once_in_both_directions() {
    for kind in ["charge", "invoice", "event", "line_item", "subscription_item"] {
        let all: Vec<String> = scan(&STORY, kind, &[]).iter().map(|object| id(object).to_owned()).collect();
        let mut page = Scan { kind: kind.to_owned(), ..Scan::default() };
        let mut down = Vec::new();
        while let Some(found) = STORY.scan(&page, 997).map(values).filter(|found| !found.is_empty()) {
            down.extend(found.iter().map(|object| id(object).to_owned()));
            page.after = down.last().cloned();
        }
        assert!(down == all, "{kind} downwards");
        let oldest = all.last().cloned();
        let mut page = Scan { kind: kind.to_owned(), before: oldest.clone(), ..Scan::default() };
        let mut up: Vec<String> = oldest.into_iter().collect();
        while let Some(found) = STORY.scan(&page, 997).map(values).filter(|found| !found.is_empty()) {
            up.splice(0..0, found.iter().map(|object| id(object).to_owned()));
            page.before = up.first().cloned();
        }
        assert!(up == all, "{kind} upwards");
    }
    let unknown = Scan { kind: "charge".to_owned(), after: Some("ch_none".to_owned()), ..Scan::default() };
    assert!(STORY.scan(&unknown, 1).is_none());
}

#[test]
fn windows_and_filters_leave_what_they_should() {
    let all = STORY.truth("charge");
    let (from, to) = (SPEC.end - 200 * DAY, SPEC.end - 100 * DAY);
    let window =
        Scan { kind: "charge".to_owned(), created_gte: Some(from), created_lt: Some(to), ..Scan::default() };
    let expected: Vec<&Value> =
        all.iter().filter(|charge| (from..to).contains(&number(charge, "created"))).collect();
    assert!(!expected.is_empty());
    assert!(values(STORY.scan(&window, usize::MAX).unwrap()).iter().eq(expected));
    let customer = all.iter().find_map(|charge| charge["customer"].as_str()).unwrap();
    let theirs: Vec<&Value> = all.iter().filter(|charge| charge["customer"] == customer).collect();
    assert!(scan(&STORY, "charge", &[("customer", customer)]).iter().eq(theirs));
    let hidden = Scan { kind: "subscription".to_owned(), hide_canceled: true, ..Scan::default() };
    let shown = values(STORY.scan(&hidden, usize::MAX).unwrap());
    assert!(shown.iter().all(|subscription| subscription["status"] != "canceled"));
    let canceled = scan(&STORY, "subscription", &[("status", "canceled")]);
    assert_eq!(shown.len() + canceled.len(), STORY.truth("subscription").len());
    let many = STORY.truth("subscription").into_iter().find(|it| it["items"]["data"][1].is_object()).unwrap();
    let items = scan(&STORY, "subscription_item", &[("subscription", id(&many))]);
    assert_eq!(Value::from(items), many["items"]["data"]);
    let inactive = scan(&STORY, "price", &[("active", "false")]);
    assert!(!inactive.is_empty() && inactive.iter().all(|price| price["active"] == false));
}

#[test]
fn events_last_thirty_days_and_end_in_the_present_state() {
    let events = STORY.truth("event");
    assert!(events.iter().all(|event| number(event, "created") >= SPEC.end - 30 * DAY));
    assert!(number(events.last().unwrap(), "created") < SPEC.end - 29 * DAY);
    let old = events.iter().filter(|event| event["api_version"] == "2024-06-20").count();
    assert!(old > events.len() / 4 && old < events.len() / 2);
    let whole =
        ["customer", "charge", "invoice", "subscription", "payment_intent", "refund", "payout", "dispute"];
    let (mut newest, mut compared) = (BTreeSet::new(), 0);
    for event in &events {
        let object = &event["data"]["object"];
        let kind = object["object"].as_str().unwrap();
        if !whole.contains(&kind) || !newest.insert(id(object)) || event["api_version"] == "2024-06-20" {
            continue;
        }
        compared += 1;
        match STORY.get(kind, id(object)).unwrap() {
            Found::Live(present) => assert_eq!(&values(vec![present]).remove(0), object, "{}", event["type"]),
            Found::Deleted => assert_eq!(event["type"], "customer.deleted"),
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn updates_tell_what_was_before() {
    let story = Story::new(SMALL);
    let customer = scan(&story, "customer", &[])[0].clone();
    let before = customer["address"]["line1"].clone();
    assert!(story.edit_customer(id(&customer)));
    let event = scan(&story, "event", &[])[0].clone();
    assert_eq!(event["type"], "customer.updated");
    assert_eq!(event["data"]["previous_attributes"]["address"]["line1"], before);
    assert!(event["data"]["previous_attributes"]["address"].get("country").is_none());
    assert!(event["request"]["id"].as_str().unwrap().starts_with("req_"));
    assert_ne!(scan(&story, "customer", &[])[0], customer);
    assert!(!story.edit_customer("cus_none"));
}

#[test]
fn deleting_a_customer_ends_what_was_theirs() {
    let story = Story::new(SMALL);
    let active = scan(&story, "subscription", &[("status", "active")]);
    let customer = active[0]["customer"].as_str().unwrap();
    assert!(story.delete_customer(customer));
    assert!(!story.delete_customer(customer));
    assert!(matches!(story.get("customer", customer), Some(Found::Deleted)));
    assert!(scan(&story, "subscription", &[("customer", customer), ("status", "active")]).is_empty());
    assert!(scan(&story, "payment_method", &[("customer", customer)]).is_empty());
    assert!(!scan(&story, "subscription", &[("customer", customer)]).is_empty());
    let told: Vec<String> = scan(&story, "event", &[])
        .iter()
        .take(3)
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told[0], "customer.deleted");
    assert!(told.contains(&"customer.subscription.deleted".to_owned()), "{told:?}");
}

#[test]
fn other_changes_by_hand() {
    let story = Story::new(SMALL);
    let charge = story.create_charge();
    assert_eq!(scan(&story, "charge", &[])[0]["id"], charge.as_str());
    let customer = story.create_customer();
    assert_eq!(scan(&story, "customer", &[])[0]["id"], customer.as_str());
    let active = scan(&story, "subscription", &[("status", "active")]);
    assert!(story.cancel_subscription(id(&active[0])));
    assert!(!story.cancel_subscription(id(&active[0])));
    let several = active.iter().skip(1).find(|it| it["items"]["data"][1].is_object()).unwrap();
    let items = several["items"]["data"].as_array().unwrap().len();
    assert!(story.remove_subscription_item(id(several)));
    let left = scan(&story, "subscription_item", &[("subscription", id(several))]);
    assert_eq!(left.len(), items - 1);
    assert_eq!(scan(&story, "event", &[])[0]["type"], "customer.subscription.updated");
    let coupon = scan(&story, "coupon", &[])[0].clone();
    assert!(story.delete_coupon(id(&coupon)));
    assert!(matches!(story.get("coupon", id(&coupon)), Some(Found::Deleted)));
    assert_eq!(scan(&story, "event", &[])[0]["type"], "coupon.deleted");
}

#[test]
fn old_payloads_have_the_old_shape() {
    let payloads = |kind: &str, version: &str| -> Vec<Value> {
        let events = STORY.truth("event").into_iter();
        let fits =
            |event: &Value| event["data"]["object"]["object"] == kind && event["api_version"] == version;
        events.filter(fits).map(|event| event["data"]["object"].clone()).collect()
    };
    for invoice in payloads("invoice", "2024-06-20") {
        assert!(invoice.get("parent").is_none() && invoice.get("subscription").is_some(), "{invoice}");
        assert_eq!(invoice["paid"], invoice["status"] == "paid");
    }
    for subscription in payloads("subscription", "2024-06-20") {
        assert!(subscription["current_period_end"].is_i64(), "{subscription}");
        assert!(subscription["items"]["data"][0].get("current_period_end").is_none());
    }
    let new = payloads("invoice", "2026-10-28.endive");
    assert!(!new.is_empty() && new.iter().all(|invoice| invoice.get("paid").is_none()));
}

#[test]
fn shares_are_rounded_half_away_from_zero() {
    assert_eq!(portion(5, 1, 2), 3);
    assert_eq!(portion(-5, 1, 2), -3);
    assert_eq!(portion(4, 1, 3), 1);
    assert_eq!(portion(i64::MAX, 3, 3), i64::MAX);
    let tax = Tax::of("JP").unwrap();
    assert_eq!((tax.on(1100), Tax::of("DE").unwrap().on(1000)), (100, 190));
    let settled = Currency::Kwd.settle(10_000);
    assert_eq!((settled.amount, settled.currency), (3255, Currency::Usd), "10 dinars are 32.55 dollars");
}

#[test]
fn what_a_voided_invoice_used_up_is_the_customers_again() {
    let story = Story::new(SMALL);
    let mut business = story.write();
    let customer = business.somebody(Customer::pays_by_invoice).unwrap();
    let price = business.catalogue.licence(business.at(customer).currency).unwrap();
    business.books.customers.at_mut(customer).balance = -500;
    let description = "licence".to_owned();
    let extra = Extra { price, quantity: 1, amount: 900_000, description, period: (0, 0), proration: false };
    let item = business.add_extra(customer, None, extra);
    let invoice = business.draw_up(customer, None, Reason::Manual, (Vec::new(), vec![item]));
    business.finalize(invoice);
    assert_eq!((business.at(customer).balance, business.at(invoice).state), (0, State::Open));
    business.void(invoice);
    assert_eq!((business.at(customer).balance, business.at(invoice).state), (-500, State::Void));
    let told = business.at(business.books.events.newest(0).unwrap());
    assert_eq!(told.name, "customer.updated");
}

#[test]
fn what_is_over_keeps_its_discount_and_its_standing() {
    let story = Story::new(StorySpec { customers: 150, ..SMALL });
    let mut business = story.write();
    let discounted = |it: &Handle<Subscription>| {
        let subscription = business.at(*it);
        subscription.discount.is_some() && !subscription.status.is_over()
    };
    let all =
        (0..business.books.subscriptions.len()).filter_map(|back| business.books.subscriptions.newest(back));
    let subscription = { all }.find(discounted).unwrap();
    let Subscription { customer, discount, .. } = *business.at(subscription);
    let price = business.catalogue.licence(business.at(customer).currency).unwrap();
    let description = "licence".to_owned();
    let extra = Extra { price, quantity: 1, amount: 900_000, description, period: (0, 0), proration: false };
    let item = business.add_extra(customer, None, extra);
    let invoice = business.draw_up(customer, None, Reason::Manual, (Vec::new(), vec![item]));
    business.books.invoices.at_mut(invoice).by_invoice = true;
    business.finalize(invoice);
    business.books.customers.at_mut(customer).delinquent = true;
    business.remove_customer(customer);
    let told = business.books.events.len();
    business.end_discount(discount.unwrap());
    assert_eq!(business.books.events.len(), told, "the discount's end is told of nothing");
    business.pay_past_stripe(invoice);
    let names: Vec<_> = business.books.events.iter().skip(told).map(|event| event.name).collect();
    assert!(names.contains(&"invoice.paid") && !names.contains(&"customer.updated"), "{names:?}");
}

#[test]
fn money_that_a_dispute_moved_is_shown_as_it_is() {
    let mut won = 0;
    for dispute in STORY.truth("dispute") {
        for shown in dispute["balance_transactions"].as_array().unwrap() {
            assert_eq!(*shown, one("balance_transaction", id(shown)), "{dispute}");
        }
        won += i32::from(dispute["status"] == "won");
    }
    assert!(won > 0);
}

#[test]
fn nothing_is_told_of_what_is_over() {
    let story = Story::new(StorySpec { customers: 150, months: 4, ..SPEC });
    let mut over: HashMap<String, String> = HashMap::new();
    for _ in 0..7 {
        for fresh in story.advance(25 * DAY) {
            let Some(Found::Live(event)) = story.get("event", &fresh) else { panic!("{fresh}") };
            let event = values(vec![event]).remove(0);
            let (name, object) = (event["type"].as_str().unwrap(), &event["data"]["object"]);
            let object_id = id(object).to_owned();
            if let Some(end) = over.get(&object_id) {
                panic!("{name} of {object_id} after {end}");
            }
            let ends =
                matches!(name, "customer.deleted" | "customer.subscription.deleted" | "coupon.deleted")
                    || object["status"] == "incomplete_expired"
                    || (object["object"] == "invoice"
                        && object["status"] == "void"
                        && name == "invoice.voided");
            if ends {
                over.insert(object_id, name.to_owned());
            }
        }
    }
    assert!(over.len() > 40, "{}", over.len());
}
