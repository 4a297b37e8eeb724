//! Which parents a round asks next, and what is known of those that it asked.

use std::collections::{BTreeSet, VecDeque};

use crate::round::Round;

/// After so many parents in a row that were refused or failed, the rest waits for the next turn: it is about the list.
const MOST_IN_A_ROW: usize = 50;
/// As long as none was ever answered, no more than these are tried in each turn, once that was seen.
const A_FEW: usize = 4;
/// More refused parents than this are not owed one by one.
const MOST_REFUSED: usize = 2_500;
/// Where more are owed than this, nobody else is asked: each that failed must be kept.
const MOST_OWED: usize = 5_000;

/// Parents to ask next: those that are owed first.
pub(crate) struct Line {
    owed: VecDeque<String>,
    next: VecDeque<String>,
    /// Those up to this one were looked up.
    pub(crate) looked_up: String,
    /// Parents asked in this round, also before it was broken off.
    asked: u64,
    /// There are no more to look up.
    at_end: bool,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The next in the order of ids: the round comes so far with it.
    InOrder,
    /// It is owed.
    Owed,
}

/// How a parent's list was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// With what it has, be it nothing.
    Shown,
    /// Stripe refuses to show it: that may stay so.
    Refused,
    /// It could not be read.
    Failed,
}

/// What is known of answers that came but may not be stored yet.
pub(crate) struct Known {
    owed: BTreeSet<String>,
    /// Some parent was answered in this round.
    pub(crate) answered: bool,
    /// How many in a row were not answered.
    owed_in_vain: usize,
    in_order_in_vain: usize,
    /// None was answered in any round.
    never: bool,
}

impl Line {
    pub(crate) fn of(round: &Round) -> Self {
        // Where some are refused for good, others must have their turn too.
        let asked_last = round.owed_after.clone();
        let (before, after): (Vec<_>, Vec<_>) = round.owed.iter().cloned().partition(|id| *id <= asked_last);
        let owed = after.into_iter().chain(before).collect();
        let looked_up = round.after.clone();
        Self { owed, next: VecDeque::new(), looked_up, asked: round.asked, at_end: false }
    }

    /// About how many are still to ask, of `all` if that is known.
    pub(crate) fn len(&self, all: u64) -> u32 {
        let looked_up = u64::try_from(self.owed.len() + self.next.len()).unwrap_or(u64::MAX);
        let left = if self.at_end { 0 } else { all.saturating_sub(self.asked) };
        u32::try_from(left.max(looked_up)).unwrap_or(u32::MAX)
    }

    /// The next parent; none as long as those that were asked last were all asked in vain.
    pub(crate) fn next(&mut self, known: &Known) -> Option<(String, Turn)> {
        if known.owed_in_vain < MOST_IN_A_ROW
            && let Some(owed) = self.owed.pop_front()
        {
            return Some((owed, Turn::Owed));
        }
        if !known.may_go_on() {
            return None; // Some that are asked just now may yet answer.
        }
        let parent = self.next.pop_front()?;
        self.asked += 1;
        Some((parent, Turn::InOrder))
    }

    /// Whether more are to be looked up, lest fewer than so many wait.
    pub(crate) fn is_short(&self, of: usize) -> bool {
        !self.at_end && self.next.len() < of
    }

    pub(crate) fn extend(&mut self, found: Vec<String>, most: usize) {
        self.at_end |= found.len() < most;
        found.last().into_iter().for_each(|last| last.clone_into(&mut self.looked_up));
        self.next.extend(found);
    }

    /// Whether it is known that no more have their turn in order.
    pub(crate) fn is_over(&self) -> bool {
        self.next.is_empty() && self.at_end
    }
}

impl Known {
    /// As they are stored. Of a list that was never shown of any parent a few more are tried.
    pub(crate) fn of(round: &Round) -> Self {
        let never = !round.answered && !round.was_whole();
        let in_vain = if never { round.owed.len().min(MOST_IN_A_ROW - A_FEW) } else { 0 };
        let (owed, answered) = (round.owed.clone(), round.answered);
        Self { owed, answered, owed_in_vain: in_vain, in_order_in_vain: in_vain, never }
    }

    pub(crate) fn heard(&mut self, parent: &str, turn: Turn, answered: Answered) {
        match (turn, answered) {
            (Turn::InOrder, Answered::Shown) => self.in_order_in_vain = 0,
            (Turn::Owed, Answered::Shown) => (self.owed_in_vain, self.in_order_in_vain) = (0, 0),
            (Turn::InOrder, _) => self.in_order_in_vain += 1,
            (Turn::Owed, _) => self.owed_in_vain += 1,
        }
        self.answered |= answered == Answered::Shown;
        note(&mut self.owed, parent, answered);
    }

    fn may_go_on(&self) -> bool {
        let most = if self.never && !self.answered { MOST_REFUSED - 1 } else { MOST_OWED };
        self.in_order_in_vain < MOST_IN_A_ROW && self.owed.len() <= most
    }
}

/// Keeps who is owed an answer; whether one is left out, since very many are refused.
pub(crate) fn note(owed: &mut BTreeSet<String>, parent: &str, answered: Answered) -> bool {
    if answered == Answered::Shown {
        owed.remove(parent);
        return false;
    }
    let is_left_out = answered == Answered::Refused && !owed.contains(parent) && is_crowded(owed);
    if !is_left_out {
        owed.insert(parent.to_owned());
    }
    is_left_out
}

