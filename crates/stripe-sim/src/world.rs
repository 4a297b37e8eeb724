//! What the HTTP half needs from a business.

use std::sync::Arc;

use serde_json::Value;

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
    /// Lets time pass; gives the ids of the events that happened.
    fn advance(&self, seconds: i64) -> Vec<String>;
}

/// Which objects of a kind to list.
#[derive(Debug, Clone, Default)]
pub struct Scan {
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
    /// Property and the value it must have.
    pub filters: Vec<(String, String)>,
    /// Leaves out canceled subscriptions.
    pub hide_canceled: bool,
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
}

/// What an id leads to.
#[derive(Debug, Clone)]
pub enum Found {
    /// An object that exists.
    Live(Rendered),
    /// It existed.
    Deleted,
}
