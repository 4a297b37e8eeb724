//! What is true of one object.

use super::kind::Kind;
use super::numbers::{Booking, CURRENCIES, EVENTS, MONTH, Numbers, PLANS, ROOM};
use super::{DAY, Mixed, START};
use crate::bulk::template::{mix, push_id};

/// Monthly prices of products in cents, dollars first.
const UNITS: [(u64, u64); 16] = [
    (1900, 1800),
    (4900, 4500),
    (14_900, 13_900),
    (900, 800),
    (500, 450),
    (2500, 2300),
    (700, 650),
    (1200, 1100),
    (300, 280),
    (9900, 9200),
    (1500, 1400),
    (600, 550),
    (2000, 1850),
    (400, 370),
    (3500, 3200),
    (12_500, 11_500),
];
/// Of a hundred cents of a euro, how many of a dollar a charge brings.
const RATE: u64 = 108;

/// How an object is to be shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look<'a> {
    /// With nested lists whole, however long.
    pub(super) whole: bool,
    /// As it was when it was created: a charge that nobody has refunded yet.
    pub(super) fresh: bool,
    /// What is expanded, each a path of names.
    pub(super) expand: &'a [Vec<String>],
}

/// One object, and what it is about.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) world: &'a Mixed,
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) look: Look<'a>,
    /// Of balance transactions.
    pub(super) booking: Option<Booking>,
    /// What it was billed with; of kinds that are of no billing, the first.
    pub(super) billing: u64,
    pub(super) customer: u64,
    /// Which item of its subscription, line of its invoice or price it is.
    pub(super) place: u64,
    /// What the billing came to.
    pub(super) total: u64,
}

impl<'a> Subject<'a> {
    pub(super) fn new(world: &'a Mixed, kind: Kind, number: u64, look: Look<'a>) -> Self {
        let numbers = world.numbers;
        let booking = (kind == Kind::BalanceTransaction).then(|| numbers.booking(number));
        let billing = match booking {
            Some(Booking::Charge(billing)) => Some(billing),
            Some(Booking::Refund(refund)) => Some(numbers.refunded(refund)),
            Some(Booking::Payout(_)) => None,
            None => numbers.billing_of(kind, number),
        };
        let customer = match billing {
            Some(billing) => numbers.billed(billing).0,
            None if booking.is_some() => 0,
            None => numbers.customer_of(kind, number).unwrap_or(0),
        };
        let mut subject = Self {
            world,
            kind,
            number,
            look,
            booking,
            billing: billing.unwrap_or(0),
            customer,
            place: if matches!(kind, Kind::SubscriptionItem | Kind::LineItem) { number % ROOM } else { 0 },
            total: 0,
        };
        if billing.is_some() {
            subject.total = subject.lines().map(|place| subject.at(place).amount()).sum();
        }
        subject
    }

    pub(super) fn numbers(&self) -> Numbers {
        self.world.numbers
    }

    /// The same object's item or line.
    pub(super) fn at(&self, place: u64) -> Self {
        Self { place, ..*self }
    }

    /// Appends the id of an object that this one is about.
    pub(super) fn push_id(&self, out: &mut String, kind: Kind, number: u64) {
        push_id(out, kind.prefix(), self.world.noise(kind.salt(), number), number);
    }

    /// What is accidental about the customer.
    pub(super) fn person(&self) -> u64 {
        self.world.noise(100, self.customer)
    }

    /// What is accidental about the card that is paid with.
    pub(super) fn card(&self) -> u64 {
        self.world.noise(101, self.method())
    }

    /// The payment method: the customer's newest, unless it is one.
    pub(super) fn method(&self) -> u64 {
        let (first, count) = self.numbers().methods(self.customer);
        if self.kind == Kind::PaymentMethod { self.number } else { first + count - 1 }
    }

    /// How many items the subscription has: one, sometimes two, rarely more than a nested list shows.
    pub(super) fn items(&self) -> u64 {
        match self.customer % 64 {
            63 => 12,
            own if own % 4 == 1 => 2,
            _ => 1,
        }
    }

    /// The lines of the invoice: its items, then what else was sold.
    pub(super) fn lines(&self) -> std::ops::Range<u64> {
        0..self.items() + u64::from(self.numbers().item_of(self.billing).is_some())
    }

    /// Whether the line is of an invoice item.
    pub(super) fn is_extra(&self) -> bool {
        self.kind == Kind::InvoiceItem || self.place >= self.items()
    }

    fn is_price(&self) -> bool {
        matches!(self.kind, Kind::Price | Kind::Plan)
    }

    /// Whether the customer pays in euros.
    pub(super) fn in_euros(&self) -> bool {
        if self.is_price() { self.number % CURRENCIES == 1 } else { self.customer % 3 == 1 }
    }

    /// The product that it, its item or its line is of.
    pub(super) fn product(&self) -> u64 {
        match self.place {
            _ if self.kind == Kind::Product => self.number,
            _ if self.is_price() => self.number / CURRENCIES,
            _ if self.is_extra() => PLANS,
            0 => self.person() % 3,
            // No subscription has two items of one price.
            place => 3 + (self.person() % PLANS + place) % (PLANS - 3),
        }
    }

    pub(super) fn price(&self) -> u64 {
        self.product() * CURRENCIES + u64::from(self.in_euros())
    }

    /// What one costs.
    pub(super) fn unit(&self) -> u64 {
        let place = usize::try_from(self.product()).unwrap_or(0);
        let (dollars, euros) = UNITS.get(place).copied().unwrap_or_default();
        if self.in_euros() { euros } else { dollars }
    }

