//! Home's numbers out of the warehouse: each report becomes a card, and one that fails does not take the others along.

use std::{sync::Arc, time::Duration};

use chrono_tz::Tz;
use futures::future::{BoxFuture, FutureExt};
use reports::{Frame, Number, Question, Report, ReportError};
use stripe_api::Clock;
use warehouse::{Reader, SchemaName};

use super::{Amount, Axis, Card, Chart, Numbers, NumbersError, Point, Series, Shape, Unit};

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
    /// Asks `reader`; months are those of `time_zone`.
    #[must_use]
    pub fn new(reader: Reader, clock: Arc<dyn Clock>, time_zone: Tz) -> Self {
        Self { reader, clock, time_zone }
    }

    async fn cards(&self, schema: &SchemaName) -> Vec<Card> {
        let settings = reports::Settings { tz: self.time_zone, now: self.clock.now() };
        let mut cards = Vec::new();
        for question in reports::questions(&Frame::new(schema, &settings)) {
            cards.push(self.card(schema, question).await);
        }
        cards
    }

    async fn card(&self, schema: &SchemaName, question: Question) -> Card {
        let (title, table) = (question.metric.title, question.tables.join(", "));
        let why = match tokio::time::timeout(PATIENCE, reports::answer(&self.reader, schema, question)).await
        {
            Ok(Ok(report)) => return Card::Chart(chart(report)),
            Ok(Err(error)) => why(&error, &table),
            Err(_) => format!("It took longer than {} s. Try again when no copy runs.", PATIENCE.as_secs()),
        };
        Card::Missing { title: title.to_owned(), why }
    }
}

impl std::fmt::Debug for WarehouseNumbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WarehouseNumbers").field("time_zone", &self.time_zone).finish_non_exhaustive()
    }
}

impl Numbers for WarehouseNumbers {
    fn home<'a>(&'a self, connection: &'a str) -> BoxFuture<'a, Result<Vec<Card>, NumbersError>> {
        async move {
            let schema: Result<SchemaName, _> = connection.parse();
            let schema = schema.map_err(|error| NumbersError { why: error.to_string() })?;
            Ok(self.cards(&schema).await)
        }
        .boxed()
    }
}

/// The error without its source, which can quote values of rows.
fn why(error: &ReportError, table: &str) -> String {
    tracing::warn!(%error, table, "a card of Home is missing");
    match error {
        ReportError::Ask { .. } => {
            format!(
                "The table {table} cannot be read. It is there once the first copy has begun; until then this stays empty."
            )
        }
        ReportError::TooLong { .. } => {
            "It has more series than can be drawn. Ask for it in SQL instead.".to_owned()
        }
        ReportError::Shape { .. } => {
            "A sum is beyond what can be shown exactly. Ask for it in SQL instead.".to_owned()
        }
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
mod tests {
    use std::collections::HashSet;

    use catalog::Decoder;
    use serde_json::json;
    use warehouse::{Batch, Change, DuckDb, DuckOptions, Warehouse as _, Write};

    use super::*;
    use crate::clock::SystemClock;

    /// A warehouse with two charges of this month.
    async fn warehouse(folder: &std::path::Path) -> DuckDb {
        let warehouse =
            DuckDb::open(folder.join("w.duckdb"), DuckOptions { memory_limit_mb: 64, threads: 1 }).unwrap();
        let schema: SchemaName = "shop".parse().unwrap();
        warehouse.prepare(&schema, catalog::tables().collect()).await.unwrap();
        let created = SystemClock.now().timestamp();
        let charge = |id: &str, currency: &str| json!({"id": id, "object": "charge", "created": created, "status": "succeeded", "currency": currency, "captured": true, "amount": 1234, "amount_captured": 1234, "paid": true});
        let page = json!({"object": "list", "has_more": false, "data": [charge("ch_1", "usd"), charge("ch_2", "jpy")]});
        let charges = catalog::resource("charges").unwrap();
        let mut decoder = Decoder::new(charges);
        decoder.page(page.to_string().as_bytes(), created * 1_000_000, &HashSet::new()).unwrap();
        let change = Change::Insert(decoder.finish().rows);
        let writes = vec![Write { table: charges.table, change }];
        warehouse
            .apply(Batch { schema, writes, checkpoints: Vec::new(), rejects: Vec::new() })
            .await
            .unwrap();
        warehouse
    }

    #[tokio::test]
    async fn reports_become_cards_in_the_decimals_of_their_currency() {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = warehouse(folder.path()).await;
        let numbers =
            WarehouseNumbers::new(warehouse.reader().unwrap(), Arc::new(SystemClock), chrono_tz::UTC);
        let cards = numbers.home("shop").await.unwrap();
        assert_eq!(cards.len(), 9);
        let volume = cards.iter().find_map(|card| match card {
            Card::Chart(chart) if chart.id == "gross_volume" => Some(chart),
            Card::Chart(_) | Card::Missing { .. } => None,
        });
        let volume = volume.unwrap();
        let shown: Vec<_> = volume
            .series
            .iter()
            .map(|one| (one.currency.as_deref(), one.exponent, one.points.last().unwrap().value))
            .collect();
        assert_eq!(shown, [(Some("jpy"), 0, Amount::Whole(1234)), (Some("usd"), 2, Amount::Whole(1234))]);
        assert_eq!((volume.axis.clone(), volume.unit), (Axis::Months, Unit::Money));
        assert!(volume.freshness.is_some() && volume.sql.is_some());
        assert!(cards.iter().all(|card| matches!(card, Card::Chart(_))), "{cards:?}");
    }

    #[tokio::test]
    async fn how_to_draw_it_is_the_metrics_own_word_even_without_rows() {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = warehouse(folder.path()).await;
        let numbers =
            WarehouseNumbers::new(warehouse.reader().unwrap(), Arc::new(SystemClock), chrono_tz::UTC);
        let cards = numbers.home("shop").await.unwrap();
        let drawn = |id: &str| {
            let chart = cards.iter().find_map(|card| match card {
                Card::Chart(chart) if chart.id == id => Some(chart),
                Card::Chart(_) | Card::Missing { .. } => None,
            });
            chart.map(|chart| (chart.shape, chart.axis.clone())).unwrap()
        };
        assert_eq!(drawn("invoices_collected"), (Shape::Stacked, Axis::Months));
        assert_eq!(drawn("open_receivables"), (Shape::Bars, Axis::Kinds("Age".to_owned())));
        assert_eq!(drawn("active_subscriptions"), (Shape::Bars, Axis::Kinds("As of".to_owned())));
        assert_eq!(drawn("subscriptions_by_month"), (Shape::Lines, Axis::Months));
    }

    #[tokio::test]
    async fn tables_that_are_not_there_yet_are_told_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = warehouse(folder.path()).await;
        let numbers =
            WarehouseNumbers::new(warehouse.reader().unwrap(), Arc::new(SystemClock), chrono_tz::UTC);
        let cards = numbers.home("other").await.unwrap();
        assert_eq!(cards.len(), 9);
        for card in cards {
            assert!(matches!(&card, Card::Missing { why, .. } if why.contains("cannot be read")), "{card:?}");
        }
        assert!(numbers.home("no schema").await.is_err());
    }
}
