//! One connection: Status, Timeline, Tables, Settings.

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
};
use catalog::Kind;
use http::StatusCode;
use serde::Deserialize;
use store::{Connection, Cycle, CycleEnd, How, Outcome, Status};

use super::{
    Admin, App, ProgressView, Refusal,
    connect::known,
    connections::{StatusView, could_not_begin, reauthenticate, running_for, status_view},
    form::{Nothing, Posted},
    live::{Tables, tables},
    page::{Flash, Section, Shell, Tone, page},
    sign_in::audit,
    signing::{HooksView, hooks_view},
    words::{Moment, duration_ms, grouped_signed},
};

/// Cycles that the timeline shows.
const CYCLES: u32 = 50;

/// The state of the view.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    tab: String,
}

/// The tabs of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tab {
    Status,
    Timeline,
    Tables,
    Settings,
}

impl Tab {
    /// What an address names; anything else is the first tab.
    fn named(name: &str) -> Self {
        match name {
            "timeline" => Self::Timeline,
            "tables" => Self::Tables,
            "settings" => Self::Settings,
            _ => Self::Status,
        }
    }
}

/// The form that deletes.
#[derive(Debug, Deserialize)]
pub(super) struct Delete {
    #[serde(default)]
    typed: String,
}

#[derive(Template)]
#[template(path = "connection.html")]
struct ConnectionPage {
    shell: Shell,
    name: String,
    account: String,
    livemode: bool,
    paused: bool,
    running_for: Option<String>,
    status: StatusView,
    tab: Tab,
    body: Body,
}

/// What the tab shows.
enum Body {
    Status { tables: Tables },
    Timeline { cycles: Vec<CycleView> },
    Tables { tables: Vec<TableView> },
    Settings(Box<SettingsView>),
}

struct CycleView {
    began: Moment,
    took: String,
    word: &'static str,
    tone: Tone,
    rows: String,
    forced: bool,
    /// Name and words, for each thing that the cycle has to say.
    detail: Vec<(String, String)>,
}

struct TableView {
    name: &'static str,
    description: &'static str,
    columns: Vec<(&'static str, &'static str, String)>,
}

struct SettingsView {
    account_id: String,
    how: &'static str,
    created: Moment,
    reauthenticate: String,
    hooks: HooksView,
}

/// Shows one connection.
pub(super) async fn show(
    State(app): State<App>,
    Admin(viewer): Admin,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    let connection = known(&app, &viewer, &name).await?;
    shown(&app, &viewer, connection, Tab::named(&asked.tab), None).await
}

/// Begins an update.
pub(super) async fn update(
    State(app): State<App>,
    Path(name): Path<String>,
    Posted { by: Admin(viewer), .. }: Posted<Admin, Nothing>,
) -> Result<Response, Refusal> {
    let connection = known(&app, &viewer, &name).await?;
    audit(&app, viewer.id(), "connection.update", &connection.name).await?;
    begin(&app, &viewer, &connection).await?;
    Ok(Redirect::to(&address(&connection)).into_response())
}

/// Stops updates until they are resumed.
pub(super) async fn pause(
    State(app): State<App>,
    Path(name): Path<String>,
    Posted { by: Admin(viewer), .. }: Posted<Admin, Nothing>,
) -> Result<Response, Refusal> {
    let connection = known(&app, &viewer, &name).await?;
    audit(&app, viewer.id(), "connection.pause", &connection.name).await?;
    app.store.set_status(&connection.id, &Status::Paused).await.map_err(Refusal::store)?;
    // Its last word leaves a paused connection paused.
    app.sync.stop(&connection.name).await;
    Ok(Redirect::to(&settings_address(&connection)).into_response())
}

/// Lets updates go on, beginning now.
pub(super) async fn resume(
    State(app): State<App>,
    Path(name): Path<String>,
    Posted { by: Admin(viewer), .. }: Posted<Admin, Nothing>,
) -> Result<Response, Refusal> {
    let connection = known(&app, &viewer, &name).await?;
    audit(&app, viewer.id(), "connection.resume", &connection.name).await?;
    if connection.status == Status::Paused {
        let status =
            if connection.last_success_began_at.is_some() { Status::Success } else { Status::Connecting };
        app.store.set_status(&connection.id, &status).await.map_err(Refusal::store)?;
    }
    begin(&app, &viewer, &connection).await?;
    Ok(Redirect::to(&address(&connection)).into_response())
}

/// Deletes the connection when its name was typed. Its tables stay.
pub(super) async fn delete(
    State(app): State<App>,
    Path(name): Path<String>,
    Posted { by: Admin(viewer), form }: Posted<Admin, Delete>,
) -> Result<Response, Refusal> {
    let connection = known(&app, &viewer, &name).await?;
    if form.typed.trim() != connection.name {
        let text = format!("Type {} to delete it. Nothing was changed.", connection.name);
        let flash = Flash { tone: Tone::Bad, title: "The name does not match.".to_owned(), text, way: None };
        return shown(&app, &viewer, connection, Tab::Settings, Some(flash)).await;
    }
    // The row first: a cycle looks for it when it begins, so none can begin behind the one that is stopped.
    let deleted = app.store.delete_connection(&connection.id).await.map_err(Refusal::store)?;
    audit(&app, viewer.id(), "connection.delete", &deleted.name).await?;
    app.sync.stop(&deleted.name).await;
    let note = match deleted.how {
        // Its owner's to delete.
        How::ApiKey => "key",
        How::Oauth => {
            app.grants.turn().await.give_back(&app, &deleted.account_id, deleted.livemode).await.note()
        }
    };
    Ok(Redirect::to(&format!("/admin/connections?deleted={}&note={note}", deleted.name)).into_response())
}

