//! The resources that are copied.

use std::sync::LazyLock;

use crate::{List, Paging, Place, Table, lists};

/// A resource that is copied, and how it is asked for.
#[derive(Debug)]
pub struct Resource {
    /// Where its objects rest.
    pub table: &'static Table,
    /// The list that shows them.
    pub list: &'static List,
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

/// What people look for first; the others follow by name.
const FIRST: [&str; 12] = [
    "customers",
    "subscriptions",
    "invoices",
    "charges",
    "payment_intents",
    "refunds",
    "disputes",
    "balance_transactions",
    "payouts",
    "products",
    "prices",
    "plans",
];

static RESOURCES: LazyLock<Vec<Resource>> = LazyLock::new(|| {
    let mut copied: Vec<&List> = lists().iter().filter(|list| is_copied(list)).collect();
    let place = |list: &List| FIRST.iter().position(|name| *name == list.table.name).unwrap_or(FIRST.len());
    copied.sort_by_key(|list| (place(list), list.table.name));
    copied.into_iter().map(made).collect()
});
static ALL: LazyLock<Vec<&'static Resource>> = LazyLock::new(|| RESOURCES.iter().collect());

/// The account's own lists of API v1. Those of one parent each, and those of v2, are not copied yet.
fn is_copied(list: &List) -> bool {
    list.walked && list.parent.is_none() && list.paging != Paging::Page
}

fn made(list: &'static List) -> Resource {
    let children = lists().iter().filter_map(|child| {
        let parent = child.parent.filter(|parent| parent.table == list.table.name)?;
        Some(Child { property: parent.shown?, table: child.table, list: child, place: parent.place })
    });
    Resource { table: list.table, list, children: children.collect() }
}

/// The resources that are copied, those first that people look for first.
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
