//! Fills a gallery: first who is there, so that references resolve, then what each looks like, then what lists hide.

mod ids;
pub(super) mod touches;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::GallerySpec;
use super::paint::{Fullness, Own, Painter};
use super::rooms::Rooms;
use super::shelf::Entry;
use crate::shapes::{FACTS, Type};
use crate::world::Standing;

/// How long the account has been there before its present.
const AGE: i64 = 2 * 365 * 86_400;
/// The time before the present in which nothing is created.
const QUIET: i64 = 12 * 86_400;
/// The time before the present in which it changes already, and how often.
const LIVED: i64 = 10 * 86_400;
const CHANGES: i64 = 360;
/// Top-level lists of which there are more than a page of the largest size.
const MANY: [(&str, i64); 8] = [
    ("/v1/customers", 130),
    ("/v1/charges", 215),
    ("/v1/balance_transactions", 120),
    ("/v1/products", 104),
    ("/v1/file_links", 140),
    ("/v1/quotes", 101),
    ("/v2/core/accounts", 103),
    ("/v2/money_management/transactions", 125),
];
/// How many children parents have, one after the other; those that follow have one each.
const CHILDREN: [i64; 5] = [3, 0, 10, 25, 104];

impl Rooms {
    /// A gallery with everything in it.
    pub(super) fn furnished(spec: &GallerySpec) -> Self {
        let mut rooms = Self::empty(spec);
        rooms.come(None);
        rooms.leave_first();
        // Parents before children; what belongs to children comes last.
        let mut placed: BTreeSet<String> = BTreeSet::new();
        for _ in 0..3 {
            rooms.come(Some(&mut placed));
        }
        rooms.learn();
        rooms.show(spec);
        rooms.live(spec);
        rooms
    }

    /// Lives through the days before the present.
    fn live(&mut self, spec: &GallerySpec) {
        self.now -= LIVED;
        for _ in 0..CHANGES {
            self.now += LIVED / CHANGES;
            self.change(spec);
        }
        self.now = spec.now;
    }

    /// Objects of top-level lists, or of lists whose parents are there.
    fn come(&mut self, children: Option<&mut BTreeSet<String>>) {
        let Some(placed) = children else {
            for place in 0..self.shelves.len() {
                self.come_alone(place);
            }
            return;
        };
        for place in 0..self.shelves.len() {
            let Some(list) = self.shelves.get(place).map(|shelf| shelf.list) else { continue };
            let Some(parent) = list.parent.as_ref().filter(|_| !placed.contains(&list.path)) else {
                continue;
            };
            let parents = self.parents(&parent.kind);
            if !parents.is_empty() {
                placed.insert(list.path.clone());
                self.come_to(place, &parents);
            }
        }
    }

    fn come_alone(&mut self, place: usize) {
        let Some(list) = self.shelves.get(place).map(|shelf| shelf.list) else { return };
        if list.parent.is_some() || matches!(list.path.as_str(), "/v1/events" | "/v2/core/events") {
            return;
        }
        let many = MANY.iter().find(|(path, _)| *path == list.path).map(|(_, count)| *count);
        let count = many.unwrap_or_else(|| self.chance.between(8..=20));
        let from = self.now - AGE;
        for at in self.moments(from, count) {
            self.add(place, None, at);
        }
    }

    /// Children of each parent: `(id, created)`.
    fn come_to(&mut self, place: usize, parents: &[(String, i64)]) {
        for (number, (parent, created)) in parents.iter().enumerate().take(14) {
            let count = CHILDREN.get(number).copied().unwrap_or(1);
            for at in self.moments(*created, count) {
                self.add(place, Some(parent.clone()), at);
            }
        }
        if let Some(shelf) = self.shelves.get_mut(place) {
            shelf.entries.sort_by_key(|entry| entry.created);
        }
    }

    /// Who can have children: what some list shows.
    pub(super) fn parents(&self, kind: &str) -> Vec<(String, i64)> {
        let shelves =
            self.shelves.iter().filter(|shelf| shelf.list.objects.iter().any(|object| object == kind));
        let entries = shelves.flat_map(|shelf| shelf.entries.iter().enumerate()).filter(|(number, entry)| {
            entry.kind == kind && !entry.is_deleted() && !touches::is_on_test_clock(kind, *number)
        });
        entries.map(|(_, entry)| (entry.id.clone(), entry.created)).collect()
    }

    /// So many moments since `from`, in order; some share a second.
    fn moments(&mut self, from: i64, count: i64) -> Vec<i64> {
        let until = (self.now - QUIET).max(from + 1);
        let mut moments: Vec<i64> = (0..count).map(|_| self.chance.between(from..=until)).collect();
        for place in (1..moments.len()).step_by(4) {
            if let Some(before) = moments.get(place - 1).copied()
                && let Some(at) = moments.get_mut(place)
            {
                *at = before;
            }
        }
        moments.sort_unstable();
        moments
    }

