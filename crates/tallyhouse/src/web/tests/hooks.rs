//! Webhooks through their door: signatures, whose they are, and what becomes of them.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{
    future::join_all,
    stream::{self, StreamExt},
};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use store::{Connection, How, Inbox, Status};

use super::{connecting::walk_away, *};

const SECRET: &str = "whsec_firstNeverOnAnyPage1111";
const SECOND: &str = "whsec_secondNeverOnAnyPage2222";

/// The header as Stripe's documentation explains it.
fn signature(secret: &str, at: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}

fn event(id: &str) -> Value {
    let object = json!({ "id": "cus_1", "object": "customer" });
    json!({ "id": id, "object": "event", "type": "customer.updated", "created": 1, "livemode": false, "data": { "object": object } })
}

/// The same as a platform hears it.
fn of_account(id: &str, account: &str, livemode: bool) -> String {
    let mut event = event(id);
    (event["account"], event["livemode"]) = (json!(account), json!(livemode));
    event.to_string()
}

impl Here {
    /// A connection with one signing secret.
    async fn hooked(&self, name: &str, secret: &str) -> Connection {
        let connection = self.connection(name).await;
        self.store.add_webhook_secret(&connection.id, &secret.into(), self.clock.now()).await.unwrap();
        connection
    }

    /// As Stripe sends it: to this installation's address, whatever people call it, and without a session.
    async fn deliver(&self, to: &str, header: &str, body: &str) -> Answer {
        let request = Request::post(format!("/webhooks/stripe{to}"))
            .header(header::HOST, "proxy.internal")
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header("Stripe-Signature", header);
        self.ask(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn signed(&self, connection: &Connection, secret: &str, body: &str) -> Answer {
        let header = signature(secret, self.clock.now().timestamp(), body);
        self.deliver(&format!("/{}", connection.id), &header, body).await
    }

    async fn on_platform(&self, body: &str) -> Answer {
        let header = signature(PLATFORM_SECRET, self.clock.now().timestamp(), body);
        self.deliver("", &header, body).await
    }

    async fn inbox_of(&self, connection: &Connection) -> Inbox {
        self.store.inbox(&connection.id).await.unwrap()
    }

    async fn kept(&self, connection: &Connection) -> Vec<String> {
        let due = self.store.due_deliveries(&connection.id, 100, self.clock.now()).await.unwrap().events;
        due.into_iter().map(|waiting| waiting.event_id).collect()
    }
}

#[tokio::test]
async fn trap_20_and_21_a_signed_event_is_on_disk_when_it_is_answered_and_is_applied_soon() {
    let here = Here::new().await;
    let shop = here.hooked("shop", SECRET).await;
    let body = event("evt_1").to_string();
    let answer = here.signed(&shop, SECRET, &body).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "Received."));
    let kept = here.store.due_deliveries(&shop.id, 10, here.clock.now()).await.unwrap().events;
    assert_eq!((kept[0].event_id.as_str(), kept[0].body.as_slice()), ("evt_1", body.as_bytes()));
    // It comes again, and differently spelled: the event is the same.
    assert_eq!(here.signed(&shop, SECRET, &format!("{body} ")).await.status, StatusCode::OK);
    assert_eq!(here.kept(&shop).await, ["evt_1"]);
    assert_eq!(here.sync.did().first().map(String::as_str), Some("wake shop"));
    let inbox = here.inbox_of(&shop).await;
    assert_eq!((inbox.received, inbox.last_received_at), (2, Some(here.clock.now())));
}

