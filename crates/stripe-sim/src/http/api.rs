//! `/v1`: lists, their children and single objects.

mod events;
mod parents;
mod v2;

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;

use super::auth::{Caller, View};
use super::error::{ApiError, json_response};
use super::permissions::permission;
use super::query::{Paging, Params, below};
use super::render::{push, stub};
use super::routes::{self, Route};
use super::{RequestId, Sim};
use crate::filter::{root, singulars};
use crate::shapes::{FACTS, List};
use crate::world::{Found, Rendered, Scan};

const PAGING: [&str; 4] = ["limit", "starting_after", "ending_before", "expand"];
const SUBSCRIPTION_STATES: [&str; 10] = [
    "active",
    "all",
    "canceled",
    "ended",
    "incomplete",
    "incomplete_expired",
    "past_due",
    "paused",
    "trialing",
    "unpaid",
];
/// Filters that are no properties of the objects, and that some world knows to apply all the same.
const COMPUTED: [(&str, &str); 2] = [("subscription", "plan"), ("subscription", "price")];
/// Release names since versions carry one.
const RELEASES: [&str; 6] = ["acacia", "basil", "clover", "dahlia", "endive", "preview"];

/// Answers any request below `/v1` and `/v2`.
pub(super) async fn answer(State(sim): State<Sim>, request: Request) -> Response {
    let id = request.extensions().get::<RequestId>().map_or("req_unknown", |id| id.0.as_str());
    let mut response = match sim.api(&request) {
        Ok(body) => json_response(StatusCode::OK, body),
        Err(error) if request.uri().path().starts_with("/v2/") => error.respond_v2(id),
        Err(error) => error.respond(id),
    };
    let version = asked_version(request.headers()).unwrap_or(&sim.inner.options.default_version);
    if let Ok(version) = HeaderValue::from_str(version) {
        response.headers_mut().insert("stripe-version", version);
    }
    response
}

fn asked_version(headers: &HeaderMap) -> Option<&str> {
    headers.get("stripe-version")?.to_str().ok()
}

/// A request that may be answered.
struct Call<'a> {
    sim: &'a Sim,
    caller: Caller,
    params: Params,
    path: &'a str,
}

impl Sim {
    fn api(&self, request: &Request) -> Result<String, ApiError> {
        let path = request.uri().path();
        let caller = self.identify(request.headers())?;
        check_version(asked_version(request.headers()))?;
        if let Some(limits) = self.inner.options.rates {
            self.inner.limiter.admit(limits, &caller.account, &routes::template(path))?;
        }
        let params = Params::parse(request.uri().query());
        let call = Call { sim: self, caller, params, path };
        if request.method() != Method::GET {
            return Err(call.refuse_write(request.method()));
        }
        call.dispatch()
    }
}

