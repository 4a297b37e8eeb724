//! Customers come, subscribe, change what they tell, and leave for good.

use std::sync::Arc;

use super::business::{Business, DAY};
use super::coupon::{Coupon, Discount, Duration, Off};
use super::customer::{Customer, Method};
use super::invoice::Reason;
use super::money::Currency;
use super::person::{Person, notes};
use super::price::Interval;
use super::shelf::Handle;
use super::subscription::{Ending, Item, Status, Subscription};
use super::task::Task;

impl Business {
    /// A new customer, who mostly subscribes after so many seconds.
    pub(super) fn arrive(&mut self, wait: i64) -> Handle<Customer> {
        let number = u64::try_from(self.books.customers.len()).unwrap_or(0);
        let currency = self.currency_of(number);
        let person = Person::new(&mut self.chance, currency, number);
        let customer = Customer {
            id: self.ids.next("cus_", 14),
            created: self.now,
            number,
            person,
            currency,
            billed: false,
            balance: 0,
            delinquent: false,
            method: None,
            discount: None,
            invoice_prefix: self.ids.next("", 8).to_uppercase(),
            next_invoice: 1,
            metadata: notes(&mut self.chance, number),
            deleted: false,
        };
        let faithful = customer.is_faithful();
        let customer = self.add(customer, "customer.created");
        if !self.at(customer).pays_by_invoice() || faithful {
            self.attach_card(customer);
        }
        if faithful || self.chance.one_in_thousand(930) {
            self.plan(self.now + wait, Task::Subscribe(customer));
        }
        customer
    }

    fn currency_of(&mut self, number: u64) -> Currency {
        // The faithful ones and the first agency buy modules and hours, which are sold in dollars.
        if matches!(number, 5 | 7) {
            return Currency::Usd;
        }
        match self.chance.between(0..=99) {
            0..=54 => Currency::Usd,
            55..=81 => Currency::Eur,
            82..=89 => Currency::Jpy,
            90..=94 => Currency::Kwd,
            _ => Currency::Idr,
        }
    }

    /// Gives the customer a new card to pay with from now on.
    pub(super) fn attach_card(&mut self, customer: Handle<Customer>) -> Handle<Method> {
        let person = Arc::clone(&self.at(customer).person);
        let method = self.card(Some(customer), person);
        self.change(customer, &["customer.updated"], |customer| customer.method = Some(method));
        method
    }

    pub(super) fn card(&mut self, customer: Option<Handle<Customer>>, person: Arc<Person>) -> Handle<Method> {
        let method = Method {
            id: self.ids.next("pm_1", 23),
            created: self.now,
            customer,
            person,
            brand: self.chance.pick(&["visa", "mastercard", "amex", "visa"]),
            last4: format!("{:04}", self.chance.between(0..=9999)),
            exp_month: self.chance.between(1..=12),
            exp_year: self.chance.between(2027..=2032),
            fingerprint: self.ids.next("", 16),
        };
        if customer.is_some() {
            self.add(method, "payment_method.attached")
        } else {
            self.books.methods.push(method)
        }
    }

    /// Subscribes the customer, with a trial or a first invoice.
    pub(super) fn subscribe(&mut self, customer: Handle<Customer>) {
        let buyer = self.at(customer);
        if buyer.deleted {
            return;
        }
        let (faithful, by_invoice, currency) = (buyer.is_faithful(), buyer.pays_by_invoice(), buyer.currency);
        let number = buyer.number;
        let returns = buyer.billed;
        let interval = match self.chance.between(0..=99) {
            _ if faithful || buyer_is_agency(self, customer) => Interval::Month,
            0..=74 => Interval::Month,
            75..=84 => Interval::Quarter,
            _ => Interval::Year,
        };
        let items = self.choose_items(customer, interval);
        let trial = (!faithful && !by_invoice && !returns && self.chance.one_in_thousand(300))
            .then_some((self.now, self.now + 14 * DAY));
        let subscription = Subscription {
            id: self.ids.next("sub_1", 23),
            created: self.now,
            customer,
            currency,
            interval,
            status: match (trial, by_invoice) {
                (Some(_), _) => Status::Trialing,
                (None, true) => Status::Active,
                (None, false) => Status::Incomplete,
            },
            items,
            anchor: trial.map_or(self.now, |(_, end)| end),
            cycles: 0,
            period: (self.now, self.now),
            trial,
            discount: None,
            ending: Ending::default(),
            paused: false,
            by_invoice,
            latest_invoice: None,
            pending: Vec::new(),
            metadata: notes(&mut self.chance, number),
        };
        self.start(subscription);
    }

