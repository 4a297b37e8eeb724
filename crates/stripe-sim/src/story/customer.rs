//! Customers and how they pay.

use std::sync::Arc;

use serde_json::{Value, json};

use super::books::{View, assemble, stands_on};
use super::coupon::Discount;
use super::money::{Currency, Tax};
use super::person::{Metadata, Person, metadata};
use super::shelf::{Handle, Id, Record};

/// A customer.
pub(super) struct Customer {
    pub(super) id: Id,
    pub(super) created: i64,
    /// How many customers came before.
    pub(super) number: u64,
    pub(super) person: Arc<Person>,
    pub(super) currency: Currency,
    /// Whether an invoice has settled what they pay in.
    pub(super) billed: bool,
    /// Negative: credit for the next invoices.
    pub(super) balance: i64,
    pub(super) delinquent: bool,
    pub(super) method: Option<Handle<Method>>,
    pub(super) discount: Option<Handle<Discount>>,
    pub(super) invoice_prefix: String,
    pub(super) next_invoice: i64,
    pub(super) metadata: Metadata,
    pub(super) deleted: bool,
}

impl Customer {
    pub(super) fn tax(&self) -> Option<Tax> {
        Tax::of(self.person.place.country)
    }

    /// Pays by bank transfer after an invoice has come.
    pub(super) fn pays_by_invoice(&self) -> bool {
        self.number % 17 == 3
    }

    /// Buys project work besides, listed line by line.
    pub(super) fn has_projects(&self) -> bool {
        self.number % 97 == 13
    }

    /// Buys so much that an invoice has more than a hundred lines; never leaves.
    pub(super) fn is_huge(&self) -> bool {
        self.number == 5
    }

    /// Takes many modules: a subscription of more than ten items.
    pub(super) fn is_agency(&self) -> bool {
        self.number % 61 == 7
    }

    /// Never leaves, so that even a small business has one of each.
    pub(super) fn is_faithful(&self) -> bool {
        self.is_huge() || self.number == 7
    }
}

/// A card.
pub(super) struct Method {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) customer: Option<Handle<Customer>>,
    pub(super) person: Arc<Person>,
    pub(super) brand: &'static str,
    pub(super) last4: String,
    pub(super) exp_month: i64,
    pub(super) exp_year: i64,
    pub(super) fingerprint: Id,
}

impl Method {
    /// The card, as charges show it.
    pub(super) fn details(&self, amount: i64) -> Value {
        let nulls =
            ["authorization_code", "installments", "mandate", "network_transaction_id", "three_d_secure"];
        let more = ["regulated_status", "transaction_link_id", "wallet"];
        let card = json!({
            "amount_authorized": amount,
            "brand": self.brand,
            "checks": {
                "address_line1_check": "pass", "address_postal_code_check": "pass", "cvc_check": null,
            },
            "country": self.person.place.country,
            "exp_month": self.exp_month,
            "exp_year": self.exp_year,
            "extended_authorization": { "status": "disabled" },
            "fingerprint": &*self.fingerprint,
            "funding": "credit",
            "incremental_authorization": { "status": "unavailable" },
            "last4": self.last4,
            "multicapture": { "status": "unavailable" },
            "network": self.brand,
            "network_token": { "used": false },
            "overcapture": { "maximum_amount_capturable": amount, "status": "unavailable" },
        });
        json!({ "card": assemble(&nulls, [assemble(&more, [card])]), "type": "card" })
    }
}

impl Record for Customer {
    stands_on!(customers);

    fn created(&self) -> i64 {
        self.created
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }

    fn passes(&self, _: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        match name {
            "email" => Some(self.person.email == wanted),
            _ => None,
        }
    }

    fn render(&self, view: &View<'_>) -> Value {
        let nulls = [
            "business_name",
            "customer_account",
            "default_source",
            "individual_name",
            "shipping",
            "test_clock",
        ];
        let discount = self.discount.map(|discount| view.books.discounts.at(discount).render(view));
        let invoices = json!({
            "custom_fields": null,
            "default_payment_method": view.id_or_null(self.method),
            "footer": null,
            "rendering_options": null,
        });
        let facts = json!({
            "address": self.person.address(),
            "balance": self.balance,
            "created": self.created,
            "currency": self.billed.then(|| self.currency.code()),
            "delinquent": self.delinquent,
            "description": self.metadata.first().map(|_| "Came through sales"),
            "discount": discount,
            "email": self.person.email,
            "id": &*self.id,
            "invoice_prefix": self.invoice_prefix,
            "invoice_settings": invoices,
            "livemode": view.livemode,
            "metadata": metadata(&self.metadata),
            "name": self.person.name,
            "next_invoice_sequence": self.next_invoice,
            "object": "customer",
            "phone": self.person.phone,
            "preferred_locales": [self.person.place.locale],
            "tax_exempt": "none",
        });
        assemble(&nulls, [facts])
    }
}

impl Record for Method {
    stands_on!(methods);

    fn created(&self) -> i64 {
        self.created
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        match name {
            "customer" => Some(view.is(self.customer, wanted)),
            "type" => Some(wanted == "card"),
            _ => None,
        }
    }

    fn render(&self, view: &View<'_>) -> Value {
        let card = json!({
            "brand": self.brand,
            "checks": {
                "address_line1_check": "pass", "address_postal_code_check": "pass", "cvc_check": "pass",
            },
            "country": self.person.place.country,
            "display_brand": self.brand,
            "exp_month": self.exp_month,
            "exp_year": self.exp_year,
            "fingerprint": &*self.fingerprint,
            "funding": "credit",
            "generated_from": null,
            "last4": self.last4,
            "networks": { "available": [self.brand], "preferred": null },
            "regulated_status": "unregulated",
            "three_d_secure_usage": { "supported": true },
            "wallet": null,
        });
        json!({
            "allow_redisplay": "unspecified",
            "billing_details": self.person.billing_details(),
            "card": card,
            "created": self.created,
            "customer": view.id_or_null(self.customer),
            "customer_account": null,
            "id": &*self.id,
            "livemode": view.livemode,
            "metadata": {},
            "object": "payment_method",
            "type": "card",
        })
    }
}
