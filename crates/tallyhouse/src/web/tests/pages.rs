//! The connections' pages, and what every answer carries.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::json;
use store::{CycleEnd, Outcome, RunMark, Status};
use stripe_api::Clock;
use tower::ServiceExt;

use super::Here;
use crate::web::{ProgressView, SyncPhase, TableProgressView, TableStanding};

pub(super) fn progress(now: chrono::DateTime<chrono::Utc>) -> ProgressView {
    let table = |table: &str, state, rows, percent: Option<u8>, why: Option<&str>| TableProgressView {
        table: table.to_owned(),
        state,
        rows,
        percent,
        objects_per_s: percent.map(|_| 1_234),
        seconds_left: percent.map(|_| 125),
        last_data_at: (rows > 0).then_some(now),
        why: why.map(str::to_owned),
    };
    let lacks = "The key lacks read access to coupons <script>. Add that permission to the key, then force an update.";
    ProgressView {
        phase: SyncPhase::Copying,
        began_at: Some(now - chrono::TimeDelta::seconds(95)),
        tables: vec![
            table("customers", TableStanding::Live, 10_000_000, None, None),
            table("charges", TableStanding::Copying, 1_234_567, Some(42), None),
            table("coupons", TableStanding::Unavailable, 0, None, Some(lacks)),
            table("invoices", TableStanding::Failed, 1, None, Some("Stripe failed with status 500.")),
            table("events", TableStanding::Waiting, 0, None, None),
        ],
    }
}