async fn begin(app: &App, viewer: &super::Viewer, connection: &Connection) -> Result<(), Refusal> {
    app.sync.start(&connection.name).await.map_err(|error| could_not_begin(viewer, &error.why))
}

/// Where the Settings of a connection are.
pub(super) fn settings_address(connection: &Connection) -> String {
    format!("{}?tab=settings", address(connection))
}

/// The Settings, with why nothing was changed.
pub(super) async fn settings_refused(
    app: &App,
    viewer: &super::Viewer,
    connection: Connection,
    text: String,
) -> Result<Response, Refusal> {
    let title = "Nothing was changed.".to_owned();
    let flash = Flash { tone: Tone::Bad, title, text, way: None };
    shown(app, viewer, connection, Tab::Settings, Some(flash)).await
}

fn address(connection: &Connection) -> String {
    format!("/admin/connections/{}", connection.name)
}

async fn shown(
    app: &App,
    viewer: &super::Viewer,
    connection: Connection,
    tab: Tab,
    flash: Option<Flash>,
) -> Result<Response, Refusal> {
    let status = if flash.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let now = app.clock.now();
    let progress = app.sync.subscribe(&connection.name).await.borrow().clone();
    let mut shell = Shell::for_viewer(viewer, Section::Connections, connection.name.clone())
        .under("/admin/connections", "Connections")
        .with_flash(flash);
    shell.reread = (progress.is_running() && tab == Tab::Status).then_some(5);
    let running_for =
        progress.began_at.filter(|_| progress.is_running()).map(|since| running_for(since, now));
    let shown = ConnectionPage {
        shell,
        status: status_view(&connection.name, &connection.status),
        paused: connection.status == Status::Paused,
        running_for,
        tab,
        body: body(app, &connection, &progress, tab).await?,
        name: connection.name,
        account: connection.account_name,
        livemode: connection.livemode,
    };
    Ok(page(status, &shown))
}

async fn body(
    app: &App,
    connection: &Connection,
    progress: &ProgressView,
    tab: Tab,
) -> Result<Body, Refusal> {
    Ok(match tab {
        Tab::Status => Body::Status { tables: tables(app, progress) },
        Tab::Timeline => {
            let cycles = app.store.cycles(&connection.id, CYCLES).await.map_err(Refusal::store)?;
            let view = |(at, cycle)| cycle_view(app, cycle, at == 0 && progress.is_running());
            Body::Timeline { cycles: cycles.into_iter().enumerate().map(view).collect() }
        }
        Tab::Tables => Body::Tables { tables: table_views() },
        Tab::Settings => Body::Settings(Box::new(SettingsView {
            account_id: connection.account_id.clone(),
            how: match connection.how {
                How::Oauth => "Connect with Stripe",
                How::ApiKey => "API key",
            },
            created: Moment::new(connection.created_at, app.clock.now(), app.settings.time_zone),
            reauthenticate: reauthenticate(&connection.name),
            hooks: hooks_view(app, connection).await?,
        })),
    })
}

fn cycle_view(app: &App, cycle: Cycle, running: bool) -> CycleView {
    let began = Moment::new(cycle.began_at, app.clock.now(), app.settings.time_zone);
    let Some(CycleEnd { at, outcome, rows, detail }) = cycle.end else {
        let (word, tone) =
            if running { ("Running", Tone::Neutral) } else { ("Interrupted", Tone::Attention) };
        let (took, rows) = (String::new(), String::new());
        return CycleView { began, took, word, tone, rows, forced: cycle.forced, detail: Vec::new() };
    };
    let (word, tone) = match outcome {
        Outcome::Success => ("Success", Tone::Good),
        Outcome::PartlyFailed => ("Partial", Tone::Attention),
        Outcome::Failed => ("Failed", Tone::Bad),
    };
    let took = duration_ms((at - cycle.began_at).num_milliseconds());
    CycleView {
        began,
        took,
        word,
        tone,
        rows: grouped_signed(rows),
        forced: cycle.forced,
        detail: lines(&detail),
    }
}

/// What a cycle has to say, one line for each name; its shape is the scheduler's business.
fn lines(detail: &serde_json::Value) -> Vec<(String, String)> {
    let words = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match detail {
        serde_json::Value::Null => Vec::new(),
        serde_json::Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), words(value))).collect()
        }
        serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_)
        | serde_json::Value::Array(_) => vec![(String::new(), words(detail))],
    }
}

fn table_views() -> Vec<TableView> {
    let columns = |table: &catalog::Table| {
        table
            .columns
            .iter()
            .map(|column| (column.name, kind_name(column.kind), column.description()))
            .collect()
    };
    catalog::tables()
        .map(|table| TableView { name: table.name, description: table.description, columns: columns(table) })
        .collect()
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Id => "id",
        Kind::Reference(_) => "reference",
        Kind::Text => "text",
        Kind::Boolean => "boolean",
        Kind::Integer => "integer",
        Kind::Money => "money, minor units",
        Kind::Timestamp | Kind::DateTime => "time, UTC",
        Kind::Decimal => "decimal",
        Kind::Float => "float",
        Kind::Json => "JSON",
    }
}
