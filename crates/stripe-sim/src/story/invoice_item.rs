//! What waits to be put on an invoice, or was.

use serde_json::{Value, json};

use super::books::{View, stands_on};
use super::customer::Customer;
use super::invoice::Invoice;
use super::money::Currency;
use super::price::Price;
use super::shelf::{Handle, Id, Record};
use super::subscription::Subscription;

/// An invoice item: a proration, or something bought once.
pub(super) struct InvoiceItem {
    pub(super) id: Id,
    pub(super) date: i64,
    pub(super) customer: Handle<Customer>,
    pub(super) subscription: Option<Handle<Subscription>>,
    pub(super) invoice: Option<Handle<Invoice>>,
    pub(super) currency: Currency,
    pub(super) price: Handle<Price>,
    pub(super) description: String,
    pub(super) quantity: i64,
    pub(super) amount: i64,
    pub(super) period: (i64, i64),
    pub(super) proration: bool,
}

impl Record for InvoiceItem {
    stands_on!(invoice_items);

    fn created(&self) -> i64 {
        self.date
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        match name {
            "customer" => Some(view.is(Some(self.customer), wanted)),
            "invoice" => Some(view.is(self.invoice, wanted)),
            "pending" => Some(self.invoice.is_none() == (wanted == "true")),
            _ => None,
        }
    }

    fn render(&self, view: &View<'_>) -> Value {
        let price = view.books.prices.at(self.price);
        let parent = self.subscription.map(|subscription| {
            json!({
                "subscription_details": { "subscription": view.id(subscription), "subscription_item": null },
                "type": "subscription_details",
            })
        });
        json!({
            "amount": self.amount,
            "currency": self.currency.code(),
            "customer": view.id(self.customer),
            "customer_account": null,
            "date": self.date,
            "description": self.description,
            "discountable": !self.proration,
            "discounts": [],
            "frozen_fields": [],
            "id": &*self.id,
            "invoice": view.id_or_null(self.invoice),
            "invoicing_rules": [],
            "livemode": view.livemode,
            "metadata": {},
            "net_amount": self.proration.then_some(self.amount),
            "object": "invoiceitem",
            "parent": parent,
            "period": { "end": self.period.1, "start": self.period.0 },
            "pricing": {
                "price_details": { "price": &*price.id, "product": view.id(price.product) },
                "type": "price_details",
                "unit_amount_decimal": price.unit_amount_decimal(),
            },
            "proration": self.proration,
            "proration_details": null,
            "quantity": self.quantity,
            "quantity_decimal": self.quantity.to_string(),
            "tax_rates": [],
            "test_clock": null,
        })
    }
}
