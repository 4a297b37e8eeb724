use crate::{Axis, Frame, Metric, Question, Shape, Unit, sql};

/// How many attempts to pay failed, by month.
#[must_use]
pub fn failed_payments(frame: &Frame) -> Question {
    let (months, charges) = (sql::with_months(&frame.months), sql::table(&frame.schema, "charges"));
    let sql = format!(
        "{months}
SELECT m.month, 'failed' AS series, NULL AS currency, count(*) AS charges
FROM {charges} AS c
JOIN months AS m ON c.created >= m.from_utc AND c.created < m.to_utc
WHERE c.status = 'failed' AND NOT c._deleted
GROUP BY m.month
ORDER BY m.month"
    );
    let metric = Metric {
        id: "failed_payments",
        title: "Failed payments",
        definition: "Charges whose status is failed, by the month in which they were created. Each attempt counts, \
            retries too. An authorisation that waits for capture has not failed.",
        settings: vec![frame.time_zone()],
        unit: Unit::Count,
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
    async fn an_open_authorisation_is_not_a_failure() {
        let account = Account::of(vec![
            charge("ch_1", "2026-10-02T12:00:00Z", json!({"status": "failed"})),
            charge("ch_2", "2026-10-03T12:00:00Z", json!({"status": "failed", "currency": "eur"})),
            charge("ch_3", "2026-10-04T12:00:00Z", json!({"captured": false, "amount_captured": 0})),
            charge("ch_4", "2026-10-04T12:00:00Z", json!({"status": "pending"})),
            charge("ch_5", "2026-11-04T12:00:00Z", json!({"status": "failed"})),
        ])
        .await;
        account.delete("charges", "ch_5").await;
        assert_eq!(account.ask(failed_payments).await, ["failed: 2026-10 2, 2026-11 0 (incomplete)"]);
    }
}
