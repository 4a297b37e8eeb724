//! Which parents a round asks next, and what is known of those that it asked.

use std::collections::{BTreeSet, VecDeque};

use crate::{
    round::{Round, owes_too_much},
    set::Set,
};

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

/// What is known of answers that came but may not be stored yet.
pub(crate) struct Known {
    owed: BTreeSet<String>,
    pub(crate) answered: bool,
}

impl Line {
    pub(crate) fn of(round: &Round) -> Self {
        let owed = round.owed.iter().cloned().collect();
        let looked_up = round.after.clone();
        Self { owed, next: VecDeque::new(), looked_up, asked: round.asked, at_end: false }
    }

    /// About how many are still to ask, of `all` if that is known.
    pub(crate) fn len(&self, all: u64) -> u32 {
        let looked_up = u64::try_from(self.owed.len() + self.next.len()).unwrap_or(u64::MAX);
        let left = if self.at_end { 0 } else { all.saturating_sub(self.asked) };
        u32::try_from(left.max(looked_up)).unwrap_or(u32::MAX)
    }

    /// The next parent, and whether it is its turn in the order of ids; none as long as too many owe an answer.
    pub(crate) fn next(&mut self, known: &Known) -> Option<(String, bool)> {
        if let Some(owed) = self.owed.pop_front() {
            return Some((owed, false));
        }
        if owes_too_much(&known.owed) {
            return None; // Some that are asked just now may yet answer.
        }
        let parent = self.next.pop_front()?;
        self.asked += 1;
        Some((parent, true))
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

    /// Whether it is known that there are no more.
    pub(crate) fn is_over(&self) -> bool {
        self.owed.is_empty() && self.next.is_empty() && self.at_end
    }
}

impl Known {
    /// As they are stored.
    pub(crate) fn of(round: &Round) -> Self {
        Self { owed: round.owed.clone(), answered: round.answered }
    }

    pub(crate) fn heard(&mut self, set: &Set) {
        if set.is_answered() {
            self.owed.remove(set.parent());
            self.answered = true;
        } else {
            self.owed.insert(set.parent().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_owes_too_much_goes_on_when_some_answer_after_all() {
        let ids = |count: usize| (0..count).map(|number| format!("cus_{number}"));
        let mut known = Known { owed: ids(60).collect(), answered: true };
        let next = VecDeque::from(["cus_next".to_owned()]);
        let mut line = Line { owed: VecDeque::new(), next, looked_up: String::new(), asked: 0, at_end: true };
        assert_eq!(line.next(&known), None);
        assert!(!line.is_over(), "nobody asked the last one");
        known.owed = ids(45).collect();
        assert_eq!(line.next(&known), Some(("cus_next".to_owned(), true)));
    }
}
