//! Numbers, times and durations as people read them.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
pub(super) use reports::grouped;

/// A moment for people, for machines, and how long ago it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// "23 Nov 2026, 13:40"
    pub(super) text: String,
    /// RFC 3339.
    pub(super) exact: String,
    /// "4 min ago"
    pub(super) ago: String,
}

impl Moment {
    pub(super) fn new(at: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> Self {
        Self {
            text: at.with_timezone(&zone).format("%-d %b %Y, %H:%M").to_string(),
            exact: at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            ago: ago(now - at),
        }
    }
}

fn ago(past: TimeDelta) -> String {
    let (days, hours, minutes) = (past.num_days(), past.num_hours(), past.num_minutes());
    match (days, hours, minutes) {
        (2.., _, _) => format!("{days} days ago"),
        (1, _, _) => "1 day ago".to_owned(),
        (_, 1.., _) => format!("{hours} h ago"),
        (_, _, 1..) => format!("{minutes} min ago"),
        (_, _, _) => "just now".to_owned(),
    }
}

/// "3 s", "4 min 5 s", "2 h 3 min": two units at most.
pub(super) fn duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest) {
        (0, 0, _) => format!("{rest} s"),
        (0, _, 0) => format!("{minutes} min"),
        (0, _, _) => format!("{minutes} min {rest} s"),
        (_, 0, _) => format!("{hours} h"),
        (_, _, _) => format!("{hours} h {minutes} min"),
    }
}

/// As [`duration`], from milliseconds; short ones keep a tenth of a second.
pub(super) fn duration_ms(ms: i64) -> String {
    let ms = u64::try_from(ms).unwrap_or(0);
    if ms < 10_000 { format!("{}.{} s", ms / 1000, ms / 100 % 10) } else { duration(ms / 1000) }
}

/// "-1,234,567"
pub(super) fn grouped_signed(number: i64) -> String {
    let sign = if number < 0 { "\u{2212}" } else { "" };
    format!("{sign}{}", grouped(number.unsigned_abs()))
}

/// Minor units as an amount: 123456 with two decimals is "1,234.56", with none "123,456".
pub(super) fn amount(minor: i64, exponent: u8) -> String {
    let sign = if minor < 0 { "\u{2212}" } else { "" };
    let scale = 10_u64.saturating_pow(u32::from(exponent));
    let (whole, rest) = (minor.unsigned_abs() / scale, minor.unsigned_abs() % scale);
    let mut text = format!("{sign}{}", grouped(whole));
    if exponent > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, ".{rest:0width$}", width = usize::from(exponent));
    }
    text
}

/// A part of a whole in percent with one decimal, rounded half up; a dash when there is no whole.
pub(super) fn percent(num: i64, den: i64) -> String {
    if den <= 0 {
        return "\u{2013}".to_owned();
    }
    let permille = (i128::from(num) * 2000 + i128::from(den)).div_euclid(i128::from(den) * 2);
    format!("{}.{} %", permille / 10, permille % 10)
}

/// Without the full stop, so that a sentence can go round it.
pub(super) fn bare(words: &str) -> &str {
    words.trim_end_matches('.')
}

/// An error as a sentence.
pub(super) fn sentence(error: &str) -> String {
    let mut letters = error.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", bare(letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_follows_the_exponent_of_its_currency() {
        assert_eq!(amount(123_456, 2), "1,234.56");
        assert_eq!(amount(123_456, 0), "123,456");
        assert_eq!(amount(123_456, 3), "123.456");
        assert_eq!(amount(-5, 2), "\u{2212}0.05");
        assert_eq!(amount(i64::MIN, 2), "\u{2212}92,233,720,368,547,758.08");
    }

    #[test]
    fn percentages_are_rounded_once_and_a_missing_whole_has_none() {
        assert_eq!(percent(2, 3), "66.7 %");
        assert_eq!(percent(0, 0), "\u{2013}");
        assert_eq!(percent(i64::MAX, i64::MAX), "100.0 %");
    }

    #[test]
    fn durations_have_at_most_two_units() {
        let all = [0, 59, 60, 61, 3600, 3660, 90_061].map(duration);
        assert_eq!(all, ["0 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 h 1 min", "25 h 1 min"]);
        assert_eq!(duration_ms(1_250), "1.2 s");
    }

    #[test]
    fn numbers_are_grouped_in_threes() {
        assert_eq!([0_u64, 999, 1000, 10_000_000].map(grouped), ["0", "999", "1,000", "10,000,000"]);
        assert_eq!(grouped_signed(-1000), "\u{2212}1,000");
    }

    #[test]
    fn times_are_those_of_the_zone() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let moment = Moment::new(at, at + TimeDelta::minutes(61), chrono_tz::Europe::Berlin);
        assert_eq!(moment.text, "15 Jan 2027, 09:00");
        assert_eq!(moment.exact, "2027-01-15T08:00:00Z");
        assert_eq!(moment.ago, "1 h ago");
    }
}
