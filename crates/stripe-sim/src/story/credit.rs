//! Money that goes back: refunds, disputes, credit notes.

use serde_json::{Value, json};

use super::books::{View, assemble, list, stands_on};
use super::charge::Charge;
use super::customer::Customer;
use super::invoice::Invoice;
use super::money::{Currency, portion};
use super::payout::Transaction;
use super::shelf::{Handle, Id, Record};

/// A refund.
pub(super) struct Refund {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) charge: Handle<Charge>,
    pub(super) reason: Option<&'static str>,
    pub(super) transaction: Handle<Transaction>,
    /// The bank sent the money back.
    pub(super) failure: Option<Handle<Transaction>>,
    pub(super) receipt_number: String,
}

/// Where a dispute is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    NeedsResponse,
    UnderReview,
    Won,
    Lost,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }
}

/// A dispute.
pub(super) struct Dispute {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) charge: Handle<Charge>,
    pub(super) reason: &'static str,
    pub(super) stage: Stage,
    pub(super) transactions: Vec<Handle<Transaction>>,
}

/// A credit note: it takes back a share of each line of its invoice.
pub(super) struct CreditNote {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) invoice: Handle<Invoice>,
    pub(super) customer: Handle<Customer>,
    pub(super) currency: Currency,
    pub(super) number: String,
    pub(super) line: Id,
    /// Tax included.
    pub(super) amount: i64,
    /// What was given back for an invoice that was already paid.
    pub(super) refund: Option<Handle<Refund>>,
    pub(super) reason: &'static str,
}

/// Filters of whatever takes money of a charge back.
fn is_of(charge: Handle<Charge>, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
    match name {
        "charge" => Some(view.is(Some(charge), wanted)),
        "payment_intent" => Some(view.is(Some(view.books.charges.at(charge).intent), wanted)),
        _ => None,
    }
}

const REFUND_NULLS: [&str; 10] = [
    "customer_account",
    "description",
    "failure_reason",
    "instructions_email",
    "next_action",
    "pending_reason",
    "presentment_details",
    "source_transfer_reversal",
    "transfer_reversal",
    "failure_balance_transaction",
];

impl Record for Refund {
    stands_on!(refunds);

    fn created(&self) -> i64 {
        self.created
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        is_of(self.charge, view, name, wanted)
    }

    fn render(&self, view: &View<'_>) -> Value {
        let charge = view.books.charges.at(self.charge);
        let reference = json!({ "reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund" });
        let facts = json!({
            "amount": self.amount,
            "balance_transaction": view.id(self.transaction),
            "charge": &*charge.id,
            "created": self.created,
            "currency": self.currency.code(),
            "customer": view.id_or_null(charge.customer),
            "destination_details": { "card": reference, "type": "card" },
            "id": &*self.id,
            "metadata": {},
            "object": "refund",
            "payment_intent": view.id(charge.intent),
            "payment_method": view.id(charge.method),
            "reason": self.reason,
            "receipt_number": self.receipt_number,
            "status": if self.failure.is_some() { "failed" } else { "succeeded" },
        });
        let failure = self.failure.map(|failure| {
            json!({ "failure_balance_transaction": view.id(failure), "failure_reason": "lost_or_stolen_card" })
        });
        assemble(&REFUND_NULLS, [facts, failure.unwrap_or_default()])
    }
}

const EVIDENCE: [&str; 27] = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

impl Record for Dispute {
    stands_on!(disputes);

    fn created(&self) -> i64 {
        self.created
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        is_of(self.charge, view, name, wanted)
    }

