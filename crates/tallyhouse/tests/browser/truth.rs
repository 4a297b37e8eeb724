//! The simulated Stripe's own objects as a table of JSON, and each card of Home as SQL over it. Written from the
//! definitions of the metrics and from Stripe's reference, not from the program's own SQL.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::{America::New_York, Tz};
use duckdb::{Connection, params};

use crate::{Cells, source};

/// The zone of the simulated account.
const ZONE: Tz = New_York;

/// SQL for each card, by its id: row, column, value. Rates are in parts of 100,000, rounded down: only all is all.
pub(crate) const CARDS: [(&str, &str); 9] = [
    (
        "active_subscriptions",
        "SELECT (SELECT label FROM today), CASE
            WHEN body->>'status' = 'trialing' THEN 'Trialing (not counted)'
            WHEN body->>'status' = 'paused' OR json_type(body->'pause_collection') = 'OBJECT' THEN 'Paused (not counted)'
            WHEN body->>'status' = 'past_due' THEN 'Past due, at risk' ELSE 'Active' END, count(*)
         FROM truth WHERE kind = 'subscription' AND body->>'status' IN ('active', 'past_due', 'trialing', 'paused')
         GROUP BY ALL",
    ),
    (
        "decline_reasons",
        "SELECT label, body->>'failure_code', count(*) FROM truth JOIN months ON happened(body->'created', begins, ends)
         WHERE kind = 'charge' AND body->>'status' = 'failed' GROUP BY ALL",
    ),
    (
        "failed_payments",
        "SELECT label, 'Failed', count(*) FROM truth JOIN months ON happened(body->'created', begins, ends)
         WHERE kind = 'charge' AND body->>'status' = 'failed' GROUP BY ALL",
    ),
    (
        "gross_volume",
        "SELECT label, 'Gross volume ' || upper(body->>'currency'), sum((body->>'amount_captured')::BIGINT)
         FROM truth JOIN months ON happened(body->'created', begins, ends)
         WHERE kind = 'charge' AND body->>'status' = 'succeeded' GROUP BY ALL",
    ),
    (
        "invoices_billed",
        "SELECT label, 'Billed ' || upper(body->>'currency'), sum((body->>'total')::BIGINT
            - (body->>'pre_payment_credit_notes_amount')::BIGINT - (body->>'post_payment_credit_notes_amount')::BIGINT)
         FROM truth JOIN months ON happened(body->'status_transitions'->'finalized_at', begins, ends)
         WHERE kind = 'invoice' AND body->>'status' NOT IN ('draft', 'void') GROUP BY ALL",
    ),
    (
        "invoices_collected",
        "SELECT label, part.way || ' ' || upper(body->>'currency'), sum(part.amount)
         FROM truth JOIN months ON happened(body->'status_transitions'->'paid_at', begins, ends),
            LATERAL (VALUES ('Outside Stripe', (body->>'amount_paid_off_stripe')::BIGINT), ('Through Stripe',
                (body->>'amount_paid')::BIGINT - (body->>'amount_paid_off_stripe')::BIGINT)) AS part (way, amount)
         WHERE kind = 'invoice' GROUP BY ALL",
    ),
    (
        "open_receivables",
        "SELECT label, upper((body->>'status')[1]) || (body->>'status')[2:] || ' ' || upper(body->>'currency'),
            sum((body->>'amount_remaining')::BIGINT)
         FROM truth JOIN ages ON coalesce(body->>'due_date', body->'status_transitions'->>'finalized_at')::BIGINT >= begins
            AND coalesce(body->>'due_date', body->'status_transitions'->>'finalized_at')::BIGINT < ends
         WHERE kind = 'invoice' AND body->>'status' IN ('open', 'uncollectible') GROUP BY ALL",
    ),
    (
        "payment_success_rate",
        "WITH attempts AS (SELECT body->>'payment_intent' AS payment, (body->>'created')::BIGINT AS second,
                body->>'status' AS status FROM truth WHERE kind = 'charge'),
            payments AS (SELECT min(second) AS second, arg_max(status, 2 * second + (status = 'succeeded')::INT) AS status
                FROM attempts GROUP BY payment),
            both_ways AS (SELECT 'Per attempt' AS way, second, status FROM attempts
                UNION ALL SELECT 'Per payment', second, status FROM payments)
         SELECT label, way, 100000 * count(*) FILTER (status = 'succeeded') // count(*)
         FROM both_ways JOIN months ON happened(second, begins, ends) WHERE status <> 'pending' GROUP BY ALL",
    ),
    (
        "subscriptions_by_month",
        "SELECT label, CASE WHEN (body->>'trial_start')::BIGINT < least(ends, (SELECT now FROM today))
                AND (body->>'trial_end')::BIGINT >= least(ends, (SELECT now FROM today))
                THEN 'Trialing (not counted)' ELSE 'Active' END, count(*)
         FROM truth JOIN months ON (body->>'created')::BIGINT < least(ends, (SELECT now FROM today))
            AND coalesce((body->>'ended_at')::BIGINT, 99999999999) >= least(ends, (SELECT now FROM today))
            AND begins <= (SELECT now FROM today)
         WHERE kind = 'subscription' AND body->>'status' NOT IN ('incomplete', 'incomplete_expired', 'paused', 'unpaid')
            AND (json_type(body->'pause_collection') IS DISTINCT FROM 'OBJECT' OR body->>'status' IN ('canceled', 'trialing'))
         GROUP BY ALL",
    ),
];

