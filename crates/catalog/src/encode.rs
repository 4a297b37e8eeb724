//! A row back to the object that Stripe sent.

use std::collections::HashSet;

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    cast::AsArray,
    types::{Float64Type, Int64Type, TimestampMicrosecondType},
};
use serde_json::{Map, Value};

use crate::{
    Kind, Resource, Table, date_time,
    table::{ABSENT, EXTRA},
};

/// A row that cannot be turned back.
#[derive(Debug, thiserror::Error)]
#[error("could not turn a row of {table} back into JSON at {column}")]
pub struct EncodeError {
    table: &'static str,
    column: String,
    #[source]
    source: Option<serde_json::Error>,
}

/// The object that row `row` shows. Nested lists that have a table are there without `data`; see [`with_children`].
///
/// # Errors
/// When `rows` does not have the columns of `table`, or JSON in it was changed.
pub fn encode(
    table: &'static Table,
    rows: &RecordBatch,
    row: usize,
) -> Result<Map<String, Value>, EncodeError> {
    let absent = names(table, rows, row)?;
    let mut object = Map::new();
    if !table.object.is_empty() && !absent.contains("object") {
        object.insert("object".to_owned(), table.object.into());
    }
    for column in table.columns.iter().filter(|column| !absent.contains(column.name)) {
        let array = array(table, rows, column.name)?;
        let value = if array.is_null(row) {
            Some(Value::Null)
        } else {
            value(column.kind, array, row).map_err(|source| wrong(table, column.name, Some(source)))?
        };
        object.insert(column.name.to_owned(), value.ok_or_else(|| wrong(table, column.name, None))?);
    }
    if let Some(extra) = json_text(table, rows, row, EXTRA)? {
        let extra: Map<String, Value> =
            serde_json::from_str(extra).map_err(|source| wrong(table, EXTRA, Some(source)))?;
        object.extend(extra);
    }
    Ok(object)
}

/// Puts the rows of nested lists back into their parent. `children` are those of `resource.children`, in that order.
#[must_use]
pub fn with_children(
    resource: &Resource,
    mut parent: Map<String, Value>,
    children: Vec<Vec<Map<String, Value>>>,
) -> Map<String, Value> {
    for (child, rows) in resource.children.iter().zip(children) {
        let (property, inner) = child.property.split_once('.').unwrap_or((child.property, ""));
        let pointer = inner.split('.').filter(|name| !name.is_empty()).map(|name| format!("/{name}"));
        if let Some(value) = parent.get_mut(property)
            && let Some(Value::Object(list)) = value.pointer_mut(&pointer.collect::<String>())
            && list.get("object").is_some_and(|object| object == "list")
        {
            list.entry("data").or_insert_with(|| rows.into_iter().map(Value::Object).collect());
        }
    }
    parent
}

fn value(kind: Kind, array: &ArrayRef, row: usize) -> Result<Option<Value>, serde_json::Error> {
    Ok(match kind {
        Kind::Id | Kind::Reference(_) | Kind::Text | Kind::Decimal => {
            array.as_string_opt::<i32>().map(|array| array.value(row).into())
        }
        Kind::Json => match array.as_string_opt::<i32>() {
            Some(array) => Some(serde_json::from_str(array.value(row))?),
            None => None,
        },
        Kind::Boolean => array.as_boolean_opt().map(|array| array.value(row).into()),
        Kind::Integer | Kind::Money => {
            array.as_primitive_opt::<Int64Type>().map(|array| array.value(row).into())
        }
        Kind::Timestamp => array
            .as_primitive_opt::<TimestampMicrosecondType>()
            .map(|array| array.value(row).div_euclid(1_000_000).into()),
        Kind::DateTime => {
            let micros = array.as_primitive_opt::<TimestampMicrosecondType>().map(|array| array.value(row));
            micros.and_then(date_time::text).map(Value::from)
        }
        Kind::Float => array.as_primitive_opt::<Float64Type>().map(|array| array.value(row).into()),
    })
}

fn names(table: &'static Table, rows: &RecordBatch, row: usize) -> Result<HashSet<String>, EncodeError> {
    let Some(list) = json_text(table, rows, row, ABSENT)? else { return Ok(HashSet::new()) };
    serde_json::from_str(list).map_err(|source| wrong(table, ABSENT, Some(source)))
}

fn json_text<'a>(
    table: &'static Table,
    rows: &'a RecordBatch,
    row: usize,
    column: &str,
) -> Result<Option<&'a str>, EncodeError> {
    let array = array(table, rows, column)?;
    let texts = array.as_string_opt::<i32>().ok_or_else(|| wrong(table, column, None))?;
    Ok((!texts.is_null(row)).then(|| texts.value(row)))
}

fn array<'a>(
    table: &'static Table,
    rows: &'a RecordBatch,
    column: &str,
) -> Result<&'a ArrayRef, EncodeError> {
    rows.column_by_name(column).ok_or_else(|| wrong(table, column, None))
}

fn wrong(table: &'static Table, column: &str, source: Option<serde_json::Error>) -> EncodeError {
    EncodeError { table: table.name, column: column.to_owned(), source }
}
