//! Millions of objects, none of them held: an object is computed from its number.

mod mixed;
mod template;
mod text;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

pub use self::mixed::Mixed;
use crate::world::{Found, Rendered, Scan, World};

/// How many objects of each kind a [`Bulk`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkCounts {
    /// Customers.
    pub customers: u64,
    /// Charges; each has a balance transaction.
    pub charges: u64,
}

/// A world of up to ten million objects a kind, computed on demand and the same for the same seed.
///
/// It has customers, charges and balance transactions, spread evenly over two years, several to a second when they
/// are many. It has no events and nothing in it ever changes.
#[derive(Debug)]
pub struct Bulk {
    seed: u64,
    counts: BulkCounts,
    now: AtomicI64,
}

/// The present of a new [`Bulk`]: 2026-07-01, in Unix seconds.
const PRESENT: i64 = 1_782_864_000;
/// The two years before, which hold all objects.
const SPAN: u64 = 2 * 365 * 86_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Customer,
    Charge,
    BalanceTransaction,
}

/// A filter.
enum Wanted<'a> {
    Customer(Option<u64>),
    Number(Option<u64>),
    /// A property, and how JSON would write that it has the value.
    Property {
        name: &'a str,
        value: &'a str,
        texts: [String; 2],
    },
}

impl Kind {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "customer" => Some(Self::Customer),
            "charge" => Some(Self::Charge),
            "balance_transaction" => Some(Self::BalanceTransaction),
            _ => None,
        }
    }
}

impl Bulk {
    /// A world of so many objects.
    #[must_use]
    pub fn new(seed: u64, counts: BulkCounts) -> Self {
        Self { seed, counts, now: AtomicI64::new(PRESENT) }
    }

    fn count(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Customer => self.counts.customers,
            Kind::Charge | Kind::BalanceTransaction => self.counts.charges,
        }
    }

    /// When the object of this number was created: later numbers are never earlier.
    fn created(&self, kind: Kind, number: u64) -> i64 {
        let passed = number.saturating_mul(SPAN) / self.count(kind).max(1);
        PRESENT - SPAN.cast_signed() + passed.cast_signed()
    }

    /// The number of the first object created at `at` or later.
    fn first_at(&self, kind: Kind, at: i64) -> u64 {
        let passed = u64::try_from(at.saturating_sub(PRESENT - SPAN.cast_signed())).unwrap_or(0).min(SPAN);
        passed.saturating_mul(self.count(kind)).div_ceil(SPAN)
    }

    fn numbers(&self, kind: Kind, scan: &Scan) -> Option<Range<u64>> {
        let mut range = 0..self.count(kind);
        if let Some(at) = scan.created_gte {
            range.start = self.first_at(kind, at);
        }
        if let Some(at) = scan.created_lt {
            range.end = range.end.min(self.first_at(kind, at));
        }
        if let Some(id) = &scan.after {
            range.end = range.end.min(self.number(kind, id)?);
        }
        if let Some(id) = &scan.before {
            range.start = range.start.max(self.number(kind, id)? + 1);
        }
        Some(range)
    }

    fn matches(&self, kind: Kind, number: u64, wanted: &[Wanted<'_>]) -> bool {
        wanted.iter().all(|wanted| match wanted {
            Wanted::Customer(customer) => *customer == Some(self.customer_of(number)),
            Wanted::Number(own) => *own == Some(number),
            Wanted::Property { name, value, texts } => {
                let text = self.text(kind, number);
                texts.iter().any(|told| text.contains(told)) && is(&text, name, value)
            }
        })
    }

    /// The filters, looked up once for all objects.
    fn wanted<'a>(&self, kind: Kind, filters: &'a [(String, String)]) -> Vec<Wanted<'a>> {
        let wanted = |(name, value): &'a (String, String)| match (kind, name.as_str()) {
            (Kind::Charge, "customer") => Wanted::Customer(self.number(Kind::Customer, value)),
            (Kind::BalanceTransaction, "source") => Wanted::Number(self.number(Kind::Charge, value)),
            (Kind::Customer | Kind::Charge | Kind::BalanceTransaction, _) => {
                let texts = [Value::from(value.as_str()).to_string(), value.clone()];
                Wanted::Property { name, value, texts: texts.map(|value| format!("\"{name}\":{value}")) }
            }
        };
        filters.iter().map(wanted).collect()
    }

    fn render(&self, kind: Kind, number: u64) -> Rendered {
        Rendered::Raw(self.text(kind, number))
    }
}

impl World for Bulk {
    fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    fn account(&self) -> Value {
        json!({
            "id": "acct_simulatedBulk", "object": "account", "business_type": "company", "charges_enabled": true,
            "country": "US", "created": PRESENT - SPAN.cast_signed(), "default_currency": "usd",
            "details_submitted": true, "email": "owner@example.com", "payouts_enabled": true, "type": "standard",
            "settings": { "dashboard": { "display_name": "Bulk Goods", "timezone": "Etc/UTC" } },
        })
    }

    fn scan(&self, scan: &Scan, take: usize) -> Option<Vec<Rendered>> {
        let Some(kind) = Kind::parse(&scan.kind) else { return Some(Vec::new()) };
        let numbers = self.numbers(kind, scan)?;
        let asked: Vec<(String, String)> = scan.filters.iter().chain(&scan.parent).cloned().collect();
        let filters = self.wanted(kind, &asked);
        let wanted = |number: &u64| self.matches(kind, *number, &filters);
        if scan.before.is_some() {
            let nearest: Vec<u64> = numbers.filter(wanted).take(take).collect();
            return Some(nearest.into_iter().rev().map(|number| self.render(kind, number)).collect());
        }
        Some(numbers.rev().filter(wanted).take(take).map(|number| self.render(kind, number)).collect())
    }

    fn get(&self, kind: &str, id: &str) -> Option<Found> {
        let kind = Kind::parse(kind)?;
        let number = self.number(kind, id)?;
        Some(Found::Live(self.render(kind, number)))
    }

    fn kinds(&self) -> Vec<&'static str> {
        vec!["customer", "charge", "balance_transaction"]
    }

    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let BulkCounts { customers, charges } = self.counts;
        [("customer", customers), ("charge", charges), ("balance_transaction", charges)].into()
    }

    fn advance(&self, seconds: i64) -> Vec<String> {
        self.now.fetch_add(seconds, Ordering::Relaxed);
        Vec::new()
    }
}

/// Whether an object's own property has the value that a query's text means.
fn is(text: &str, name: &str, wanted: &str) -> bool {
    let object: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    match object.get(name) {
        Some(Value::String(text)) => text == wanted,
        Some(value) => serde_json::from_str(wanted).is_ok_and(|wanted: Value| wanted == *value),
        None => false,
    }
}
