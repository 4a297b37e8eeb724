//! A software company's account with millions of objects of many kinds, none of them held.

mod fields;
mod kind;
mod numbers;
mod subject;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use self::kind::Kind;
use self::numbers::Numbers;
use self::subject::{Look, Subject};
use super::template::number_in;
use super::{PRESENT, SPAN};
use crate::filter::passes_all;
use crate::shapes::FACTS;
use crate::world::{Found, Rendered, Scan, Standing, Truth, World};

/// Seconds.
const DAY: u64 = 86_400;
/// When the business began, in Unix seconds.
const START: i64 = PRESENT - SPAN.cast_signed();
/// What can be expanded without reading the object again.
const EXPANDED: [(Kind, &str); 3] = [
    (Kind::Customer, "sources"),
    (Kind::Customer, "tax_ids"),
    (Kind::PaymentIntent, "amount_details.line_items"),
];

/// A software company's account of up to ten million objects and more, computed on demand and the same for the same seed.
///
/// It has lived for two years: customers with payment methods and subscriptions of one item, two or twelve, products,
/// prices and plans, an invoice with its lines, payment, payment intent and charges for each month of each customer,
/// refunds, invoice items, balance transactions in one currency of charges in two, payouts, and events of the last
/// 30 days. What one object says of another is so. Some charges failed first, some invoices are not paid, some
/// customers have left. Nothing in it ever changes.
#[derive(Debug)]
pub struct Mixed {
    seed: u64,
    numbers: Numbers,
    now: AtomicI64,
}

impl Mixed {
    /// A world of about so many objects that have a list of their own, 1,700 at least: what is nested in others comes beside.
    #[must_use]
    pub fn about(seed: u64, objects: u64) -> Self {
        Self { seed, numbers: Numbers::about(objects), now: AtomicI64::new(PRESENT) }
    }

    fn subject<'a>(&'a self, kind: Kind, number: u64, look: Look<'a>) -> Subject<'a> {
        Subject::new(self, kind, number, look)
    }

    /// The number in an id, if this world gave that id out.
    fn number(&self, kind: Kind, id: &str) -> Option<u64> {
        let number = number_in(id).filter(|number| self.exists(kind, *number))?;
        let mut own = String::with_capacity(28);
        self.subject(kind, number, Look::default()).push_id(&mut own, kind, number);
        (own == id).then_some(number)
    }

    /// Whether an object has this number: members of nested lists leave some out.
    fn exists(&self, kind: Kind, number: u64) -> bool {
        if number >= self.numbers.count(kind) {
            return false;
        }
        if !kind.is_nested() {
            return true;
        }
        let subject = self.subject(kind, number, Look::default());
        let end = if kind == Kind::LineItem { subject.lines().end } else { subject.items() };
        subject.place < end
    }

    /// The numbers that a scan may be of, its filters aside.
    fn range(&self, kind: Kind, scan: &Scan) -> Option<Range<u64>> {
        let mut range = 0..self.numbers.count(kind);
        if kind == Kind::Subscription && scan.hide_canceled {
            range.start = self.numbers.left();
        }
        if let Some(customer) = customer(scan).filter(|_| kind == Kind::PaymentMethod) {
            let owned = self.number(Kind::Customer, customer).map(|number| self.numbers.methods(number));
            let (first, count) = owned.unwrap_or((0, 0));
            range = first..first + count;
        }
        if let Some(at) = scan.created_gte {
            range.start = range.start.max(self.numbers.first_at(kind, at));
        }
        if let Some(at) = scan.created_lt {
            range.end = range.end.min(self.numbers.first_at(kind, at));
        }
        if let Some(id) = &scan.after {
            range.end = range.end.min(self.number(kind, id)?);
        }
        if let Some(id) = &scan.before {
            range.start = range.start.max(self.number(kind, id)? + 1);
        }
        Some(range)
    }

    /// Whether an object passes the filters of a scan.
    fn passes(&self, kind: Kind, number: u64, filters: &[(String, String)], scan: &Scan) -> bool {
        if !self.exists(kind, number) {
            return false;
        }
        let wanted = || scan.wants(self.subject(kind, number, Look::default()).event().0);
        if kind == Kind::Event && !scan.types.is_empty() && !wanted() {
            return false;
        }
        filters.is_empty() || passes_all(&self.whole(kind, number), filters)
    }

    /// An object as a list shows it; asked for all objects of a kind, whole.
    fn render(&self, kind: Kind, number: u64, scan: &Scan) -> Rendered {
        let known =
            |path: &Vec<String>| EXPANDED.iter().any(|(of, known)| *of == kind && path.join(".") == *known);
        let expand = if scan.expand.iter().all(known) { scan.expand.as_slice() } else { &[] };
        let look = Look { whole: scan.list.is_empty(), expand, ..Look::default() };
        let text = self.subject(kind, number, look).text();
        if expand.is_empty() { Rendered::Raw(text) } else { Rendered::Expanded(text) }
    }

    /// An object with its nested lists whole.
    fn whole(&self, kind: Kind, number: u64) -> Value {
        let look = Look { whole: true, ..Look::default() };
        serde_json::from_str(&self.subject(kind, number, look).text()).unwrap_or(Value::Null)
    }

