//! Joining a Stripe account: both ways, and everything that can go wrong on the way.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode, header};
use secrecy::ExposeSecret;
use store::{How, Role, Status};
use tower::ServiceExt;

use super::{
    Answer, Browser, Here, SECRET_KEY,
    fakes::{Gate, Says},
    form,
};

/// Goes to Stripe and gives the state that came along.
async fn leave(here: &Here, admin: &Browser, fields: &[(&str, &str)]) -> String {
    let gone = here.post("/admin/connections/new/stripe/oauth", admin, fields).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.body);
    let to = url::Url::parse(gone.location()).unwrap();
    assert_eq!((to.host_str(), to.path()), (Some("connect.stripe.com"), "/oauth/authorize"));
    let find = |name: &str| to.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    assert_eq!(find("response_type"), "code");
    assert_eq!(find("client_id"), "ca_test");
    assert_eq!(find("scope"), "read_only");
    assert_eq!(find("redirect_uri"), "http://localhost:8080/oauth/callback");
    find("state")
}

async fn come_back(here: &Here, browser: &Browser, query: &str) -> Answer {
    here.get(&format!("/oauth/callback?{query}"), Some(browser)).await
}

async fn nothing_happened(here: &Here) {
    assert_eq!(here.store.connections().await.unwrap(), Vec::new());
    assert_eq!(here.sync.did(), Vec::<String>::new());
}

#[tokio::test]
async fn trap_27_connecting_ends_with_a_row_a_running_copy_and_the_message() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let state = leave(&here, &admin, &[("name", "shop")]).await;
    let back = come_back(&here, &admin, &format!("state={state}&code=ac_1&scope=read_only")).await;
    assert_eq!((back.status, back.location()), (StatusCode::SEE_OTHER, "/admin/connections?connected=shop"));
    assert_eq!(here.sync.did(), ["start shop"]);
    let connection = here.store.connection_named("shop").await.unwrap().unwrap();
    assert_eq!(
        (connection.how, connection.livemode, connection.status),
        (How::Oauth, false, Status::Connecting)
    );
    assert_eq!(connection.time_zone.as_deref(), Some("America/New_York"));
    assert_eq!(here.store.credentials(&connection.id).await.unwrap().expose_secret(), SECRET_KEY);
    let list = here.get(back.location(), Some(&admin)).await;
    let page = list.page(StatusCode::OK);
    assert!(page.contains("<strong>Connection Successful!</strong>"), "{page}");
    assert!(page.contains("Shop &#60;b&#62;One&#60;/b&#62;"), "{page}");
    for column in
        ["Name", "Connection", "Status", "Last Connection Started", "Last Connection Duration", "Action"]
    {
        assert!(page.contains(&format!(">{column}</th>")), "{column}");
    }
}

#[tokio::test]
async fn trap_27_declined_access_is_told_and_connects_nothing() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let state = leave(&here, &admin, &[("name", "shop")]).await;
    let query = format!("error=access_denied&error_description=The+user+denied&state={state}");
    let back = come_back(&here, &admin, &query).await;
    assert!(back.page(StatusCode::BAD_REQUEST).contains("Access was declined"), "{}", back.body);
    assert!(back.body.contains("href=\"/admin/connections/new/stripe\""));
    nothing_happened(&here).await;
}

#[tokio::test]
async fn trap_27_stripes_own_words_are_escaped() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let state = leave(&here, &admin, &[("name", "shop")]).await;
    let query = format!("error=odd&error_description=%3Cscript%3Ealert(1)%3C/script%3E&state={state}");
    let back = come_back(&here, &admin, &query).await;
    assert!(back.page(StatusCode::BAD_REQUEST).contains("&#60;script&#62;"), "{}", back.body);
    assert!(!back.body.contains("<script>"), "{}", back.body);
}

