//! What has no column of its own.

use crate::object::is_unicode;

/// A value that did not fit its column. It is kept in `_extra`, unless it is no valid Unicode.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) property: String,
    pub(crate) raw: String,
    /// Whether `_extra` has it.
    pub(crate) is_kept: bool,
}

/// Properties that the catalogue has no column for, as one JSON object.
#[derive(Default)]
pub(crate) struct Extra(String);

impl Extra {
    /// Keeps a value, or gives it back when it is no valid Unicode.
    pub(crate) fn push(&mut self, name: &str, raw: &str) -> Option<Misfit> {
        if !is_unicode(raw) {
            return Some(Misfit { property: name.to_owned(), raw: raw.to_owned(), is_kept: false });
        }
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&serde_json::Value::from(name).to_string());
        self.0.push(':');
        self.0.push_str(raw);
        None
    }

    pub(crate) fn finish(mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push('}');
        Some(self.0)
    }
}

/// A JSON array of column names, none when there are none.
pub(crate) fn name_list<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut list = String::new();
    for name in names {
        list.push_str(if list.is_empty() { "[\"" } else { "\",\"" });
        list.push_str(name);
    }
    if list.is_empty() {
        return None;
    }
    list.push_str("\"]");
    Some(list)
}
