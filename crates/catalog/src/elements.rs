//! The elements of a list, and what there is to know of each before it is a row.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    DecodeError, date_time,
    object::{ListOf, Object, PageOf, text},
};

/// What an answer says. Text is validated at once: as bytes every value of it would be by itself.
pub(crate) fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        // It says where.
        Err(_) => serde_json::from_slice(body),
    }
}

/// An element of a list.
pub(crate) enum Element<'a> {
    Object(Object<'a>),
    Other(&'a RawValue),
}

/// What a page of a list holds.
pub(crate) struct Elements<'a> {
    pub(crate) objects: Vec<Element<'a>>,
    pub(crate) has_more: bool,
    pub(crate) next: Option<String>,
}

/// A list's elements. The fast way takes all for objects; the other finds those that are none.
pub(crate) fn list<'a>(body: &'a [u8], what: &'static str) -> Result<Elements<'a>, DecodeError> {
    let wrong = |source| DecodeError { what, source };
    let (objects, has_more) = match parsed::<ListOf<Object<'a>>>(body) {
        Ok(list) => (list.data.into_iter().map(Element::Object).collect(), list.has_more),
        Err(error) if error.is_data() => {
            let list: ListOf<&'a RawValue> = parsed(body).map_err(wrong)?;
            (list.data.into_iter().map(element).collect(), list.has_more)
        }
        Err(error) => return Err(wrong(error)),
    };
    Ok(Elements { objects, has_more, next: None })
}

/// The elements of a page as API v2 sends it (trap 6).
pub(crate) fn page(body: &[u8]) -> Result<Elements<'_>, DecodeError> {
    let page: PageOf<&RawValue> =
        parsed(body).map_err(|source| DecodeError { what: "a list page", source })?;
    let objects = page.data.into_iter().map(element).collect();
    Ok(Elements { objects, has_more: page.next_page_url.is_some(), next: page.next_page_url })
}

fn element(raw: &RawValue) -> Element<'_> {
    match serde_json::from_str(raw.get()) {
        Ok(object) => Element::Object(object),
        Err(_) => Element::Other(raw),
    }
}

/// A list at `path` within a value: the value without the list's `data`, the list's elements and its `has_more`; none
/// when there is no list.
pub(crate) fn nested<'a>(raw: &'a RawValue, path: &str) -> Option<(String, Vec<Element<'a>>, bool)> {
    let object: Object<'_> = serde_json::from_str(raw.get()).ok()?;
    if !path.is_empty() {
        let (property, inner) = path.split_once('.').unwrap_or((path, ""));
        let (text, elements, has_more) = nested(object.get(property)?, inner)?;
        let changed = object.0.iter().map(|(name, raw)| match name.0.as_ref() {
            name if name == property => (name, text.as_str()),
            name => (name, raw.get()),
        });
        return Some((written(changed), elements, has_more));
    }
    object.get("object").filter(|raw| raw.get() == "\"list\"")?;
    let data: Vec<&RawValue> = serde_json::from_str(object.get("data")?.get()).ok()?;
    let kept = object.0.iter().filter(|(name, _)| name.0 != "data");
    let text = written(kept.map(|(name, raw)| (name.0.as_ref(), raw.get())));
    let has_more = object.get("has_more").is_some_and(|raw| raw.get() == "true");
    Some((text, data.into_iter().map(element).collect(), has_more))
}

/// Properties as the text of an object.
pub(crate) fn written<'a>(properties: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let properties = properties.map(|(name, raw)| format!("{}:{raw}", serde_json::Value::from(name)));
    format!("{{{}}}", properties.collect::<Vec<_>>().join(","))
}

/// Seconds as v1 writes them, or a moment as v2 does.
pub(crate) fn second(raw: &str) -> Option<i64> {
    raw.parse().ok().or_else(|| Some(date_time::micros(&text(raw)?)?.div_euclid(1_000_000)))
}

pub(crate) fn id_of(object: &Object<'_>) -> Option<String> {
    text(object.get("id")?.get()).filter(|id| !id.is_empty()).map(std::borrow::Cow::into_owned)
}

/// Stripe's stub of a deleted object: as a row it would blank what the object was (trap 11).
pub(crate) fn is_deleted(object: &Object<'_>) -> bool {
    object.get("deleted").is_some_and(|raw| raw.get() == "true")
}
