//! Where records of one kind stand, in the order they came.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::books::{Books, View};
use crate::filter;
use crate::world::{Found, Rendered, Scan};

pub(super) use crate::chance::Id;

/// What the books keep of one Stripe object: its facts, from which its JSON is made when asked for.
pub(super) trait Record: Sized + 'static {
    /// The object as Stripe shows it now, nested lists whole.
    fn render(&self, view: &View<'_>) -> Value;
    fn id(&self) -> &Id;
    /// Never earlier than that of the record before it on the shelf.
    fn created(&self) -> i64;
    fn is_deleted(&self) -> bool {
        false
    }
    /// Of an event, its type.
    fn event_type(&self) -> Option<&'static str> {
        None
    }
    /// Whether a list filter passes it. None: the rendered property decides.
    fn passes(&self, _view: &View<'_>, _name: &str, _wanted: &str) -> Option<bool> {
        None
    }
    fn shelf(books: &Books) -> &Shelf<Self>;
    fn shelf_mut(books: &mut Books) -> &mut Shelf<Self>;
}

/// Names a record for as long as its shelf exists.
pub(super) struct Handle<T> {
    place: usize,
    kind: PhantomData<fn() -> T>,
}

/// Records in the order they came; only the oldest may be dropped.
pub(super) struct Shelf<T> {
    records: VecDeque<T>,
    dropped: usize,
    places: HashMap<Id, usize>,
}

impl<T: Record> Shelf<T> {
    pub(super) fn push(&mut self, record: T) -> Handle<T> {
        let place = self.dropped + self.records.len();
        self.places.insert(Arc::clone(record.id()), place);
        self.records.push_back(record);
        Handle { place, kind: PhantomData }
    }

    pub(super) fn find(&self, id: &str) -> Option<Handle<T>> {
        self.places.get(id).map(|&place| Handle { place, kind: PhantomData })
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The record `back` places before the newest.
    pub(super) fn newest(&self, back: usize) -> Option<Handle<T>> {
        let index = self.records.len().checked_sub(back + 1)?;
        Some(Handle { place: self.dropped + index, kind: PhantomData })
    }

    /// Drops the records created before `at`; handles to them are no good any more.
    pub(super) fn drop_before(&mut self, at: i64) {
        while self.records.front().is_some_and(|record| record.created() < at) {
            if let Some(record) = self.records.pop_front() {
                self.places.remove(record.id());
                self.dropped += 1;
            }
        }
    }

    #[expect(clippy::indexing_slicing, reason = "a handle comes from its shelf, and only events are dropped")]
    pub(super) fn at(&self, handle: Handle<T>) -> &T {
        &self.records[handle.place - self.dropped]
    }

    #[expect(clippy::indexing_slicing, reason = "a handle comes from its shelf, and only events are dropped")]
    pub(super) fn at_mut(&mut self, handle: Handle<T>) -> &mut T {
        &mut self.records[handle.place - self.dropped]
    }

    /// Oldest first, deleted ones too.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.records.iter()
    }

    /// The indexes that the scan's times and cursors leave. None: a cursor is unknown.
    fn window(&self, scan: &Scan) -> Option<Range<usize>> {
        let first = |at: i64| self.records.partition_point(|record| record.created() < at);
        let mut window = scan.created_gte.map_or(0, first)..scan.created_lt.map_or(self.records.len(), first);
        if let Some(id) = &scan.after {
            window.end = window.end.min(self.cursor(id)?);
        }
        if let Some(id) = &scan.before {
            window.start = window.start.max(self.cursor(id)? + 1);
        }
        Some(window)
    }

    fn cursor(&self, id: &str) -> Option<usize> {
        let index = self.places.get(id)? - self.dropped;
        self.records.get(index).filter(|record| !record.is_deleted()).map(|_| index)
    }
}

/// A shelf, whatever it holds.
pub(super) trait Rack {
    fn scan(&self, view: &View<'_>, scan: &Scan, take: usize) -> Option<Vec<Rendered>>;
    fn get(&self, view: &View<'_>, id: &str) -> Option<Found>;
    /// Every object, newest first; of a deleted one what Stripe still tells.
    fn truth(&self, view: &View<'_>, kind: &str) -> Vec<Value>;
}

impl<T: Record> Rack for Shelf<T> {
    fn scan(&self, view: &View<'_>, scan: &Scan, take: usize) -> Option<Vec<Rendered>> {
        let Range { start, end } = self.window(scan)?;
        let shown = |index: usize| {
            let record = self.records.get(index).filter(|record| !record.is_deleted())?;
            passing(record, view, scan)
        };
        if scan.before.is_some() {
            let mut found: Vec<Rendered> = (start..end).filter_map(shown).take(take).collect();
            found.reverse();
            return Some(found);
        }
        Some((start..end).rev().filter_map(shown).take(take).collect())
    }

    fn get(&self, view: &View<'_>, id: &str) -> Option<Found> {
        let record = self.at(self.find(id)?);
        if record.is_deleted() {
            return Some(Found::Deleted);
        }
        Some(Found::Live(Rendered::Value(Arc::new(record.render(view)))))
    }

    fn truth(&self, view: &View<'_>, kind: &str) -> Vec<Value> {
        let told = |record: &T| match record.is_deleted() {
            true => serde_json::json!({ "id": &**record.id(), "object": kind, "deleted": true }),
            false => record.render(view),
        };
        self.records.iter().rev().map(told).collect()
    }
}

/// The record's JSON if it passes the scan's filters.
fn passing<T: Record>(record: &T, view: &View<'_>, scan: &Scan) -> Option<Rendered> {
    let mut rendered = None;
    if record.event_type().is_some_and(|own| !scan.wants(own)) {
        return None;
    }
    if scan.hide_canceled && record.passes(view, "status", "canceled") == Some(true) {
        return None;
    }
    for (name, wanted) in &scan.filters {
        let passes = record.passes(view, name, wanted).unwrap_or_else(|| {
            let value: &mut Value = rendered.get_or_insert_with(|| record.render(view));
            filter::passes(value, name, wanted)
        });
        if !passes {
            return None;
        }
    }
    Some(Rendered::Value(Arc::new(rendered.unwrap_or_else(|| record.render(view)))))
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { records: VecDeque::new(), dropped: 0, places: HashMap::new() }
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl<T> Eq for Handle<T> {}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.place)
    }
}
