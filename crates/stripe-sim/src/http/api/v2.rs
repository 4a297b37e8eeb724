//! `/v2`: pages by token, moments in ISO 8601, properties that only `include` shows.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{ApiError, Call, Found, Paging, Rendered, Route, Scan, can_filter};
use crate::filter::root;
use crate::http::query::{at_least, below};
use crate::shapes::List;

/// Parameters that narrow a list by `created`.
const CREATED: [&str; 5] = ["created", "created_gt", "created_gte", "created_lt", "created_lte"];

impl Call<'_> {
    pub(super) fn retrieve_v2(&self, route: &Route<'_>, id: &str) -> Result<String, ApiError> {
        self.params.only(&["include"])?;
        match self.one(route, id)? {
            Found::Live(object) => Ok(self.included(route.list, object).to_string()),
            Found::Deleted => Err(ApiError::missing(route.list.kind(), id, "id")),
        }
    }

    pub(super) fn list_v2(&self, route: &Route<'_>) -> Result<String, ApiError> {
        let list = route.list;
        let mut known = vec!["limit", "page"];
        known.extend(list.filters.iter().chain(&list.paging).map(String::as_str));
        self.params.only(&known)?;
        let parent = self.parent(route)?;
        let Paging { limit, .. } = self.paging(20)?;
        let mut scan = Scan {
            list: list.path.clone(),
            kind: list.kind().to_owned(),
            parent: parent.map(super::parents::Above::named),
            ..Scan::default()
        };
        self.narrow(list, &mut scan)?;
        self.turn_to(&mut scan)?;
        let upward = scan.before.is_some();
        let started = scan.after.is_some();
        let mut found = self.scan(scan, limit + 1, None).map_err(|_| no_such_page())?;
        let more = found.len() > limit;
        if more && upward {
            found.remove(0);
        }
        found.truncate(limit);
        let data: Vec<Value> = found.into_iter().map(|object| self.included(list, object)).collect();
        let next = data.last().filter(|_| more || upward).and_then(|last| self.page_url("after", last));
        let previous = data.first().filter(|_| if upward { more } else { started });
        let previous = previous.and_then(|first| self.page_url("before", first));
        Ok(json!({ "data": data, "next_page_url": next, "previous_page_url": previous }).to_string())
    }

    /// The object, with null for what `include` shows and does not name.
    fn included(&self, list: &List, object: Rendered) -> Value {
        let mut value = object.into_value();
        let asked: Vec<&str> = self.params.values("include");
        for path in list.include.iter().filter(|path| !asked.contains(&path.as_str())) {
            let pointer = format!("/{}", path.replace('.', "/"));
            if let Some(hidden) = value.pointer_mut(&pointer) {
                *hidden = Value::Null;
            }
        }
        value
    }

    fn narrow(&self, list: &List, scan: &mut Scan) -> Result<(), ApiError> {
        for (name, value) in self.params.all_pairs() {
            match root(name) {
                "limit" | "page" | "include" => {}
                created if CREATED.contains(&created) => narrow_created(scan, name, value)?,
                "object_id" => scan.filters.push(("related_object[id]".to_owned(), value.clone())),
                _ => {
                    can_filter(list, name)?;
                    scan.filters.push((name.clone(), value.clone()));
                }
            }
        }
        Ok(())
    }

    /// Goes on where a page ended.
    fn turn_to(&self, scan: &mut Scan) -> Result<(), ApiError> {
        let Some(token) = self.params.get("page") else { return Ok(()) };
        let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match text.as_deref().and_then(|text| text.split_once(' ')) {
            Some(("after", id)) => scan.after = Some(id.to_owned()),
            Some(("before", id)) => scan.before = Some(id.to_owned()),
            Some(_) | None => return Err(no_such_page()),
        }
        Ok(())
    }

    fn page_url(&self, direction: &str, object: &Value) -> Option<String> {
        let id = object.get("id")?.as_str()?;
        let token = URL_SAFE_NO_PAD.encode(format!("{direction} {id}"));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.params.all_pairs().filter(|(name, _)| name != "page"));
        Some(format!("{}?{}", self.path, query.append_pair("page", &token).finish()))
    }
}

fn narrow_created(scan: &mut Scan, name: &str, value: &str) -> Result<(), ApiError> {
    let at = chrono::DateTime::parse_from_rfc3339(value)
        .map_err(|_| ApiError::bad(format!("Invalid timestamp: {value}"), name))?
        .timestamp();
    let bound = name.trim_end_matches(']').rsplit(['[', '_']).next().unwrap_or_default();
    match bound {
        "gt" => at_least(scan, at.saturating_add(1)),
        "gte" => at_least(scan, at),
        "lt" => below(scan, at),
        "lte" => below(scan, at.saturating_add(1)),
        _ => {
            at_least(scan, at);
            below(scan, at.saturating_add(1));
        }
    }
    Ok(())
}

fn no_such_page() -> ApiError {
    ApiError::bad("The page token is not valid, or what it went on from is gone.", "page")
        .code("invalid_page_token")
}
