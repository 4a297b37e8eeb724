//! From the rows of an answer to series.

use chrono::{DateTime, Utc};
use warehouse::{QueryTable, SchemaName, Value};

use crate::metric::Axis;
use crate::{Number, Point, Query, Question, Report, ReportError, Series, Unit, sql};

/// Asks one question. `schema` is that of the question's frame.
///
/// # Errors
/// [`ReportError`], when the warehouse does not answer or answers something else.
pub async fn answer(
    reader: &impl Query,
    schema: &SchemaName,
    question: Question,
) -> Result<Report, ReportError> {
    let metric = question.metric.id;
    let failed = |source| ReportError::Ask { metric, source };
    let newest = newest(schema, question.tables);
    let freshness = moment(&reader.query(&newest).await.map_err(failed)?);
    let table = reader.query(&question.sql).await.map_err(failed)?;
    let series = series(&question, &table)?;
    Ok(Report { metric: question.metric, axis: question.axis, series, sql: question.sql, freshness })
}

fn newest(schema: &SchemaName, tables: &[&str]) -> String {
    let each =
        tables.iter().map(|table| format!("SELECT max(_as_of) AS newest FROM {}", sql::table(schema, table)));
    format!("SELECT max(newest) AS newest FROM ({})", each.collect::<Vec<_>>().join(" UNION ALL "))
}

fn moment(table: &QueryTable) -> Option<DateTime<Utc>> {
    if let Value::Timestamp(at) = table.rows.first()?.first()? { Some(at.and_utc()) } else { None }
}

/// A number and where it belongs.
struct Cell {
    period: String,
    series: String,
    currency: Option<String>,
    value: Number,
}

/// The numbers of one series by period, under its name and currency.
type Group = ((String, Option<String>), Vec<(String, Number)>);

fn series(question: &Question, table: &QueryTable) -> Result<Vec<Series>, ReportError> {
    let metric = question.metric.id;
    if table.truncated {
        return Err(ReportError::TooLong { metric });
    }
    let mut groups: Vec<Group> = Vec::new();
    for (row, values) in table.rows.iter().enumerate() {
        let cell = cell(values, question.metric.unit).filter(|cell| question.axis.has(&cell.period));
        let cell = cell.ok_or(ReportError::Shape { metric, row })?;
        let key = (cell.series, cell.currency);
        let number = (cell.period, cell.value);
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, numbers)) => numbers.push(number),
            None => groups.push((key, vec![number])),
        }
    }
    let periods = periods(&question.axis, &groups);
    let nothing = nothing(question.metric.unit);
    Ok(groups.into_iter().map(|group| drawn(group, &periods, nothing)).collect())
}

fn cell(row: &[Value], unit: Unit) -> Option<Cell> {
    let mut row = row.iter();
    let period = row.next()?.as_str()?.to_owned();
    let series = row.next()?.as_str()?.to_owned();
    let currency = row.next()?.as_str().map(str::to_owned);
    let value = row.next()?.as_i64()?;
    let value = match unit {
        Unit::Money | Unit::Count => Number::Whole(value),
        Unit::Ratio => Number::Ratio { num: value, den: row.next()?.as_i64()? },
    };
    Some(Cell { period, series, currency, value })
}

/// The periods to draw, and whether each is unfinished. All series of a report are drawn alike.
fn periods(axis: &Axis, groups: &[Group]) -> Vec<(String, bool)> {
    let has = |label: &str| groups.iter().flat_map(|(_, numbers)| numbers).any(|(period, _)| period == label);
    match axis {
        Axis::Months(months) => {
            let from_first = months.iter().skip_while(|month| !has(&month.label));
            from_first.map(|month| (month.label.clone(), month.incomplete)).collect()
        }
        Axis::Names { names, .. } => names.iter().map(|name| (name.clone(), false)).collect(),
    }
}

/// What a period without rows has.
fn nothing(unit: Unit) -> Number {
    match unit {
        Unit::Money | Unit::Count => Number::Whole(0),
        Unit::Ratio => Number::Ratio { num: 0, den: 0 },
    }
}

fn drawn(((name, currency), numbers): Group, periods: &[(String, bool)], nothing: Number) -> Series {
    let points = periods.iter().map(|(label, incomplete)| {
        let value = numbers.iter().find(|(period, _)| period == label).map_or(nothing, |(_, value)| *value);
        Point { period: label.clone(), value, incomplete: *incomplete }
    });
    Series { name, currency, points: points.collect() }
}

#[cfg(test)]
mod tests {
    use warehouse::QueryError;

    use super::*;
    use crate::testing::{schema, settings};
    use crate::{Frame, metrics};

    /// Answers every question with the same rows.
    struct Always {
        rows: Vec<Vec<Value>>,
        truncated: bool,
    }

    impl Query for Always {
        async fn query(&self, _: &str) -> Result<QueryTable, QueryError> {
            Ok(QueryTable { columns: Vec::new(), rows: self.rows.clone(), truncated: self.truncated })
        }
    }

    async fn asked(answers: Always) -> Result<Report, ReportError> {
        let question = metrics::gross_volume(&Frame::new(&schema(), &settings()));
        answer(&answers, &schema(), question).await
    }

    fn row(month: &str, amount: Value) -> Vec<Value> {
        let text = |text: &str| Value::Text(text.to_owned());
        vec![text(month), text("gross volume"), text("usd"), amount]
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_is_not_drawn() {
        let rows = vec![row("2026-11", Value::Integer(1))];
        assert!(asked(Always { rows: rows.clone(), truncated: false }).await.is_ok());
        let cut = asked(Always { rows, truncated: true }).await;
        assert!(matches!(cut, Err(ReportError::TooLong { metric: "gross_volume" })));
    }

    #[tokio::test]
    async fn rows_that_mean_nothing_are_named_and_never_passed_over() {
        for bad in [
            row("2026-11", Value::Null),
            row("2026-11", Value::Float(1.5)),
            row("2026-11", Value::Decimal("9223372036854775808".to_owned())),
            row("1999-01", Value::Integer(1)),
            vec![Value::Null; 4],
            Vec::new(),
        ] {
            let rows = vec![row("2026-11", Value::Integer(1)), bad.clone()];
            let answer = asked(Always { rows, truncated: false }).await;
            assert!(matches!(answer, Err(ReportError::Shape { row: 1, .. })), "{bad:?}");
        }
    }
}
