//! The resources that are copied, parents before those that name them. What the generator cannot know stands here,
//! one line per fact.

use crate::{Child, Resource, generated as tables};

static CUSTOMERS: Resource = simple(&tables::CUSTOMERS, "/v1/customers", "/v1/customers/{id}");
static COUPONS: Resource = simple(&tables::COUPONS, "/v1/coupons", "/v1/coupons/{id}");
static PLANS: Resource = simple(&tables::PLANS, "/v1/plans", "/v1/plans/{id}");
static CHARGES: Resource = simple(&tables::CHARGES, "/v1/charges", "/v1/charges/{id}");
static EVENTS: Resource = simple(&tables::EVENTS, "/v1/events", "/v1/events/{id}");
static SUBSCRIPTIONS: Resource = Resource {
    // Without it the list hides canceled subscriptions (trap 10).
    list_params: &[("status", "all")],
    children: &[Child {
        property: "items",
        table: &tables::SUBSCRIPTION_ITEMS,
        list_path: "/v1/subscription_items",
        list_parent_param: Some("subscription"),
    }],
    ..simple(&tables::SUBSCRIPTIONS, "/v1/subscriptions", "/v1/subscriptions/{id}")
};
static INVOICES: Resource = Resource {
    children: &[Child {
        property: "lines",
        table: &tables::INVOICE_LINE_ITEMS,
        list_path: "/v1/invoices/{parent}/lines",
        list_parent_param: None,
    }],
    ..simple(&tables::INVOICES, "/v1/invoices", "/v1/invoices/{id}")
};

static RESOURCES: [&Resource; 7] =
    [&CUSTOMERS, &COUPONS, &PLANS, &SUBSCRIPTIONS, &INVOICES, &CHARGES, &EVENTS];

/// The resources that are copied, parents before those that name them.
#[must_use]
pub fn resources() -> &'static [&'static Resource] {
    &RESOURCES
}

/// Every table that is copied: those of resources, each followed by its children's.
pub fn tables() -> impl Iterator<Item = &'static crate::Table> {
    let children = |resource: &&'static Resource| resource.children.iter().map(|child| child.table);
    RESOURCES.into_iter().flat_map(move |resource| std::iter::once(resource.table).chain(children(&resource)))
}

/// The resource whose objects rest in `table`.
#[must_use]
pub fn resource(table: &str) -> Option<&'static Resource> {
    RESOURCES.into_iter().find(|resource| resource.table.name == table)
}

/// The resource of objects that call themselves `object`, "charge".
#[must_use]
pub fn by_object(object: &str) -> Option<&'static Resource> {
    RESOURCES.into_iter().find(|resource| resource.table.object == object)
}

const fn simple(
    table: &'static crate::Table,
    list_path: &'static str,
    retrieve_path: &'static str,
) -> Resource {
    Resource { table, list_path, list_params: &[], created_filter: true, retrieve_path, children: &[] }
}
