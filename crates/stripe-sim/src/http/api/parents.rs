//! Lists of what belongs to one object, and objects that are found through it.

use serde_json::Value;

use super::{ApiError, Call, Found, Paging, Rendered, Route, Scan};
use crate::http::render::cut;
use crate::shapes::{FACTS, List, Parent, Place};

/// The object that a list's objects belong to.
pub(super) struct Above {
    facts: &'static Parent,
    id: String,
    object: Rendered,
}

impl Above {
    /// What the list calls it, and which it is.
    pub(super) fn named(self) -> (String, String) {
        (self.facts.name.clone(), self.id)
    }

    /// The list's objects, if it holds them whole.
    pub(super) fn members(&self, list: &List) -> Option<Vec<Value>> {
        let kind = self.facts.kind.as_str();
        let holds = |property: &str| {
            FACTS.nested(kind, property).is_some_and(|(known, _)| known.holder() == list.holder())
        };
        let property = FACTS.properties(kind).iter().find(|property| holds(&property.name))?;
        let value = self.object.clone().into_value();
        value.get(&property.name)?.get("data")?.as_array().cloned()
    }
}

impl Call<'_> {
    /// What the path or the query names as the parent of the list's objects.
    pub(super) fn parent(&self, route: &Route<'_>) -> Result<Option<Above>, ApiError> {
        let Some(facts) = &route.list.parent else { return Ok(None) };
        let (id, param) = match facts.place {
            Place::Path => (route.parent.as_deref(), "id"),
            Place::Query => (self.params.get(&facts.name), facts.name.as_str()),
        };
        let id = id.unwrap_or_default();
        match self.find(&facts.kind, id, param)? {
            Found::Live(parent) => Ok(Some(Above { facts, id: id.to_owned(), object: parent })),
            Found::Deleted => Err(ApiError::missing(&facts.kind, id, param)),
        }
    }

    /// The object at an address.
    pub(super) fn one(&self, route: &Route<'_>, id: &str) -> Result<Found, ApiError> {
        let list = route.list;
        if route.parent.is_none() {
            return self.find(list.kind(), id, "id");
        }
        let scan = Scan {
            list: list.path.clone(),
            kind: list.kind().to_owned(),
            parent: self.parent(route)?.map(Above::named),
            filters: vec![("id".to_owned(), id.to_owned())],
            ..Scan::default()
        };
        let found = self.scan(scan, 1, None)?.into_iter().next();
        found.map(Found::Live).ok_or_else(|| ApiError::missing(list.kind(), id, "id"))
    }

    /// A page of a list that its parent holds whole.
    pub(super) fn members(&self, members: Vec<Value>, paging: &Paging) -> Result<String, ApiError> {
        let expand = self.params.expand(true)?;
        let (page, has_more) = slice(members, paging)?;
        let mut data = String::new();
        for (position, mut member) in page.into_iter().enumerate() {
            if position > 0 {
                data.push(',');
            }
            cut(&mut member);
            self.sim.write(&mut data, Rendered::Value(member.into()), &expand)?;
        }
        Ok(self.envelope(&data, has_more))
    }
}

/// The page of `members` that `paging` asks for, and whether more follow in its direction.
fn slice(mut members: Vec<Value>, paging: &Paging) -> Result<(Vec<Value>, bool), ApiError> {
    let place = |id: &str, param: &str| {
        let found = members.iter().position(|member| member.get("id").and_then(Value::as_str) == Some(id));
        found.ok_or_else(|| ApiError::missing("item", id, param))
    };
    if let Some(before) = &paging.before {
        let end = place(before, "ending_before")?;
        members.truncate(end);
        let surplus = members.len().saturating_sub(paging.limit);
        members.drain(..surplus);
        return Ok((members, surplus > 0));
    }
    let start = match &paging.after {
        Some(after) => place(after, "starting_after")? + 1,
        None => 0,
    };
    members.drain(..start);
    let has_more = members.len() > paging.limit;
    members.truncate(paging.limit);
    Ok((members, has_more))
}
