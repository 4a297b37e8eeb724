//! Which of the rows that a batch brings are to be stored.

use std::collections::HashMap;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::ArrowError;
use arrow_select::filter::filter_record_batch;
use catalog::Table;

use super::read::json_list;
use crate::WarehouseError;
use crate::rows::{self, ID, PARENT};

/// What names a row: its parent, none but of children, and its id.
pub(super) type Key<'a> = (&'a str, &'a str);

/// The newest state of each object that rows of one table show; of two as old it is the later.
pub(super) struct Newest<'a> {
    batches: &'a [&'a RecordBatch],
    states: HashMap<Key<'a>, State>,
}

/// Where a state is, and how old.
#[derive(Clone, Copy)]
struct State {
    as_of: i64,
    batch: usize,
    row: usize,
}

impl<'a> Newest<'a> {
    pub(super) fn of(table: &Table, batches: &'a [&'a RecordBatch]) -> Result<Self, WarehouseError> {
        let mut states: HashMap<Key<'a>, State> = HashMap::new();
        for (batch, rows) in batches.iter().enumerate() {
            let times = rows::as_of(table, rows)?.values();
            for (row, (key, &as_of)) in keys(table, rows)?.into_iter().zip(times).enumerate() {
                let state = State { as_of, batch, row };
                let newest = states.entry(key).or_insert(state);
                *newest = if newest.as_of > as_of { *newest } else { state };
            }
        }
        Ok(Self { batches, states })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Keeps what is wanted: told are its key, and how old it is.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(Key<'a>, i64) -> bool) {
        self.states.retain(|key, state| is_wanted(*key, state.as_of));
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key<'a>> {
        self.states.keys().copied()
    }

    /// In the order in which they came.
    pub(super) fn rows(&self) -> Result<Vec<RecordBatch>, ArrowError> {
        let all: usize = self.batches.iter().map(|rows| rows.num_rows()).sum();
        if all == self.states.len() {
            return Ok(self.batches.iter().map(|rows| (*rows).clone()).collect());
        }
        let mut kept: Vec<Vec<bool>> = self.batches.iter().map(|rows| vec![false; rows.num_rows()]).collect();
        for state in self.states.values() {
            let kept = kept.get_mut(state.batch).and_then(|rows| rows.get_mut(state.row));
            kept.into_iter().for_each(|kept| *kept = true);
        }
        let kept = self.batches.iter().zip(kept);
        kept.map(|(rows, kept)| filter_record_batch(rows, &BooleanArray::from(kept))).collect()
    }
}

/// Rows by what names them, as a table in SQL.
pub(super) fn named(table: &Table) -> &'static str {
    match catalog::is_child(table) {
        true => "SELECT unnest(?::JSON::VARCHAR[]) AS _parent, unnest(?::JSON::VARCHAR[]) AS id",
        false => "SELECT unnest(?::JSON::VARCHAR[]) AS id",
    }
}

/// What [`named`] takes.
pub(super) fn lists<'a>(table: &Table, keys: impl Iterator<Item = Key<'a>>) -> Vec<String> {
    let (parents, ids): (Vec<&str>, Vec<&str>) = keys.unzip();
    match catalog::is_child(table) {
        true => vec![json_list(&parents), json_list(&ids)],
        false => vec![json_list(&ids)],
    }
}

fn keys<'a>(table: &Table, rows: &'a RecordBatch) -> Result<Vec<Key<'a>>, WarehouseError> {
    let all =
        |column| rows::texts(table, rows, column).map(|texts| texts.iter().collect::<Option<Vec<&str>>>());
    let ids = all(ID)?.ok_or_else(|| rows::shape(table, ID))?;
    if !catalog::is_child(table) {
        return Ok(ids.into_iter().map(|id| ("", id)).collect());
    }
    let parents = all(PARENT)?.ok_or_else(|| rows::shape(table, PARENT))?;
    Ok(parents.into_iter().zip(ids).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;

    use super::*;
    use crate::conformance::{customers, some_customers};

    fn balances(newest: &Newest<'_>) -> Vec<i64> {
        let rows = newest.rows().unwrap();
        let of = |rows: &RecordBatch| {
            rows.column_by_name("balance").unwrap().as_primitive::<Int64Type>().values().to_vec()
        };
        rows.iter().flat_map(of).collect()
    }

    #[test]
    fn of_each_object_the_newest_state_is_left_and_of_two_as_old_the_later() {
        let first = some_customers(&[("cus_1", 1, 5), ("cus_2", 2, 5), ("cus_1", 3, 4)]);
        let second = some_customers(&[("cus_2", 4, 5), ("cus_3", 5, 0), ("cus_1", 6, 3)]);
        let batches = [&first, &second];
        let mut newest = Newest::of(customers(), &batches).unwrap();
        assert_eq!(balances(&newest), [1, 4, 5]);
        newest.retain(|(_, id), as_of| id != "cus_1" || as_of > 5);
        assert_eq!(balances(&newest), [4, 5]);
        assert!(!newest.is_empty());
    }

    #[test]
    fn a_row_without_an_id_is_told() {
        let rows = some_customers(&[("cus_1", 1, 5)]);
        let fields = rows.schema();
        let nulls =
            fields.fields().iter().zip(rows.columns()).map(|(field, column)| match field.name().as_str() {
                "id" => arrow_array::new_null_array(field.data_type(), 1),
                _ => Arc::clone(column),
            });
        let nameless = RecordBatch::try_new(Arc::clone(&fields), nulls.collect()).unwrap();
        let told = Newest::of(customers(), &[&nameless]).err().unwrap();
        assert!(matches!(&told, WarehouseError::Shape { column, .. } if column == "id"), "{told}");
    }
}
