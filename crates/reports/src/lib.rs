//! What rows mean: each metric is a pure function to SQL that anybody can run, and the answer becomes series.
//!
//! A metric is a [`Question`]: its definition in words, its settings, its SQL. [`answer()`] asks it, [`home()`] asks all
//! that the first page shows. Three rules hold for all of them:
//!
//! - Money is a whole number in the currency's smallest unit, and two currencies are never added.
//! - Days and months are those of the account's time zone. DuckDB knows no time zones, so their limits are computed
//!   here and stand in the SQL as UTC.
//! - A month that is not over says so ([`Point::incomplete`]).
//!
//! One schema holds one account in one mode, so test and live rows cannot meet.

mod answer;
mod currency;
mod error;
mod home;
mod metric;
pub mod metrics;
mod period;
mod query;
mod sql;
#[cfg(test)]
mod testing;

pub use crate::answer::answer;
pub use crate::currency::{exponent, format_minor, grouped};
pub use crate::error::ReportError;
pub use crate::home::{home, questions};
pub use crate::metric::{
    Axis, Frame, Metric, Number, Point, Question, Report, Series, Setting, Settings, Shape, Unit,
};
pub use crate::period::Period;
pub use crate::query::Query;
