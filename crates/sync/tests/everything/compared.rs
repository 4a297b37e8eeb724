//! The warehouse's tables against the simulator's truth, whatever warehouse they are of.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use catalog::{Child, List, Resource, Table};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use stripe_api::Clock;
use stripe_sim::world::{Standing, Truth, World};

use crate::support;

/// The world's own time.
pub(crate) struct Worlds(pub(crate) Arc<dyn World>);

impl Clock for Worlds {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.now(), 0).unwrap()
    }
}

/// The rows of every table, each with the columns of [`catalog::schema`].
pub(crate) type Tables = HashMap<&'static str, Vec<RecordBatch>>;

/// A row as the object it was; none for a tombstone.
type Row = (String, Option<Map<String, Value>>);

/// What differs between the tables and the truth, one line each: the list, the object, how.
pub(crate) fn differences(tables: &Tables, world: &dyn World) -> Vec<String> {
    let mut found = without_columns(tables);
    for list in catalog::lists().iter().filter(|list| list.walked) {
        found.extend(left_behind(tables, list).into_iter().map(|how| format!("{}: {how}", list.path)));
        let Some(truth) = world.truth(list.path) else {
            found.push(format!("{}: the simulator has no truth of it", list.path));
            continue;
        };
        let how = match list.parent {
            None => {
                let mut found = strangers(tables, list, world);
                found.extend(of_the_account(tables, list, truth, &named(world, list.table.object)));
                found
            }
            Some(_) if catalog::resource(list.table.name).is_some_and(|own| !own.is_apart()) => {
                of_the_account(tables, list, truth, &BTreeSet::new())
            }
            Some(_) => of_parents(tables, list, truth),
        };
        found.extend(how.into_iter().map(|how| format!("{}: {how}", list.path)));
    }
    found
}

/// What rests in `_extra` instead of a column: which only what no SDK knows may do.
fn without_columns(tables: &Tables) -> Vec<String> {
    let mut beside = BTreeSet::new();
    for (table, rows) in tables.iter().flat_map(|(table, all)| all.iter().map(move |rows| (table, rows))) {
        for extra in rows.column_by_name("_extra").unwrap().as_string::<i32>().iter().flatten() {
            let extra: Map<String, Value> = serde_json::from_str(extra).unwrap();
            beside.extend(extra.into_iter().map(|(property, _)| (*table, property)));
        }
    }
    beside.retain(|(_, property)| property != "simulated_novelty");
    beside.into_iter().map(|(table, property)| format!("{table}: {property} is in no column")).collect()
}

/// Objects by id, nested lists whole.
fn of_the_account(tables: &Tables, list: &List, truth: Vec<Truth>, named: &BTreeSet<String>) -> Vec<String> {
    let resource = catalog::resource(list.table.name).unwrap();
    let children: Vec<_> = resource.children.iter().map(|child| by_parent(tables, child.table)).collect();
    let mut ours = BTreeMap::new();
    let mut found = Vec::new();
    for (id, row) in rows(tables, resource.table).into_iter().map(|(_, _, row)| row) {
        let nested = children.iter().map(|child| live(child.get(&id))).collect();
        let whole =
            row.map(|row| uncut(resource, Value::Object(catalog::with_children(resource, row, nested))));
        if ours.insert(id.clone(), whole).is_some() {
            found.push(format!("{id} is there twice"));
        }
    }
    for Truth { standing, object, .. } in truth {
        let id = object["id"].as_str().unwrap().to_owned();
        // What no list shows can only be found where others name it.
        let hidden = match standing {
            Standing::TestClock | Standing::Deleted => true,
            Standing::Unlisted => !named.contains(&id),
            Standing::Shown | Standing::Inactive | Standing::Canceled | Standing::Closed => false,
        };
        match (ours.get(&id), standing) {
            (None, _) if hidden => {}
            (None, _) => found.push(format!("{id} is missing ({standing:?})")),
            (Some(Some(_)), Standing::Deleted) => found.push(format!("{id} is deleted, and still there")),
            (Some(None), Standing::Deleted) => {}
            (Some(None), _) => found.push(format!("{id} is not deleted")),
            (Some(Some(ours)), _) => found.extend(difference(&id, ours, &uncut(resource, object))),
        }
    }
    found
}

/// The ids of one kind that others name in a column of theirs.
pub(crate) fn named(world: &dyn World, kind: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for resource in catalog::resources().iter().filter(|resource| resource.list.parent.is_none()) {
        let columns: Vec<_> = resource.table.columns.iter().filter(|column| column.refers_to(kind)).collect();
        if columns.is_empty() {
            continue;
        }
        for Truth { object, .. } in world.truth(resource.list.path).unwrap_or_default() {
            named.extend(columns.iter().filter_map(|column| object[column.name].as_str().map(str::to_owned)));
        }
    }
    named
}

/// What the truth of none of its lists knows.
fn strangers(tables: &Tables, list: &List, world: &dyn World) -> Vec<String> {
    let also = catalog::resource(list.table.name).and_then(|own| own.also);
    let truths = [Some(list), also].into_iter().flatten().filter_map(|list| world.truth(list.path)).flatten();
    let theirs: BTreeSet<String> =
        truths.map(|truth| truth.object["id"].as_str().unwrap().to_owned()).collect();
    let ours = rows(tables, list.table).into_iter().map(|(_, _, (id, _))| id);
    ours.filter(|id| !theirs.contains(id)).map(|id| format!("{id} is not Stripe's")).collect()
}

