//! How objects are written: a template for each kind, and what fills it.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::DAY;
use super::START;
use super::kind::Kind;
use super::numbers::{Booking, PLANS, ROOM};
use super::subject::{Look, Subject};
use crate::bulk::template::{Template, compact, push_letters, push_number};
use crate::bulk::text::{BRANDS, CHANNELS, CITIES, FIRST, LAST, pick};

/// How many members of a nested list an object shows.
const NESTED: u64 = 10;

/// Writes what a template names.
type Field = fn(&Subject<'_>, &mut String);

static TEMPLATES: LazyLock<HashMap<Kind, Template<Field>>> =
    LazyLock::new(|| TEXTS.iter().map(|(kind, text)| (*kind, template(text))).collect());
static LINE_OF_ITEM: LazyLock<Template<Field>> =
    LazyLock::new(|| template(include_str!("templates/line_of_item.json")));

const TEXTS: [(Kind, &str); 17] = [
    (Kind::Customer, include_str!("templates/customer.json")),
    (Kind::PaymentMethod, include_str!("templates/payment_method.json")),
    (Kind::Product, include_str!("templates/product.json")),
    (Kind::Price, include_str!("templates/price.json")),
    (Kind::Plan, include_str!("templates/plan.json")),
    (Kind::Subscription, include_str!("templates/subscription.json")),
    (Kind::SubscriptionItem, include_str!("templates/subscription_item.json")),
    (Kind::Invoice, include_str!("templates/invoice.json")),
    (Kind::LineItem, include_str!("templates/line.json")),
    (Kind::InvoicePayment, include_str!("templates/invoice_payment.json")),
    (Kind::InvoiceItem, include_str!("templates/invoice_item.json")),
    (Kind::PaymentIntent, include_str!("templates/payment_intent.json")),
    (Kind::Charge, include_str!("templates/charge.json")),
    (Kind::Refund, include_str!("templates/refund.json")),
    (Kind::BalanceTransaction, include_str!("templates/balance_transaction.json")),
    (Kind::Payout, include_str!("templates/payout.json")),
    (Kind::Event, include_str!("templates/event.json")),
];

fn template(text: &str) -> Template<Field> {
    let field = |name: &str| {
        let known = FIELDS.iter().find(|(known, _)| *known == name);
        known.map_or_else(|| unreachable!("no field is called {name}"), |(_, field)| *field)
    };
    Template::parse(&compact(text), field)
}

impl Subject<'_> {
    /// The object's JSON.
    pub(super) fn text(&self) -> String {
        let mut out = String::with_capacity(3072);
        self.write(self.kind, &mut out);
        out
    }

    /// Appends the JSON of what is called so: itself, or a part of it.
    fn write(&self, kind: Kind, out: &mut String) {
        let is_extra = kind == Kind::LineItem && self.is_extra();
        let template = if is_extra { Some(&*LINE_OF_ITEM) } else { TEMPLATES.get(&kind) };
        if let Some(template) = template {
            template.append(out, |field, out| field(self, out));
        }
    }

    /// Appends the members of a nested list: the first ten, or all.
    fn write_nested(&self, kind: Kind, count: u64, out: &mut String) {
        let shown = if self.look.whole { count } else { count.min(NESTED) };
        for place in 0..shown {
            if place > 0 {
                out.push(',');
            }
            self.at(place).write(kind, out);
        }
    }

    fn has_more(&self, count: u64) -> bool {
        !self.look.whole && count > NESTED
    }

    /// Whether a nested list holds more than the object shows.
    pub(super) fn is_long(&self) -> bool {
        self.kind == Kind::Subscription && self.items() > NESTED
            || self.kind == Kind::Invoice && self.lines().end > NESTED
    }

    fn expands(&self, path: &str) -> bool {
        self.look.expand.iter().any(|asked| asked.join(".") == path)
    }

    /// Appends a nested list without members, which the object shows because it was asked to.
    fn write_empty(&self, name: &str, path: &str, out: &mut String) {
        out.extend([",\"", name, "\":{\"object\":\"list\",\"data\":[],\"has_more\":false,\"url\":\"/v1/"]);
        out.push_str(path);
        out.push('/');
        self.push_id(out, self.kind, self.number);
        out.push('/');
    }

    fn city(&self) -> (&'static str, &'static str, &'static str) {
        pick(&CITIES, self.person() >> 3)
    }

    fn first_name(&self) -> &'static str {
        pick(&FIRST, self.person() >> 5)
    }

    fn booking_name(&self) -> &'static str {
        match self.booking {
            Some(Booking::Charge(_)) | None => "charge",
            Some(Booking::Refund(_)) => "refund",
            Some(Booking::Payout(_)) => "payout",
        }
    }

    /// Appends an id in quotes, or null.
    fn push_or_null(&self, id: Option<(Kind, u64)>, out: &mut String) {
        match id {
            Some((kind, number)) => {
                out.push('"');
                self.push_id(out, kind, number);
                out.push('"');
            }
            None => out.push_str("null"),
        }
    }

    fn charge_booking(&self) -> Option<(Kind, u64)> {
        let booked = || self.numbers().booked(Booking::Charge(self.billing));
        self.has_succeeded().then(|| (Kind::BalanceTransaction, booked()))
    }

    fn order(&self) -> u64 {
        if matches!(self.kind, Kind::Customer | Kind::Subscription) {
            return self.customer;
        }
        if self.kind == Kind::Product { self.number } else { self.billing }
    }

    fn remaining(&self) -> u64 {
        if self.is_paid() { 0 } else { self.total }
    }
}

