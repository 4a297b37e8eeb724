//! Events: what happened, and how the object looked then.

use serde_json::{Map, Value, json};

use super::books::{View, stands_on};
use super::shelf::{Id, Record};

/// The version that the simulator renders.
pub(super) const CURRENT_VERSION: &str = "2026-10-28.endive";
/// The account's earlier default, in which a share of its events is still rendered.
pub(super) const OLD_VERSION: &str = "2024-06-20";

/// An event; its payload never changes.
pub(super) struct Event {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// JSON text, a tenth the size of a value: events are what there is most of.
    pub(super) object: String,
    pub(super) previous: Option<Value>,
    /// The request that caused it and its idempotency key, unless time alone did.
    pub(super) request: Option<(Id, Id)>,
}

impl Record for Event {
    stands_on!(events);

    fn created(&self) -> i64 {
        self.created
    }

    fn event_type(&self) -> Option<&'static str> {
        Some(self.name)
    }

    fn render(&self, view: &View<'_>) -> Value {
        let mut data = Map::new();
        data.insert("object".to_owned(), serde_json::from_str(&self.object).unwrap_or_default());
        if let Some(previous) = &self.previous {
            data.insert("previous_attributes".to_owned(), previous.clone());
        }
        json!({
            "api_version": self.version,
            "created": self.created,
            "data": data,
            "id": &*self.id,
            "livemode": view.livemode,
            "object": "event",
            "pending_webhooks": 1,
            "request": {
                "id": self.request.as_ref().map(|(id, _)| &**id),
                "idempotency_key": self.request.as_ref().map(|(_, key)| &**key),
            },
            "type": self.name,
        })
    }
}

/// A payload in the shape of [`OLD_VERSION`], from before invoices, charges and subscriptions were taken apart.
pub(super) fn in_old_shape(mut object: Value, view: &View<'_>) -> Value {
    let Value::Object(facts) = &mut object else { return object };
    match facts.get("object").and_then(Value::as_str) {
        Some("invoice") => age_invoice(facts, view),
        Some("subscription") => age_subscription(facts),
        Some("charge") => age_charge(facts, view),
        _ => {}
    }
    object
}

fn age_invoice(facts: &mut Map<String, Value>, view: &View<'_>) {
    let parent = facts.remove("parent").unwrap_or_default();
    let subscription = parent.pointer("/subscription_details/subscription").cloned();
    facts.insert("subscription".to_owned(), subscription.unwrap_or_default());
    let paid = facts.get("status").and_then(Value::as_str) == Some("paid");
    facts.insert("paid".to_owned(), Value::Bool(paid));
    let invoice = facts.get("id").and_then(Value::as_str).and_then(|id| view.books.invoices.find(id));
    let intent = invoice.and_then(|invoice| view.books.invoices.at(invoice).intent);
    let charge = intent.and_then(|intent| view.books.intents.at(intent).latest_charge);
    facts.insert("payment_intent".to_owned(), view.id_or_null(intent));
    facts.insert("charge".to_owned(), view.id_or_null(charge));
    let tax = facts.remove("total_taxes").and_then(|taxes| taxes.pointer("/0/amount").cloned());
    facts.insert("tax".to_owned(), tax.unwrap_or_default());
    for newer in
        ["amount_overpaid", "amount_paid_off_stripe", "status_details", "total_pretax_credit_amounts"]
    {
        facts.remove(newer);
    }
}

fn age_subscription(facts: &mut Map<String, Value>) {
    let mut first = None;
    if let Some(Value::Array(items)) = facts.get_mut("items").and_then(|items| items.get_mut("data")) {
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            let start = item.remove("current_period_start").unwrap_or_default();
            let end = item.remove("current_period_end").unwrap_or_default();
            let plan = item.get("plan").cloned().unwrap_or_default();
            let quantity = item.get("quantity").cloned().unwrap_or_default();
            first.get_or_insert((start, end, plan, quantity));
        }
        let single = items.len() == 1;
        let (start, end, plan, quantity) = first.unwrap_or_default();
        facts.insert("current_period_start".to_owned(), start);
        facts.insert("current_period_end".to_owned(), end);
        facts.insert("plan".to_owned(), if single { plan } else { Value::Null });
        facts.insert("quantity".to_owned(), if single { quantity } else { Value::Null });
    }
    for newer in
        ["billing_mode", "billing_schedules", "managed_payments", "presentment_details", "status_details"]
    {
        facts.remove(newer);
    }
}

fn age_charge(facts: &mut Map<String, Value>, view: &View<'_>) {
    let charge = facts.get("id").and_then(Value::as_str).and_then(|id| view.books.charges.find(id));
    let invoice = charge.and_then(|charge| view.books.charges.at(charge).invoice);
    facts.insert("invoice".to_owned(), view.id_or_null(invoice));
    facts.remove("presentment_details");
    facts.remove("authorization_code");
}
