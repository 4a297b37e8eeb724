//! Whether the warehouse shows what there is: nothing lost, nothing doubled, nothing stale.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{BooleanArray, RecordBatch, cast::AsArray, types::Int64Type};
use catalog::{Resource, Table};
use serde_json::{Map, Value};
use warehouse::{Memory, SchemaName};

use crate::{
    account::Account,
    objects::{KINDS, Kind, resource_of},
};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// What events tell all of, and the events themselves; but not what must be asked for parent by parent.
    Told,
    /// What one list shows all of.
    Walked,
    All,
}

/// A row turned back into its object, nested lists whole.
struct Row {
    object: Value,
    gone: bool,
}

pub(crate) fn schema() -> SchemaName {
    "stripe".parse().unwrap()
}

/// The first difference, in words.
pub(crate) fn compare(account: &Account, warehouse: &Memory, kinds: Kinds) -> Result<(), String> {
    let compared = KINDS.iter().filter(|kind| match kinds {
        // A round that was broken off ends before one begins that asks for what changed meanwhile.
        Kinds::Told => kind.told && kind.of.is_none(),
        Kinds::Walked => kind.told || kind.of.is_none() && resource_of(kind.name).also.is_none(),
        Kinds::All => true,
    });
    for kind in compared.map(|kind| kind.name).chain(["event"]) {
        compare_kind(account, warehouse, kind).map_err(|difference| format!("{kind} {difference}"))?;
    }
    let ordered =
        |kind: &&Kind| kind.of.is_some() && (kinds == Kinds::All || kinds == Kinds::Walked && kind.told);
    for kind in KINDS.iter().filter(ordered) {
        compare_order(account, warehouse, kind)?;
    }
    named_customers(account, warehouse)
}

/// What is listed parent by parent rests with its parent, in the order of its list.
fn compare_order(account: &Account, warehouse: &Memory, kind: &Kind) -> Result<(), String> {
    let mut theirs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (parent, id) in account.order(kind.name) {
        theirs.entry(parent).or_default().push(id);
    }
    let ours: BTreeMap<String, Vec<String>> = children(warehouse, resource_of(kind.name).table)?
        .into_iter()
        .map(|(parent, own)| (parent, own.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()))
        .collect();
    let differing = theirs.iter().find(|(parent, own)| ours.get(*parent) != Some(own));
    match differing {
        Some((parent, own)) => {
            let shown = ours.get(parent);
            Err(format!("{} of {parent} are {own:?}, the warehouse has {shown:?}", kind.name))
        }
        None => Ok(()),
    }
}

fn compare_kind(account: &Account, warehouse: &Memory, kind: &'static str) -> Result<(), String> {
    let resource = resource_of(kind);
    let theirs = account.truth(kind);
    let ours = rows(warehouse, resource)?;
    for (id, object) in &theirs {
        let Some(row) = ours.get(id) else { return Err(format!("{id} is lost")) };
        if row.gone {
            return Err(format!("{id} is there, but marked as gone"));
        }
        let object = uncut(resource, Value::clone(object));
        if row.object != object {
            return Err(format!("{id} is stale:\n  Stripe:    {object}\n  warehouse: {}", row.object));
        }
    }
    for (id, row) in ours.iter().filter(|(id, _)| !theirs.contains_key(*id)) {
        let past = account.past(kind, id);
        if kind == "event" && past.iter().any(|event| **event == row.object) {
            continue; // Stripe no longer keeps it.
        }
        if !row.gone {
            return Err(format!("{id} is gone, but not marked"));
        }
        let was = |object: &Value| flat(resource, object.clone()) == flat(resource, row.object.clone());
        if !is_stub(&row.object) && !past.iter().any(|object| was(object)) {
            return Err(format!("{id} is marked as gone, and shows what it never was: {}", row.object));
        }
    }
    Ok(())
}

