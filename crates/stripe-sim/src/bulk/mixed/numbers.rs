//! Which objects there are, in what order, and how they belong together: arithmetic on numbers, held in no memory.
//!
//! The business has lived for 24 equal months. As many customers come in each; each subscribes, is billed once a month
//! as long as it stays, and leaves after 18. Numbers of a kind are in the order of `created`, which makes lists, cursors and
//! bounds in time a search over numbers.

use std::ops::Range;

use super::kind::Kind;
use super::{DAY, START};

/// How long the business has lived.
const MONTHS: u64 = 24;
/// Seconds.
pub(super) const MONTH: u64 = 730 * DAY / MONTHS;
/// How many months a customer stays.
const STAY: u64 = 18;
/// Products that are subscribed to by the month; one more is sold by the hour.
pub(super) const PLANS: u64 = 15;
/// What is sold in dollars and in euros.
pub(super) const CURRENCIES: u64 = 2;
/// Subscription items that a customer has at most, and lines of an invoice: ids have room for so many.
pub(super) const ROOM: u64 = 16;
/// Events of one billing.
pub(super) const EVENTS: u64 = 3;
/// Of so many billings one is not paid, the last of them.
const UNPAID: u64 = 96;
/// Of so many billings one takes two charges, the eighth of them.
const RETRIED: (u64, u64) = (20, 7);
/// Of so many billings one is refunded, the sixth of them. It is never one that is not paid.
const REFUNDED: (u64, u64) = (32, 5);
/// Of so many billings one has an invoice item, the fourth of them.
const ITEMIZED: (u64, u64) = (16, 3);

/// How large a mixed world is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    /// Customers who come in a month.
    pub(super) monthly: u64,
}

/// What a balance transaction is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Booking {
    /// The charge that paid this billing.
    Charge(u64),
    /// The refund of this number.
    Refund(u64),
    /// The payout of this number.
    Payout(u64),
}

/// How many numbers below `end` leave this remainder.
fn count_of((divisor, remainder): (u64, u64), end: u64) -> u64 {
    (end + divisor - 1 - remainder) / divisor
}

/// Months of billing before a month, one for each that a customer of every month is billed.
fn billed_before(month: u64) -> u64 {
    let young = month.min(STAY);
    young * (young + 1) / 2 + (month - young) * STAY
}

/// The smallest number for which `is_past` holds, or the end: it holds for all above one for which it does.
pub(super) fn first(range: Range<u64>, is_past: impl Fn(u64) -> bool) -> u64 {
    let Range { mut start, mut end } = range;
    while start < end {
        let middle = start + (end - start) / 2;
        if is_past(middle) {
            end = middle;
        } else {
            start = middle + 1;
        }
    }
    start
}

impl Numbers {
    /// The numbers of a world that has about so many objects, nested ones beside.
    pub(super) fn about(objects: u64) -> Self {
        let monthly = first(1..objects / 1_000 + 2, |monthly| Self { monthly }.objects() > objects);
        Self { monthly: (monthly - 1).max(1) }
    }

    /// Objects of all kinds that have a list of their own.
    fn objects(self) -> u64 {
        let kinds = Kind::names().into_iter().filter_map(Kind::parse);
        kinds.filter(|kind| !kind.is_nested()).map(|kind| self.count(kind)).sum()
    }

    /// How many there are of a kind; of nested ones, how many numbers may be one.
    pub(super) fn count(self, kind: Kind) -> u64 {
        match kind {
            Kind::Customer | Kind::Subscription => self.customers(),
            Kind::PaymentMethod => self.customers() / 4 * 5,
            Kind::Product => PLANS + 1,
            Kind::Price => (PLANS + 1) * CURRENCIES,
            Kind::Plan => PLANS * CURRENCIES,
            Kind::SubscriptionItem => self.customers() * ROOM,
            Kind::Invoice | Kind::InvoicePayment | Kind::PaymentIntent => self.billings(),
            Kind::LineItem => self.billings() * ROOM,
            Kind::InvoiceItem => count_of(ITEMIZED, self.billings()),
            Kind::Charge => self.charges_before(self.billings()),
            Kind::Refund => self.refunds_before(self.billings()),
            Kind::BalanceTransaction => {
                self.booked_before(self.billings()) + self.payouts() - self.paid_out(self.billings() - 1)
            }
            Kind::Payout => self.payouts(),
            Kind::Event => (self.billings() - self.first_told()) * EVENTS,
        }
    }

    fn customers(self) -> u64 {
        MONTHS * self.monthly
    }

    pub(super) fn billings(self) -> u64 {
        self.monthly * billed_before(MONTHS)
    }

    /// When a customer came: seconds after the start.
    pub(super) fn came(self, customer: u64) -> u64 {
        let (month, place) = (customer / self.monthly, customer % self.monthly);
        month * MONTH + place * MONTH / self.monthly
    }

    /// The customer's first month, and the last that it is billed in.
    pub(super) fn stay(self, customer: u64) -> (u64, u64) {
        let came = customer / self.monthly;
        (came, (came + STAY).min(MONTHS) - 1)
    }

