//! What becomes of events that a pass looked at.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use store::{Postponed, Settled, Waiting};
use sync::{Awaited, Pass, Pushed, SyncError};

/// The longest that an event waits before it is looked at again: what failed so often costs next to no requests then.
const LONGEST: TimeDelta = TimeDelta::hours(6);
/// How long an event is tried. Stripe keeps it for 30 days, so updates have the time to see to it after that.
pub(super) const TRIED: TimeDelta = TimeDelta::days(3);

/// What becomes of each event of a pass. Those that were tried for long enough are handed over: updates keep their own
/// account of what is owed, and may as well see to them.
pub(super) fn settled(connection_id: &str, due: &[Waiting], mut pass: Pass, now: DateTime<Utc>) -> Settled {
    let mut settled = Settled { wrote: pass.rows > 0, ..Settled::default() };
    for waiting in due {
        let event_id = waiting.event_id.clone();
        match pass.events.remove(&event_id) {
            Some(Pushed::Applied) => settled.applied.push(event_id),
            Some(Pushed::Waits { awaited, looked_at_micros }) => {
                let later = Postponed {
                    event_id,
                    due_at: Some(now + pause(waiting.tries)),
                    looked_at_micros: Some(looked_at_micros),
                    why: awaited.to_string(),
                    awaits_copy_of: copied_table(&awaited).map(str::to_owned),
                };
                match is_overdue(waiting, &awaited, now) {
                    true => settled.handed_over.push(later),
                    false => settled.postponed.push(later),
                }
            }
            Some(Pushed::Odd { why }) => {
                let why = without_values(&why);
                tracing::warn!(connection_id, event_id, why, "a webhook cannot be understood; it is kept");
                let (due_at, looked_at_micros, awaits_copy_of) = (None, None, None);
                settled.postponed.push(Postponed { event_id, due_at, looked_at_micros, why, awaits_copy_of });
            }
            // Said nothing of: it stays due.
            None => {}
        }
    }
    settled
}

/// Whether an event was tried for long enough and updates hear of it too: of thin events they do not. A first copy may
/// take as long as it likes.
fn is_overdue(waiting: &Waiting, awaited: &Awaited, now: DateTime<Utc>) -> bool {
    #[derive(Deserialize)]
    struct Event {
        object: String,
    }
    let is_v1 =
        || serde_json::from_slice::<Event>(&waiting.body).is_ok_and(|Event { object }| object == "event");
    now - waiting.received_at > TRIED && copied_table(awaited).is_none() && is_v1()
}

/// The table whose first copy is waited for, if that is it.
fn copied_table(awaited: &Awaited) -> Option<&'static str> {
    match awaited {
        Awaited::FirstCopy { table } => Some(table),
        Awaited::Object { .. } => None,
    }
}

/// What a parser says, without what it quotes: that is of somebody's payload, and no log's nor page's business.
fn without_values(why: &str) -> String {
    if !why.contains(['"', '`']) {
        return why.to_owned();
    }
    let what = why.split_once(": ").map_or("", |(what, _)| what);
    let place = why.rfind(" at line ").and_then(|at| why.get(at..)).filter(|at| !at.contains(['"', '`']));
    format!("{what}{}", place.unwrap_or_default())
}

/// Why a pass failed as a whole.
pub(super) fn sentence(error: &anyhow::Error) -> String {
    error.downcast_ref::<SyncError>().map_or_else(|| format!("{error:#}"), SyncError::sentence)
}

/// How long after so many tries in vain: 1 s, 2 s, 4 s, up to [`LONGEST`].
pub(super) fn pause(tries: u32) -> TimeDelta {
    TimeDelta::seconds(1 << tries.min(16)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_updates_hear_of_is_left_to_them_and_no_first_copy_is_too_long() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let waiting = |object: &str, received_at: DateTime<Utc>| Waiting {
            event_id: "evt_1".to_owned(),
            received_at,
            body: json!({ "object": object }).to_string().into_bytes(),
            tries: 9,
            looked_at_micros: None,
        };
        let old = now - TRIED - TimeDelta::seconds(1);
        // Its words are like those of the other.
        let object = Awaited::Object { why: "the first copy of customers is not complete".to_owned() };
        assert!(is_overdue(&waiting("event", old), &object, now));
        assert!(!is_overdue(&waiting("event", now - TRIED), &object, now));
        assert!(!is_overdue(&waiting("v2.core.event", old), &object, now));
        assert!(!is_overdue(&waiting("event", old), &Awaited::FirstCopy { table: "customers" }, now));
    }

    #[test]
    fn what_a_parser_quotes_is_not_told() {
        let error = serde_json::from_str::<u8>("\"jenny@example.com\"").unwrap_err();
        let told = without_values(&format!("this is not what events look like: {error}"));
        assert_eq!(told, "this is not what events look like at line 1 column 19");
        let tricky = serde_json::from_str::<u8>("\"x at line 1 `y\"").unwrap_err();
        assert!(!without_values(&format!("odd: {tricky}")).contains('y'));
        assert_eq!(
            without_values("odd: a syntax error at line 1 column 2"),
            "odd: a syntax error at line 1 column 2"
        );
    }

    #[test]
    fn pauses_grow_and_end() {
        assert_eq!([0, 1, 5].map(pause), [1, 2, 32].map(TimeDelta::seconds));
        assert_eq!(pause(u32::MAX), LONGEST);
        assert!(pause(13) > TimeDelta::hours(2), "what fails so often costs next to nothing");
    }
}
