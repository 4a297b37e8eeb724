//! What the HTTP half needs from a business.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::shapes::FACTS;

/// A business whose objects a [`Sim`](crate::Sim) shows.
pub trait World: Send + Sync {
    /// The business's present, in Unix seconds.
    fn now(&self) -> i64;
    /// The account object.
    fn account(&self) -> Value;
    /// Up to `take` objects, newest first; with `before`, those next above that cursor. None: the cursor is unknown.
    fn scan(&self, scan: &Scan, take: usize) -> Option<Vec<Rendered>>;
    /// One object, with its nested lists whole.
    fn get(&self, kind: &str, id: &str) -> Option<Found>;
    /// The kinds it has objects of, such as `charge`.
    fn kinds(&self) -> Vec<&'static str>;
    /// How many objects it has of each kind, nested ones too.
    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let count = |kind: &'static str| {
            let all = Scan { kind: kind.to_owned(), ..Scan::default() };
            (kind, self.scan(&all, usize::MAX).map_or(0, |found| found.len() as u64))
        };
        self.kinds().into_iter().map(count).collect()
    }
    /// Lets time pass; gives the ids of the events that happened.
    fn advance(&self, seconds: i64) -> Vec<String>;
    /// Makes so many changes at once, beside those that time brings; gives the ids of their events. A world that cannot
    /// makes none.
    fn step(&self, _changes: u32) -> Vec<String> {
        Vec::new()
    }
    /// What Stripe says when this path is of a feature that the account does not have.
    fn not_enabled(&self, path: &str) -> Option<NotEnabled> {
        NotEnabled::unless_used(path, &["/v1/issuing/", "/v1/treasury/"])
    }
    /// Everything that the list at this path (`/v1/customers/{customer}/tax_ids`) is about, in its order, parent by
    /// parent: what it hides too. None: there is no such list, it is of a
    /// feature that is not enabled, or it is told together with its parents.
    fn truth(&self, list: &str) -> Option<Vec<Truth>> {
        if self.not_enabled(list).is_some() {
            return None;
        }
        let list = FACTS.list(list).filter(|list| list.parent.is_none())?;
        let scan = Scan { kind: list.kind().to_owned(), ..Scan::default() };
        let found = self.scan(&scan, usize::MAX).unwrap_or_default().into_iter();
        let told = |(position, object)| Truth { parent: None, position, standing: Standing::Shown, object };
        Some(found.map(Rendered::into_value).enumerate().map(told).collect())
    }
}

/// An object as it is, and what becomes of it in the list.
#[derive(Debug, Clone, Serialize)]
pub struct Truth {
    /// What it belongs to, in lists of what belongs to others.
    pub parent: Option<String>,
    /// Its place in the list, or among what its parent has.
    pub position: usize,
    /// Whether the list shows it.
    pub standing: Standing,
    /// The object, with every nested list that it shows unasked whole; of a deleted one `{id, object, deleted: true}`.
    /// What is shown only when `include` (v2) asks for it is there.
    pub object: Value,
}

/// Whether a list shows an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Always.
    Shown,
    /// Only with `active=false`.
    Inactive,
    /// Only with `status=canceled`, `ended` or `all`.
    Canceled,
    /// Only with `closed=true`.
    Closed,
    /// On a test clock: only with `test_clock`, or the `customer` it is of.
    TestClock,
    /// Never, but it can be retrieved.
    Unlisted,
    /// It existed.
    Deleted,
}

/// A refusal for want of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEnabled {
    /// HTTP status.
    pub status: u16,
    /// In Stripe's kind of words.
    pub message: String,
}

impl NotEnabled {
    /// A 400 for paths that begin with one of these.
    #[must_use]
    pub fn unless_used(path: &str, unused: &[&str]) -> Option<Self> {
        unused.iter().find(|prefix| path.starts_with(**prefix)).map(|prefix| Self::of(prefix, 400))
    }

    /// The refusal for the product whose paths begin with `prefix`, such as `/v1/issuing/`.
    #[must_use]
    pub fn of(prefix: &str, status: u16) -> Self {
        let product = prefix.split('/').nth(2).unwrap_or_default();
        let name = product.get(..1).unwrap_or_default().to_uppercase() + product.get(1..).unwrap_or_default();
        let name = name.replace('_', " ");
        let message = match status {
            403 => format!(
                "Your account does not have access to {name}. Contact us via https://support.stripe.com/contact to request it."
            ),
            404 => format!(
                "Unrecognized request URL (GET: {prefix}). If you are trying to list objects, remove the trailing slash. {name} is not available for your account."
            ),
            _ => format!(
                "Your account is not set up to use {name}. Please visit https://dashboard.stripe.com/{product} to get started."
            ),
        };
        Self { status, message }
    }
}

/// Which objects of a kind to list.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// The path of the list, with `{names}`, which hides what Stripe hides; empty for all objects of the kind.
    pub list: String,
    /// How the list calls what its objects belong to, and whose are asked for.
    pub parent: Option<(String, String)>,
    /// The objects' `object`, such as `charge`.
    pub kind: String,
    /// Only those created at this second or later.
    pub created_gte: Option<i64>,
    /// Only those created before this second.
    pub created_lt: Option<i64>,
    /// Those below this id.
    pub after: Option<String>,
    /// Those above this id, the nearest of them.
    pub before: Option<String>,
    /// Parameter and value, such as `status` or `due_date[gte]`.
    pub filters: Vec<(String, String)>,
    /// Leaves out canceled subscriptions.
    pub hide_canceled: bool,
    /// What the objects are to show whole: paths of names, within each object.
    pub expand: Vec<Vec<String>>,
    /// Of events, those of one of these types; a `*` at the end stands for any rest. Empty: all.
    pub types: Vec<String>,
}

impl Scan {
    /// Whether an event of this type is asked for.
    #[must_use]
    pub fn wants(&self, own: &str) -> bool {
        self.types.is_empty()
            || self.types.iter().any(|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => own.starts_with(prefix),
                None => own == wanted,
            })
    }
}

/// An object as it goes into an answer.
#[derive(Debug, Clone)]
pub enum Rendered {
    /// A value, nested lists whole.
    Value(Arc<Value>),
    /// JSON text, ready to send.
    Raw(String),
    /// JSON text, ready to send, in which all that the scan expands is expanded.
    Expanded(String),
}

impl Rendered {
    /// The object as a value of its own.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Value(value) => Arc::unwrap_or_clone(value),
            Self::Raw(text) | Self::Expanded(text) => serde_json::from_str(&text).unwrap_or(Value::Null),
        }
    }
}

/// What an id leads to.
#[derive(Debug, Clone)]
pub enum Found {
    /// An object that exists.
    Live(Rendered),
    /// It existed.
    Deleted,
}