    /// An object that does not look like anything yet.
    pub(super) fn add(&mut self, place: usize, parent: Option<String>, created: i64) {
        let Some(list) = self.shelves.get(place).map(|shelf| shelf.list) else { return };
        let Some(id) = self.fresh_id(place, parent.as_deref()) else { return };
        let Some(shelf) = self.shelves.get_mut(place) else { return };
        let kinds: Vec<&'static str> = match list.path.as_str() {
            // Accounts as payment sources are long gone.
            "/v1/customers/{customer}/sources" => vec!["source", "card", "bank_account"],
            _ => list.objects.iter().map(String::as_str).collect(),
        };
        let Some(kind) = kinds.get(shelf.entries.len() % kinds.len().max(1)).copied() else { return };
        let id = self.kind_id(id, kind);
        if let Some(shelf) = self.shelves.get_mut(place) {
            let value = Arc::new(Value::Null);
            shelf.entries.push(Entry { id, kind, parent, created, value, standing: Standing::Shown });
        }
    }

    /// Some customers leave before anything belongs to them; others go on naming them (trap 11).
    fn leave_first(&mut self) {
        let Some(shelf) = self.shelves.iter_mut().find(|shelf| shelf.list.path == "/v1/customers") else {
            return;
        };
        for entry in shelf.entries.iter_mut().skip(20).step_by(15) {
            entry.standing = Standing::Deleted;
        }
    }

    /// Notes who is there.
    fn learn(&mut self) {
        for entry in self.shelves.iter().flat_map(|shelf| &shelf.entries) {
            if !entry.is_deleted() || entry.kind == "customer" {
                self.known.entry(entry.kind).or_default().push(entry.id.clone());
            }
        }
    }

    /// Gives every object its looks, those that others embed first.
    fn show(&mut self, spec: &GallerySpec) {
        let mut places: Vec<usize> = (0..self.shelves.len()).collect();
        let order = embedding_order();
        let rank = |place: &usize| {
            let kind = self.shelves.get(*place).map_or("", |shelf| shelf.list.kind());
            order.iter().position(|known| *known == kind)
        };
        places.sort_by_key(rank);
        for place in places {
            let count = self.shelves.get(place).map_or(0, |shelf| shelf.entries.len());
            for number in 0..count {
                self.look(place, number, spec);
            }
        }
        let account = Own { kind: "account", id: "acct_1NvA0GallerySample", created: self.now - AGE };
        self.account = self.painter(Fullness::Full).object(account, 0);
    }

    pub(super) fn look(&mut self, place: usize, number: usize, spec: &GallerySpec) {
        let fullness = match number {
            0 => Fullness::Full,
            1 => Fullness::Bare,
            _ => Fullness::Mixed,
        };
        let Some(shelf) = self.shelves.get(place) else { return };
        let Some(entry) = shelf.entries.get(number) else { return };
        let (id, kind, created, list) = (entry.id.clone(), entry.kind, entry.created, shelf.list);
        let (parent, deleted) = (entry.parent.clone(), entry.is_deleted());
        let mut value = self.painter(fullness).object(Own { kind, id: &id, created }, 0);
        touches::belong(&mut value, list, parent.as_deref());
        touches::touch(&mut value, list, kind, number);
        if list.path == "/v1/financial_connections/accounts/{account}/owners" {
            touches::own(self, &mut value, parent.as_deref());
        }
        let standing =
            if deleted { Standing::Deleted } else { touches::standing(&value, list, number, spec) };
        if number % 6 == 2
            && let Value::Object(members) = &mut value
        {
            members.insert(
                "simulated_novelty".to_owned(),
                json!({ "note": "not in any SDK", "steps": [1, 2.5, null] }),
            );
        }
        if let Some(entry) = self.shelves.get_mut(place).and_then(|shelf| shelf.entries.get_mut(number)) {
            entry.value = Arc::new(value);
            entry.standing = standing;
        }
    }

    pub(super) fn painter(&mut self, fullness: Fullness) -> Painter<'_> {
        Painter {
            chance: &mut self.chance,
            ids: &mut self.ids,
            known: &self.known,
            shelves: &self.shelves,
            now: self.now,
            livemode: self.livemode,
            fullness,
        }
    }
}

/// All kinds, each after those that it embeds, as far as they do not embed each other.
fn embedding_order() -> Vec<&'static str> {
    fn embedded<'a>(kind: &'a Type, found: &mut Vec<&'a str>) {
        if let Type::Object(kind) = kind {
            found.push(kind);
        }
        for part in kind.parts() {
            embedded(part, found);
        }
    }
    fn visit(kind: &'static str, seen: &mut BTreeSet<&'static str>, order: &mut Vec<&'static str>) {
        if !seen.insert(kind) {
            return;
        }
        let mut inner = Vec::new();
        FACTS.properties(kind).iter().for_each(|property| embedded(&property.kind, &mut inner));
        for kind in inner {
            visit(kind, seen, order);
        }
        order.push(kind);
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    for kind in FACTS.kinds.keys() {
        visit(kind, &mut seen, &mut order);
    }
    order
}