    fn start(&mut self, mut subscription: Subscription) {
        let trial = subscription.trial;
        let end = trial.map_or_else(
            || months_after(subscription.anchor, subscription.interval.months()),
            |(_, end)| end,
        );
        subscription.period = (self.now, end);
        let customer = subscription.customer;
        let subscription = self.add(subscription, "customer.subscription.created");
        if !self.at(customer).billed {
            self.change(customer, &["customer.updated"], |customer| customer.billed = true);
        }
        self.redeem_something(subscription);
        if trial.is_some() {
            self.plan(end - 3 * DAY, Task::TrialWillEnd(subscription));
        }
        self.plan(end, Task::Renew(subscription, end));
        self.plan_in_days(30, Task::Month(subscription));
        self.bill_subscription(subscription, Reason::Create);
    }

    fn choose_items(&mut self, customer: Handle<Customer>, interval: Interval) -> Vec<Item> {
        let buyer = self.at(customer);
        let (currency, agency) = (buyer.currency, buyer.is_agency());
        let rank = match self.chance.between(0..=99) {
            0..=44 => 0,
            45..=79 => 1,
            80..=95 => 2,
            _ => 3,
        };
        let seats = self.chance.between(1..=40);
        let extra = self.chance.one_in_thousand(350).then_some(seats);
        let metered = interval == Interval::Month && self.chance.one_in_thousand(180);
        let modules = if agency { self.chance.between(11..=24) } else { 0 };
        let mut chosen: Vec<(Option<_>, Option<i64>)> =
            vec![(self.catalogue.tier(rank, currency, interval), Some(1))];
        if let Some(seats) = extra {
            chosen.push((self.catalogue.seat(currency, interval), Some(seats)));
        }
        if metered {
            chosen.push((self.catalogue.calls(currency), None));
        }
        for price in self.catalogue.modules(currency).into_iter().take(usize::try_from(modules).unwrap_or(0))
        {
            chosen.push((Some(price), Some(1)));
        }
        let chosen: Vec<_> =
            chosen.into_iter().filter_map(|(price, quantity)| Some((price?, quantity))).collect();
        chosen
            .into_iter()
            .map(|(price, quantity)| Item {
                id: self.ids.next("si_", 14),
                created: self.now,
                price,
                quantity,
            })
            .collect()
    }

    fn redeem_something(&mut self, subscription: Handle<Subscription>) {
        let currency = self.at(subscription).currency;
        let Some(coupon) = self.catalogue.coupons.last().copied() else { return };
        let fits = match self.at(coupon).off {
            Off::Percent(_) => true,
            Off::Amount(_, only) => only == currency,
        };
        if !fits || !self.chance.one_in_thousand(220) {
            return;
        }
        let customer = self.at(subscription).customer;
        let for_customer = self.chance.one_in_thousand(150) && self.at(customer).discount.is_none();
        self.redeem(coupon, customer, (!for_customer).then_some(subscription));
    }

