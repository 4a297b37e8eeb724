use crate::{Axis, Frame, Metric, Period, Question, Shape, Unit, sql};

/// How many subscriptions there were at the end of each month.
#[must_use]
pub fn subscriptions_by_month(frame: &Frame) -> Question {
    let subscriptions = sql::table(&frame.schema, "subscriptions");
    let ends = frame.months.iter().map(|month| end(month, frame));
    let ends = sql::with_rows("months (month, end_utc)", ends);
    let sql = format!(
        "{ends},
lives AS (
    SELECT created, coalesce(trial_start, created) AS trial_start, trial_end,
        coalesce(ended_at, CASE WHEN status = 'canceled' THEN coalesce(canceled_at, created) END) AS ended
    FROM {subscriptions}
    WHERE status NOT IN ('incomplete', 'incomplete_expired', 'paused', 'unpaid')
        AND (pause_collection IS NULL OR status IN ('canceled', 'trialing')) AND NOT _deleted
),
alive AS (
    SELECT m.month, CASE WHEN l.trial_start < m.end_utc AND l.trial_end >= m.end_utc
        THEN 'trialing (not counted)' ELSE 'active' END AS series
    FROM lives AS l
    JOIN months AS m ON l.created < m.end_utc AND coalesce(l.ended, TIMESTAMP 'infinity') >= m.end_utc
)
SELECT month, series, NULL AS currency, count(*) AS subscriptions
FROM alive
GROUP BY month, series
ORDER BY series, month"
    );
    let metric = Metric {
        id: "subscriptions_by_month",
        title: "Subscriptions at month end",
        definition: "Subscriptions that had begun and not ended when the month ended (the present month: now), \
            rebuilt from created and ended_at; those in their trial then stand apart and are not counted. Stripe \
            tells only the present status, so one that was past due then counts as active, and one that is paused, \
            unpaid or incomplete now is left out of every month.",
        settings: vec![frame.time_zone()],
        unit: Unit::Count,
        shape: Shape::Lines,
    };
    Question { metric, sql, tables: &["subscriptions"], axis: Axis::Months(frame.months.clone()) }
}

/// The month and the moment it ended; a month that is not over has come to now.
fn end(month: &Period, frame: &Frame) -> String {
    format!("({}, {})", sql::text(&month.label), sql::moment(month.to.min(frame.now)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Account, at, over, subscription};

    #[tokio::test]
    async fn a_subscription_counts_at_the_end_of_each_month_it_lived_through() {
        let canceled = |ended: &str| json!({"status": "canceled", "ended_at": at(ended)});
        let account = Account::of(vec![
            // Began and ended within half an hour of months' ends in New York.
            subscription("sub_1", "2026-08-31T23:30:00-04:00", canceled("2026-10-31T23:30:00-04:00")),
            subscription("sub_2", "2026-09-01T00:00:00-04:00", canceled("2026-11-01T00:00:00-04:00")),
            subscription("sub_3", "2026-11-23T11:59:59Z", json!({})),
            subscription("sub_4", "2026-11-02T12:00:00Z", canceled("2026-11-03T12:00:00Z")),
            subscription("sub_5", "2026-09-05T12:00:00Z", json!({"status": "past_due"})),
            subscription("sub_6", "2026-09-05T12:00:00Z", json!({"status": "incomplete_expired"})),
            subscription("sub_7", "2026-09-05T12:00:00Z", json!({"status": "unpaid"})),
            subscription("sub_8", "2026-09-05T12:00:00Z", json!({})),
        ])
        .await;
        account.delete("subscriptions", "sub_8").await;
        let told = account.ask(subscriptions_by_month).await;
        assert_eq!(told, ["active: 2026-08 1, 2026-09 3, 2026-10 2, 2026-11 2 (incomplete)"]);
    }

    #[tokio::test]
    async fn trials_stand_apart_until_they_end() {
        let trial =
            json!({"trial_start": at("2026-08-20T12:00:00Z"), "trial_end": at("2026-09-20T12:00:00Z")});
        let account = Account::of(vec![subscription("sub_1", "2026-08-20T12:00:00Z", trial)]).await;
        assert_eq!(
            account.ask(subscriptions_by_month).await,
            [
                "active: 2026-08 0, 2026-09 1, 2026-10 1, 2026-11 1 (incomplete)",
                "trialing (not counted): 2026-08 1, 2026-09 0, 2026-10 0, 2026-11 0 (incomplete)",
            ]
        );
    }

    #[tokio::test]
    async fn the_present_month_agrees_with_the_present_count() {
        let day = "2026-10-01T12:00:00Z";
        let trial =
            json!({"status": "trialing", "trial_start": at(day), "trial_end": at("2026-12-01T00:00:00Z")});
        let pause = json!({"pause_collection": {"behavior": "void"}});
        let account = Account::of(vec![
            subscription("sub_1", day, json!({})),
            subscription("sub_2", day, trial.clone()),
            subscription("sub_3", day, pause.clone()),
            subscription("sub_5", day, over(trial.clone(), pause)),
            subscription("sub_4", day, json!({"status": "canceled", "canceled_at": at(day)})),
        ])
        .await;
        let now = account.ask(crate::metrics::active_subscriptions).await;
        assert_eq!(now[0], "active: 2026-11-23 1");
        assert_eq!(now[2], "trialing (not counted): 2026-11-23 2");
        assert_eq!(
            account.ask(subscriptions_by_month).await,
            [
                "active: 2026-10 1, 2026-11 1 (incomplete)",
                "trialing (not counted): 2026-10 2, 2026-11 2 (incomplete)",
            ]
        );
    }

    #[tokio::test]
    async fn one_that_was_paused_when_it_ended_counts_for_the_months_before() {
        let ended = json!({"status": "canceled", "ended_at": at("2026-10-15T12:00:00Z"),
            "pause_collection": {"behavior": "void"}});
        let account = Account::of(vec![
            subscription("sub_1", "2026-09-01T12:00:00Z", ended),
            subscription("sub_2", "2026-11-01T12:00:00Z", json!({})),
        ])
        .await;
        let told = account.ask(subscriptions_by_month).await;
        assert_eq!(told, ["active: 2026-09 1, 2026-10 0, 2026-11 1 (incomplete)"]);
    }
}
