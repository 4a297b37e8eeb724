//! Pushed events as they are understood.

use std::collections::BTreeMap;

use crate::{
    Pushed, PushedEvent,
    event::{self, Subject},
};

/// An event that is understood.
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    pub(crate) subjects: Vec<Subject>,
    /// It is one of API v1, and so has a place in the table of events.
    pub(crate) is_v1: bool,
}

/// Events by when they were first looked at, the earliest first. What cannot be understood is told at once.
pub(crate) fn rounds(
    events: Vec<PushedEvent>,
    now_micros: i64,
    odd: &mut BTreeMap<String, Pushed>,
) -> BTreeMap<i64, Vec<Told>> {
    let mut rounds: BTreeMap<i64, Vec<Told>> = BTreeMap::new();
    for PushedEvent { id, body, looked_at_micros } in events {
        match event::pushed(&body) {
            Ok((hint, is_v1)) => {
                let told = Told { id, body, subjects: hint.subjects, is_v1 };
                rounds.entry(looked_at_micros.unwrap_or(now_micros)).or_default().push(told);
            }
            Err(error) => {
                let why = format!("this is not what events look like: {error}");
                odd.insert(id, Pushed::Odd { why });
            }
        }
    }
    rounds
}
