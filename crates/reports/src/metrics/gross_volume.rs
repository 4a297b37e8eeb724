use crate::{Axis, Frame, Metric, Question, Shape, Unit, sql};

/// What was charged: captured amounts by month and currency.
#[must_use]
pub fn gross_volume(frame: &Frame) -> Question {
    let (months, charges) = (sql::with_months(&frame.months), sql::table(&frame.schema, "charges"));
    let sql = format!(
        "{months}
SELECT m.month, 'gross volume' AS series, c.currency, coalesce(sum(c.amount_captured), 0) AS amount
FROM {charges} AS c
JOIN months AS m ON c.created >= m.from_utc AND c.created < m.to_utc
WHERE c.status = 'succeeded' AND NOT c._deleted
GROUP BY m.month, c.currency
ORDER BY c.currency, m.month"
    );
    let metric = Metric {
        id: "gross_volume",
        title: "Gross volume",
        definition: "Sum of amount_captured of succeeded charges, by the month in which the charge was created, for \
            each currency. An authorisation that is not captured adds nothing; later refunds and disputes take \
            nothing away.",
        settings: vec![frame.time_zone()],
        unit: Unit::Money,
        shape: Shape::Stacked,
    };
    Question { metric, sql, tables: &["charges"], axis: Axis::Months(frame.months.clone()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Account, charge};

    #[tokio::test]
    async fn trap_25_currencies_are_never_added() {
        let account = Account::of(vec![
            charge("ch_1", "2026-09-10T12:00:00Z", json!({"amount_captured": 1000})),
            charge("ch_2", "2026-09-11T12:00:00Z", json!({"amount_captured": 99})),
            charge("ch_3", "2026-11-02T12:00:00Z", json!({"amount_captured": 5000, "currency": "jpy"})),
            charge("ch_4", "2026-11-02T12:00:00Z", json!({"amount_captured": 700, "currency": "kwd"})),
        ])
        .await;
        assert_eq!(
            account.ask(gross_volume).await,
            [
                "gross volume jpy: 2026-09 0, 2026-10 0, 2026-11 5000 (incomplete)",
                "gross volume kwd: 2026-09 0, 2026-10 0, 2026-11 700 (incomplete)",
                "gross volume usd: 2026-09 1099, 2026-10 0, 2026-11 0 (incomplete)",
            ]
        );
    }

    #[tokio::test]
    async fn months_are_those_of_the_time_zone() {
        let account = Account::of(vec![
            charge("ch_1", "2026-09-30T23:30:00-04:00", json!({"amount_captured": 1})),
            charge("ch_2", "2026-10-01T00:00:00-04:00", json!({"amount_captured": 10})),
            charge("ch_3", "2026-10-31T23:59:59-04:00", json!({"amount_captured": 100})),
            charge("ch_4", "2026-11-01T00:00:00-04:00", json!({"amount_captured": 1000})),
        ])
        .await;
        let told = account.ask(gross_volume).await;
        assert_eq!(told, ["gross volume usd: 2026-09 1, 2026-10 110, 2026-11 1000 (incomplete)"]);
    }

    #[tokio::test]
    async fn months_end_an_hour_later_in_utc_once_clocks_went_back() {
        // New York is 5 hours behind UTC in January and February, 4 at the end of March.
        let account = Account::of(vec![
            charge("ch_1", "2026-02-01T04:30:00Z", json!({"amount_captured": 1})),
            charge("ch_2", "2026-03-01T04:30:00Z", json!({"amount_captured": 10})),
            charge("ch_3", "2026-04-01T03:30:00Z", json!({"amount_captured": 100})),
            charge("ch_4", "2026-04-01T04:30:00Z", json!({"amount_captured": 1000})),
        ])
        .await;
        let told = account.ask(gross_volume).await;
        let months = "2026-01 1, 2026-02 10, 2026-03 100, 2026-04 1000, 2026-05 0";
        assert!(told[0].starts_with(&format!("gross volume usd: {months}")), "{told:?}");
    }

    #[tokio::test]
    async fn refunds_take_nothing_away_and_what_is_not_captured_adds_nothing() {
        let day = "2026-11-02T12:00:00Z";
        let refunded = json!({"amount_captured": 500, "amount_refunded": 500, "refunded": true});
        let authorised = json!({"amount": 900, "amount_captured": 0, "captured": false});
        let account = Account::of(vec![
            charge("ch_refunded", day, refunded),
            charge("ch_authorised", day, authorised),
            charge("ch_part", day, json!({"amount": 900, "amount_captured": 30})),
            charge("ch_failed", day, json!({"amount_captured": 7, "status": "failed"})),
            charge("ch_pending", day, json!({"amount_captured": 7, "status": "pending"})),
        ])
        .await;
        assert_eq!(account.ask(gross_volume).await, ["gross volume usd: 2026-11 530 (incomplete)"]);
    }

    #[tokio::test]
    async fn trap_25_amounts_beyond_32_bits_add_up_and_deleted_rows_do_not_count() {
        let large = json!({"amount_captured": 4_000_000_000_000_000_i64, "currency": "idr"});
        let account = Account::of(vec![
            charge("ch_1", "2026-11-02T12:00:00Z", large.clone()),
            charge("ch_2", "2026-11-02T12:00:00Z", large.clone()),
            charge("ch_3", "2026-11-02T12:00:00Z", large),
        ])
        .await;
        account.delete("charges", "ch_3").await;
        let told = account.ask(gross_volume).await;
        assert_eq!(told, ["gross volume idr: 2026-11 8000000000000000 (incomplete)"]);
    }
}