#[tokio::test]
async fn trap_27_a_forged_state_is_refused_before_the_code_is_looked_at() {
    let here = Here::new().await;
    let admin = here.admin().await;
    leave(&here, &admin, &[("name", "shop")]).await;
    for query in
        ["state=forged&code=ac_1", "code=ac_1", "state=&code=ac_1", "error=access_denied&state=forged", ""]
    {
        let back = come_back(&here, &admin, query).await;
        assert!(
            back.page(StatusCode::BAD_REQUEST).contains("This answer was not asked for"),
            "{query}: {}",
            back.body
        );
    }
    assert_eq!(here.stripe.codes(), 0);
    nothing_happened(&here).await;
}

#[tokio::test]
async fn trap_27_an_answer_counts_once() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let state = leave(&here, &admin, &[("name", "shop")]).await;
    let query = format!("state={state}&code=ac_1");
    assert_eq!(come_back(&here, &admin, &query).await.status, StatusCode::SEE_OTHER);
    let replayed = come_back(&here, &admin, &query).await;
    assert!(replayed.page(StatusCode::BAD_REQUEST).contains("used already"), "{}", replayed.body);
    assert_eq!(here.stripe.codes(), 1);
    assert_eq!(here.sync.did(), ["start shop"]);
}

#[tokio::test]
async fn trap_27_an_old_answer_is_refused() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let state = leave(&here, &admin, &[("name", "shop")]).await;
    here.clock.advance(601);
    let back = come_back(&here, &admin, &format!("state={state}&code=ac_1")).await;
    assert!(back.page(StatusCode::BAD_REQUEST).contains("longer than ten minutes"), "{}", back.body);
    assert_eq!(here.stripe.codes(), 0);
    nothing_happened(&here).await;
}

#[tokio::test]
async fn trap_27_another_sessions_answer_is_refused_and_not_used_up() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let state = leave(&here, &admin, &[("name", "shop")]).await;
    let users = here.store.users().await.unwrap();
    let session =
        here.store.create_session(&users[0].id, stripe_api::Clock::now(&*here.clock)).await.unwrap();
    let other = Browser {
        cookie: format!("tallyhouse_session={}", session.token.expose_secret()),
        csrf: String::new(),
    };
    let query = format!("state={state}&code=ac_1");
    let back = come_back(&here, &other, &query).await;
    assert!(back.page(StatusCode::BAD_REQUEST).contains("another session"), "{}", back.body);
    nothing_happened(&here).await;
    assert_eq!(come_back(&here, &admin, &query).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn trap_27_every_refusal_of_stripe_is_a_sentence_with_a_way_out() {
    let expected = [
        (Says::CodeSpent, "older than five minutes or used already"),
        (Says::UnknownClient, "does not know this installation&#39;s client id"),
        (Says::NetworkDown, "could not be reached"),
        (Says::LiveData, "gave access to live data"),
        (Says::AnotherAccount, "answered for another"),
    ];
    for (says, words) in expected {
        let here = Here::new().await;
        let admin = here.admin().await;
        here.stripe.now_says(says);
        let state = leave(&here, &admin, &[("name", "shop")]).await;
        let back = come_back(&here, &admin, &format!("state={state}&code=ac_1")).await;
        assert!(back.page(StatusCode::BAD_REQUEST).contains(words), "{says:?}: {}", back.body);
        assert!(back.body.contains("Try again</a>"), "{says:?}");
        nothing_happened(&here).await;
    }
}

#[tokio::test]
async fn an_account_is_connected_once() {
    let here = Here::new().await;
    let admin = here.admin().await;
    for (name, status) in [("shop", StatusCode::SEE_OTHER), ("again", StatusCode::BAD_REQUEST)] {
        let state = leave(&here, &admin, &[("name", name)]).await;
        let back = come_back(&here, &admin, &format!("state={state}&code=ac_1")).await;
        assert_eq!(back.status, status);
    }
    assert_eq!(here.store.connections().await.unwrap().len(), 1);
    assert_eq!(here.stripe.given_back(), Vec::<String>::new(), "the first connection lives by the access");
}

#[tokio::test]
async fn a_pasted_key_connects_and_is_never_shown() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let fields = [("name", "shop"), ("key", &format!(" {SECRET_KEY}\n"))];
    let done = here.post("/admin/connections/new/stripe/key", &admin, &fields).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/admin/connections?connected=shop"));
    let connection = here.store.connection_named("shop").await.unwrap().unwrap();
    assert_eq!(here.store.credentials(&connection.id).await.unwrap().expose_secret(), SECRET_KEY);
    assert_eq!(here.sync.did(), ["start shop"]);
    for tab in ["status", "timeline", "tables", "settings"] {
        here.get(&format!("/admin/connections/shop?tab={tab}"), Some(&admin)).await.page(StatusCode::OK);
    }
    let log = here.store.audit(10).await.unwrap();
    assert!(
        log.iter().any(|entry| entry.action == "connection.create" && entry.subject == "shop"),
        "{log:?}"
    );
    assert!(!format!("{log:?}").contains("NeverOnAnyPage"));
}

