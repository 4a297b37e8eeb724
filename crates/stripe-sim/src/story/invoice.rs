//! Invoices and the payments that settle them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::books::{View, assemble, list, stands_on};
use super::charge::Intent;
use super::coupon::Discount;
use super::customer::Customer;
use super::line::{Line, discount_amounts};
use super::money::{Currency, Tax};
use super::person::Person;
use super::shelf::{Handle, Id, Record};
use super::subscription::Subscription;

/// Where an invoice is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Draft,
    Open,
    Paid,
    Uncollectible,
    Void,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Uncollectible => "uncollectible",
            Self::Void => "void",
        }
    }
}

/// Why an invoice was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Create,
    Cycle,
    Update,
    Manual,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "subscription_create",
            Self::Cycle => "subscription_cycle",
            Self::Update => "subscription_update",
            Self::Manual => "manual",
        }
    }

    /// What the charge for it says.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Create => "Subscription creation",
            Self::Cycle | Self::Update => "Subscription update",
            Self::Manual => "Payment for Invoice",
        }
    }
}

/// When an invoice came to where it is.
#[derive(Default, Clone, Copy)]
pub(super) struct Transitions {
    pub(super) finalized: Option<i64>,
    pub(super) paid: Option<i64>,
    pub(super) uncollectible: Option<i64>,
    pub(super) voided: Option<i64>,
}

/// An invoice.
pub(super) struct Invoice {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) customer: Handle<Customer>,
    /// The customer as the invoice names them.
    pub(super) person: Arc<Person>,
    pub(super) subscription: Option<Handle<Subscription>>,
    pub(super) currency: Currency,
    pub(super) reason: Reason,
    pub(super) lines: Vec<Line>,
    pub(super) discount: Option<Handle<Discount>>,
    pub(super) tax: Option<Tax>,
    pub(super) state: State,
    pub(super) transitions: Transitions,
    pub(super) number: Option<String>,
    pub(super) period: (i64, i64),
    pub(super) by_invoice: bool,
    pub(super) starting_balance: i64,
    pub(super) ending_balance: Option<i64>,
    pub(super) attempts: i64,
    pub(super) next_attempt: Option<i64>,
    pub(super) finalizes_at: Option<i64>,
    pub(super) intent: Option<Handle<Intent>>,
    pub(super) payment: Option<Handle<InvoicePayment>>,
    pub(super) paid: i64,
    pub(super) paid_off_stripe: i64,
    pub(super) credited_before: i64,
    pub(super) credited_after: i64,
    pub(super) receipt_number: Option<String>,
}

impl Invoice {
    pub(super) fn subtotal(&self) -> i64 {
        self.lines.iter().map(|line| line.amount).sum()
    }

    pub(super) fn discounted(&self) -> i64 {
        self.lines.iter().map(|line| line.discount).sum()
    }

    pub(super) fn taxed(&self) -> i64 {
        self.lines.iter().map(|line| line.tax).sum()
    }

    fn added_tax(&self) -> i64 {
        if self.tax.is_some_and(|tax| tax.inclusive) { 0 } else { self.taxed() }
    }

    pub(super) fn total(&self) -> i64 {
        self.subtotal() - self.discounted() + self.added_tax()
    }

    fn total_without_tax(&self) -> i64 {
        self.total() - self.taxed()
    }

    pub(super) fn due(&self) -> i64 {
        (self.total() + self.starting_balance - self.credited_before).max(0)
    }

    pub(super) fn remaining(&self) -> i64 {
        self.due() - self.paid
    }

    pub(super) fn due_date(&self) -> Option<i64> {
        self.by_invoice.then_some(self.transitions.finalized.unwrap_or(self.created) + 30 * 86_400)
    }

    fn amounts(&self, view: &View<'_>) -> Value {
        let inclusive = self.tax.filter(|tax| tax.inclusive);
        let included: i64 =
            self.lines.iter().map(|line| inclusive.map_or(0, |tax| tax.on(line.amount))).sum();
        let total_taxes: Vec<Value> =
            self.tax.map(|tax| tax.render(self.taxed(), self.total_without_tax())).into_iter().collect();
        json!({
            "amount_due": self.due(),
            "amount_overpaid": 0,
            "amount_paid": self.paid,
            "amount_paid_off_stripe": self.paid_off_stripe,
            "amount_remaining": self.remaining(),
            "amount_shipping": 0,
            "currency": self.currency.code(),
            "discounts": self.discount.iter().map(|&discount| view.id(discount)).collect::<Vec<_>>(),
            "ending_balance": self.ending_balance,
            "post_payment_credit_notes_amount": self.credited_after,
            "pre_payment_credit_notes_amount": self.credited_before,
            "starting_balance": self.starting_balance,
            "subtotal": self.subtotal(),
            "subtotal_excluding_tax": self.subtotal() - included,
            "total": self.total(),
            "total_discount_amounts": discount_amounts(self.discount, self.discounted(), view),
            "total_excluding_tax": self.total_without_tax(),
            "total_pretax_credit_amounts": [],
            "total_taxes": total_taxes,
        })
    }

