//! Objects as an answer shows them: nested lists cut at ten, references expanded on request.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::Sim;
use super::error::ApiError;
use crate::shapes::FACTS;
use crate::world::{Found, Rendered, Scan};

/// How many members of a nested list an object shows.
const NESTED: usize = 10;

impl Sim {
    /// Appends the JSON of `object`.
    pub(super) fn write(
        &self,
        out: &mut String,
        object: Rendered,
        expand: &[Vec<String>],
    ) -> Result<(), ApiError> {
        match object {
            Rendered::Expanded(text) => out.push_str(&text),
            Rendered::Raw(text) if expand.is_empty() => out.push_str(&text),
            Rendered::Value(value) if expand.is_empty() && !is_long(&value) => push(out, &value),
            object @ (Rendered::Raw(_) | Rendered::Value(_)) => {
                let mut value = object.into_value();
                cut(&mut value);
                for path in expand {
                    self.expand(&mut value, path, None)?;
                }
                push(out, &value);
            }
        }
        Ok(())
    }

    /// Expands what `path` leads to. `within` is the object that `value` is a part of, and where in it.
    fn expand(&self, value: &mut Value, path: &[String], within: Option<Part<'_>>) -> Result<(), ApiError> {
        let Some((step, rest)) = path.split_first() else { return Ok(()) };
        if let Value::Array(items) = value {
            return items.iter_mut().try_for_each(|item| self.expand(item, path, None));
        }
        let Value::Object(object) = value else { return Ok(()) };
        let (kind, id) = (text(object, "object"), text(object, "id"));
        let within = match (&kind, &id, within) {
            (Some(kind), Some(id), _) => Some(Part { kind, id, path: step.clone() }),
            (_, _, Some(part)) => Some(Part { path: format!("{}.{step}", part.path), ..part }),
            (_, _, None) => None,
        };
        if object.get("object").and_then(Value::as_str) == Some("event") {
            return Err(not_expandable(step));
        }
        if !object.contains_key(step) {
            match within.as_ref().and_then(|part| self.includable(part)) {
                Some(list) => drop(object.insert(step.clone(), list)),
                None if within.as_ref().is_some_and(Part::is_known) => return Ok(()),
                None => return Err(not_expandable(step)),
            }
        }
        let Some(member) = object.get_mut(step) else { return Ok(()) };
        if let Some(id) = member.as_str() {
            *member = self.referred(id).ok_or_else(|| not_expandable(step))?;
        } else if let Value::Array(items) = member {
            for item in items.iter_mut() {
                if let Some(found) = item.as_str().and_then(|id| self.referred(id)) {
                    *item = found;
                }
            }
        }
        self.expand(member, rest, within)
    }

    /// A list that an object shows only when asked to.
    fn includable(&self, part: &Part<'_>) -> Option<Value> {
        let id = part.id;
        let (list, name) = FACTS.nested(part.kind, &part.path)?;
        let scan = Scan {
            list: list.holder().to_owned(),
            kind: list.kind().to_owned(),
            parent: Some((name.to_owned(), id.to_owned())),
            hide_canceled: true,
            ..Scan::default()
        };
        let members = self.inner.world.scan(&scan, NESTED + 1)?;
        let has_more = members.len() > NESTED;
        let data: Vec<Value> = members.into_iter().take(NESTED).map(Rendered::into_value).collect();
        Some(json!({ "object": "list", "data": data, "has_more": has_more, "url": list.url_of(name, id) }))
    }

    /// The object an id refers to, as an expansion shows it.
    fn referred(&self, id: &str) -> Option<Value> {
        let mut found =
            FACTS.kinds_of_id(id).filter_map(|kind| Some((kind, self.inner.world.get(kind, id)?)));
        match found.next()? {
            (_, Found::Live(object)) => {
                let mut value = object.into_value();
                cut(&mut value);
                Some(value)
            }
            (kind, Found::Deleted) => Some(stub(kind, id)),
        }
    }
}

/// A place in an object, such as `computed.upfront`.
#[derive(Clone)]
struct Part<'a> {
    kind: &'a str,
    id: &'a str,
    path: String,
}

impl Part<'_> {
    /// Whether objects of the kind can have something there, though this one may not.
    fn is_known(&self) -> bool {
        FACTS.property(self.kind, &self.path).is_some()
    }
}

fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// What is left of a deleted object.
pub(super) fn stub(kind: &str, id: &str) -> Value {
    json!({ "id": id, "object": kind, "deleted": true })
}

pub(super) fn push(out: &mut String, value: &Value) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{value}");
}

/// Cuts every nested list to its first ten.
pub(crate) fn cut(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let is_list = object.get("object").and_then(Value::as_str) == Some("list");
            let cut_off = match object.get_mut("data") {
                Some(Value::Array(data)) if is_list && data.len() > NESTED => {
                    data.truncate(NESTED);
                    true
                }
                _ => false,
            };
            if cut_off {
                object.insert("has_more".to_owned(), Value::Bool(true));
            }
            object.values_mut().for_each(cut);
        }
        Value::Array(items) => items.iter_mut().for_each(cut),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether some nested list holds more than is shown.
fn is_long(value: &Value) -> bool {
    match value {
        Value::Object(object) => {
            let long = object.get("data").and_then(Value::as_array).is_some_and(|data| data.len() > NESTED);
            long || object.values().any(is_long)
        }
        Value::Array(items) => items.iter().any(is_long),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn not_expandable(step: &str) -> ApiError {
    ApiError::bad(format!("This property cannot be expanded ({step})."), "expand")
}