#[tokio::test]
async fn a_connections_tables_show_state_rows_and_pace() {
    let here = Here::new().await;
    let admin = here.admin().await;
    here.connection("shop").await;
    here.sync.show("shop", progress(here.clock.now()));
    let answer = here.get("/admin/connections/shop", Some(&admin)).await;
    let page = answer.page(StatusCode::OK);
    for words in [
        "10,000,000",
        "42 %",
        "1,234/s · 2 min 5 s left",
        "In progress for 1 min 35 s",
        "1 unavailable",
        "Failed",
        "1 waiting",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(page.contains("coupons &#60;script&#62;"), "{page}");
    assert!(page.contains("Shop &#60;script&#62;alert(1)&#60;/script&#62; &#38; Co"), "{page}");
    assert!(page.contains("data-live=\"/admin/connections/shop/events\""));
    assert!(page.contains("<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>"));
}

#[tokio::test]
async fn progress_is_streamed_until_it_rests() {
    let here = Here::new().await;
    let admin = here.admin().await;
    here.connection("shop").await;
    let mut view = progress(here.clock.now());
    here.sync.show("shop", view.clone());
    let request = Request::get("/admin/connections/shop/events")
        .header(header::HOST, "localhost:8080")
        .header(header::COOKIE, &admin.cookie);
    let response = here.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let mut body = response.into_body();
    let first = next(&mut body).await;
    assert!(first.contains("event: tables") && first.contains("42 %"), "{first}");
    (view.phase, view.began_at) = (SyncPhase::Resting, None);
    here.sync.show("shop", view);
    let last = next(&mut body).await;
    assert!(last.contains("event: rest") && last.contains("No update is running."), "{last}");
    assert!(body.frame().await.is_none());
}

async fn next(body: &mut Body) -> String {
    let frame = tokio::time::timeout(Duration::from_secs(5), body.frame()).await.unwrap().unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn the_ribbon_says_how_up_to_date_everything_is() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let connection = here.connection("shop").await;
    let empty = here.get("/admin/connections", Some(&admin)).await;
    assert!(empty.page(StatusCode::OK).contains("Force update"));
    let began_at = here.clock.now();
    here.store.mark_started(&connection.id, began_at).await.unwrap();
    let ended_at = began_at + chrono::TimeDelta::seconds(75);
    let mark = RunMark { began_at, ended_at, success: true, brought_rows: true };
    here.store.mark_ended(&connection.id, mark).await.unwrap();
    here.store.set_status(&connection.id, &Status::Success).await.unwrap();
    here.clock.advance(600);
    let list = here.get("/admin/connections", Some(&admin)).await;
    let page = list.page(StatusCode::OK);
    for words in [
        "Last successful update began",
        "23 Nov 2026, 12:00",
        "10 min ago",
        "Last data point received",
        "8 min ago",
        "1 min 15 s",
        "UTC",
        "Success",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    here.connection("new").await;
    let list = here.get("/admin/connections", Some(&admin)).await;
    assert!(list.page(StatusCode::OK).contains("Not yet of every source"), "{}", list.body);
}

#[tokio::test]
async fn the_list_counts_no_rows_to_tell_what_runs() {
    let here = Here::new().await;
    let admin = here.admin().await;
    here.connection("a").await;
    here.connection("b").await;
    here.sync.show("b", progress(here.clock.now()));
    let list = here.get("/admin/connections", Some(&admin)).await;
    assert!(list.page(StatusCode::OK).contains("In progress for 1 min 35 s"), "{}", list.body);
    assert_eq!(here.sync.looked.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn forcing_an_update_leaves_paused_connections_alone() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let paused = here.connection("a").await;
    here.connection("b").await;
    here.store.set_status(&paused.id, &Status::Paused).await.unwrap();
    here.post("/admin/connections/update", &admin, &[]).await;
    assert_eq!(here.sync.did(), ["start b"]);
    let done = here.post("/admin/connections/a/resume", &admin, &[]).await;
    assert_eq!(done.location(), "/admin/connections/a");
    assert_eq!(here.sync.did(), ["start b", "start a"]);
    assert_eq!(here.store.connection(&paused.id).await.unwrap().unwrap().status, Status::Connecting);
}

#[tokio::test]
async fn an_update_that_does_not_begin_keeps_no_other_from_beginning() {
    let here = Here::new().await;
    let admin = here.admin().await;
    for name in ["a", "b", "c"] {
        here.connection(name).await;
    }
    for name in ["a", "b"] {
        here.sync.refuse(name, "it is still ending");
    }
    let told = here.post("/admin/connections/update", &admin, &[]).await;
    assert_eq!(here.sync.did(), ["start c"]);
    let page = told.page(StatusCode::CONFLICT);
    assert!(page.contains("a: it is still ending. b: it is still ending."), "{page}");
    assert!(page.contains("the other connections have begun"), "{page}");
}

#[tokio::test]
async fn pausing_stops_what_runs() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let connection = here.connection("shop").await;
    here.sync.show("shop", progress(here.clock.now()));
    let done = here.post("/admin/connections/shop/pause", &admin, &[]).await;
    // Paused first, so that none begins behind the one that is stopped.
    assert_eq!(here.sync.did(), ["stop shop (paused)"]);
    assert_eq!(here.store.connection(&connection.id).await.unwrap().unwrap().status, Status::Paused);
    let page = here.get(done.location(), Some(&admin)).await;
    assert!(!page.page(StatusCode::OK).contains("In progress"), "{}", page.body);
}

#[tokio::test]
async fn what_is_resumed_while_it_stops_stays_resumed() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let connection = here.connection("shop").await;
    let stopping = here.sync.stopping.close().await;
    let resume = async {
        here.sync.stopping.reached().await;
        here.post("/admin/connections/shop/resume", &admin, &[]).await;
        drop(stopping);
    };
    tokio::join!(here.post("/admin/connections/shop/pause", &admin, &[]), resume);
    assert_eq!(here.store.connection(&connection.id).await.unwrap().unwrap().status, Status::Connecting);
}

#[tokio::test]
async fn deleting_wants_the_name_typed() {
    let here = Here::new().await;
    let admin = here.admin().await;
    here.connection("shop").await;
    let refused = here.post("/admin/connections/shop/delete", &admin, &[("typed", "Shop")]).await;
    assert!(refused.page(StatusCode::UNPROCESSABLE_ENTITY).contains("Nothing was changed"));
    assert_eq!(here.store.connections().await.unwrap().len(), 1);
    let done = here.post("/admin/connections/shop/delete", &admin, &[("typed", "shop")]).await;
    assert_eq!(done.location(), "/admin/connections?deleted=shop&note=key");
    assert_eq!(here.store.connections().await.unwrap(), Vec::new());
    assert_eq!(here.sync.did(), ["stop shop (deleted)"]);
    let list = here.get(done.location(), Some(&admin)).await;
    assert!(list.page(StatusCode::OK).contains("Its tables stay in the warehouse"));
    assert!(list.body.contains("Its key still works"), "{}", list.body);
    assert_eq!(here.stripe.given_back(), Vec::<String>::new());
}

#[tokio::test]
async fn the_timeline_tells_every_update() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let connection = here.connection("shop").await;
    let begin = here.clock.now();
    let first = here.store.begin_cycle(&connection.id, true, begin).await.unwrap();
    let at = begin + chrono::TimeDelta::seconds(61);
    let detail = json!({"charges": "12,345 <rows>", "invoices": 7});
    let end = CycleEnd { at, outcome: Outcome::PartlyFailed, rows: 12_352, detail };
    here.store.finish_cycle(&first, &end).await.unwrap();
    here.clock.advance(120);
    here.store.begin_cycle(&connection.id, false, here.clock.now()).await.unwrap();
    let path = "/admin/connections/shop?tab=timeline";
    let page = here.get(path, Some(&admin)).await;
    let page = page.page(StatusCode::OK);
    for words in [
        "Interrupted",
        "Partial",
        "12,352",
        "1 min 1 s",
        "A person",
        "Schedule",
        "2 lines",
        "12,345 &#60;rows&#62;",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    here.sync.show("shop", progress(here.clock.now()));
    assert!(here.get(path, Some(&admin)).await.page(StatusCode::OK).contains("Running"));
}

#[tokio::test]
async fn every_state_has_its_words() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let connection = here.connection("shop").await;
    let why = || "It is <slow>.".to_owned();
    let states = [
        (Status::Connecting, "Connecting"),
        (Status::Backfilling { percent: 42 }, "Backfilling 42 %"),
        (Status::Success, "Success"),
        (Status::Delayed { since: here.clock.now(), why: why() }, "Delayed"),
        (Status::Partial { why: why() }, "Partial"),
        (Status::ReauthenticationRequired { why: why() }, "Reauthentication required"),
        (Status::Paused, "Paused"),
        (Status::Failed { why: why() }, "Failed"),
    ];
    for (status, word) in states {
        here.store.set_status(&connection.id, &status).await.unwrap();
        let list = here.get("/admin/connections", Some(&admin)).await;
        let badge = format!("</span>{word}</span>");
        assert!(list.page(StatusCode::OK).contains(&badge), "{word}: {}", list.body);
        assert!(!list.body.contains("<slow>"));
        here.get("/admin/connections/shop", Some(&admin)).await.page(StatusCode::OK);
    }
}

