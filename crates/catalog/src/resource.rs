//! The resources that are copied, parents before those that name them.

use std::sync::LazyLock;

use crate::{List, Place, Table, lists};

/// A resource that is copied, and how it is asked for.
#[derive(Debug)]
pub struct Resource {
    /// Where its objects rest.
    pub table: &'static Table,
    /// The list that shows them.
    pub list: &'static List,
    /// "/v1/charges/{id}".
    pub retrieve_path: &'static str,
    /// Nested lists that have a table of their own.
    pub children: Vec<Child>,
}

/// A nested list that has a table of its own.
#[derive(Debug)]
pub struct Child {
    /// The parent's property, "lines".
    pub property: &'static str,
    /// Where the rows rest, with `_parent` and `_position`.
    pub table: &'static Table,
    /// Where the whole list is.
    pub list: &'static List,
    /// Where the parent's id goes when the whole list is asked for.
    pub place: Place,
}

/// What is copied today, parents before those that name them.
#[rustfmt::skip]
const COPIED: [&str; 7] =
    ["customers", "coupons", "plans", "subscriptions", "invoices", "charges", "events"];

static RESOURCES: LazyLock<Vec<Resource>> =
    LazyLock::new(|| COPIED.iter().filter_map(|name| made(name)).collect());
static ALL: LazyLock<Vec<&'static Resource>> = LazyLock::new(|| RESOURCES.iter().collect());

fn made(name: &str) -> Option<Resource> {
    let list = lists().iter().find(|list| list.table.name == name)?;
    let children = lists().iter().filter_map(|child| {
        let parent = child.parent.filter(|parent| parent.table == name)?;
        Some(Child { property: parent.shown?, table: child.table, list: child, place: parent.place })
    });
    Some(Resource { table: list.table, list, retrieve_path: list.retrieve?, children: children.collect() })
}

/// The resources that are copied, parents before those that name them.
#[must_use]
pub fn resources() -> &'static [&'static Resource] {
    &ALL
}

/// Every table that is copied: those of resources, each followed by its children's.
pub fn tables() -> impl Iterator<Item = &'static Table> {
    let children = |resource: &&'static Resource| resource.children.iter().map(|child| child.table);
    ALL.iter().flat_map(move |resource| std::iter::once(resource.table).chain(children(resource)))
}

/// The resource whose objects rest in `table`.
#[must_use]
pub fn resource(table: &str) -> Option<&'static Resource> {
    ALL.iter().copied().find(|resource| resource.table.name == table)
}

/// The resource of objects that call themselves `object`, "charge".
#[must_use]
pub fn by_object(object: &str) -> Option<&'static Resource> {
    ALL.iter().copied().find(|resource| resource.table.object == object)
}