    /// Whether the customer has left.
    pub(super) fn has_left(self, customer: u64) -> bool {
        self.stay(customer).1 + 1 < MONTHS
    }

    /// How many customers have left: the first ones.
    pub(super) fn left(self) -> u64 {
        self.monthly * (MONTHS - STAY)
    }

    /// The month of a billing, and its place among those of the month.
    fn month_of(self, billing: u64) -> (u64, u64) {
        let month =
            (0..MONTHS).rev().find(|month| self.monthly * billed_before(*month) <= billing).unwrap_or(0);
        (month, billing - self.monthly * billed_before(month))
    }

    /// The first customer who is billed in a month, and how many are.
    fn billed_in(self, month: u64) -> (u64, u64) {
        let left = (month + 1).saturating_sub(STAY);
        (left * self.monthly, (month + 1 - left) * self.monthly)
    }

    /// Whom a billing is of, and the how-manieth of theirs it is, from 1.
    pub(super) fn billed(self, billing: u64) -> (u64, u64) {
        let (month, place) = self.month_of(billing);
        let customer = self.billed_in(month).0 + place;
        (customer, month + 1 - customer / self.monthly)
    }

    /// The customer's billing in a month in which it is billed.
    pub(super) fn billing(self, customer: u64, month: u64) -> u64 {
        self.monthly * billed_before(month) + customer - self.billed_in(month).0
    }

    /// When a billing was: seconds after the start. No customer is billed before it came.
    pub(super) fn at(self, billing: u64) -> u64 {
        let (month, place) = self.month_of(billing);
        month * MONTH + place * MONTH / self.billed_in(month).1
    }

    pub(super) fn is_paid(self, billing: u64) -> bool {
        billing % UNPAID != UNPAID - 1
    }

    fn paid_before(self, billing: u64) -> u64 {
        billing - billing / UNPAID
    }

    /// The invoice item that a billing has.
    pub(super) fn item_of(self, billing: u64) -> Option<u64> {
        (billing % ITEMIZED.0 == ITEMIZED.1).then_some(billing / ITEMIZED.0)
    }

    /// Charges of the billings before this one.
    fn charges_before(self, billing: u64) -> u64 {
        billing + count_of(RETRIED, billing)
    }

    /// The last charge of a billing.
    pub(super) fn charge_of(self, billing: u64) -> u64 {
        self.charges_before(billing + 1) - 1
    }

    /// The billing of a charge.
    fn charged(self, charge: u64) -> u64 {
        let (group, place) = (charge / (RETRIED.0 + 1), charge % (RETRIED.0 + 1));
        group * RETRIED.0 + if place > RETRIED.1 { place - 1 } else { place }
    }

    /// The refund of a billing, if there has been one.
    pub(super) fn refund_of(self, billing: u64) -> Option<u64> {
        let refunded = billing % REFUNDED.0 == REFUNDED.1 && billing + self.monthly < self.billings();
        refunded.then_some(billing / REFUNDED.0)
    }

    /// The billing of a refund.
    pub(super) fn refunded(self, refund: u64) -> u64 {
        refund * REFUNDED.0 + REFUNDED.1
    }

    /// Refunds made before this billing: one is made together with a later billing.
    fn refunds_before(self, billing: u64) -> u64 {
        count_of(REFUNDED, billing.saturating_sub(self.monthly))
    }

    /// The refund that is made together with a billing.
    pub(super) fn refund_at(self, billing: u64) -> Option<u64> {
        self.refund_of(billing.checked_sub(self.monthly)?)
    }

    /// Seconds from one payout to the next: a day, or a month where little is sold.
    pub(super) fn payout_every(self) -> u64 {
        if self.monthly < 40 { MONTH } else { DAY }
    }

    fn payouts(self) -> u64 {
        MONTHS * MONTH / self.payout_every() - 1
    }

    /// Payouts until a billing.
    fn paid_out(self, billing: u64) -> u64 {
        if billing == self.billings() { self.payouts() } else { self.at(billing) / self.payout_every() }
    }

    /// The billings whose money a payout pays out.
    pub(super) fn paid_by(self, payout: u64) -> Range<u64> {
        self.first_billing(payout * self.payout_every())
            ..self.first_billing((payout + 1) * self.payout_every())
    }

    /// The first billing so many seconds after the start.
    fn first_billing(self, at: u64) -> u64 {
        first(0..self.billings(), |billing| self.at(billing) >= at)
    }

    /// Balance transactions booked by the time of the billing before this one.
    fn booked_before(self, billing: u64) -> u64 {
        let paid_out = if billing == 0 { 0 } else { self.paid_out(billing - 1) };
        self.paid_before(billing) + self.refunds_before(billing) + paid_out
    }

    /// Payouts between a billing and the one before: their number, and the first of them.
    fn payouts_at(self, billing: u64) -> (u64, u64) {
        let before = if billing == 0 { 0 } else { self.paid_out(billing - 1) };
        (self.paid_out(billing) - before, before)
    }