    fn state(&self) -> Value {
        let shown = self.transitions.finalized.is_some();
        let page = shown.then(|| format!("https://invoice.example.com/i/{}", self.id));
        let reason = self.transitions.uncollectible.map(|_| json!({ "reason": "max_payment_attempts" }));
        json!({
            "attempt_count": self.attempts,
            "attempted": self.attempts > 0 || self.state == State::Paid,
            "auto_advance": matches!(self.state, State::Draft | State::Open),
            "automatically_finalizes_at": self.finalizes_at.filter(|_| !shown),
            "due_date": self.due_date(),
            "effective_at": self.transitions.finalized,
            "hosted_invoice_url": page,
            "invoice_pdf": page.as_ref().map(|page| format!("{page}/pdf")),
            "next_payment_attempt": self.next_attempt,
            "number": self.number,
            "receipt_number": self.receipt_number,
            "status": self.state.name(),
            "status_details": reason.map(|reason| json!({ "uncollectible": reason })),
            "status_transitions": {
                "finalized_at": self.transitions.finalized,
                "marked_uncollectible_at": self.transitions.uncollectible,
                "paid_at": self.transitions.paid,
                "voided_at": self.transitions.voided,
            },
            "webhooks_delivered_at": self.created,
        })
    }

    fn parties(&self, view: &View<'_>) -> Value {
        let parent = self.subscription.map(|subscription| {
            json!({
                "quote_details": null,
                "subscription_details": { "metadata": {}, "subscription": view.id(subscription) },
                "type": "subscription_details",
            })
        });
        json!({
            "account_country": "US",
            "account_name": super::ACCOUNT_NAME,
            "customer": view.id(self.customer),
            "customer_address": self.person.address(),
            "customer_email": self.person.email,
            "customer_name": self.person.name,
            "customer_phone": self.person.phone,
            "customer_tax_exempt": "none",
            "customer_tax_ids": [],
            "issuer": { "type": "self" },
            "parent": parent,
        })
    }

    fn settings(&self) -> Value {
        let liability = self.tax.map(|_| json!({ "type": "self" }));
        json!({
            "automatic_tax": {
                "disabled_reason": null,
                "enabled": self.tax.is_some(),
                "liability": liability,
                "provider": self.tax.map(|_| "stripe"),
                "status": self.tax.map(|_| "complete"),
            },
            "collection_method": if self.by_invoice { "send_invoice" } else { "charge_automatically" },
            "default_tax_rates": [],
            "metadata": {},
            "payment_settings": {
                "default_mandate": null, "payment_method_options": null, "payment_method_types": null,
            },
        })
    }
}

const NULLS: [&str; 20] = [
    "account_tax_ids",
    "application",
    "confirmation_secret",
    "custom_fields",
    "customer_account",
    "customer_shipping",
    "default_payment_method",
    "default_source",
    "description",
    "footer",
    "from_invoice",
    "last_finalization_error",
    "latest_revision",
    "on_behalf_of",
    "rendering",
    "shipping_cost",
    "shipping_details",
    "statement_descriptor",
    "test_clock",
    "threshold_reason",
];

impl Record for Invoice {
    stands_on!(invoices);

    fn created(&self) -> i64 {
        self.created
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        match name {
            "customer" => Some(view.is(Some(self.customer), wanted)),
            "subscription" => Some(view.is(self.subscription, wanted)),
            "status" => Some(self.state.name() == wanted),
            _ => None,
        }
    }

    fn render(&self, view: &View<'_>) -> Value {
        let lines = self.lines.iter().map(|line| line.render(self, view)).collect();
        let facts = json!({
            "billing_reason": self.reason.name(),
            "created": self.created,
            "id": &*self.id,
            "lines": list(lines, format!("/v1/invoices/{}/lines", self.id)),
            "livemode": view.livemode,
            "object": "invoice",
            "period_end": self.period.1,
            "period_start": self.period.0,
        });
        let parts = [facts, self.amounts(view), self.state(), self.parties(view), self.settings()];
        assemble(&NULLS, parts)
    }
}

/// How an invoice is paid.
#[derive(Clone, Copy)]
pub(super) enum Means {
    Intent(Handle<Intent>),
    /// Money that came past Stripe.
    OutOfBand,
}

/// A payment towards an invoice.
pub(super) struct InvoicePayment {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) invoice: Handle<Invoice>,
    pub(super) currency: Currency,
    pub(super) requested: i64,
    pub(super) means: Means,
    /// Of the payment that came past Stripe.
    pub(super) record: Id,
    pub(super) paid: Option<i64>,
    pub(super) canceled: Option<i64>,
}

impl InvoicePayment {
    fn status(&self) -> &'static str {
        match (self.paid, self.canceled) {
            (Some(_), _) => "paid",
            (None, Some(_)) => "canceled",
            (None, None) => "open",
        }
    }
}

impl Record for InvoicePayment {
    stands_on!(invoice_payments);

    fn created(&self) -> i64 {
        self.created
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        match name {
            "invoice" => Some(view.is(Some(self.invoice), wanted)),
            "status" => Some(self.status() == wanted),
            _ => None,
        }
    }

    fn render(&self, view: &View<'_>) -> Value {
        let payment = match self.means {
            Means::Intent(intent) => json!({ "payment_intent": view.id(intent), "type": "payment_intent" }),
            Means::OutOfBand => json!({ "payment_record": &*self.record, "type": "payment_record" }),
        };
        json!({
            "amount_paid": self.paid.map(|_| self.requested),
            "amount_requested": self.requested,
            "created": self.created,
            "currency": self.currency.code(),
            "id": &*self.id,
            "invoice": view.id(self.invoice),
            "is_default": true,
            "livemode": view.livemode,
            "object": "invoice_payment",
            "payment": payment,
            "status": self.status(),
            "status_transitions": { "canceled_at": self.canceled, "paid_at": self.paid },
        })
    }
}