#[tokio::test]
async fn a_bad_key_or_name_says_what_to_do() {
    let here = Here::new().await;
    let admin = here.admin().await;
    here.connection("taken").await;
    here.stripe.now_says(Says::KeyRefused);
    let cases = [
        ("shop", "pk_test_1", "use a restricted key"),
        ("shop", "hello", "no Stripe API key"),
        ("shop", SECRET_KEY, "Stripe refused the key"),
        ("taken", SECRET_KEY, "exists already"),
        ("No <b>", SECRET_KEY, "field-problem"),
    ];
    for (name, key, words) in cases {
        let answer =
            here.post("/admin/connections/new/stripe/key", &admin, &[("name", name), ("key", key)]).await;
        assert!(answer.page(StatusCode::UNPROCESSABLE_ENTITY).contains(words), "{words}: {}", answer.body);
        assert!(!answer.body.contains("<b>"), "{}", answer.body);
    }
    assert_eq!(here.store.connections().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_full_key_is_taken_with_a_word_about_it() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let fields = [("name", "shop"), ("key", "sk_test_NeverOnAnyPage")];
    let done = here.post("/admin/connections/new/stripe/key", &admin, &fields).await;
    let list = here.get(done.location(), Some(&admin)).await;
    assert!(list.page(StatusCode::OK).contains("a restricted key with read permissions is enough"));
}

#[tokio::test]
async fn a_connection_in_trouble_is_mended_through_its_name() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let state = leave(&here, &admin, &[("name", "shop")]).await;
    come_back(&here, &admin, &format!("state={state}&code=ac_1")).await;
    let connection = here.store.connection_named("shop").await.unwrap().unwrap();
    let why = "Stripe refused the key.".to_owned();
    here.store.set_status(&connection.id, &Status::ReauthenticationRequired { why }).await.unwrap();
    let list = here.get("/admin/connections", Some(&admin)).await;
    assert!(
        list.page(StatusCode::OK)
            .contains("<a href=\"/admin/connections/new/stripe?connection=shop\">shop</a>")
    );
    let state = leave(&here, &admin, &[("connection", "shop")]).await;
    let back = come_back(&here, &admin, &format!("state={state}&code=ac_2")).await;
    assert_eq!(back.location(), "/admin/connections?reconnected=shop");
    let mended = here.store.connection_named("shop").await.unwrap().unwrap();
    assert_eq!((mended.id, mended.status), (connection.id, Status::Connecting));
    assert_eq!(here.sync.did(), ["start shop", "stop shop", "start shop"]);
}