/// Customers who are gone, but whom others name, have a tombstone (trap 11).
fn named_customers(account: &Account, warehouse: &Memory) -> Result<(), String> {
    let ours = rows(warehouse, resource_of("customer"))?;
    let names = |kind: &&Kind| {
        let table = resource_of(kind.name).table;
        table.columns.iter().any(|column| column.name == "customer" && column.refers_to("customer"))
    };
    for kind in KINDS.iter().filter(|kind| kind.told).filter(names) {
        for object in account.truth(kind.name).values() {
            let Some(customer) = object["customer"].as_str() else { continue };
            if !ours.contains_key(customer) {
                return Err(format!("customer {customer} has no row, but {} names them", object["id"]));
            }
        }
    }
    Ok(())
}

fn rows(warehouse: &Memory, resource: &'static Resource) -> Result<BTreeMap<String, Row>, String> {
    let mut nested = Vec::new();
    for child in &resource.children {
        nested.push(children(warehouse, child.table)?);
    }
    let stored = warehouse.rows(&schema(), resource.table);
    let gone = marks(&stored);
    let mut rows = BTreeMap::new();
    for index in 0..stored.num_rows() {
        let object = catalog::encode(resource.table, &stored, index).map_err(|error| error.to_string())?;
        let id = object["id"].as_str().unwrap().to_owned();
        let own = nested.iter_mut().map(|of| of.remove(&id).unwrap_or_default()).collect();
        let object = uncut(resource, Value::Object(catalog::with_children(resource, object, own)));
        let gone = gone.value(index);
        let left = |nested: &Value| nested["data"].as_array().is_some_and(|data| !data.is_empty());
        if gone && resource.children.iter().any(|child| left(&object[child.property])) {
            return Err(format!("{id} is gone, but its children are not marked"));
        }
        if rows.insert(id.clone(), Row { object, gone }).is_some() {
            return Err(format!("{id} is doubled"));
        }
    }
    match nested.iter().find_map(|of| of.keys().next()) {
        Some(parent) => Err(format!("{parent} has children, but no row")),
        None => Ok(rows),
    }
}

/// The children that are there, in order, by their parents.
fn children(
    warehouse: &Memory,
    table: &'static Table,
) -> Result<BTreeMap<String, Vec<Map<String, Value>>>, String> {
    let stored = warehouse.rows(&schema(), table);
    let parents = stored.column_by_name("_parent").unwrap().as_string::<i32>();
    let places = stored.column_by_name("_position").unwrap().as_primitive::<Int64Type>();
    let gone = marks(&stored);
    let mut order: Vec<usize> = (0..stored.num_rows()).collect();
    order.sort_by_key(|&row| (parents.value(row), places.value(row)));
    let (mut by_parent, mut seen) = (BTreeMap::<String, Vec<_>>::new(), BTreeSet::new());
    for row in order {
        let child = catalog::encode(table, &stored, row).map_err(|error| error.to_string())?;
        let parent = parents.value(row).to_owned();
        if !seen.insert((parent.clone(), child["id"].to_string())) {
            return Err(format!("{parent} has the child {} twice", child["id"]));
        }
        if !gone.value(row) {
            by_parent.entry(parent).or_default().push(child);
        }
    }
    Ok(by_parent)
}

fn marks(rows: &RecordBatch) -> BooleanArray {
    rows.column_by_name("_deleted").unwrap().as_boolean().clone()
}

/// `has_more` of a nested list tells of the page it came in, not of the object. Lists that an object shows only when it
/// is asked to expand them are empty in this account.
fn uncut(resource: &Resource, mut object: Value) -> Value {
    for child in &resource.children {
        let Some(list) = object.get_mut(child.property).and_then(Value::as_object_mut) else { continue };
        list.remove("has_more");
        let expanded = resource.expand.contains(&child.property);
        if expanded && list["data"].as_array().is_some_and(Vec::is_empty) {
            object.as_object_mut().unwrap().remove(child.property);
        }
    }
    object
}

/// The object without its nested lists.
fn flat(resource: &Resource, mut object: Value) -> Value {
    for child in &resource.children {
        object.as_object_mut().unwrap().remove(child.property);
    }
    object
}

/// What is known of an object that was never seen.
fn is_stub(object: &Value) -> bool {
    object["created"].is_null()
}
