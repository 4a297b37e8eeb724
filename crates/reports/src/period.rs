//! Days and months of a time zone, as stretches of UTC.

use chrono::{
    DateTime, Datelike as _, Days, LocalResult, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset as _,
    TimeDelta, TimeZone as _, Utc,
};
use chrono_tz::Tz;
use serde::Serialize;

/// A stretch of time that has a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Period {
    /// "2026-11".
    pub label: String,
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// The first moment after it.
    pub to: DateTime<Utc>,
    /// It is not over.
    pub incomplete: bool,
}

/// The last `count` months of the time zone, oldest first; the last one is the month of `now`.
pub(crate) fn months(tz: Tz, now: DateTime<Utc>, count: u32) -> Vec<Period> {
    let today = now.with_timezone(&tz).date_naive();
    let first = today.with_day(1).unwrap_or(today);
    let month = |ago| {
        let day = first.checked_sub_months(Months::new(ago))?;
        let (from, to) = (day_begins(tz, day), day_begins(tz, day.checked_add_months(Months::new(1))?));
        Some(Period { label: day.format("%Y-%m").to_string(), from, to, incomplete: now < to })
    };
    (0..count).rev().filter_map(month).collect()
}

/// The first moment of the day `ago` days before the one of `now`.
pub(crate) fn day_ago(tz: Tz, now: DateTime<Utc>, ago: u64) -> DateTime<Utc> {
    let today = now.with_timezone(&tz).date_naive();
    day_begins(tz, today.checked_sub_days(Days::new(ago)).unwrap_or(today))
}

/// The first moment of a day. Where clocks jump over midnight, that of the jump; where midnight comes twice, the
/// earlier one.
fn day_begins(tz: Tz, day: NaiveDate) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    match tz.from_local_datetime(&midnight) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc(),
        LocalResult::None => after_jump(tz, midnight),
    }
}

/// When clocks that had not jumped would have shown `midnight`. No jump is longer than a day.
fn after_jump(tz: Tz, midnight: NaiveDateTime) -> DateTime<Utc> {
    let earlier = |hours| tz.from_local_datetime(&(midnight - TimeDelta::hours(hours))).latest();
    let offset = (1..=25).find_map(earlier).map_or(0, |at| at.offset().fix().local_minus_utc());
    (midnight - TimeDelta::seconds(offset.into())).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn months_begin_at_local_midnight_on_either_side_of_a_clock_change() {
        let months = months(chrono_tz::America::New_York, utc("2026-11-23T12:00:00Z"), 3);
        let shown: Vec<_> = months
            .iter()
            .map(|m| format!("{} {} {} {}", m.label, m.from.to_rfc3339(), m.to.to_rfc3339(), m.incomplete))
            .collect();
        assert_eq!(
            shown,
            [
                "2026-09 2026-09-01T04:00:00+00:00 2026-10-01T04:00:00+00:00 false",
                "2026-10 2026-10-01T04:00:00+00:00 2026-11-01T04:00:00+00:00 false",
                "2026-11 2026-11-01T04:00:00+00:00 2026-12-01T05:00:00+00:00 true",
            ]
        );
    }

    #[test]
    fn the_month_is_the_time_zones_not_utcs() {
        let now = utc("2026-12-01T03:00:00Z");
        assert_eq!(months(chrono_tz::America::New_York, now, 1)[0].label, "2026-11");
        assert_eq!(months(chrono_tz::Asia::Tokyo, now, 1)[0].label, "2026-12");
        assert!(!months(chrono_tz::UTC, utc("2026-12-01T00:00:00Z"), 2)[0].incomplete);
    }

    #[test]
    fn a_day_without_midnight_begins_at_the_jump() {
        // Clocks in Cairo went from 23:59:59 to 01:00:00.
        let day = NaiveDate::from_ymd_opt(2024, 4, 26).unwrap();
        assert_eq!(day_begins(chrono_tz::Africa::Cairo, day), utc("2024-04-25T22:00:00Z"));
    }

    #[test]
    fn months_of_all_time_zones_meet_without_gap_or_overlap() {
        for tz in chrono_tz::TZ_VARIANTS {
            let all = months(tz, utc("2030-06-15T00:00:00Z"), 12 * 40);
            assert_eq!(all.len(), 12 * 40);
            for (month, next) in all.iter().zip(&all[1..]) {
                assert_eq!(month.to, next.from, "{tz}");
            }
            for month in &all {
                let local = |at: DateTime<Utc>| at.with_timezone(&tz).format("%Y-%m").to_string();
                assert_eq!(local(month.from), month.label, "{tz}");
                assert_eq!(local(month.to - TimeDelta::seconds(1)), month.label, "{tz}");
            }
        }
    }
}
