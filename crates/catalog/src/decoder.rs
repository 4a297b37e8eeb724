//! Pages of JSON into Arrow columns.

use std::collections::HashSet;

use arrow_array::RecordBatch;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Child, Paging, Resource, Table, date_time,
    object::{ListOf, Object, PageOf, text},
    row::{Misfit, Place, Rows},
};

/// Builds the rows of one resource and of its nested lists. What is decoded is kept until [`Decoder::finish`].
#[derive(Debug)]
pub struct Decoder {
    resource: &'static Resource,
    rows: Rows,
    nested: Vec<Building>,
    rejects: Vec<Reject>,
}

/// A nested list under construction.
#[derive(Debug)]
struct Building {
    child: &'static Child,
    rows: Rows,
    parents: Vec<String>,
}

/// A decoded list page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Every object of the page in its order, those passed over too.
    pub keys: Vec<Key>,
    /// Stripe says that the list goes on.
    pub has_more: bool,
    /// Where it goes on, as API v2 says it: path and query (trap 6).
    pub next: Option<String>,
    /// Nested lists that were cut.
    pub incomplete: Vec<Incomplete>,
}

/// What a cursor needs to know of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Its second, if it has one.
    pub created: Option<i64>,
}

/// A nested list of which Stripe showed only the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incomplete {
    /// Which of the resource's children.
    pub child: usize,
    /// The parent's id.
    pub parent: String,
    /// The last child shown.
    pub after: String,
    /// The place of the next one.
    pub position: i64,
}

/// What one retrieved object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum One {
    /// It became a row.
    Row {
        /// Nested lists that were cut.
        incomplete: Vec<Incomplete>,
    },
    /// Stripe's stub of a deleted object: its id. No row was added.
    Deleted(String),
}

/// Rows, ready for a warehouse.
#[derive(Debug)]
pub struct Decoded {
    /// The resource's own.
    pub rows: RecordBatch,
    /// Those of its nested lists, in the order of the resource's children.
    pub nested: Vec<Nested>,
    /// What could not be decoded as it should.
    pub rejects: Vec<Reject>,
}

/// What one nested list brought.
#[derive(Debug)]
pub struct Nested {
    /// Which list.
    pub child: &'static Child,
    /// Its rows.
    pub rows: RecordBatch,
    /// The parents that showed the list, be it empty. One that did not show it says nothing about its children.
    pub parents: Vec<String>,
}

/// Something that was not as the catalogue expects. Nothing is lost: a value is in its row's `_extra` too, an object
/// without a row is in `raw`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The table.
    pub table: &'static str,
    /// The object, if it has an id.
    pub id: Option<String>,
    /// Where in the object, as a JSON pointer.
    pub pointer: String,
    /// What was expected.
    pub reason: String,
    /// The JSON as it was sent.
    pub raw: String,
}

/// An answer that is no list page, or no object.
#[derive(Debug, thiserror::Error)]
#[error("could not decode {what}")]
pub struct DecodeError {
    what: &'static str,
    #[source]
    source: serde_json::Error,
}

impl DecodeError {
    /// The answer is no JSON, or ends too early: asking again may help.
    #[must_use]
    pub fn is_syntax(&self) -> bool {
        self.source.is_syntax() || self.source.is_eof()
    }
}

impl Decoder {
    /// A decoder without rows.
    #[must_use]
    pub fn new(resource: &'static Resource) -> Self {
        let building =
            |child: &'static Child| Building { child, rows: Rows::new(child.table), parents: Vec::new() };
        let nested = resource.children.iter().map(building).collect();
        Self { resource, rows: Rows::new(resource.table), nested, rejects: Vec::new() }
    }

    /// Decodes a list page. Objects whose ids are in `skip` give no row.
    ///
    /// # Errors
    /// When the body is no list page; then no row was added.
    pub fn page(
        &mut self,
        body: &[u8],
        as_of_micros: i64,
        skip: &HashSet<String>,
    ) -> Result<Page, DecodeError> {
        let Elements { objects, has_more, next } = self.elements(body)?;
        let keys = Vec::with_capacity(objects.len());
        let mut page = Page { keys, has_more, next, incomplete: Vec::new() };
        for element in objects {
            let Some((key, object)) = self.identified(self.resource.table.name, element) else { continue };
            if is_deleted(&object) {
                let (table, id) = (self.resource.table.name, Some(key.id.clone()));
                self.rejects.push(Reject::whole(table, id, "a deleted object in a list", &object));
            } else if !skip.contains(&key.id) {
                page.incomplete.extend(self.append(&key.id, &object, as_of_micros));
            }
            page.keys.push(key);
        }
        Ok(page)
    }

