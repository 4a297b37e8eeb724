//! Small hand-made accounts in a real warehouse, decoded as Stripe's own pages are.

use std::collections::HashSet;

use catalog::Decoder;
use chrono::DateTime;
use serde_json::{Value, json};
use tempfile::TempDir;
use warehouse::{Batch, Change, DuckDb, DuckOptions, Reader, SchemaName, Warehouse as _, Write};

use crate::{Frame, Number, Question, Report, Series, Settings, answer};

/// When every row was as it is shown.
pub(crate) const AS_OF: &str = "2026-11-23T11:59:00Z";

/// An account with a warehouse of its own.
pub(crate) struct Account {
    warehouse: DuckDb,
    _folder: TempDir,
}

impl Account {
    /// Stores the objects, each in the table that its `object` names.
    pub(crate) async fn of(objects: Vec<Value>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = DuckDb::open(folder.path().join("a.duckdb"), DuckOptions::default()).unwrap();
        let tables = catalog::resources().iter().map(|resource| resource.table).collect();
        warehouse.prepare(&schema(), tables).await.unwrap();
        let account = Self { warehouse, _folder: folder };
        for resource in catalog::resources() {
            let own: Vec<&Value> = objects.iter().filter(|o| o["object"] == resource.table.object).collect();
            if own.is_empty() {
                continue;
            }
            let page = json!({"object": "list", "data": own, "has_more": false}).to_string();
            let mut decoder = Decoder::new(resource);
            decoder.page(page.as_bytes(), at(AS_OF) * 1_000_000, &HashSet::new()).unwrap();
            let decoded = decoder.finish();
            assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
            account.write(resource.table, Change::Insert(decoded.rows)).await;
        }
        account
    }

    /// Marks a row as deleted at Stripe.
    pub(crate) async fn delete(&self, table: &str, id: &str) {
        let table = catalog::resource(table).unwrap().table;
        let as_of_micros = (at(AS_OF) + 1) * 1_000_000;
        self.write(table, Change::MarkDeleted { ids: vec![id.to_owned()], as_of_micros }).await;
    }

    /// Asks on 23 November 2026, 07:00 in New York; one line for each series.
    pub(crate) async fn ask(&self, question: fn(&Frame) -> Question) -> Vec<String> {
        let question = question(&Frame::new(&schema(), &settings()));
        told(&answer(&self.reader(), &schema(), question).await.unwrap())
    }

    pub(crate) fn reader(&self) -> Reader {
        self.warehouse.reader().unwrap()
    }

    async fn write(&self, table: &'static catalog::Table, change: Change) {
        let writes = vec![Write { table, change }];
        let batch = Batch { schema: schema(), writes, checkpoints: Vec::new(), rejects: Vec::new() };
        self.warehouse.apply(batch).await.unwrap();
    }
}

pub(crate) fn schema() -> SchemaName {
    SchemaName::new("stripe").unwrap()
}

pub(crate) fn settings() -> Settings {
    Settings { tz: chrono_tz::America::New_York, now: "2026-11-23T12:00:00Z".parse().unwrap() }
}

/// Seconds since 1970.
pub(crate) fn at(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp()
}

/// A charge of 10 dollars that went well, with `more` put over it.
pub(crate) fn charge(id: &str, created: &str, more: Value) -> Value {
    let plain = json!({"object": "charge", "id": id, "created": at(created), "amount": 1000,
        "amount_captured": 1000, "captured": true, "currency": "usd", "status": "succeeded",
        "payment_intent": null, "failure_code": null, "outcome": null});
    over(plain, more)
}

/// An open invoice that was finalised when it was created, with `more` put over it.
pub(crate) fn invoice(id: &str, created: &str, more: Value) -> Value {
    let plain = json!({"object": "invoice", "id": id, "created": at(created), "currency": "usd",
        "status": "open", "total": 0, "amount_paid": 0, "amount_remaining": 0, "due_date": null,
        "status_transitions": {"finalized_at": at(created), "paid_at": null, "voided_at": null}});
    over(plain, more)
}

/// An active subscription, with `more` put over it.
pub(crate) fn subscription(id: &str, created: &str, more: Value) -> Value {
    let plain = json!({"object": "subscription", "id": id, "created": at(created), "currency": "usd",
        "status": "active", "ended_at": null, "canceled_at": null, "pause_collection": null});
    over(plain, more)
}

/// `plain` with the properties of `more` put over its own.
pub(crate) fn over(mut plain: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more} is no object") };
    plain.as_object_mut().unwrap().extend(more);
    plain
}

/// A report as text.
fn told(report: &Report) -> Vec<String> {
    report.series.iter().map(line).collect()
}

fn line(series: &Series) -> String {
    let point = |point: &crate::Point| {
        let value = match point.value {
            Number::Whole(value) => value.to_string(),
            Number::Ratio { num, den } => format!("{num}/{den}"),
        };
        format!("{} {value}{}", point.period, if point.incomplete { " (incomplete)" } else { "" })
    };
    let points: Vec<String> = series.points.iter().map(point).collect();
    let currency = series.currency.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
    format!("{}{currency}: {}", series.name, points.join(", "))
}
