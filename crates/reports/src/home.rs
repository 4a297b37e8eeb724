use warehouse::SchemaName;

use crate::{Frame, Query, Question, Report, ReportError, Settings, answer, metrics};

/// The metrics of the first page, in its order.
#[must_use]
pub fn questions(frame: &Frame) -> Vec<Question> {
    vec![
        metrics::gross_volume(frame),
        metrics::payment_success_rate(frame),
        metrics::failed_payments(frame),
        metrics::decline_reasons(frame),
        metrics::invoices_billed(frame),
        metrics::invoices_collected(frame),
        metrics::open_receivables(frame),
        metrics::active_subscriptions(frame),
        metrics::subscriptions_by_month(frame),
    ]
}

/// Asks for all metrics of the first page, one after the other. Tables without rows give reports without series.
///
/// # Errors
/// The first [`ReportError`]; ask [`questions`] one by one with [`answer()`] to show what can be shown.
pub async fn home(
    reader: &impl Query,
    schema: &SchemaName,
    settings: &Settings,
) -> Result<Vec<Report>, ReportError> {
    let frame = Frame::new(schema, settings);
    let mut reports = Vec::new();
    for question in questions(&frame) {
        reports.push(answer(reader, schema, question).await?);
    }
    Ok(reports)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{AS_OF, Account, charge, schema, settings};

    #[tokio::test]
    async fn empty_tables_give_empty_series() {
        let account = Account::of(Vec::new()).await;
        let reports = home(&account.reader(), &schema(), &settings()).await.unwrap();
        assert_eq!(reports.len(), 9);
        for report in reports {
            assert!(report.series.is_empty(), "{}", report.metric.id);
            assert_eq!(report.freshness, None);
        }
    }

    #[tokio::test]
    async fn a_report_says_when_its_rows_were_as_shown_and_how_to_ask_again() {
        let account = Account::of(vec![charge("ch_1", "2026-11-02T12:00:00Z", json!({}))]).await;
        let reports = home(&account.reader(), &schema(), &settings()).await.unwrap();
        let volume = &reports[0];
        assert_eq!(volume.freshness, Some(AS_OF.parse().unwrap()));
        let again = account.reader().query(&volume.sql, Vec::new()).await.unwrap();
        assert_eq!(again.rows.len(), 1);
        let shown = serde_json::to_value(volume).unwrap();
        assert_eq!(shown["metric"]["settings"][0], json!({"name": "Time zone", "value": "America/New_York"}));
        let points = json!([{"period": "2026-11", "value": 1000, "incomplete": true}]);
        let series = json!({"name": "gross volume", "currency": "usd", "points": points});
        assert_eq!(shown["series"], json!([series]));
    }

    #[tokio::test]
    async fn a_table_that_is_not_there_is_an_error_that_names_the_metric() {
        let account = Account::of(Vec::new()).await;
        let other = SchemaName::new("other").unwrap();
        let error = home(&account.reader(), &other, &settings()).await.unwrap_err();
        assert_eq!(error.to_string(), "could not ask for gross_volume");
    }

    #[test]
    fn a_metric_declares_every_table_that_its_sql_reads_and_no_other() {
        for question in questions(&Frame::new(&schema(), &settings())) {
            let read = catalog::tables().map(|table| table.name);
            let read = read.filter(|name| question.sql.contains(&crate::sql::table(&schema(), name)));
            assert_eq!(read.collect::<Vec<_>>(), question.tables, "{}", question.metric.id);
        }
    }

    #[test]
    fn only_series_that_are_parts_of_one_whole_are_stacked() {
        let questions = questions(&Frame::new(&schema(), &settings()));
        let apart = questions.iter().filter(|question| question.metric.shape != crate::Shape::Stacked);
        let apart: Vec<_> = apart.map(|question| question.metric.id).collect();
        let expected =
            ["payment_success_rate", "open_receivables", "active_subscriptions", "subscriptions_by_month"];
        assert_eq!(apart, expected);
    }

    #[test]
    fn ids_are_unique() {
        let questions = questions(&Frame::new(&schema(), &settings()));
        let mut ids: Vec<_> = questions.iter().map(|question| question.metric.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), questions.len());
    }
}
