//! Adding a data source: the gallery, and the two ways to give access to a Stripe account.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use store::{Connection, How, OauthPurpose};
use stripe_api::{KeyKind, Mode};
use warehouse::SchemaName;

use super::{
    Admin, App, OauthSettings, Refusal, Viewer,
    access::AccessError,
    form::Posted,
    join::{Accepted, Joined, Purpose, join},
    page::{Section, Shell, page},
    words::{bare, sentence},
};

#[derive(Template)]
#[template(path = "gallery.html")]
struct GalleryPage {
    shell: Shell,
}

#[derive(Template)]
#[template(path = "authorization.html")]
struct AuthorizationPage {
    shell: Shell,
    /// The connection that gets new credentials; none when one is to be made.
    again: Option<Connection>,
    name: String,
    oauth: bool,
    asks_read_only: bool,
    /// What people look for first.
    tables: Vec<&'static str>,
    more: Vec<&'static str>,
    problem: Option<Problem>,
}

/// What went wrong with which of the two ways.
struct Problem {
    with_key: bool,
    text: String,
}

/// The state of the view.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    connection: Option<String>,
}

/// Either form: a name for a new connection, or the connection that is joined again.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    name: String,
    #[serde(default)]
    connection: String,
    key: Option<SecretString>,
}

/// Shows what can be connected.
pub(super) async fn gallery(Admin(viewer): Admin) -> Response {
    let shell = Shell::for_viewer(&viewer, Section::Connections, "Add a Data Source")
        .under("/admin/connections", "Connections");
    page(StatusCode::OK, &GalleryPage { shell })
}

/// The **Stripe authorization** page.
pub(super) async fn authorization(
    State(app): State<App>,
    Admin(viewer): Admin,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    let wanted = Wanted { name: String::new(), connection: asked.connection.unwrap_or_default(), key: None };
    show(&app, &viewer, wanted, None).await
}

/// Sends the person to Stripe.
pub(super) async fn begin_oauth(
    State(app): State<App>,
    Posted { by: Admin(viewer), form }: Posted<Admin, Wanted>,
) -> Result<Response, Refusal> {
    let Some(oauth) = &app.settings.oauth else {
        return Err(Refusal::nothing_here(Some(&viewer), "Stripe Connect platform configured"));
    };
    let purpose = match purpose(&app, &viewer, &form).await? {
        Ok(Purpose::Make(name)) => OauthPurpose::Connect { name },
        Ok(Purpose::Again(connection)) => OauthPurpose::Reauthenticate { connection_id: connection.id },
        Err(text) => return show(&app, &viewer, form, Some(Problem { with_key: false, text })).await,
    };
    let state = app.store.create_oauth_state(&viewer.session.token_hash, &purpose, app.clock.now()).await;
    let target = authorize_url(&app, oauth, &state.map_err(Refusal::store)?);
    Ok(Redirect::to(&target).into_response())
}

/// Takes a pasted key.
pub(super) async fn paste_key(
    State(app): State<App>,
    Posted { by: Admin(viewer), mut form }: Posted<Admin, Wanted>,
) -> Result<Response, Refusal> {
    let key = form.key.take().unwrap_or_default();
    let key = SecretString::from(key.expose_secret().trim().to_owned());
    let told = |text| Some(Problem { with_key: true, text });
    let purpose = match purpose(&app, &viewer, &form).await? {
        Ok(purpose) => purpose,
        Err(text) => return show(&app, &viewer, form, told(text)).await,
    };
    let kind = match KeyKind::parse(&key) {
        Ok(kind) => kind,
        Err(error) => return show(&app, &viewer, form, told(sentence(&error.to_string()))).await,
    };
    let account = match app.stripe.account(&key).await {
        Ok(account) => account,
        Err(error) => return show(&app, &viewer, form, told(about(&error))).await,
    };
    let accepted =
        Accepted { account, livemode: kind.mode == Mode::Live, how: How::ApiKey, credentials: key };
    let granted = granted(&purpose);
    let Joined { mut to, noted } = match join(&app, &viewer, purpose, accepted).await? {
        Ok(joined) => joined,
        Err(text) => return show(&app, &viewer, form, told(text)).await,
    };
    if !kind.restricted && !noted {
        to.push_str("&note=full_key");
    }
    if let Some((account_id, livemode)) = granted {
        let access = app.grants.turn().await.give_back(&app, &account_id, livemode).await;
        to = format!("{to}&access={}", access.note());
    }
    Ok(Redirect::to(&to).into_response())
}

/// The access through Stripe's page, account and mode, that a pasted key takes the place of.
fn granted(purpose: &Purpose) -> Option<(String, bool)> {
    match purpose {
        Purpose::Again(connection) if connection.how == How::Oauth => {
            Some((connection.account_id.clone(), connection.livemode))
        }
        Purpose::Again(_) | Purpose::Make(_) => None,
    }
}

