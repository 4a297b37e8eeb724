use crate::period::day_ago;
use crate::{Axis, Frame, Metric, Question, Shape, Unit, sql};

/// What customers owe today, by age and currency.
#[must_use]
pub fn open_receivables(frame: &Frame) -> Question {
    let invoices = sql::table(&frame.schema, "invoices");
    let ages = sql::with_rows("ages (age, from_utc, to_utc)", ages(frame));
    let finalised = sql::unix("status_transitions", "finalized_at");
    let sql = format!(
        "{ages},
owed AS (
    SELECT status, currency, amount_remaining, coalesce(due_date, {finalised}, created) AS due
    FROM {invoices}
    WHERE status IN ('open', 'uncollectible') AND amount_remaining <> 0 AND NOT _deleted
)
SELECT a.age, o.status AS series, o.currency, sum(o.amount_remaining) AS amount
FROM owed AS o
JOIN ages AS a ON o.due >= a.from_utc AND o.due < a.to_utc
GROUP BY a.age, o.status, o.currency
ORDER BY o.status, o.currency, a.age"
    );
    let metric = Metric {
        id: "open_receivables",
        title: "Open receivables by age",
        definition: "Sum of amount_remaining of open invoices, for each currency, by the days since they were due; \
            an invoice without due date counts from the day it was finalised. Uncollectible invoices stand apart. \
            Days are calendar days of the time zone; what is due today is not overdue. This is the present state: \
            a past day cannot be asked for, since the tables do not say when an invoice was partly paid.",
        settings: vec![frame.as_of(), frame.time_zone()],
        unit: Unit::Money,
        shape: Shape::Bars,
    };
    let names = AGES.iter().map(|(name, _, _)| (*name).to_owned()).collect();
    Question { metric, sql, tables: &["invoices"], axis: Axis::Names { title: "Age", names } }
}

/// Names of the ages with their first and last day.
const AGES: [(&str, Option<u64>, Option<u64>); 5] = [
    ("not due", None, Some(0)),
    ("1-30 days", Some(1), Some(30)),
    ("31-60 days", Some(31), Some(60)),
    ("61-90 days", Some(61), Some(90)),
    ("over 90 days", Some(91), None),
];

/// The stretch of due dates of each age: the older, the earlier.
fn ages(frame: &Frame) -> impl Iterator<Item = String> {
    let begins = |ago| sql::moment(day_ago(frame.tz, frame.now, ago));
    AGES.iter().map(move |(name, youngest, oldest)| {
        let from = oldest.map_or_else(|| "TIMESTAMP '-infinity'".to_owned(), begins);
        let to = youngest.map_or_else(|| "TIMESTAMP 'infinity'".to_owned(), |days| begins(days - 1));
        format!("({}, {from}, {to})", sql::text(name))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Account, at, invoice};

    fn due(id: &str, when: &str, remaining: i64) -> Value {
        let more = json!({"due_date": at(when), "amount_remaining": remaining});
        invoice(id, "2026-01-01T12:00:00Z", more)
    }

    #[tokio::test]
    async fn ages_are_calendar_days_of_the_time_zone() {
        // Asked on 23 November, 07:00 in New York.
        let account = Account::of(vec![
            due("in_next", "2026-12-24T00:00:00-05:00", 1),
            due("in_today", "2026-11-23T00:00:00-05:00", 10),
            due("in_1", "2026-11-22T23:59:59-05:00", 100),
            due("in_30", "2026-10-24T00:00:00-04:00", 1_000),
            due("in_31", "2026-10-23T23:59:59-04:00", 10_000),
            due("in_60", "2026-09-24T00:00:00-04:00", 100_000),
            due("in_61", "2026-09-23T23:59:59-04:00", 1_000_000),
            due("in_90", "2026-08-25T00:00:00-04:00", 10_000_000),
            due("in_91", "2026-08-24T23:59:59-04:00", 100_000_000),
        ])
        .await;
        let young = "not due 11, 1-30 days 1100, 31-60 days 110000";
        let old = "61-90 days 11000000, over 90 days 100000000";
        assert_eq!(account.ask(open_receivables).await, [format!("open usd: {young}, {old}")]);
    }

    #[tokio::test]
    async fn uncollectible_and_other_currencies_stand_apart() {
        let day = "2026-11-01T12:00:00Z";
        let account = Account::of(vec![
            invoice("in_1", day, json!({"amount_remaining": 10})),
            invoice("in_2", day, json!({"amount_remaining": 20, "currency": "jpy"})),
            invoice("in_3", day, json!({"amount_remaining": 30, "status": "uncollectible"})),
            invoice("in_4", day, json!({"amount_remaining": 40, "status": "void"})),
            invoice("in_5", day, json!({"amount_remaining": 0, "currency": "chf"})),
            invoice("in_6", day, json!({"amount_remaining": 50, "status": "draft"})),
            invoice("in_7", day, json!({"amount_remaining": 60})),
        ])
        .await;
        account.delete("invoices", "in_7").await;
        assert_eq!(
            account.ask(open_receivables).await,
            [
                "open jpy: not due 0, 1-30 days 20, 31-60 days 0, 61-90 days 0, over 90 days 0",
                "open usd: not due 0, 1-30 days 10, 31-60 days 0, 61-90 days 0, over 90 days 0",
                "uncollectible usd: not due 0, 1-30 days 30, 31-60 days 0, 61-90 days 0, over 90 days 0",
            ]
        );
    }
}
