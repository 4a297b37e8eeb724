//! What an event tells of the state before.

use serde_json::{Map, Value};

/// The former values of what differs; objects are compared property by property, lists as a whole.
pub(crate) fn previous(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return (before != after).then(|| before.clone());
    };
    let mut changed = Map::new();
    for (property, value) in before {
        let now = after.get(property).unwrap_or(&Value::Null);
        if let Some(value) = previous(value, now) {
            changed.insert(property.clone(), value);
        }
    }
    for property in after.keys().filter(|property| !before.contains_key(*property)) {
        changed.insert(property.clone(), Value::Null);
    }
    (!changed.is_empty()).then_some(Value::Object(changed))
}