#[tokio::test]
async fn new_credentials_do_not_resume_what_was_paused() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let fields = [("name", "shop"), ("key", SECRET_KEY)];
    here.post("/admin/connections/new/stripe/key", &admin, &fields).await;
    let connection = here.store.connection_named("shop").await.unwrap().unwrap();
    here.store.set_status(&connection.id, &Status::Paused).await.unwrap();
    let fields = [("connection", "shop"), ("key", "rk_test_NeverOnAnyPageNew")];
    let done = here.post("/admin/connections/new/stripe/key", &admin, &fields).await;
    assert_eq!(here.sync.did(), ["start shop", "stop shop (paused)"]);
    let after = here.store.connection(&connection.id).await.unwrap().unwrap();
    assert_eq!(after.status, Status::Paused);
    let key = here.store.credentials(&connection.id).await.unwrap();
    assert_eq!(key.expose_secret(), "rk_test_NeverOnAnyPageNew");
    let list = here.get(done.location(), Some(&admin)).await;
    assert!(list.page(StatusCode::OK).contains("shop is still paused"), "{}", list.body);
}

#[tokio::test]
async fn another_accounts_key_does_not_mend_a_connection() {
    let here = Here::new().await;
    let admin = here.admin().await;
    here.connection("shop").await;
    let fields = [("connection", "shop"), ("key", "rk_test_other")];
    let refused = here.post("/admin/connections/new/stripe/key", &admin, &fields).await;
    assert!(refused.page(StatusCode::UNPROCESSABLE_ENTITY).contains("sign in to that account instead"));
    let connection = here.store.connection_named("shop").await.unwrap().unwrap();
    assert_eq!(here.store.credentials(&connection.id).await.unwrap().expose_secret(), SECRET_KEY);
}

#[tokio::test]
async fn a_copy_that_does_not_begin_is_told() {
    let here = Here::new().await;
    let admin = here.admin().await;
    here.sync.refuse("shop", "The warehouse is locked.");
    let state = leave(&here, &admin, &[("name", "shop")]).await;
    let back = come_back(&here, &admin, &format!("state={state}&code=ac_1")).await;
    let list = here.get(back.location(), Some(&admin)).await;
    assert!(list.page(StatusCode::OK).contains("its first copy has not begun"), "{}", list.body);
}

#[tokio::test]
async fn the_message_cannot_be_made_up_by_a_link() {
    let here = Here::new().await;
    let admin = here.admin().await;
    for query in ["connected=nothing", "connected=%3Cb%3E", "deleted=%3Cb%3Ex", "reconnected=x"] {
        let list = here.get(&format!("/admin/connections?{query}"), Some(&admin)).await;
        assert!(!list.page(StatusCode::OK).contains("class=\"flash"), "{query}");
    }
}

#[tokio::test]
async fn trap_27_who_comes_back_without_a_session_leaves_the_code_behind() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let state = leave(&here, &admin, &[("name", "shop")]).await;
    let back = here.get(&format!("/oauth/callback?state={state}&code=ac_1"), None).await;
    assert_eq!(back.location(), "/login?next=%2Fadmin%2Fconnections%3Fnote%3Dsession_ended");
    let list = here.get("/admin/connections?note=session_ended", Some(&admin)).await;
    assert!(list.page(StatusCode::OK).contains("Your session had ended"), "{}", list.body);
    nothing_happened(&here).await;
}

#[tokio::test]
async fn a_reader_who_signs_in_on_the_way_back_is_refused() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let state = leave(&here, &admin, &[("name", "shop")]).await;
    let reader = here.user(Role::ReadOnly).await;
    let back = come_back(&here, &reader, &format!("state={state}&code=ac_1")).await;
    back.page(StatusCode::FORBIDDEN);
    nothing_happened(&here).await;
}

#[tokio::test]
async fn deleting_gives_the_access_back_and_a_failure_is_told() {
    for (says, words) in [
        (Says::Welcome, "Stripe was told that the access ends."),
        (Says::NetworkDown, "remove this installation"),
    ] {
        let here = Here::new().await;
        let admin = here.admin().await;
        let state = leave(&here, &admin, &[("name", "shop")]).await;
        come_back(&here, &admin, &format!("state={state}&code=ac_1")).await;
        here.stripe.now_says(says);
        let done = here.post("/admin/connections/shop/delete", &admin, &[("typed", "shop")]).await;
        assert_eq!(here.store.connections().await.unwrap(), Vec::new(), "{says:?}");
        assert_eq!(here.stripe.given_back(), if says == Says::Welcome { vec!["acct_1"] } else { Vec::new() });
        let list = here.get(done.location(), Some(&admin)).await;
        assert!(list.page(StatusCode::OK).contains(words), "{says:?}: {}", list.body);
    }
}

