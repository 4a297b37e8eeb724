//! Admin > Connections: the ribbon and the Data Sources table.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Deserialize;
use store::{Connection, Status};

use super::{
    Admin, App, Refusal, Viewer,
    form::{Nothing, Posted},
    grants::Access,
    page::{Flash, Section, Shell, Tone, page},
    sign_in::audit,
    words::{Moment, bare, duration, duration_ms},
};

/// What just happened, as the address says it. It only chooses among our own sentences.
#[derive(Debug, Default, Deserialize)]
pub(super) struct News {
    connected: Option<String>,
    reconnected: Option<String>,
    deleted: Option<String>,
    #[serde(default)]
    note: String,
    /// What became of the access that a pasted key took the place of.
    #[serde(default)]
    access: String,
}

/// The note of who came back from Stripe without a session.
pub(super) const SESSION_ENDED: &str = "session_ended";

#[derive(Template)]
#[template(path = "connections.html")]
struct ConnectionsPage {
    shell: Shell,
    ribbon: Ribbon,
    rows: Vec<Row>,
}

/// How up to date everything is.
struct Ribbon {
    /// None as long as one has not succeeded.
    last_success: Option<Moment>,
    some_success: bool,
    running_for: Option<String>,
    last_data: Option<Moment>,
    zone: String,
}

struct Row {
    name: String,
    href: String,
    account: String,
    livemode: bool,
    status: StatusView,
    last_started: Option<Moment>,
    last_duration: Option<String>,
    running_for: Option<String>,
    paused: bool,
}

