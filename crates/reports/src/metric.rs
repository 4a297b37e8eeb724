//! What a metric is, and what an answer is.

use chrono::{DateTime, SubsecRound as _, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use warehouse::SchemaName;

use crate::Period;
use crate::period::months;

/// Months that are shown, the unfinished one among them: two years to compare.
const MONTHS: u32 = 24;

/// What the asker chooses.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The account's time zone: whose days and months are meant.
    pub tz: Tz,
    /// The moment of asking.
    pub now: DateTime<Utc>,
}

/// Whose rows are asked for, and when: what every metric is a function of.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The connection's schema.
    pub schema: SchemaName,
    /// The account's time zone.
    pub tz: Tz,
    /// The moment of asking, whole seconds.
    pub now: DateTime<Utc>,
    /// The months shown, oldest first; the last is the one of `now`.
    pub months: Vec<Period>,
}

impl Frame {
    /// The frame of the last 24 months.
    #[must_use]
    pub fn new(schema: &SchemaName, settings: &Settings) -> Self {
        let now = settings.now.trunc_subsecs(0);
        Self { schema: schema.clone(), tz: settings.tz, now, months: months(settings.tz, now, MONTHS) }
    }

    /// The setting that every metric by day or month has.
    pub(crate) fn time_zone(&self) -> Setting {
        Setting { name: "Time zone", value: self.tz.name().to_owned() }
    }

    /// The setting that metrics of the present have: the moment, in the account's time zone.
    pub(crate) fn as_of(&self) -> Setting {
        let local = self.now.with_timezone(&self.tz);
        Setting { name: "As of", value: local.format("%Y-%m-%d %H:%M").to_string() }
    }
}

/// What a number means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metric {
    /// Stays the same for ever: "gross_volume".
    pub id: &'static str,
    /// "Gross volume".
    pub title: &'static str,
    /// What is counted, what is not, and what cannot be known; for the reader of the number.
    pub definition: &'static str,
    /// What was chosen.
    pub settings: Vec<Setting>,
    /// What the numbers are.
    pub unit: Unit,
    /// How to draw them.
    pub shape: Shape,
}

/// How a metric may be drawn, which is decided by what its series are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Bars on top of each other: nothing is in two series of one currency, and together they are a number too.
    Stacked,
    /// Bars side by side: their sum would mean nothing.
    Bars,
    /// Levels over time.
    Lines,
}

/// A choice that the number depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// "Time zone".
    pub name: &'static str,
    /// "America/New_York".
    pub value: String,
}

/// What the numbers of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Amounts in the smallest unit of the series' currency; see [`crate::format_minor`].
    Money,
    /// Things.
    Count,
    /// Some of all.
    Ratio,
}

/// A metric that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What it means.
    pub metric: Metric,
    /// One SELECT without parameters, to be run as it stands. Its columns: period, series, currency, and the number
    /// (two for [`Unit::Ratio`]: some, all).
    pub sql: String,
    /// The tables that are read. While one of them is not complete, neither are the numbers.
    pub tables: &'static [&'static str],
    /// The periods that can be in the answer, in order.
    pub axis: Axis,
}

/// The periods of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Months: drawn from the first one that any series has, those without rows as nothing.
    Months(Vec<Period>),
    /// Always the same names, each drawn in every series.
    Names {
        /// What they are: "Age".
        title: &'static str,
        /// They, in order.
        names: Vec<String>,
    },
}

impl Axis {
    pub(crate) fn has(&self, period: &str) -> bool {
        match self {
            Self::Months(months) => months.iter().any(|month| month.label == period),
            Self::Names { names, .. } => names.iter().any(|name| name == period),
        }
    }
}

/// A metric with its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What the numbers mean.
    pub metric: Metric,
    /// What the points stand for.
    pub axis: Axis,
    /// The numbers; none where there are no rows.
    pub series: Vec<Series>,
    /// How they were asked for.
    pub sql: String,
    /// When the newest row of the tables was as it is shown; `None` without rows.
    pub freshness: Option<DateTime<Utc>>,
}

/// Numbers that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Series {
    /// What they are, within the metric.
    pub name: String,
    /// Stripe's lower-case code, for [`Unit::Money`].
    pub currency: Option<String>,
    /// One for each period, in order.
    pub points: Vec<Point>,
}

/// A number of a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    /// The period's name: "2026-11", "1-30 days".
    pub period: String,
    /// The number.
    pub value: Number,
    /// The period is not over, the number not final.
    pub incomplete: bool,
}

/// An exact number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Number {
    /// Things, or an amount.
    Whole(i64),
    /// `num` of `den`; `den` is 0 where there was nothing to be some of, which is not 0 %.
    Ratio {
        /// Some.
        num: i64,
        /// All.
        den: i64,
    },
}
