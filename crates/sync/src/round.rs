//! A round over parents whose objects are listed only one parent at a time (traps 8 and 9): what it is over, and how far it
//! has come.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use stripe_api::Stripe;

use crate::{
    Began, TableState, Walks,
    error::counted,
    line::{self, Answered, Turn},
    state::HOLD_BACK,
};

/// How long before a round began its parents may have changed and yet not have shown what is new of theirs (trap 4): they are
/// asked again in the next. In microseconds.
const HELD_BACK: i64 = (HOLD_BACK + MISSTEP) * 1_000_000;
/// Seconds by which this machine's clock may run ahead of Stripe's between two rounds and still tell how long ago something was.
const MISSTEP: i64 = 60;

/// When a round began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beginning {
    began: Began,
    /// What is stored from then on was asked for at this moment or later.
    unsettled_since_micros: i64,
}

impl Beginning {
    pub(crate) fn now(stripe: &Stripe) -> Self {
        let unsettled_since_micros = stripe.unsettled_since();
        Self { began: Began::now(stripe), unsettled_since_micros }
    }

    #[cfg(test)]
    pub(crate) fn at(began: Began) -> Self {
        Self { began, unsettled_since_micros: began.as_of_micros }
    }

    /// The state from which on parents may not have shown all that is new of theirs; none of those from before `first`.
    fn held_back(self, first_micros: Option<i64>) -> i64 {
        let held_back = self.began.as_of_micros.saturating_sub(HELD_BACK);
        held_back.max(first_micros.unwrap_or(i64::MIN)).min(self.unsettled_since_micros)
    }
}

/// One round over the parents of a table, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Only parents whose rows show a state from then on; none for all.
    since_micros: Option<i64>,
    /// When it began.
    pub(crate) began: Began,
    /// Parents whose rows show a state from then on are the next round's; none for all, since this machine's clock was set
    /// forward or an earlier version began the round.
    #[serde(default)]
    next_since_micros: Option<i64>,
    /// When the first round of all began, if just before it the walk over the parents' list had brought all of them.
    #[serde(default)]
    first_micros: Option<i64>,
    /// The last parent whose set is stored.
    pub(crate) after: String,
    /// How many parents it came past so far.
    #[serde(default)]
    pub(crate) asked: u64,
    /// Every parent was asked.
    over: bool,
    /// Parents that were refused, or could not be read: they are asked first the next time.
    #[serde(default)]
    pub(crate) owed: BTreeSet<String>,
    /// The last of them that was asked.
    #[serde(default)]
    pub(crate) owed_after: String,
    /// Of very many that were refused some are not among them.
    #[serde(default)]
    left_out: bool,
    /// Some parent was answered in this round.
    #[serde(default)]
    pub(crate) answered: bool,
    /// When the last round over all parents began that came to its end, by Stripe's clock.
    whole_micros: Option<i64>,
}

impl Round {
    /// The round to go after this one: this one, when it was broken off, or a new one, over all parents when that is due.
    pub(crate) fn next(&self, now: Beginning, whole_every: Duration) -> Self {
        if !self.over {
            return self.clone();
        }
        let every = i64::try_from(whole_every.as_micros()).unwrap_or(i64::MAX);
        let dated = now.began.dated_micros;
        let due = self.whole_micros.is_none_or(|last| dated.saturating_sub(last) >= every);
        // Those that are left out may be answered too, once others are.
        let whole = due || (self.left_out && !line::is_crowded(&self.owed));
        Self {
            since_micros: self.next_since_micros.filter(|_| !whole),
            next_since_micros: self.since_after(now),
            first_micros: self.first_micros,
            whole_micros: self.whole_micros,
            owed: self.owed.clone(),
            owed_after: self.owed_after.clone(),
            left_out: self.left_out && !whole,
            ..Self::first(now, true)
        }
    }

    /// One over all parents, of which no one was ever asked. Unless they `stood` there before, their list was walked just now.
    pub(crate) fn first(now: Beginning, stood: bool) -> Self {
        let first_micros = (!stood).then_some(now.began.as_of_micros);
        Self {
            since_micros: None,
            began: now.began,
            next_since_micros: Some(now.held_back(first_micros)),
            first_micros,
            after: String::new(),
            asked: 0,
            over: false,
            owed: BTreeSet::new(),
            owed_after: String::new(),
            left_out: false,
            answered: false,
            whole_micros: None,
        }
    }

    /// From which state on parents are left to the round after the one that begins now.
    ///
    /// What the walk brought before the first round was asked for in it: of what is new since, an event tells.
    fn since_after(&self, now: Beginning) -> Option<i64> {
        let ran = now.began.as_of_micros.saturating_sub(self.began.as_of_micros);
        let passed = now.began.dated_micros.saturating_sub(self.began.dated_micros);
        if ran.saturating_sub(passed) > MISSTEP * 1_000_000 {
            return None;
        }
        Some(now.held_back(self.first_micros))
    }

    /// Whether it goes over all parents, not only those that changed.
    pub(crate) fn is_over_all(&self) -> bool {
        self.since_micros.is_none()
    }

    /// The state from which on parents are asked; none for all.
    pub(crate) fn since_micros(&self) -> Option<i64> {
        self.since_micros
    }

