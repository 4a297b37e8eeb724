//! What the objects of the account look like. Each edit changes them in another way: values, nulls, properties that
//! come and go, and some that no catalogue knows.

use catalog::Resource;
use serde_json::{Map, Value, json};

use crate::dice::Dice;

/// A kind of object, as far as this account cares.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    prefix: &'static str,
    /// Events tell of every change; otherwise of some, or of none.
    pub(crate) told: bool,
    /// Objects can go for good.
    pub(crate) goes: bool,
    /// The nested list it has.
    pub(crate) nested: Option<Nested>,
    /// The kind whose objects must be asked for theirs, one after another.
    pub(crate) of: Option<&'static str>,
}

/// A nested list that is shown cut at ten.
#[derive(Debug)]
pub(crate) struct Nested {
    pub(crate) property: &'static str,
    object: &'static str,
    prefix: &'static str,
}

const fn kind(name: &'static str, prefix: &'static str, told: bool, goes: bool) -> Kind {
    Kind { name, prefix, told, goes, nested: None, of: None }
}

const fn with(kind: &Kind, property: &'static str, object: &'static str, prefix: &'static str) -> Kind {
    let nested = Some(Nested { property, object, prefix });
    Kind { name: kind.name, prefix: kind.prefix, told: kind.told, goes: kind.goes, nested, of: None }
}

const fn apart(kind: &Kind, of: &'static str) -> Kind {
    Kind {
        name: kind.name,
        prefix: kind.prefix,
        told: kind.told,
        goes: kind.goes,
        nested: None,
        of: Some(of),
    }
}

/// What the account has, those first that others name.
pub(crate) static KINDS: [Kind; 21] = [
    kind("customer", "cus", true, true),
    kind("product", "prod", true, true),
    kind("price", "price", true, false),
    kind("plan", "plan", true, true),
    kind("coupon", "coupon", true, true),
    with(&kind("subscription", "sub", true, false), "items", "subscription_item", "si"),
    with(&kind("invoice", "in", true, true), "lines", "line_item", "il"),
    kind("charge", "ch", true, false),
    kind("payment_intent", "pi", false, false),
    kind("refund", "re", true, false),
    kind("dispute", "dp", true, false),
    with(&kind("credit_note", "cn", true, false), "lines", "credit_note_line_item", "cnli"),
    kind("payout", "po", true, false),
    kind("payment_method", "pm", false, true),
    kind("balance_transaction", "txn", false, false),
    kind("invoiceitem", "ii", false, true),
    kind("invoice_payment", "inpay", false, false),
    kind("entitlements.feature", "feat", true, false),
    apart(&kind("customer_balance_transaction", "cbtxn", true, false), "customer"),
    apart(&kind(ENTITLEMENT, "ent", true, true), "customer"),
    apart(&kind("product_feature", "prodft", false, true), "product"),
];

/// What customers have; while the account has no feature, they have none (see `catalog::Parent::needs`).
pub(crate) const ENTITLEMENT: &str = "entitlements.active_entitlement";

pub(crate) fn kind_of(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).unwrap()
}

/// An id of a kind. People choose those of coupons and plans themselves.
pub(crate) fn id(kind: &Kind, number: u64) -> String {
    match kind.name {
        "coupon" => format!("{number} % off/ä?"),
        _ => format!("{}_{number}", kind.prefix),
    }
}

/// What a new object needs to know.
pub(crate) struct Birth<'a> {
    pub(crate) id: &'a str,
    pub(crate) created: i64,
    /// Whom it names: a customer, who may be gone.
    pub(crate) customer: Option<String>,
    /// Another object it names, with the property.
    pub(crate) named: Option<(&'static str, String)>,
}

/// The resource of a kind.
pub(crate) fn resource_of(kind: &str) -> &'static Resource {
    catalog::resources().iter().copied().find(|resource| resource.table.object == kind).unwrap()
}

/// A new object.
pub(crate) fn born(kind: &Kind, birth: Birth<'_>, dice: &mut Dice) -> Value {
    let Birth { id, created, customer, named } = birth;
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    set("id", json!(id));
    set("object", json!(kind.name));
    set("livemode", json!(false));
    // Two kinds have no second of their own in their lists, but show one.
    set("created", json!(created));
    match kind.name {
        "customer" => set("email", json!("ä@example.com")),
        "price" | "plan" | "product" => set("active", json!(true)),
        "subscription" => set("status", json!("active")),
        "payment_intent" => set("amount_details", Value::Null),
        "charge" => {
            set("disputed", json!(false));
            set("amount_refunded", json!(0));
        }
        _ => {}
    }
    if kind.name != "customer" && kind.name != "product" {
        set("customer", customer.map_or(Value::Null, Value::from));
    }
    if let Some((property, other)) = named {
        set(property, json!(other));
    }
    let mut object = Value::Object(object);
    if let Some(nested) = &kind.nested {
        let url = format!("/v1/{id}/{}", nested.property);
        object[nested.property] = json!({ "object": "list", "data": [], "has_more": false, "url": url });
        let most = *dice.pick(&[0, 1, 3, 9, 10, 11, 12, 21, 35]);
        for number in 0..most {
            grow(kind, &mut object, number, dice);
        }
    }
    edit(&mut object, dice);
    object
}

/// Another version of the same object.
pub(crate) fn edit(object: &mut Value, dice: &mut Dice) {
    let version =
        object["metadata"]["version"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0_u64) + 1;
    object["metadata"] = json!({ "version": version.to_string(), "text": "\"quoted\" \\ \u{1F600}" });
    let amount = *dice.pick(&[0, 1, 1099, -5, 4_000_000_000_i64]);
    let whole = object.as_object_mut().unwrap();
    let property = if whole["object"] == "customer" { "balance" } else { "amount" };
    whole.insert(property.to_owned(), json!(amount));
    match dice.below(4) {
        0 => drop(whole.insert("description".to_owned(), Value::Null)),
        1 => drop(whole.remove("description")),
        _ => drop(whole.insert("description".to_owned(), json!(format!("version {version}")))),
    }
    match dice.below(4) {
        0 => drop(whole.insert("from_the_future".to_owned(), json!({ "deep": [version, null] }))),
        1 => drop(whole.remove("from_the_future")),
        _ => {}
    }
}

/// One more child, somewhere.
pub(crate) fn grow(kind: &Kind, parent: &mut Value, number: u64, dice: &mut Dice) {
    let Some(nested) = &kind.nested else { return };
    let id = parent["id"].as_str().unwrap().to_owned();
    let child = json!({
        "id": format!("{}_{id}_{number}", nested.prefix), "object": nested.object, "quantity": number,
        "metadata": {}, "subscription": id, "created": parent["created"],
    });
    let data = parent[nested.property]["data"].as_array_mut().unwrap();
    let place = dice.size(0, data.len());
    data.insert(place, child);
}

/// Some children fewer, one changed and the others in another order.
pub(crate) fn shrink(kind: &Kind, parent: &mut Value, fewer: usize, dice: &mut Dice) {
    let Some(nested) = &kind.nested else { return };
    let data = parent[nested.property]["data"].as_array_mut().unwrap();
    for _ in 0..fewer.min(data.len()) {
        data.remove(dice.size(0, data.len() - 1));
    }
    if !data.is_empty() {
        let length = data.len();
        data[dice.size(0, length - 1)]["quantity"] = json!(dice.below(1_000));
        data.rotate_left(dice.size(0, length - 1));
    }
}
