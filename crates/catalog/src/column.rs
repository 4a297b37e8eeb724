//! One column under construction: a property's value as its kind has it.

use std::{borrow::Cow, sync::Arc};

use arrow_array::{
    ArrayRef,
    builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder},
};

use crate::{
    Kind, date_time,
    object::{Object, is_unicode, text},
};

/// Rows that there is room for at first, and then twice as many each time: most decoders see one object, and many are
/// alive at once.
pub(crate) const FEW: usize = 8;

#[derive(Debug)]
pub(crate) enum Builder {
    Text(StringBuilder),
    Json(StringBuilder),
    Reference(StringBuilder),
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Timestamp(TimestampMicrosecondBuilder),
    DateTime(TimestampMicrosecondBuilder),
    Float(Float64Builder),
}

/// How a value went into its column.
pub(crate) enum Fit {
    Whole,
    /// The column has what it can; the original is kept aside, as expected.
    KeptAside,
    /// The column is null; the original is kept aside, and that is a surprise.
    Misfit,
}

impl Builder {
    pub(crate) fn new(kind: Kind) -> Self {
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
    pub(crate) fn append(&mut self, raw: Option<&str>) -> Fit {
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

    pub(crate) fn finish(&mut self) -> ArrayRef {
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
