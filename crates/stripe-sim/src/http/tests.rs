//! The simulator through its own door.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::bulk::{Bulk, BulkCounts};
use crate::world::{Found, Rendered, Scan};

/// A handful of objects, newest first, whose clock stands where the test puts it.
struct Shelf {
    objects: Vec<Value>,
    now: std::sync::atomic::AtomicI64,
}

impl World for Shelf {
    fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }
    fn account(&self) -> Value {
        json!({ "id": "acct_shelf", "object": "account" })
    }
    fn scan(&self, scan: &Scan, take: usize) -> Option<Vec<Rendered>> {
        let all: Vec<&Value> = self.objects.iter().filter(|o| o["object"] == scan.kind.as_str()).collect();
        let place = |id: &String| all.iter().position(|o| o["id"] == id.as_str());
        let start = scan.after.as_ref().map_or(Some(0), |id| place(id).map(|at| at + 1))?;
        let end = scan.before.as_ref().map_or(Some(all.len()), place)?;
        let fits = |o: &&&Value| {
            let created = o["created"].as_i64().unwrap();
            scan.created_gte.is_none_or(|at| created >= at)
                && scan.created_lt.is_none_or(|at| created < at)
                && scan.filters.iter().all(|(name, wanted)| o[name] == wanted.as_str())
                && !(scan.hide_canceled && o["status"] == "canceled")
                && (scan.kind != "event" || scan.wants(o["type"].as_str().unwrap()))
        };
        let mut found: Vec<&&Value> = all[start..end].iter().filter(fits).collect();
        if scan.before.is_some() {
            let surplus = found.len().saturating_sub(take);
            found.drain(..surplus);
        }
        Some(found.into_iter().take(take).map(|o| Rendered::Value(Arc::new((*o).clone()))).collect())
    }
    fn get(&self, kind: &str, id: &str) -> Option<Found> {
        if id == "cus_gone" || id == "sub_gone" {
            return Some(Found::Deleted);
        }
        let found = self.objects.iter().find(|o| o["object"] == kind && o["id"] == id)?;
        Some(Found::Live(Rendered::Value(Arc::new(found.clone()))))
    }
    fn kinds(&self) -> Vec<&'static str> {
        vec!["customer", "charge", "invoice", "subscription", "event"]
    }
    fn advance(&self, seconds: i64) -> Vec<String> {
        self.now.fetch_add(seconds, Ordering::Relaxed);
        Vec::new()
    }
}

fn shelf(options: SimOptions) -> Sim {
    let lines: Vec<Value> =
        (0..23).map(|n| json!({ "id": format!("il_{n}"), "object": "line_item" })).collect();
    let invoice = json!({
        "id": "in_1", "object": "invoice", "created": 70, "customer": "cus_1",
        "lines": { "object": "list", "data": lines, "has_more": false, "url": "/v1/invoices/in_1/lines" },
    });
    let event = |id: &str, kind: &str| json!({ "id": id, "object": "event", "type": kind, "created": 90, "data": { "object": invoice.clone() } });
    let objects = vec![
        json!({ "id": "cus_1", "object": "customer", "created": 50 }),
        json!({ "id": "ch_new", "object": "charge", "created": 99, "customer": "cus_gone" }),
        json!({ "id": "ch_old", "object": "charge", "created": 60, "customer": "cus_1" }),
        json!({ "id": "sub_2", "object": "subscription", "created": 60, "status": "active" }),
        json!({ "id": "sub_1", "object": "subscription", "created": 60, "status": "canceled" }),
        json!({ "id": "gold / pl\u{fc}s", "object": "plan", "created": 10 }),
        event("evt_2", "invoice.paid"),
        event("evt_1", "customer.created"),
        invoice.clone(),
    ];
    Sim::new(Arc::new(Shelf { objects, now: 100.into() }), options)
}

async fn ask(sim: &Sim, request: Request<Body>) -> (StatusCode, http::HeaderMap, String) {
    let response = sim.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn with_key(key: &str, path: &str) -> Request<Body> {
    Request::get(path).header("authorization", format!("Bearer {key}")).body(Body::empty()).unwrap()
}

pub(crate) async fn read(sim: &Sim, path: &str) -> (StatusCode, Value) {
    let (status, _, body) = ask(sim, with_key(DEMO_KEY, path)).await;
    (status, serde_json::from_str(&body).unwrap())
}

async fn form(sim: &Sim, path: &str, fields: &[(&str, &str)]) -> (StatusCode, http::HeaderMap, String) {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    ask(sim, request.body(Body::from(body)).unwrap()).await
}

fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap().to_owned()).collect()
}

