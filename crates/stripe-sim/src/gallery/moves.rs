//! Changes: objects come, change and go, and tell events where Stripe would.

use std::sync::Arc;

use serde_json::{Value, json};

use super::birth::touches;
use super::paint::{Fullness, Own};
use super::rooms::Rooms;
use super::{GallerySpec, event};
use crate::shapes::{FACTS, Property, Type};
use crate::world::{Scan, Standing};

/// One change of a [`Gallery`](super::Gallery).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path of the list that the object is of.
    pub list: &'static str,
    /// The object.
    pub id: String,
    /// What it belongs to.
    pub parent: Option<String>,
    /// What was done.
    pub what: What,
    /// The events that tell of it; none where Stripe is silent.
    pub events: Vec<String>,
}

/// What was done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Created,
    /// Some of its properties have other values.
    Edited,
    /// It is gone, and what belonged to it.
    Deleted,
}

/// Properties that no edit touches: others rely on them.
const KEPT: [&str; 9] =
    ["id", "object", "created", "livemode", "type", "test_clock", "ownership", "scope", "account"];

impl Rooms {
    /// Makes one change somewhere.
    pub(super) fn change(&mut self, spec: &GallerySpec) -> Option<Change> {
        let places: Vec<usize> = (0..self.shelves.len()).filter(|place| self.can_change(*place)).collect();
        let place = *places.get(self.chance.back(places.len()))?;
        let luck = self.chance.between(0..=9);
        let change = match luck {
            0..=2 => self.create(place, spec),
            3 => self.delete(place, spec),
            _ => None,
        };
        change.or_else(|| self.edit(place, spec))
    }

    fn can_change(&self, place: usize) -> bool {
        self.shelves.get(place).is_some_and(|shelf| {
            !shelf.list.path.ends_with("/events") && shelf.entries.iter().any(|entry| !entry.is_deleted())
        })
    }

    /// One that is there.
    fn choose(&mut self, place: usize) -> Option<usize> {
        let shelf = self.shelves.get(place)?;
        let there = shelf.entries.iter().enumerate().filter(|(_, entry)| !entry.is_deleted());
        let there: Vec<usize> = there.map(|(number, _)| number).collect();
        there.get(self.chance.back(there.len())).copied()
    }

    /// How an object looks to those who ask.
    fn shown(&self, place: usize, number: usize) -> Option<Value> {
        let entry = self.shelves.get(place)?.entries.get(number)?;
        Some(self.whole(entry))
    }

    fn create(&mut self, place: usize, spec: &GallerySpec) -> Option<Change> {
        let list = self.shelves.get(place)?.list;
        let parent = match &list.parent {
            Some(above) => {
                let parents = self.parents(&above.kind);
                Some(parents.get(self.chance.back(parents.len()))?.0.clone())
            }
            None => None,
        };
        let before = self.shelves.get(place)?.entries.len();
        self.add(place, parent, self.now);
        let entry = self.shelves.get(place)?.entries.get(before)?;
        self.known.entry(entry.kind).or_default().push(entry.id.clone());
        self.look(place, before, spec);
        let types = self.types_at(place, before)?;
        let name = event::ending(&types, "created").or_else(|| event::ending(&types, "opened"));
        let object = self.shown(place, before)?;
        let events = match name {
            Some(name) => self.tell(name, None, &object, spec).into_iter().collect(),
            None => self.tell_parent(place, before, spec),
        };
        self.told(place, before, What::Created, events)
    }

    fn edit(&mut self, place: usize, spec: &GallerySpec) -> Option<Change> {
        let number = self.choose(place)?;
        let before = self.shown(place, number)?;
        self.repaint(place, number, spec)?;
        let object = self.shown(place, number)?;
        let types = self.types_at(place, number)?;
        let canceled = |value: &Value| value.get("status").is_some_and(|status| status == "canceled");
        let ended = canceled(&object) && !canceled(&before);
        let mut names: Vec<&'static str> = Vec::new();
        match event::ending(&types, "deleted")
            .filter(|name| *name == "customer.subscription.deleted" && ended)
        {
            Some(name) => names.push(name),
            None => names.extend(event::ending(&types, "updated")),
        }
        let others = event::named(&types);
        if self.chance.one_in_thousand(400) {
            names.extend(others.get(self.chance.back(others.len())));
        }
        let mut events: Vec<String> = Vec::new();
        for name in names {
            events.extend(self.tell(name, Some(&before), &object, spec));
        }
        if types.is_empty() {
            events = self.tell_parent(place, number, spec);
        }
        self.told(place, number, What::Edited, events)
    }

    fn delete(&mut self, place: usize, spec: &GallerySpec) -> Option<Change> {
        let list = self.shelves.get(place)?.list;
        let detaches = list.path == "/v1/customers/{customer}/payment_methods";
        // What is on a test clock goes with it: that is another story.
        if !(list.delete || detaches) || list.kind() == "test_helpers.test_clock" {
            return None;
        }
        let number = self.choose(place)?;
        let before = self.shown(place, number)?;
        let types = self.types_at(place, number)?;
        let name = event::ending(&types, if detaches { "detached" } else { "deleted" });
        let entry = self.shelves.get_mut(place)?.entries.get_mut(number)?;
        let (kind, id) = (entry.kind, entry.id.clone());
        if detaches {
            let mut value = (*entry.value).clone();
            value.as_object_mut()?.insert("customer".to_owned(), Value::Null);
            entry.value = Arc::new(value);
            entry.standing = Standing::Unlisted;
        } else {
            entry.standing = Standing::Deleted;
            self.go_with(kind, &id);
        }
        let summary = self.summary(place, number);
        let object = if detaches { self.shown(place, number)? } else { before };
        let told = name.map(|name| (name, object)).or(summary);
        let events = told.and_then(|(name, object)| self.tell(name, None, &object, spec));
        self.told(place, number, What::Deleted, events.into_iter().collect())
    }

