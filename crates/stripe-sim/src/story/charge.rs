//! Payments: what was intended, and each attempt.

use std::sync::Arc;

use serde_json::{Value, json};

use super::books::{View, assemble, stands_on};
use super::customer::{Customer, Method};
use super::invoice::Invoice;
use super::money::Currency;
use super::payout::Transaction;
use super::person::Person;
use super::shelf::{Handle, Id, Record};

/// Why a card was declined.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decline {
    pub(super) code: &'static str,
    pub(super) decline_code: &'static str,
    pub(super) network_code: &'static str,
    pub(super) message: &'static str,
}

pub(super) static DECLINES: [&Decline; 4] = [
    &Decline {
        code: "card_declined",
        decline_code: "insufficient_funds",
        network_code: "51",
        message: "Your card has insufficient funds.",
    },
    &Decline {
        code: "card_declined",
        decline_code: "generic_decline",
        network_code: "05",
        message: "Your card was declined.",
    },
    &Decline {
        code: "expired_card",
        decline_code: "expired_card",
        network_code: "54",
        message: "Your card has expired.",
    },
    &Decline {
        code: "card_declined",
        decline_code: "do_not_honor",
        network_code: "05",
        message: "Your card was declined.",
    },
];

/// Where a payment intent is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    RequiresMethod,
    RequiresCapture,
    Succeeded,
    Canceled,
}

impl Progress {
    fn name(self) -> &'static str {
        match self {
            Self::RequiresMethod => "requires_payment_method",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

/// A payment intent.
pub(super) struct Intent {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) customer: Option<Handle<Customer>>,
    pub(super) method: Option<Handle<Method>>,
    pub(super) invoice: Option<Handle<Invoice>>,
    pub(super) description: &'static str,
    /// The payment is authorized first and captured later.
    pub(super) manual: bool,
    pub(super) progress: Progress,
    pub(super) decline: Option<&'static Decline>,
    pub(super) latest_charge: Option<Handle<Charge>>,
    pub(super) canceled: Option<(i64, &'static str)>,
}

/// A charge: one attempt to be paid.
pub(super) struct Charge {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) amount: i64,
    pub(super) captured: i64,
    pub(super) refunded: i64,
    pub(super) currency: Currency,
    pub(super) customer: Option<Handle<Customer>>,
    pub(super) person: Arc<Person>,
    pub(super) intent: Handle<Intent>,
    pub(super) method: Handle<Method>,
    pub(super) invoice: Option<Handle<Invoice>>,
    pub(super) description: &'static str,
    pub(super) decline: Option<&'static Decline>,
    pub(super) transaction: Option<Handle<Transaction>>,
    pub(super) disputed: bool,
    pub(super) risk: i64,
    pub(super) receipt_number: Option<String>,
}

impl Charge {
    fn outcome(&self) -> Value {
        let quiet = ["advice_code", "network_advice_code", "rule"];
        let facts = match self.decline {
            None => json!({
                "network_decline_code": null,
                "network_status": "approved_by_network",
                "reason": null,
                "seller_message": "Payment complete.",
                "type": "authorized",
            }),
            Some(decline) => json!({
                "network_decline_code": decline.network_code,
                "network_status": "declined_by_network",
                "reason": decline.decline_code,
                "seller_message": "The bank returned a decline code.",
                "type": "issuer_declined",
            }),
        };
        assemble(&quiet, [facts, json!({ "risk_level": "normal", "risk_score": self.risk })])
    }
}

const CHARGE_NULLS: [&str; 16] = [
    "application",
    "application_fee",
    "application_fee_amount",
    "authorization_code",
    "failure_balance_transaction",
    "on_behalf_of",
    "presentment_details",
    "review",
    "shipping",
    "source",
    "source_transfer",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer",
    "transfer_data",
    "transfer_group",
];

impl Record for Charge {
    stands_on!(charges);

    fn created(&self) -> i64 {
        self.created
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        match name {
            "customer" => Some(view.is(self.customer, wanted)),
            "payment_intent" => Some(view.is(Some(self.intent), wanted)),
            _ => None,
        }
    }

