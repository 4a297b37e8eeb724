//! `/_sim`: what only a simulation can tell.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::{Sim, Stats};
use crate::shapes::{FACTS, List};
use crate::world::{Rendered, Scan};

/// Objects read at a time.
const CHUNK: usize = 500;

/// Every object of a kind, whole, one JSON text a line, newest first. An answer that breaks off is not whole.
pub(super) async fn truth(State(sim): State<Sim>, Path(kind): Path<String>, headers: HeaderMap) -> Response {
    if !sim.inner.options.truth && !headers.contains_key("sim-truth") {
        return (StatusCode::FORBIDDEN, "send the header Sim-Truth: 1 to be told the truth").into_response();
    }
    if !sim.inner.world.kinds().contains(&kind.as_str()) {
        return (StatusCode::NOT_FOUND, format!("no objects of kind {kind}")).into_response();
    }
    let lines = stream::unfold(Some(Scan { kind, ..Scan::default() }), move |scan| {
        let sim = sim.clone();
        async move {
            let mut scan = scan?;
            let Some(found) = sim.inner.world.scan(&scan, CHUNK) else {
                // The object that was to be gone on from is gone: a truth that ends here must not look whole.
                return Some((Err(std::io::Error::other("the truth changed while it was told")), None));
            };
            let full = found.len() == CHUNK;
            let mut text = String::new();
            let mut last = None;
            for object in found {
                let value = object.into_value();
                last = value.get("id").and_then(|id| id.as_str()).map(str::to_owned);
                super::render::push(&mut text, &value);
                text.push('\n');
            }
            scan.after = last;
            let next = (full && scan.after.is_some()).then_some(scan);
            Some((Ok(text), next))
        }
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

/// Which list.
#[derive(Deserialize)]
pub(super) struct OfList {
    list: String,
}

/// Everything that a list is about, one JSON text a line: what it hides too, and what it has deleted.
pub(super) async fn truth_of_list(
    State(sim): State<Sim>,
    Query(OfList { list }): Query<OfList>,
    headers: HeaderMap,
) -> Response {
    if !sim.inner.options.truth && !headers.contains_key("sim-truth") {
        return (StatusCode::FORBIDDEN, "send the header Sim-Truth: 1 to be told the truth").into_response();
    }
    let Some(truth) = sim.inner.world.truth(&list) else {
        return (StatusCode::NOT_FOUND, format!("no truth about a list {list}")).into_response();
    };
    let lines: Result<Vec<String>, _> = truth.iter().map(serde_json::to_string).collect();
    match lines {
        Ok(lines) => ([(header::CONTENT_TYPE, "application/x-ndjson")], lines.join("\n")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// What there is to list: where, with what parameters, and where one object is.
pub(super) async fn lists() -> Response {
    let told = |list: &List| {
        json!({
            "path": list.path,
            "objects": list.objects,
            "parent": list.parent,
            "required": list.required,
            "retrieve": list.retrieve,
            "shown": FACTS.shows(list),
            "whole": list.is_whole() && !list.is_v2(),
        })
    };
    Json(FACTS.lists.iter().map(told).collect::<Vec<_>>()).into_response()
}

/// How many objects there are of each kind, nested ones too.
pub(super) async fn counts(State(sim): State<Sim>) -> Response {
    Json(sim.inner.world.counts()).into_response()
}

/// How far to move the clock.
#[derive(Deserialize)]
pub(super) struct Advance {
    seconds: i64,
}

/// Lets time pass, and tells the events that happened.
pub(super) async fn advance(State(sim): State<Sim>, Json(Advance { seconds }): Json<Advance>) -> Response {
    let events = sim.advance(seconds.max(0));
    Json(json!({ "now": sim.inner.world.now(), "events": events })).into_response()
}

/// How much to change.
#[derive(Deserialize)]
pub(super) struct Step {
    changes: u32,
}

/// Makes changes at once, and tells the events that happened.
pub(super) async fn step(State(sim): State<Sim>, Json(Step { changes }): Json<Step>) -> Response {
    let events = sim.inner.world.step(changes);
    Json(json!({ "now": sim.inner.world.now(), "events": events })).into_response()
}

/// What has been asked so far.
pub(super) async fn stats(State(sim): State<Sim>) -> Json<Stats> {
    Json(sim.stats())
}

impl Sim {
    /// All objects of a kind as the world holds them, newest first: nested lists whole, canceled subscriptions too.
    #[must_use]
    pub fn truth(&self, kind: &str) -> Vec<serde_json::Value> {
        let scan = Scan { kind: kind.to_owned(), ..Scan::default() };
        let found: Vec<Rendered> = self.inner.world.scan(&scan, usize::MAX).unwrap_or_default();
        found.into_iter().map(Rendered::into_value).collect()
    }
}
