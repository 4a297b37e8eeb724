//! Who gets in, and who may do what.

use axum::body::Body;
use http::{Request, StatusCode, header};
use secrecy::ExposeSecret;
use store::Role;
use stripe_api::Clock;

use super::{Answer, Here, PASSWORD, form};

/// The token and the cookie of a form before there is a session.
fn form_of(answer: &Answer) -> (String, String) {
    let cookie = answer.cookies().into_iter().find(|cookie| cookie.contains("_form=")).unwrap();
    let pair = cookie.split(';').next().unwrap().to_owned();
    let token = pair.split_once('=').unwrap().1.to_owned();
    assert!(answer.body.contains(&format!("name=\"csrf\" value=\"{token}\"")), "{}", answer.body);
    (token, pair)
}

async fn sign_in(here: &Here, password: &str, next: &str) -> Answer {
    let (token, cookie) = form_of(&here.get("/login", None).await);
    let fields =
        [("csrf", token.as_str()), ("email", "admin@example.com"), ("password", password), ("next", next)];
    here.send("/login", &cookie, &fields).await
}

#[tokio::test]
async fn the_setup_link_makes_the_first_administrator_once() {
    let here = Here::new().await;
    let ttl = chrono::TimeDelta::hours(1);
    let link = here.store.create_setup_token(ttl, here.clock.now()).await.unwrap();
    let asked = here.get(&format!("/setup?token={}", link.expose_secret()), None).await;
    asked.page(StatusCode::OK);
    let (token, cookie) = form_of(&asked);
    let fields = |password| {
        [
            ("csrf", token.as_str()),
            ("token", link.expose_secret()),
            ("name", "A"),
            ("email", "a@example.com"),
            ("password", password),
        ]
    };
    let short = here.send("/setup", &cookie, &fields("short")).await;
    assert!(short.page(StatusCode::UNPROCESSABLE_ENTITY).contains("at least 12 characters"));
    let done = here.send("/setup", &cookie, &fields(PASSWORD)).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/admin/connections/new"));
    let session =
        done.cookies().into_iter().find(|cookie| cookie.starts_with("tallyhouse_session=")).unwrap();
    assert!(session.contains("; HttpOnly; SameSite=Lax"), "{session}");
    let again = here.send("/setup", &cookie, &fields(PASSWORD)).await;
    assert_eq!((again.status, again.location()), (StatusCode::SEE_OTHER, "/login"));
    assert_eq!(here.store.users().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_made_up_setup_link_is_refused_before_the_password_is_looked_at() {
    let here = Here::new().await;
    let (token, cookie) = form_of(&here.get("/setup?token=guess", None).await);
    let fields = [("csrf", token.as_str()), ("token", "guess"), ("email", "a@b.c"), ("password", "short")];
    let refused = here.send("/setup", &cookie, &fields).await;
    assert!(refused.page(StatusCode::UNPROCESSABLE_ENTITY).contains("not one of this installation"));
}

#[tokio::test]
async fn a_made_up_setup_link_makes_nobody() {
    let here = Here::new().await;
    let (token, cookie) = form_of(&here.get("/setup?token=guess", None).await);
    let fields =
        [("csrf", token.as_str()), ("token", "guess"), ("email", "a@example.com"), ("password", PASSWORD)];
    let refused = here.send("/setup", &cookie, &fields).await;
    assert!(refused.page(StatusCode::UNPROCESSABLE_ENTITY).contains("not one of this installation"));
    assert!(here.store.needs_setup().await.unwrap());
}

#[tokio::test]
async fn signing_in_needs_the_right_password_and_leads_back() {
    let here = Here::new().await;
    here.admin().await;
    let wrong = sign_in(&here, "wrong", "").await;
    assert!(wrong.page(StatusCode::UNPROCESSABLE_ENTITY).contains("do not match"));
    let right = sign_in(&here, PASSWORD, "/admin/connections?x=1").await;
    assert_eq!((right.status, right.location()), (StatusCode::SEE_OTHER, "/admin/connections?x=1"));
}

#[tokio::test]
async fn signing_in_never_leads_to_another_site() {
    let here = Here::new().await;
    here.admin().await;
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/..//evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
    ] {
        let done = sign_in(&here, PASSWORD, next).await;
        assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/"), "{next:?}");
    }
}

#[tokio::test]
async fn too_many_attempts_wait() {
    let here = Here::new().await;
    here.admin().await;
    for _ in 0..store::LOGIN_LIMIT {
        sign_in(&here, "wrong", "").await;
    }
    let refused = sign_in(&here, PASSWORD, "").await;
    assert!(refused.page(StatusCode::UNPROCESSABLE_ENTITY).contains("too many attempts"));
    here.clock.advance(16 * 60);
    assert_eq!(sign_in(&here, PASSWORD, "").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn guessing_does_not_lock_a_browser_out_that_has_signed_in_before() {
    let here = Here::new().await;
    here.admin().await;
    let done = sign_in(&here, PASSWORD, "").await;
    let cookie = done.cookies().into_iter().find(|cookie| cookie.starts_with("tallyhouse_browser=")).unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax; Max-Age=31536000"), "{cookie}");
    let browser = cookie.split(';').next().unwrap().to_owned();
    for _ in 0..=store::LOGIN_LIMIT {
        sign_in(&here, "wrong", "").await;
    }
    let (token, form) = form_of(&here.get("/login", None).await);
    let fields = [("csrf", token.as_str()), ("email", "admin@example.com"), ("password", PASSWORD)];
    let unknown = here.send("/login", &form, &fields).await;
    assert!(unknown.page(StatusCode::UNPROCESSABLE_ENTITY).contains("too many attempts"));
    let known = here.send("/login", &format!("{form}; {browser}"), &fields).await;
    assert_eq!(known.status, StatusCode::SEE_OTHER, "{}", known.body);
}

#[tokio::test]
async fn a_form_for_signing_in_without_its_cookie_is_refused() {
    let here = Here::new().await;
    here.admin().await;
    let (token, _) = form_of(&here.get("/login", None).await);
    let fields = [("csrf", token.as_str()), ("email", "admin@example.com"), ("password", PASSWORD)];
    for cookie in ["", "tallyhouse_form=", "tallyhouse_form=other"] {
        let refused = here.send("/login", cookie, &fields).await;
        refused.page(StatusCode::FORBIDDEN);
        assert!(!refused.cookies().iter().any(|cookie| cookie.contains("session")));
    }
}

#[tokio::test]
async fn https_cookies_do_not_leave_it() {
    let here = Here::at("https://tally.example/").await;
    here.admin().await;
    let request = Request::get("/login").header(header::HOST, "tally.example");
    let asked = here.ask(request.body(Body::empty()).unwrap()).await;
    let cookies = asked.cookies();
    assert!(
        cookies.iter().all(|cookie| cookie.starts_with("__Host-") && cookie.ends_with("; Secure")),
        "{cookies:?}"
    );
}

#[tokio::test]
async fn nobody_is_sent_to_sign_in_and_back() {
    let here = Here::new().await;
    here.admin().await;
    let home = here.get("/", None).await;
    assert_eq!((home.status, home.location()), (StatusCode::SEE_OTHER, "/login"));
    let page = here.get("/admin/connections?a=b&c", None).await;
    assert_eq!(page.location(), "/login?next=%2Fadmin%2Fconnections%3Fa%3Db%26c");
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let here = Here::new().await;
    let admin = here.admin().await;
    assert_eq!(here.get("/", Some(&admin)).await.status, StatusCode::OK);
    assert_eq!(here.post("/logout", &admin, &[]).await.location(), "/login");
    assert_eq!(here.get("/", Some(&admin)).await.location(), "/login");
}

/// Every page of the administrator's, and every form with what it needs.
const ADMIN_PAGES: [&str; 5] = [
    "/admin/connections",
    "/admin/connections/new",
    "/admin/connections/new/stripe",
    "/admin/connections/shop",
    "/oauth/callback?state=x&code=y",
];
const ADMIN_FORMS: [&str; 7] = [
    "/admin/connections/update",
    "/admin/connections/new/stripe/oauth",
    "/admin/connections/new/stripe/key",
    "/admin/connections/shop/update",
    "/admin/connections/shop/pause",
    "/admin/connections/shop/resume",
    "/admin/connections/shop/delete",
];
/// Fields that would do something with any of them.
const FIELDS: [(&str, &str); 3] = [("name", "made"), ("key", "rk_test_1"), ("typed", "shop")];

#[tokio::test]
async fn others_get_a_page_that_names_the_missing_permission() {
    let here = Here::new().await;
    here.admin().await;
    here.connection("shop").await;
    for role in [Role::Standard, Role::ReadOnly] {
        let browser = here.user(role).await;
        for path in ADMIN_PAGES.into_iter().chain(["/admin/connections/shop/events"]) {
            let refused = here.get(path, Some(&browser)).await;
            assert!(refused.page(StatusCode::FORBIDDEN).contains("needs the Admin permission"), "{path}");
        }
        for path in ADMIN_FORMS {
            let refused = here.post(path, &browser, &FIELDS).await;
            assert!(refused.page(StatusCode::FORBIDDEN).contains("needs the Admin permission"), "{path}");
        }
    }
    assert_eq!(here.sync.did(), Vec::<String>::new());
    assert_eq!(here.store.connections().await.unwrap().len(), 1);
    assert_eq!(here.stripe.codes(), 0);
}

#[tokio::test]
async fn home_is_for_standard_and_admin() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let (standard, read_only) = (here.user(Role::Standard).await, here.user(Role::ReadOnly).await);
    here.get("/", Some(&admin)).await.page(StatusCode::OK);
    let home = here.get("/", Some(&standard)).await;
    assert!(!home.page(StatusCode::OK).contains("href=\"/admin"), "{}", home.body);
    let refused = here.get("/", Some(&read_only)).await;
    assert!(
        refused.page(StatusCode::FORBIDDEN).contains("needs the Standard permission. You have Read-Only")
    );
}

#[tokio::test]
async fn a_role_holds_from_the_next_request() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let other = here.user(Role::Standard).await;
    let users = here.store.users().await.unwrap();
    let standard = users.iter().find(|user| user.role == Role::Standard).unwrap();
    here.store.set_user_role(&standard.id, Role::Admin).await.unwrap();
    here.get("/admin/connections", Some(&other)).await.page(StatusCode::OK);
    here.store.set_user_disabled(&standard.id, true).await.unwrap();
    assert_eq!(here.get("/admin/connections", Some(&other)).await.status, StatusCode::SEE_OTHER);
    here.get("/admin/connections", Some(&admin)).await.page(StatusCode::OK);
}

#[tokio::test]
async fn forms_without_the_sessions_token_change_nothing() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let other = here.user(Role::Standard).await;
    here.connection("shop").await;
    for path in ADMIN_FORMS.into_iter().chain(["/logout"]) {
        for token in [None, Some(""), Some("wrong"), Some(other.csrf.as_str())] {
            let mut fields = FIELDS.to_vec();
            fields.extend(token.map(|token| ("csrf", token)));
            here.send(path, &admin.cookie, &fields).await.page(StatusCode::FORBIDDEN);
        }
    }
    assert_eq!(here.sync.did(), Vec::<String>::new());
    assert_eq!(here.store.connections().await.unwrap().len(), 1);
    here.get("/", Some(&admin)).await.page(StatusCode::OK);
}

