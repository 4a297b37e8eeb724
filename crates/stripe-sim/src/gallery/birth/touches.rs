//! What the SDK's types do not say: what belongs to what, and what lists hide.

use serde_json::{Map, Value, json};

use crate::gallery::GallerySpec;
use crate::gallery::rooms::Rooms;
use crate::shapes::{FACTS, List, Parent, Property, Type};
use crate::world::Standing;

/// Every ninth object of kinds that can be on a test clock is on one, beginning with this.
const ON_CLOCK: usize = 5;

/// Whether an object is on a test clock, told by its number.
pub(super) fn is_on_test_clock(kind: &str, number: usize) -> bool {
    let clock = |property: &&Property| property.name == "test_clock";
    number % 9 == ON_CLOCK && FACTS.properties(kind).iter().any(|property| clock(&property))
}

/// Has an object name what it belongs to.
pub(in crate::gallery) fn belong(value: &mut Value, list: &List, parent: Option<&str>) {
    let Value::Object(members) = value else { return };
    let kind = members.get("object").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let (Some(above), Some(id)) = (list.parent.as_ref(), parent) {
        for property in FACTS.properties(&kind).iter().filter(|property| names_parent(property, above, &kind))
        {
            members.insert(property.name.clone(), json!(id));
        }
    }
    match list.path.as_str() {
        "/v1/customers/{customer}/tax_ids" => {
            put(members, "owner", json!({ "type": "customer", "customer": parent }));
        }
        "/v1/tax_ids" => {
            put(members, "owner", json!({ "type": "self" }));
            put(members, "customer", Value::Null);
        }
        "/v1/payment_methods" => put(members, "customer", Value::Null),
        "/v1/customers/{customer}/sources" if kind != "source" => put(members, "account", Value::Null),
        "/v1/accounts/{account}/external_accounts" => put(members, "customer", Value::Null),
        _ => {}
    }
}

/// Whether a property is for the id of what the object belongs to: by its name, or because nothing else can be in it.
fn names_parent(property: &Property, above: &Parent, kind: &str) -> bool {
    let last = above.kind.rsplit('.').next().unwrap_or_default();
    let name = property.name.as_str();
    let named = name != "id" && [above.name.as_str(), last].contains(&name);
    let alone = matches!(&property.kind, Type::Reference(kinds) if *kinds == [above.kind.clone()]);
    let fee = (kind, name) == ("fee_refund", "fee");
    matches!(property.kind, Type::Text | Type::Reference(_)) && (named || alone || fee)
}

/// What lists need to be of one kind, or clocks hide.
pub(in crate::gallery) fn touch(value: &mut Value, list: &List, kind: &str, number: usize) {
    let Value::Object(members) = value else { return };
    if list.path == "/v1/apps/secrets" {
        put(members, "scope", json!({ "type": "account" }));
    }
    if kind == "financial_connections.account" {
        put(members, "ownership", json!(format!("fcaowns_{number:020}")));
    }
    if members.contains_key("test_clock") && !is_on_test_clock(kind, number) {
        put(members, "test_clock", Value::Null);
    }
}

/// Owners are of the ownership that their account names.
pub(super) fn own(rooms: &Rooms, value: &mut Value, parent: Option<&str>) {
    let account = parent.and_then(|id| rooms.find("financial_connections.account", id));
    let named = account.and_then(|account| account.value.get("ownership").cloned());
    if let (Value::Object(members), Some(named)) = (value, named) {
        put(members, "ownership", named);
    }
}

/// What becomes of an object in its list.
pub(in crate::gallery) fn standing(
    value: &Value,
    list: &List,
    number: usize,
    spec: &GallerySpec,
) -> Standing {
    let is = |name: &str, wanted: bool| value.get(name).and_then(Value::as_bool) == Some(wanted);
    if value.get("test_clock").is_some_and(Value::is_string) {
        return Standing::TestClock;
    }
    match list.path.as_str() {
        "/v1/reviews" if is("open", false) => Standing::Unlisted,
        // Made within a subscription or a checkout session.
        "/v1/prices" if number % 8 == 3 => Standing::Unlisted,
        "/v1/prices" | "/v1/tax_rates" if is("active", false) && spec.hide_inactive => Standing::Inactive,
        "/v1/subscriptions" if value.get("status").is_some_and(|status| status == "canceled") => {
            Standing::Canceled
        }
        "/v2/core/accounts" if is("closed", true) => Standing::Closed,
        _ => Standing::Shown,
    }
}

fn put(members: &mut Map<String, Value>, name: &str, value: Value) {
    members.insert(name.to_owned(), value);
}
