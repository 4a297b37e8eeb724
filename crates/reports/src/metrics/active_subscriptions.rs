use crate::{Axis, Frame, Metric, Question, Shape, Unit, sql};

/// How many subscriptions there are now, by status.
#[must_use]
pub fn active_subscriptions(frame: &Frame) -> Question {
    let subscriptions = sql::table(&frame.schema, "subscriptions");
    let today = frame.now.with_timezone(&frame.tz).format("%Y-%m-%d").to_string();
    let day = sql::text(&today);
    let sql = format!(
        "WITH present AS (
    SELECT CASE
        WHEN status = 'trialing' THEN 'trialing (not counted)'
        WHEN status = 'paused' OR pause_collection IS NOT NULL THEN 'paused (not counted)'
        WHEN status = 'past_due' THEN 'past due, at risk'
        ELSE 'active' END AS series
    FROM {subscriptions}
    WHERE status IN ('active', 'past_due', 'trialing', 'paused') AND NOT _deleted
)
SELECT {day} AS \"day\", series, NULL AS currency, count(*) AS subscriptions
FROM present
GROUP BY series
ORDER BY series"
    );
    let metric = Metric {
        id: "active_subscriptions",
        title: "Active subscriptions",
        definition: "Subscriptions whose status is active or past_due now; those past due are at risk. Trials and \
            paused ones (by status or by pause_collection) stand apart and are not counted; canceled, unpaid and \
            incomplete ones are not shown. One that will cancel at the end of its period counts until then. \
            Subscriptions without a price count as well.",
        settings: vec![frame.as_of(), frame.time_zone()],
        unit: Unit::Count,
        shape: Shape::Bars,
    };
    let axis = Axis::Names { title: "As of", names: vec![today] };
    Question { metric, sql, tables: &["subscriptions"], axis }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Account, subscription};

    #[tokio::test]
    async fn active_and_past_due_count_and_the_rest_stands_apart() {
        let day = "2026-10-01T12:00:00Z";
        let paused = json!({"pause_collection": {"behavior": "void", "resumes_at": null}});
        let account = Account::of(vec![
            subscription("sub_1", day, json!({"status": "active"})),
            subscription("sub_2", day, json!({"status": "active", "cancel_at_period_end": true})),
            subscription("sub_3", day, json!({"status": "past_due"})),
            subscription("sub_4", day, json!({"status": "trialing"})),
            subscription("sub_5", day, json!({"status": "paused"})),
            subscription("sub_6", day, paused),
            subscription("sub_7", day, json!({"status": "canceled"})),
            subscription("sub_8", day, json!({"status": "unpaid"})),
            subscription("sub_9", day, json!({"status": "incomplete"})),
            subscription("sub_10", day, json!({"status": "incomplete_expired"})),
            subscription("sub_11", day, json!({"status": "active"})),
        ])
        .await;
        account.delete("subscriptions", "sub_11").await;
        assert_eq!(
            account.ask(active_subscriptions).await,
            [
                "active: 2026-11-23 2",
                "past due, at risk: 2026-11-23 1",
                "paused (not counted): 2026-11-23 2",
                "trialing (not counted): 2026-11-23 1",
            ]
        );
    }
}
