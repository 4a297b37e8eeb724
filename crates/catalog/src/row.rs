//! Columns of one table under construction.

use std::{borrow::Cow, sync::Arc};

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder},
};
use arrow_schema::ArrowError;
use serde_json::value::RawValue;

use crate::{
    Kind, Table, date_time,
    object::{Object, text},
    table::{Layout, layout},
};

/// Rows that there is room for at first, and then twice as many each time: most decoders see one object, and many are
/// alive at once.
const FEW: usize = 8;

/// From so many rows on the room that is left over is given back: rows wait until there are enough to store.
const MANY: usize = 64;

/// Where a child row belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) parent: &'a str,
    pub(crate) position: i64,
}

/// A value that did not fit its column. It is kept in `_extra`, unless it is no valid Unicode.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) property: String,
    pub(crate) raw: String,
    /// Whether `_extra` has it.
    pub(crate) is_kept: bool,
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

#[derive(Debug)]
enum Builder {
    Text(StringBuilder),
    Json(StringBuilder),
    Reference(StringBuilder),
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Timestamp(TimestampMicrosecondBuilder),
    DateTime(TimestampMicrosecondBuilder),
    Float(Float64Builder),
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

/// How a value went into its column.
enum Fit {
    Whole,
    /// The column has what it can; the original is kept aside, as expected.
    KeptAside,
    /// The column is null; the original is kept aside, and that is a surprise.
    Misfit,
}

impl Builder {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Id | Kind::Text | Kind::Decimal => Self::Text(StringBuilder::with_capacity(FEW, 8 * FEW)),
            Kind::Reference(_) => Self::Reference(StringBuilder::with_capacity(FEW, 8 * FEW)),
            Kind::Json => Self::Json(StringBuilder::with_capacity(FEW, 8 * FEW)),
            Kind::Boolean => Self::Boolean(BooleanBuilder::with_capacity(FEW)),
            Kind::Integer | Kind::Money => Self::Integer(Int64Builder::with_capacity(FEW)),
            Kind::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(FEW)),
            Kind::DateTime => Self::DateTime(TimestampMicrosecondBuilder::with_capacity(FEW)),
            Kind::Float => Self::Float(Float64Builder::with_capacity(FEW)),
        }
    }

    /// Adds one value, null when there is none or it does not fit.
    fn append(&mut self, raw: Option<&str>) -> Fit {
        let raw = raw.filter(|raw| *raw != "null");
        match self {
            Self::Text(builder) => append(raw, text, |value| builder.append_option(value)),
            Self::Json(builder) => {
                append(raw, |raw| is_unicode(raw).then_some(raw), |value| builder.append_option(value))
            }
            Self::Boolean(builder) => {
                append(raw, |raw| raw.parse::<bool>().ok(), |value| builder.append_option(value))
            }
            Self::Integer(builder) => append(raw, whole_number, |value| builder.append_option(value)),
            Self::Timestamp(builder) => append(
                raw,
                |raw| whole_number(raw)?.checked_mul(1_000_000),
                |value| builder.append_option(value),
            ),
            Self::DateTime(builder) => append_date_time(builder, raw),
            Self::Float(builder) => append_float(builder, raw),
            Self::Reference(builder) => append_reference(builder, raw),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) | Self::Json(builder) | Self::Reference(builder) => {
                Arc::new(builder.finish())
            }
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) | Self::DateTime(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
        }
    }
}

fn append<'a, T>(
    raw: Option<&'a str>,
    convert: impl Fn(&'a str) -> Option<T>,
    mut put: impl FnMut(Option<T>),
) -> Fit {
    let value = raw.and_then(convert);
    let fit = if raw.is_some() && value.is_none() { Fit::Misfit } else { Fit::Whole };
    put(value);
    fit
}

/// Whether the text of a JSON value has no half of a surrogate pair by itself: no database takes that.
fn is_unicode(raw: &str) -> bool {
    let bytes = raw.as_bytes();
    let half = |at: usize| matches!(bytes.get(at + 1..at + 3), Some(b"ud" | b"uD"));
    let may_have_halves = memchr::memchr_iter(b'\\', bytes).any(half);
    !may_have_halves || serde_json::from_str::<serde_json::Value>(raw).is_ok()
}

/// An id, or the id of an object that was expanded in its place.
fn append_reference(builder: &mut StringBuilder, raw: Option<&str>) -> Fit {
    let Some(raw) = raw else {
        builder.append_null();
        return Fit::Whole;
    };
    if let Some(id) = text(raw) {
        builder.append_value(id);
        return Fit::Whole;
    }
    let object: Option<Object<'_>> = serde_json::from_str(raw).ok();
    let id = object.and_then(|object| text(object.get("id")?.get()).map(Cow::into_owned));
    let fit = if id.is_some() { Fit::KeptAside } else { Fit::Misfit };
    builder.append_option(id);
    fit
}

fn whole_number(raw: &str) -> Option<i64> {
    // "-0" would come back as 0.
    raw.parse().ok().filter(|_| raw != "-0")
}

/// A number. Where writing the float would not give the same JSON again, as with `25`, the original is kept aside too.
fn append_float(builder: &mut Float64Builder, raw: Option<&str>) -> Fit {
    let Some(raw) = raw else {
        builder.append_null();
        return Fit::Whole;
    };
    let value = raw.parse::<f64>().ok().filter(|value| value.is_finite());
    builder.append_option(value);
    let Some(value) = value else { return Fit::Misfit };
    let sent: Option<serde_json::Number> = serde_json::from_str(raw).ok();
    if sent.is_some() && serde_json::Number::from_f64(value) == sent { Fit::Whole } else { Fit::KeptAside }
}

/// A moment as text. Where writing it would not give the same text again, the original is kept aside too.
fn append_date_time(builder: &mut TimestampMicrosecondBuilder, raw: Option<&str>) -> Fit {
    let Some(raw) = raw else {
        builder.append_null();
        return Fit::Whole;
    };
    let sent = text(raw);
    let micros = sent.as_deref().and_then(date_time::micros);
    builder.append_option(micros);
    match micros {
        None => Fit::Misfit,
        Some(micros) if date_time::text(micros).as_deref() == sent.as_deref() => Fit::Whole,
        Some(_) => Fit::KeptAside,
    }
}

/// Properties that the catalogue has no column for, as one JSON object.
#[derive(Default)]
struct Extra(String);

impl Extra {
    /// Keeps a value, or gives it back when it is no valid Unicode.
    fn push(&mut self, name: &str, raw: &str) -> Option<Misfit> {
        if !is_unicode(raw) {
            return Some(Misfit { property: name.to_owned(), raw: raw.to_owned(), is_kept: false });
        }
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&serde_json::Value::from(name).to_string());
        self.0.push(':');
        self.0.push_str(raw);
        None
    }

    fn finish(mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push('}');
        Some(self.0)
    }
}

/// A JSON array of column names, none when there are none.
fn name_list<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut list = String::new();
    for name in names {
        list.push_str(if list.is_empty() { "[\"" } else { "\",\"" });
        list.push_str(name);
    }
    if list.is_empty() {
        return None;
    }
    list.push_str("\"]");
    Some(list)
}
