//! Payments: with an invoice, without one, authorized first.

use std::sync::Arc;

use super::banking::Movement;
use super::billing::Extra;
use super::business::{Business, DAY};
use super::charge::{Charge, Decline, Intent, Progress};
use super::customer::{Customer, Method};
use super::invoice::Reason;
use super::money::Currency;
use super::payout::Cause;
use super::person::Person;
use super::shelf::Handle;
use super::task::Task;

impl Business {
    /// One attempt at a payment: the charge, its money, and the intent's progress.
    pub(super) fn charge(
        &mut self,
        handle: Handle<Intent>,
        method: Handle<Method>,
        decline: Option<&'static Decline>,
    ) -> Handle<Charge> {
        let intent = self.at(handle);
        let captured = if decline.is_none() && !intent.manual { intent.amount } else { 0 };
        let mut charge = Charge {
            created: self.now,
            amount: intent.amount,
            captured,
            refunded: 0,
            currency: intent.currency,
            customer: intent.customer,
            intent: handle,
            invoice: intent.invoice,
            description: intent.description,
            person: Arc::clone(&self.at(method).person),
            method,
            decline,
            transaction: None,
            disputed: false,
            id: self.ids.next("ch_3", 23),
            risk: self.chance.between(1..=60),
            receipt_number: decline.is_none().then(|| {
                format!("{:04}-{:04}", self.chance.between(1000..=9999), self.chance.between(0..=9999))
            }),
        };
        if captured > 0 {
            let movement =
                Movement { cause: Cause::Charge, source: Arc::clone(&charge.id), amount: captured };
            charge.transaction = Some(self.book(movement, charge.currency));
        }
        let charge = self.add(charge, if decline.is_some() { "charge.failed" } else { "charge.succeeded" });
        self.advance_intent(handle, method, charge, decline);
        if captured > 0 {
            self.plan_regrets(charge);
        }
        charge
    }

    fn advance_intent(
        &mut self,
        handle: Handle<Intent>,
        method: Handle<Method>,
        charge: Handle<Charge>,
        decline: Option<&'static Decline>,
    ) {
        let (progress, name) = match (decline, self.at(handle).manual) {
            (Some(_), _) => (Progress::RequiresMethod, "payment_intent.payment_failed"),
            (None, true) => (Progress::RequiresCapture, "payment_intent.amount_capturable_updated"),
            (None, false) => (Progress::Succeeded, "payment_intent.succeeded"),
        };
        self.change(handle, &[name], |intent| {
            intent.method = Some(method);
            intent.latest_charge = Some(charge);
            intent.decline = decline;
            intent.progress = progress;
        });
    }

    /// Some payments are refunded, a few disputed.
    fn plan_regrets(&mut self, charge: Handle<Charge>) {
        match self.chance.between(0..=999) {
            0..=22 => {
                let days = self.chance.between(1..=25);
                self.plan_in_days(days, Task::Refund(charge));
            }
            23..=26 => {
                let days = self.chance.between(5..=40);
                self.plan_in_days(days, Task::Dispute(charge));
            }
            _ => {}
        }
    }

    /// A payment by nobody the books know: a workshop place, sometimes authorized first.
    pub(super) fn sell_to_guest(&mut self) -> Handle<Charge> {
        let currency = self.chance.pick(&[Currency::Usd, Currency::Eur, Currency::Jpy]);
        let number = 900_000 + u64::try_from(self.books.charges.len()).unwrap_or(0);
        let person = Person::new(&mut self.chance, currency, number);
        let method = self.card(None, person);
        let manual = self.chance.one_in_thousand(150);
        let amount = self.chance.between(20..=900) * 50;
        let intent = self.one_off(None, (amount, currency), manual);
        let charge = self.charge(intent, method, None);
        if manual {
            // Some are never captured, and lapse after a week.
            let days = if self.chance.one_in_thousand(700) { 1 } else { 7 };
            self.plan(self.now + days * DAY, Task::Capture(intent));
        }
        charge
    }

    /// A payment without invoice by a customer who has a card; by a guest when there is none.
    pub(super) fn sell_once(&mut self) -> Handle<Charge> {
        let buyer = self.somebody(|customer| customer.method.is_some());
        let Some((customer, method)) = buyer.and_then(|it| Some((it, self.at(it).method?))) else {
            return self.sell_to_guest();
        };
        let currency = self.at(customer).currency;
        let amount = self.chance.between(100..=9000) * 10;
        let intent = self.one_off(Some(customer), (amount, currency), false);
        self.charge(intent, method, None)
    }

    fn one_off(
        &mut self,
        customer: Option<Handle<Customer>>,
        (amount, currency): (i64, Currency),
        manual: bool,
    ) -> Handle<Intent> {
        let intent = Intent {
            id: self.ids.next("pi_3", 23),
            created: self.now,
            amount,
            currency,
            customer,
            method: None,
            invoice: None,
            description: "Workshop “Planning, 計画, Planung”",
            manual,
            progress: Progress::RequiresMethod,
            decline: None,
            latest_charge: None,
            canceled: None,
        };
        self.add(intent, "payment_intent.created")
    }

    /// An authorization is captured after a day; after a week it has lapsed.
    pub(super) fn capture(&mut self, handle: Handle<Intent>) {
        let intent = self.at(handle);
        let (Progress::RequiresCapture, Some(charge)) = (intent.progress, intent.latest_charge) else {
            return;
        };
        let (amount, now) = (intent.amount, self.now);
        if now - intent.created >= 7 * DAY {
            self.change(charge, &["charge.expired"], |charge| charge.refunded = amount);
            self.change(handle, &["payment_intent.canceled"], |intent| {
                intent.progress = Progress::Canceled;
                intent.canceled = Some((now, "automatic"));
            });
            return;
        }
        let source = Arc::clone(&self.at(charge).id);
        let movement = Movement { cause: Cause::Charge, source, amount };
        let transaction = self.book(movement, self.at(charge).currency);
        self.change(charge, &["charge.captured"], |charge| {
            charge.captured = amount;
            charge.transaction = Some(transaction);
        });
        self.change(handle, &["payment_intent.succeeded"], |intent| intent.progress = Progress::Succeeded);
    }

    /// A licence for a whole group of companies, invoiced and paid by transfer.
    pub(super) fn sell_licence(&mut self) {
        let Some(customer) = self.somebody(|_| true) else { return };
        let Some(price) = self.catalogue.licence(self.at(customer).currency) else { return };
        let extra = Extra {
            price,
            quantity: 1,
            amount: self.at(price).amount(1),
            description: "Group licence, perpetual — all subsidiaries".to_owned(),
            period: (self.now, self.now),
            proration: false,
        };
        let item = self.add_extra(customer, None, extra);
        let invoice = self.draw_up(customer, None, Reason::Manual, (Vec::new(), vec![item]));
        self.books.invoices.at_mut(invoice).by_invoice = true;
        self.finalize(invoice);
    }

    /// One of the newer customers that suits, if there is one.
    pub(super) fn somebody(&mut self, suits: impl Fn(&Customer) -> bool) -> Option<Handle<Customer>> {
        let count = self.books.customers.len();
        let first = self.chance.back(count);
        (0..count)
            .filter_map(|step| self.books.customers.newest((first + step) % count))
            .find(|handle| !self.at(*handle).deleted && suits(self.at(*handle)))
    }
}
