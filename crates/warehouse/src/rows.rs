//! Reading the columns that every record batch has.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use catalog::Table;

use crate::{Change, WarehouseError, Write};

pub(crate) const ID: &str = "id";
pub(crate) const PARENT: &str = "_parent";
pub(crate) const AS_OF: &str = "_as_of";
pub(crate) const DELETED: &str = "_deleted";

/// The table whose rows have the rows of `child` as children.
pub(crate) fn parent_table(child: &Table) -> Option<&'static Table> {
    let apart = catalog::resource(child.name).and_then(|resource| resource.list.parent);
    if let Some(parent) = apart {
        return catalog::table(parent.table);
    }
    catalog::resources()
        .iter()
        .find(|resource| resource.children.iter().any(|c| c.table.name == child.name))
        .map(|resource| resource.table)
}

/// Rows that nobody looks up.
pub(crate) fn inserted(change: &Change) -> Option<&RecordBatch> {
    if let Change::Insert(rows) = change { Some(rows) } else { None }
}

/// Rows that are looked up.
pub(crate) fn merged(change: &Change) -> Option<&RecordBatch> {
    if let Change::Merge(rows) = change { Some(rows) } else { None }
}

/// The rows that a batch brings for `table` itself, tombstones apart.
pub(crate) fn rows_of<'a>(writes: &'a [Write], table: &Table) -> Vec<&'a RecordBatch> {
    writes
        .iter()
        .filter(|write| write.table.name == table.name)
        .filter_map(|write| inserted(&write.change).or_else(|| merged(&write.change)))
        .collect()
}

/// A text column of `rows`.
pub(crate) fn texts<'a>(
    table: &Table,
    rows: &'a RecordBatch,
    column: &str,
) -> Result<&'a StringArray, WarehouseError> {
    rows.column_by_name(column)
        .and_then(|values| values.as_string_opt::<i32>())
        .ok_or_else(|| shape(table, column))
}

/// The `_as_of` column of `rows`; never null.
pub(crate) fn as_of<'a>(
    table: &Table,
    rows: &'a RecordBatch,
) -> Result<&'a TimestampMicrosecondArray, WarehouseError> {
    rows.column_by_name(AS_OF)
        .and_then(|values| values.as_primitive_opt::<TimestampMicrosecondType>())
        .filter(|values| values.null_count() == 0)
        .ok_or_else(|| shape(table, AS_OF))
}

pub(crate) fn shape(table: &Table, column: &str) -> WarehouseError {
    WarehouseError::Shape { table: table.name.to_owned(), column: column.to_owned() }
}

/// How old the rows are that a batch brings for the parents of `child`.
pub(crate) fn parent_ages<'a>(
    writes: &'a [Write],
    child: &Table,
) -> Result<HashMap<&'a str, i64>, WarehouseError> {
    let mut ages = HashMap::new();
    let Some(parent) = parent_table(child) else { return Ok(ages) };
    for rows in rows_of(writes, parent) {
        newest(&mut ages, texts(parent, rows, ID)?, as_of(parent, rows)?);
    }
    Ok(ages)
}

/// How old the set of each parent that `rows` name is: as its row in the batch, by [`parent_ages`], else as the newest of
/// its children in `rows`. Of parents without children in `rows` it is what [`parent_ages`] says.
pub(crate) fn set_ages<'a>(
    of_parents: &HashMap<&'a str, i64>,
    child: &Table,
    rows: &'a RecordBatch,
    parents: &'a [String],
) -> Result<HashMap<&'a str, i64>, WarehouseError> {
    let mut ages = HashMap::new();
    newest(&mut ages, texts(child, rows, PARENT)?, as_of(child, rows)?);
    for parent in parents {
        if let Some(age) = of_parents.get(parent.as_str()) {
            ages.insert(parent.as_str(), *age);
        }
    }
    Ok(ages)
}

fn newest<'a>(ages: &mut HashMap<&'a str, i64>, ids: &'a StringArray, times: &TimestampMicrosecondArray) {
    for (id, time) in ids.iter().zip(times.iter()) {
        if let (Some(id), Some(time)) = (id, time) {
            let age = ages.entry(id).or_insert(time);
            *age = time.max(*age);
        }
    }
}