#[tokio::test]
async fn trap_20_forged_old_future_and_changed_deliveries_are_refused_in_a_sentence() {
    let here = Here::new().await;
    let shop = here.hooked("shop", SECRET).await;
    let (to, now) = (format!("/{}", shop.id), here.clock.now().timestamp());
    let body = event("evt_1").to_string();
    let good = signature(SECRET, now, &body);
    let cut = body.strip_suffix('}').unwrap();
    let (old, future) = (signature(SECRET, now - 301, &body), signature(SECRET, now + 301, &body));
    let forged = signature(SECOND, now, &body);
    for (header, body, words) in [
        (
            good.as_str(),
            cut,
            "No signature of the webhook was made with a signing secret that is stored here",
        ),
        (forged.as_str(), body.as_str(), "No signature of the webhook"),
        (old.as_str(), body.as_str(), "more than 300 s ago"),
        (future.as_str(), body.as_str(), "more than 300 s in the future"),
        ("t=1", body.as_str(), "cannot be read"),
        ("", body.as_str(), "cannot be read"),
    ] {
        let answer = here.deliver(&to, header, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{header}");
        assert!(answer.body.contains(words) && !answer.body.contains("whsec"), "{}", answer.body);
    }
    let without = Request::post(format!("/webhooks/stripe{to}")).body(Body::from(body.clone())).unwrap();
    let answer = here.ask(without).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.body.contains("header is missing"), "{}", answer.body);
    assert_eq!(here.inbox_of(&shop).await, Inbox::default());
    assert_eq!(here.sync.did(), [""; 0]);
    assert_eq!(here.deliver(&to, &good, &body).await.status, StatusCode::OK, "and the real one is taken");
}