/// A status in words, and the way to mend it.
#[derive(Debug)]
pub(super) struct StatusView {
    pub(super) word: String,
    pub(super) tone: Tone,
    pub(super) why: String,
    /// Address and words.
    pub(super) mend: Option<(String, &'static str)>,
    /// Of the first copy.
    pub(super) percent: Option<u8>,
}

/// Shows every connection.
pub(super) async fn list(
    State(app): State<App>,
    Admin(viewer): Admin,
    Query(news): Query<News>,
) -> Result<Response, Refusal> {
    let connections = app.store.connections().await.map_err(Refusal::store)?;
    let flash = flash(&news, &connections);
    let mut shown = connections_page(&app, &viewer, connections, flash);
    let running = shown.rows.iter().any(|row| row.running_for.is_some());
    shown.shell.reread = running.then_some(15);
    Ok(page(StatusCode::OK, &shown))
}

/// Shows every connection, and above them why there is not one more. It does not reread itself: its address is that of
/// an answer that counts once.
pub(super) async fn refuse(app: &App, viewer: &Viewer, why: Flash) -> Result<Response, Refusal> {
    let connections = app.store.connections().await.map_err(Refusal::store)?;
    Ok(page(StatusCode::BAD_REQUEST, &connections_page(app, viewer, connections, Some(why))))
}

fn connections_page(
    app: &App,
    viewer: &Viewer,
    connections: Vec<Connection>,
    flash: Option<Flash>,
) -> ConnectionsPage {
    let running = |connection: &Connection| app.sync.running_since(&connection.name);
    let began: Vec<_> = connections.iter().map(running).collect();
    let ribbon = ribbon(app, &connections, &began);
    let rows =
        connections.into_iter().zip(&began).map(|(connection, began)| row(app, connection, *began)).collect();
    let shell = Shell::for_viewer(viewer, Section::Connections, "Connections").with_flash(flash);
    ConnectionsPage { shell, ribbon, rows }
}

/// Begins an update of every connection that is not paused.
pub(super) async fn update_all(
    State(app): State<App>,
    Posted { by: Admin(viewer), .. }: Posted<Admin, Nothing>,
) -> Result<Response, Refusal> {
    let connections = app.store.connections().await.map_err(Refusal::store)?;
    let (mut refused, mut begun) = (Vec::new(), false);
    for connection in connections.iter().filter(|connection| connection.status != Status::Paused) {
        audit(&app, viewer.id(), "connection.update", &connection.name).await?;
        if let Err(error) = app.sync.start(&connection.name).await {
            refused.push(format!("{}: {}.", connection.name, bare(&error.why)));
        } else {
            begun = true;
        }
    }
    if refused.is_empty() {
        return Ok(Redirect::to("/admin/connections").into_response());
    }
    let others = if begun { "Updates of the other connections have begun." } else { NOTHING };
    Err(did_not_begin(&viewer, &refused.join(" "), others))
}

const NOTHING: &str = "Nothing was changed.";

/// Says why an update did not begin.
pub(super) fn could_not_begin(viewer: &Viewer, why: &str) -> Refusal {
    did_not_begin(viewer, why, NOTHING)
}

fn did_not_begin(viewer: &Viewer, why: &str, others: &str) -> Refusal {
    let told = super::error::Told {
        title: "The update did not begin",
        sentence: why,
        cause: &format!("{others} What was copied before is still there."),
        way: ("/admin/connections", "Back to Connections"),
    };
    Refusal::told(StatusCode::CONFLICT, Some(viewer), &told)
}

fn ribbon(app: &App, connections: &[Connection], began: &[Option<DateTime<Utc>>]) -> Ribbon {
    let now = app.clock.now();
    let moment = |at| Moment::new(at, now, app.settings.time_zone);
    // The oldest success: all sources are at least as new as that. One without success is as new as nothing.
    let last_success = connections.iter().map(|connection| connection.last_success_began_at).min().flatten();
    Ribbon {
        last_success: last_success.map(moment),
        some_success: connections.iter().any(|connection| connection.last_success_began_at.is_some()),
        running_for: began.iter().flatten().min().map(|since| running_for(*since, now)),
        last_data: connections.iter().filter_map(|connection| connection.last_data_at).max().map(moment),
        zone: app.settings.time_zone.to_string(),
    }
}

pub(super) fn running_for(since: DateTime<Utc>, now: DateTime<Utc>) -> String {
    duration(u64::try_from((now - since).num_seconds()).unwrap_or(0))
}

fn row(app: &App, connection: Connection, began: Option<DateTime<Utc>>) -> Row {
    let now = app.clock.now();
    let status = status_view(&connection.name, &connection.status);
    let own = format!("/admin/connections/{}", connection.name);
    let href = status.mend.as_ref().map_or(own, |(href, _)| href.clone());
    Row {
        href,
        account: connection.account_name,
        livemode: connection.livemode,
        paused: connection.status == Status::Paused,
        status,
        last_started: connection.last_started_at.map(|at| Moment::new(at, now, app.settings.time_zone)),
        last_duration: connection.last_duration_ms.map(duration_ms),
        running_for: began.map(|since| running_for(since, now)),
        name: connection.name,
    }
}

/// A status in words.
pub(super) fn status_view(name: &str, status: &Status) -> StatusView {
    let plain = |word: &str, tone, why: &str| StatusView {
        word: word.to_owned(),
        tone,
        why: why.to_owned(),
        mend: None,
        percent: None,
    };
    match status {
        Status::Connecting => plain("Connecting", Tone::Neutral, "Nothing is copied yet."),
        Status::Backfilling { percent } => StatusView {
            percent: Some(*percent),
            ..plain(&format!("Backfilling {percent} %"), Tone::Neutral, "The first copy runs.")
        },
        Status::Success => plain("Success", Tone::Good, ""),
        Status::Delayed { why, .. } => plain("Delayed", Tone::Attention, why),
        Status::Partial { why } => plain("Partial", Tone::Attention, why),
        Status::ReauthenticationRequired { why } => StatusView {
            mend: Some((reauthenticate(name), "Connect again")),
            ..plain("Reauthentication required", Tone::Bad, why)
        },
        Status::Paused => plain("Paused", Tone::Neutral, "Updates are stopped. Resume them in Settings."),
        Status::Failed { why } => plain("Failed", Tone::Bad, why),
    }
}

/// Where a connection gets new credentials.
pub(super) fn reauthenticate(name: &str) -> String {
    format!("/admin/connections/new/stripe?connection={name}")
}

fn flash(news: &News, connections: &[Connection]) -> Option<Flash> {
    if news.note == SESSION_ENDED {
        let text = "Your session had ended when Stripe sent you back. Nothing was connected: begin again with Add a Data \
                    Source."
            .to_owned();
        let title = "Connecting was not finished.".to_owned();
        return Some(Flash { tone: Tone::Attention, title, text, way: None });
    }
    let known = |name: &String| connections.iter().find(|connection| connection.name == *name);
    if let Some(connection) = news.connected.as_ref().and_then(known) {
        let text = match news.note.as_str() {
            "not_started" => format!(
                "{} is connected, but its first copy has not begun: click Force update.",
                connection.name
            ),
            "full_key" => format!(
                "The first copy of {} has begun. Its key may also change things: a restricted key with read permissions is enough.",
                connection.name
            ),
            _ => format!("The first copy of {} has begun.", connection.name),
        };
        let tone = if news.note.is_empty() { Tone::Good } else { Tone::Attention };
        return Some(Flash { tone, title: "Connection Successful!".to_owned(), text, way: None });
    }
    if let Some(connection) = news.reconnected.as_ref().and_then(known) {
        let name = &connection.name;
        let (tone, text) = match news.note.as_str() {
            "paused" => (Tone::Neutral, format!("{name} is still paused: resume it when it should go on.")),
            "not_started" => {
                (Tone::Attention, format!("The update of {name} has not begun: click Force update."))
            }
            _ => (Tone::Good, format!("{name} goes on where it was.")),
        };
        let (tone, text) = match Access::noted(&news.access) {
            Some(Access::Open) => (Tone::Attention, format!("{text} {}", Access::Open.words())),
            Some(access) => (tone, format!("{text} {}", access.words())),
            None => (tone, text),
        };
        return Some(Flash { tone, title: "Connection Successful!".to_owned(), text, way: None });
    }
    let deleted = news.deleted.as_ref().filter(|name| known(name).is_none())?;
    deleted.parse::<warehouse::SchemaName>().ok()?;
    let tone = if news.note == Access::Open.note() { Tone::Attention } else { Tone::Neutral };
    let access = match (news.note.as_str(), Access::noted(&news.note)) {
        ("key", _) => " Its key still works: delete it at Stripe, under Developers, API keys.".to_owned(),
        (_, Some(access)) => format!(" {}", access.words()),
        (_, None) => String::new(),
    };
    let text = format!("Its tables stay in the warehouse, in the schema {deleted}.{access}");
    Some(Flash { tone, title: "Connection deleted".to_owned(), text, way: None })
}