impl Call<'_> {
    fn dispatch(&self) -> Result<String, ApiError> {
        if let Some(refusal) = self.sim.inner.world.not_enabled(self.path) {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            return Err(ApiError::new(status, refusal.message));
        }
        if self.path.trim_end_matches('/') == "/v1/account" {
            return self.account();
        }
        let route = routes::route(self.path).ok_or_else(|| ApiError::unrecognized("GET", self.path))?;
        let own = route.id.as_deref() == Some(self.caller.account.as_str());
        if own && route.list.path == "/v1/accounts" {
            return self.account();
        }
        self.caller.require(&permission(&route.list.path))?;
        match (&route.id, route.list.is_v2()) {
            (Some(id), false) => self.retrieve(&route, id),
            (None, false) => self.list(&route),
            (Some(id), true) => self.retrieve_v2(&route, id),
            (None, true) => self.list_v2(&route),
        }
    }

    /// Writing is no part of the simulation; a key without permission hears that first.
    fn refuse_write(&self, method: &Method) -> ApiError {
        let outer = self.path.split('/').take(3).collect::<Vec<_>>().join("/");
        let list = FACTS.list(&outer).map(|list| permission(&list.path).replace("_read", "_write"));
        match list.map(|permission| self.caller.require(&permission)) {
            Some(Err(refusal)) => refusal,
            Some(Ok(())) | None => ApiError::unrecognized(method.as_str(), self.path),
        }
    }

    fn account(&self) -> Result<String, ApiError> {
        self.caller.require("rak_accounts_kyc_basic_read")?;
        self.params.only(&["expand"])?;
        let mut account = self.sim.inner.world.account();
        if self.caller.view == View::Platform
            && let Value::Object(account) = &mut account
        {
            account.insert("id".to_owned(), Value::from(self.caller.account.as_str()));
        }
        Ok(account.to_string())
    }

    fn list(&self, route: &Route<'_>) -> Result<String, ApiError> {
        let list = route.list;
        let mut known = if list.is_whole() { vec!["expand"] } else { PAGING.to_vec() };
        known.extend(list.filters.iter().map(String::as_str));
        if list.takes_created() {
            known.push("created");
        }
        self.params.only(&known)?;
        self.require_params(list)?;
        let paging = if list.is_whole() { self.params.paging(usize::MAX)? } else { self.paging(10)? };
        let parent = self.parent(route)?;
        if let Some(members) = parent.as_ref().and_then(|parent| parent.members(list)) {
            return self.members(members, &paging);
        }
        let mut scan = Scan {
            list: list.holder().to_owned(),
            kind: list.kind().to_owned(),
            parent: parent.map(parents::Above::named),
            ..Scan::default()
        };
        self.params.created(&mut scan)?;
        self.filter(list, &mut scan)?;
        if list.kind() == "event" { self.events(scan, &paging) } else { self.page(scan, &paging, None) }
    }

    /// A page is no larger than the simulator's are.
    fn paging(&self, unasked: usize) -> Result<Paging, ApiError> {
        let paging = self.params.paging(unasked)?;
        Ok(Paging { limit: paging.limit.min(self.sim.inner.options.page), ..paging })
    }

    fn require_params(&self, list: &List) -> Result<(), ApiError> {
        match list.required.iter().find(|name| !self.params.names().any(|known| root(known) == name.as_str()))
        {
            Some(name) => {
                let message = format!("Missing required param: {name}.");
                Err(ApiError::bad(message, name).code("parameter_missing"))
            }
            None => Ok(()),
        }
    }

    fn filter(&self, list: &List, scan: &mut Scan) -> Result<(), ApiError> {
        scan.hide_canceled = list.kind() == "subscription";
        let parent = list.parent.as_ref().map(|parent| parent.name.as_str());
        let asked = self.params.all_pairs().filter(|(name, _)| {
            list.filters.iter().any(|filter| filter == root(name)) && Some(name.as_str()) != parent
        });
        for (name, value) in asked {
            match (list.kind(), name.as_str()) {
                ("event", _) => continue,
                ("subscription", "status") => {
                    scan.hide_canceled = false;
                    if let Some(status) = subscription_status(value)? {
                        scan.filters.push((name.clone(), status.to_owned()));
                    }
                    continue;
                }
                (_, "customer")
                    if self.sees_world() && self.sim.inner.world.get("customer", value).is_none() =>
                {
                    return Err(ApiError::missing("customer", value, "customer"));
                }
                ("billing.meter_event_summary", "start_time") => {
                    scan.filters.push(("start_time[gte]".to_owned(), value.clone()));
                }
                ("billing.meter_event_summary", "end_time") => {
                    scan.filters.push(("end_time[lte]".to_owned(), value.clone()));
                }
                ("billing.meter_event_summary", _) => {}
                _ => {
                    can_filter(list, name)?;
                    scan.filters.push((name.clone(), value.clone()));
                }
            }
        }
        Ok(())
    }

    fn sees_world(&self) -> bool {
        self.caller.view == View::World
    }

    /// One page of a scan, in its envelope.
    fn page(&self, mut scan: Scan, paging: &Paging, delivered: Option<bool>) -> Result<String, ApiError> {
        let expand = self.params.expand(true)?;
        scan.after.clone_from(&paging.after);
        scan.before.clone_from(&paging.before);
        scan.expand.clone_from(&expand);
        let mut found = self.scan(scan, paging.limit.saturating_add(1), delivered)?;
        let has_more = found.len() > paging.limit;
        if has_more && paging.before.is_some() {
            found.remove(0);
        }
        let mut data = String::with_capacity(found.len() * 3200);
        for (position, object) in found.into_iter().take(paging.limit).enumerate() {
            if position > 0 {
                data.push(',');
            }
            self.sim.write(&mut data, object, &expand)?;
        }
        Ok(self.envelope(&data, has_more))
    }

    fn scan(&self, mut scan: Scan, take: usize, delivered: Option<bool>) -> Result<Vec<Rendered>, ApiError> {
        let world = &self.sim.inner.world;
        let cursor = scan.after.clone().map(|id| ("starting_after", id));
        let cursor = cursor.or_else(|| scan.before.clone().map(|id| ("ending_before", id)));
        let gone = || {
            cursor.as_ref().map_or_else(
                || ApiError::unrecognized("GET", self.path),
                |(param, id)| ApiError::missing(&scan.kind, id, param),
            )
        };
        if !self.sees_world() || !world.kinds().contains(&scan.kind.as_str()) {
            return if cursor.is_some() { Err(gone()) } else { Ok(Vec::new()) };
        }
        let gone = gone();
        let hidden = self.sim.faults().hide_new;
        if hidden > 0 {
            below(&mut scan, world.now() - hidden + 1);
        }
        let found = match delivered {
            None => world.scan(&scan, take),
            Some(delivered) => self.scan_delivered(scan, take, delivered),
        };
        found.ok_or(gone)
    }

    fn envelope(&self, data: &str, has_more: bool) -> String {
        let mut body = String::with_capacity(data.len() + 96);
        body.push_str("{\"object\":\"list\",\"data\":[");
        body.push_str(data);
        body.push_str("],\"has_more\":");
        body.push_str(if has_more { "true" } else { "false" });
        body.push_str(",\"url\":");
        push(&mut body, &Value::from(self.path));
        body.push('}');
        body
    }

    fn retrieve(&self, route: &Route<'_>, id: &str) -> Result<String, ApiError> {
        self.params.only(&["expand"])?;
        let expand = self.params.expand(false)?;
        let mut body = String::new();
        match self.one(route, id)? {
            Found::Live(object) => self.sim.write(&mut body, object, &expand)?,
            Found::Deleted => push(&mut body, &stub(route.list.kind(), id)),
        }
        Ok(body)
    }

    /// An object that exists, or a customer that did.
    fn find(&self, kind: &str, id: &str, param: &str) -> Result<Found, ApiError> {
        let found = self.sim.inner.world.get(kind, id);
        match (found, self.caller.view) {
            (Some(Found::Live(_)), View::OtherMode) => {
                let (there, here) =
                    if self.sim.inner.options.livemode { ("live", "test") } else { ("test", "live") };
                let mut error = ApiError::missing(kind, id, param);
                error.message.push_str(&format!(
                    "; a similar object exists in {there} mode, but a {here} mode key was used to make this request."
                ));
                Err(error)
            }
            (Some(live @ Found::Live(_)), View::World) => Ok(live),
            (Some(Found::Deleted), View::World) if kind == "customer" => Ok(Found::Deleted),
            (Some(_) | None, View::World | View::OtherMode | View::Platform) => {
                Err(ApiError::missing(kind, id, param))
            }
        }
    }
}

