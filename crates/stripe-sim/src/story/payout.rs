//! The balance: every movement of money, and what went to the bank.

use serde_json::{Value, json};

use super::books::{View, assemble, stands_on};
use super::money::Currency;
use super::shelf::{Handle, Id, Record};

/// What moved money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Charge,
    Refund,
    RefundFailure,
    Dispute,
    DisputeReversal,
    Payout,
    PayoutFailure,
    StripeFee,
}

/// A balance transaction.
pub(super) struct Transaction {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) available: i64,
    pub(super) currency: Currency,
    pub(super) amount: i64,
    pub(super) fee: i64,
    pub(super) rate: Option<Value>,
    pub(super) cause: Cause,
    /// The id of what caused it.
    pub(super) source: Option<Id>,
    /// The payout that took it to the bank.
    pub(super) payout: Option<Handle<Payout>>,
}

impl Transaction {
    pub(super) fn net(&self) -> i64 {
        self.amount - self.fee
    }

    /// Type, category and words.
    fn labels(&self) -> (&'static str, &'static str, &'static str) {
        match self.cause {
            Cause::Charge => ("charge", "charge", "Payment"),
            Cause::Refund => ("refund", "refund", "REFUND FOR PAYMENT"),
            Cause::RefundFailure => ("refund_failure", "refund_failure", "REFUND FAILURE"),
            Cause::Dispute => ("adjustment", "dispute", "Chargeback withdrawal"),
            Cause::DisputeReversal => ("adjustment", "dispute_reversal", "Chargeback reversal"),
            Cause::Payout => ("payout", "payout", "STRIPE PAYOUT"),
            Cause::PayoutFailure => ("payout_failure", "payout_reversal", "STRIPE PAYOUT FAILURE"),
            Cause::StripeFee => ("stripe_fee", "fee", "Billing - Usage Fee"),
        }
    }
}

/// Where a payout is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Journey {
    InTransit,
    Paid,
    Failed,
}

/// A payout.
pub(super) struct Payout {
    pub(super) id: Id,
    pub(super) created: i64,
    pub(super) arrival: i64,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) journey: Journey,
    pub(super) transaction: Handle<Transaction>,
    pub(super) failure: Option<Handle<Transaction>>,
}

impl Record for Transaction {
    stands_on!(transactions);

    fn created(&self) -> i64 {
        self.created
    }

    fn passes(&self, view: &View<'_>, name: &str, wanted: &str) -> Option<bool> {
        match name {
            "payout" => Some(view.is(self.payout, wanted)),
            "source" => Some(self.source.as_deref() == Some(wanted)),
            "type" => Some(self.labels().0 == wanted),
            "currency" => Some(self.currency.code() == wanted),
            _ => None,
        }
    }

    fn render(&self, view: &View<'_>) -> Value {
        let (kind, category, description) = self.labels();
        let fees: Vec<Value> = (self.fee != 0)
            .then(|| {
                json!({
                    "amount": self.fee,
                    "application": null,
                    "currency": self.currency.code(),
                    "description": if category == "dispute" { "Dispute fee" } else { "Stripe processing fees" },
                    "type": "stripe_fee",
                })
            })
            .into_iter()
            .collect();
        json!({
            "amount": self.amount,
            "available_on": self.available,
            "balance_type": "payments",
            "created": self.created,
            "currency": self.currency.code(),
            "description": description,
            "exchange_rate": self.rate,
            "fee": self.fee,
            "fee_details": fees,
            "id": &*self.id,
            "net": self.net(),
            "object": "balance_transaction",
            "reporting_category": category,
            "source": self.source.as_deref(),
            "status": if self.available <= view.now { "available" } else { "pending" },
            "type": kind,
        })
    }
}

impl Record for Payout {
    stands_on!(payouts);

    fn created(&self) -> i64 {
        self.created
    }

    fn render(&self, view: &View<'_>) -> Value {
        let nulls = [
            "application_fee",
            "application_fee_amount",
            "original_payout",
            "payout_method",
            "reversed_by",
            "statement_descriptor",
        ];
        let failed = self.journey == Journey::Failed;
        let status = match self.journey {
            Journey::InTransit => "in_transit",
            Journey::Paid => "paid",
            Journey::Failed => "failed",
        };
        let destination = match self.currency {
            Currency::Eur => "ba_1NvA0eurT6yHn3KdWq8RzXcJ",
            Currency::Jpy => "ba_1NvA0jpyM2bVf7SpLg4UoEtA",
            Currency::Usd | Currency::Kwd | Currency::Idr => "ba_1NvA0usdC9iQk5ZxYj1GmDrN",
        };
        let facts = json!({
            "amount": self.amount,
            "arrival_date": self.arrival,
            "automatic": true,
            "balance_transaction": view.id(self.transaction),
            "created": self.created,
            "currency": self.currency.code(),
            "description": "STRIPE PAYOUT",
            "destination": destination,
            "failure_balance_transaction": view.id_or_null(self.failure),
            "failure_code": failed.then_some("account_closed"),
            "failure_message": failed.then_some("The bank account has been closed"),
            "id": &*self.id,
            "livemode": view.livemode,
            "metadata": {},
            "method": "standard",
            "object": "payout",
            "reconciliation_status": "completed",
            "source_type": "card",
            "status": status,
            "trace_id": { "status": "pending", "value": null },
            "type": "bank_account",
        });
        assemble(&nulls, [facts])
    }
}
