//! All that the business has on record.

use serde_json::{Map, Value};

use super::charge::{Charge, Intent};
use super::coupon::{Coupon, Discount};
use super::credit::{CreditNote, Dispute, Refund};
use super::customer::{Customer, Method};
use super::event::Event;
use super::invoice::{Invoice, InvoicePayment};
use super::invoice_item::InvoiceItem;
use super::payout::{Payout, Transaction};
use super::price::{Plan, Price, Product};
use super::shelf::{Handle, Rack, Record, Shelf};
use super::subscription::Subscription;

/// One shelf a kind.
#[derive(Default)]
pub(super) struct Books {
    pub(super) products: Shelf<Product>,
    pub(super) prices: Shelf<Price>,
    pub(super) plans: Shelf<Plan>,
    pub(super) coupons: Shelf<Coupon>,
    /// Not listed by Stripe: shown inside what they lessen.
    pub(super) discounts: Shelf<Discount>,
    pub(super) customers: Shelf<Customer>,
    pub(super) methods: Shelf<Method>,
    pub(super) subscriptions: Shelf<Subscription>,
    pub(super) invoice_items: Shelf<InvoiceItem>,
    pub(super) invoices: Shelf<Invoice>,
    pub(super) invoice_payments: Shelf<InvoicePayment>,
    pub(super) intents: Shelf<Intent>,
    pub(super) charges: Shelf<Charge>,
    pub(super) refunds: Shelf<Refund>,
    pub(super) disputes: Shelf<Dispute>,
    pub(super) credit_notes: Shelf<CreditNote>,
    pub(super) transactions: Shelf<Transaction>,
    pub(super) payouts: Shelf<Payout>,
    pub(super) events: Shelf<Event>,
}

/// The kinds that have a shelf and are listed.
pub(super) const KINDS: [&str; 18] = [
    "customer",
    "charge",
    "coupon",
    "invoice",
    "plan",
    "subscription",
    "event",
    "product",
    "price",
    "invoiceitem",
    "payment_intent",
    "payment_method",
    "refund",
    "dispute",
    "credit_note",
    "balance_transaction",
    "payout",
    "invoice_payment",
];

impl Books {
    pub(super) fn rack(&self, kind: &str) -> Option<&dyn Rack> {
        Some(match kind {
            "customer" => &self.customers,
            "charge" => &self.charges,
            "coupon" => &self.coupons,
            "invoice" => &self.invoices,
            "plan" => &self.plans,
            "subscription" => &self.subscriptions,
            "event" => &self.events,
            "product" => &self.products,
            "price" => &self.prices,
            "invoiceitem" => &self.invoice_items,
            "payment_intent" => &self.intents,
            "payment_method" => &self.methods,
            "refund" => &self.refunds,
            "dispute" => &self.disputes,
            "credit_note" => &self.credit_notes,
            "balance_transaction" => &self.transactions,
            "payout" => &self.payouts,
            "invoice_payment" => &self.invoice_payments,
            _ => return None,
        })
    }
}

/// What rendering a record needs to know besides the record.
pub(super) struct View<'a> {
    pub(super) books: &'a Books,
    pub(super) now: i64,
    pub(super) livemode: bool,
}

impl View<'_> {
    /// The id of the record that a handle names.
    pub(super) fn id<T: Record>(&self, handle: Handle<T>) -> &str {
        T::shelf(self.books).at(handle).id()
    }

    /// The same, or null.
    pub(super) fn id_or_null<T: Record>(&self, handle: Option<Handle<T>>) -> Value {
        handle.map_or(Value::Null, |handle| Value::from(self.id(handle)))
    }

    /// Whether a reference is to the object with this id.
    pub(super) fn is<T: Record>(&self, handle: Option<Handle<T>>, wanted: &str) -> bool {
        handle.is_some_and(|handle| self.id(handle) == wanted)
    }
}

/// An object of the given parts, and null for the properties named.
pub(super) fn assemble<const N: usize>(nulls: &[&str], parts: [Value; N]) -> Value {
    let mut object: Map<String, Value> =
        nulls.iter().map(|&property| (property.to_owned(), Value::Null)).collect();
    for part in parts {
        if let Value::Object(part) = part {
            object.extend(part);
        }
    }
    Value::Object(object)
}

/// A list envelope with all its members.
pub(super) fn list(data: Vec<Value>, url: String) -> Value {
    let mut list = Map::new();
    list.insert("object".to_owned(), Value::from("list"));
    list.insert("data".to_owned(), Value::Array(data));
    list.insert("has_more".to_owned(), Value::Bool(false));
    list.insert("url".to_owned(), Value::from(url));
    Value::Object(list)
}

/// Implements the part of [`Record`] that says where the record stands.
macro_rules! stands_on {
    ($shelf:ident) => {
        fn id(&self) -> &$crate::story::shelf::Id {
            &self.id
        }

        fn shelf(books: &$crate::story::books::Books) -> &$crate::story::shelf::Shelf<Self> {
            &books.$shelf
        }

        fn shelf_mut(books: &mut $crate::story::books::Books) -> &mut $crate::story::shelf::Shelf<Self> {
            &mut books.$shelf
        }
    };
}
pub(super) use stands_on;
