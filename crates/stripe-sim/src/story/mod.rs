//! A software company's business: customers, subscriptions, invoices and money over months, and on from there.

mod banking;
mod billing;
mod books;
mod business;
mod buying;
mod catalogue;
mod charge;
mod collecting;
mod coupon;
mod credit;
mod customer;
mod event;
mod invoice;
mod invoice_item;
mod line;
mod living;
mod money;
mod nested;
mod payout;
mod person;
mod price;
mod returning;
mod selling;
mod shelf;
mod subscription;
mod task;
#[cfg(test)]
mod tests;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::{Value, json};

use self::books::KINDS;
use self::business::Business;
use self::shelf::{Id, Record};
use crate::world::{Found, Rendered, Scan, World};

const ACCOUNT_NAME: &str = "Northwind Planning Inc.";

/// How a [`Story`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorySpec {
    /// Two stories of equal spec are equal.
    pub seed: u64,
    /// About how many customers have come by the end.
    pub customers: u32,
    /// How long the business has been going.
    pub months: u32,
    /// Its present, in Unix seconds.
    pub end: i64,
    /// What its objects say of themselves.
    pub livemode: bool,
}

impl StorySpec {
    fn days(&self) -> i64 {
        i64::from(self.months) * 365 / 12
    }
}

/// A seeded business that has lived for months and lives on as its clock moves.
///
/// It sells subscriptions in five currencies, with trials, coupons, tax, prorations, failed payments, refunds,
/// disputes and payouts. Each balance transaction is paid out at most once, and a payout is the sum of its own.
/// What changes tells an event, but for what Stripe keeps silent about too: balance transactions, invoice payments
/// before they are paid, invoice items being put on an invoice, guests' cards, coupons becoming invalid with time,
/// and archived prices inside subscriptions. Moving the clock in several steps or in one comes to the same.
pub struct Story {
    business: RwLock<Business>,
}

impl Story {
    /// Lives through the months of `spec`; takes about a second per thousand customers and year, less when optimized.
    #[must_use]
    pub fn new(spec: StorySpec) -> Self {
        Self { business: RwLock::new(Business::new(spec)) }
    }

    /// Every object of a kind, newest first, nested lists whole; of a deleted one `{id, object, deleted: true}`.
    /// Unknown kinds have none.
    #[must_use]
    pub fn truth(&self, kind: &str) -> Vec<Value> {
        let business = self.read();
        let view = business.view();
        match business.books.rack(kind) {
            Some(rack) => rack.truth(&view, kind),
            None => nested::truth(&view, kind),
        }
    }

    /// Gives the customer another address and another note. False: there is no such customer.
    pub fn edit_customer(&self, id: &str) -> bool {
        let mut business = self.write();
        let Some(customer) = business.books.customers.find(id).filter(|it| !business.at(*it).deleted) else {
            return false;
        };
        business.ask(|it| it.edit_customer(customer));
        true
    }

    /// Deletes the customer: subscriptions are canceled, cards detached. False: there is no such customer.
    pub fn delete_customer(&self, id: &str) -> bool {
        let mut business = self.write();
        let Some(customer) = business.books.customers.find(id).filter(|it| !business.at(*it).deleted) else {
            return false;
        };
        business.ask(|it| it.remove_customer(customer));
        true
    }

    /// Cancels the subscription at once. False: there is none that is not over.
    pub fn cancel_subscription(&self, id: &str) -> bool {
        let mut business = self.write();
        let found = business.books.subscriptions.find(id);
        let Some(subscription) = found.filter(|it| !business.at(*it).status.is_over()) else { return false };
        business.ask(|it| it.cancel_now(subscription, "cancellation_requested"));
        true
    }

    /// A customer pays for something without invoice; gives the charge's id.
    pub fn create_charge(&self) -> String {
        let mut business = self.write();
        let mut made = None;
        business.ask(|it| made = Some(it.sell_once()));
        made.map(|charge| business.at(charge).id.to_string()).unwrap_or_default()
    }

