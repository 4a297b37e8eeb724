//! JSON text, one level deep: properties with their values as the text that was sent.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// An object's properties in the order sent; a repeated name is repeated here.
#[derive(Debug)]
pub(crate) struct Object<'a>(pub(crate) Vec<(Name<'a>, &'a RawValue)>);

/// A property's name, borrowed unless it was written with escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Name<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// A list as Stripe sends it.
#[derive(Debug, Deserialize)]
pub(crate) struct ListOf<T> {
    pub(crate) data: Vec<T>,
    /// Not optional: a page without it must not pass for the end of its list.
    pub(crate) has_more: bool,
}

/// A list as API v2 sends it.
#[derive(Debug, Deserialize)]
pub(crate) struct PageOf<T> {
    pub(crate) data: Vec<T>,
    /// Null at the end, but never left out: see [`ListOf::has_more`].
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) next_page_url: Option<String>,
}

impl<'a> Object<'a> {
    /// The last value under `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(key, _)| key.0 == name).map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Properties)
    }
}

struct Properties;

impl<'de> Visitor<'de> for Properties {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut properties = Vec::with_capacity(64);
        while let Some(entry) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            properties.push(entry);
        }
        Ok(Object(properties))
    }
}

/// The text of a JSON string; none when it is not one, or not valid Unicode.
pub(crate) fn text(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
}

/// Whether the text of a JSON value has no half of a surrogate pair by itself: no database takes that.
pub(crate) fn is_unicode(raw: &str) -> bool {
    let bytes = raw.as_bytes();
    let half = |at: usize| matches!(bytes.get(at + 1..at + 3), Some(b"ud" | b"uD"));
    let may_have_halves = memchr::memchr_iter(b'\\', bytes).any(half);
    !may_have_halves || serde_json::from_str::<serde_json::Value>(raw).is_ok()
}
