//! Whether objects are what the SDK says they are.

use serde_json::Value;

use super::{FACTS, Property, Type};

/// Fails unless an object has the properties that it must have, each of its type.
pub(crate) fn fits_record(properties: &[Property], object: &Value, at: &str) {
    for Property { name, optional, kind } in properties {
        match object.get(name) {
            Some(value) => assert!(
                *optional && value.is_null() || fits(kind, value, &format!("{at}.{name}")),
                "{at}.{name}: {value}"
            ),
            None => assert!(*optional, "{at}.{name} is absent"),
        }
    }
}

fn fits(kind: &Type, value: &Value, at: &str) -> bool {
    match kind {
        Type::Text | Type::Decimal | Type::WholeText | Type::Instant | Type::Reference(_) => {
            value.is_string()
        }
        Type::OneOf(values) => values.iter().any(|known| value == known),
        Type::Whole | Type::Moment => value.is_i64(),
        Type::Number => value.is_number(),
        Type::Flag => value.is_boolean(),
        Type::True => *value == true,
        Type::Any => true,
        Type::Object(kind) => {
            fits_record(FACTS.properties(kind), value, at);
            value["object"] == kind.as_str()
        }
        Type::List(_) => value["object"] == "list" && value["data"].is_array() && value["url"].is_string(),
        Type::Array(inner) => {
            value.as_array().is_some_and(|values| values.iter().all(|value| fits(inner, value, at)))
        }
        Type::Free(inner) => {
            value.as_object().is_some_and(|free| free.values().all(|value| fits(inner, value, at)))
        }
        Type::Record(properties) => {
            fits_record(properties, value, at);
            value.is_object()
        }
    }
}
