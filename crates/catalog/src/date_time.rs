//! Moments as API v2 writes them: RFC 3339, UTC, milliseconds.

use chrono::{DateTime, SecondsFormat};

/// Microseconds since 1970.
pub(crate) fn micros(text: &str) -> Option<i64> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros())
}

/// "2026-10-28T12:00:00.000Z".
pub(crate) fn text(micros: i64) -> Option<String> {
    Some(DateTime::from_timestamp_micros(micros)?.to_rfc3339_opts(SecondsFormat::Millis, true))
}