    /// Whether it has come to its end.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// Notes what came of asking a parent.
    pub(crate) fn heard(&mut self, parent: &str, turn: Turn, answered: Answered) {
        match turn {
            Turn::InOrder => {
                parent.clone_into(&mut self.after);
                self.asked += 1;
            }
            Turn::Owed => parent.clone_into(&mut self.owed_after),
        }
        self.answered |= answered == Answered::Shown;
        self.left_out |= line::note(&mut self.owed, parent, answered);
    }

    /// How many parents owe an answer.
    pub(crate) fn owing(&self) -> String {
        let least = if self.left_out { "at least " } else { "" };
        format!("{least}{}", counted(self.owed.len(), "parent"))
    }

    /// Whether nobody was ever answered, though some were asked.
    pub(crate) fn is_refused(&self) -> bool {
        !self.answered && !self.was_whole() && !self.owed.is_empty()
    }

    pub(crate) fn ended(&mut self) {
        self.over = true;
        self.after.clear();
        self.whole_micros = self.since_micros.map_or(Some(self.began.dated_micros), |_| self.whole_micros);
    }

    /// The next one is to go over all parents.
    pub(crate) fn begin_anew(&mut self) {
        self.over = true;
        self.whole_micros = self.whole_micros.map(|_| i64::MIN);
    }

    /// Whether every parent was asked at least once.
    pub(crate) fn was_whole(&self) -> bool {
        self.whole_micros.is_some()
    }

    /// Where a table stands whose rows all come from rounds.
    pub(crate) fn state(&self) -> TableState {
        if !self.was_whole() {
            return TableState::Copying { frontier: None, began: Some(self.began) };
        }
        let walks = Walks { whole_micros: self.whole_micros, recent_micros: Some(self.began.dated_micros) };
        TableState::Live { frontier: None, walks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    /// This machine's clock is a year behind Stripe's; what is stored then was asked for up to a second before.
    fn day(number: i64) -> Beginning {
        let began = Began { as_of_micros: number * DAY, dated_micros: (365 + number) * DAY };
        Beginning { began, unsettled_since_micros: number * DAY - 1_000_000 }
    }

    #[test]
    fn a_round_goes_on_where_it_was_broken_off_then_only_over_what_changed() {
        let every = Duration::from_secs(28 * 86_400);
        let mut first = Round::first(day(1), false);
        assert_eq!(first.since_micros, None, "every parent");
        first.after = "cus_7".to_owned();
        assert_eq!(first.next(day(2), every), first);
        assert!(matches!(first.state(), TableState::Copying { .. }));
        first.ended();
        assert!(matches!(first.state(), TableState::Live { .. }));
        let mut second = first.next(day(3), every);
        assert_eq!((second.since_micros, second.began), (Some(DAY - 1_000_000), day(3).began));
        second.ended();
        let third = second.next(day(28), every);
        assert_eq!(third.since_micros, Some(3 * DAY - HELD_BACK), "they may not have shown all");
        assert_eq!(second.next(day(29), every).since_micros, None, "all again");
        second.begin_anew();
        assert_eq!(second.next(day(4), every).since_micros, None);
    }

    #[test]
    fn what_the_walk_brought_is_asked_once_though_the_next_round_begins_soon_after() {
        let second = |seconds: i64| {
            let (as_of_micros, dated_micros) = (DAY + seconds * 1_000_000, DAY + seconds * 1_000_000);
            Beginning { began: Began { as_of_micros, dated_micros }, unsettled_since_micros: as_of_micros }
        };
        let mut first = Round::first(second(0), false);
        first.ended();
        let mut again = first.next(second(10), Duration::MAX);
        again.ended();
        let third = again.next(second(20), Duration::MAX);
        assert_eq!((again.since_micros, third.since_micros), (Some(DAY), Some(DAY)));
        let late = Round::first(second(0), true);
        assert_eq!(late.next_since_micros, Some(DAY - HELD_BACK), "some may have changed just before");
    }

    #[test]
    fn a_clock_that_is_set_forward_makes_one_round_go_over_all_parents() {
        let (every, forward) = (Duration::MAX, 2 * MISSTEP * 1_000_000);
        let later = |number: i64, by: i64| {
            let Beginning { began, unsettled_since_micros } = day(number);
            let began = Began { as_of_micros: began.as_of_micros + by, ..began };
            Beginning { began, unsettled_since_micros: unsettled_since_micros + by }
        };
        let mut round = Round::first(day(1), false);
        let mut over_all = Vec::new();
        for now in [day(2), later(3, forward), later(4, forward), later(5, forward), later(6, 0), later(7, 0)]
        {
            round.ended();
            round = round.next(now, every);
            over_all.push(round.is_over_all());
        }
        assert_eq!(over_all, [false, false, true, false, false, false]);
    }

    #[test]
    fn after_a_round_that_an_earlier_version_began_all_parents_are_asked() {
        let mut held = serde_json::to_value(Round::first(day(1), false)).unwrap();
        held.as_object_mut().unwrap().remove("next_since_micros");
        let mut held: Round = serde_json::from_value(held).unwrap();
        held.ended();
        assert!(held.next(day(2), Duration::MAX).is_over_all());
    }
}