fn bulk() -> Sim {
    let counts = BulkCounts { customers: 40, charges: 257 };
    Sim::new(Arc::new(Bulk::new(7, counts)), SimOptions::default())
}

#[tokio::test]
async fn walks_meet_every_object_once_in_both_directions() {
    let sim = bulk();
    let truth: Vec<String> =
        sim.truth("charge").iter().map(|o| o["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(truth.len(), 257);
    let mut down = Vec::new();
    let mut path = "/v1/charges?limit=50".to_owned();
    loop {
        let (_, page) = read(&sim, &path).await;
        down.extend(ids(&page));
        if page["has_more"] == false {
            break;
        }
        path = format!("/v1/charges?limit=50&starting_after={}", down.last().unwrap());
    }
    assert_eq!(down, truth);
    let mut up = vec![truth.last().unwrap().clone()];
    loop {
        let path = format!("/v1/charges?limit=50&ending_before={}", up[0]);
        let (_, page) = read(&sim, &path).await;
        up.splice(0..0, ids(&page));
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(up, truth);
}

#[tokio::test]
async fn bulk_objects_are_whole_and_agree() {
    let sim = bulk();
    let charges = sim.truth("charge");
    let charge = &charges[100];
    let created = charge["created"].as_i64().unwrap();
    let (_, same) = read(
        &sim,
        &format!(
            "/v1/charges/{}?expand[]=balance_transaction&expand[]=customer",
            charge["id"].as_str().unwrap()
        ),
    )
    .await;
    assert_eq!(same["balance_transaction"]["source"], charge["id"]);
    assert_eq!(same["balance_transaction"]["amount"], charge["amount"]);
    assert_eq!(same["customer"]["id"], charge["customer"]);
    let size = charge.to_string().len();
    assert!((2_400..3_100).contains(&size), "{size}");
    let path = format!("/v1/charges?created[gte]={created}&created[lt]={}&limit=100", created + 100_000_000);
    let (_, newer) = read(&sim, &path).await;
    assert_eq!(ids(&newer).len(), 100);
    let (_, exact) = read(&sim, &format!("/v1/charges?created={created}")).await;
    assert_eq!(ids(&exact), [charge["id"].as_str().unwrap()]);
    let customer = charge["customer"].as_str().unwrap();
    let (_, theirs) = read(&sim, &format!("/v1/charges?customer={customer}&limit=100")).await;
    let expected = charges.iter().filter(|o| o["customer"] == customer).count();
    assert_eq!(ids(&theirs).len(), expected);
    let group = charge["transfer_group"].as_str().unwrap();
    let (_, same) = read(&sim, &format!("/v1/charges?transfer_group={group}")).await;
    assert_eq!(ids(&same), [charge["id"].as_str().unwrap()]);
    let (_, booked) = read(&sim, &format!("/v1/balance_transactions?source={}", ids(&same)[0])).await;
    assert_eq!(booked["data"][0]["id"], charge["balance_transaction"]);
    // Nested in what every charge has, but no property of its own.
    assert!(ids(&read(&sim, "/v1/charges?payment_intent=visa").await.1).is_empty());
}

#[tokio::test]
async fn refusals_name_the_parameter() {
    let sim = shelf(SimOptions::default());
    for (path, status, code, param) in [
        ("/v1/charges?limit=0", 400, Value::Null, "limit"),
        ("/v1/charges?limit=101", 400, Value::Null, "limit"),
        ("/v1/charges?starting_after=ch_x", 400, json!("resource_missing"), "starting_after"),
        ("/v1/charges?starting_after=ch_new&ending_before=ch_old", 400, Value::Null, "ending_before"),
        ("/v1/charges?colour=red", 400, json!("parameter_unknown"), "colour"),
        ("/v1/charges?expand[]=data.a.b.c.d", 400, Value::Null, "expand"),
        ("/v1/charges/ch_x", 404, json!("resource_missing"), "id"),
        ("/v1/subscriptions/sub_gone", 404, json!("resource_missing"), "id"),
        ("/v1/subscription_items", 400, json!("parameter_missing"), "subscription"),
        ("/v1/events?delivery_success=maybe", 400, Value::Null, "delivery_success"),
        // Lists that are empty refuse no less.
        ("/v1/quotes?limit=1000", 400, Value::Null, "limit"),
        ("/v1/quotes?created[gte]=5", 400, json!("parameter_unknown"), "created[gte]"),
        ("/v1/checkout/sessions?starting_after=cs_x", 400, json!("resource_missing"), "starting_after"),
        ("/v1/checkout/sessions/cs_x", 404, json!("resource_missing"), "id"),
    ] {
        let (got, body) = read(&sim, path).await;
        assert_eq!(got, status, "{path}");
        assert_eq!((&body["error"]["code"], &body["error"]["param"]), (&code, &json!(param)), "{path}");
    }
}

#[tokio::test]
async fn lists_leave_out_what_stripe_leaves_out() {
    let sim = shelf(SimOptions::default());
    assert_eq!(ids(&read(&sim, "/v1/subscriptions").await.1), ["sub_2"]);
    assert_eq!(ids(&read(&sim, "/v1/subscriptions?status=all").await.1), ["sub_2", "sub_1"]);
    assert_eq!(ids(&read(&sim, "/v1/events?types[]=invoice.paid").await.1), ["evt_2"]);
    let (_, invoice) = read(&sim, "/v1/invoices/in_1").await;
    assert_eq!(ids(&invoice["lines"]).len(), 10);
    assert_eq!(invoice["lines"]["has_more"], true);
    let (_, event) = read(&sim, "/v1/events/evt_2").await;
    assert_eq!(event["data"]["object"]["lines"]["has_more"], true);
    let (_, rest) = read(&sim, "/v1/invoices/in_1/lines?limit=100&starting_after=il_9").await;
    assert_eq!((ids(&rest).len(), &rest["has_more"]), (13, &json!(false)));
    let (status, gone) = read(&sim, "/v1/customers/cus_gone").await;
    assert_eq!(
        (status, gone),
        (StatusCode::OK, json!({ "id": "cus_gone", "object": "customer", "deleted": true }))
    );
    let (_, charges) = read(&sim, "/v1/charges?expand[]=data.customer").await;
    assert_eq!(charges["data"][0]["customer"]["deleted"], true);
    assert_eq!(charges["data"][1]["customer"]["created"], 50);
}

#[tokio::test]
async fn keys_open_what_they_may() {
    let restricted = "rk_test_abcdefgh1234";
    let keys =
        vec![Key::full(DEMO_KEY), Key::full("sk_live_x"), Key::restricted(restricted, &["rak_charge_read"])];
    let sim = shelf(SimOptions { keys, ..SimOptions::default() });
    assert_eq!(ask(&sim, with_key(restricted, "/v1/charges")).await.0, 200);
    let (status, _, body) = ask(&sim, with_key(restricted, "/v1/customers")).await;
    assert_eq!(status, 403);
    assert!(body.contains("Having the 'rak_customer_read' permission"), "{body}");
    assert_eq!(ask(&sim, with_key(restricted, "/v1/quotes")).await.0, 403);
    for path in ["/v1/account", "/v1/accounts/acct_shelf"] {
        let (status, _, body) = ask(&sim, with_key(restricted, path)).await;
        assert!(
            status == 403 && body.contains("for this endpoint on account 'acct_shelf'. Having"),
            "{body}"
        );
        assert_eq!(read(&sim, path).await.1["id"], "acct_shelf");
    }
    let (status, _, body) = ask(&sim, with_key("sk_test_wrongwrong1234", "/v1/charges")).await;
    assert_eq!(status, 401);
    assert!(body.contains("Invalid API Key provided: sk_test_**********1234"), "{body}");
    let (_, _, body) = ask(&sim, with_key("sk_live_x", "/v1/charges/ch_old")).await;
    assert!(body.contains("a similar object exists in test mode, but a live mode key"), "{body}");
    let bare = Request::get("/v1/charges").body(Body::empty()).unwrap();
    assert_eq!(ask(&sim, bare).await.0, 401);
    let mut old = with_key(DEMO_KEY, "/v1/charges");
    old.headers_mut().insert("stripe-version", "2031-01-01".parse().unwrap());
    assert_eq!(ask(&sim, old).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn limits_refuse_and_recover() {
    let rates = Some(RateLimits { per_second: 5, per_endpoint: 2 });
    let sim = shelf(SimOptions { rates, ..SimOptions::default() });
    assert_eq!(read(&sim, "/v1/charges").await.0, 200);
    assert_eq!(read(&sim, "/v1/charges").await.0, 200);
    let (status, headers, _) = ask(&sim, with_key(DEMO_KEY, "/v1/charges")).await;
    assert_eq!(
        (status.as_u16(), &headers["stripe-rate-limited-reason"]),
        (429, &"endpoint-rate".parse().unwrap())
    );
    assert_eq!(read(&sim, "/v1/customers").await.0, 200);
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert_eq!(read(&sim, "/v1/charges").await.0, 200);
}

#[tokio::test]
async fn trap_22_a_lock_is_no_rate() {
    let sim = shelf(SimOptions::default());
    sim.set_faults(FaultScript::new().always("/v1/charges", Fault::Locked));
    let (status, headers, body) = ask(&sim, with_key(DEMO_KEY, "/v1/charges")).await;
    assert!(status == 429 && body.contains(r#""code":"lock_timeout""#), "{body}");
    assert!(!headers.contains_key("stripe-rate-limited-reason"));
}

#[tokio::test]
async fn ids_that_people_chose_are_read_as_they_are() {
    let sim = shelf(SimOptions::default());
    let (status, plan) = read(&sim, "/v1/plans/gold%20%2F%20pl%C3%BCs").await;
    assert_eq!((status, &plan["id"]), (StatusCode::OK, &json!("gold / pl\u{fc}s")));
    assert_eq!(sim.stats().by_path["/v1/plans/{id}"], 1);
}

/// A thousand customers, of whom those that were shown are gone.
struct Vanishing;

impl World for Vanishing {
    fn now(&self) -> i64 {
        0
    }
    fn account(&self) -> Value {
        json!({ "id": "acct_vanishing" })
    }
    fn scan(&self, scan: &Scan, take: usize) -> Option<Vec<Rendered>> {
        let customer =
            |n| Rendered::Value(Arc::new(json!({ "id": format!("cus_{n}"), "object": "customer" })));
        scan.after.is_none().then(|| (0..1000).take(take).map(customer).collect())
    }
    fn get(&self, _: &str, _: &str) -> Option<Found> {
        None
    }
    fn kinds(&self) -> Vec<&'static str> {
        vec!["customer"]
    }
    fn advance(&self, _: i64) -> Vec<String> {
        Vec::new()
    }
}

#[tokio::test]
async fn a_truth_that_ends_early_does_not_look_whole() {
    let sim = Sim::new(Arc::new(Vanishing), SimOptions::default());
    let request = Request::get("/_sim/truth/customer").body(Body::empty()).unwrap();
    let response = sim.router().oneshot(request).await.unwrap();
    assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
}

#[tokio::test]
async fn faults_come_as_scripted() {
    let sim = shelf(SimOptions::default());
    sim.set_faults(
        FaultScript::new()
            .nth("/v1/charges", 1, Fault::status(500))
            .nth("/v1/charges", 2, Fault::HalfBody)
            .nth("/v1/charges", 3, Fault::CutBody)
            .nth("/v1/charges", 4, Fault::LoseAnswer)
            .hide_new(10),
    );
    assert_eq!(read(&sim, "/v1/charges").await.0, 500);
    let (status, _, body) = ask(&sim, with_key(DEMO_KEY, "/v1/charges")).await;
    assert!(status == 200 && serde_json::from_str::<Value>(&body).is_err(), "{body}");
    for _ in 0..2 {
        let response = sim.router().oneshot(with_key(DEMO_KEY, "/v1/charges")).await.unwrap();
        assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
    }
    assert_eq!(ids(&read(&sim, "/v1/charges").await.1), ["ch_old"], "ch_new is one second old");
    assert_eq!((sim.stats().faults, sim.stats().by_path["/v1/charges"]), (4, 5));
}

#[tokio::test]
async fn what_was_refused_is_counted() {
    let rates = Some(RateLimits { per_second: 100, per_endpoint: 2 });
    let sim = shelf(SimOptions { rates, ..SimOptions::default() });
    sim.set_faults(FaultScript::new().nth("/v1/customers", 1, Fault::Locked));
    for _ in 0..5 {
        read(&sim, "/v1/charges").await;
    }
    read(&sim, "/v1/customers").await;
    let (_, _, told) = ask(&sim, Request::get("/_sim/stats").body(Body::empty()).unwrap()).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["total"], &told["refused"]), (&json!(6), &json!(4)));
}

#[tokio::test(start_paused = true)]
async fn answers_come_later_and_do_not_wait_for_each_other() {
    let latency = std::time::Duration::from_millis(50);
    let sim = shelf(SimOptions { latency, ..SimOptions::default() });
    let began = tokio::time::Instant::now();
    futures::future::join_all((0..10).map(|_| read(&sim, "/v1/charges"))).await;
    // The clock stands still but for what is waited for.
    assert!((latency..2 * latency).contains(&began.elapsed()), "{:?}", began.elapsed());
}

fn for_account(account: &str) -> Request<Body> {
    let mut request = with_key(DEMO_PLATFORM_KEY, "/v1/charges");
    request.headers_mut().insert("stripe-account", account.parse().unwrap());
    request
}

#[tokio::test]
async fn access_is_granted_used_and_ended() {
    let sim = shelf(SimOptions::default());
    let asked = format!(
        "response_type=code&client_id={DEMO_CLIENT_ID}&scope=read_only&redirect_uri=http%3A%2F%2Flocalhost%2Fback&state=s1"
    );
    let page = Request::get(format!("/oauth/authorize?{asked}")).body(Body::empty()).unwrap();
    let (status, _, html) = ask(&sim, page).await;
    assert!(
        status == 200
            && html.contains("Sign in with Stripe to Continue</button>")
            && html.contains("Tallyhouse")
    );
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", DEMO_CLIENT_ID),
        ("scope", "read_only"),
        ("redirect_uri", "http://localhost/back"),
        ("state", "s1"),
        ("email", DEMO_EMAIL),
        ("password", "wrong"),
    ];
    let (status, _, html) = form(&sim, "/login", &fields).await;
    assert!(
        status == 422 && html.contains("do not match") && html.contains("Sign in to your account</button>")
    );
    let (_, headers, _) = form(&sim, "/oauth/deny", &fields).await;
    let back =
        "http://localhost/back?error=access_denied&error_description=The+user+denied+your+request&state=s1";
    assert_eq!(headers["location"], back);
    fields[6].1 = DEMO_PASSWORD;
    let (status, headers, _) = form(&sim, "/login", &fields).await;
    assert_eq!(status, 303);
    let target = url::Url::parse(headers["location"].to_str().unwrap()).unwrap();
    let answer: std::collections::HashMap<String, String> = target.query_pairs().into_owned().collect();
    assert_eq!((answer["state"].as_str(), answer["scope"].as_str()), ("s1", "read_only"));

    let exchange = [
        ("grant_type", "authorization_code"),
        ("code", answer["code"].as_str()),
        ("client_secret", DEMO_PLATFORM_KEY),
    ];
    let (status, _, body) = form(&sim, "/oauth/token", &exchange).await;
    assert_eq!(status, 200);
    let token: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&token["stripe_user_id"], &token["livemode"]), (&json!("acct_shelf"), &json!(false)));
    let access = token["access_token"].as_str().unwrap();
    assert_eq!(ask(&sim, with_key(access, "/v1/charges")).await.0, 200);
    let (status, _, body) = ask(&sim, for_account("acct_shelf")).await;
    assert!(status == 200 && body.contains("ch_old"));

    let end = [
        ("client_id", DEMO_CLIENT_ID),
        ("stripe_user_id", "acct_shelf"),
        ("client_secret", DEMO_PLATFORM_KEY),
    ];
    assert_eq!(form(&sim, "/oauth/deauthorize", &end).await.0, 200);
    assert_eq!(ask(&sim, with_key(access, "/v1/charges")).await.0, 401);
    assert_eq!(ask(&sim, for_account("acct_shelf")).await.0, 401);
    let (status, _, body) = form(&sim, "/oauth/token", &exchange).await;
    assert!(status == 400 && body.contains("invalid_grant") && body.contains("already been used"), "{body}");
}

#[tokio::test]
async fn codes_expire_and_clients_are_checked() {
    let sim = shelf(SimOptions::default());
    let code = sim.issue_code(DEMO_CLIENT_ID, "read_only");
    sim.world().advance(300);
    let late =
        [("grant_type", "authorization_code"), ("code", code.as_str()), ("client_secret", DEMO_PLATFORM_KEY)];
    assert!(form(&sim, "/oauth/token", &late).await.2.contains("expired"));
    let (status, _, body) = form(&sim, "/oauth/token", &[("client_secret", "sk_test_no")]).await;
    assert!(status == 401 && body.contains("invalid_client"));
    let odd = [("grant_type", "magic"), ("client_secret", DEMO_PLATFORM_KEY)];
    assert!(form(&sim, "/oauth/token", &odd).await.2.contains("unsupported_grant_type"));
}

#[tokio::test]
async fn truth_is_whole_and_guarded() {
    let sim = shelf(SimOptions { truth: false, ..SimOptions::default() });
    let bare = || Request::get("/_sim/truth/subscription");
    assert_eq!(ask(&sim, bare().body(Body::empty()).unwrap()).await.0, 403);
    let (_, _, lines) = ask(&sim, bare().header("sim-truth", "1").body(Body::empty()).unwrap()).await;
    assert_eq!(lines.lines().count(), 2, "the canceled one too");
}
