//! Columns of one table under construction.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    builder::{BooleanBuilder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder},
};
use arrow_schema::ArrowError;
use serde_json::value::RawValue;

use crate::{
    Table,
    column::{Builder, FEW, Fit},
    extra::{Extra, Misfit, name_list},
    object::{Object, text},
    table::{Layout, layout},
};

/// From so many rows on the room that is left over is given back: rows wait until there are enough to store.
const MANY: usize = 64;

/// Where a child row belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) parent: &'a str,
    pub(crate) position: i64,
}

/// Columns of one table; every appended row lengthens all of them by one.
#[derive(Debug)]
pub(crate) struct Rows {
    table: &'static Table,
    layout: Arc<Layout>,
    /// None before the first row: most pages of what belongs to one parent show nothing.
    columns: Option<Columns>,
    /// Which column came at which place in the last object: the next one has the same order.
    order: Vec<Option<usize>>,
    len: usize,
}

#[derive(Debug)]
struct Columns {
    own: Vec<Builder>,
    parent: Option<(StringBuilder, Int64Builder)>,
    extra: StringBuilder,
    absent: StringBuilder,
    as_of: TimestampMicrosecondBuilder,
    deleted: BooleanBuilder,
}

impl Rows {
    pub(crate) fn new(table: &'static Table) -> Self {
        Self { table, layout: layout(table), columns: None, order: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds `object` as a row. `replaced` stands in for the value of one property (a nested list's envelope).
    pub(crate) fn append(
        &mut self,
        object: &Object<'_>,
        replaced: &[(&str, String)],
        place: Option<Place<'_>>,
        as_of_micros: i64,
    ) -> Vec<Misfit> {
        let mut slots: Vec<Option<&RawValue>> = vec![None; self.table.columns.len()];
        let mut extra = Extra::default();
        let mut misfits = Vec::new();
        let mut called = None;
        for (place, (name, raw)) in object.0.iter().enumerate() {
            let name = name.0.as_ref();
            match self.column_at(place, name) {
                Some(column) => {
                    if let Some(slot) = slots.get_mut(column) {
                        *slot = Some(*raw);
                    }
                }
                None if name == "object" => called = Some(*raw),
                None => misfits.extend(extra.push(name, raw.get())),
            }
        }
        if let Some(raw) = called.filter(|raw| text(raw.get()).as_deref() != Some(self.table.object)) {
            misfits.extend(extra.push("object", raw.get()));
        }
        let columns = self.columns.get_or_insert_with(|| Columns::new(self.table, self.layout.is_child));
        misfits.extend(columns.append_slots(self.table, &slots, replaced, &mut extra));
        let missing = self.table.columns.iter().zip(&slots).filter(|(_, slot)| slot.is_none());
        // Where several kinds rest together, what they call themselves is a column.
        let uncalled = !self.table.object.is_empty() && called.is_none();
        let missing = missing.map(|(column, _)| column.name).chain(uncalled.then_some("object"));
        columns.absent.append_option(name_list(missing));
        columns.extra.append_option(extra.finish());
        columns.append_system(place, as_of_micros);
        self.len += 1;
        misfits
    }

    /// Takes the rows built so far.
    pub(crate) fn finish(&mut self) -> RecordBatch {
        let schema = Arc::clone(&self.layout.schema);
        let Some(columns) = &mut self.columns else { return RecordBatch::new_empty(schema) };
        let mut arrays = columns.finish();
        if self.len >= MANY {
            arrays.iter_mut().filter_map(Arc::get_mut).for_each(Array::shrink_to_fit);
        }
        self.len = 0;
        let batch: Result<RecordBatch, ArrowError> = RecordBatch::try_new(schema, arrays);
        #[expect(
            clippy::expect_used,
            reason = "builders and schema come from the same table; a mismatch is a bug"
        )]
        batch.expect("columns fit their schema")
    }

    fn column_at(&mut self, place: usize, name: &str) -> Option<usize> {
        if let Some(&Some(guess)) = self.order.get(place)
            && self.table.columns.get(guess).is_some_and(|column| column.name == name)
        {
            return Some(guess);
        }
        let column = self.layout.by_name.get(name).copied();
        if self.order.len() <= place {
            self.order.resize(place + 1, None);
        }
        if let Some(slot) = self.order.get_mut(place) {
            *slot = column;
        }
        column
    }
}

impl Columns {
    fn new(table: &Table, is_child: bool) -> Self {
        let text = || StringBuilder::with_capacity(FEW, 8 * FEW);
        Self {
            own: table.columns.iter().map(|column| Builder::new(column.kind)).collect(),
            parent: is_child.then(|| (text(), Int64Builder::with_capacity(FEW))),
            extra: text(),
            absent: text(),
            as_of: TimestampMicrosecondBuilder::with_capacity(FEW),
            deleted: BooleanBuilder::with_capacity(FEW),
        }
    }

    fn append_slots(
        &mut self,
        table: &Table,
        slots: &[Option<&RawValue>],
        replaced: &[(&str, String)],
        extra: &mut Extra,
    ) -> Vec<Misfit> {
        let mut misfits = Vec::new();
        for ((builder, column), slot) in self.own.iter_mut().zip(table.columns).zip(slots) {
            let instead =
                replaced.iter().find(|(name, _)| *name == column.name).map(|(_, text)| text.as_str());
            let raw = instead.or_else(|| slot.map(RawValue::get));
            match builder.append(raw) {
                Fit::Whole => {}
                Fit::KeptAside => misfits.extend(extra.push(column.name, raw.unwrap_or("null"))),
                Fit::Misfit => {
                    let raw = raw.unwrap_or("null");
                    let is_kept = extra.push(column.name, raw).is_none();
                    misfits.push(Misfit { property: column.name.to_owned(), raw: raw.to_owned(), is_kept });
                }
            }
        }
        misfits
    }

    fn append_system(&mut self, place: Option<Place<'_>>, as_of_micros: i64) {
        if let Some((parents, positions)) = &mut self.parent {
            parents.append_value(place.map_or("", |place| place.parent));
            positions.append_value(place.map_or(0, |place| place.position));
        }
        self.as_of.append_value(as_of_micros);
        self.deleted.append_value(false);
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        let mut arrays: Vec<ArrayRef> = self.own.iter_mut().map(Builder::finish).collect();
        if let Some((parent, position)) = &mut self.parent {
            arrays.push(Arc::new(parent.finish()));
            arrays.push(Arc::new(position.finish()));
        }
        arrays.push(Arc::new(self.extra.finish()));
        arrays.push(Arc::new(self.absent.finish()));
        arrays.push(Arc::new(self.as_of.finish()));
        arrays.push(Arc::new(self.deleted.finish()));
        arrays
    }
}