    /// A new customer comes, and mostly subscribes a minute later; gives the id.
    pub fn create_customer(&self) -> String {
        let mut business = self.write();
        let mut made = None;
        business.ask(|it| made = Some(it.arrive(60)));
        made.map(|customer| business.at(customer).id.to_string()).unwrap_or_default()
    }

    /// Removes the subscription's last item of several: the subscription is told to be updated, the item's going is
    /// not. False: there was none to remove.
    pub fn remove_subscription_item(&self, subscription: &str) -> bool {
        let mut business = self.write();
        let Some(subscription) = business.books.subscriptions.find(subscription) else { return false };
        let mut removed = false;
        business.ask(|it| removed = it.drop_item(subscription));
        removed
    }

    /// Deletes the coupon; discounts that came of it stay. False: there is no such coupon.
    pub fn delete_coupon(&self, id: &str) -> bool {
        let mut business = self.write();
        let Some(coupon) = business.books.coupons.find(id).filter(|it| !business.at(*it).deleted) else {
            return false;
        };
        business.ask(|it| {
            it.retire_coupon(coupon);
            it.delete_coupon(coupon);
        });
        true
    }

    fn read(&self) -> RwLockReadGuard<'_, Business> {
        self.business.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Business> {
        self.business.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World for Story {
    fn now(&self) -> i64 {
        self.read().now
    }

    fn account(&self) -> Value {
        let business = self.read();
        let settings = json!({
            "branding": { "icon": null, "logo": null, "primary_color": null, "secondary_color": null },
            "dashboard": { "display_name": ACCOUNT_NAME, "timezone": "America/New_York" },
            "payments": { "statement_descriptor": "NORTHWIND" },
            "payouts": {
                "debit_negative_balances": true,
                "schedule": { "delay_days": 2, "interval": "daily" },
                "statement_descriptor": null,
            },
        });
        json!({
            "business_profile": { "name": ACCOUNT_NAME, "url": "https://northwind.example.com" },
            "business_type": "company",
            "capabilities": { "card_payments": "active", "transfers": "active" },
            "charges_enabled": true,
            "controller": { "type": "account" },
            "country": "US",
            "created": business.began,
            "default_currency": "usd",
            "details_submitted": true,
            "email": "owner@northwind.example.com",
            "id": "acct_1NvA0NorthwindPl",
            "metadata": {},
            "object": "account",
            "payouts_enabled": true,
            "settings": settings,
            "type": "standard",
        })
    }

    fn scan(&self, scan: &Scan, take: usize) -> Option<Vec<Rendered>> {
        let business = self.read();
        let view = business.view();
        // What an object belongs to is a property of it here.
        let filters = scan.filters.iter().chain(&scan.parent).cloned().collect();
        let scan = Scan { filters, ..scan.clone() };
        match business.books.rack(&scan.kind) {
            Some(rack) => rack.scan(&view, &scan, take),
            None => nested::scan(&view, &scan, take),
        }
    }

    fn get(&self, kind: &str, id: &str) -> Option<Found> {
        let business = self.read();
        let view = business.view();
        match business.books.rack(kind) {
            Some(rack) => rack.get(&view, id),
            None => nested::get(&view, kind, id),
        }
    }

    fn kinds(&self) -> Vec<&'static str> {
        KINDS.into_iter().chain(nested::KINDS).collect()
    }

    fn advance(&self, seconds: i64) -> Vec<String> {
        let mut business = self.write();
        let last = business.books.events.newest(0).map(|event| Id::clone(business.at(event).id()));
        let end = business.now + seconds.max(0);
        business.run_until(end);
        let fresh = business.books.events.iter().rev().take_while(|event| Some(event.id()) != last.as_ref());
        let mut fresh: Vec<String> = fresh.map(|event| event.id().to_string()).collect();
        fresh.reverse();
        fresh
    }
}
