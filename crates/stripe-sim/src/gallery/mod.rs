//! Some of everything that Stripe lists: a small account that uses every feature there is.

mod birth;
mod event;
mod moves;
mod paint;
mod rooms;
mod shelf;
#[cfg(test)]
pub(crate) mod tests;
mod words;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;

pub use self::moves::{Change, What};
use self::rooms::Rooms;
use crate::world::{Found, NotEnabled, Rendered, Scan, Truth, World};

/// What is in a [`Gallery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GallerySpec {
    /// Two galleries of equal spec are equal.
    pub seed: u64,
    /// Its present, in Unix seconds.
    pub now: i64,
    /// What its objects say of themselves.
    pub livemode: bool,
    /// Features that the account does not have: what their paths begin with, such as `/v1/issuing/`, and the HTTP
    /// status that Stripe refuses with (400, 403 or 404).
    pub not_enabled: Vec<(String, u16)>,
    /// Whether `prices` and `tax_rates` list inactive ones only when asked for them: sources disagree (trap 10).
    pub hide_inactive: bool,
    /// How many events in a thousand are rendered in an older API version.
    pub old_events_per_mille: u32,
    /// Seconds from one change to the next as the clock moves; 0: nothing changes but by [`Gallery::change`].
    pub change_every: i64,
}

impl Default for GallerySpec {
    /// 2026-11-01, in test mode, with every feature, a tenth of its events old, and still.
    fn default() -> Self {
        Self {
            seed: 1,
            now: 1_793_491_200,
            livemode: false,
            not_enabled: Vec::new(),
            hide_inactive: true,
            old_events_per_mille: 100,
            change_every: 0,
        }
    }
}

/// A seeded account with objects of every kind that Stripe's SDK can list.
///
/// Objects fit the SDK's types: what can be null or absent sometimes is, amounts exceed 32 bits, currencies have
/// none or three decimals, texts are of any language, a few objects have properties that the SDK does not know. The first
/// of each list has everything it can have, the second nothing that it need not. Where a kind refers to another that can
/// be listed, the reference resolves. Parents have 3, 0, 10, 25 and more than 100 children, then one each.
/// It has lived for ten days before its present, so there are events.
pub struct Gallery {
    spec: GallerySpec,
    rooms: RwLock<Rooms>,
}

impl Gallery {
    /// Fills a gallery.
    #[must_use]
    pub fn new(spec: GallerySpec) -> Self {
        let rooms = RwLock::new(Rooms::furnished(&spec));
        Self { spec, rooms }
    }

    /// Makes so many changes, a second or less apart, which moves the clock on: objects of all lists are created, edited
    /// and deleted. What Stripe tells of it, and what not, the events do.
    pub fn change(&self, count: u32) -> Vec<Change> {
        let mut rooms = self.write();
        let mut changes = Vec::new();
        for _ in 0..count {
            rooms.now += rooms.chance.between(0..=1);
            changes.extend(rooms.change(&self.spec));
        }
        changes
    }

    fn read(&self) -> RwLockReadGuard<'_, Rooms> {
        self.rooms.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rooms> {
        self.rooms.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World for Gallery {
    fn now(&self) -> i64 {
        self.read().now
    }

    fn account(&self) -> Value {
        self.read().account.clone()
    }

    fn scan(&self, scan: &Scan, take: usize) -> Option<Vec<Rendered>> {
        let rooms = self.read();
        let found = rooms.scan(scan, take)?;
        Some(found.into_iter().map(|entry| Rendered::Value(Arc::new(rooms.whole(entry)))).collect())
    }

    fn get(&self, kind: &str, id: &str) -> Option<Found> {
        let rooms = self.read();
        let entry = rooms.find(kind, id)?;
        Some(match entry.is_deleted() {
            true => Found::Deleted,
            false => Found::Live(Rendered::Value(Arc::new(rooms.whole(entry)))),
        })
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.read().kinds()
    }

    fn advance(&self, seconds: i64) -> Vec<String> {
        let mut rooms = self.write();
        let end = rooms.now + seconds.max(0);
        let mut events = Vec::new();
        while self.spec.change_every > 0
            && rooms.now - rooms.now.rem_euclid(self.spec.change_every) + self.spec.change_every <= end
        {
            rooms.now += self.spec.change_every - rooms.now.rem_euclid(self.spec.change_every);
            events.extend(rooms.change(&self.spec).into_iter().flat_map(|change| change.events));
        }
        rooms.now = end;
        rooms.forget();
        events
    }

    fn step(&self, changes: u32) -> Vec<String> {
        self.change(changes).into_iter().flat_map(|change| change.events).collect()
    }

    fn not_enabled(&self, path: &str) -> Option<NotEnabled> {
        let found = self.spec.not_enabled.iter().find(|(prefix, _)| path.starts_with(prefix.as_str()));
        found.map(|(prefix, status)| NotEnabled::of(prefix, *status))
    }

    fn truth(&self, list: &str) -> Option<Vec<Truth>> {
        self.read().truth(list)
    }
}