/// What a form wants, checked before anybody leaves for Stripe.
async fn purpose(app: &App, viewer: &Viewer, form: &Wanted) -> Result<Result<Purpose, String>, Refusal> {
    if !form.connection.is_empty() {
        let connection = known(app, viewer, &form.connection).await?;
        return Ok(Ok(Purpose::Again(Box::new(connection))));
    }
    let name = form.name.trim();
    if let Err(error) = name.parse::<SchemaName>() {
        return Ok(Err(sentence(&error.to_string())));
    }
    if app.store.connection_named(name).await.map_err(Refusal::store)?.is_some() {
        return Ok(Err(format!("A connection named {name} exists already. Choose another name.")));
    }
    Ok(Ok(Purpose::Make(name.to_owned())))
}

/// The connection of this name, or the page that says there is none.
pub(super) async fn known(app: &App, viewer: &Viewer, name: &str) -> Result<Connection, Refusal> {
    let found = app.store.connection_named(name).await.map_err(Refusal::store)?;
    found.ok_or_else(|| Refusal::nothing_here(Some(viewer), "connection of this name"))
}

/// Where Stripe brings people back to.
pub(super) fn redirect_uri(app: &App) -> String {
    format!("{}{}", app.settings.public_url.as_str().trim_end_matches('/'), super::callback::PATH)
}

fn authorize_url(app: &App, oauth: &OauthSettings, state: &SecretString) -> String {
    let mut url = oauth.connect_url.clone();
    url.set_path("/oauth/authorize");
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &oauth.client_id)
        .append_pair("scope", &oauth.scope)
        .append_pair("redirect_uri", &redirect_uri(app))
        .append_pair("state", state.expose_secret());
    url.into()
}

/// So many kinds are named at once, the others when somebody asks.
const FIRST: usize = 12;

fn names() -> impl Iterator<Item = &'static str> {
    catalog::resources().iter().map(|resource| resource.table.name)
}

async fn show(
    app: &App,
    viewer: &Viewer,
    wanted: Wanted,
    problem: Option<Problem>,
) -> Result<Response, Refusal> {
    let again = match wanted.connection.as_str() {
        "" => None,
        name => Some(known(app, viewer, name).await?),
    };
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let name = if wanted.name.is_empty() { free_name(app).await? } else { wanted.name };
    let shell = Shell::for_viewer(viewer, Section::Connections, "Stripe authorization")
        .under("/admin/connections", "Connections")
        .under("/admin/connections/new", "Add a Data Source");
    let oauth = app.settings.oauth.as_ref();
    let shown = AuthorizationPage {
        shell,
        again,
        name,
        oauth: oauth.is_some(),
        asks_read_only: oauth.is_some_and(|oauth| oauth.scope == "read_only"),
        tables: names().take(FIRST).collect(),
        more: names().skip(FIRST).collect(),
        problem,
    };
    Ok(page(status, &shown))
}

/// `stripe`, or the first of `stripe_2`, `stripe_3` that is free.
async fn free_name(app: &App) -> Result<String, Refusal> {
    let connections = app.store.connections().await.map_err(Refusal::store)?;
    let taken = |name: &str| connections.iter().any(|connection| connection.name == name);
    let names = std::iter::once("stripe".to_owned()).chain((2..).map(|number| format!("stripe_{number}")));
    Ok(names.take(1000).find(|name| !taken(name)).unwrap_or_default())
}

/// What Stripe's refusal means and what to do, in sentences.
pub(super) fn about(error: &AccessError) -> String {
    match error {
        AccessError::Unreachable(_) => {
            "Stripe could not be reached. Check this server's network and the configured address, then try again.".to_owned()
        }
        AccessError::Slow => {
            "Stripe took too long to answer, or is asked too much just now. Wait a minute, then try again.".to_owned()
        }
        AccessError::CodeSpent => {
            "Stripe's answer was older than five minutes or used already. Click Connect with Stripe again.".to_owned()
        }
        AccessError::UnknownClient => {
            "Stripe does not know this installation's client id, or it belongs to another key. Check the Connect settings in the configuration, then try again.".to_owned()
        }
        AccessError::Refused { why } => {
            format!("Stripe refused the key: {}. Check that it was copied whole and not rolled, then try again.", bare(why))
        }
        AccessError::Forbidden { why } => {
            format!("The key lacks a permission: {}. Add that permission to the key, then try again.", bare(why))
        }
        AccessError::Other { why } => format!("Stripe answered: {}. Try again; if it stays so, paste a restricted key instead.", bare(why)),
    }
}