#[tokio::test]
async fn forms_of_other_sites_are_refused_even_with_the_token() {
    let here = Here::new().await;
    let admin = here.admin().await;
    here.connection("shop").await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let mut request = form("/admin/connections/shop/update", &admin.cookie, &[("csrf", &admin.csrf)]);
        request.headers_mut().insert(name, value.parse().unwrap());
        here.ask(request).await.page(StatusCode::FORBIDDEN);
    }
    let mut request = form("/admin/connections/shop/update", &admin.cookie, &[("csrf", &admin.csrf)]);
    request.headers_mut().insert("origin", "http://localhost:8080".parse().unwrap());
    assert_eq!(here.ask(request).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn another_hosts_name_gets_no_page() {
    let here = Here::new().await;
    let admin = here.admin().await;
    for (host, status) in
        [("evil.example", 421), ("localhost.evil.example", 421), ("127.0.0.1:8080", 200), ("[::1]:8080", 200)]
    {
        let request = Request::get("/").header(header::HOST, host).header(header::COOKIE, &admin.cookie);
        let answer = here.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{host}");
    }
}

#[tokio::test]
async fn a_request_that_names_no_host_gets_no_page() {
    let here = Here::new().await;
    let admin = here.admin().await;
    let request = || Request::get("/").header(header::COOKIE, &admin.cookie);
    let refused = here.ask(request().body(Body::empty()).unwrap()).await;
    assert_eq!(refused.status, StatusCode::MISDIRECTED_REQUEST);
    let garbled = request().header(header::HOST, http::HeaderValue::from_bytes(&[0xff]).unwrap());
    let refused = here.ask(garbled.body(Body::empty()).unwrap()).await;
    assert_eq!(refused.status, StatusCode::MISDIRECTED_REQUEST);
}

#[test]
fn every_form_of_every_template_carries_its_token() {
    let mut forms = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/templates")).unwrap() {
        let path = entry.unwrap().path();
        let template = std::fs::read_to_string(&path).unwrap();
        let posted: Vec<&str> = template.split("method=\"post\"").skip(1).collect();
        forms += posted.len();
        for form in posted {
            let form = form.split("</form>").next().unwrap();
            assert!(form.contains("{% call m::csrf("), "{}: {form}", path.display());
        }
    }
    assert!(forms > 8, "only {forms}");
}
