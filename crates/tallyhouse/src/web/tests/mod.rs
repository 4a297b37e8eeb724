//! The pages through their real door: the router, with what lies behind it faked.

mod admission;
mod connecting;
mod fakes;
mod hooks;
mod numbers;
mod pages;
mod preview;

use std::sync::Arc;

use axum::{Router, body::Body};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use secrecy::{ExposeSecret, SecretString};
use store::{MasterKey, NewConnection, NewUser, Passwords, Role, Store};
use stripe_api::Clock;
use tower::ServiceExt;
use url::Url;

use super::{App, OauthSettings, Parts, Settings, SyncControl, router};
use crate::{
    config::Webhooks,
    inbox::{Inbox, inbox},
    testing::new_connection,
};
use fakes::{FakeClock, FakeNumbers, FakeStripe, FakeSync};

/// A password that fits.
const PASSWORD: &str = "correct horse battery";
/// What signs webhooks to the platform's endpoint.
const PLATFORM_SECRET: &str = "whsec_platformNeverOnAnyPage";
/// Webhooks of a connection that may wait.
const MOST_WAITING: u64 = 5;
const MOST_WAITING_MB: u64 = 4;
/// What no page may ever show.
const SECRET_KEY: &str = "rk_test_NeverOnAnyPage00112233";

/// An installation with its fakes within reach.
struct Here {
    store: Arc<Store>,
    clock: Arc<FakeClock>,
    sync: Arc<FakeSync>,
    stripe: Arc<FakeStripe>,
    numbers: Arc<FakeNumbers>,
    app: App,
    inbox: Inbox,
    router: Router,
}

/// Somebody's browser: the cookie of a session and the token of its forms.
#[derive(Clone)]
struct Browser {
    cookie: String,
    csrf: String,
}

/// An answer, read whole.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Here {
    async fn new() -> Self {
        Self::at("http://localhost:8080/").await
    }

    async fn at(public_url: &str) -> Self {
        let key = MasterKey::from_text(&"07".repeat(32)).unwrap();
        Self::with(public_url, Arc::new(Store::in_memory(key).await.unwrap()))
    }

    fn with(public_url: &str, store: Arc<Store>) -> Self {
        let (clock, sync) = (Arc::new(FakeClock::default()), Arc::new(FakeSync::default()));
        let (stripe, numbers) = (Arc::new(FakeStripe::default()), Arc::new(FakeNumbers::default()));
        sync.store.set(Arc::clone(&store)).unwrap();
        let (inbox, writer) =
            inbox(Webhooks { most_waiting: MOST_WAITING, most_waiting_mb: MOST_WAITING_MB });
        let waking: Arc<dyn SyncControl> = Arc::<FakeSync>::clone(&sync);
        let writing = writer.run(Arc::clone(&store), waking, Arc::<FakeClock>::clone(&clock));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's router")]
        tokio::spawn(writing);
        let app = App::new(Parts {
            store: Arc::clone(&store),
            sync: Arc::<FakeSync>::clone(&sync),
            numbers: Arc::<FakeNumbers>::clone(&numbers),
            stripe: Arc::<FakeStripe>::clone(&stripe),
            clock: Arc::<FakeClock>::clone(&clock),
            passwords: Passwords::with_params(8, 1, 1).unwrap(),
            settings: settings(public_url),
            inbox: inbox.clone(),
        });
        Self { store, clock, sync, stripe, numbers, inbox, router: router(app.clone()), app }
    }

    async fn user(&self, role: Role) -> Browser {
        let now = self.clock.now();
        let password = Passwords::with_params(8, 1, 1).unwrap().hash(&PASSWORD.into()).unwrap();
        let email = format!("{role:?}@example.com");
        let new = NewUser { email, name: format!("{role:?} <b>Person</b>"), role, password };
        let user = self.store.create_user(&new, now).await.unwrap();
        let session = self.store.create_session(&user.id, now).await.unwrap();
        Browser {
            cookie: format!("tallyhouse_session={}", session.token.expose_secret()),
            csrf: session.csrf.expose_secret().to_owned(),
        }
    }

    async fn admin(&self) -> Browser {
        self.user(Role::Admin).await
    }

    async fn connection(&self, name: &str) -> store::Connection {
        let new = NewConnection {
            account_id: format!("acct_{name}"),
            account_name: "Shop <script>alert(1)</script> & Co".to_owned(),
            ..new_connection(name, SECRET_KEY)
        };
        self.store.insert_connection(&new, self.clock.now()).await.unwrap()
    }

    async fn get(&self, path: &str, browser: Option<&Browser>) -> Answer {
        let request = Request::get(path).header(header::HOST, "localhost:8080");
        let request = browser
            .into_iter()
            .fold(request, |request, browser| request.header(header::COOKIE, &browser.cookie));
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    /// Sends a form with the browser's token.
    async fn post(&self, path: &str, browser: &Browser, fields: &[(&str, &str)]) -> Answer {
        let mut all = vec![("csrf", browser.csrf.as_str())];
        all.extend_from_slice(fields);
        self.send(path, &browser.cookie, &all).await
    }

    async fn send(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask(form(path, cookie, fields)).await
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl Answer {
    fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |to| to.to_str().unwrap())
    }

    fn cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// The page, after checking that it is one, has one heading and gives no secret away.
    fn page(&self, status: StatusCode) -> &str {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.body.matches("<h1").count(), 1, "{}", self.body);
        assert!(!self.body.contains("NeverOnAnyPage"), "{}", self.body);
        &self.body
    }
}

fn form(path: &str, cookie: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = Request::post(path)
        .header(header::HOST, "localhost:8080")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::COOKIE, cookie);
    request.body(Body::from(body)).unwrap()
}

fn settings(public_url: &str) -> Settings {
    Settings {
        public_url: Url::parse(public_url).unwrap(),
        oauth: Some(OauthSettings {
            connect_url: Url::parse("https://connect.stripe.com").unwrap(),
            client_id: "ca_test".to_owned(),
            scope: "read_only".to_owned(),
            livemode: false,
        }),
        time_zone: chrono_tz::UTC,
        webhook_secrets: vec![SecretString::from(PLATFORM_SECRET)],
    }
}