    /// Every object of a kind, each with what it belongs to.
    fn owned(&self, kind: Kind, of: Kind) -> Vec<Truth> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let numbers = (0..self.numbers.count(kind)).filter(|number| self.exists(kind, *number));
        let mut numbers: Vec<u64> = numbers.collect();
        if kind == Kind::PaymentMethod {
            numbers.reverse();
        }
        let told = |number: u64| {
            let subject = self.subject(kind, number, Look::default());
            let mut parent = String::new();
            let owner = if of == Kind::Invoice { subject.billing } else { subject.customer };
            subject.push_id(&mut parent, of, owner);
            let next = places.entry(parent.clone()).or_default();
            let position = *next;
            *next += 1;
            Truth {
                parent: Some(parent),
                position,
                standing: Standing::Shown,
                object: self.whole(kind, number),
            }
        };
        numbers.into_iter().map(told).collect()
    }

    /// Every object that a list without parents is about.
    fn listed(&self, kind: Kind) -> Vec<Truth> {
        let told = |(position, number): (usize, u64)| {
            let has_left = kind == Kind::Subscription && number < self.numbers.left();
            let standing = if has_left { Standing::Canceled } else { Standing::Shown };
            Truth { parent: None, position, standing, object: self.whole(kind, number) }
        };
        (0..self.numbers.count(kind)).rev().enumerate().map(told).collect()
    }
}

/// Whose objects a scan is of.
fn customer(scan: &Scan) -> Option<&str> {
    let named = scan.parent.iter().chain(&scan.filters).find(|(name, _)| name == "customer");
    named.map(|(_, id)| id.as_str())
}

impl World for Mixed {
    fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    fn account(&self) -> Value {
        json!({
            "id": "acct_simulatedMixed", "object": "account", "business_type": "company", "charges_enabled": true,
            "country": "US", "created": START, "default_currency": "usd", "details_submitted": true,
            "email": "owner@example.com", "payouts_enabled": true, "type": "standard",
            "settings": { "dashboard": { "display_name": "Bulk Software Inc.", "timezone": "Etc/UTC" } },
        })
    }

    fn scan(&self, scan: &Scan, take: usize) -> Option<Vec<Rendered>> {
        let Some(kind) = Kind::of(scan) else { return Some(Vec::new()) };
        let range = self.range(kind, scan)?;
        let filters: Vec<(String, String)> = scan.filters.iter().chain(&scan.parent).cloned().collect();
        let passes = |number: &u64| self.passes(kind, *number, &filters, scan);
        let render = |number| self.render(kind, number, scan);
        if scan.before.is_some() {
            let nearest: Vec<u64> = range.filter(passes).take(take).collect();
            return Some(nearest.into_iter().rev().map(render).collect());
        }
        Some(range.rev().filter(passes).take(take).map(render).collect())
    }

    fn get(&self, kind: &str, id: &str) -> Option<Found> {
        let kind = Kind::parse(kind)?;
        let number = self.number(kind, id)?;
        let subject = self.subject(kind, number, Look::default());
        // As text it is shown as it is, so that must not be long.
        let found = if subject.is_long() {
            Rendered::Value(self.whole(kind, number).into())
        } else {
            Rendered::Raw(subject.text())
        };
        Some(Found::Live(found))
    }

    fn kinds(&self) -> Vec<&'static str> {
        Kind::names()
    }

    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let items = |customer: u64| self.subject(Kind::Customer, customer, Look::default()).items();
        let customers = 0..self.numbers.count(Kind::Customer);
        let billed = |customer: u64| {
            let (came, last) = self.numbers.stay(customer);
            items(customer) * (last + 1 - came)
        };
        let count = |kind: Kind| {
            if !kind.is_nested() {
                return self.numbers.count(kind);
            }
            if kind == Kind::SubscriptionItem {
                return customers.clone().map(items).sum();
            }
            customers.clone().map(billed).sum::<u64>() + self.numbers.count(Kind::InvoiceItem)
        };
        let named = |name: &'static str| Some((name, count(Kind::parse(name)?)));
        Kind::names().into_iter().filter_map(named).collect()
    }

    fn advance(&self, seconds: i64) -> Vec<String> {
        self.now.fetch_add(seconds, Ordering::Relaxed);
        Vec::new()
    }

    fn truth(&self, list: &str) -> Option<Vec<Truth>> {
        if self.not_enabled(list).is_some() {
            return None;
        }
        let list = FACTS.list(list)?;
        Some(match (Kind::parse(list.kind()), list.path.as_str()) {
            (_, "/v1/payment_methods") | (None, _) => Vec::new(),
            (Some(Kind::PaymentMethod), _) => self.owned(Kind::PaymentMethod, Kind::Customer),
            (Some(Kind::LineItem), _) => self.owned(Kind::LineItem, Kind::Invoice),
            (Some(Kind::SubscriptionItem), _) => self.owned(Kind::SubscriptionItem, Kind::Subscription),
            (Some(kind), _) => self.listed(kind),
        })
    }
}