/// Whether no refused parent has a place any more.
pub(crate) fn is_crowded(owed: &BTreeSet<String>) -> bool {
    owed.len() >= MOST_REFUSED
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Began, round::Beginning};

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("cus_{number:05}")).collect()
    }

    /// Asks one after the other, each answered as it may be; gives whom.
    fn asked(line: &mut Line, known: &mut Known, answer: impl Fn(&str) -> Answered) -> Vec<String> {
        let next = || {
            let (parent, turn) = line.next(known)?;
            known.heard(&parent, turn, answer(&parent));
            Some(parent)
        };
        std::iter::from_fn(next).collect()
    }

    fn begun() -> Round {
        Round::first(Beginning::at(Began { as_of_micros: 0, dated_micros: 0 }), true)
    }

    fn line(owed: Vec<String>, next: Vec<String>) -> Line {
        Line { owed: owed.into(), next: next.into(), looked_up: String::new(), asked: 0, at_end: true }
    }

    fn known(owed: &[String], answered: bool) -> Known {
        let owed = owed.iter().cloned().collect();
        Known { owed, answered, owed_in_vain: 0, in_order_in_vain: 0, never: false }
    }

    #[test]
    fn a_round_waits_when_too_many_in_a_row_are_asked_in_vain() {
        let (mut line, mut known) = (line(Vec::new(), ids(300)), known(&[], true));
        // One in forty answers, then none.
        let answers = |number: usize| number.is_multiple_of(40) && number < 200;
        let answer = |id: &str| match answers(id.trim_start_matches("cus_").parse().unwrap()) {
            true => Answered::Shown,
            false => Answered::Refused,
        };
        let asked = asked(&mut line, &mut known, answer);
        assert_eq!((asked.len(), line.is_over()), (161 + MOST_IN_A_ROW, false));
    }

    #[test]
    fn those_that_are_owed_keep_nobody_from_his_turn() {
        let owed = ids(120);
        let (mut line, mut known) = (line(owed.clone(), vec!["cus_next".to_owned()]), known(&owed, true));
        let asked = asked(&mut line, &mut known, |id| match id {
            "cus_next" => Answered::Shown,
            _ => Answered::Refused,
        });
        assert_eq!((asked.len(), asked.last().map(String::as_str)), (51, Some("cus_next")));
        assert!(line.is_over());
    }

    #[test]
    fn who_was_owed_longest_without_being_asked_is_first() {
        let mut round = begun();
        ids(5).iter().for_each(|id| round.heard(id, Turn::InOrder, Answered::Refused));
        round.heard("cus_00001", Turn::Owed, Answered::Refused);
        let first = Line::of(&round).owed;
        assert_eq!(first, ["cus_00002", "cus_00003", "cus_00004", "cus_00000", "cus_00001"]);
    }

    #[test]
    fn where_none_was_ever_answered_a_few_more_are_tried_each_time() {
        let mut round = begun();
        let all = ids(60);
        for times in 0..3 {
            let (mut line, mut known) = (Line::of(&round), Known::of(&round));
            let left = all.iter().filter(|id| **id > round.after).cloned().collect();
            line.extend(left, 100);
            while let Some((parent, turn)) = line.next(&known) {
                known.heard(&parent, turn, Answered::Refused);
                round.heard(&parent, turn, Answered::Refused);
            }
            assert_eq!(line.asked, 50 + 4 * times);
        }
    }

    #[test]
    fn of_very_many_only_those_that_failed_are_owed() {
        let mut owed: BTreeSet<String> = ids(MOST_REFUSED).into_iter().collect();
        assert!(note(&mut owed, "cus_refused", Answered::Refused), "it is left out");
        assert!(!note(&mut owed, "cus_00001", Answered::Refused), "it is among them");
        assert!(!note(&mut owed, "cus_failed", Answered::Failed));
        assert!(owed.contains("cus_failed") && owed.len() == MOST_REFUSED + 1);
        let mut full = known(&ids(MOST_OWED + 1), true);
        assert!(
            asked(&mut line(Vec::new(), ids(1)), &mut full, |_| Answered::Shown).is_empty(),
            "none can be owed"
        );
    }

    #[test]
    fn parents_that_are_left_out_are_asked_with_all_others_once_some_of_them_are_answered() {
        let mut round = begun();
        round.heard("cus_answered", Turn::InOrder, Answered::Shown);
        ids(MOST_REFUSED + 1).iter().for_each(|id| round.heard(id, Turn::InOrder, Answered::Refused));
        round.ended();
        let later = Beginning::at(Began { as_of_micros: 1, dated_micros: 1 });
        assert!(!round.next(later, Duration::MAX).is_over_all(), "it would be in vain");
        round.heard("cus_00000", Turn::Owed, Answered::Shown);
        let mut again = round.next(later, Duration::MAX);
        assert!(again.is_over_all());
        again.ended();
        assert!(!again.next(later, Duration::MAX).is_over_all());
    }

    #[test]
    fn where_none_was_ever_answered_nobody_is_left_out() {
        let mut round = begun();
        ids(MOST_REFUSED).iter().for_each(|id| round.heard(id, Turn::InOrder, Answered::Refused));
        let (mut line, mut known) = (Line::of(&round), Known::of(&round));
        line.extend(vec!["cus_next".to_owned()], 100);
        let asked = asked(&mut line, &mut known, |_| Answered::Refused);
        assert_eq!(asked.len(), A_FEW, "only those that are owed");
    }
}
