use crate::{Axis, Frame, Metric, Question, Shape, Unit, sql};

/// What was invoiced: totals by month of finalisation and currency.
#[must_use]
pub fn invoices_billed(frame: &Frame) -> Question {
    let (months, invoices) = (sql::with_months(&frame.months), sql::table(&frame.schema, "invoices"));
    let finalised = sql::unix("status_transitions", "finalized_at");
    let sql = format!(
        "{months},
billed AS (
    SELECT currency, coalesce({finalised}, created) AS finalised,
        total - coalesce(pre_payment_credit_notes_amount, 0) - coalesce(post_payment_credit_notes_amount, 0)
            AS amount
    FROM {invoices}
    WHERE status IN ('open', 'paid', 'uncollectible') AND NOT _deleted
)
SELECT m.month, 'billed' AS series, b.currency, coalesce(sum(b.amount), 0) AS amount
FROM billed AS b
JOIN months AS m ON b.finalised >= m.from_utc AND b.finalised < m.to_utc
GROUP BY m.month, b.currency
ORDER BY b.currency, m.month"
    );
    let metric = Metric {
        id: "invoices_billed",
        title: "Billed",
        definition: "Sum of total of the invoices finalised in the month, less their credit notes, for each \
            currency. Drafts and void invoices are left out; paid, open and uncollectible ones count. A credit note \
            counts in the month of its invoice: its own date is not in the tables. An invoice that is voided later \
            leaves the month in which it was. Where Stripe gives no date of finalisation, that of creation stands \
            in.",
        settings: vec![frame.time_zone()],
        unit: Unit::Money,
        shape: Shape::Stacked,
    };
    Question { metric, sql, tables: &["invoices"], axis: Axis::Months(frame.months.clone()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Account, at, invoice};

    #[tokio::test]
    async fn counts_by_the_day_of_finalisation_in_the_time_zone() {
        let edge = json!({"finalized_at": at("2026-10-31T23:30:00-04:00")});
        let account = Account::of(vec![
            invoice("in_1", "2026-09-01T12:00:00Z", json!({"total": 1000, "status_transitions": edge})),
            invoice("in_2", "2026-11-02T12:00:00Z", json!({"total": 50, "currency": "eur"})),
            invoice("in_3", "2026-11-02T12:00:00Z", json!({"total": 70, "status": "uncollectible"})),
            invoice("in_old", "2026-11-02T12:00:00Z", json!({"total": 1, "status_transitions": null})),
        ])
        .await;
        assert_eq!(
            account.ask(invoices_billed).await,
            [
                "billed eur: 2026-10 0, 2026-11 50 (incomplete)",
                "billed usd: 2026-10 1000, 2026-11 71 (incomplete)",
            ]
        );
    }

    #[tokio::test]
    async fn drafts_void_and_deleted_invoices_are_left_out_and_credit_notes_taken_off() {
        let day = "2026-11-02T12:00:00Z";
        let credits = json!({"total": 1000, "pre_payment_credit_notes_amount": 100,
            "post_payment_credit_notes_amount": 20});
        let account = Account::of(vec![
            invoice("in_1", day, credits),
            invoice("in_draft", day, json!({"total": 7, "status": "draft"})),
            invoice("in_void", day, json!({"total": 7, "status": "void"})),
            invoice("in_gone", day, json!({"total": 7})),
        ])
        .await;
        account.delete("invoices", "in_gone").await;
        assert_eq!(account.ask(invoices_billed).await, ["billed usd: 2026-11 880 (incomplete)"]);
    }
}
