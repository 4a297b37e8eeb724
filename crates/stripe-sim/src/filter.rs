//! Whether an object passes a parameter of its list.

use serde_json::Value;

/// Whether `object` has what `name=wanted` asks for.
///
/// `name` may be of a nested property (`scope[type]`), a bound (`due_date[gte]`) or one of several allowed values
/// (`lookup_keys[]`, `ids[0]`).
pub(crate) fn passes(object: &Value, name: &str, wanted: &str) -> bool {
    let mut steps = name.split('[').map(|step| step.trim_end_matches(']'));
    let root = steps.next().unwrap_or_default();
    let mut value = singulars(root).find_map(|name| object.get(name));
    for step in steps {
        value = match step {
            "gt" | "gte" | "lt" | "lte" => return is_within(value, step, wanted),
            "" => value,
            index if index.bytes().all(|digit| digit.is_ascii_digit()) => value,
            inner => value.and_then(|value| value.get(inner)),
        };
    }
    equals(value, wanted)
}

/// Whether `object` passes all parameters; of several values for one (`ids[]`), one is enough.
pub(crate) fn passes_all(object: &Value, filters: &[(String, String)]) -> bool {
    filters.iter().all(|(name, _)| {
        let mut same = filters.iter().filter(|(other, _)| is_same(other, name));
        same.any(|(name, wanted)| passes(object, name, wanted))
    })
}

/// Whether two names are of one parameter's values: `ids[0]` and `ids[1]`, not `due_date[gte]` and `due_date[lt]`.
fn is_same(name: &str, other: &str) -> bool {
    let plain = |name: &str| {
        let (root, index) = name.split_once('[').unwrap_or((name, ""));
        index.trim_end_matches(']').bytes().all(|digit| digit.is_ascii_digit()).then(|| root.to_owned())
    };
    name == other || plain(name).is_some_and(|name| Some(name) == plain(other))
}

/// Names of the property that a parameter may be about: `status` of `statuses`, `id` of `ids`.
pub(crate) fn singulars(name: &str) -> impl Iterator<Item = &str> {
    [Some(name), name.strip_suffix('s'), name.strip_suffix("es")].into_iter().flatten()
}

/// The property that a parameter is about: `due_date` of `due_date[gte]`.
pub(crate) fn root(name: &str) -> &str {
    name.split_once('[').map_or(name, |(root, _)| root)
}

/// Whether a property has the value that a query's text means; an object that is shown whole counts by its id.
pub(crate) fn equals(property: Option<&Value>, wanted: &str) -> bool {
    match property {
        Some(Value::String(text)) => text == wanted,
        Some(value @ (Value::Bool(_) | Value::Number(_))) => {
            serde_json::from_str(wanted).is_ok_and(|wanted: Value| wanted == *value)
        }
        Some(Value::Object(object)) => object.get("id").is_some_and(|id| id == wanted),
        Some(Value::Array(values)) => values.iter().any(|value| equals(Some(value), wanted)),
        Some(Value::Null) | None => false,
    }
}

fn is_within(value: Option<&Value>, bound: &str, wanted: &str) -> bool {
    let (Some(value), Ok(wanted)) = (value.and_then(Value::as_i64), wanted.parse::<i64>()) else {
        return false;
    };
    match bound {
        "gt" => value > wanted,
        "gte" => value >= wanted,
        "lt" => value < wanted,
        _ => value <= wanted,
    }
}