    pub(super) fn quantity(&self) -> u64 {
        if self.is_extra() { 1 + self.billing % 7 } else { 1 + (self.person() >> self.place) % 9 }
    }

    pub(super) fn amount(&self) -> u64 {
        self.unit() * self.quantity()
    }

    pub(super) fn is_paid(&self) -> bool {
        self.numbers().is_paid(self.billing)
    }

    /// Of charges, whether the card was charged.
    pub(super) fn has_succeeded(&self) -> bool {
        let own =
            if self.kind == Kind::Charge { self.number } else { self.numbers().charge_of(self.billing) };
        self.is_paid() && own == self.numbers().charge_of(self.billing)
    }

    /// What was given back of the billing: all of it, or every other time half.
    pub(super) fn returned(&self) -> u64 {
        match self.numbers().refund_of(self.billing) {
            Some(refund) if !self.look.fresh && self.has_succeeded() => self.total / (1 + refund % 2),
            Some(_) | None => 0,
        }
    }

    /// What it came to in the account's own currency.
    fn in_dollars(&self, amount: u64) -> i64 {
        (if self.in_euros() { amount * RATE / 100 } else { amount }).cast_signed()
    }

    /// Of balance transactions: what came in, or went out.
    pub(super) fn booked(&self) -> i64 {
        match self.booking {
            Some(Booking::Charge(_)) => self.in_dollars(self.total),
            Some(Booking::Refund(_)) => -self.in_dollars(self.returned()),
            Some(Booking::Payout(payout)) => -self.world.paid_out(payout),
            None => 0,
        }
    }

    pub(super) fn fee(&self) -> i64 {
        match self.booking {
            Some(Booking::Charge(_)) => 30 + self.booked() * 29 / 1000,
            Some(Booking::Refund(_) | Booking::Payout(_)) | None => 0,
        }
    }

    pub(super) fn created(&self) -> i64 {
        match self.booking {
            Some(Booking::Charge(billing)) => START + self.numbers().at(billing).cast_signed(),
            Some(Booking::Refund(_) | Booking::Payout(_)) | None => {
                self.numbers().created(self.kind, self.number)
            }
        }
    }

    /// When the billing was, in Unix seconds.
    pub(super) fn billed(&self) -> i64 {
        START + self.numbers().at(self.billing).cast_signed()
    }

    /// The last billing of the customer.
    pub(super) fn latest(&self) -> u64 {
        self.numbers().billing(self.customer, self.numbers().stay(self.customer).1)
    }

    /// The time that is paid for: by the billing, or by the subscription's last one.
    pub(super) fn period(&self) -> (i64, i64) {
        let is_subscribed = matches!(self.kind, Kind::Subscription | Kind::SubscriptionItem);
        let billing = if is_subscribed { self.latest() } else { self.billing };
        let start = START + self.numbers().at(billing).cast_signed();
        (start, start + MONTH.cast_signed())
    }

    /// When the customer left.
    pub(super) fn canceled_at(&self) -> Option<i64> {
        self.numbers().has_left(self.customer).then(|| self.period().1)
    }

    /// When a balance transaction's money is there.
    pub(super) fn available(&self) -> i64 {
        match self.booking {
            Some(Booking::Charge(_)) => self.created() + 2 * DAY.cast_signed(),
            Some(Booking::Refund(_) | Booking::Payout(_)) | None => self.created(),
        }
    }

    /// Of events: what happened, and to what.
    pub(super) fn event(&self) -> (&'static str, Kind, u64) {
        let (paid, billing) = (self.is_paid(), self.billing);
        match self.number % EVENTS {
            0 => {
                let what = if paid { "charge.succeeded" } else { "charge.failed" };
                (what, Kind::Charge, self.numbers().charge_of(billing))
            }
            1 => {
                let what = if paid { "payment_intent.succeeded" } else { "payment_intent.payment_failed" };
                (what, Kind::PaymentIntent, billing)
            }
            _ => (if paid { "invoice.paid" } else { "invoice.payment_failed" }, Kind::Invoice, billing),
        }
    }
}

impl Mixed {
    /// What is accidental about a thing of some sort.
    pub(super) fn noise(&self, salt: u64, number: u64) -> u64 {
        mix(self.seed.wrapping_mul(7).wrapping_add(salt) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// What a payout paid out: what came in since the one before, less fees and refunds.
    pub(super) fn paid_out(&self, payout: u64) -> i64 {
        let of = |booking| {
            let transaction = Subject::booked_as(self, booking);
            transaction.booked() - transaction.fee()
        };
        let billings = self.numbers.paid_by(payout);
        let charged = billings.clone().filter(|billing| self.numbers.is_paid(*billing)).map(Booking::Charge);
        let refunded = billings.filter_map(|billing| self.numbers.refund_at(billing)).map(Booking::Refund);
        charged.chain(refunded).map(of).sum()
    }
}

impl<'a> Subject<'a> {
    /// A balance transaction, without its number.
    fn booked_as(world: &'a Mixed, booking: Booking) -> Self {
        let billing = match booking {
            Booking::Charge(billing) => billing,
            Booking::Refund(refund) => world.numbers.refunded(refund),
            Booking::Payout(_) => 0,
        };
        let invoice = Self::new(world, Kind::Invoice, billing, Look::default());
        Self { kind: Kind::BalanceTransaction, booking: Some(booking), ..invoice }
    }
}