/// Rows that are there although what they belong to is gone (trap 11).
fn left_behind(tables: &Tables, list: &List) -> Vec<String> {
    let Some(parents) = list.parent.and_then(|parent| catalog::table(parent.table)) else {
        return Vec::new();
    };
    if !catalog::is_child(list.table) {
        return Vec::new();
    }
    let gone = rows(tables, parents).into_iter().filter(|(_, _, (_, row))| row.is_none());
    let gone: BTreeSet<String> = gone.map(|(_, _, (id, _))| id).collect();
    let there = rows(tables, list.table).into_iter().filter(|(_, _, (_, row))| row.is_some());
    let orphans = there.filter(|(parent, _, _)| gone.contains(parent));
    orphans.map(|(parent, _, (id, _))| format!("{id} is still there, and {parent} is gone")).collect()
}

/// Sets of objects, parent by parent, in their order.
fn of_parents(tables: &Tables, list: &List, truth: Vec<Truth>) -> Vec<String> {
    let mut theirs: BTreeMap<String, Vec<(usize, Value)>> = BTreeMap::new();
    for Truth { parent, position, standing, object } in truth {
        if standing != Standing::Deleted {
            theirs.entry(parent.unwrap()).or_default().push((position, object));
        }
    }
    let ours = by_parent(tables, list.table);
    let mut found = Vec::new();
    for (parent, ours) in ours.iter().filter(|(parent, _)| !theirs.contains_key(*parent)) {
        let ours = live(Some(ours));
        found.extend(ours.iter().map(|one| format!("{parent} has {}, and nothing at Stripe", one["id"])));
    }
    for (parent, mut theirs) in theirs {
        theirs.sort_by_key(|(position, _)| *position);
        let ours = live(ours.get(&parent));
        if ours.len() != theirs.len() {
            found.push(format!("{parent} has {} instead of {}", ours.len(), theirs.len()));
            continue;
        }
        for (ours, (_, theirs)) in ours.into_iter().zip(theirs) {
            let id = theirs["id"].as_str().unwrap_or("?").to_owned();
            found.extend(difference(&format!("{parent} {id}"), &short(Value::Object(ours)), &short(theirs)));
        }
    }
    found
}

fn difference(id: &str, ours: &Value, theirs: &Value) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let empty = Map::new();
    let (ours, theirs) = (ours.as_object().unwrap_or(&empty), theirs.as_object().unwrap_or(&empty));
    let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
    let differing = names.filter(|name| ours.get(*name) != theirs.get(*name));
    let shown =
        differing.map(|name| format!("{name}: {:?} instead of {:?}", ours.get(name), theirs.get(name)));
    Some(format!("{id} {}", shown.collect::<Vec<_>>().join(", ")))
}

fn live(rows: Option<&Vec<Option<Map<String, Value>>>>) -> Vec<Map<String, Value>> {
    rows.into_iter().flatten().flatten().cloned().collect()
}

/// Children by parent, in their order; none for tombstones.
fn by_parent(tables: &Tables, table: &'static Table) -> BTreeMap<String, Vec<Option<Map<String, Value>>>> {
    let mut rows = rows(tables, table);
    rows.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    let mut all: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (parent, _, (_, row)) in rows {
        all.entry(parent).or_default().push(row);
    }
    all
}

/// Parent, place, and the row.
fn rows(tables: &Tables, table: &'static Table) -> Vec<(String, i64, Row)> {
    tables.get(table.name).unwrap().iter().flat_map(|rows| rows_of(table, rows)).collect()
}

fn rows_of(table: &'static Table, rows: &RecordBatch) -> Vec<(String, i64, Row)> {
    let gone = rows.column_by_name("_deleted").unwrap().as_boolean();
    let parents = rows.column_by_name("_parent").map(AsArray::as_string::<i32>);
    let places = rows.column_by_name("_position").map(AsArray::as_primitive::<Int64Type>);
    let row = |row: usize| {
        let object = catalog::encode(table, rows, row).unwrap();
        let id = object["id"].as_str().unwrap().to_owned();
        let parent = parents.map_or(String::new(), |parents| parents.value(row).to_owned());
        let place = places.map_or(0, |places| places.value(row));
        (parent, place, (id, (!gone.value(row)).then_some(object)))
    };
    (0..rows.num_rows()).map(row).collect()
}

/// `has_more` tells of the page it came in, not of the object; what was shown on request is compared by itself.
fn uncut(resource: &Resource, object: Value) -> Value {
    let mut object = support::unasked(resource, object);
    for Child { property, .. } in &resource.children {
        let pointer = format!("/{}", property.replace('.', "/"));
        if let Some(list) = object.pointer_mut(&pointer).and_then(Value::as_object_mut) {
            list.remove("has_more");
            list.insert("object".to_owned(), "whole list".into());
        }
    }
    short(object)
}

/// Of a list that has no table below its parent, an object shows ten.
fn short(mut value: Value) -> Value {
    if value["object"] == "list" {
        value.as_object_mut().unwrap().remove("has_more");
        if let Some(data) = value["data"].as_array_mut() {
            data.truncate(10);
        }
    }
    match value {
        Value::Object(object) => {
            Value::Object(object.into_iter().map(|(name, value)| (name, short(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(short).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}