#[tokio::test]
async fn trap_20_either_of_two_secrets_signs_until_it_is_removed_and_no_other_connections_does() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let shop = here.hooked("shop", SECRET).await;
    let other = here.hooked("other", SECOND).await;
    let body = event("evt_1").to_string();
    assert_eq!(here.signed(&shop, SECOND, &body).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(here.signed(&other, SECRET, &body).await.status, StatusCode::BAD_REQUEST);
    let path = "/admin/connections/shop/webhook-secrets";
    let added = here.post(path, &admin, &[("secret", &format!(" {SECOND}\n"))]).await;
    assert_eq!(
        (added.status, added.location()),
        (StatusCode::SEE_OTHER, "/admin/connections/shop?tab=settings")
    );
    for secret in [SECRET, SECOND] {
        assert_eq!(here.signed(&shop, secret, &body).await.status, StatusCode::OK);
    }
    // Both were added at the same time, by the test's clock.
    let both = here.store.webhook_secrets(&shop.id).await.unwrap();
    let first = both.into_iter().find(|secret| secret.last4 == "1111").unwrap();
    here.post(&format!("{path}/remove"), &admin, &[("secret", &first.id)]).await;
    assert_eq!(here.signed(&shop, SECRET, &body).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(here.signed(&shop, SECOND, &body).await.status, StatusCode::OK);
    let audit = here.store.audit(10).await.unwrap();
    let mut did: Vec<_> = audit.iter().map(|entry| (entry.action.as_str(), entry.subject.as_str())).collect();
    did.sort_unstable();
    let removed = ("connection.webhook_secret_remove", "shop …1111");
    assert_eq!(did, [("connection.webhook_secret_add", "shop …2222"), removed]);
}

#[tokio::test]
async fn an_address_without_connection_or_secret_says_so() {
    let here = Here::new().await;
    let shop = here.connection("shop").await;
    let body = event("evt_1").to_string();
    let answer = here.signed(&shop, SECRET, &body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.body.contains("copy it from the endpoint's page"), "{}", answer.body);
    let nobody = here.deliver("/con_nobody", &signature(SECRET, 0, &body), &body).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    here.store.add_webhook_secret(&shop.id, &SECRET.into(), here.clock.now()).await.unwrap();
    here.clock.advance(2);
    assert_eq!(here.signed(&shop, SECRET, &body).await.status, StatusCode::OK);
    // Deleted since it was looked up.
    here.store.delete_connection(&shop.id).await.unwrap();
    assert_eq!(here.signed(&shop, SECRET, &body).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn trap_21_a_platforms_events_go_by_account_and_mode() {
    let here = Here::new().await;
    let test = here.connection("test").await;
    let other = here.connection("other").await;
    let live = NewConnection {
        account_id: test.account_id.clone(),
        livemode: true,
        ..new_connection("live", SECRET_KEY)
    };
    let live = here.store.insert_connection(&live, here.clock.now()).await.unwrap();
    for (id, account, livemode) in [
        ("evt_1", &test.account_id, false),
        ("evt_2", &test.account_id, true),
        ("evt_3", &other.account_id, false),
    ] {
        assert_eq!(here.on_platform(&of_account(id, account, livemode)).await.body, "Received.");
    }
    assert_eq!(here.kept(&test).await, ["evt_1"]);
    assert_eq!(here.kept(&live).await, ["evt_2"]);
    assert_eq!(here.kept(&other).await, ["evt_3"]);
    let unknown = here.on_platform(&of_account("evt_4", "acct_nobody", false)).await;
    assert_eq!((unknown.status, unknown.body.contains("dropped")), (StatusCode::OK, true));
    let nobody = here.on_platform(&event("evt_5").to_string()).await;
    assert_eq!(nobody.status, StatusCode::BAD_REQUEST);
    assert!(nobody.body.contains("names no account"), "{}", nobody.body);
    // A connection's own secret opens nothing here.
    let body = of_account("evt_6", &test.account_id, false);
    let own = here.deliver("", &signature(SECRET, here.clock.now().timestamp(), &body), &body).await;
    assert_eq!(own.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn trap_21_test_events_at_a_live_endpoint_are_taken_dropped_and_counted() {
    let here = Here::new().await;
    let live = NewConnection { livemode: true, ..new_connection("live", SECRET_KEY) };
    let live = here.store.insert_connection(&live, here.clock.now()).await.unwrap();
    here.store.add_webhook_secret(&live.id, &SECRET.into(), here.clock.now()).await.unwrap();
    let answer = here.on_platform(&of_account("evt_1", &live.account_id, false)).await;
    assert_eq!((answer.status, answer.body.contains("dropped")), (StatusCode::OK, true), "{}", answer.body);
    let own = here.signed(&live, SECRET, &event("evt_2").to_string()).await;
    assert_eq!(own.status, StatusCode::OK);
    let others = here.signed(&live, SECRET, &of_account("evt_3", "acct_other", true)).await;
    assert_eq!(others.status, StatusCode::OK);
    // Counting is nobody's to wait for: what is kept comes after it.
    let kept = here.signed(&live, SECRET, &of_account("evt_4", &live.account_id, true)).await;
    assert_eq!(kept.body, "Received.");
    assert_eq!(here.kept(&live).await, ["evt_4"]);
    let inbox = here.inbox_of(&live).await;
    assert_eq!(inbox.dropped, 3);
    assert_eq!(inbox.last_dropped.unwrap().1, "it is of another Stripe account than the connection's");
    let admin = here.admin().await;
    let page = here.get("/admin/connections/live?tab=settings", Some(&admin)).await;
    assert!(page.page(StatusCode::OK).contains("3 dropped"), "{}", page.body);
}

#[tokio::test]
async fn trap_27_ended_access_asks_for_somebody_who_connects_again() {
    let here = Here::new().await;
    let oauth = NewConnection { how: How::Oauth, ..new_connection("shop", SECRET_KEY) };
    let shop = here.store.insert_connection(&oauth, here.clock.now()).await.unwrap();
    let ended = |second: i64| {
        let mut event = event("evt_1");
        (event["type"], event["account"]) =
            (json!("account.application.deauthorized"), json!(shop.account_id));
        event["created"] = json!(second);
        event.to_string()
    };
    let now = here.clock.now().timestamp();
    let late = here.on_platform(&ended(now - 60)).await;
    assert_eq!((late.status, late.body.contains("no present access")), (StatusCode::OK, true));
    let status = async || here.store.connection(&shop.id).await.unwrap().unwrap().status;
    assert_eq!(status().await, Status::Connecting, "it was said before this access was given");
    assert_eq!(here.on_platform(&ended(now)).await.status, StatusCode::OK);
    let Status::ReauthenticationRequired { why } = status().await else { panic!("{:?}", status().await) };
    assert!(why.contains("ended the access"), "{why}");
    assert_eq!(here.sync.did(), ["stop shop"]);
    assert_eq!(here.store.audit(1).await.unwrap()[0].action, "connection.access_ended");
    // It is told twice: once is enough.
    assert_eq!(here.on_platform(&ended(now)).await.status, StatusCode::OK);
    assert_eq!(here.sync.did(), ["stop shop"]);
    assert_eq!(here.store.audit(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn trap_27_ended_access_is_seen_to_also_when_stripe_does_not_wait() {
    let here = Here::new().await;
    let oauth = NewConnection { how: How::Oauth, ..new_connection("shop", SECRET_KEY) };
    let shop = here.store.insert_connection(&oauth, here.clock.now()).await.unwrap();
    let (mut event, now) = (event("evt_1"), here.clock.now().timestamp());
    (event["type"], event["account"]) = (json!("account.application.deauthorized"), json!(shop.account_id));
    event["created"] = json!(now);
    let body = event.to_string();
    let request = Request::post("/webhooks/stripe")
        .header(header::HOST, "proxy.internal")
        .header("Stripe-Signature", signature(PLATFORM_SECRET, now, &body));
    walk_away(&here, request.body(Body::from(body)).unwrap(), &here.sync.stopping).await;
    assert_eq!(here.sync.did(), ["stop shop"]);
}

#[tokio::test]
async fn a_secret_that_another_master_key_sealed_is_marked_and_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let open = async |digits: &str| {
        Arc::new(Store::open(&path, MasterKey::from_text(&digits.repeat(32)).unwrap()).await.unwrap())
    };
    let before = Here::with("http://localhost:8080/", open("07").await);
    let shop = before.hooked("shop", SECRET).await;
    before.store.close().await;
    let here = Here::with("http://localhost:8080/", open("08").await);
    let admin = here.admin().await;
    let body = event("evt_1").to_string();
    let refused = here.signed(&shop, SECRET, &body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
    let page = here.get("/admin/connections/shop?tab=settings", Some(&admin)).await;
    assert!(page.page(StatusCode::OK).contains("cannot be opened any more"), "{}", page.body);
    let path = "/admin/connections/shop/webhook-secrets";
    assert_eq!(here.post(path, &admin, &[("secret", SECRET)]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(here.signed(&shop, SECRET, &body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_settings_say_why_events_wait_and_which_were_left_to_updates() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let shop = here.hooked("shop", SECRET).await;
    let page = async || here.get("/admin/connections/shop?tab=settings", Some(&admin)).await;
    for id in ["evt_1", "evt_2"] {
        assert_eq!(here.signed(&shop, SECRET, &event(id).to_string()).await.status, StatusCode::OK);
    }
    assert!(!page().await.page(StatusCode::OK).contains("are applied"));
    here.store.set_status(&shop.id, &Status::Paused).await.unwrap();
    assert!(page().await.page(StatusCode::OK).contains("Updates are paused: they are applied"));
    let refused = Status::ReauthenticationRequired { why: "the key was refused".to_owned() };
    here.store.set_status(&shop.id, &refused).await.unwrap();
    assert!(page().await.page(StatusCode::OK).contains("connect again, and they are applied"));
    let left = store::Postponed {
        event_id: "evt_1".to_owned(),
        due_at: None,
        looked_at_micros: None,
        why: "Stripe does not show it".to_owned(),
        awaits_copy_of: None,
    };
    let left = store::Settled { handed_over: vec![left], ..store::Settled::default() };
    here.store.settle_deliveries(&shop.id, &left, here.clock.now()).await.unwrap();
    let page = page().await;
    let page = page.page(StatusCode::OK);
    assert!(page.contains("1 that could not be applied") && page.contains("does not show it"), "{page}");
}

#[tokio::test]
async fn what_is_no_event_is_kept_once_to_be_shown() {
    let here = Here::new().await;
    let shop = here.hooked("shop", SECRET).await;
    for _ in 0..2 {
        assert_eq!(here.signed(&shop, SECRET, "{]").await.status, StatusCode::OK);
    }
    let kept = here.kept(&shop).await;
    assert!(kept.len() == 1 && kept[0].starts_with("sha256:"), "{kept:?}");
}

#[tokio::test]
async fn trap_21_what_is_too_large_or_too_much_is_not_called_received() {
    let here = Here::new().await;
    let shop = here.hooked("shop", SECRET).await;
    let large = "x".repeat(crate::inbox::LARGEST + 1);
    let answer = here.signed(&shop, SECRET, &large).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let largest = || {
        let mut room = here.inbox.room();
        room.hold(crate::inbox::LARGEST).then_some(room)
    };
    let full: Vec<_> = std::iter::from_fn(largest).collect();
    let body = event("evt_1").to_string();
    let answer = here.signed(&shop, SECRET, &body).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers[header::RETRY_AFTER], "5");
    assert_eq!(here.kept(&shop).await, [""; 0]);
    drop(full);
    assert_eq!(here.signed(&shop, SECRET, &body).await.status, StatusCode::OK);
    // Larger than any form, and taken.
    let mut long = event("evt_2");
    long["data"]["object"]["description"] = json!("x".repeat(200_000));
    assert_eq!(here.signed(&shop, SECRET, &long.to_string()).await.status, StatusCode::OK);
    // What cannot be stored is not called received either.
    here.store.close().await;
    let answer = here.signed(&shop, SECRET, &body).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
}

#[tokio::test]
async fn trap_21_more_than_may_wait_is_refused_until_some_of_it_is_applied() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let (shop, other) = (here.hooked("shop", SECRET).await, here.hooked("other", SECRET).await);
    let send = async |to: &Connection, number: u64| {
        here.signed(to, SECRET, &event(&format!("evt_{number}")).to_string()).await.status
    };
    let page = async || here.get("/admin/connections/shop?tab=settings", Some(&admin)).await.body;
    for number in 0..MOST_WAITING {
        assert!(!page().await.contains("webhooks are refused"));
        assert_eq!(send(&shop, number).await, StatusCode::OK);
    }
    assert_eq!(send(&shop, MOST_WAITING).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page().await.contains("webhooks are refused until some are applied"));
    assert_eq!(send(&other, 0).await, StatusCode::OK, "each connection has its own bound");
    let applied = store::Settled { applied: vec!["evt_0".to_owned()], ..store::Settled::default() };
    here.store.settle_deliveries(&shop.id, &applied, here.clock.now()).await.unwrap();
    here.clock.advance(1);
    assert_eq!(send(&shop, MOST_WAITING).await, StatusCode::OK);
    let kept = here.kept(&shop).await;
    assert!(kept.len() == 5 && kept.contains(&format!("evt_{MOST_WAITING}")), "{kept:?}");
}

#[tokio::test]
async fn trap_21_more_bytes_than_may_wait_are_refused_and_the_settings_say_so() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let shop = here.hooked("shop", SECRET).await;
    let page = async || here.get("/admin/connections/shop?tab=settings", Some(&admin)).await.body;
    let send = async |number: u64| {
        let mut large = event(&format!("evt_{number}"));
        large["data"]["object"]["description"] = json!("x".repeat(crate::inbox::LARGEST - 10_000));
        here.signed(&shop, SECRET, &large.to_string()).await.status
    };
    let refused = "webhooks are refused until some are applied";
    for number in 0..MOST_WAITING_MB / 2 {
        assert!(!page().await.contains(refused));
        assert_eq!(send(number).await, StatusCode::OK);
    }
    assert!(page().await.contains(refused));
    assert_eq!(send(9).await, StatusCode::SERVICE_UNAVAILABLE);
    // What can never be applied is no reason to refuse others.
    let odd = |number| store::Postponed {
        event_id: format!("evt_{number}"),
        due_at: None,
        looked_at_micros: None,
        why: "it is no event".to_owned(),
        awaits_copy_of: None,
    };
    let odd = (0..MOST_WAITING_MB / 2).map(odd).collect();
    let odd = store::Settled { postponed: odd, ..store::Settled::default() };
    here.store.settle_deliveries(&shop.id, &odd, here.clock.now()).await.unwrap();
    here.clock.advance(1);
    let page = page().await;
    assert!(!page.contains(refused) && page.contains("It is no event"), "{page}");
    assert_eq!(send(9).await, StatusCode::OK);
}

/// A webhook of which one byte comes, and then nothing any more. It counts when somebody waits for the rest.
fn promised(to: &Connection, header: &str, waited_for: &Arc<AtomicUsize>) -> Request<Body> {
    let waited_for = Arc::clone(waited_for);
    let never = stream::once(async move {
        waited_for.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    });
    let body = stream::iter([Ok::<_, Infallible>("{")]).chain(never);
    Request::post(format!("/webhooks/stripe/{}", to.id))
        .header(header::HOST, "proxy.internal")
        .header("Stripe-Signature", header)
        .body(Body::from_stream(body))
        .unwrap()
}

#[tokio::test]
async fn trap_20_what_stripe_cannot_have_signed_is_refused_before_its_body_comes() {
    let here = Here::new().await;
    let shop = here.hooked("shop", SECRET).await;
    let now = here.clock.now().timestamp();
    let signed = |at| format!("t={at},v1={}", "ab".repeat(32));
    let waited_for = Arc::default();
    for header in ["", "v1=ab", &signed(now - 301), &signed(now + 301)] {
        let answer = here.ask(promised(&shop, header, &waited_for)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{header}");
    }
    assert_eq!(waited_for.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn bodies_that_do_not_come_keep_no_other_webhook_out() {
    let here = Here::new().await;
    let shop = here.hooked("shop", SECRET).await;
    let header = format!("t={},v1={}", here.clock.now().timestamp(), "ab".repeat(32));
    let (waited_for, answered) = (Arc::default(), AtomicUsize::new(0));
    let slow = |_| async {
        let status = here.ask(promised(&shop, &header, &waited_for)).await.status;
        answered.fetch_add(1, Ordering::Relaxed);
        status
    };
    let slow = join_all((0..100).map(slow));
    let beside = async {
        while waited_for.load(Ordering::Relaxed) + answered.load(Ordering::Relaxed) < 100 {
            tokio::task::yield_now().await;
        }
        here.signed(&shop, SECRET, &event("evt_1").to_string()).await
    };
    let (slow, answer) = tokio::join!(slow, beside);
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    // None of them is waited for for ever; it takes ten seconds.
    assert!(slow.iter().all(|status| *status == StatusCode::REQUEST_TIMEOUT), "{slow:?}");
}

#[tokio::test]
async fn the_settings_show_the_endpoint_and_four_characters_of_each_secret() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let shop = here.connection("shop").await;
    let path = "/admin/connections/shop?tab=settings";
    let before = here.get(path, Some(&admin)).await;
    let address = format!("http://localhost:8080/webhooks/stripe/{}", shop.id);
    assert!(before.page(StatusCode::OK).contains(&address), "{}", before.body);
    assert!(before.body.contains("None yet") && before.body.contains("over https only"), "{}", before.body);
    let adding = "/admin/connections/shop/webhook-secrets";
    for odd in ["", "sk_test_NeverOnAnyPage", "whsec_", "whsec_ a secret with spaces"] {
        let refused = here.post(adding, &admin, &[("secret", odd)]).await;
        let page = refused.page(StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.contains("begins with whsec_"), "{page}");
    }
    assert_eq!(here.post(adding, &admin, &[("secret", SECRET)]).await.status, StatusCode::SEE_OTHER);
    let again = here.post(adding, &admin, &[("secret", SECRET)]).await;
    assert!(again.page(StatusCode::UNPROCESSABLE_ENTITY).contains("stored already"), "{}", again.body);
    here.signed(&shop, SECRET, &event("evt_1").to_string()).await;
    let after = here.get(path, Some(&admin)).await;
    let page = after.page(StatusCode::OK);
    assert!(page.contains("whsec_…1111") && page.contains("1 in all"), "{page}");
    for role in [Role::Standard, Role::ReadOnly] {
        let user = here.user(role).await;
        let refused = here.post(adding, &user, &[("secret", SECOND)]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
    let without_token = here.send(adding, &admin.cookie, &[("secret", SECOND)]).await;
    assert_eq!(without_token.status, StatusCode::FORBIDDEN);
    assert_eq!(here.store.webhook_secrets(&shop.id).await.unwrap().len(), 1);
}
