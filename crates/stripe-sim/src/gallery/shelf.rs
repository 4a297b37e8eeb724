//! Where the objects of one list stand.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::filter;
use crate::shapes::List;
use crate::world::{Scan, Standing};

/// One object.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) kind: &'static str,
    /// What it belongs to.
    pub(super) parent: Option<String>,
    pub(super) created: i64,
    /// Without the nested lists that are lists of their own.
    pub(super) value: Arc<Value>,
    pub(super) standing: Standing,
}

/// The objects of one list, in the order they came.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) list: &'static List,
    pub(super) entries: Vec<Entry>,
}

impl Entry {
    pub(super) fn is_deleted(&self) -> bool {
        self.standing == Standing::Deleted
    }

    /// What is left of it once it is deleted.
    pub(super) fn stub(&self) -> Value {
        json!({ "id": self.id, "object": self.kind, "deleted": true })
    }

    /// Whether a list that is asked like this shows it, its filters aside.
    fn is_shown(&self, scan: &Scan) -> bool {
        let asked = |name: &str, values: &[&str]| {
            scan.filters.iter().any(|(known, value)| known == name && values.contains(&value.as_str()))
        };
        let named = |name: &str| scan.filters.iter().any(|(known, _)| known == name);
        match self.standing {
            Standing::Deleted => false,
            _ if scan.list.is_empty() => true,
            Standing::Shown => true,
            Standing::Canceled => !scan.hide_canceled,
            Standing::Inactive => asked("active", &["false"]),
            Standing::Closed => asked("closed", &["true"]),
            Standing::TestClock => named("test_clock") || named("customer") || scan.parent.is_some(),
            Standing::Unlisted => false,
        }
    }

    fn is_within(&self, scan: &Scan) -> bool {
        scan.created_gte.is_none_or(|from| self.created >= from)
            && scan.created_lt.is_none_or(|end| self.created < end)
            && (self.kind != "event"
                || self.value.get("type").and_then(Value::as_str).is_some_and(|own| scan.wants(own)))
    }

    /// Whether it is in a list that is asked like this.
    pub(super) fn passes(&self, scan: &Scan) -> bool {
        self.is_shown(scan) && self.is_within(scan) && filter::passes_all(&self.value, &scan.filters)
    }
}

impl Shelf {
    pub(super) fn new(list: &'static List) -> Self {
        Self { list, entries: Vec::new() }
    }

    /// Its objects as the list orders them: newest first, or as their parent has them.
    pub(super) fn ordered(&self) -> Box<dyn Iterator<Item = &Entry> + '_> {
        if self.list.is_in_order() {
            Box::new(self.entries.iter())
        } else {
            Box::new(self.entries.iter().rev())
        }
    }

    /// Whether objects of the kind stand here.
    pub(super) fn holds(&self, kind: &str) -> bool {
        self.list.objects.iter().any(|object| object == kind)
    }

    /// What belongs to this parent, or everything, as the list orders it. Where objects belong to none, one of their
    /// properties names it.
    pub(super) fn of(&self, parent: Option<(String, String)>) -> impl Iterator<Item = &Entry> {
        let owned = self.list.parent.is_some();
        self.ordered().filter(move |entry| {
            parent.as_ref().is_none_or(|(name, id)| match owned {
                true => entry.parent.as_ref() == Some(id),
                false => filter::equals(entry.value.get(name), id),
            })
        })
    }

    /// The newest entry of this id.
    pub(super) fn find(&self, kind: &str, id: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.kind == kind && entry.id == id)
    }
}