    fn render(&self, view: &View<'_>) -> Value {
        let charge = view.books.charges.at(self.charge);
        let method = view.books.methods.at(charge.method);
        let answered = self.stage != Stage::NeedsResponse;
        let transactions: Vec<Value> = self
            .transactions
            .iter()
            .map(|&transaction| view.books.transactions.at(transaction).render(view))
            .collect();
        let words =
            answered.then(|| json!({ "uncategorized_text": "The service was used every day; see the log." }));
        json!({
            "amount": self.amount,
            "balance_transactions": transactions,
            "charge": &*charge.id,
            "created": self.created,
            "currency": self.currency.code(),
            "enhanced_eligibility_types": [],
            "evidence": assemble(&EVIDENCE, [json!({ "enhanced_evidence": {} }), words.unwrap_or_default()]),
            "evidence_details": {
                "due_by": self.created + 20 * 86_400,
                "enhanced_eligibility": {},
                "has_evidence": answered,
                "past_due": false,
                "submission_count": i64::from(answered),
                "submission_method": if answered { "manual" } else { "not_submitted" },
            },
            "id": &*self.id,
            "intended_submission_method": "manual",
            "is_charge_refundable": false,
            "livemode": view.livemode,
            "metadata": {},
            "network_reason_code": "10.4",
            "object": "dispute",
            "payment_intent": view.id(charge.intent),
            "payment_method_details": {
                "card": {
                    "brand": method.brand, "case_type": "chargeback", "network": method.brand,
                    "network_reason_code": "10.4",
                },
                "type": "card",
            },
            "reason": self.reason,
            "status": self.stage.name(),
        })
    }
}

impl CreditNote {
    /// The tax in the amount, as the invoice has it.
    fn tax(&self, invoice: &Invoice) -> i64 {
        if invoice.total() == 0 { 0 } else { portion(self.amount, invoice.taxed(), invoice.total()) }
    }

    fn line(&self, view: &View<'_>, subtotal: i64, taxes: &Value) -> Value {
        json!({
            "amount": subtotal,
            "description": "Credit for part of this invoice",
            "discount_amount": 0,
            "discount_amounts": [],
            "id": &*self.line,
            "invoice_line_item": null,
            "livemode": view.livemode,
            "metadata": {},
            "object": "credit_note_line_item",
            "pretax_credit_amounts": [],
            "quantity": 1,
            "tax_rates": [],
            "taxes": taxes,
            "type": "custom_line_item",
            "unit_amount": subtotal,
            "unit_amount_decimal": subtotal.to_string(),
        })
    }

    fn amounts(&self, view: &View<'_>, invoice: &Invoice) -> Value {
        let tax = self.tax(invoice);
        let inclusive = invoice.tax.is_some_and(|tax| tax.inclusive);
        let without = self.amount - tax;
        let subtotal = if inclusive { self.amount } else { without };
        let taxes: Value = invoice.tax.map(|rule| rule.render(tax, without)).into_iter().collect();
        let (before, after) = if self.refund.is_some() { (0, self.amount) } else { (self.amount, 0) };
        let refunds: Vec<Value> = self
            .refund
            .map(|refund| {
                json!({ "amount_refunded": self.amount, "payment_record_refund": null, "refund": view.id(refund), "type": "refund" })
            })
            .into_iter()
            .collect();
        json!({
            "amount": self.amount,
            "amount_shipping": 0,
            "discount_amount": 0,
            "discount_amounts": [],
            "lines": list(vec![self.line(view, subtotal, &taxes)], format!("/v1/credit_notes/{}/lines", self.id)),
            "post_payment_amount": after,
            "pre_payment_amount": before,
            "pretax_credit_amounts": [],
            "refunds": refunds,
            "subtotal": subtotal,
            "subtotal_excluding_tax": without,
            "total": self.amount,
            "total_excluding_tax": without,
            "total_taxes": taxes,
            "type": if self.refund.is_some() { "post_payment" } else { "pre_payment" },
        })
    }
}

impl Record for CreditNote {
    stands_on!(credit_notes);

    fn created(&self) -> i64 {
        self.created
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        match name {
            "customer" => Some(view.is(Some(self.customer), wanted)),
            "invoice" => Some(view.is(Some(self.invoice), wanted)),
            _ => None,
        }
    }

    fn render(&self, view: &View<'_>) -> Value {
        let invoice = view.books.invoices.at(self.invoice);
        let nulls = [
            "customer_account",
            "customer_balance_transaction",
            "out_of_band_amount",
            "shipping_cost",
            "voided_at",
        ];
        let facts = json!({
            "created": self.created,
            "currency": self.currency.code(),
            "customer": view.id(self.customer),
            "effective_at": self.created,
            "id": &*self.id,
            "invoice": &*invoice.id,
            "livemode": view.livemode,
            "memo": "Sorry for the trouble — 申し訳ございません",
            "metadata": {},
            "number": self.number,
            "object": "credit_note",
            "pdf": format!("https://invoice.example.com/cn/{}/pdf", self.id),
            "reason": self.reason,
            "status": "issued",
        });
        assemble(&nulls, [facts, self.amounts(view, invoice)])
    }
}
