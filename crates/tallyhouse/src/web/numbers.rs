//! How the pages see numbers: charts that are tables first. Whoever computes them fills these.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use store::Connection;

use super::ProgressView;

/// Gives the numbers of the first page.
pub trait Numbers: Send + Sync + 'static {
    /// The cards for one connection, in their order. What cannot be shown is a [`Card::Missing`] that says why; what
    /// is not final, as `standing` has its tables, says so.
    fn home<'a>(
        &'a self,
        connection: &'a Connection,
        standing: &'a ProgressView,
    ) -> BoxFuture<'a, Result<Vec<Card>, NumbersError>>;
}

/// The warehouse cannot be asked at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not ask the warehouse: {why}")]
pub struct NumbersError {
    /// A sentence without secrets, for the page.
    pub why: String,
}

/// A place on the first page.
#[derive(Debug, Clone, PartialEq)]
pub enum Card {
    /// A metric that was computed.
    Chart(Chart),
    /// A metric that was not.
    Missing {
        /// What would be here.
        title: String,
        /// Why it is not, in a sentence.
        why: String,
    },
}

/// A metric with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Names it in addresses: letters, digits and `_`.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// What exactly is counted.
    pub definition: String,
    /// The choices made: name and value.
    pub settings: Vec<(String, String)>,
    /// The query behind it.
    pub sql: Option<String>,
    /// What the numbers are.
    pub unit: Unit,
    /// How to draw it.
    pub shape: Shape,
    /// What the points stand for.
    pub axis: Axis,
    /// The numbers. All series have the same points in the same order.
    pub series: Vec<Series>,
    /// When the newest row was as shown.
    pub freshness: Option<DateTime<Utc>>,
    /// What is missing from the numbers and why, in a sentence.
    pub partial: Option<String>,
}

/// What numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Minor units of the series' currency.
    Money,
    /// Things.
    Count,
    /// Parts of a whole.
    Ratio,
}

/// What the points of a chart stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Axis {
    /// Months, oldest first: the newest one stands above the chart.
    Months,
    /// Kinds of this name: "Age".
    Kinds(String),
}

/// How to draw a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Sums of periods, or of kinds, on top of each other: parts of one whole.
    Stacked,
    /// Sums of periods, or of kinds, side by side.
    Bars,
    /// Levels over time.
    Lines,
}

/// One line or set of bars.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// In which currency, three letters; none when it is no money.
    pub currency: Option<String>,
    /// Decimals of that currency: 2 for USD, 0 for JPY.
    pub exponent: u8,
    /// The numbers.
    pub points: Vec<Point>,
}

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// "2026-11", "1-30 days".
    pub label: String,
    /// How much.
    pub value: Amount,
    /// The period is not over.
    pub incomplete: bool,
}

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Minor units, or things.
    Whole(i64),
    /// `num` of `den`; no value when `den` is 0.
    Ratio {
        /// The part.
        num: i64,
        /// The whole.
        den: i64,
    },
}
