//! Before a session: the one-time setup link, signing in; and signing out.

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use store::{
    BROWSER_LIFETIME, NewUser, PasswordDigest, Role, SESSION_LIFETIME, SetupTokenError, StoreError, User,
};

use super::{
    App, Refusal,
    auth::{Cookie, Viewer, browser_token, session_token},
    form::{Nothing, Posted},
    page::{Shell, page},
    words::Moment,
};

/// A password that a person makes up has at least so many characters.
const SHORTEST_PASSWORD: usize = 12;
/// Argon2 reads no more than this in reasonable time.
const LONGEST_PASSWORD: usize = 1_000;
/// How long a form may lie open before it is sent, in seconds.
const FORM_LIFE: i64 = 12 * 3600;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    shell: Shell,
    form_token: String,
    email: String,
    next: String,
    problem: String,
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    shell: Shell,
    form_token: String,
    /// From the link; empty when somebody came without it.
    token: String,
    email: String,
    name: String,
    problem: String,
}

/// Where to go after signing in.
#[derive(Debug, Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

/// What the link of the first start carries.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    token: String,
}

/// The form for signing in.
#[derive(Debug, Deserialize)]
pub(super) struct SignIn {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    email: String,
    password: SecretString,
    #[serde(default)]
    next: String,
}

/// The form that makes the first administrator.
#[derive(Debug, Deserialize)]
pub(super) struct Setup {
    #[serde(default)]
    csrf: String,
    token: SecretString,
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    password: SecretString,
}

/// Asks for email and password.
pub(super) async fn login_form(
    State(app): State<App>,
    Query(Next { next }): Query<Next>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if app.store.needs_setup().await.map_err(Refusal::store)? {
        return Err(Refusal::not_set_up());
    }
    Ok(login_page(&app, &headers, StatusCode::OK, |page| page.next = next))
}

/// Checks email and password, and begins a session.
pub(super) async fn login(
    State(app): State<App>,
    headers: HeaderMap,
    Form(form): Form<SignIn>,
) -> Result<Response, Refusal> {
    require_form_token(&app, &headers, &form.csrf)?;
    let SignIn { email, password, next, .. } = form;
    let browser = browser_token(&headers, &app);
    let problem = match authenticated(&app, (&email, password), browser.as_ref()).await? {
        Ok(user) => return begin_session(&app, &headers, &user, inside(&app, &next)).await,
        Err(problem) => problem,
    };
    Ok(login_page(&app, &headers, StatusCode::UNPROCESSABLE_ENTITY, |page| {
        (page.email, page.next, page.problem) = (email, next, problem);
    }))
}

/// Ends the session.
pub(super) async fn logout(
    State(app): State<App>,
    headers: HeaderMap,
    Posted { by, .. }: Posted<Viewer, Nothing>,
) -> Result<Response, Refusal> {
    if let Some(token) = session_token(&headers, &app) {
        app.store.delete_session(&token).await.map_err(Refusal::store)?;
        audit(&app, by.id(), "session.end", by.id()).await?;
    }
    let gone = Cookie::Session.set("", 0, &app);
    Ok(([(header::SET_COOKIE, gone)], Redirect::to("/login")).into_response())
}

/// Asks who the first administrator is.
pub(super) async fn setup_form(
    State(app): State<App>,
    Query(Link { token }): Query<Link>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if !app.store.needs_setup().await.map_err(Refusal::store)? {
        return Err(Refusal::Elsewhere("/login".to_owned()));
    }
    Ok(setup_page(&app, &headers, StatusCode::OK, |page| page.token = token))
}

/// Makes the first administrator and begins a session.
pub(super) async fn setup(
    State(app): State<App>,
    headers: HeaderMap,
    Form(form): Form<Setup>,
) -> Result<Response, Refusal> {
    require_form_token(&app, &headers, &form.csrf)?;
    let Setup { token, email, name, password, .. } = form;
    let problem = match first_admin(&app, &token, (&email, &name), password).await? {
        Ok(user) => {
            audit(&app, &user.id, "setup.finish", &user.id).await?;
            return begin_session(&app, &headers, &user, "/admin/connections/new".to_owned()).await;
        }
        Err(problem) => problem,
    };
    Ok(setup_page(&app, &headers, StatusCode::UNPROCESSABLE_ENTITY, |page| {
        page.token = token.expose_secret().to_owned();
        (page.email, page.name, page.problem) = (email, name, problem);
    }))
}

/// The user, or a sentence about why not. It does not tell which of email and password is wrong.
async fn authenticated(
    app: &App,
    (email, password): (&str, SecretString),
    browser: Option<&SecretString>,
) -> Result<Result<User, String>, Refusal> {
    let now = app.clock.now();
    let login = match app.store.begin_login(email, browser, now).await {
        Ok(login) => login,
        Err(StoreError::Throttled { until }) => {
            let until = Moment::new(until, now, app.settings.time_zone).text;
            let zone = app.settings.time_zone;
            return Ok(Err(format!(
                "There were too many attempts for this email. Try again after {until} ({zone}), or now with a browser \
                 that you have signed in with before."
            )));
        }
        Err(error) => return Err(Refusal::store(error)),
    };
    if password.expose_secret().len() > LONGEST_PASSWORD {
        return Ok(Err(NO_MATCH.to_owned()));
    }
    let passwords = app.passwords.clone();
    let checked = app.hashing.run(move || login.check(&passwords, &password)).await?;
    let user = app.store.finish_login(checked).await.map_err(Refusal::store)?;
    Ok(user.ok_or_else(|| NO_MATCH.to_owned()))
}

const NO_MATCH: &str =
    "That email and password do not match, or the account is disabled. Check both and try again.";

