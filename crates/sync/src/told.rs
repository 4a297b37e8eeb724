//! Pushed events: as they come, as they are understood, and what came of them.

use std::collections::BTreeMap;

use stripe_api::Stripe;

use crate::event::{self, Hint};

/// An event that Stripe pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedEvent {
    /// By which the caller knows it.
    pub id: String,
    /// As it came.
    pub body: Vec<u8>,
    /// What [`Pushed::Waits`] said when it was looked at before.
    pub looked_at_micros: Option<i64>,
}

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// What it names is in the warehouse as it was after it, and so is the event itself.
    Applied,
    /// Something that it names is not: look again later.
    Waits {
        /// What for; its words are a sentence for people.
        awaited: Awaited,
        /// To be given with it the next time: what was read since need not be read again.
        looked_at_micros: i64,
    },
    /// It can never be applied.
    Odd {
        /// Why, in a sentence.
        why: String,
    },
}

/// What an event waits for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Awaited {
    /// The first copy of a table: to try again before the next cycle ends is in vain.
    #[error("the first copy of {table} is not complete")]
    FirstCopy {
        /// The table.
        table: &'static str,
    },
    /// Stripe's answer about an object that could not be read, could not be understood, or does not show yet.
    #[error("{why}")]
    Object {
        /// Why it could not, in a sentence.
        why: String,
    },
}

/// What a pass did.
#[derive(Debug, Default)]
pub struct Pass {
    /// What came of each event, by its id.
    pub events: BTreeMap<String, Pushed>,
    /// Rows written.
    pub rows: u64,
}

/// An event that is understood.
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    pub(crate) hint: Hint,
    /// It is one of API v1, and so has a place in the table of events.
    pub(crate) is_v1: bool,
}

impl Told {
    /// Whether Stripe may not show it yet, nor what it names, though it was first looked at `since` then.
    pub(crate) fn is_young(&self, since_micros: i64, stripe: &Stripe) -> bool {
        let passed = stripe.now().timestamp_micros().abs_diff(since_micros) / 1_000_000;
        self.hint.is_young(stripe.date(), passed)
    }
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
                let told = Told { id, body, hint, is_v1 };
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
