//! Rows that are built by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, Schema};
use catalog::Table;

use super::{customers, invoices, lines, name};
use crate::{Batch, Change, Checkpoint, Write};

/// A value of a row that is built by hand.
#[derive(Clone)]
pub(crate) enum Cell {
    Text(String),
    Whole(i64),
    Truth(bool),
}

type Cells = BTreeMap<&'static str, Cell>;

/// Rows with the table's columns; null where `cells` says nothing.
pub(crate) fn batch_of(table: &Table, rows: &[Cells]) -> RecordBatch {
    let fields: Vec<Field> =
        catalog::schema(table).fields().iter().map(|f| Field::clone(f).with_nullable(true)).collect();
    let columns = fields.iter().map(|field| column(field, rows)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "rows have five types; of the fifth only nulls are built")]
fn column(field: &Field, rows: &[Cells]) -> ArrayRef {
    let cells = rows.iter().map(|row| row.get(field.name().as_str()));
    let whole = |cell: Option<&Cell>| if let Some(Cell::Whole(n)) = cell { Some(*n) } else { None };
    let truth = |cell: Option<&Cell>| if let Some(Cell::Truth(b)) = cell { Some(*b) } else { None };
    let text = |cell: Option<&Cell>| if let Some(Cell::Text(t)) = cell { Some(t.clone()) } else { None };
    match field.data_type() {
        DataType::Utf8 => Arc::new(cells.map(text).collect::<StringArray>()),
        DataType::Int64 => Arc::new(cells.map(whole).collect::<Int64Array>()),
        DataType::Boolean => Arc::new(cells.map(truth).collect::<BooleanArray>()),
        DataType::Timestamp(..) => Arc::new(cells.map(whole).collect::<TimestampMicrosecondArray>()),
        other => new_null_array(other, rows.len()),
    }
}

pub(super) fn row(id: &str, as_of: i64) -> Cells {
    let id = Cell::Text(id.to_owned());
    Cells::from([("id", id), ("_as_of", Cell::Whole(as_of)), ("_deleted", Cell::Truth(false))])
}

/// Customers `(id, balance, as of)`.
pub(crate) fn some_customers(of: &[(&str, i64, i64)]) -> RecordBatch {
    let rows: Vec<Cells> = of
        .iter()
        .map(|(id, balance, as_of)| {
            let mut row = row(id, *as_of);
            row.insert("balance", Cell::Whole(*balance));
            row
        })
        .collect();
    batch_of(customers(), &rows)
}

/// Invoices `(id, customer, as of)`.
pub(crate) fn some_invoices(of: &[(&str, &str, i64)]) -> RecordBatch {
    let rows: Vec<Cells> = of
        .iter()
        .map(|(id, customer, as_of)| {
            let mut row = row(id, *as_of);
            row.insert("customer", Cell::Text((*customer).to_owned()));
            row
        })
        .collect();
    batch_of(invoices(), &rows)
}

/// Lines `(id, parent, as of)`.
pub(crate) fn some_lines(of: &[(&str, &str, i64)]) -> RecordBatch {
    let rows: Vec<Cells> = of
        .iter()
        .zip(0..)
        .map(|((id, parent, as_of), position)| {
            let mut row = row(id, *as_of);
            row.insert("_parent", Cell::Text((*parent).to_owned()));
            row.insert("_position", Cell::Whole(position));
            row
        })
        .collect();
    batch_of(lines(), &rows)
}

pub(crate) fn batch(writes: Vec<(&'static Table, Change)>) -> Batch {
    let writes = writes.into_iter().map(|(table, change)| Write { table, change }).collect();
    Batch { schema: name(), writes, checkpoints: Vec::new(), rejects: Vec::new() }
}

pub(super) fn at(key: &str, value: Option<serde_json::Value>) -> Checkpoint {
    Checkpoint { key: key.to_owned(), value }
}

pub(super) fn owned(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// A table as text, a line for each row: what tests compare.
pub(crate) fn told(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("-");
    let formatters: Vec<_> =
        batch.columns().iter().filter_map(|column| ArrayFormatter::try_new(column, &options).ok()).collect();
    let line =
        |row| formatters.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(line).collect()
}
