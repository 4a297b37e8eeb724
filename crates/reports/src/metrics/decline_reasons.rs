use crate::{Axis, Frame, Metric, Question, Shape, Unit, sql};

/// Why attempts to pay failed, by month; most frequent reason first.
#[must_use]
pub fn decline_reasons(frame: &Frame) -> Question {
    let (months, charges) = (sql::with_months(&frame.months), sql::table(&frame.schema, "charges"));
    let sql = format!(
        "{months},
failed AS (
    SELECT m.month, coalesce(c.failure_code, c.outcome ->> '$.network_decline_code', c.outcome ->> '$.type',
        'no reason given') AS reason
    FROM {charges} AS c
    JOIN months AS m ON c.created >= m.from_utc AND c.created < m.to_utc
    WHERE c.status = 'failed' AND NOT c._deleted
),
counted AS (SELECT month, reason, count(*) AS charges FROM failed GROUP BY month, reason)
SELECT month, reason AS series, NULL AS currency, charges
FROM counted
ORDER BY sum(charges) OVER (PARTITION BY reason) DESC, reason, month"
    );
    let metric = Metric {
        id: "decline_reasons",
        title: "Decline reasons",
        definition: "Failed charges by reason: failure_code, else the network's decline code, else the type of the \
            outcome. Charges that carry none of them are kept as \"no reason given\", so the reasons add up to the \
            failed payments.",
        settings: vec![frame.time_zone()],
        unit: Unit::Count,
        shape: Shape::Stacked,
    };
    Question { metric, sql, tables: &["charges"], axis: Axis::Months(frame.months.clone()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Account, charge};

    fn failed(id: &str, code: Option<&str>, outcome: &Value) -> Value {
        let more = json!({"status": "failed", "failure_code": code, "outcome": outcome});
        charge(id, "2026-11-02T12:00:00Z", more)
    }

    #[tokio::test]
    async fn the_first_reason_there_is_counts_and_none_is_a_reason_too() {
        let declined = json!({"network_decline_code": "51", "type": "issuer_declined"});
        let blocked = json!({"network_decline_code": null, "type": "blocked"});
        let account = Account::of(vec![
            failed("ch_1", Some("card_declined"), &declined),
            failed("ch_2", Some("card_declined"), &Value::Null),
            failed("ch_3", None, &declined),
            failed("ch_4", None, &blocked),
            failed("ch_5", None, &Value::Null),
            charge("ch_6", "2026-11-02T12:00:00Z", json!({"outcome": {"type": "authorized"}})),
            failed("ch_7", Some("expired_card"), &Value::Null),
        ])
        .await;
        account.delete("charges", "ch_7").await;
        assert_eq!(
            account.ask(decline_reasons).await,
            [
                "card_declined: 2026-11 2 (incomplete)",
                "51: 2026-11 1 (incomplete)",
                "blocked: 2026-11 1 (incomplete)",
                "no reason given: 2026-11 1 (incomplete)",
            ]
        );
    }
}
