//! Invoices are paid, or not.

use super::business::{Business, DAY};
use super::charge::{DECLINES, Decline, Intent, Progress};
use super::invoice::{Invoice, InvoicePayment, Means, State};
use super::shelf::Handle;
use super::subscription::{Status, Subscription};
use super::task::Task;

/// Days until the next attempt, after the first, second and third; the fourth is the last.
const WAITS: [i64; 3] = [3, 5, 7];

impl Business {
    /// Tries to be paid for an open invoice with the customer's card.
    pub(super) fn collect(&mut self, handle: Handle<Invoice>) {
        let invoice = self.at(handle);
        if invoice.state != State::Open || invoice.remaining() <= 0 {
            return;
        }
        let customer = invoice.customer;
        if self.at(customer).deleted {
            return;
        }
        let method = match self.at(customer).method {
            Some(method) => method,
            None => self.attach_card(customer),
        };
        let intent = self.intent_for(handle);
        match self.luck(handle) {
            None => {
                self.charge(intent, method, None);
                self.note_paid(handle);
            }
            Some(decline) => {
                self.charge(intent, method, Some(decline));
                self.note_failure(handle);
            }
        }
    }

    /// Whether the card is declined this time.
    fn luck(&mut self, handle: Handle<Invoice>) -> Option<&'static Decline> {
        let invoice = self.at(handle);
        let faithful = self.at(invoice.customer).is_faithful();
        let per_mille = if invoice.attempts == 0 { 55 } else { 500 };
        let declined = self.chance.one_in_thousand(per_mille);
        let decline = self.chance.pick(&DECLINES);
        if !declined && self.at(handle).attempts > 0 && self.chance.one_in_thousand(600) {
            // It works because there is a new card.
            let customer = self.at(handle).customer;
            self.attach_card(customer);
        }
        (declined && !faithful).then_some(decline)
    }

    fn intent_for(&mut self, handle: Handle<Invoice>) -> Handle<Intent> {
        let invoice = self.at(handle);
        if let Some(intent) = invoice.intent {
            return intent;
        }
        let intent = Intent {
            id: std::sync::Arc::clone(&invoice.id),
            created: self.now,
            amount: invoice.remaining(),
            currency: invoice.currency,
            customer: Some(invoice.customer),
            method: None,
            invoice: Some(handle),
            description: invoice.reason.description(),
            manual: false,
            progress: Progress::RequiresMethod,
            decline: None,
            latest_charge: None,
            canceled: None,
        };
        let intent = Intent { id: self.ids.next("pi_3", 23), ..intent };
        let intent = self.add(intent, "payment_intent.created");
        let payment = self.payment(handle, Means::Intent(intent));
        self.change(handle, &["invoice.updated"], |invoice| {
            invoice.intent = Some(intent);
            invoice.payment = Some(payment);
        });
        intent
    }

    fn payment(&mut self, invoice: Handle<Invoice>, means: Means) -> Handle<InvoicePayment> {
        let payment = InvoicePayment {
            id: self.ids.next("inpay_1", 23),
            created: self.now,
            invoice,
            currency: self.at(invoice).currency,
            requested: self.at(invoice).remaining(),
            means,
            record: self.ids.next("prec_1", 23),
            paid: None,
            canceled: None,
        };
        self.books.invoice_payments.push(payment)
    }

    fn note_paid(&mut self, handle: Handle<Invoice>) {
        let now = self.now;
        if let Some(payment) = self.at(handle).payment {
            self.change(payment, &["invoice_payment.paid"], |payment| payment.paid = Some(now));
        }
        let receipt = format!("{:04}-{:04}", self.chance.between(1000..=9999), self.chance.between(0..=9999));
        self.change(handle, &["invoice.updated", "invoice.paid", "invoice.payment_succeeded"], |invoice| {
            invoice.attempts += 1;
            invoice.next_attempt = None;
            invoice.paid = invoice.due();
            invoice.state = State::Paid;
            invoice.transitions.paid = Some(now);
            invoice.receipt_number = Some(receipt);
        });
        self.restore(handle);
    }

    /// The subscription and the customer are in good standing again.
    fn restore(&mut self, handle: Handle<Invoice>) {
        let invoice = self.at(handle);
        let (customer, subscription) = (invoice.customer, invoice.subscription);
        if let Some(subscription) = subscription
            && matches!(self.at(subscription).status, Status::Incomplete | Status::PastDue)
        {
            self.change(subscription, &["customer.subscription.updated"], |it| it.status = Status::Active);
        }
        if self.at(customer).delinquent && !self.at(customer).deleted {
            self.change(customer, &["customer.updated"], |customer| customer.delinquent = false);
        }
    }

    fn note_failure(&mut self, handle: Handle<Invoice>) {
        let invoice = self.at(handle);
        let (customer, subscription) = (invoice.customer, invoice.subscription);
        let first = subscription.filter(|it| self.at(*it).status == Status::Incomplete);
        let attempt = usize::try_from(invoice.attempts).unwrap_or(0);
        let wait = WAITS.get(attempt).filter(|_| first.is_none()).map(|days| self.now + days * DAY);
        self.change(handle, &["invoice.updated", "invoice.payment_failed"], |invoice| {
            invoice.attempts += 1;
            invoice.next_attempt = wait;
        });
        if !self.at(customer).delinquent {
            self.change(customer, &["customer.updated"], |customer| customer.delinquent = true);
        }
        if let Some(subscription) = first {
            return self.wait_for_first_payment(handle, subscription);
        }
        if let Some(subscription) = subscription
            && self.at(subscription).status == Status::Active
        {
            self.change(subscription, &["customer.subscription.updated"], |it| it.status = Status::PastDue);
        }
        match wait {
            Some(at) => self.plan(at, Task::Collect(handle)),
            None => self.give_up(handle, subscription),
        }
    }

    /// Half of those whose first payment fails try once more within the hour; the others have a day.
    fn wait_for_first_payment(&mut self, invoice: Handle<Invoice>, subscription: Handle<Subscription>) {
        if self.at(invoice).attempts == 1 && self.chance.one_in_thousand(500) {
            let wait = self.chance.between(120..=3600);
            self.plan(self.now + wait, Task::Collect(invoice));
        }
        if self.at(invoice).attempts == 1 {
            self.plan(self.at(subscription).created + 23 * 3600, Task::Expire(subscription));
        }
    }

    /// The last attempt has failed.
    fn give_up(&mut self, handle: Handle<Invoice>, subscription: Option<Handle<Subscription>>) {
        let now = self.now;
        if self.chance.one_in_thousand(700) {
            self.change(handle, &["invoice.updated", "invoice.marked_uncollectible"], |invoice| {
                invoice.state = State::Uncollectible;
                invoice.transitions.uncollectible = Some(now);
            });
        }
        if let Some(subscription) = subscription {
            self.cancel_now(subscription, "payment_failed");
        }
    }

    /// The invoice comes to nothing, or the customer's balance covers it.
    pub(super) fn settle_for_nothing(&mut self, handle: Handle<Invoice>) {
        let now = self.now;
        self.change(handle, &["invoice.updated", "invoice.paid", "invoice.payment_succeeded"], |invoice| {
            invoice.state = State::Paid;
            invoice.transitions.paid = Some(now);
        });
        self.restore(handle);
    }

    /// Takes an open invoice back: it will not be collected. What it used up of the customer's balance is theirs again
    /// (<https://docs.stripe.com/changelog/2019-12-03/customer-balances-returned-voided-invoices>).
    pub(super) fn void(&mut self, handle: Handle<Invoice>) {
        if self.at(handle).state != State::Open {
            return;
        }
        let now = self.now;
        self.change(handle, &["invoice.updated", "invoice.voided"], |invoice| {
            invoice.state = State::Void;
            invoice.transitions.voided = Some(now);
            invoice.next_attempt = None;
        });
        if let Some(intent) = self.at(handle).intent {
            self.change(intent, &["payment_intent.canceled"], |intent| {
                intent.progress = Progress::Canceled;
                intent.canceled = Some((now, "void_invoice"));
            });
        }
        if let Some(payment) = self.at(handle).payment {
            self.books.invoice_payments.at_mut(payment).canceled = Some(now);
        }
        let Invoice { customer, starting_balance, ending_balance, .. } = *self.at(handle);
        let used = ending_balance.map_or(0, |ending| starting_balance - ending);
        if used != 0 && !self.at(customer).deleted {
            self.change(customer, &["customer.updated"], |customer| customer.balance += used);
        }
    }

    /// Sends the invoice to a customer who pays by transfer, sooner or later or never.
    pub(super) fn send(&mut self, handle: Handle<Invoice>) {
        self.tell("invoice.sent", handle);
        self.plan_in_days(30, Task::Overdue(handle));
        if self.chance.one_in_thousand(120) {
            self.plan_in_days(4, Task::CreditOpen(handle));
        }
        if self.chance.one_in_thousand(940) {
            let days = self.chance.between(9..=48);
            self.plan_in_days(days, Task::Transfer(handle));
        }
    }

    pub(super) fn note_overdue(&mut self, handle: Handle<Invoice>) {
        if self.at(handle).state == State::Open {
            self.tell("invoice.overdue", handle);
        }
    }

    /// The money came by bank transfer, past Stripe.
    pub(super) fn pay_past_stripe(&mut self, handle: Handle<Invoice>) {
        if self.at(handle).state != State::Open {
            return;
        }
        let now = self.now;
        let payment = self.payment(handle, Means::OutOfBand);
        self.change(payment, &["invoice_payment.paid"], |payment| payment.paid = Some(now));
        self.change(handle, &["invoice.updated", "invoice.paid", "invoice.payment_succeeded"], |invoice| {
            invoice.paid = invoice.due();
            invoice.paid_off_stripe = invoice.paid;
            invoice.state = State::Paid;
            invoice.payment = Some(payment);
            invoice.transitions.paid = Some(now);
        });
        self.restore(handle);
    }
}
