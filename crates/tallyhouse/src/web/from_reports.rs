//! Home's numbers out of the warehouse: each report becomes a card, and one that fails does not take the others along.

use std::{sync::Arc, time::Duration};

use chrono_tz::Tz;
use futures::future::{BoxFuture, FutureExt};
use reports::{Frame, Number, Question, Report, ReportError};
use store::Connection;
use stripe_api::Clock;
use warehouse::{QueryError, Reader, SchemaName, Value};

use super::{
    Amount, Axis, Card, Chart, Numbers, NumbersError, Point, ProgressView, Series, Shape, Unit, completeness,
    zone_of,
};

/// Longer than anybody waits for a page.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks a warehouse for Home's metrics.
#[derive(Clone)]
pub struct WarehouseNumbers {
    reader: Reader,
    clock: Arc<dyn Clock>,
    time_zone: Tz,
}

impl WarehouseNumbers {
    /// Asks `reader`; months are those of `time_zone` where the account's own is not known.
    #[must_use]
    pub fn new(reader: Reader, clock: Arc<dyn Clock>, time_zone: Tz) -> Self {
        Self { reader, clock, time_zone }
    }

    async fn cards(&self, schema: &SchemaName, tz: Tz, standing: &ProgressView) -> Vec<Card> {
        let settings = reports::Settings { tz, now: self.clock.now() };
        let mut cards = Vec::new();
        for question in reports::questions(&Frame::new(schema, &settings)) {
            cards.push(self.card(schema, question, standing).await);
        }
        cards
    }

    async fn card(&self, schema: &SchemaName, question: Question, standing: &ProgressView) -> Card {
        let (title, tables) = (question.metric.title, question.tables);
        let missing = completeness::missing(tables, standing);
        let asked = tokio::time::timeout(PATIENCE, reports::answer(&self.reader, schema, question)).await;
        let why = match asked {
            Ok(Ok(report)) => return Card::Chart(Chart { partial: missing, ..chart(report) }),
            Ok(Err(error)) => self.why(schema, tables, &error, missing).await,
            Err(_) => format!("It took longer than {} s. Try again when no copy runs.", PATIENCE.as_secs()),
        };
        Card::Missing { title: title.to_owned(), why }
    }

    /// The error without its source, which can quote values of rows.
    async fn why(
        &self,
        schema: &SchemaName,
        tables: &[&str],
        error: &ReportError,
        missing: Option<String>,
    ) -> String {
        tracing::warn!(error = error as &dyn std::error::Error, "a card of Home is missing");
        match error {
            ReportError::Ask { source: QueryError::Stopped, .. } => {
                "The warehouse has stopped. Restart Tallyhouse; the log says why it did.".to_owned()
            }
            ReportError::Ask { source: QueryError::Closed { .. }, .. } => {
                "The warehouse file could not be opened again; each look at this page tries once more. The log says why."
                    .to_owned()
            }
            ReportError::Ask { .. } => match self.absent(schema, tables).await {
                Some(table) => {
                    let there = format!("The table {table} is not in the warehouse: an update makes it.");
                    format!("{there} {}", missing.unwrap_or_default()).trim_end().to_owned()
                }
                None => "The warehouse could not answer. The log says why.".to_owned(),
            },
            ReportError::TooLong { .. } => {
                "It has more series than can be drawn. Ask for it in SQL instead.".to_owned()
            }
            ReportError::Shape { .. } => {
                "A sum is beyond what can be shown exactly. Ask for it in SQL instead.".to_owned()
            }
        }
    }

    /// The first of `tables` that the schema lacks. When even that cannot be asked, none is known to be.
    async fn absent<'t>(&self, schema: &SchemaName, tables: &[&'t str]) -> Option<&'t str> {
        let ask = "SELECT table_name FROM information_schema.tables WHERE table_schema = ?";
        let there = self.reader.query(ask, vec![Value::Text(schema.as_str().to_owned())]).await.ok()?;
        let has = |table: &str| there.rows.iter().flatten().any(|value| value.as_str() == Some(table));
        tables.iter().copied().find(|table| !has(table))
    }
}

impl std::fmt::Debug for WarehouseNumbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WarehouseNumbers").field("time_zone", &self.time_zone).finish_non_exhaustive()
    }
}

impl Numbers for WarehouseNumbers {
    fn home<'a>(
        &'a self,
        connection: &'a Connection,
        standing: &'a ProgressView,
    ) -> BoxFuture<'a, Result<Vec<Card>, NumbersError>> {
        async move {
            let schema: Result<SchemaName, _> = connection.name.parse();
            let schema = schema.map_err(|error| NumbersError { why: error.to_string() })?;
            Ok(self.cards(&schema, zone_of(connection, self.time_zone), standing).await)
        }
        .boxed()
    }
}

fn chart(report: Report) -> Chart {
    let Report { metric, axis, series, sql, freshness } = report;
    let unit = match metric.unit {
        reports::Unit::Money => Unit::Money,
        reports::Unit::Count => Unit::Count,
        reports::Unit::Ratio => Unit::Ratio,
    };
    let shape = match metric.shape {
        reports::Shape::Stacked => Shape::Stacked,
        reports::Shape::Bars => Shape::Bars,
        reports::Shape::Lines => Shape::Lines,
    };
    let axis = match axis {
        reports::Axis::Months(_) => Axis::Months,
        reports::Axis::Names { title, .. } => Axis::Kinds(title.to_owned()),
    };
    Chart {
        id: metric.id.to_owned(),
        title: metric.title.to_owned(),
        definition: metric.definition.to_owned(),
        settings: metric
            .settings
            .into_iter()
            .map(|setting| (setting.name.to_owned(), setting.value))
            .collect(),
        sql: Some(sql),
        unit,
        shape,
        axis,
        series: series.into_iter().map(drawn).collect(),
        freshness,
        partial: None,
    }
}

fn drawn(series: reports::Series) -> Series {
    let reports::Series { name, currency, points } = series;
    let exponent = currency.as_deref().map_or(0, reports::exponent);
    let point = |point: reports::Point| Point {
        label: point.period,
        value: match point.value {
            Number::Whole(value) => Amount::Whole(value),
            Number::Ratio { num, den } => Amount::Ratio { num, den },
        },
        incomplete: point.incomplete,
    };
    let exponent = u8::try_from(exponent).unwrap_or(0);
    Series { name: capital(&name), currency, exponent, points: points.into_iter().map(point).collect() }
}

/// "past due" as a heading, and codes such as `card_declined` as they are.
fn capital(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    if name.contains('_') { name.to_owned() } else { format!("{first}{}", letters.as_str()) }
}

#[cfg(test)]
mod tests;
