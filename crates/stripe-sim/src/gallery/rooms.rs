//! All lists and what is in them.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::GallerySpec;
use super::shelf::{Entry, Shelf};
use crate::chance::{Chance, Ids};
use crate::shapes::{FACTS, List, Type};
use crate::world::{Scan, Truth};

/// Nested lists that need not be there by the SDK's types, and are shown unasked all the same.
const SHOWN: [(&str, &str); 2] = [("file", "links"), ("account", "external_accounts")];

/// The whole gallery.
pub(super) struct Rooms {
    pub(super) now: i64,
    pub(super) livemode: bool,
    pub(super) chance: Chance,
    pub(super) ids: Ids,
    /// The account itself, which its list of accounts leaves out.
    pub(super) account: Value,
    pub(super) shelves: Vec<Shelf>,
    /// By kind, the ids that references may name: of what exists, and of deleted customers.
    pub(super) known: HashMap<&'static str, Vec<String>>,
}

impl Rooms {
    /// Every list, empty.
    pub(super) fn empty(spec: &GallerySpec) -> Self {
        let shelves = FACTS.lists.iter().chain(&FACTS.unlisted).map(Shelf::new).collect();
        Self {
            now: spec.now,
            livemode: spec.livemode,
            chance: Chance::new(spec.seed),
            ids: Ids::new(spec.seed),
            account: Value::Null,
            shelves,
            known: HashMap::new(),
        }
    }

    pub(super) fn shelf(&self, path: &str) -> Option<&Shelf> {
        self.shelves.iter().find(|shelf| shelf.list.path == path)
    }

    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let mut kinds: Vec<&'static str> =
            self.shelves.iter().flat_map(|shelf| shelf.list.objects.iter().map(String::as_str)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// An object, wherever it stands; one that exists before one that did.
    pub(super) fn find(&self, kind: &str, id: &str) -> Option<&Entry> {
        let shelves = self.shelves.iter().filter(|shelf| shelf.holds(kind));
        shelves.filter_map(|shelf| shelf.find(kind, id)).min_by_key(|entry| entry.is_deleted())
    }

    /// The page that a scan asks for, in the list's order. None: its cursor is unknown.
    pub(super) fn scan(&self, scan: &Scan, take: usize) -> Option<Vec<&Entry>> {
        let (scan, shelves) = self.asked(scan);
        let all: Vec<&Entry> = shelves.iter().flat_map(|shelf| shelf.of(scan.parent.clone())).collect();
        let place = |id: &String| all.iter().position(|entry| entry.id == *id && !entry.is_deleted());
        let start = scan.after.as_ref().map_or(Some(0), |id| place(id).map(|at| at + 1))?;
        let end = scan.before.as_ref().map_or(Some(all.len()), place)?;
        let window = all.get(start..end).unwrap_or_default().iter().copied();
        if scan.before.is_some() {
            let mut found: Vec<&Entry> =
                window.rev().filter(|entry| entry.passes(&scan)).take(take).collect();
            found.reverse();
            return Some(found);
        }
        Some(window.filter(|entry| entry.passes(&scan)).take(take).collect())
    }

    /// The shelves that a scan is about. With `customer`, the account's list of payment methods is that customer's.
    fn asked<'a>(&'a self, scan: &Scan) -> (Scan, Vec<&'a Shelf>) {
        let mut scan = scan.clone();
        let Some(shelf) = self.shelf(&scan.list) else {
            let shelves = self.shelves.iter().filter(|shelf| shelf.holds(&scan.kind)).collect();
            return (scan, shelves);
        };
        let owned = |other: &&Shelf| shelf.list.parent.is_none() && other.list.objects == shelf.list.objects;
        let sibling = self.shelves.iter().filter(owned).find_map(|other| {
            let parent = other.list.parent.as_ref()?;
            let place = scan.filters.iter().position(|(name, _)| *name == parent.name)?;
            Some((other, place))
        });
        match sibling {
            Some((other, place)) => {
                scan.parent = Some(scan.filters.remove(place));
                (scan, vec![other])
            }
            None => (scan, vec![shelf]),
        }
    }

    /// An object with every nested list that it shows unasked, whole.
    pub(super) fn whole(&self, entry: &Entry) -> Value {
        let mut value = (*entry.value).clone();
        let Value::Object(members) = &mut value else { return value };
        for property in FACTS.properties(entry.kind) {
            let shown = !property.optional || SHOWN.contains(&(entry.kind, property.name.as_str()));
            if !matches!(property.kind, Type::List(_)) || !shown {
                continue;
            }
            if let Some((list, name)) = FACTS.nested(entry.kind, &property.name) {
                members.insert(property.name.clone(), self.nested(list, name, &entry.id));
            }
        }
        value
    }

    fn nested(&self, list: &'static List, name: &str, id: &str) -> Value {
        let scan = Scan {
            list: list.holder().to_owned(),
            parent: Some((name.to_owned(), id.to_owned())),
            ..Scan::default()
        };
        let members = self.scan(&scan, usize::MAX).unwrap_or_default();
        let data: Vec<Value> = members.into_iter().map(|entry| self.whole(entry)).collect();
        json!({ "object": "list", "data": data, "has_more": false, "url": list.url_of(name, id) })
    }

    pub(super) fn truth(&self, list: &str) -> Option<Vec<Truth>> {
        let mut places: HashMap<Option<&String>, usize> = HashMap::new();
        let told = |entry: &Entry, position| Truth {
            parent: entry.parent.clone(),
            position,
            standing: entry.standing,
            object: if entry.is_deleted() { entry.stub() } else { self.whole(entry) },
        };
        let shelf = self.shelf(list)?;
        let entries = shelf.ordered().map(|entry| {
            let place = places.entry(entry.parent.as_ref()).or_default();
            // Deleted ones take no place.
            *place += usize::from(!entry.is_deleted());
            told(entry, place.saturating_sub(1))
        });
        let mut entries: Vec<Truth> = entries.collect();
        let mut parents: Vec<Option<String>> = Vec::new();
        for entry in &entries {
            if !parents.contains(&entry.parent) {
                parents.push(entry.parent.clone());
            }
        }
        entries.sort_by_key(|entry| parents.iter().position(|parent| *parent == entry.parent));
        Some(entries)
    }
}