/// Everything that the simulated Stripe has, with the months and ages to count it by.
pub(crate) async fn load(stripe: &str) -> Connection {
    let truth = Connection::open_in_memory().unwrap();
    truth
        .execute_batch(
            "CREATE TABLE truth (kind VARCHAR, body JSON);
             CREATE TABLE months (label VARCHAR, begins BIGINT, ends BIGINT);
             CREATE TABLE ages (label VARCHAR, begins BIGINT, ends BIGINT);
             CREATE TABLE today (label VARCHAR, now BIGINT);
             CREATE MACRO happened(second, begins, ends) AS second::BIGINT >= begins AND second::BIGINT < ends;",
        )
        .unwrap();
    for kind in ["charge", "invoice", "subscription"] {
        let lines = source::truth(stripe, kind).await;
        let objects: Vec<&str> = lines.lines().collect();
        let list = format!("[{}]", objects.join(","));
        let insert = "INSERT INTO truth SELECT ?, unnest(from_json(?::JSON, '[\"JSON\"]'))";
        assert_eq!(truth.execute(insert, params![kind, list]).unwrap(), objects.len());
    }
    #[expect(clippy::disallowed_methods, reason = "the demo goes by the real time")]
    let now = Utc::now();
    calendar(&truth, now);
    truth
}

/// Months and ages as the account's zone has them at `now`.
fn calendar(truth: &Connection, now: DateTime<Utc>) {
    let mut month = NaiveDate::from_ymd_opt(2022, 1, 1).unwrap();
    while month.year() < 2030 {
        let next = month.checked_add_months(Months::new(1)).unwrap();
        let label = month.format("%Y-%m").to_string();
        let values = params![label, midnight(month), midnight(next)];
        truth.execute("INSERT INTO months VALUES (?, ?, ?)", values).unwrap();
        month = next;
    }
    let today = now.with_timezone(&ZONE).date_naive();
    let ago = |days| midnight(today.checked_sub_days(Days::new(days)).unwrap());
    let ages = [
        ("not due", ago(0), i64::MAX),
        ("1-30 days", ago(30), ago(0)),
        ("31-60 days", ago(60), ago(30)),
        ("61-90 days", ago(90), ago(60)),
        ("over 90 days", 0, ago(90)),
    ];
    for (label, begins, ends) in ages {
        truth.execute("INSERT INTO ages VALUES (?, ?, ?)", params![label, begins, ends]).unwrap();
    }
    let label = today.format("%Y-%m-%d").to_string();
    truth.execute("INSERT INTO today VALUES (?, ?)", params![label, now.timestamp()]).unwrap();
}

fn midnight(day: NaiveDate) -> i64 {
    ZONE.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest().unwrap().timestamp()
}

/// What a card should show, zeros left out.
pub(crate) fn cells(truth: &Connection, sql: &str) -> Cells {
    let mut statement = truth.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?))).unwrap();
    rows.map(Result::unwrap).filter(|(_, value)| *value != 0).collect()
}
