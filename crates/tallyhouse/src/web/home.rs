//! Home: what the numbers are, each with its table, its definition and its freshness.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use chrono_tz::Tz;
use http::StatusCode;
use serde::Deserialize;
use store::Connection;

use super::{
    Amount, Analyst, App, Axis, Card, Chart, Point, Refusal, Series, Shape, Unit,
    page::{Section, Shell, page},
    words::{Moment, amount, grouped_signed, percent},
    zone_of,
};

/// Numbers above a chart; the table has the rest.
const HEADS: usize = 6;

/// The state of the view.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    connection: Option<String>,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    shell: Shell,
    /// Every connection; the present one is marked.
    choices: Vec<Choice>,
    zone: String,
    body: Body,
}

struct Choice {
    name: String,
    account: String,
    livemode: bool,
    present: bool,
}

/// The states of the page.
enum Body {
    /// Nothing is connected.
    Empty,
    /// The warehouse does not answer.
    Failed { why: String },
    /// Some or all cards.
    Cards(Vec<CardView>),
}

enum CardView {
    Chart(Box<ChartView>),
    Missing { title: String, why: String },
}

/// A chart as its table, which the script draws.
struct ChartView {
    id: String,
    title: String,
    definition: String,
    settings: Vec<(String, String)>,
    sql: Option<String>,
    unit: &'static str,
    shape: &'static str,
    axis: String,
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// The newest period, or the only one; none when the points are no periods.
    newest: Option<String>,
    newest_incomplete: bool,
    heads: Vec<Head>,
    /// Series that have no place above the chart.
    more: usize,
    /// The series have names of their own, not only currencies.
    heads_are_named: bool,
    freshness: Option<Moment>,
    partial: Option<String>,
}

struct Column {
    name: String,
    currency: Option<String>,
    exponent: u8,
}

struct Row {
    label: String,
    incomplete: bool,
    cells: Vec<Cell>,
}

struct Cell {
    /// For the script; empty when there is no value.
    value: String,
    text: String,
    currency: Option<String>,
}

/// The newest number of a series, above the chart.
struct Head {
    name: String,
    cell: Cell,
}

/// Shows the numbers of one connection.
pub(super) async fn show(
    State(app): State<App>,
    Analyst(viewer): Analyst,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    let connections = app.store.connections().await.map_err(Refusal::store)?;
    let wanted =
        |connection: &&Connection| asked.connection.as_ref().is_none_or(|name| *name == connection.name);
    let present = connections.iter().find(wanted).cloned();
    if asked.connection.is_some() && present.is_none() {
        return Err(Refusal::nothing_here(Some(&viewer), "connection of this name"));
    }
    let zone =
        present.as_ref().map_or(app.settings.time_zone, |found| zone_of(found, app.settings.time_zone));
    let body = match &present {
        None => Body::Empty,
        Some(connection) => numbers(&app, connection, zone).await,
    };
    let shell = Shell::for_viewer(&viewer, Section::Home, "Home");
    let present = present.as_ref().map(|connection| connection.name.as_str());
    let choices = connections.into_iter().map(|connection| choice(connection, present)).collect();
    let zone = zone.to_string();
    Ok(page(StatusCode::OK, &HomePage { shell, choices, zone, body }))
}

async fn numbers(app: &App, connection: &Connection, zone: Tz) -> Body {
    let standing = app.sync.subscribe(&connection.name).await.borrow().clone();
    match app.numbers.home(connection, &standing).await {
        Ok(cards) => Body::Cards(cards.into_iter().map(|card| card_view(app, card, zone)).collect()),
        Err(error) => Body::Failed { why: error.why },
    }
}

fn choice(connection: Connection, present: Option<&str>) -> Choice {
    let Connection { name, account_name, livemode, .. } = connection;
    Choice { present: present == Some(&name), name, account: account_name, livemode }
}

fn card_view(app: &App, card: Card, zone: Tz) -> CardView {
    match card {
        Card::Missing { title, why } => CardView::Missing { title, why },
        Card::Chart(chart) => CardView::Chart(Box::new(chart_view(app, chart, zone))),
    }
}

fn chart_view(app: &App, chart: Chart, zone: Tz) -> ChartView {
    let Chart { id, title, definition, settings, sql, unit, shape, axis, series, freshness, partial } = chart;
    let rows = rows(unit, &series);
    let newest = series
        .first()
        .and_then(|series| series.points.last())
        .filter(|_| axis == Axis::Months || rows.len() == 1);
    let (newest, newest_incomplete) =
        newest.map_or((None, false), |point| (Some(point.label.clone()), point.incomplete));
    let heads = series.iter().take(HEADS).map(|series| head(unit, series)).collect();
    let more = series.len().saturating_sub(HEADS);
    let heads_are_named =
        series.windows(2).any(|pair| matches!(pair, [one, other] if one.name != other.name));
    let column = |series: Series| Column {
        name: series.name,
        currency: series.currency.map(|currency| currency.to_uppercase()),
        exponent: series.exponent,
    };
    ChartView {
        id,
        title,
        definition,
        settings,
        sql,
        unit: match unit {
            Unit::Money => "money",
            Unit::Count => "count",
            Unit::Ratio => "ratio",
        },
        shape: match shape {
            Shape::Stacked => "stacked",
            Shape::Bars => "bars",
            Shape::Lines => "lines",
        },
        axis: match axis {
            Axis::Months => "Month".to_owned(),
            Axis::Kinds(name) => name,
        },
        columns: series.into_iter().map(column).collect(),
        rows,
        newest,
        newest_incomplete,
        heads,
        more,
        heads_are_named,
        freshness: freshness.map(|at| Moment::new(at, app.clock.now(), zone)),
        partial,
    }
}

/// The points of all series side by side. They are the same in all of them.
fn rows(unit: Unit, series: &[Series]) -> Vec<Row> {
    let Some(first) = series.first() else { return Vec::new() };
    let row = |(at, point): (usize, &Point)| Row {
        label: point.label.clone(),
        incomplete: point.incomplete,
        cells: series.iter().map(|series| cell(unit, series, series.points.get(at))).collect(),
    };
    first.points.iter().enumerate().map(row).collect()
}

fn head(unit: Unit, series: &Series) -> Head {
    Head { name: series.name.clone(), cell: cell(unit, series, series.points.last()) }
}

fn cell(unit: Unit, series: &Series, point: Option<&Point>) -> Cell {
    let currency = series.currency.as_ref().map(|currency| currency.to_uppercase());
    let Some(point) = point else {
        return Cell { value: String::new(), text: "\u{2013}".to_owned(), currency };
    };
    let (value, text) = match (point.value, unit) {
        (Amount::Whole(minor), Unit::Money) => (minor.to_string(), amount(minor, series.exponent)),
        (Amount::Whole(number), Unit::Count | Unit::Ratio) => (number.to_string(), grouped_signed(number)),
        (Amount::Ratio { num, den }, _) => (share(num, den), percent(num, den)),
    };
    Cell { value, text, currency }
}

/// For the script: the share in thousandths of a percent, or nothing.
fn share(num: i64, den: i64) -> String {
    if den <= 0 { String::new() } else { (i128::from(num) * 100_000 / i128::from(den)).to_string() }
}
