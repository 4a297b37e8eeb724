//! Subscriptions and their items.

use serde_json::{Value, json};

use super::books::{View, assemble, list, stands_on};
use super::coupon::Discount;
use super::customer::Customer;
use super::invoice::Invoice;
use super::invoice_item::InvoiceItem;
use super::money::Currency;
use super::person::{Metadata, metadata};
use super::price::{Interval, Price};
use super::shelf::{Handle, Id, Record};

/// Where a subscription is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Waits for its first payment, for a day at most.
    Incomplete,
    /// The first payment never came.
    IncompleteExpired,
    Trialing,
    Active,
    PastDue,
    Canceled,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Canceled => "canceled",
        }
    }

    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

/// One price that a subscription bills.
pub(super) struct Item {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) price: Handle<Price>,
    /// None: metered.
    pub(super) quantity: Option<i64>,
}

/// Why and when a subscription ends.
#[derive(Default)]
pub(super) struct Ending {
    pub(super) at_period_end: bool,
    pub(super) asked: Option<i64>,
    pub(super) ended: Option<i64>,
    pub(super) reason: Option<&'static str>,
    pub(super) feedback: Option<&'static str>,
}

/// A subscription.
pub(super) struct Subscription {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) customer: Handle<Customer>,
    pub(super) currency: Currency,
    pub(super) interval: Interval,
    pub(super) status: Status,
    pub(super) items: Vec<Item>,
    /// What periods are counted from, and how many have begun since.
    pub(super) anchor: i64,
    pub(super) cycles: u32,
    pub(super) period: (i64, i64),
    pub(super) trial: Option<(i64, i64)>,
    pub(super) discount: Option<Handle<Discount>>,
    pub(super) ending: Ending,
    /// Invoices wait as drafts while it is on.
    pub(super) paused: bool,
    pub(super) by_invoice: bool,
    pub(super) latest_invoice: Option<Handle<Invoice>>,
    /// To be put on the next invoice.
    pub(super) pending: Vec<Handle<InvoiceItem>>,
    pub(super) metadata: Metadata,
}

impl Subscription {
    /// Seconds left of this period, and its length.
    pub(super) fn left(&self, now: i64) -> (i64, i64) {
        let (start, end) = self.period;
        ((end - now).max(0), (end - start).max(1))
    }

    /// The items' JSON, in the order they are shown.
    pub(super) fn render_items(&self, view: &View<'_>) -> Vec<Value> {
        self.items.iter().map(|item| self.render_item(item, view)).collect()
    }

    fn render_item(&self, item: &Item, view: &View<'_>) -> Value {
        let price = view.books.prices.at(item.price);
        let plan = view.books.plans.find(&price.id).map(|plan| view.books.plans.at(plan).render(view));
        let mut rendered = json!({
            "billed_until": self.period.1,
            "billing_thresholds": null,
            "created": item.created,
            "current_period_end": self.period.1,
            "current_period_start": self.period.0,
            "current_trial": null,
            "discounts": [],
            "id": &*item.id,
            "metadata": {},
            "object": "subscription_item",
            "plan": plan,
            "price": price.render(view),
            "subscription": &*self.id,
            "tax_rates": [],
        });
        if let (Some(quantity), Value::Object(rendered)) = (item.quantity, &mut rendered) {
            rendered.insert("quantity".to_owned(), Value::from(quantity));
        }
        rendered
    }

    fn state(&self) -> Value {
        let details = json!({
            "comment": null,
            "feedback": self.ending.feedback,
            "feedback_option": null,
            "reason": self.ending.reason,
        });
        json!({
            "cancel_at": self.ending.at_period_end.then_some(self.period.1),
            "cancel_at_period_end": self.ending.at_period_end,
            "canceled_at": self.ending.asked,
            "cancellation_details": details,
            "ended_at": self.ending.ended,
            "pause_collection": self.paused.then(|| json!({ "behavior": "keep_as_draft", "resumes_at": null })),
            "status": self.status.name(),
            "trial_end": self.trial.map(|(_, end)| end),
            "trial_start": self.trial.map(|(start, _)| start),
        })
    }

    fn billing(&self, view: &View<'_>) -> Value {
        let taxed = view.books.customers.at(self.customer).tax().is_some();
        let liability = taxed.then(|| json!({ "type": "self" }));
        let methods = json!({
            "payment_method_options": null, "payment_method_types": null, "save_default_payment_method": "off",
        });
        let invoices = json!({
            "account_tax_ids": null,
            "custom_fields": null,
            "description": null,
            "footer": null,
            "issuer": { "type": "self" },
        });
        json!({
            "automatic_tax": { "disabled_reason": null, "enabled": taxed, "liability": liability },
            "billing_cycle_anchor": self.anchor,
            "billing_mode": { "flexible": null, "type": "classic", "updated_at": null },
            "billing_schedules": [],
            "collection_method": if self.by_invoice { "send_invoice" } else { "charge_automatically" },
            "days_until_due": self.by_invoice.then_some(30),
            "default_tax_rates": [],
            "discounts": self.discount.iter().map(|&discount| view.id(discount)).collect::<Vec<_>>(),
            "invoice_settings": invoices,
            "payment_settings": methods,
            "trial_settings": { "end_behavior": { "missing_payment_method": "create_invoice" } },
        })
    }
}

const NULLS: [&str; 18] = [
    "application",
    "application_fee_percent",
    "billing_cycle_anchor_config",
    "billing_thresholds",
    "customer_account",
    "default_payment_method",
    "default_source",
    "description",
    "next_pending_invoice_item_invoice",
    "on_behalf_of",
    "pending_invoice_item_interval",
    "pending_setup_intent",
    "pending_update",
    "presentment_details",
    "schedule",
    "status_details",
    "test_clock",
    "transfer_data",
];

impl Record for Subscription {
    stands_on!(subscriptions);

    fn created(&self) -> i64 {
        self.created
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        match name {
            "customer" => Some(view.is(Some(self.customer), wanted)),
            "status" => Some(self.status.name() == wanted),
            "price" | "plan" => Some(self.items.iter().any(|item| view.id(item.price) == wanted)),
            _ => None,
        }
    }

    fn render(&self, view: &View<'_>) -> Value {
        let items = list(self.render_items(view), format!("/v1/subscription_items?subscription={}", self.id));
        let facts = json!({
            "created": self.created,
            "currency": self.currency.code(),
            "customer": view.id(self.customer),
            "id": &*self.id,
            "items": items,
            "latest_invoice": view.id_or_null(self.latest_invoice),
            "livemode": view.livemode,
            "managed_payments": { "enabled": false },
            "metadata": metadata(&self.metadata),
            "object": "subscription",
            "start_date": self.created,
        });
        assemble(&NULLS, [facts, self.state(), self.billing(view)])
    }
}
