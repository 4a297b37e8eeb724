//! The resources that are copied.

use std::sync::LazyLock;

use crate::{List, Parent, Place, Shown, Table, lists};

/// A resource that is copied, and how it is asked for.
#[derive(Debug)]
pub struct Resource {
    /// Where its objects rest.
    pub table: &'static Table,
    /// The list that shows them.
    pub list: &'static List,
    /// Nested lists that have a table of their own.
    pub children: Vec<Child>,
    /// What its objects are asked to expand, lest `children` are not shown.
    pub expand: Vec<&'static str>,
    /// A list that shows more of its objects, for one parent each (trap 10).
    pub also: Option<&'static List>,
}

/// A nested list that has a table of its own.
#[derive(Debug)]
pub struct Child {
    /// The parent's property, "lines"; dots lead into nested objects.
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

/// Every list but those that come along with their parents, and those that show more of a table that has its own list.
fn is_copied(list: &List) -> bool {
    let apart = list.parent.is_none_or(|parent| parent.shown == Shown::Apart);
    list.walked && apart && !is_also(list)
}

fn is_also(list: &List) -> bool {
    list.parent.is_some()
        && lists().iter().any(|own| own.parent.is_none() && own.table.name == list.table.name)
}

fn made(list: &'static List) -> Resource {
    let of_parent = |child: &'static List| {
        let parent = child.parent.filter(|parent| parent.table == list.table.name)?;
        Some((child, parent))
    };
    let shown = || lists().iter().filter_map(of_parent).filter(|(child, _)| child.walked);
    let child = |(child, parent): (&'static List, Parent)| {
        let property = parent.shown.property()?;
        Some(Child { property, table: child.table, list: child, place: parent.place })
    };
    let expanded = |(_, parent): (&'static List, Parent)| match parent.shown {
        Shown::Expanded(property) => Some(property),
        Shown::Apart | Shown::Always(_) => None,
    };
    let also = lists().iter().find(|also| is_also(also) && also.table.name == list.table.name);
    Resource {
        table: list.table,
        list,
        children: shown().filter_map(child).collect(),
        expand: shown().filter_map(expanded).collect(),
        also: also.filter(|_| list.parent.is_none()),
    }
}

impl Resource {
    /// Whether every object belongs to one of another table, which must be asked for its own: its rows have a `_parent`.
    #[must_use]
    pub fn is_apart(&self) -> bool {
        self.list.parent.is_some()
    }

    /// The tables whose rows belong to rows of this one.
    pub fn belongings(&self) -> impl Iterator<Item = &'static Table> {
        let of_this = |apart: &&'static Resource| {
            apart.list.parent.is_some_and(|parent| parent.table == self.table.name)
        };
        let apart = ALL.iter().copied().filter(of_this).map(|apart| apart.table);
        self.children.iter().map(|child| child.table).chain(apart)
    }
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

/// The table of that name, a resource's own or a nested list's.
#[must_use]
pub fn table(name: &str) -> Option<&'static Table> {
    tables().find(|table| table.name == name)
}

/// The resource whose objects rest in `table`.
#[must_use]
pub fn resource(table: &str) -> Option<&'static Resource> {
    ALL.iter().copied().find(|resource| resource.table.name == table)
}

/// The resource whose objects, or those of a nested list, rest in `table`.
#[must_use]
pub fn resource_with(table: &str) -> Option<&'static Resource> {
    let children =
        |resource: &&'static Resource| resource.children.iter().any(|child| child.table.name == table);
    resource(table).or_else(|| ALL.iter().copied().find(children))
}

/// The resource of objects that call themselves `object`, "charge", and can be asked for by their id alone.
#[must_use]
pub fn by_object(object: &str) -> Option<&'static Resource> {
    ALL.iter().copied().find(|resource| resource.table.object == object && !resource.is_apart())
}
