use crate::{Axis, Frame, Metric, Question, Shape, Unit, sql};

/// How often paying works: of all attempts, and of all payments.
#[must_use]
pub fn payment_success_rate(frame: &Frame) -> Question {
    let (months, charges) = (sql::with_months(&frame.months), sql::table(&frame.schema, "charges"));
    // Times are whole seconds; the microseconds put attempts of one second in order, for none follows a success.
    let sql = format!(
        "{months},
payments AS (
    SELECT min(created) AS happened, arg_max(status, epoch_us(created)
        + CASE status WHEN 'succeeded' THEN 2 WHEN 'pending' THEN 1 ELSE 0 END) AS outcome
    FROM {charges}
    WHERE NOT _deleted
    GROUP BY coalesce(payment_intent, id)
),
outcomes AS (
    SELECT 'per payment' AS series, happened, outcome FROM payments
    UNION ALL
    SELECT 'per attempt', created, status FROM {charges} WHERE NOT _deleted
)
SELECT m.month, o.series, NULL AS currency, count(*) FILTER (o.outcome = 'succeeded') AS succeeded,
    count(*) AS decided
FROM outcomes AS o
JOIN months AS m ON o.happened >= m.from_utc AND o.happened < m.to_utc
WHERE o.outcome IN ('succeeded', 'failed')
GROUP BY m.month, o.series
ORDER BY o.series DESC, m.month"
    );
    let metric = Metric {
        id: "payment_success_rate",
        title: "Payment success rate",
        definition: "Per attempt: succeeded charges of all charges that succeeded or failed, by the month of the \
            charge. Per payment: the charges of one PaymentIntent are one payment, which counts by its last charge, \
            in the month of its first; a charge without PaymentIntent is a payment of its own. Retries lower only \
            the rate per attempt. Pending charges are not decided and left out; an authorisation that is not \
            captured has succeeded. A payment can still be retried, so the rate of recent months may rise. \
            PaymentIntents that never led to a charge are not seen.",
        settings: vec![frame.time_zone()],
        unit: Unit::Ratio,
        shape: Shape::Lines,
    };
    Question { metric, sql, tables: &["charges"], axis: Axis::Months(frame.months.clone()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Account, charge};

    #[tokio::test]
    async fn retries_lower_only_the_rate_per_attempt() {
        let failed = json!({"payment_intent": "pi_1", "status": "failed"});
        let account = Account::of(vec![
            charge("ch_1", "2026-10-30T12:00:00Z", failed.clone()),
            charge("ch_2", "2026-10-31T12:00:00Z", failed),
            charge("ch_3", "2026-11-02T12:00:00Z", json!({"payment_intent": "pi_1"})),
            charge("ch_4", "2026-11-03T12:00:00Z", json!({"payment_intent": "pi_2"})),
            charge("ch_5", "2026-11-03T12:00:00Z", json!({"payment_intent": "pi_3", "status": "failed"})),
        ])
        .await;
        assert_eq!(
            account.ask(payment_success_rate).await,
            [
                "per payment: 2026-10 1/1, 2026-11 1/2 (incomplete)",
                "per attempt: 2026-10 0/2, 2026-11 2/3 (incomplete)",
            ]
        );
    }

    #[tokio::test]
    async fn the_last_outcome_counts_even_within_one_second() {
        let at = "2026-11-02T12:00:00Z";
        let account = Account::of(vec![
            charge("ch_a", at, json!({"payment_intent": "pi_1"})),
            charge("ch_b", at, json!({"payment_intent": "pi_1", "status": "failed"})),
            charge("ch_c", at, json!({"payment_intent": "pi_2", "status": "failed"})),
            charge("ch_d", at, json!({"payment_intent": "pi_2"})),
        ])
        .await;
        assert_eq!(
            account.ask(payment_success_rate).await,
            ["per payment: 2026-11 2/2 (incomplete)", "per attempt: 2026-11 2/4 (incomplete)"]
        );
    }

    #[tokio::test]
    async fn pending_is_undecided_and_an_open_authorisation_no_failure() {
        let at = "2026-11-02T12:00:00Z";
        let account = Account::of(vec![
            charge("ch_1", at, json!({"status": "failed", "payment_intent": "pi_1"})),
            charge("ch_2", "2026-11-04T12:00:00Z", json!({"status": "pending", "payment_intent": "pi_1"})),
            charge("ch_3", at, json!({"captured": false, "amount_captured": 0})),
            charge("ch_4", at, json!({"status": "failed"})),
            charge("ch_5", at, json!({"status": "failed"})),
        ])
        .await;
        account.delete("charges", "ch_5").await;
        assert_eq!(
            account.ask(payment_success_rate).await,
            ["per payment: 2026-11 1/2 (incomplete)", "per attempt: 2026-11 1/3 (incomplete)"]
        );
    }

    #[tokio::test]
    async fn a_month_without_payments_has_no_rate() {
        let account = Account::of(vec![
            charge("ch_1", "2026-09-02T12:00:00Z", json!({})),
            charge("ch_2", "2026-11-02T12:00:00Z", json!({})),
        ])
        .await;
        assert_eq!(
            account.ask(payment_success_rate).await,
            [
                "per payment: 2026-09 1/1, 2026-10 0/0, 2026-11 1/1 (incomplete)",
                "per attempt: 2026-09 1/1, 2026-10 0/0, 2026-11 1/1 (incomplete)",
            ]
        );
    }
}