    /// Decodes a page of the list that one parent has, whose first object takes `position` (see
    /// [`Resource::is_apart`]).
    ///
    /// # Errors
    /// When the body is no list page; then no row was added.
    pub fn page_of(
        &mut self,
        parent: &str,
        position: i64,
        body: &[u8],
        as_of_micros: i64,
    ) -> Result<Page, DecodeError> {
        let Elements { objects, has_more, next } = self.elements(body)?;
        let mut keys = Vec::with_capacity(objects.len());
        let mut place = Place { parent, position };
        for element in objects {
            let table = self.resource.table.name;
            let Some((key, object)) = self.identified(table, element) else { continue };
            if is_deleted(&object) {
                let id = Some(key.id.clone());
                self.rejects.push(Reject::whole(table, id, "a deleted object in a list", &object));
                keys.push(key);
                continue;
            }
            let misfits = self.rows.append(&object, &[], Some(place), as_of_micros);
            self.note(table, &key.id, misfits);
            keys.push(key);
            place.position = place.position.saturating_add(1);
        }
        Ok(Page { keys, has_more, next, incomplete: Vec::new() })
    }

    /// Decodes one object as it is retrieved.
    ///
    /// # Errors
    /// When the body is no object with an id; then no row was added.
    pub fn object(&mut self, body: &[u8], as_of_micros: i64) -> Result<One, DecodeError> {
        let wrong = |source| DecodeError { what: "an object", source };
        let object: Object<'_> = parsed(body).map_err(wrong)?;
        let Some(id) = id_of(&object) else {
            return Err(wrong(<serde_json::Error as serde::de::Error>::missing_field("id")));
        };
        if is_deleted(&object) {
            return Ok(One::Deleted(id));
        }
        Ok(One::Row { incomplete: self.append(&id, &object, as_of_micros) })
    }

    /// Decodes a page of a nested list that was cut, the one after `at`.
    ///
    /// # Errors
    /// When the body is no list page; then no row was added.
    pub fn child_page(
        &mut self,
        at: &Incomplete,
        body: &[u8],
        as_of_micros: i64,
    ) -> Result<Page, DecodeError> {
        let Elements { objects, has_more, next } = list(body, "a nested list page")?;
        let first = Place { parent: &at.parent, position: at.position };
        let keys = self.append_children(at.child, first, objects, as_of_micros);
        Ok(Page { keys, has_more, next, incomplete: Vec::new() })
    }

    /// Takes over what another decoder of the same list could not decode.
    pub fn keep(&mut self, rejects: Vec<Reject>) {
        self.rejects.extend(rejects);
    }

    /// Rows of the resource itself decoded so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing was decoded so far, nor failed to be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows() == 0
            && self.rejects.is_empty()
            && self.nested.iter().all(|nested| nested.parents.is_empty())
    }

    /// Takes what was decoded; the decoder is empty again.
    pub fn finish(&mut self) -> Decoded {
        Decoded {
            rows: self.rows.finish(),
            nested: self.nested.iter_mut().map(Building::finish).collect(),
            rejects: std::mem::take(&mut self.rejects),
        }
    }

    fn elements<'a>(&self, body: &'a [u8]) -> Result<Elements<'a>, DecodeError> {
        match self.resource.list.paging {
            Paging::Page => page(body),
            Paging::After | Paging::Whole => list(body, "a list page"),
        }
    }

    fn append(&mut self, id: &str, object: &Object<'_>, as_of_micros: i64) -> Vec<Incomplete> {
        let mut incomplete = Vec::new();
        let mut replaced = Vec::new();
        for (index, child) in self.resource.children.iter().enumerate() {
            let (property, inner) = child.property.split_once('.').unwrap_or((child.property, ""));
            let Some(raw) = object.get(property) else { continue };
            let Some((text, objects, has_more)) = nested(raw, inner) else { continue };
            replaced.push((property, text));
            let keys = self.append_children(index, Place { parent: id, position: 0 }, objects, as_of_micros);
            let last = keys.last().map(|key| key.id.clone());
            if has_more && last.is_none() {
                self.rejects.push(Reject::endless(self.resource.table.name, id, child, raw));
                continue;
            }
            if let Some(building) = self.nested.get_mut(index) {
                building.parents.push(id.to_owned());
            }
            incomplete.extend(last.filter(|_| has_more).map(|after| Incomplete {
                child: index,
                parent: id.to_owned(),
                after,
                position: i64::try_from(keys.len()).unwrap_or(i64::MAX),
            }));
        }
        let misfits = self.rows.append(object, &replaced, None, as_of_micros);
        self.note(self.resource.table.name, id, misfits);
        incomplete
    }

    fn append_children(
        &mut self,
        child: usize,
        first: Place<'_>,
        objects: Vec<Element<'_>>,
        as_of_micros: i64,
    ) -> Vec<Key> {
        let Some(table) = self.resource.children.get(child).map(|child| child.table) else {
            return Vec::new();
        };
        let mut keys = Vec::with_capacity(objects.len());
        let mut position = first.position;
        for element in objects {
            let Some((key, object)) = self.identified(table.name, element) else { continue };
            if is_deleted(&object) {
                self.rejects.push(Reject::whole(
                    table.name,
                    Some(key.id),
                    "a deleted object in a nested list",
                    &object,
                ));
                continue;
            }
            let place = Some(Place { parent: first.parent, position });
            let building = self.nested.get_mut(child);
            let misfits = building.map(|nested| nested.rows.append(&object, &[], place, as_of_micros));
            self.note(table.name, &key.id, misfits.unwrap_or_default());
            keys.push(key);
            // Callers count keys: an element that is no row takes no place.
            position = position.saturating_add(1);
        }
        keys
    }

    /// An element with its key; one that has none goes to the rejects whole.
    fn identified<'a>(&mut self, table: &'static str, element: Element<'a>) -> Option<(Key, Object<'a>)> {
        let reason = match element {
            Element::Object(object) => match id_of(&object) {
                Some(id) => {
                    let created = self.resource.list.created.unwrap_or("created");
                    let created = object.get(created).and_then(|raw| second(raw.get()));
                    return Some((Key { id, created }, object));
                }
                None => Reject::whole(table, None, "an object without id", &object),
            },
            Element::Other(raw) => Reject {
                table,
                id: None,
                pointer: String::new(),
                reason: "no object".to_owned(),
                raw: raw.get().to_owned(),
            },
        };
        self.rejects.push(reason);
        None
    }

    fn note(&mut self, table: &'static str, id: &str, misfits: Vec<Misfit>) {
        self.rejects.extend(misfits.into_iter().map(|Misfit { property, raw, is_kept }| {
            let reason = match is_kept {
                true => "the value does not fit the column; it is kept in _extra",
                false => {
                    "the value has half of a surrogate pair, which no database takes; it is kept only here"
                }
            };
            let (id, pointer) = (Some(id.to_owned()), format!("/{property}"));
            Reject { table, id, pointer, reason: reason.to_owned(), raw }
        }));
    }
}