    /// What belongs to something that is gone goes too, silently.
    fn go_with(&mut self, kind: &str, id: &str) {
        if kind != "customer"
            && let Some(known) = self.known.get_mut(kind)
        {
            known.retain(|known| known != id);
        }
        let mut gone = Vec::new();
        for shelf in &mut self.shelves {
            if shelf.list.parent.as_ref().is_none_or(|parent| parent.kind != kind) {
                continue;
            }
            for entry in shelf
                .entries
                .iter_mut()
                .filter(|entry| entry.parent.as_deref() == Some(id) && !entry.is_deleted())
            {
                entry.standing = Standing::Deleted;
                gone.push((entry.kind, entry.id.clone()));
            }
        }
        for (kind, id) in gone {
            self.go_with(kind, &id);
        }
    }

    /// Gives some properties other values.
    fn repaint(&mut self, place: usize, number: usize, spec: &GallerySpec) -> Option<()> {
        let shelf = self.shelves.get(place)?;
        let (list, entry) = (shelf.list, shelf.entries.get(number)?);
        let (kind, id, created, parent) = (entry.kind, entry.id.clone(), entry.created, entry.parent.clone());
        let mut value = (*entry.value).clone();
        let mut other = self.painter(Fullness::Mixed).object(Own { kind, id: &id, created }, 0);
        touches::belong(&mut other, list, parent.as_deref());
        let names: Vec<&str> =
            FACTS.properties(kind).iter().filter(|it| is_free(it, kind)).map(|it| it.name.as_str()).collect();
        for _ in 0..self.chance.between(1..=3) {
            let name = *names.get(self.chance.back(names.len()))?;
            match other.get(name) {
                Some(new) => value.as_object_mut()?.insert(name.to_owned(), new.clone()),
                None => value.as_object_mut()?.remove(name),
            };
        }
        let standing = touches::standing(&value, list, number, spec);
        let entry = self.shelves.get_mut(place)?.entries.get_mut(number)?;
        entry.value = Arc::new(value);
        // What was detached stays so.
        if entry.standing != Standing::Unlisted || list.path != "/v1/customers/{customer}/payment_methods" {
            entry.standing = standing;
        }
        Some(())
    }

    fn types_at(&self, place: usize, number: usize) -> Option<Vec<&'static str>> {
        let shelf = self.shelves.get(place)?;
        Some(event::types(shelf.list, shelf.entries.get(number)?.kind))
    }

    /// Where objects have no events, that of the parent which shows them: it was updated. Or a summary of them.
    fn tell_parent(&mut self, place: usize, number: usize, spec: &GallerySpec) -> Vec<String> {
        let told = self.summary(place, number).or_else(|| {
            let shelf = self.shelves.get(place)?;
            let above = shelf.list.parent.as_ref()?;
            let shows = |property: &&Property| {
                !property.optional
                    && FACTS
                        .nested(&above.kind, &property.name)
                        .is_some_and(|(list, _)| list.path == shelf.list.path)
            };
            FACTS.properties(&above.kind).iter().find(|property| shows(property))?;
            let parent = self.find(&above.kind, shelf.entries.get(number)?.parent.as_deref()?)?;
            let list = FACTS.lists_of(&above.kind).next()?;
            Some((event::ending(&event::types(list, &above.kind), "updated")?, self.whole(parent)))
        });
        told.and_then(|(name, object)| self.tell(name, None, &object, spec)).into_iter().collect()
    }

    /// Of a customer's entitlements, all that there are now (trap 16).
    fn summary(&self, place: usize, number: usize) -> Option<(&'static str, Value)> {
        let shelf =
            self.shelves.get(place).filter(|shelf| shelf.list.kind() == "entitlements.active_entitlement")?;
        let customer = shelf.entries.get(number)?.parent.clone()?;
        let scan = Scan {
            list: shelf.list.path.clone(),
            parent: Some(("customer".to_owned(), customer.clone())),
            ..Scan::default()
        };
        let data: Vec<Value> =
            self.scan(&scan, usize::MAX)?.into_iter().map(|entry| self.whole(entry)).collect();
        let summary = json!({
            "object": "entitlements.active_entitlement_summary",
            "customer": customer,
            "entitlements": { "object": "list", "data": data, "has_more": false, "url": format!("/v1/customer/{customer}/entitlements") },
            "livemode": self.livemode,
        });
        Some(("entitlements.active_entitlement_summary.updated", summary))
    }

    fn told(&self, place: usize, number: usize, what: What, events: Vec<String>) -> Option<Change> {
        let shelf = self.shelves.get(place)?;
        let entry = shelf.entries.get(number)?;
        Some(Change {
            list: &shelf.list.path,
            id: entry.id.clone(),
            parent: entry.parent.clone(),
            what,
            events,
        })
    }
}

/// Whether an edit may touch the property.
fn is_free(property: &Property, kind: &str) -> bool {
    let variant = FACTS.properties(kind).iter().any(|other| {
        other.name == "type" && matches!(&other.kind, Type::OneOf(values) if values.contains(&property.name))
    });
    let is_list = FACTS.nested(kind, &property.name).is_some();
    !KEPT.contains(&property.name.as_str()) && !variant && !is_list
}