/// Asks, and is gone as soon as what is asked for waits before `gate`; gives when it is done all the same.
pub(super) async fn walk_away(here: &Here, request: Request<Body>, gate: &Gate) {
    let closed = gate.close().await;
    tokio::select! {
        answer = here.router.clone().oneshot(request) => panic!("{answer:?} came too early"),
        () = gate.reached() => {}
    }
    drop(closed);
    here.app.finished().await;
}

#[tokio::test]
async fn what_began_is_done_to_its_end_also_when_the_tab_is_closed() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let state = leave(&here, &admin, &[("name", "shop")]).await;
    let back = Request::get(format!("/oauth/callback?state={state}&code=ac_1"))
        .header(header::HOST, "localhost:8080")
        .header(header::COOKIE, &admin.cookie);
    walk_away(&here, back.body(Body::empty()).unwrap(), &here.stripe.traded).await;
    assert_eq!(here.sync.did(), ["start shop"]);

    let fields = [("csrf", admin.csrf.as_str()), ("connection", "shop"), ("key", "rk_test_1")];
    let again = form("/admin/connections/new/stripe/key", &admin.cookie, &fields);
    walk_away(&here, again, &here.sync.stopping).await;
    assert_eq!(here.sync.did(), ["start shop", "stop shop", "start shop"]);
    assert_eq!(here.stripe.given_back(), ["acct_1"]);

    let state = leave(&here, &admin, &[("connection", "shop")]).await;
    come_back(&here, &admin, &format!("state={state}&code=ac_2")).await;
    let fields = [("csrf", admin.csrf.as_str()), ("typed", "shop")];
    let delete = form("/admin/connections/shop/delete", &admin.cookie, &fields);
    walk_away(&here, delete, &here.sync.stopping).await;
    assert_eq!(here.stripe.given_back(), ["acct_1", "acct_1"]);
}

#[tokio::test]
async fn trap_29_new_credentials_are_stored_before_anything_is_done_with_them() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let fields = [("name", "shop"), ("key", SECRET_KEY)];
    here.post("/admin/connections/new/stripe/key", &admin, &fields).await;
    let fields = [("csrf", admin.csrf.as_str()), ("connection", "shop"), ("key", "rk_test_1")];
    let again = form("/admin/connections/new/stripe/key", &admin.cookie, &fields);
    let closed = here.sync.stopping.close().await;
    tokio::select! {
        answer = here.router.clone().oneshot(again) => panic!("{answer:?} came too early"),
        () = here.sync.stopping.reached() => {}
    }
    assert_eq!(here.sync.did(), ["start shop"], "the update of the old ones is not even stopped");
    let connection = here.store.connection_named("shop").await.unwrap().unwrap();
    assert_eq!(here.store.credentials(&connection.id).await.unwrap().expose_secret(), "rk_test_1");
    drop(closed);
    here.app.finished().await;
    assert_eq!(here.sync.did(), ["start shop", "stop shop", "start shop"]);
}

#[tokio::test]
async fn trap_27_access_that_nothing_lives_by_is_given_back() {
    let expected = [
        (Says::LiveData, "acct_1"),
        (Says::AnotherAccount, "acct_2"),
        (Says::KeyRefused, "acct_1"),
        (Says::GoneAfterwards, ""),
        (Says::CodeSpent, ""),
    ];
    for (says, account) in expected {
        let here = Here::new().await;
        let admin = here.admin().await;
        here.stripe.now_says(says);
        let state = leave(&here, &admin, &[("name", "shop")]).await;
        let back = come_back(&here, &admin, &format!("state={state}&code=ac_1")).await;
        let page = back.page(StatusCode::BAD_REQUEST);
        assert_eq!(here.stripe.given_back().concat(), account, "{says:?}");
        assert_eq!(page.contains("Stripe was told that the access ends."), !account.is_empty(), "{page}");
        assert_eq!(page.contains("did not take the access back"), says == Says::GoneAfterwards, "{page}");
        nothing_happened(&here).await;
    }
}