async fn first_admin(
    app: &App,
    token: &SecretString,
    (email, name): (&str, &str),
    password: SecretString,
) -> Result<Result<User, String>, Refusal> {
    if let Err(error) = app.store.check_setup_token(token, app.clock.now()).await {
        return no_admin(error);
    }
    let length = password.expose_secret().chars().count();
    if !(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length) {
        return Ok(Err(format!(
            "A password has at least {SHORTEST_PASSWORD} characters: three or four words do well."
        )));
    }
    let passwords = app.passwords.clone();
    let digest: Result<PasswordDigest, _> = app.hashing.run(move || passwords.hash(&password)).await?;
    let password = digest.map_err(|error| Refusal::inside(&error))?;
    let name = if name.trim().is_empty() { email } else { name };
    let new = NewUser { email: email.to_owned(), name: name.trim().to_owned(), role: Role::Admin, password };
    match app.store.create_first_admin(token, &new, app.clock.now()).await {
        Ok(user) => Ok(Ok(user)),
        Err(error) => no_admin(error),
    }
}

/// Why there is no first administrator: a sentence for the form, or another page.
fn no_admin<T>(error: StoreError) -> Result<Result<T, String>, Refusal> {
    if matches!(error, StoreError::AlreadySetUp) {
        Err(Refusal::Elsewhere("/login".to_owned()))
    } else if matches!(error, StoreError::InvalidEmail) {
        Ok(Err("This is no email address. Write it as name@example.com.".to_owned()))
    } else if let StoreError::SetupToken(refused) = error {
        Ok(Err(about_token(refused).to_owned()))
    } else {
        Err(Refusal::store(error))
    }
}

fn about_token(refused: SetupTokenError) -> &'static str {
    match refused {
        SetupTokenError::Unknown => {
            "This link is not one of this installation's. Copy it again, whole, from where Tallyhouse was started."
        }
        SetupTokenError::Expired => "This link is too old. Restart Tallyhouse and use the new one.",
        SetupTokenError::Used => {
            "This link was used already. Sign in instead, or restart Tallyhouse for a new one."
        }
    }
}

async fn begin_session(app: &App, headers: &HeaderMap, user: &User, to: String) -> Result<Response, Refusal> {
    let (store, now) = (&app.store, app.clock.now());
    let session = store.create_session(&user.id, now).await.map_err(Refusal::store)?;
    let browser = store.remember_browser(&user.id, browser_token(headers, app), now).await;
    let browser = browser.map_err(Refusal::store)?;
    audit(app, &user.id, "session.begin", &user.id).await?;
    let cookie = Cookie::Session.set(session.token.expose_secret(), SESSION_LIFETIME.num_seconds(), app);
    let known = Cookie::Browser.set(browser.expose_secret(), BROWSER_LIFETIME.num_seconds(), app);
    let cookies = [cookie, known, Cookie::Form.set("", 0, app)].map(|cookie| (header::SET_COOKIE, cookie));
    Ok((AppendHeaders(cookies), Redirect::to(&to)).into_response())
}

/// `next` when it leads to a page of ours, else Home.
fn inside(app: &App, next: &str) -> String {
    let base = &app.settings.public_url;
    let target =
        base.join(next).ok().filter(|target| next.starts_with('/') && target.origin() == base.origin());
    target.map_or_else(
        || "/".to_owned(),
        |target| match target.query() {
            // A path that begins with two slashes would be read as a host.
            _ if target.path().starts_with("//") => "/".to_owned(),
            Some(query) => format!("{}?{query}", target.path()),
            None => target.path().to_owned(),
        },
    )
}

/// Before there is a session, a form's token is compared with a cookie of the same browser.
fn require_form_token(app: &App, headers: &HeaderMap, sent: &str) -> Result<(), Refusal> {
    use subtle::ConstantTimeEq as _;
    let own = Cookie::Form.read(headers, app).filter(|own| !own.is_empty());
    let matches = own.is_some_and(|own| own.as_bytes().ct_eq(sent.as_bytes()).into());
    if matches { Ok(()) } else { Err(Refusal::foreign_form()) }
}

/// The browser's form token, or a new one.
fn form_token(app: &App, headers: &HeaderMap) -> String {
    let own = Cookie::Form.read(headers, app).filter(|own| own.len() == 43);
    own.map_or_else(|| URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()), str::to_owned)
}

fn login_page(
    app: &App,
    headers: &HeaderMap,
    status: StatusCode,
    fill: impl FnOnce(&mut LoginPage),
) -> Response {
    let empty = String::new;
    let shell = Shell::outside("Sign in");
    let mut shown = LoginPage { shell, form_token: empty(), email: empty(), next: empty(), problem: empty() };
    fill(&mut shown);
    shown.form_token = form_token(app, headers);
    let cookie = Cookie::Form.set(&shown.form_token, FORM_LIFE, app);
    ([(header::SET_COOKIE, cookie)], page(status, &shown)).into_response()
}

fn setup_page(
    app: &App,
    headers: &HeaderMap,
    status: StatusCode,
    fill: impl FnOnce(&mut SetupPage),
) -> Response {
    let empty = String::new;
    let shell = Shell::outside("Make the first administrator");
    let mut shown = SetupPage {
        shell,
        form_token: form_token(app, headers),
        token: empty(),
        email: empty(),
        name: empty(),
        problem: empty(),
    };
    fill(&mut shown);
    let cookie = Cookie::Form.set(&shown.form_token, FORM_LIFE, app);
    ([(header::SET_COOKIE, cookie)], page(status, &shown)).into_response()
}

/// Writes down who did what.
pub(super) async fn audit(app: &App, actor: &str, action: &str, subject: &str) -> Result<(), Refusal> {
    app.store.append_audit(actor, action, subject, app.clock.now()).await.map_err(Refusal::store)
}
