//! A row: a slice of the record batch it came in.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{
    Array, ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_schema::{Field, Schema, SchemaRef};
use catalog::Table;

use crate::WarehouseError;
use crate::rows::{self, AS_OF, DELETED, ID, PARENT};

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) slice: RecordBatch,
    pub(super) parent: Option<String>,
    pub(super) as_of: i64,
}

/// The second that a column shows.
pub(super) fn second(row: &Row, column: &str) -> Option<i64> {
    let column = row.slice.column_by_name(column)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    Some(column.iter().next()??.div_euclid(1_000_000))
}

pub(super) fn is_tombstone(row: &Row) -> bool {
    let deleted = row.slice.column_by_name(DELETED).and_then(|column| column.as_boolean_opt());
    deleted.is_some_and(|deleted| deleted.iter().next().flatten() == Some(true))
}

/// The rows of a batch, each a slice with the columns in the table's order.
pub(super) fn split(table: &Table, batch: &RecordBatch) -> Result<Vec<(String, Row)>, WarehouseError> {
    let fields = nullable(table);
    let column = |field: &Arc<Field>| {
        let column =
            batch.column_by_name(field.name()).filter(|column| column.data_type() == field.data_type());
        column.cloned().ok_or_else(|| rows::shape(table, field.name()))
    };
    let columns: Vec<ArrayRef> = fields.fields().iter().map(column).collect::<Result<_, _>>()?;
    let whole = assemble(table, fields, columns)?;
    let (ids, times) = (rows::texts(table, &whole, ID)?, rows::as_of(table, &whole)?);
    let parents = if catalog::is_child(table) { Some(rows::texts(table, &whole, PARENT)?) } else { None };
    let row = |(index, (id, as_of)): (usize, (Option<&str>, Option<i64>))| {
        let parent =
            parents.filter(|parents| parents.is_valid(index)).map(|parents| parents.value(index).to_owned());
        let row = Row { slice: whole.slice(index, 1), parent, as_of: as_of? };
        Some((id?.to_owned(), row))
    };
    ids.iter()
        .zip(times.iter())
        .enumerate()
        .map(|item| row(item).ok_or_else(|| rows::shape(table, ID)))
        .collect()
}

/// A stub has an id and nothing else, so the columns accept nulls.
pub(super) fn nullable(table: &Table) -> SchemaRef {
    let fields = catalog::schema(table);
    let fields = fields.fields().iter().map(|field| Field::clone(field).with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

pub(super) fn stub(table: &Table, id: &str, as_of: i64) -> Result<RecordBatch, WarehouseError> {
    let fields = nullable(table);
    let column = |field: &Arc<Field>| -> ArrayRef {
        match field.name().as_str() {
            ID => Arc::new(StringArray::from(vec![id])),
            _ => new_null_array(field.data_type(), 1),
        }
    };
    let columns = fields.fields().iter().map(column).collect();
    tombstone(table, &assemble(table, fields, columns)?, as_of)
}

pub(super) fn tombstone(table: &Table, row: &RecordBatch, as_of: i64) -> Result<RecordBatch, WarehouseError> {
    let fields = row.schema();
    let column = |(field, old): (&Arc<Field>, &ArrayRef)| -> ArrayRef {
        match field.name().as_str() {
            AS_OF => Arc::new(TimestampMicrosecondArray::from(vec![as_of])),
            DELETED => Arc::new(BooleanArray::from(vec![true])),
            _ => Arc::clone(old),
        }
    };
    let columns = fields.fields().iter().zip(row.columns()).map(column).collect();
    assemble(table, fields, columns)
}

pub(super) fn assemble(
    table: &Table,
    fields: SchemaRef,
    columns: Vec<ArrayRef>,
) -> Result<RecordBatch, WarehouseError> {
    RecordBatch::try_new(fields, columns).map_err(|source| WarehouseError::Failed {
        attempted: format!("build rows of {}", table.name),
        source: source.into(),
    })
}
