//! The company: its books, its clock, and what it has planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::StorySpec;
use super::books::{Books, View};
use super::catalogue::Catalogue;
use super::event::{CURRENT_VERSION, Event, OLD_VERSION, in_old_shape};
use super::payout::Transaction;
use super::shelf::{Handle, Id, Record};
use super::task::Task;
use crate::chance::{Chance, Ids, id};
use crate::difference::previous;

/// A day in seconds.
pub(super) const DAY: i64 = 86_400;
/// How long Stripe keeps events.
pub(super) const EVENT_RETENTION: i64 = 30 * DAY;

/// The business and its present.
///
/// Everything that happens is a [`Task`] with its second; tasks run in the order of their seconds, so records come to
/// their shelves in the order of `created`, however far the clock is moved at a time.
pub(super) struct Business {
    pub(super) spec: StorySpec,
    pub(super) books: Books,
    pub(super) catalogue: Catalogue,
    pub(super) chance: Chance,
    pub(super) ids: Ids,
    pub(super) now: i64,
    pub(super) began: i64,
    /// What caused the changes of the moment.
    pub(super) request: Option<(Id, Id)>,
    /// Money that no payout has taken to the bank yet.
    pub(super) waiting: Vec<Handle<Transaction>>,
    /// Events before this second are not kept: they would be gone by the end.
    records_from: i64,
    told: u64,
    queue: BinaryHeap<Reverse<Due>>,
    queued: u64,
}

struct Due {
    at: i64,
    number: u64,
    task: Task,
}

impl Business {
    /// A business that has lived until the spec's end.
    pub(super) fn new(spec: StorySpec) -> Self {
        let began = spec.end - spec.end.rem_euclid(DAY) - spec.days() * DAY;
        let mut business = Self {
            spec,
            books: Books::default(),
            catalogue: Catalogue::default(),
            chance: Chance::new(spec.seed),
            ids: Ids::new(spec.seed),
            now: began,
            began,
            request: None,
            waiting: Vec::new(),
            records_from: spec.end - EVENT_RETENTION,
            told: 0,
            queue: BinaryHeap::new(),
            queued: 0,
        };
        business.plan(began, Task::Open);
        business.run_until(spec.end);
        business
    }

    /// Lives on until `end`.
    pub(super) fn run_until(&mut self, end: i64) {
        while self.queue.peek().is_some_and(|Reverse(due)| due.at <= end) {
            let Some(Reverse(due)) = self.queue.pop() else { break };
            self.now = due.at;
            self.perform(due.task);
        }
        self.now = self.now.max(end);
        self.books.events.drop_before(self.now - EVENT_RETENTION);
    }

    /// Does a task as a request of its own.
    pub(super) fn ask(&mut self, act: impl FnOnce(&mut Self)) {
        self.request = Some((self.ids.next("req_", 14), self.ids.next("stripe-node-retry-", 24)));
        act(self);
        self.request = None;
    }

    /// Puts a task on the calendar; not before the present.
    pub(super) fn plan(&mut self, at: i64, task: Task) {
        self.queued += 1;
        self.queue.push(Reverse(Due { at: at.max(self.now), number: self.queued, task }));
    }

    pub(super) fn plan_in_days(&mut self, days: i64, task: Task) {
        let seconds = self.chance.between(0..=DAY - 1);
        self.plan(self.now + days * DAY + seconds, task);
    }

    pub(super) fn view(&self) -> View<'_> {
        View { books: &self.books, now: self.now, livemode: self.spec.livemode }
    }

    pub(super) fn at<T: Record>(&self, handle: Handle<T>) -> &T {
        T::shelf(&self.books).at(handle)
    }

    /// Puts a record on its shelf and tells so.
    pub(super) fn add<T: Record>(&mut self, record: T, name: &'static str) -> Handle<T> {
        let handle = T::shelf_mut(&mut self.books).push(record);
        self.tell(name, handle);
        handle
    }

    /// Changes a record, and tells each of `names` with what it was before. What does not change is not told.
    pub(super) fn change<T: Record>(
        &mut self,
        handle: Handle<T>,
        names: &[&'static str],
        edit: impl FnOnce(&mut T),
    ) {
        let before = self.keeps_events().then(|| self.at(handle).render(&self.view()));
        edit(T::shelf_mut(&mut self.books).at_mut(handle));
        let after = before.as_ref().map(|_| self.at(handle).render(&self.view()));
        let former = before.zip(after.as_ref()).and_then(|(before, after)| previous(&before, after));
        for name in names {
            let update = name.ends_with(".updated");
            if update && after.is_some() && former.is_none() {
                self.told += 1;
                continue;
            }
            self.record(name, after.clone(), former.clone().filter(|_| update));
        }
    }

    /// Tells of a record as it is.
    pub(super) fn tell<T: Record>(&mut self, name: &'static str, handle: Handle<T>) {
        let object = self.keeps_events().then(|| self.at(handle).render(&self.view()));
        self.record(name, object, None);
    }

    fn keeps_events(&self) -> bool {
        self.now >= self.records_from
    }

    fn record(
        &mut self,
        name: &'static str,
        object: Option<serde_json::Value>,
        previous: Option<serde_json::Value>,
    ) {
        self.told += 1;
        let Some(object) = object else { return };
        let old = self.told.is_multiple_of(3);
        let (version, object) =
            if old { (OLD_VERSION, in_old_shape(object, &self.view())) } else { (CURRENT_VERSION, object) };
        let event = Event {
            id: id("evt_1", 23, self.spec.seed, u64::MAX - self.told),
            created: self.now,
            name,
            version,
            object: object.to_string(),
            previous,
            request: self.request.clone(),
        };
        self.books.events.push(event);
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
