//! From DuckDB's Arrow arrays to values a page can show, and from parameters to DuckDB's.

use ::duckdb::types::{TimeUnit as DuckUnit, ToSql, ToSqlOutput, Value as DuckValue};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, TimeUnit};

use crate::Value;

/// The values of one column.
#[expect(clippy::wildcard_enum_match_arm, reason = "Arrow has dozens of types; the rest is shown as text")]
pub(super) fn values(array: &ArrayRef) -> Result<Vec<Value>, ArrowError> {
    match array.data_type() {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => {
            let whole = arrow_cast::cast(array, &DataType::Int64)?;
            Ok(whole
                .as_primitive::<Int64Type>()
                .iter()
                .map(|v| v.map_or(Value::Null, Value::Integer))
                .collect())
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let float = arrow_cast::cast(array, &DataType::Float64)?;
            Ok(float
                .as_primitive::<Float64Type>()
                .iter()
                .map(|v| v.map_or(Value::Null, Value::Float))
                .collect())
        }
        DataType::Boolean => {
            Ok(array.as_boolean().iter().map(|v| v.map_or(Value::Null, Value::Boolean)).collect())
        }
        DataType::Decimal128(_, 0) => {
            Ok(array.as_primitive::<Decimal128Type>().iter().map(|v| v.map_or(Value::Null, whole)).collect())
        }
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>();
            Ok((0..days.len())
                .map(|i| valid(days, i).and_then(|i| days.value_as_date(i)).map_or(Value::Null, Value::Date))
                .collect())
        }
        DataType::Timestamp(..) => timestamps(array),
        DataType::Null => Ok(vec![Value::Null; array.len()]),
        other => texts(array, matches!(other, DataType::Decimal128(..) | DataType::UInt64)),
    }
}

fn valid(array: &dyn Array, index: usize) -> Option<usize> {
    array.is_valid(index).then_some(index)
}

/// DuckDB sums whole numbers into 128 bits.
fn whole(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| Value::Decimal(value.to_string()), Value::Integer)
}

fn timestamps(array: &ArrayRef) -> Result<Vec<Value>, ArrowError> {
    let micros = arrow_cast::cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    let moment =
        |i| valid(micros, i).and_then(|i| micros.value_as_datetime(i)).map_or(Value::Null, Value::Timestamp);
    Ok((0..micros.len()).map(moment).collect())
}

fn texts(array: &ArrayRef, number: bool) -> Result<Vec<Value>, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let text = |i: usize| -> Result<Value, ArrowError> {
        if array.is_null(i) {
            return Ok(Value::Null);
        }
        let text = formatter.value(i).try_to_string()?;
        Ok(if number { Value::Decimal(text) } else { Value::Text(text) })
    };
    (0..array.len()).map(text).collect()
}

/// What SQL calls the type.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "Arrow has dozens of types; the rest is named as Arrow does"
)]
pub(super) fn type_name(kind: &DataType) -> String {
    let name = match kind {
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INTEGER",
        DataType::Int64 => "BIGINT",
        DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Boolean => "BOOLEAN",
        DataType::Utf8 => "VARCHAR",
        DataType::Date32 => "DATE",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE",
        DataType::Decimal128(38, 0) => "HUGEINT",
        DataType::Decimal128(width, scale) => return format!("DECIMAL({width},{scale})"),
        DataType::List(_) | DataType::FixedSizeList(..) => "LIST",
        DataType::Struct(_) => "STRUCT",
        DataType::Map(..) => "MAP",
        other => return other.to_string().to_uppercase(),
    };
    name.to_owned()
}

/// A parameter as DuckDB takes it. A decimal goes as text, which DuckDB casts where it is used.
pub(super) struct Bound(pub(super) Value);

impl ToSql for Bound {
    fn to_sql(&self) -> ::duckdb::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(match &self.0 {
            Value::Null => DuckValue::Null,
            Value::Boolean(value) => DuckValue::Boolean(*value),
            Value::Integer(value) => DuckValue::BigInt(*value),
            Value::Float(value) => DuckValue::Double(*value),
            Value::Decimal(value) | Value::Text(value) => DuckValue::Text(value.clone()),
            Value::Date(day) => DuckValue::Date32(Date32Type::from_naive_date(*day)),
            Value::Timestamp(moment) => {
                DuckValue::Timestamp(DuckUnit::Microsecond, moment.and_utc().timestamp_micros())
            }
        }))
    }
}
