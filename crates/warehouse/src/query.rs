use chrono::{NaiveDate, NaiveDateTime};
use serde::Serialize;

use crate::Source;

/// The answer to a query, small enough to show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryTable {
    /// What the values are, left to right.
    pub columns: Vec<ColumnMeta>,
    /// The rows in the order of the query, each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
    /// There were more rows than the reader gives.
    pub truncated: bool,
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnMeta {
    /// As the query calls it; need not be unique.
    pub name: String,
    /// The SQL type, "BIGINT".
    pub type_name: String,
}

/// A value of an answer, or a parameter of a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// SQL's null.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// An exact number as text: a decimal, or a whole number beyond [`Value::Integer`].
    Decimal(String),
    /// A day.
    Date(NaiveDate),
    /// A moment, UTC.
    Timestamp(NaiveDateTime),
    /// Text, and whatever has no variant of its own as the warehouse writes it.
    Text(String),
}

impl Value {
    /// The whole number it is.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Integer(value) = self { Some(*value) } else { None }
    }

    /// The text it is.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(value) | Self::Decimal(value) = self { Some(value) } else { None }
    }
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The reader is gone.
    #[error("the warehouse has stopped")]
    Stopped,
    /// The file could not be opened again; each question tries once more.
    #[error("the warehouse file could not be opened again")]
    Closed {
        /// What the warehouse said.
        #[source]
        source: Source,
    },
    /// More than one statement, or none.
    #[error("a query is exactly one statement")]
    NotOneStatement,
    /// Not a SELECT, or not SQL at all. `reason` is the parser's and quotes the query only, so the asker may see it.
    #[error("only SELECT can be asked: {reason}")]
    NotASelect {
        /// The parser's words.
        reason: String,
    },
    /// The query failed. The source can quote values of rows; whoever may ask for the rows may see it.
    #[error("could not run the query")]
    Failed {
        /// What the warehouse said.
        #[source]
        source: Source,
    },
    /// The answer could not be written to a file.
    #[error("could not write the export")]
    Export {
        /// What went wrong.
        #[source]
        source: Source,
    },
}
