//! Money goes back: refunds, credit notes, disputes.

use std::sync::Arc;

use super::banking::Movement;
use super::business::{Business, DAY};
use super::charge::Charge;
use super::credit::{CreditNote, Dispute, Refund, Stage};
use super::invoice::{Invoice, State};
use super::payout::Cause;
use super::shelf::Handle;
use super::task::Task;

impl Business {
    /// Gives back a payment, or part of it; with a credit note if the invoice calls for one.
    pub(super) fn refund(&mut self, handle: Handle<Charge>) {
        let charge = self.at(handle);
        let left = charge.captured - charge.refunded;
        if left <= 0 || charge.disputed {
            return;
        }
        let (currency, invoice) = (charge.currency, charge.invoice);
        let id = self.ids.next("re_3", 23);
        let amount = if self.chance.one_in_thousand(600) {
            left
        } else {
            (left * self.chance.between(10..=80) / 100).max(1)
        };
        let movement = Movement { cause: Cause::Refund, source: Arc::clone(&id), amount: -amount };
        let refund = Refund {
            id,
            created: self.now,
            amount,
            currency,
            charge: handle,
            reason: self.chance.pick(&[None, Some("requested_by_customer"), Some("duplicate")]),
            transaction: self.book(movement, currency),
            failure: None,
            receipt_number: format!(
                "{:04}-{:04}",
                self.chance.between(1000..=9999),
                self.chance.between(0..=9999)
            ),
        };
        let refund = self.add(refund, "refund.created");
        self.change(handle, &["charge.refunded"], |charge| charge.refunded += amount);
        match self.chance.between(0..=99) {
            0..=1 => self.plan(self.now + 3 * DAY, Task::FailRefund(refund)),
            2..=39 => self.credit_refund(refund, invoice),
            40..=54 => self.plan_in_days(6, Task::Refund(handle)),
            _ => {}
        }
    }

    /// The bank could not deliver it: the money is back.
    pub(super) fn fail_refund(&mut self, handle: Handle<Refund>) {
        let Refund { amount, currency, charge, .. } = *self.at(handle);
        let source = Arc::clone(&self.at(handle).id);
        let failure = self.book(Movement { cause: Cause::RefundFailure, source, amount }, currency);
        self.change(handle, &["refund.updated", "refund.failed"], |refund| refund.failure = Some(failure));
        self.change(charge, &["charge.updated"], |charge| charge.refunded -= amount);
    }

    fn credit_refund(&mut self, refund: Handle<Refund>, invoice: Option<Handle<Invoice>>) {
        let Some(invoice) = invoice.filter(|invoice| self.at(*invoice).state == State::Paid) else { return };
        let amount = self.at(refund).amount;
        self.write_credit_note(invoice, amount, Some(refund));
        self.change(invoice, &["invoice.updated"], |invoice| invoice.credited_after += amount);
    }

    /// Lowers an invoice that is not paid yet.
    pub(super) fn credit_open_invoice(&mut self, handle: Handle<Invoice>) {
        let invoice = self.at(handle);
        if invoice.state != State::Open || invoice.remaining() < 10 {
            return;
        }
        let amount = invoice.remaining() / 5;
        self.write_credit_note(handle, amount, None);
        self.change(handle, &["invoice.updated"], |invoice| invoice.credited_before += amount);
    }

    fn write_credit_note(&mut self, invoice: Handle<Invoice>, amount: i64, refund: Option<Handle<Refund>>) {
        let credited = self.at(invoice);
        let (customer, currency) = (credited.customer, credited.currency);
        let number = format!("{}-CN-01", credited.number.as_deref().unwrap_or("DRAFT"));
        let note = CreditNote {
            id: self.ids.next("cn_1", 23),
            created: self.now,
            invoice,
            customer,
            currency,
            number,
            line: self.ids.next("cnli_1", 23),
            amount,
            refund,
            reason: self.chance.pick(&["order_change", "product_unsatisfactory", "duplicate"]),
        };
        self.add(note, "credit_note.created");
    }

    /// The cardholder objects: the money is withdrawn until it is decided.
    pub(super) fn dispute(&mut self, handle: Handle<Charge>) {
        let charge = self.at(handle);
        if charge.refunded > 0 || charge.disputed || charge.captured == 0 {
            return;
        }
        let (amount, currency) = (charge.captured, charge.currency);
        let id = self.ids.next("dp_1", 23);
        let movement = Movement { cause: Cause::Dispute, source: Arc::clone(&id), amount: -amount };
        let transaction = self.book(movement, currency);
        let dispute = Dispute {
            id,
            created: self.now,
            amount,
            currency,
            charge: handle,
            reason: self.chance.pick(&["fraudulent", "product_not_received", "general"]),
            stage: Stage::NeedsResponse,
            transactions: vec![transaction],
        };
        self.change(handle, &["charge.updated"], |charge| charge.disputed = true);
        let dispute = self.add(dispute, "charge.dispute.created");
        self.tell("charge.dispute.funds_withdrawn", dispute);
        if self.chance.one_in_thousand(800) {
            self.plan_in_days(4, Task::Answer(dispute));
        }
        self.plan(self.now + 45 * DAY, Task::Decide(dispute));
    }

    pub(super) fn answer(&mut self, handle: Handle<Dispute>) {
        self.change(handle, &["charge.dispute.updated"], |dispute| dispute.stage = Stage::UnderReview);
    }

    /// Who has not answered has lost.
    pub(super) fn decide(&mut self, handle: Handle<Dispute>) {
        let Dispute { amount, currency, stage, .. } = *self.at(handle);
        if stage != Stage::UnderReview || !self.chance.one_in_thousand(450) {
            self.change(handle, &["charge.dispute.closed"], |dispute| dispute.stage = Stage::Lost);
            return;
        }
        let source = Arc::clone(&self.at(handle).id);
        let back = self.book(Movement { cause: Cause::DisputeReversal, source, amount }, currency);
        self.change(handle, &["charge.dispute.funds_reinstated", "charge.dispute.closed"], |dispute| {
            dispute.stage = Stage::Won;
            dispute.transactions.push(back);
        });
    }
}
