//! `/v1`: lists, their children and single objects.

use std::borrow::Cow;

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::auth::{Caller, View};
use super::error::{ApiError, json_response};
use super::query::{Paging, Params, below};
use super::render::{cut, push, stub, to_value};
use super::resources::{self, Endpoint};
use super::{RequestId, Sim};
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
/// Release names since versions carry one.
const RELEASES: [&str; 6] = ["acacia", "basil", "clover", "dahlia", "endive", "preview"];

/// Nested lists with an address of their own: parent path, child path, property of the parent.
static NESTED: &[(&str, &str, &str)] = &[
    ("invoices", "lines", "lines"),
    ("credit_notes", "lines", "lines"),
    ("subscriptions", "items", "items"),
];

/// Children that are lists of their own: parent path, child path, kind of the children, their filter.
static CHILDREN: &[(&str, &str, &str, &str)] = &[
    ("charges", "refunds", "refund", "charge"),
    ("customers", "payment_methods", "payment_method", "customer"),
    ("customers", "subscriptions", "subscription", "customer"),
];

/// Answers any request below `/v1`.
pub(super) async fn answer(State(sim): State<Sim>, request: Request) -> Response {
    let id = request.extensions().get::<RequestId>().map_or("req_unknown", |id| id.0.as_str());
    let mut response = match sim.v1(&request) {
        Ok(body) => json_response(StatusCode::OK, body),
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

/// A request below `/v1` that may be answered.
struct Call<'a> {
    sim: &'a Sim,
    caller: Caller,
    params: Params,
    path: &'a str,
}

impl Sim {
    fn v1(&self, request: &Request) -> Result<String, ApiError> {
        let path = request.uri().path();
        let caller = self.identify(request.headers())?;
        check_version(asked_version(request.headers()))?;
        if let Some(limits) = self.inner.options.rates {
            self.inner.limiter.admit(limits, &caller.account, &super::template(path))?;
        }
        let params = Params::parse(request.uri().query());
        let call = Call { sim: self, caller, params, path };
        let rest = path.strip_prefix("/v1/").unwrap_or_default().trim_end_matches('/');
        if request.method() != Method::GET {
            return Err(call.refuse_write(request.method(), rest));
        }
        call.dispatch(rest)
    }
}

impl Call<'_> {
    fn dispatch(&self, rest: &str) -> Result<String, ApiError> {
        if let Some(product) = resources::not_enabled(rest) {
            let message = format!(
                "Your account is not set up to use {product}. Please visit https://dashboard.stripe.com/{} to get started.",
                product.to_lowercase()
            );
            return Err(ApiError::new(StatusCode::BAD_REQUEST, message));
        }
        let decoded = |part| percent_decode_str(part).decode_utf8_lossy();
        let decoded: Vec<Cow<'_, str>> = rest.split('/').map(decoded).collect();
        let parts: Vec<&str> = decoded.iter().map(AsRef::as_ref).collect();
        match (resources::unused(&parts), parts.as_slice()) {
            (Some((endpoint, None)), _) => {
                self.caller.require(endpoint.permission)?;
                self.list(endpoint)
            }
            (Some((endpoint, Some(id))), _) => {
                self.caller.require(endpoint.permission)?;
                Err(ApiError::missing(endpoint.kind, id, "id"))
            }
            (None, parts) => self.used(parts),
        }
    }

    fn used(&self, parts: &[&str]) -> Result<String, ApiError> {
        match parts {
            ["account"] => self.account(),
            ["accounts", id] if *id == self.caller.account => self.account(),
            ["accounts", id] => Err(ApiError::missing("account", id, "id")),
            ["subscription_items"] => self.subscription_items(),
            [path] => self.list(self.endpoint(path)?),
            [path, id] => self.retrieve(self.endpoint(path)?, id),
            [path, id, child] => self.children(self.endpoint(path)?, id, child),
            _ => Err(self.unrecognized()),
        }
    }

    fn endpoint(&self, path: &str) -> Result<&'static Endpoint, ApiError> {
        let endpoint = resources::by_path(path).ok_or_else(|| self.unrecognized())?;
        self.caller.require(endpoint.permission)?;
        Ok(endpoint)
    }

    fn unrecognized(&self) -> ApiError {
        ApiError::unrecognized("GET", self.path)
    }

    /// Writing is no part of the simulation; a key without permission hears that first.
    fn refuse_write(&self, method: &Method, rest: &str) -> ApiError {
        let endpoint = rest.split('/').next().and_then(resources::by_path);
        let permission = endpoint.map(|endpoint| endpoint.permission.replace("_read", "_write"));
        match permission.map(|permission| self.caller.require(&permission)) {
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

    fn list(&self, endpoint: &'static Endpoint) -> Result<String, ApiError> {
        let mut known = if resources::is_whole(endpoint) { vec!["expand"] } else { PAGING.to_vec() };
        known.extend(endpoint.filters);
        if endpoint.created {
            known.push("created");
        }
        if endpoint.kind == "event" {
            known.push("types");
        }
        self.params.only(&known)?;
        let paging = self.paging()?;
        let mut scan = Scan { kind: endpoint.kind.to_owned(), ..Scan::default() };
        self.params.created(&mut scan)?;
        self.filter(endpoint, &mut scan)?;
        let mut delivered = None;
        if endpoint.kind == "event" {
            let types = self.params.types()?.into_iter().chain(self.params.get("type"));
            scan.types = types.map(str::to_owned).collect();
            delivered = self.params.boolean("delivery_success")?;
        }
        self.page(scan, &paging, delivered)
    }

    fn filter(&self, endpoint: &Endpoint, scan: &mut Scan) -> Result<(), ApiError> {
        scan.hide_canceled = endpoint.kind == "subscription";
        for &name in endpoint.filters {
            let Some(value) = self.params.get(name) else { continue };
            match (endpoint.kind, name) {
                ("event", _) => continue,
                ("subscription", "status") => {
                    if !SUBSCRIPTION_STATES.contains(&value) {
                        let states = SUBSCRIPTION_STATES.join(", ");
                        let message = format!("Invalid status: must be one of {states}");
                        return Err(ApiError::bad(message, "status"));
                    }
                    scan.hide_canceled = false;
                    if value == "all" {
                        continue;
                    }
                    let value = if value == "ended" { "canceled" } else { value };
                    scan.filters.push((name.to_owned(), value.to_owned()));
                    continue;
                }
                (_, "customer")
                    if self.sees_world() && self.sim.inner.world.get("customer", value).is_none() =>
                {
                    return Err(ApiError::missing("customer", value, "customer"));
                }
                _ => {}
            }
            scan.filters.push((name.to_owned(), value.to_owned()));
        }
        Ok(())
    }

    fn sees_world(&self) -> bool {
        self.caller.view == View::World
    }

    fn paging(&self) -> Result<Paging, ApiError> {
        let paging = self.params.paging()?;
        Ok(Paging { limit: paging.limit.min(self.sim.inner.options.page), ..paging })
    }

    /// One page of a scan, in its envelope.
    fn page(&self, mut scan: Scan, paging: &Paging, delivered: Option<bool>) -> Result<String, ApiError> {
        let expand = self.params.expand(true)?;
        scan.after.clone_from(&paging.after);
        scan.before.clone_from(&paging.before);
        let mut found = self.scan(scan, paging.limit + 1, delivered)?;
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
            cursor
                .as_ref()
                .map_or_else(|| self.unrecognized(), |(param, id)| ApiError::missing(&scan.kind, id, param))
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

    /// Walks on until enough events are found that every endpoint took, or that one did not.
    fn scan_delivered(&self, mut scan: Scan, take: usize, delivered: bool) -> Option<Vec<Rendered>> {
        let undelivered = self.sim.undelivered();
        let suits = |event: &Value| {
            let id = event.get("id").and_then(Value::as_str).unwrap_or_default();
            undelivered.contains(id) != delivered
        };
        let mut matching = Vec::new();
        loop {
            let found: Vec<Value> =
                self.sim.inner.world.scan(&scan, CHUNK)?.into_iter().map(to_value).collect();
            let last = found.len() < CHUNK;
            let upward = scan.before.is_some();
            let next = if upward { found.first() } else { found.last() };
            let next = next.and_then(|value| value.get("id")).and_then(Value::as_str).map(str::to_owned);
            let chunk = found.into_iter().filter(&suits);
            let chunk: Vec<Rendered> = chunk.map(|event| Rendered::Value(event.into())).collect();
            if upward {
                matching.splice(0..0, chunk);
                scan.before = next;
            } else {
                matching.extend(chunk);
                scan.after = next;
            }
            if last || matching.len() >= take {
                let surplus = if upward { matching.len().saturating_sub(take) } else { 0 };
                matching.drain(..surplus);
                matching.truncate(take);
                return Some(matching);
            }
        }
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

    fn retrieve(&self, endpoint: &Endpoint, id: &str) -> Result<String, ApiError> {
        self.params.only(&["expand"])?;
        let expand = self.params.expand(false)?;
        let mut body = String::new();
        match self.find(endpoint.kind, id, "id")? {
            Found::Live(object) => self.sim.write(&mut body, object, &expand)?,
            Found::Deleted => push(&mut body, &stub(endpoint.kind, id)),
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

    fn children(&self, endpoint: &Endpoint, id: &str, child: &str) -> Result<String, ApiError> {
        self.params.only(&PAGING)?;
        if let Some((_, _, property)) = NESTED.iter().find(|row| row.0 == endpoint.path && row.1 == child) {
            return self.nested(endpoint.kind, id, property, "id");
        }
        let row = CHILDREN.iter().find(|row| row.0 == endpoint.path && row.1 == child);
        let (_, _, kind, filter) = row.ok_or_else(|| self.unrecognized())?;
        self.find(endpoint.kind, id, "id")?;
        let filters = vec![((*filter).to_owned(), id.to_owned())];
        let scan = Scan { kind: (*kind).to_owned(), filters, hide_canceled: true, ..Scan::default() };
        self.page(scan, &self.paging()?, None)
    }

    fn subscription_items(&self) -> Result<String, ApiError> {
        self.caller.require("rak_subscription_read")?;
        let mut known = PAGING.to_vec();
        known.push("subscription");
        self.params.only(&known)?;
        let subscription = self.params.get("subscription").ok_or_else(|| {
            ApiError::bad("Missing required param: subscription.", "subscription").code("parameter_missing")
        })?;
        self.nested("subscription", subscription, "items", "subscription")
    }

    /// A page of a list that its parent holds whole.
    fn nested(&self, kind: &str, id: &str, property: &str, param: &str) -> Result<String, ApiError> {
        let paging = self.paging()?;
        let expand = self.params.expand(true)?;
        let Found::Live(parent) = self.find(kind, id, param)? else {
            return Err(ApiError::missing(kind, id, param));
        };
        let mut parent = to_value(parent);
        let members = parent.get_mut(property).and_then(|list| list.get_mut("data")).map(Value::take);
        let members = match members {
            Some(Value::Array(members)) => members,
            Some(_) | None => Vec::new(),
        };
        let (page, has_more) = slice(members, &paging)?;
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

/// How many events are looked at together.
const CHUNK: usize = 200;

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