    fn render(&self, view: &View<'_>) -> Value {
        let method = view.books.methods.at(self.method);
        let paid = self.decline.is_none();
        let receipt = paid.then(|| format!("https://pay.example.com/receipts/{}", self.id));
        let money = json!({
            "amount": self.amount,
            "amount_captured": self.captured,
            "amount_refunded": self.refunded,
            "balance_transaction": view.id_or_null(self.transaction),
            "captured": self.captured > 0,
            "currency": self.currency.code(),
            "disputed": self.disputed,
            "paid": paid,
            "refunded": self.refunded == self.amount,
            "status": if paid { "succeeded" } else { "failed" },
        });
        let facts = json!({
            "billing_details": self.person.billing_details(),
            "calculated_statement_descriptor": "NORTHWIND",
            "created": self.created,
            "customer": view.id_or_null(self.customer),
            "description": self.description,
            "failure_code": self.decline.map(|decline| decline.code),
            "failure_message": self.decline.map(|decline| decline.message),
            "fraud_details": {},
            "id": &*self.id,
            "livemode": view.livemode,
            "metadata": {},
            "object": "charge",
            "outcome": self.outcome(),
            "payment_intent": view.id(self.intent),
            "payment_method": &*method.id,
            "payment_method_details": method.details(self.amount),
            "radar_options": {},
            "receipt_email": self.person.email,
            "receipt_number": self.receipt_number,
            "receipt_url": receipt,
        });
        assemble(&CHARGE_NULLS, [money, facts])
    }
}

const INTENT_NULLS: [&str; 20] = [
    "allowed_payment_method_types",
    "application",
    "application_fee_amount",
    "automatic_payment_methods",
    "customer_account",
    "excluded_payment_method_types",
    "hooks",
    "managed_payments",
    "next_action",
    "on_behalf_of",
    "payment_method_configuration_details",
    "payment_record",
    "presentment_details",
    "processing",
    "review",
    "shipping",
    "source",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
];

impl Intent {
    fn error(&self, view: &View<'_>) -> Value {
        let Some(decline) = self.decline else { return Value::Null };
        json!({
            "charge": view.id_or_null(self.latest_charge),
            "code": decline.code,
            "decline_code": decline.decline_code,
            "doc_url": "https://docs.example.com/error-codes/card-declined",
            "message": decline.message,
            "network_decline_code": decline.network_code,
            "type": "card_error",
        })
    }

    fn payment_details(&self, view: &View<'_>) -> Value {
        let invoice = self.invoice.map(|invoice| view.id(invoice));
        json!({ "customer_reference": null, "order_reference": invoice })
    }
}

impl Record for Intent {
    stands_on!(intents);

    fn created(&self) -> i64 {
        self.created
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        match name {
            "customer" => Some(view.is(self.customer, wanted)),
            _ => None,
        }
    }

    fn render(&self, view: &View<'_>) -> Value {
        let received = self.progress == Progress::Succeeded;
        let holds = self.progress == Progress::RequiresCapture;
        let reusable = self.customer.map(|_| "off_session");
        let money = json!({
            "amount": self.amount,
            "amount_capturable": if holds { self.amount } else { 0 },
            "amount_details": { "tip": {} },
            "amount_received": if received { self.amount } else { 0 },
            "currency": self.currency.code(),
            "last_payment_error": self.error(view),
            "latest_charge": view.id_or_null(self.latest_charge),
            "status": self.progress.name(),
        });
        let facts = json!({
            "canceled_at": self.canceled.map(|(at, _)| at),
            "cancellation_reason": self.canceled.map(|(_, reason)| reason),
            "capture_method": if self.manual { "manual" } else { "automatic" },
            "client_secret": null,
            "confirmation_method": "automatic",
            "created": self.created,
            "customer": view.id_or_null(self.customer),
            "description": self.description,
            "id": &*self.id,
            "livemode": view.livemode,
            "metadata": {},
            "object": "payment_intent",
            "payment_details": self.payment_details(view),
            "payment_method": view.id_or_null(self.method.filter(|_| self.decline.is_none())),
            "payment_method_options": { "card": { "request_three_d_secure": "automatic" } },
            "payment_method_types": ["card"],
            "receipt_email": null,
            "setup_future_usage": reusable,
            "transfer_group": null,
        });
        assemble(&INTENT_NULLS, [money, facts])
    }
}
