//! What is planned, and who does it.

use super::business::{Business, DAY};
use super::charge::{Charge, Intent};
use super::coupon::{Coupon, Discount};
use super::credit::{Dispute, Refund};
use super::customer::Customer;
use super::invoice::Invoice;
use super::payout::Payout;
use super::shelf::Handle;
use super::subscription::Subscription;

/// Something to be done at a second. Each looks whether it still applies.
#[derive(Clone, Copy)]
pub(super) enum Task {
    /// The first second of the business.
    Open,
    /// A new day.
    Day,
    RetireCoupon(Handle<Coupon>),
    DeleteCoupon(Handle<Coupon>),
    EndDiscount(Handle<Discount>),
    Arrive,
    /// Arrives and subscribes at once, as sales has agreed.
    Import,
    Subscribe(Handle<Customer>),
    Guest,
    Leave(Handle<Customer>),
    TrialWillEnd(Handle<Subscription>),
    /// The period that ends at this second is over.
    Renew(Handle<Subscription>, i64),
    /// A month in the life of a subscription.
    Month(Handle<Subscription>),
    Expire(Handle<Subscription>),
    Resume(Handle<Subscription>),
    Finalize(Handle<Invoice>),
    /// Another attempt to be paid.
    Collect(Handle<Invoice>),
    /// The customer pays past Stripe.
    Transfer(Handle<Invoice>),
    Overdue(Handle<Invoice>),
    CreditOpen(Handle<Invoice>),
    Refund(Handle<Charge>),
    FailRefund(Handle<Refund>),
    Dispute(Handle<Charge>),
    Answer(Handle<Dispute>),
    Decide(Handle<Dispute>),
    Capture(Handle<Intent>),
    PayOut,
    ArriveAtBank(Handle<Payout>),
    SellLicence,
}

impl Business {
    pub(super) fn perform(&mut self, task: Task) {
        match task {
            Task::Open => self.open(),
            Task::Day => self.begin_day(),
            Task::RetireCoupon(coupon) => self.retire_coupon(coupon),
            Task::DeleteCoupon(coupon) => self.ask(|it| it.delete_coupon(coupon)),
            Task::EndDiscount(discount) => self.end_discount(discount),
            Task::Arrive => self.ask(|it| {
                let wait = it.chance.between(0..=2 * DAY);
                it.arrive(wait);
            }),
            Task::Import => self.ask(|it| {
                it.arrive(0);
            }),
            Task::Subscribe(customer) => self.ask(|it| it.subscribe(customer)),
            Task::Guest => self.ask(|it| {
                it.sell_to_guest();
            }),
            Task::Leave(customer) => self.ask(|it| it.remove_customer(customer)),
            Task::TrialWillEnd(subscription) => self.announce_trial_end(subscription),
            Task::Renew(subscription, end) => self.renew(subscription, end),
            Task::Month(subscription) => self.live_a_month(subscription),
            Task::Expire(subscription) => self.expire(subscription),
            Task::Resume(subscription) => self.ask(|it| it.resume(subscription)),
            Task::Finalize(invoice) => self.finalize(invoice),
            Task::Collect(invoice) => self.collect(invoice),
            Task::Transfer(invoice) => self.ask(|it| it.pay_past_stripe(invoice)),
            Task::Overdue(invoice) => self.note_overdue(invoice),
            Task::CreditOpen(invoice) => self.ask(|it| it.credit_open_invoice(invoice)),
            Task::Refund(charge) => self.ask(|it| it.refund(charge)),
            Task::FailRefund(refund) => self.fail_refund(refund),
            Task::Dispute(charge) => self.dispute(charge),
            Task::Answer(dispute) => self.ask(|it| it.answer(dispute)),
            Task::Decide(dispute) => self.decide(dispute),
            Task::Capture(intent) => self.capture(intent),
            Task::PayOut => self.pay_out(),
            Task::ArriveAtBank(payout) => self.arrive_at_bank(payout),
            Task::SellLicence => self.ask(Self::sell_licence),
        }
    }

    fn open(&mut self) {
        self.ask(Self::open_catalogue);
        self.ask(Self::launch_coupon);
        self.begin_day();
    }

    /// Plans the day: who comes, what is due, and the next day.
    fn begin_day(&mut self) {
        let day = (self.now - self.began) / DAY;
        self.plan(self.now + DAY, Task::Day);
        self.plan_arrivals(day);
        self.plan_guests(day);
        if day % 7 != 5 && day % 7 != 6 {
            self.plan(self.now + 7200, Task::PayOut);
        }
        match day % 91 {
            45 => self.ask(Self::launch_coupon),
            60 => self.plan_in_days(0, Task::SellLicence),
            _ => {}
        }
        if day % 30 == 1 && day > 1 {
            self.charge_billing_fee();
        }
        if day == 365 {
            self.ask(Self::raise_prices);
        }
    }

    /// How many customers have come by the end of `day`: each day brings a little more than the day before.
    fn arrivals_through(&self, day: i64) -> i64 {
        let (days, customers) = (self.spec.days().max(1), i64::from(self.spec.customers));
        customers * day * (days + day) / (2 * days * days)
    }

    /// Plans the week's arrivals on its first day; sometimes sales imports a few of them in one second.
    fn plan_arrivals(&mut self, day: i64) {
        if day % 7 != 0 {
            return;
        }
        let week = 7 * DAY;
        let count = self.arrivals_through(day + 7) - self.arrivals_through(day);
        let together = self.chance.one_in_thousand(300).then(|| self.chance.between(0..=week - 1));
        for number in 0..count {
            let alone = self.chance.between(0..=week - 1);
            match together.filter(|_| number < 4) {
                Some(second) => self.plan(self.now + second, Task::Import),
                None => self.plan(self.now + alone, Task::Arrive),
            }
        }
    }

    fn plan_guests(&mut self, day: i64) {
        let most = i64::from(self.spec.customers) / 500 + i64::from(day % 5 == 0);
        for _ in 0..self.chance.between(0..=most) {
            let second = self.chance.between(0..=DAY - 1);
            self.plan(self.now + second, Task::Guest);
        }
    }
}