    /// What a balance transaction is about.
    pub(super) fn booking(self, transaction: u64) -> Booking {
        let billing = first(0..self.billings(), |billing| self.booked_before(billing + 1) > transaction);
        let place = transaction - self.booked_before(billing);
        let (payouts, before) = self.payouts_at(billing);
        match (place.checked_sub(payouts), self.refund_at(billing)) {
            (None, _) => Booking::Payout(before + place),
            (Some(1..), Some(refund)) => Booking::Refund(refund),
            (Some(0), Some(refund)) if !self.is_paid(billing) => Booking::Refund(refund),
            (Some(_), _) => Booking::Charge(billing),
        }
    }

    /// The balance transaction about something.
    pub(super) fn booked(self, booking: Booking) -> u64 {
        match booking {
            Booking::Charge(billing) => self.booked_before(billing) + self.payouts_at(billing).0,
            Booking::Refund(refund) => {
                let billing = self.refunded(refund) + self.monthly;
                self.booked_before(billing) + self.payouts_at(billing).0 + u64::from(self.is_paid(billing))
            }
            Booking::Payout(payout) => {
                let billing = self.first_billing((payout + 1) * self.payout_every());
                self.booked_before(billing) + payout - self.payouts_at(billing).1
            }
        }
    }

    /// The first billing of the last 30 days, which there are events of.
    pub(super) fn first_told(self) -> u64 {
        self.first_billing(MONTHS * MONTH - 30 * DAY)
    }

    /// The customer's first payment method, and how many it has.
    pub(super) fn methods(self, customer: u64) -> (u64, u64) {
        let (group, place) = (customer / 4, customer % 4);
        (group * 5 + place + u64::from(place > 0), if place == 0 { 2 } else { 1 })
    }

    /// The billing that an object is of. None for kinds that are of none.
    pub(super) fn billing_of(self, kind: Kind, number: u64) -> Option<u64> {
        match kind {
            Kind::Invoice | Kind::InvoicePayment | Kind::PaymentIntent => Some(number),
            Kind::LineItem => Some(number / ROOM),
            Kind::InvoiceItem => Some(number * ITEMIZED.0 + ITEMIZED.1),
            Kind::Charge => Some(self.charged(number)),
            Kind::Refund => Some(self.refunded(number)),
            Kind::Event => Some(self.first_told() + number / EVENTS),
            Kind::BalanceTransaction => match self.booking(number) {
                Booking::Charge(billing) => Some(billing),
                Booking::Refund(refund) => Some(self.refunded(refund)),
                Booking::Payout(_) => None,
            },
            Kind::Customer
            | Kind::PaymentMethod
            | Kind::Product
            | Kind::Price
            | Kind::Plan
            | Kind::Subscription
            | Kind::SubscriptionItem
            | Kind::Payout => None,
        }
    }

    /// The customer that an object is of. None for kinds that are of none.
    pub(super) fn customer_of(self, kind: Kind, number: u64) -> Option<u64> {
        match kind {
            Kind::Customer | Kind::Subscription => Some(number),
            Kind::SubscriptionItem => Some(number / ROOM),
            Kind::PaymentMethod => Some(number / 5 * 4 + (number % 5).saturating_sub(1)),
            Kind::Product | Kind::Price | Kind::Plan | Kind::Payout => None,
            Kind::Invoice
            | Kind::LineItem
            | Kind::InvoicePayment
            | Kind::InvoiceItem
            | Kind::PaymentIntent
            | Kind::Charge
            | Kind::Refund
            | Kind::BalanceTransaction
            | Kind::Event => self.billing_of(kind, number).map(|billing| self.billed(billing).0),
        }
    }

    /// When an object was created, in Unix seconds: later numbers are never earlier.
    pub(super) fn created(self, kind: Kind, number: u64) -> i64 {
        let passed = match kind {
            Kind::Product | Kind::Price | Kind::Plan => 0,
            Kind::Payout => (number + 1) * self.payout_every(),
            Kind::Refund => self.at(self.refunded(number) + self.monthly),
            Kind::BalanceTransaction => match self.booking(number) {
                Booking::Charge(billing) => self.at(billing),
                Booking::Refund(refund) => return self.created(Kind::Refund, refund),
                Booking::Payout(payout) => return self.created(Kind::Payout, payout),
            },
            Kind::Customer | Kind::PaymentMethod | Kind::Subscription | Kind::SubscriptionItem => {
                self.came(self.customer_of(kind, number).unwrap_or(0))
            }
            Kind::Invoice
            | Kind::LineItem
            | Kind::InvoicePayment
            | Kind::InvoiceItem
            | Kind::PaymentIntent
            | Kind::Charge
            | Kind::Event => self.at(self.billing_of(kind, number).unwrap_or(0)),
        };
        START + passed.cast_signed()
    }

    /// The number of the first object created at `at` or later.
    pub(super) fn first_at(self, kind: Kind, at: i64) -> u64 {
        first(0..self.count(kind), |number| self.created(kind, number) >= at)
    }
}
