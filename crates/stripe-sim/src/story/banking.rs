//! The balance and the bank: every movement is booked, and payouts take what is available.

use std::sync::Arc;

use super::business::{Business, DAY};
use super::money::{Currency, Settled};
use super::payout::{Cause, Journey, Payout, Transaction};
use super::shelf::{Handle, Id};
use super::task::Task;

/// Money that moves: in the currency of what moves it.
pub(super) struct Movement {
    pub(super) cause: Cause,
    pub(super) source: Id,
    pub(super) amount: i64,
}

impl Business {
    /// Books a movement in the currency of settlement, with its fee.
    pub(super) fn book(&mut self, movement: Movement, currency: Currency) -> Handle<Transaction> {
        let Settled { amount, currency: settled, rate } = currency.settle(movement.amount);
        let fee = match movement.cause {
            Cause::Charge => currency.fee(amount),
            Cause::Dispute => currency.dispute_fee(),
            Cause::Refund
            | Cause::RefundFailure
            | Cause::DisputeReversal
            | Cause::Payout
            | Cause::PayoutFailure
            | Cause::StripeFee => 0,
        };
        let id = self.ids.next("txn_3", 23);
        let transaction = Transaction {
            id,
            created: self.now,
            available: self.available_on(movement.cause, settled),
            currency: settled,
            amount,
            fee,
            rate,
            cause: movement.cause,
            source: Some(movement.source),
            payout: None,
        };
        let handle = self.books.transactions.push(transaction);
        if movement.cause != Cause::Payout {
            self.waiting.push(handle);
        }
        handle
    }

    /// Payments wait two days, in yen four; the rest counts at once.
    fn available_on(&self, cause: Cause, currency: Currency) -> i64 {
        let midnight = self.now - self.now.rem_euclid(DAY);
        match (cause, currency) {
            (Cause::Charge, Currency::Jpy) => midnight + 4 * DAY,
            (Cause::Charge, Currency::Usd | Currency::Eur | Currency::Kwd | Currency::Idr) => {
                midnight + 2 * DAY
            }
            (
                Cause::Refund
                | Cause::RefundFailure
                | Cause::Dispute
                | Cause::DisputeReversal
                | Cause::Payout
                | Cause::PayoutFailure
                | Cause::StripeFee,
                _,
            ) => self.now,
        }
    }

    /// Stripe's own bill for a month of invoicing.
    pub(super) fn charge_billing_fee(&mut self) {
        let amount = -(500 + i64::try_from(self.books.subscriptions.len()).unwrap_or(0) * 7);
        let transaction = Transaction {
            id: self.ids.next("txn_1", 23),
            created: self.now,
            available: self.now,
            currency: Currency::Usd,
            amount,
            fee: 0,
            rate: None,
            cause: Cause::StripeFee,
            source: None,
            payout: None,
        };
        let handle = self.books.transactions.push(transaction);
        self.waiting.push(handle);
    }

    /// One payout for each currency that has something to pay out.
    pub(super) fn pay_out(&mut self) {
        for currency in Currency::SETTLED {
            let due = self.due_for_payout(currency);
            let amount: i64 = due.iter().map(|transaction| self.at(*transaction).net()).sum();
            if amount > 0 {
                self.send_to_bank(currency, amount, &due);
            }
        }
    }

    /// Takes what is available in a currency from what waits for a payout.
    fn due_for_payout(&self, currency: Currency) -> Vec<Handle<Transaction>> {
        let due = |handle: &Handle<Transaction>| {
            let transaction = self.at(*handle);
            transaction.currency == currency && transaction.available <= self.now
        };
        self.waiting.iter().copied().filter(due).collect()
    }

    fn send_to_bank(&mut self, currency: Currency, amount: i64, due: &[Handle<Transaction>]) {
        let id = self.ids.next("po_1", 23);
        let movement = Movement { cause: Cause::Payout, source: Arc::clone(&id), amount: -amount };
        let transaction = self.book(movement, currency);
        let arrival = self.now - self.now.rem_euclid(DAY) + 2 * DAY;
        let payout = Payout {
            id,
            created: self.now,
            arrival,
            amount,
            currency,
            journey: Journey::InTransit,
            transaction,
            failure: None,
        };
        let payout = self.add(payout, "payout.created");
        for &member in due.iter().chain([&transaction]) {
            self.books.transactions.at_mut(member).payout = Some(payout);
        }
        let transactions = &self.books.transactions;
        self.waiting.retain(|waiting| transactions.at(*waiting).payout.is_none());
        self.tell("payout.reconciliation_completed", payout);
        self.plan(arrival + 3600, Task::ArriveAtBank(payout));
    }

    /// The payout is at the bank; a rare one comes back.
    pub(super) fn arrive_at_bank(&mut self, handle: Handle<Payout>) {
        if !self.chance.one_in_thousand(8) {
            self.change(handle, &["payout.updated", "payout.paid"], |payout| payout.journey = Journey::Paid);
            return;
        }
        let Payout { amount, currency, .. } = *self.at(handle);
        let source = Arc::clone(&self.at(handle).id);
        let failure = self.book(Movement { cause: Cause::PayoutFailure, source, amount }, currency);
        self.change(handle, &["payout.updated", "payout.failed"], |payout| {
            payout.journey = Journey::Failed;
            payout.failure = Some(failure);
        });
    }
}
