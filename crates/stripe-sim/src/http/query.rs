//! Parsing list requests, refusing them in Stripe's words.

use http::StatusCode;

use super::error::ApiError;
use crate::filter::root;
use crate::world::Scan;

/// Decoded query parameters, in order.
pub(super) struct Params(Vec<(String, String)>);

/// How much of a list, from where.
pub(super) struct Paging {
    pub(super) limit: usize,
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
}

impl Params {
    pub(super) fn parse(query: Option<&str>) -> Self {
        Self(url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The names of all parameters.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// All parameters.
    pub(super) fn all_pairs(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }

    /// Values of `name[]` and `name[0]`, `name[1]`, ...
    fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(key, _)| root(key) == name && key != name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Values of `name`, however it is repeated.
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| root(key) == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Refuses parameters that the endpoint does not take.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.0.iter().find(|(key, _)| !known.contains(&root(key))) {
            None => Ok(()),
            Some((key, _)) => {
                let message = format!("Received unknown parameter: {key}");
                Err(ApiError::bad(message, key).code("parameter_unknown"))
            }
        }
    }

    /// `limit`, or else so many, `starting_after` and `ending_before`.
    pub(super) fn paging(&self, unasked: usize) -> Result<Paging, ApiError> {
        let limit = match self.get("limit") {
            None => unasked,
            Some(text) => limit(text)?,
        };
        let after = self.cursor("starting_after")?;
        let before = self.cursor("ending_before")?;
        if after.is_some() && before.is_some() {
            let message = "You may only specify one of these parameters: starting_after, ending_before.";
            return Err(ApiError::bad(message, "ending_before"));
        }
        Ok(Paging { limit, after, before })
    }

    fn cursor(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.get(name) {
            Some("") => Err(empty(name)),
            cursor => Ok(cursor.map(str::to_owned)),
        }
    }

    /// Narrows a scan to `created`, given exactly or by its bounds.
    pub(super) fn created(&self, scan: &mut Scan) -> Result<(), ApiError> {
        for (key, value) in self.0.iter().filter(|(key, _)| root(key) == "created") {
            let at: i64 = value.parse().map_err(|_| not_an_integer(value, key))?;
            match key.as_str() {
                "created" => {
                    at_least(scan, at);
                    below(scan, at.saturating_add(1));
                }
                "created[gte]" => at_least(scan, at),
                "created[gt]" => at_least(scan, at.saturating_add(1)),
                "created[lt]" => below(scan, at),
                "created[lte]" => below(scan, at.saturating_add(1)),
                _ => {
                    let message = format!("Received unknown parameter: {key}");
                    return Err(ApiError::bad(message, key).code("parameter_unknown"));
                }
            }
        }
        Ok(())
    }

    /// `true` or `false`, if it was given.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(text) => Err(ApiError::bad(format!("Invalid boolean: {text}"), name)),
        }
    }

    /// The names of `types[]`, at most 20.
    pub(super) fn types(&self) -> Result<Vec<&str>, ApiError> {
        let types = self.all("types");
        if types.len() > 20 {
            return Err(ApiError::bad("You may only specify up to 20 event types.", "types"));
        }
        Ok(types)
    }

    /// The paths of `expand[]`, on lists without their leading `data`.
    pub(super) fn expand(&self, list: bool) -> Result<Vec<Vec<String>>, ApiError> {
        self.all("expand").into_iter().map(|path| expansion(path, list)).collect()
    }
}

fn expansion(path: &str, list: bool) -> Result<Vec<String>, ApiError> {
    let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
    if steps.len() > 4 {
        let message = format!("You cannot expand more than 4 levels of a property ({path}).");
        return Err(ApiError::bad(message, "expand"));
    }
    match (list, steps.split_first()) {
        (false, _) => Ok(steps),
        (true, Some((first, rest))) if first == "data" && !rest.is_empty() => Ok(rest.to_vec()),
        (true, _) => Err(ApiError::bad(
            format!(
                "This property cannot be expanded ({path}). You may want to try expanding 'data.{path}' instead."
            ),
            "expand",
        )),
    }
}

pub(super) fn at_least(scan: &mut Scan, at: i64) {
    scan.created_gte = Some(scan.created_gte.map_or(at, |known| known.max(at)));
}

pub(super) fn below(scan: &mut Scan, at: i64) {
    scan.created_lt = Some(scan.created_lt.map_or(at, |known| known.min(at)));
}

fn limit(text: &str) -> Result<usize, ApiError> {
    let limit: i64 = text.parse().map_err(|_| not_an_integer(text, "limit"))?;
    match usize::try_from(limit) {
        Ok(limit @ 1..=100) => Ok(limit),
        Ok(101..) => {
            let message = format!("This value must be less than or equal to 100 (it currently is '{text}').");
            Err(ApiError::bad(message, "limit"))
        }
        Ok(0) | Err(_) => Err(ApiError::bad("This value must be greater than or equal to 1.", "limit")),
    }
}

fn not_an_integer(text: &str, param: &str) -> ApiError {
    ApiError::bad(format!("Invalid integer: {text}"), param).code("parameter_invalid_integer")
}

fn empty(param: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        format!("You passed an empty string for '{param}'. We assume empty values are an attempt to unset a parameter."),
    )
    .code("parameter_invalid_empty")
    .param(param)
}