/// One object as a row of `table`, also without an id or gone; nested lists stay within it.
///
/// # Errors
/// When the body is no object.
pub fn row(table: &'static Table, body: &[u8], as_of_micros: i64) -> Result<RecordBatch, DecodeError> {
    let object: Object<'_> = parsed(body).map_err(|source| DecodeError { what: "an object", source })?;
    let mut rows = Rows::new(table);
    rows.append(&object, &[], None, as_of_micros);
    Ok(rows.finish())
}

impl Building {
    fn finish(&mut self) -> Nested {
        Nested { child: self.child, rows: self.rows.finish(), parents: std::mem::take(&mut self.parents) }
    }
}

impl Reject {
    /// A nested list that goes on without an id to go on from: the rest cannot be asked for.
    fn endless(table: &'static str, id: &str, child: &Child, raw: &RawValue) -> Self {
        Self {
            table,
            id: Some(id.to_owned()),
            pointer: format!("/{}", child.property),
            reason: "the nested list goes on, but shows no id to go on from".to_owned(),
            raw: raw.get().to_owned(),
        }
    }

    fn whole(table: &'static str, id: Option<String>, reason: &str, object: &Object<'_>) -> Self {
        let raw = written(object.0.iter().map(|(name, raw)| (name.0.as_ref(), raw.get())));
        Self { table, id, pointer: String::new(), reason: reason.to_owned(), raw }
    }
}

/// What an answer says. Text is validated at once: as bytes every value of it would be by itself.
fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        // It says where.
        Err(_) => serde_json::from_slice(body),
    }
}

/// An element of a list.
enum Element<'a> {
    Object(Object<'a>),
    Other(&'a RawValue),
}

/// What a page of a list holds.
struct Elements<'a> {
    objects: Vec<Element<'a>>,
    has_more: bool,
    next: Option<String>,
}

/// A list's elements. The fast way takes all for objects; the other finds those that are none.
fn list<'a>(body: &'a [u8], what: &'static str) -> Result<Elements<'a>, DecodeError> {
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
fn page(body: &[u8]) -> Result<Elements<'_>, DecodeError> {
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
fn nested<'a>(raw: &'a RawValue, path: &str) -> Option<(String, Vec<Element<'a>>, bool)> {
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
fn written<'a>(properties: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let properties = properties.map(|(name, raw)| format!("{}:{raw}", serde_json::Value::from(name)));
    format!("{{{}}}", properties.collect::<Vec<_>>().join(","))
}

/// Seconds as v1 writes them, or a moment as v2 does.
fn second(raw: &str) -> Option<i64> {
    raw.parse().ok().or_else(|| Some(date_time::micros(&text(raw)?)?.div_euclid(1_000_000)))
}

fn id_of(object: &Object<'_>) -> Option<String> {
    text(object.get("id")?.get()).filter(|id| !id.is_empty()).map(std::borrow::Cow::into_owned)
}

/// Stripe's stub of a deleted object: as a row it would blank what the object was (trap 11).
fn is_deleted(object: &Object<'_>) -> bool {
    object.get("deleted").is_some_and(|raw| raw.get() == "true")
}
