//! SQL text made from names of the catalogue. Values are bound, never formatted in, comments apart.

use catalog::{Kind, Table};

use crate::SchemaName;
use crate::rows::{AS_OF, DELETED};

/// Quotes a name.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text; for statements that take no parameters.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The table in its schema.
pub(super) fn name(schema: &SchemaName, table: &Table) -> String {
    format!("{}.{}", quoted(schema.as_str()), quoted(table.name))
}

/// The columns that name a row: its id, of children within their parent.
pub(super) fn key(table: &Table) -> &'static str {
    if catalog::is_child(table) { "_parent, id" } else { "id" }
}

/// The SQL type of a column.
pub(super) fn sql_type(table: &Table, field: &str) -> &'static str {
    match table.columns.iter().find(|column| column.name == field).map(|column| column.kind) {
        Some(Kind::Id | Kind::Reference(_) | Kind::Text | Kind::Decimal) => "VARCHAR",
        Some(Kind::Integer | Kind::Money) => "BIGINT",
        Some(Kind::Boolean) => "BOOLEAN",
        Some(Kind::Float) => "DOUBLE",
        Some(Kind::Timestamp | Kind::DateTime) => "TIMESTAMP",
        Some(Kind::Json) => "JSON",
        None => system_type(field),
    }
}

fn system_type(field: &str) -> &'static str {
    match field {
        "_position" => "BIGINT",
        "_extra" => "JSON",
        AS_OF => "TIMESTAMP",
        DELETED => "BOOLEAN",
        _ => "VARCHAR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_break_out() {
        assert_eq!(quoted("a\"; DROP TABLE t; --"), "\"a\"\"; DROP TABLE t; --\"");
        assert_eq!(literal("it's"), "'it''s'");
    }
}
