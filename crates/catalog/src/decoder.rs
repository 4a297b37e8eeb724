//! Pages of JSON into Arrow columns.

use std::collections::HashSet;

use arrow_array::RecordBatch;

use crate::{
    Child, DecodeError, Decoded, Incomplete, Key, Nested, One, Page, Paging, Reject, Resource, Table,
    elements::{Element, Elements, id_of, is_deleted, list, nested, page, parsed, second},
    extra::Misfit,
    object::Object,
    row::{Place, Rows},
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
