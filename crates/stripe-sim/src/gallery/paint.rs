//! Objects that fit the shapes.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::shelf::Shelf;
use super::words;
use crate::chance::{Chance, Ids};
use crate::shapes::{FACTS, Property, Type};

/// Objects in objects go no deeper than this where they need not.
const DEPTH: u32 = 6;

/// How much of what can be left out is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fullness {
    Full,
    Bare,
    Mixed,
}

/// Paints objects with one stream of luck.
pub(super) struct Painter<'a> {
    pub(super) chance: &'a mut Chance,
    pub(super) ids: &'a mut Ids,
    /// What references may name.
    pub(super) known: &'a HashMap<&'static str, Vec<String>>,
    /// Where objects to embed are.
    pub(super) shelves: &'a [Shelf],
    pub(super) now: i64,
    pub(super) livemode: bool,
    pub(super) fullness: Fullness,
}

/// What an object is by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
    pub(super) created: i64,
}

impl Painter<'_> {
    /// An object of a kind.
    pub(super) fn object(&mut self, own: Own<'_>, depth: u32) -> Value {
        let mut members = self.record(FACTS.properties(own.kind), own.kind, depth);
        if FACTS.properties(own.kind).iter().any(|property| property.name == "id") {
            members.insert("id".to_owned(), json!(own.id));
        }
        members.insert("object".to_owned(), json!(own.kind));
        leave_out_lists(&mut members, own);
        self.leave_out_inner_lists(&mut members, own, depth);
        let created = FACTS.properties(own.kind).iter().find(|property| property.name == "created");
        if let Some(created) = created {
            let iso = created.kind == Type::Instant;
            let value = if iso { json!(instant(own.created)) } else { json!(own.created) };
            members.insert("created".to_owned(), value);
        }
        Value::Object(members)
    }

    /// The same for lists within parts of the object, which are there: whoever asks for the lists finds them.
    fn leave_out_inner_lists(&mut self, members: &mut Map<String, Value>, own: Own<'_>, depth: u32) {
        for property in FACTS.properties(own.kind) {
            let Some((inner, list)) = FACTS.inner_list(own.kind, property) else { continue };
            let part = members.entry(property.name.clone()).or_insert(Value::Null);
            if !part.is_object() {
                *part = self.value(property, own.kind, depth);
            }
            for name in inner {
                let Type::Record(properties) = &name.kind else { continue };
                let Some(within) = part.as_object_mut() else { return };
                if within.get(&name.name).is_none_or(|value| !value.is_object()) {
                    let painted = Value::Object(self.record(properties, own.kind, depth + 1));
                    within.insert(name.name.clone(), painted);
                }
                let Some(next) = within.get_mut(&name.name) else { return };
                take_out(next, list);
            }
            take_out(part, list);
        }
    }

    fn record(&mut self, properties: &[Property], kind: &str, depth: u32) -> Map<String, Value> {
        let variants = properties.iter().find(|property| property.name == "type");
        let variants = variants.and_then(|property| property.kind.values());
        let chosen = variants.map(|values| self.one_of(values));
        let mut members = Map::new();
        for property in properties {
            let name = property.name.as_str();
            let is_variant =
                property.optional && variants.is_some_and(|values| values.iter().any(|value| value == name));
            let here = match (&chosen, property.optional) {
                (Some(chosen), _) if name == "type" => Some(json!(chosen)),
                (Some(chosen), _) if is_variant => {
                    (chosen == name).then(|| self.value(property, kind, depth))
                }
                (_, true) => self.optional(property, kind, depth),
                (_, false) => Some(self.value(property, kind, depth)),
            };
            if let Some(value) = here {
                members.insert(property.name.clone(), value);
            }
        }
        members
    }

    /// Its value, null or nothing.
    fn optional(&mut self, property: &Property, kind: &str, depth: u32) -> Option<Value> {
        let luck = self.chance.between(0..=99);
        let (there, null) = match (self.fullness, depth) {
            (_, DEPTH..) => (0, 50),
            (Fullness::Full, 0..=2) => (100, 0),
            (Fullness::Bare, _) => (0, 50),
            (_, 0) => (60, 25),
            _ => (40, 30),
        };
        match (luck < there, luck < there + null) {
            (true, _) => Some(self.value(property, kind, depth)),
            // What holds an object for each currency is absent rather than null: the SDKs could not read that.
            (false, true) if matches!(&property.kind, Type::Free(inner) if matches!(**inner, Type::Record(_))) => {
                None
            }
            (false, true) => Some(Value::Null),
            (false, false) => None,
        }
    }

    fn value(&mut self, property: &Property, kind: &str, depth: u32) -> Value {
        self.of(&property.kind, &property.name, kind, depth)
    }

    fn of(&mut self, wanted: &Type, name: &str, kind: &str, depth: u32) -> Value {
        match wanted {
            Type::Text => json!(self.text(name, kind)),
            Type::Whole => json!(words::whole(self.chance, name, self.now)),
            Type::Moment => json!(words::moment(self.chance, self.now)),
            Type::Instant => json!(instant(words::moment(self.chance, self.now))),
            Type::Flag if name == "livemode" => json!(self.livemode),
            Type::Flag => json!(self.chance.one_in_thousand(500)),
            Type::Number => json!(self.chance.pick(&[0.1, 12.5, 19.6, 100.0, 0.0, 1.175])),
            Type::Decimal => json!(words::decimal(self.chance)),
            Type::WholeText => json!(words::amount(self.chance).to_string()),
            Type::True => json!(true),
            Type::Any => json!(words::sentence(self.chance)),
            Type::OneOf(values) => json!(self.one_of(values)),
            Type::Reference(kinds) => json!(self.reference(kinds)),
            Type::Object(kind) => self.embedded(kind, depth + 1),
            Type::List(kinds) => self.list(kinds, depth + 1),
            Type::Array(inner) => {
                let count = if depth >= DEPTH { 0 } else { self.chance.between(0..=3) };
                Value::Array((0..count).map(|_| self.of(inner, name, kind, depth + 1)).collect())
            }
            Type::Free(inner) => self.free(inner, kind, depth + 1),
            Type::Record(properties) => Value::Object(self.record(properties, kind, depth + 1)),
        }
    }

    fn one_of(&mut self, values: &[String]) -> String {
        let place = self.chance.back(values.len());
        values.get(place).cloned().unwrap_or_default()
    }

    /// A text; where the name is that of a kind that is there, an id.
    fn text(&mut self, name: &str, kind: &str) -> String {
        if name == "id" {
            return self.ids.next("id_", 14).to_string();
        }
        let mut space = kind;
        while let Some((outer, _)) = space.rsplit_once('.') {
            if let Some(id) = self.pick(&format!("{outer}.{name}")) {
                return id;
            }
            space = outer;
        }
        match (name, self.pick(name)) {
            ("file" | "event" | "plan" | "source" | "item" | "card" | "capability", _) | (_, None) => {
                words::text(self.chance, self.ids, name)
            }
            (_, Some(id)) => id,
        }
    }

    /// The id of an object of this kind that is there.
    fn pick(&mut self, kind: &str) -> Option<String> {
        let known = self.known.get(kind)?;
        known.get(self.chance.back(known.len())).cloned()
    }

    pub(super) fn reference(&mut self, kinds: &[String]) -> String {
        let listed: Vec<&String> =
            kinds.iter().filter(|kind| self.known.contains_key(kind.as_str())).collect();
        match listed.get(self.chance.back(listed.len())) {
            Some(kind) => self.pick(kind).unwrap_or_default(),
            None => self.fresh(kinds.first().map_or("", String::as_str)),
        }
    }

    fn fresh(&mut self, kind: &str) -> String {
        let prefix = FACTS.prefix(kind).unwrap_or("obj");
        self.ids.next(&format!("{prefix}_"), 14).to_string()
    }

    /// Another object, whole: as it is where that says little more, or a short form of it.
    fn embedded(&mut self, kind: &str, depth: u32) -> Value {
        let known = self.pick(kind);
        if let Some(id) = &known
            && is_flat(kind)
            && let Some(entry) = self.shelves.iter().find_map(|shelf| shelf.find(kind, id))
            && !entry.value.is_null()
        {
            return (*entry.value).clone();
        }
        let id = known.unwrap_or_else(|| self.fresh(kind));
        let created = self.now - self.chance.between(0..=86_400 * 300);
        let fullness = std::mem::replace(&mut self.fullness, Fullness::Bare);
        let object = self.object(Own { kind, id: &id, created }, depth);
        self.fullness = fullness;
        object
    }

    /// A list that has no list of its own, and so is whole.
    fn list(&mut self, kinds: &[String], depth: u32) -> Value {
        let count = if depth >= DEPTH { 0 } else { self.chance.between(0..=3) };
        let kind = kinds.first().map_or("", String::as_str);
        let data: Vec<Value> = (0..count).map(|_| self.embedded(kind, depth)).collect();
        json!({ "object": "list", "data": data, "has_more": false, "url": format!("/v1/{kind}s") })
    }

    /// An object whose keys are free: currencies where it holds anything but texts.
    fn free(&mut self, inner: &Type, kind: &str, depth: u32) -> Value {
        let mut members = Map::new();
        for _ in 0..self.chance.between(0..=3) {
            let words = matches!(inner, Type::Text | Type::Any);
            let key = if words { words::key(self.chance) } else { words::currency(self.chance) };
            let value = self.of(inner, "amount", kind, depth);
            members.insert(key.to_owned(), value);
        }
        Value::Object(members)
    }
}

fn take_out(part: &mut Value, name: &str) {
    if let Some(part) = part.as_object_mut() {
        part.remove(name);
    }
}

/// Takes out the nested lists that are lists of their own: they are shown as those are. Where the object is embedded they
/// are empty.
fn leave_out_lists(members: &mut Map<String, Value>, own: Own<'_>) {
    for property in FACTS.properties(own.kind) {
        let Some((list, name)) = FACTS.nested(own.kind, &property.name) else { continue };
        match property.optional {
            true => members.remove(&property.name),
            false => {
                let url = list.url_of(name, own.id);
                let empty = json!({ "object": "list", "data": [], "has_more": false, "url": url });
                members.insert(property.name.clone(), empty)
            }
        };
    }
}

/// Whether objects of the kind embed no others.
fn is_flat(kind: &str) -> bool {
    fn flat(kind: &Type) -> bool {
        !matches!(kind, Type::Object(_) | Type::List(_)) && kind.parts().into_iter().all(flat)
    }
    FACTS.properties(kind).iter().all(|property| flat(&property.kind))
}

/// A moment as API v2 writes it.
pub(super) fn instant(at: i64) -> String {
    chrono::DateTime::from_timestamp(at, 0)
        .map(|at| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        .unwrap_or_default()
}