#[tokio::test]
async fn access_to_an_account_that_a_pasted_key_connected_is_given_back() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let fields = [("name", "shop"), ("key", SECRET_KEY)];
    here.post("/admin/connections/new/stripe/key", &admin, &fields).await;
    let state = leave(&here, &admin, &[("name", "again")]).await;
    come_back(&here, &admin, &format!("state={state}&code=ac_1")).await.page(StatusCode::BAD_REQUEST);
    assert_eq!(here.stripe.given_back(), ["acct_1"]);
}

#[tokio::test]
async fn a_pasted_key_takes_the_place_of_access_through_stripes_page() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let state = leave(&here, &admin, &[("name", "shop")]).await;
    come_back(&here, &admin, &format!("state={state}&code=ac_1")).await;
    let fields = [("connection", "shop"), ("key", "rk_test_NeverOnAnyPageNew")];
    let done = here.post("/admin/connections/new/stripe/key", &admin, &fields).await;
    assert_eq!(here.stripe.given_back(), ["acct_1"]);
    let list = here.get(done.location(), Some(&admin)).await;
    assert!(list.page(StatusCode::OK).contains("Stripe was told that the access ends."), "{}", list.body);
    let list = here.get("/admin/connections?reconnected=shop&access=not_given_back", Some(&admin)).await;
    assert!(list.page(StatusCode::OK).contains("did not take the access back"), "{}", list.body);
    let done = here.post("/admin/connections/shop/delete", &admin, &[("typed", "shop")]).await;
    assert_eq!(done.location(), "/admin/connections?deleted=shop&note=key");
}

/// An administrator who connected `shop` through Stripe's page.
async fn connected(here: &Here) -> Browser {
    let admin = here.admin().await;
    let state = leave(here, &admin, &[("name", "shop")]).await;
    come_back(here, &admin, &format!("state={state}&code=ac_1")).await;
    admin
}

/// Connects the account of `shop`, as soon as that is deleted and its update is being stopped.
async fn connect_again(here: &Here, admin: &Browser) {
    here.sync.stopping.reached().await;
    let state = leave(here, admin, &[("name", "again")]).await;
    let back = come_back(here, admin, &format!("state={state}&code=ac_2")).await;
    assert_eq!(back.location(), "/admin/connections?connected=again");
}

#[tokio::test]
async fn deleting_does_not_end_access_that_was_granted_meanwhile() {
    let here = Here::new().await;
    let admin = connected(&here).await;
    let stopping = here.sync.stopping.close().await;
    let again = async {
        connect_again(&here, &admin).await;
        drop(stopping);
    };
    let delete = here.post("/admin/connections/shop/delete", &admin, &[("typed", "shop")]);
    let (deleted, ()) = tokio::join!(delete, again);
    assert_eq!(deleted.location(), "/admin/connections?deleted=shop&note=still_used");
    assert_eq!(here.stripe.given_back(), Vec::<String>::new());
}

#[tokio::test]
async fn deleting_does_not_end_access_that_is_being_granted() {
    let here = Here::new().await;
    let admin = connected(&here).await;
    let (stopping, traded) = (here.sync.stopping.close().await, here.stripe.traded.close().await);
    let opening = async {
        here.stripe.traded.reached().await;
        drop(stopping);
        // Time for deleting to go on, if it does not wait.
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(traded);
    };
    let delete = here.post("/admin/connections/shop/delete", &admin, &[("typed", "shop")]);
    let (deleted, (), ()) = tokio::join!(delete, connect_again(&here, &admin), opening);
    assert_eq!(deleted.location(), "/admin/connections?deleted=shop&note=still_used");
    assert_eq!(here.stripe.given_back(), Vec::<String>::new());
}