fn push_signed(number: i64, out: &mut String) {
    if number < 0 {
        out.push('-');
    }
    push_number(out, number.unsigned_abs());
}

fn push_time(at: Option<i64>, out: &mut String) {
    match at {
        Some(at) => push_signed(at, out),
        None => out.push_str("null"),
    }
}

fn push_flag(flag: bool, out: &mut String) {
    out.push_str(if flag { "true" } else { "false" });
}

const FIELDS: &[(&str, Field)] = &[
    // What everything has.
    ("id", |it, out| it.push_id(out, it.kind, it.number)),
    ("created", |it, out| push_signed(it.created(), out)),
    ("began", |_, out| push_signed(START, out)),
    ("order", |it, out| push_number(out, it.order() + 1)),
    ("currency", |it, out| out.push_str(if it.in_euros() { "eur" } else { "usd" })),
    // Whom it is of.
    ("customer", |it, out| it.push_id(out, Kind::Customer, it.customer)),
    ("name", |it, out| out.extend([it.first_name(), " ", pick(&LAST, it.person() >> 11)])),
    ("email", |it, out| {
        out.extend([it.first_name(), "."]);
        push_number(out, it.customer);
        out.push_str("@example.com");
    }),
    ("city", |it, out| out.push_str(it.city().0)),
    ("country", |it, out| out.push_str(it.city().1)),
    ("street", |it, out| {
        push_number(out, 1 + it.person() % 400);
        out.push_str(" Harbour Road");
    }),
    ("postal", |it, out| push_number(out, 10_000 + (it.person() >> 17) % 90_000)),
    ("channel", |it, out| out.push_str(pick(&CHANNELS, it.person() >> 23))),
    ("invoice_prefix", |it, out| push_letters(out, it.person().rotate_left(7), 8)),
    ("next_invoice", |it, out| {
        let (came, last) = it.numbers().stay(it.customer);
        push_number(out, last - came + 2);
    }),
    ("expanded_lists", |it, out| {
        for name in ["sources", "tax_ids"] {
            if it.expands(name) {
                it.write_empty(name, "customers", out);
                out.extend([name, "\"}"]);
            }
        }
    }),
    // The card.
    ("payment_method", |it, out| it.push_id(out, Kind::PaymentMethod, it.method())),
    ("brand", |it, out| out.push_str(pick(&BRANDS, it.card() >> 25))),
    ("month", |it, out| push_number(out, 1 + (it.card() >> 33) % 12)),
    ("year", |it, out| push_number(out, 2027 + (it.card() >> 37) % 6)),
    ("digits", |it, out| push_number(out, 1000 + (it.card() >> 41) % 9000)),
    ("fingerprint", |it, out| push_letters(out, it.card().rotate_left(13), 16)),
    // What is sold.
    ("product", |it, out| it.push_id(out, Kind::Product, it.product())),
    ("product_name", |it, out| match it.product() {
        PLANS => out.push_str("Implementation, by the hour"),
        plan @ 0..3 => out.push_str(pick(&["Starter", "Team", "Business"], plan)),
        module => {
            out.push_str("Module ");
            push_number(out, module - 2);
        }
    }),
    ("price", |it, out| it.push_id(out, Kind::Price, it.price())),
    ("price_type", |it, out| out.push_str(if it.product() == PLANS { "one_time" } else { "recurring" })),
    ("recurring", |it, out| {
        out.push_str(match it.product() {
            PLANS => "null",
            _ => MONTHLY,
        });
    }),
    ("unit", |it, out| push_number(out, it.unit())),
    ("quantity", |it, out| push_number(out, it.quantity())),
    // The subscription.
    ("subscription", |it, out| it.push_id(out, Kind::Subscription, it.customer)),
    ("subscription_status", |it, out| {
        out.push_str(if it.canceled_at().is_some() { "canceled" } else { "active" });
    }),
    ("canceled_at", |it, out| push_time(it.canceled_at(), out)),
    ("cancellation_reason", |it, out| {
        out.push_str(if it.canceled_at().is_some() { "\"cancellation_requested\"" } else { "null" });
    }),
    ("latest_invoice", |it, out| it.push_id(out, Kind::Invoice, it.latest())),
    ("items", |it, out| it.write_nested(Kind::SubscriptionItem, it.items(), out)),
    ("more_items", |it, out| push_flag(it.has_more(it.items()), out)),
    ("item", |it, out| it.push_id(out, Kind::SubscriptionItem, it.customer * ROOM + it.place)),
    ("price_object", |it, out| it.write(Kind::Price, out)),
    ("plan_object", |it, out| it.write(Kind::Plan, out)),
    ("period_start", |it, out| push_signed(it.period().0, out)),
    ("period_end", |it, out| push_signed(it.period().1, out)),
    // The invoice.
    ("invoice", |it, out| it.push_id(out, Kind::Invoice, it.billing)),
    ("invoice_status", |it, out| out.push_str(if it.is_paid() { "paid" } else { "open" })),
    ("billing_reason", |it, out| {
        let is_first = it.numbers().billed(it.billing).1 == 1;
        out.push_str(if is_first { "subscription_create" } else { "subscription_cycle" });
    }),
    ("sequence", |it, out| {
        let number = it.numbers().billed(it.billing).1;
        out.push_str(if number < 10 { "000" } else { "00" });
        push_number(out, number);
    }),
    ("total", |it, out| push_number(out, it.total)),
    ("paid_amount", |it, out| push_number(out, it.total - it.remaining())),
    ("paid_or_null", |it, out| push_time(it.is_paid().then(|| it.total.cast_signed()), out)),
    ("remaining", |it, out| push_number(out, it.remaining())),
    ("unpaid", |it, out| push_flag(!it.is_paid(), out)),
    ("paid_at", |it, out| push_time(it.is_paid().then(|| it.billed()), out)),
    ("billed", |it, out| push_signed(it.billed(), out)),
    ("lines", |it, out| it.write_nested(Kind::LineItem, it.lines().end, out)),
    ("more_lines", |it, out| push_flag(it.has_more(it.lines().end), out)),
    ("line", |it, out| it.push_id(out, Kind::LineItem, it.billing * ROOM + it.place)),
    ("line_amount", |it, out| push_number(out, it.amount())),
    ("invoice_item", |it, out| {
        it.push_id(out, Kind::InvoiceItem, it.numbers().item_of(it.billing).unwrap_or(0));
    }),
    // The payment.
    ("payment_intent", |it, out| it.push_id(out, Kind::PaymentIntent, it.billing)),
    ("payment_status", |it, out| {
        out.push_str(if it.is_paid() { "succeeded" } else { "requires_payment_method" });
    }),
    ("payment_reason", |it, out| {
        let is_first = it.numbers().billed(it.billing).1 == 1;
        out.push_str(if is_first { "Subscription creation" } else { "Subscription update" });
    }),
    ("used_method", |it, out| {
        it.push_or_null(it.is_paid().then(|| (Kind::PaymentMethod, it.method())), out);
    }),
    ("line_items", |it, out| {
        if it.expands("amount_details.line_items") {
            it.write_empty("line_items", "payment_intents", out);
            out.push_str("amount_details_line_items\"}");
        }
    }),
    ("charge", |it, out| it.push_id(out, Kind::Charge, it.numbers().charge_of(it.billing))),
    ("charge_status", |it, out| out.push_str(if it.has_succeeded() { "succeeded" } else { "failed" })),
    ("succeeded", |it, out| push_flag(it.has_succeeded(), out)),
    ("captured", |it, out| push_number(out, if it.has_succeeded() { it.total } else { 0 })),
    ("charge_booking", |it, out| it.push_or_null(it.charge_booking(), out)),
    ("failure_code", |it, out| out.push_str(if it.has_succeeded() { "null" } else { "\"card_declined\"" })),
    ("failure_message", |it, out| {
        out.push_str(if it.has_succeeded() { "null" } else { "\"Your card was declined.\"" });
    }),
    ("outcome", |it, out| out.push_str(if it.has_succeeded() { AUTHORIZED } else { DECLINED })),
    ("authorization", |it, out| push_letters(out, it.world.noise(102, it.number).rotate_left(7), 6)),
    ("token", |it, out| push_letters(out, it.world.noise(102, it.number).rotate_left(19), 15)),
    ("receipt_url", |it, out| {
        if !it.has_succeeded() {
            return out.push_str("null");
        }
        out.push_str("\"https://pay.example.com/receipts/");
        it.push_id(out, Kind::Charge, it.number);
        out.push('"');
    }),
    ("returned", |it, out| push_number(out, it.returned())),
    ("is_returned", |it, out| push_flag(it.returned() > 0 && it.returned() == it.total, out)),
    // The account's own books.
    ("refund_booking", |it, out| {
        it.push_id(out, Kind::BalanceTransaction, it.numbers().booked(Booking::Refund(it.number)));
    }),
    ("payout_booking", |it, out| {
        it.push_id(out, Kind::BalanceTransaction, it.numbers().booked(Booking::Payout(it.number)));
    }),
    ("paid_out", |it, out| push_signed(it.world.paid_out(it.number), out)),
    ("arrival", |it, out| push_signed(it.created() + DAY.cast_signed(), out)),
    ("booked", |it, out| push_signed(it.booked(), out)),
    ("booking", |it, out| out.push_str(it.booking_name())),
    ("booking_reason", |it, out| {
        out.push_str(match it.booking {
            Some(Booking::Charge(_)) | None => "Payment",
            Some(Booking::Refund(_)) => "REFUND FOR PAYMENT",
            Some(Booking::Payout(_)) => "STRIPE PAYOUT",
        });
    }),
    ("available", |it, out| push_signed(it.available(), out)),
    ("exchange_rate", |it, out| {
        let is_changed = it.in_euros() && !matches!(it.booking, Some(Booking::Payout(_)));
        out.push_str(if is_changed { "1.08" } else { "null" });
    }),
    ("fee", |it, out| push_signed(it.fee(), out)),
    ("fees", |it, out| {
        if it.fee() > 0 {
            out.push_str("{\"amount\":");
            push_signed(it.fee(), out);
            out.push_str(FEE);
        }
    }),
    ("net", |it, out| push_signed(it.booked() - it.fee(), out)),
    ("source", |it, out| match it.booking {
        Some(Booking::Refund(refund)) => it.push_id(out, Kind::Refund, refund),
        Some(Booking::Payout(payout)) => it.push_id(out, Kind::Payout, payout),
        Some(Booking::Charge(_)) | None => {
            it.push_id(out, Kind::Charge, it.numbers().charge_of(it.billing));
        }
    }),
    // What happened.
    ("event_type", |it, out| out.push_str(it.event().0)),
    ("subject", |it, out| {
        let (_, kind, number) = it.event();
        let look = Look { fresh: true, ..Look::default() };
        Subject::new(it.world, kind, number, look).write(kind, out);
    }),
];

const MONTHLY: &str = concat!(
    r#"{"interval":"month","interval_count":1,"meter":null,"trial_period_days":null,"#,
    r#""usage_type":"licensed"}"#,
);
const AUTHORIZED: &str = concat!(
    r#"{"advice_code":null,"network_advice_code":null,"network_decline_code":null,"#,
    r#""network_status":"approved_by_network","reason":null,"risk_level":"normal","risk_score":12,"#,
    r#""rule":null,"seller_message":"Payment complete.","type":"authorized"}"#,
);
const DECLINED: &str = concat!(
    r#"{"advice_code":null,"network_advice_code":null,"network_decline_code":"05","#,
    r#""network_status":"declined_by_network","reason":"generic_decline","risk_level":"normal","#,
    r#""risk_score":56,"rule":null,"seller_message":"The bank returned a decline code.","#,
    r#""type":"issuer_declined"}"#,
);
const FEE: &str = concat!(
    r#","application":null,"currency":"usd","description":"Stripe processing fees","#,
    r#""type":"stripe_fee"}"#,
);