    fn redeem(
        &mut self,
        coupon: Handle<Coupon>,
        customer: Handle<Customer>,
        subscription: Option<Handle<Subscription>>,
    ) {
        let end = match self.at(coupon).duration {
            Duration::Months(months) => Some(months_after(self.now, months)),
            Duration::Once | Duration::Forever => None,
        };
        let id = self.ids.next("di_1", 23);
        let discount = Discount { id, coupon, customer, subscription, start: self.now, end };
        let discount = self.add(discount, "customer.discount.created");
        self.change(coupon, &["coupon.updated"], |coupon| coupon.redeemed += 1);
        match subscription {
            Some(subscription) => {
                self.change(subscription, &["customer.subscription.updated"], |it| {
                    it.discount = Some(discount);
                });
            }
            None => self.change(customer, &["customer.updated"], |it| it.discount = Some(discount)),
        }
        if let Some(end) = end {
            self.plan(end, Task::EndDiscount(discount));
        }
    }

    /// Takes a discount off what it lessened. What is over keeps its own.
    pub(super) fn end_discount(&mut self, discount: Handle<Discount>) {
        let Discount { customer, subscription, .. } = *self.at(discount);
        let applies = match subscription {
            Some(subscription) => {
                let lessened = self.at(subscription);
                lessened.discount == Some(discount) && !lessened.status.is_over()
            }
            None => self.at(customer).discount == Some(discount) && !self.at(customer).deleted,
        };
        if !applies {
            return;
        }
        match subscription {
            Some(subscription) => {
                self.change(subscription, &["customer.subscription.updated"], |it| it.discount = None);
            }
            None => self.change(customer, &["customer.updated"], |it| it.discount = None),
        }
        self.tell("customer.discount.deleted", discount);
    }

    /// The customer moved, or wrote a name anew.
    pub(super) fn edit_customer(&mut self, customer: Handle<Customer>) {
        let (number, currency) = (self.at(customer).number, self.at(customer).currency);
        let mut person = Person::new(&mut self.chance, currency, number);
        // The country stays: taxes hang on it.
        let edited = Arc::make_mut(&mut person);
        edited.place = self.at(customer).person.place;
        edited.street.push_str(" b");
        edited.phone = Some(format!("+1555{:07}", self.chance.between(0..=9_999_999)));
        let note = format!("visited ✓ {}", self.chance.between(1..=9999));
        self.change(customer, &["customer.updated"], |customer| {
            customer.person = person;
            customer.metadata.retain(|(key, _)| *key != "edited");
            customer.metadata.push(("edited", note));
        });
    }

    /// Deletes the customer: subscriptions end, cards come off, what was paid goes on naming them.
    pub(super) fn remove_customer(&mut self, customer: Handle<Customer>) {
        if self.at(customer).deleted {
            return;
        }
        for subscription in self.subscriptions_of(customer) {
            self.cancel_now(subscription, "cancellation_requested");
        }
        let methods: Vec<_> = (0..self.books.methods.len())
            .filter_map(|back| self.books.methods.newest(back))
            .filter(|method| self.at(*method).customer == Some(customer))
            .collect();
        for method in methods {
            self.change(method, &["payment_method.detached"], |method| method.customer = None);
        }
        self.change(customer, &["customer.deleted"], |customer| customer.deleted = true);
    }

    /// Those that are not over.
    pub(super) fn subscriptions_of(&self, customer: Handle<Customer>) -> Vec<Handle<Subscription>> {
        (0..self.books.subscriptions.len())
            .filter_map(|back| self.books.subscriptions.newest(back))
            .filter(|handle| {
                let subscription = self.at(*handle);
                subscription.customer == customer && !subscription.status.is_over()
            })
            .collect()
    }
}

fn buyer_is_agency(business: &Business, customer: Handle<Customer>) -> bool {
    let buyer = business.at(customer);
    buyer.is_agency() && matches!(buyer.currency, Currency::Usd | Currency::Eur)
}

/// The same time of day so many months later; the last day of a month that is too short.
pub(super) fn months_after(at: i64, months: u32) -> i64 {
    let moved = chrono::DateTime::from_timestamp(at, 0)
        .and_then(|at| at.checked_add_months(chrono::Months::new(months)));
    moved.map_or(at + i64::from(months) * 30 * DAY, |moved| moved.timestamp())
}
