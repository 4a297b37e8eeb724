use crate::{Axis, Frame, Metric, Question, Shape, Unit, sql};

/// What was paid on invoices, by month of payment and currency.
#[must_use]
pub fn invoices_collected(frame: &Frame) -> Question {
    let (months, invoices) = (sql::with_months(&frame.months), sql::table(&frame.schema, "invoices"));
    let paid = sql::unix("status_transitions", "paid_at");
    let sql = format!(
        "{months},
paid AS (
    SELECT currency, amount_paid, coalesce(amount_paid_off_stripe, 0) AS elsewhere, {paid} AS paid_at
    FROM {invoices}
    WHERE NOT _deleted
),
collected AS (
    SELECT 'through Stripe' AS series, currency, amount_paid - elsewhere AS amount, paid_at FROM paid
    UNION ALL
    SELECT 'outside Stripe', currency, elsewhere, paid_at FROM paid
)
SELECT m.month, c.series, c.currency, sum(c.amount) AS amount
FROM collected AS c
JOIN months AS m ON c.paid_at >= m.from_utc AND c.paid_at < m.to_utc
WHERE c.amount <> 0
GROUP BY m.month, c.series, c.currency
ORDER BY c.currency, c.series DESC, m.month"
    );
    let metric = Metric {
        id: "invoices_collected",
        title: "Collected",
        definition: "Sum of amount_paid of the invoices that became paid in the month, for each currency; refunds \
            take nothing away. Outside Stripe is what Stripe itself reports so (amount_paid_off_stripe), through \
            Stripe is the rest: together they are what was collected. Not in the tables: when the parts of an invoice were paid, so a partly paid \
            invoice counts once it is paid in full, and then in one month; and which invoices were only marked as \
            paid, so they may stand among those paid through Stripe without being told apart.",
        settings: vec![frame.time_zone()],
        unit: Unit::Money,
        shape: Shape::Stacked,
    };
    Question { metric, sql, tables: &["invoices"], axis: Axis::Months(frame.months.clone()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Account, at, invoice, over};

    fn paid(id: &str, when: &str, more: Value) -> Value {
        let created = "2026-09-01T12:00:00Z";
        let transitions = json!({"finalized_at": at(created), "paid_at": at(when)});
        let plain = invoice(id, created, json!({"status": "paid", "status_transitions": transitions}));
        over(plain, more)
    }

    #[tokio::test]
    async fn counts_by_the_day_of_payment_in_the_time_zone() {
        let account = Account::of(vec![
            paid("in_1", "2026-10-31T23:30:00-04:00", json!({"amount_paid": 1000})),
            paid("in_2", "2026-11-01T00:00:00-04:00", json!({"amount_paid": 10})),
            paid("in_3", "2026-11-02T12:00:00Z", json!({"amount_paid": 5, "currency": "jpy"})),
            paid("in_free", "2026-11-02T12:00:00Z", json!({"amount_paid": 0, "currency": "chf"})),
            invoice("in_part", "2026-11-02T12:00:00Z", json!({"amount_paid": 7})),
        ])
        .await;
        assert_eq!(
            account.ask(invoices_collected).await,
            [
                "through Stripe jpy: 2026-10 0, 2026-11 5 (incomplete)",
                "through Stripe usd: 2026-10 1000, 2026-11 10 (incomplete)",
            ]
        );
    }

    #[tokio::test]
    async fn what_stripe_reports_as_paid_elsewhere_is_a_part_of_its_own() {
        let day = "2026-11-02T12:00:00Z";
        let account = Account::of(vec![
            paid("in_1", day, json!({"amount_paid": 1000, "amount_paid_off_stripe": 400})),
            paid("in_2", day, json!({"amount_paid": 10, "amount_paid_off_stripe": null})),
            paid("in_gone", day, json!({"amount_paid": 9})),
        ])
        .await;
        account.delete("invoices", "in_gone").await;
        assert_eq!(
            account.ask(invoices_collected).await,
            ["through Stripe usd: 2026-11 610 (incomplete)", "outside Stripe usd: 2026-11 400 (incomplete)"]
        );
    }
}
