//! Pieces of SQL text. A reader must be able to copy a metric's SQL and run it, so values are not bound but written
//! by the functions of this file, from types that cannot hold anything else.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use warehouse::SchemaName;

use crate::Period;

/// Quotes a name.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The table in its schema.
pub(crate) fn table(schema: &SchemaName, name: &str) -> String {
    format!("{}.{}", quoted(schema.as_str()), quoted(name))
}

/// Quotes a text.
pub(crate) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A moment, UTC as all columns are.
pub(crate) fn moment(at: DateTime<Utc>) -> String {
    format!("TIMESTAMP '{}'", at.format("%Y-%m-%d %H:%M:%S"))
}

/// A WITH that begins with `months (month, from_utc, to_utc)`: one row for each month of the account's time zone.
pub(crate) fn with_months(months: &[Period]) -> String {
    let rows = months
        .iter()
        .map(|month| format!("({}, {}, {})", text(&month.label), moment(month.from), moment(month.to)));
    with_rows("months (month, from_utc, to_utc)", rows)
}

/// A WITH that begins with a table whose rows are written out.
pub(crate) fn with_rows(name: &str, rows: impl Iterator<Item = String>) -> String {
    let mut with = format!("WITH {name} AS (VALUES");
    for (place, row) in rows.enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(with, "{comma}\n    {row}");
    }
    with.push_str("\n)");
    with
}

/// A time that Stripe keeps inside a nested object, in seconds since 1970.
pub(crate) fn unix(column: &str, key: &str) -> String {
    format!("make_timestamp(1000000 * CAST({column} ->> '$.{key}' AS BIGINT))")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_break_out() {
        assert_eq!(quoted("a\"; DROP TABLE t; --"), "\"a\"\"; DROP TABLE t; --\"");
        assert_eq!(text("it's"), "'it''s'");
    }
}