#[tokio::test]
async fn pages_are_never_stored_and_load_nothing_foreign() {
    let here = Here::new().await;
    let admin = here.admin().await;
    for path in ["/", "/admin/connections", "/nowhere", "/login"] {
        let answer = here.get(path, Some(&admin)).await;
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "same-origin");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
        // Without Stripe's own address browsers would stop the form that leads there.
        assert!(
            policy.ends_with("form-action 'self' https://connect.stripe.com https://*.stripe.com"),
            "{policy}"
        );
        for inline in ["<style", " style=", " onclick=", "<script>", "http://", "https://"] {
            assert!(!answer.body.contains(inline), "{path}: {inline}");
        }
    }
}

#[tokio::test]
async fn addresses_that_lead_nowhere_say_so() {
    let here = Here::new().await;
    let admin = here.admin().await;
    for path in [
        "/nowhere",
        "/admin/connections/none",
        "/admin/connections/%3Cscript%3E",
        "/admin/connections/none/events",
    ] {
        let answer = here.get(path, Some(&admin)).await;
        assert!(answer.page(StatusCode::NOT_FOUND).contains("Nothing here"), "{path}");
        assert!(!answer.body.contains("<script>"), "{path}");
    }
}

#[tokio::test]
async fn assets_are_cached_by_their_hash() {
    let here = Here::new().await;
    let asset = here.get("/assets/app.js", None).await;
    assert_eq!(asset.status, StatusCode::OK);
    assert_eq!(asset.headers[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    let request = Request::get("/assets/app.js").header(header::IF_NONE_MATCH, &asset.headers[header::ETAG]);
    let known = here.ask(request.body(Body::empty()).unwrap()).await;
    assert_eq!((known.status, known.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    for path in ["/assets/none.js", "/assets/../build.rs", "/assets/%2e%2e/build.rs", "/assets/%2fetc/passwd"]
    {
        assert_eq!(here.get(path, None).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}