/// The status that a list of subscriptions is asked for; none for all.
fn subscription_status(asked: &str) -> Result<Option<&str>, ApiError> {
    if !SUBSCRIPTION_STATES.contains(&asked) {
        let states = SUBSCRIPTION_STATES.join(", ");
        return Err(ApiError::bad(format!("Invalid status: must be one of {states}"), "status"));
    }
    Ok(match asked {
        "all" => None,
        "ended" => Some("canceled"),
        status => Some(status),
    })
}

/// Refuses parameters that Stripe takes and the simulator cannot apply: a list that ignores them would be a lie.
fn can_filter(list: &List, name: &str) -> Result<(), ApiError> {
    let root = root(name);
    let known = |kind: &String| {
        let has = |name: &str| FACTS.properties(kind).iter().any(|property| property.name == name);
        singulars(root).any(has) || COMPUTED.contains(&(kind, root))
    };
    if list.objects.iter().any(known) {
        return Ok(());
    }
    Err(ApiError::bad(format!("The simulator cannot filter {} by {name}.", list.path), name))
}

/// Passes versions that Stripe has published: a date, since September 2024 with the name of its release.
fn check_version(version: Option<&str>) -> Result<(), ApiError> {
    let Some(version) = version else { return Ok(()) };
    let (date, release) = version.split_once('.').map_or((version, None), |(date, name)| (date, Some(name)));
    let parsed = chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d");
    let published = ("2011-01-01"..="2026-10-28").contains(&date) && date.len() == 10;
    let named = match release {
        Some(name) => RELEASES.contains(&name) && date >= "2024-09-30",
        None => date < "2024-09-30",
    };
    if parsed.is_ok() && published && named {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::BAD_REQUEST, format!("Invalid Stripe API version: {version}")))
}
