//! What a decoder gives.

use arrow_array::RecordBatch;
use serde_json::value::RawValue;

use crate::{Child, elements::written, object::Object};

/// A decoded list page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Every object of the page in its order, those passed over too.
    pub keys: Vec<Key>,
    /// Stripe says that the list goes on.
    pub has_more: bool,
    /// Where it goes on, as API v2 says it: path and query (trap 6).
    pub next: Option<String>,
    /// Nested lists that were cut.
    pub incomplete: Vec<Incomplete>,
}

/// What a cursor needs to know of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Its second, if it has one.
    pub created: Option<i64>,
}

/// A nested list of which Stripe showed only the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incomplete {
    /// Which of the resource's children.
    pub child: usize,
    /// The parent's id.
    pub parent: String,
    /// The last child shown.
    pub after: String,
    /// The place of the next one.
    pub position: i64,
}

/// What one retrieved object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum One {
    /// It became a row.
    Row {
        /// Nested lists that were cut.
        incomplete: Vec<Incomplete>,
    },
    /// Stripe's stub of a deleted object: its id. No row was added.
    Deleted(String),
}

/// Rows, ready for a warehouse.
#[derive(Debug)]
pub struct Decoded {
    /// The resource's own.
    pub rows: RecordBatch,
    /// Those of its nested lists, in the order of the resource's children.
    pub nested: Vec<Nested>,
    /// What could not be decoded as it should.
    pub rejects: Vec<Reject>,
}

/// What one nested list brought.
#[derive(Debug)]
pub struct Nested {
    /// Which list.
    pub child: &'static Child,
    /// Its rows.
    pub rows: RecordBatch,
    /// The parents that showed the list, be it empty. One that did not show it says nothing about its children.
    pub parents: Vec<String>,
}

/// Something that was not as the catalogue expects. Nothing is lost: a value is in its row's `_extra` too, an object
/// without a row is in `raw`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The table.
    pub table: &'static str,
    /// The object, if it has an id.
    pub id: Option<String>,
    /// Where in the object, as a JSON pointer.
    pub pointer: String,
    /// What was expected.
    pub reason: String,
    /// The JSON as it was sent.
    pub raw: String,
}

/// An answer that is no list page, or no object.
#[derive(Debug, thiserror::Error)]
#[error("could not decode {what}")]
pub struct DecodeError {
    pub(crate) what: &'static str,
    #[source]
    pub(crate) source: serde_json::Error,
}

impl DecodeError {
    /// The answer is no JSON, or ends too early: asking again may help.
    #[must_use]
    pub fn is_syntax(&self) -> bool {
        self.source.is_syntax() || self.source.is_eof()
    }
}

impl Reject {
    /// A nested list that goes on without an id to go on from: the rest cannot be asked for.
    pub(crate) fn endless(table: &'static str, id: &str, child: &Child, raw: &RawValue) -> Self {
        Self {
            table,
            id: Some(id.to_owned()),
            pointer: format!("/{}", child.property),
            reason: "the nested list goes on, but shows no id to go on from".to_owned(),
            raw: raw.get().to_owned(),
        }
    }

    pub(crate) fn whole(table: &'static str, id: Option<String>, reason: &str, object: &Object<'_>) -> Self {
        let raw = written(object.0.iter().map(|(name, raw)| (name.0.as_ref(), raw.get())));
        Self { table, id, pointer: String::new(), reason: reason.to_owned(), raw }
    }
}
