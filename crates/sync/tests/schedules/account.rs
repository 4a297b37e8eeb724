//! A small account that changes while it is copied, and shows its changes as late and as untidily as Stripe does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use serde_json::{Value, json};
use stripe_sim::world::{Found, Rendered, Scan, World};

use crate::{
    dice::Dice,
    objects::{self, Birth, ENTITLEMENT, KINDS, Kind, kind_of},
    post::Post,
};

/// The present of a new account.
const BEGAN: i64 = 1_790_000_000;
const DAY: i64 = 86_400;
/// Stripe keeps events for so long (trap 14).
const KEPT: i64 = 30 * DAY;

/// One change of the account. Whom it concerns is drawn from those that are there: `pick` of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Time passes.
    Wait(i64),
    /// A new object, which lists show only `late` seconds after its second (trap 4).
    Create { kind: &'static str, late: i64 },
    /// The event comes `late` seconds after its second.
    Edit { kind: &'static str, pick: u64, late: i64 },
    /// Children that come, go, change and move.
    Children { kind: &'static str, pick: u64, more: u64, fewer: usize },
    /// An object goes for good.
    Delete { kind: &'static str, pick: u64, late: i64 },
    /// A coupon that went is made again under its old id.
    MakeAgain { pick: u64 },
    /// A subscription is canceled; a price, plan or product no longer active.
    End { kind: &'static str, pick: u64 },
    /// A dispute, which changes its charge without an event of the charge's own.
    Dispute { pick: u64 },
    /// An event that says nothing new, or names nothing (trap 16).
    Noise { pick: u64, names: bool },
    /// What one parent has: some more, and some fewer where they can go.
    Apart { kind: &'static str, pick: u64, more: u64, fewer: usize },
    /// Events that were on their way are pushed, in any order, some of them again.
    Push { pick: u64, most: usize },
    /// The clock of the machine that copies is set: so many seconds off from then on.
    SetClock(i64),
}

/// The account. What happened is written down, for whoever has to understand a failure.
#[derive(Debug)]
pub(crate) struct Account {
    state: Mutex<State>,
    hides_inactive: bool,
    /// What it pushes.
    pub(crate) post: Arc<Post>,
}

#[derive(Debug)]
struct State {
    now: i64,
    dice: Dice,
    last: u64,
    kinds: BTreeMap<&'static str, Vec<Object>>,
    history: BTreeMap<(&'static str, String), Vec<Arc<Value>>>,
    gone: BTreeSet<(&'static str, String)>,
    journal: Vec<String>,
    post: Arc<Post>,
    clock_off: i64,
}

#[derive(Debug, Clone)]
struct Object {
    id: String,
    /// Whose list shows it, where each has its own.
    parent: Option<String>,
    created: i64,
    /// Among those of its second.
    place: u64,
    /// Lists show it from then on.
    shown: i64,
    value: Arc<Value>,
}

impl Account {
    /// An account of about `size` objects. Of a thousand events it pushes so many at once.
    pub(crate) fn new(mut dice: Dice, size: usize, hides_inactive: bool, pushed: u64) -> Self {
        let (kinds, history, gone, journal) = <_>::default();
        let quiet = Arc::new(Post::new(0, dice.apart()));
        let post = Arc::new(Post::new(pushed, dice.apart()));
        let (now, last, clock_off) = (BEGAN, 0, 0);
        let mut state = State { now, dice, last, kinds, history, gone, journal, post: quiet, clock_off };
        // Many share a second, and some are young enough to be within every watermark's hold-back.
        let seconds: Vec<i64> = (0..size / 3 + 1)
            .map(|_| {
                let far = *state.dice.pick(&[100, 10_000, 40 * DAY, 400 * DAY]);
                BEGAN - state.dice.between(0, far)
            })
            .collect();
        let mut all: Vec<i64> = (0..size).map(|_| *state.dice.pick(&seconds)).collect();
        all.sort_unstable();
        for second in all {
            let kind = state.likely_kind();
            state.now = second;
            state.create(kind, second, second);
        }
        state.now = BEGAN;
        for kind in KINDS.iter().filter(|kind| kind.of.is_some()) {
            let (pick, more) = (state.dice.next(), *state.dice.pick(&[0, 1, 9, 25]));
            state.change_apart(kind, pick, more, 0);
        }
        for _ in 0..size / 12 {
            let pick = state.dice.next();
            state.delete(kind_of("customer"), pick, 0);
        }
        state.expire();
        state.journal.clear();
        // Nobody was there to push to.
        state.post = Arc::clone(&post);
        Self { state: Mutex::new(state), hides_inactive, post }
    }

    /// Makes a change, and writes it down with what led to it.
    pub(crate) fn change(&self, change: &Change, when: &str) {
        let mut state = self.lock();
        let before = state.journal.len();
        state.change(change);
        for line in &mut state.journal[before..] {
            line.insert_str(0, when);
        }
    }

    pub(crate) fn note(&self, what: String) {
        self.lock().journal.push(what);
    }

    pub(crate) fn journal(&self) -> Vec<String> {
        self.lock().journal.clone()
    }

    /// The objects of a kind that there are, by id.
    pub(crate) fn truth(&self, kind: &str) -> BTreeMap<String, Arc<Value>> {
        let state = self.lock();
        let there = state.kinds.get(kind).into_iter().flatten();
        there.map(|object| (object.id.clone(), Arc::clone(&object.value))).collect()
    }

    /// Parent and id of what is listed parent by parent, as the lists show it.
    pub(crate) fn order(&self, kind: &str) -> Vec<(String, String)> {
        let state = self.lock();
        let there = state.kinds.get(kind).into_iter().flatten();
        there.filter_map(|object| Some((object.parent.clone()?, object.id.clone()))).collect()
    }

    /// How many seconds the clock of the machine that copies is off.
    pub(crate) fn clock_off(&self) -> i64 {
        self.lock().clock_off
    }

    /// How an object looked at any time; of events, also of those that Stripe no longer keeps.
    pub(crate) fn past(&self, kind: &'static str, id: &str) -> Vec<Arc<Value>> {
        self.lock().history.get(&(kind, id.to_owned())).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn change(&mut self, change: &Change) {
        match *change {
            Change::Wait(seconds) => {
                self.now += seconds;
                self.expire();
                self.journal.push(format!("{seconds} s pass, it is {}", self.now));
            }
            Change::Create { kind, late } => self.create(kind_of(kind), self.now, self.now + late),
            Change::Edit { kind, pick, late } => self.alter(kind_of(kind), pick, late, objects::edit),
            Change::Children { kind, pick, more, fewer } => {
                let (first, own) = (self.last + 1_000, kind_of(kind));
                self.last += more;
                self.alter(own, pick, 0, |parent, dice| {
                    objects::shrink(own, parent, fewer, dice);
                    (0..more).for_each(|number| objects::grow(own, parent, first + number, dice));
                });
            }
            Change::Delete { kind, pick, late } => self.delete(kind_of(kind), pick, late),
            Change::MakeAgain { pick } => self.make_again(pick),
            Change::End { kind, pick } => self.alter(kind_of(kind), pick, 0, |object, _| {
                let (property, value) = if kind == "subscription" {
                    ("status", json!("canceled"))
                } else {
                    ("active", json!(false))
                };
                object[property] = value;
            }),
            Change::Dispute { pick } => self.dispute(pick),
            Change::Noise { pick, names } => {
                let Some(object) = self.picked("customer", pick) else { return };
                let shown =
                    if names { self.shown("customer", &object) } else { json!({ "object": "invoice" }) };
                self.event("noise", &shown, 0);
            }
            Change::Apart { kind, pick, more, fewer } => self.change_apart(kind_of(kind), pick, more, fewer),
            Change::Push { pick, most } => {
                let pushed = self.post.deliver(pick, most);
                self.journal.push(format!("pushed: {pushed:?}"));
            }
            Change::SetClock(off) => {
                self.clock_off = off;
                self.journal.push(format!("the clock is set, it is {off} s off"));
            }
        }
    }

    fn likely_kind(&mut self) -> &'static Kind {
        match self.dice.below(3) {
            0 => self.dice.pick(&KINDS[..8]),
            _ => self.dice.pick(&KINDS),
        }
    }

    /// The lists of a few parents are long, those of others short.
    fn change_apart(&mut self, kind: &'static Kind, pick: u64, more: u64, fewer: usize) {
        let Some(parent) = self.parent_for(kind, pick % 3) else { return };
        for _ in 0..more {
            self.last += 1;
            let id = objects::id(kind, self.last);
            self.create_in(kind, &id, Some(&parent), [self.now; 2]);
        }
        for _ in 0..if kind.goes { fewer } else { 0 } {
            let of_parent = |object: &&Object| object.parent.as_ref() == Some(&parent);
            let own: Vec<String> = self
                .kinds
                .get(kind.name)
                .into_iter()
                .flatten()
                .filter(of_parent)
                .map(|object| object.id.clone())
                .collect();
            if !own.is_empty() {
                let id = self.dice.pick(&own).clone();
                self.remove(kind, &id, 0);
            }
        }
    }

    /// Whose a new object is to be; nobody's while there is nobody, or no feature to have.
    fn parent_for(&self, kind: &Kind, pick: u64) -> Option<String> {
        if kind.name == ENTITLEMENT {
            self.picked("entitlements.feature", pick)?;
        }
        self.picked(kind.of?, pick)
    }

    fn create(&mut self, kind: &'static Kind, created: i64, shown: i64) {
        self.last += 1;
        let id = objects::id(kind, self.last);
        self.create_as(kind, &id, created, shown);
    }

    fn create_as(&mut self, kind: &'static Kind, id: &str, created: i64, shown: i64) {
        let pick = self.dice.next();
        let parent = self.parent_for(kind, pick);
        if kind.of.is_none() || parent.is_some() {
            self.create_in(kind, id, parent.as_deref(), [created, shown]);
        }
    }

    fn create_in(&mut self, kind: &'static Kind, id: &str, parent: Option<&str>, [created, shown]: [i64; 2]) {
        let pick = self.dice.next();
        let mut customer = self.picked("customer", pick);
        if self.dice.one_in(4) {
            // Somebody who is gone, if anybody is.
            let gone: Vec<&String> =
                self.gone.iter().filter(|gone| gone.0 == "customer").map(|gone| &gone.1).collect();
            customer = if gone.is_empty() { None } else { Some((*self.dice.pick(&gone)).clone()) };
        }
        if kind.of == Some("customer") {
            customer = parent.map(str::to_owned);
        }
        let other = match kind.name {
            "refund" | "dispute" => Some(("charge", "charge")),
            "payment_intent" => Some(("latest_charge", "charge")),
            "credit_note" | "invoice_payment" | "invoiceitem" => Some(("invoice", "invoice")),
            _ => None,
        };
        let named = other.and_then(|(property, other)| Some((property, self.picked(other, pick)?)));
        let birth = Birth { id, created, customer, named };
        let value = objects::born(kind, birth, &mut self.dice);
        let of = parent.map(|parent| format!(" of {parent}")).unwrap_or_default();
        self.journal.push(format!("{} {id}{of} is made, created {created}, listed from {shown}", kind.name));
        let object = Object {
            id: id.to_owned(),
            parent: parent.map(str::to_owned),
            created,
            place: self.dice.next(),
            shown,
            value: Arc::new(value.clone()),
        };
        self.remember(kind.name, id, &object.value);
        self.insert(kind.name, object);
        self.tell(kind, "created", (id, parent), 0);
    }

    fn alter(&mut self, kind: &'static Kind, pick: u64, late: i64, edit: impl FnOnce(&mut Value, &mut Dice)) {
        let Some(id) = self.picked(kind.name, pick) else { return };
        let value = self.put(kind.name, &id, edit);
        self.journal.push(format!("{} {id} changes: {}", kind.name, value["metadata"]["version"]));
        let all = self.kinds.get(kind.name).into_iter().flatten();
        let parent = all.filter(|object| object.id == id).find_map(|object| object.parent.clone());
        self.tell(kind, "updated", (&id, parent.as_deref()), late);
    }

    fn put(&mut self, kind: &'static str, id: &str, edit: impl FnOnce(&mut Value, &mut Dice)) -> Value {
        let held =
            self.kinds.get_mut(kind).and_then(|all| all.iter_mut().find(|object| object.id == id)).unwrap();
        let mut value = Value::clone(&held.value);
        edit(&mut value, &mut self.dice);
        held.value = Arc::new(value.clone());
        let now = Arc::clone(&held.value);
        self.remember(kind, id, &now);
        value
    }

    fn delete(&mut self, kind: &'static Kind, pick: u64, late: i64) {
        if let Some(id) = self.picked(kind.name, pick) {
            self.remove(kind, &id, late);
        }
    }

    fn remove(&mut self, kind: &'static Kind, id: &str, late: i64) {
        let all = self.kinds.get_mut(kind.name).unwrap();
        let place = all.iter().position(|object| object.id == id).unwrap();
        let parent = all.remove(place).parent;
        self.journal.push(format!("{} {id} goes", kind.name));
        self.gone.insert((kind.name, id.to_owned()));
        // What belonged to it goes with it, and nothing tells of that.
        for own in KINDS.iter().filter(|own| own.of == Some(kind.name)) {
            let objects = self.kinds.entry(own.name).or_default().iter();
            let lost = objects.filter(|object| object.parent.as_deref() == Some(id));
            let lost: Vec<_> = lost.map(|object| (own.name, object.id.clone())).collect();
            self.kinds.entry(own.name).or_default().retain(|object| object.parent.as_deref() != Some(id));
            self.gone.extend(lost);
        }
        self.tell(kind, "deleted", (id, parent.as_deref()), late);
    }

    fn make_again(&mut self, pick: u64) {
        let gone: Vec<String> =
            self.gone.iter().filter(|gone| gone.0 == "coupon").map(|gone| gone.1.clone()).collect();
        if gone.is_empty() {
            return;
        }
        let id = Dice::new(pick).pick(&gone).clone();
        self.gone.remove(&("coupon", id.clone()));
        self.create_as(kind_of("coupon"), &id, self.now, self.now);
    }

    fn dispute(&mut self, pick: u64) {
        let Some(charge) = self.picked("charge", pick) else { return };
        self.put("charge", &charge, |charge, _| charge["disputed"] = json!(true));
        self.journal.push(format!("charge {charge} is disputed, without an event of its own"));
        self.last += 1;
        let id = objects::id(kind_of("dispute"), self.last);
        self.create_as(kind_of("dispute"), &id, self.now, self.now);
        self.put("dispute", &id, |dispute, _| dispute["charge"] = json!(charge));
        let shown = json!({ "object": "dispute", "id": id, "charge": charge });
        self.event("charge.dispute.created", &shown, 0);
    }

    /// The event of a change, where there is one. Of what belongs to another, that one's event tells, or a summary.
    fn tell(&mut self, kind: &Kind, what: &str, (id, parent): (&str, Option<&str>), late: i64) {
        if !kind.told && (kind.of.is_some() || self.dice.one_in(2)) {
            return;
        }
        let (name, shown) = match (kind.of, parent) {
            (Some(_), Some(parent)) if kind.name == ENTITLEMENT => {
                let summary = "entitlements.active_entitlement_summary";
                (format!("{summary}.updated"), json!({ "object": summary, "customer": parent }))
            }
            (Some(of), Some(parent)) => (format!("{of}.updated"), self.shown(of, parent)),
            (_, _) => (format!("{}.{what}", kind.name), self.shown(kind.name, id)),
        };
        self.event(&name, &shown, late);
    }

    /// A payload: never the whole truth.
    fn shown(&self, kind: &str, id: &str) -> Value {
        json!({ "object": kind, "id": id, "description": "as it was before" })
    }

    fn event(&mut self, name: &str, shown: &Value, late: i64) {
        self.last += 1;
        // Ids of events do not sort.
        let id = format!("evt_{:08x}", self.dice.next() >> 32);
        let value = json!({
            "id": id, "object": "event", "created": self.now, "type": name, "data": { "object": shown },
            "api_version": "2020-08-27", "livemode": false,
        });
        let at = self.now + late;
        let value = Arc::new(value);
        let pushed = if self.post.send(&value) { ", pushed" } else { "" };
        self.journal
            .push(format!("  {id} {name} tells of it, created {}, listed from {at}{pushed}", self.now));
        let object = Object {
            id: id.clone(),
            parent: None,
            created: self.now,
            place: self.dice.next(),
            shown: at,
            value,
        };
        self.remember("event", &id, &object.value);
        self.insert("event", object);
    }

    fn remember(&mut self, kind: &'static str, id: &str, value: &Arc<Value>) {
        self.history.entry((kind, id.to_owned())).or_default().push(Arc::clone(value));
    }

    fn insert(&mut self, kind: &'static str, object: Object) {
        let all = self.kinds.entry(kind).or_default();
        let key = (object.created, object.place);
        let place = all.partition_point(|other| (other.created, other.place) > key);
        all.insert(place, object);
    }

    fn picked(&self, kind: &str, pick: u64) -> Option<String> {
        let all = self.kinds.get(kind).filter(|all| !all.is_empty())?;
        Some(Dice::new(pick).pick(all).id.clone())
    }

    fn expire(&mut self) {
        let oldest = self.now - KEPT;
        self.kinds.entry("event").or_default().retain(|event| event.created > oldest);
    }
}

impl World for Account {
    fn now(&self) -> i64 {
        self.lock().now
    }

    fn account(&self) -> Value {
        json!({ "id": "acct_1", "object": "account" })
    }

    fn scan(&self, scan: &Scan, take: usize) -> Option<Vec<Rendered>> {
        let state = self.lock();
        let all = state.kinds.get(scan.kind.as_str()).map_or(&[][..], |all| all);
        let from = match &scan.after {
            Some(id) => all.iter().position(|object| object.id == *id)? + 1,
            None => 0,
        };
        let fits = |object: &Object, (name, value): &(String, String)| {
            let own = &object.value[name];
            *own == value.as_str() || serde_json::from_str::<Value>(value).is_ok_and(|value| *own == value)
        };
        let hides_inactive = self.hides_inactive && !scan.filters.iter().any(|(name, _)| name == "active");
        let shown = all[from..].iter().filter(|object| {
            object.shown <= state.now
                && scan.created_gte.is_none_or(|second| object.created >= second)
                && scan.created_lt.is_none_or(|second| object.created < second)
                && scan.filters.iter().all(|filter| fits(object, filter))
                && scan.parent.iter().all(|parent| match &object.parent {
                    Some(own) => *own == parent.1,
                    None => fits(object, parent),
                })
                && !(scan.hide_canceled && object.value["status"] == "canceled")
                && !(hides_inactive && scan.kind == "price" && object.value["active"] == false)
        });
        Some(shown.take(take).map(|object| Rendered::Value(Arc::clone(&object.value))).collect())
    }

    fn get(&self, kind: &str, id: &str) -> Option<Found> {
        let state = self.lock();
        let there = state.kinds.get(kind).and_then(|all| all.iter().find(|object| object.id == id));
        if let Some(object) = there {
            return Some(Found::Live(Rendered::Value(Arc::clone(&object.value))));
        }
        state.gone.iter().any(|gone| gone.0 == kind && gone.1 == id).then_some(Found::Deleted)
    }

    fn kinds(&self) -> Vec<&'static str> {
        KINDS.iter().map(|kind| kind.name).chain(["event"]).collect()
    }

    fn advance(&self, seconds: i64) -> Vec<String> {
        self.change(&Change::Wait(seconds), "");
        Vec::new()
    }
}
