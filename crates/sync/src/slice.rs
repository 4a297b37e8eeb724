//! A slice: one stretch of a list in time, walked from its newest object to its oldest.
//!
//! A slice is a value. Walking or splitting makes new values, which are stored in the transaction of the rows they
//! cover. Slices of a table never overlap, so an object is written by one slice, once.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// When Stripe opened: no object is older, so a split never has to look further back.
const STRIPE_BEGAN: i64 = 1_262_304_000;
/// A stretch shorter than this is not worth a split: each costs a page that is not full.
const SHORTEST_SPLIT: i64 = 10 * 86_400;

/// A walk that loses its cursor more often than this will not come to its end.
pub(crate) const MOST_BEGINNINGS: u32 = 20;

/// How far a slice has been walked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The last object stored: the next page starts after it. Empty where pages showed nothing so far.
    pub id: String,
    /// Its second, when the resource has one.
    pub created: Option<i64>,
    /// The ids stored so far of that second, for the day on which the cursor object is gone.
    pub seen: Vec<String>,
    /// Where the next page is, in lists of API v2 (trap 6): path and query.
    #[serde(default)]
    pub page: Option<String>,
}

/// One stretch `[gte, lt)` of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Names the slice within its table.
    pub number: u32,
    /// Oldest second inside, none for the beginning of time.
    pub gte: Option<i64>,
    /// First second outside, none for the newest object there is.
    pub lt: Option<i64>,
    /// Where the walk stands, none before the first page.
    pub at: Option<Position>,
    /// The cursor object is gone: ask by time instead (trap 2).
    #[serde(default)]
    pub by_time: bool,
    /// Asks for what the list leaves out otherwise (trap 10).
    #[serde(default)]
    pub again: bool,
    /// How often the walk began anew because its cursor was gone.
    #[serde(default)]
    pub begun_anew: u32,
    /// Every object of the stretch is stored.
    pub done: bool,
}

/// The query of the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Parameters as Stripe names them.
    pub query: Vec<(&'static str, String)>,
    /// Ids that are stored already and must be passed over.
    pub skip: HashSet<String>,
    /// The page itself, path and query, where Stripe named it; then `query` does not count.
    pub page: Option<String>,
}

impl Slice {
    /// The whole list.
    #[must_use]
    pub fn whole() -> Self {
        Self {
            number: 0,
            gte: None,
            lt: None,
            at: None,
            by_time: false,
            again: false,
            begun_anew: 0,
            done: false,
        }
    }

    /// Everything from `gte` on.
    #[must_use]
    pub fn since(gte: Option<i64>) -> Self {
        Self { gte, ..Self::whole() }
    }

    /// What to ask next.
    #[must_use]
    pub fn ask(&self) -> Ask {
        let mut query = vec![("limit", "100".to_owned())];
        query.extend(self.gte.map(|second| ("created[gte]", second.to_string())));
        let Some(at) = &self.at else {
            query.extend(self.lt.map(|second| ("created[lt]", second.to_string())));
            return Ask { query, skip: HashSet::new(), page: None };
        };
        let page = at.page.clone().filter(|_| !self.by_time);
        match at.created {
            Some(second) if self.by_time => query.push(("created[lte]", second.to_string())),
            Some(_) | None => {
                query.extend(self.lt.map(|second| ("created[lt]", second.to_string())));
                query.push(("starting_after", at.id.clone()));
            }
        }
        Ask { query, skip: at.seen.iter().cloned().collect(), page }
    }

    /// The slice after a page whose `keys` are in page order, the skipped ones too.
    #[must_use]
    pub fn walked(&self, keys: &[catalog::Key], has_more: bool) -> Self {
        let Some(last) = keys.last() else { return Self { done: !has_more, ..self.clone() } };
        let mut seen: Vec<String> = match &self.at {
            Some(at) if at.created == last.created => at.seen.clone(),
            Some(_) | None => Vec::new(),
        };
        if last.created.is_some() {
            let known: HashSet<String> = seen.iter().cloned().collect();
            let same_second = keys.iter().filter(|key| key.created == last.created);
            seen.extend(same_second.map(|key| key.id.clone()).filter(|id| !known.contains(id)));
        }
        let at = Position { id: last.id.clone(), created: last.created, seen, page: None };
        Self { at: Some(at), by_time: false, done: !has_more, ..self.clone() }
    }

    /// The same, going on at the page that Stripe named.
    #[must_use]
    pub fn on_page(mut self, next: Option<String>) -> Self {
        match &mut self.at {
            Some(at) => at.page = next,
            // The first page showed nothing.
            None => self.at = next.map(|page| Position { page: Some(page), ..Position::default() }),
        }
        self
    }

    /// The slice when Stripe no longer knows the cursor object: it goes on by time in a list that can be asked so, and
    /// from its beginning in another, or where the object did not say when it was created. None when that was tried often enough.
    #[must_use]
    pub fn without_cursor(&self, by_time: bool) -> Option<Self> {
        let at = self.at.as_ref()?;
        if by_time && at.created.is_some() {
            return (!self.by_time).then(|| Self { by_time: true, ..self.clone() });
        }
        let begun_anew = self.begun_anew + 1;
        (begun_anew <= MOST_BEGINNINGS).then(|| Self { at: None, begun_anew, ..self.clone() })
    }

    /// Two slices for what is left of this one, the older under `number`; none when it is too short.
    #[must_use]
    pub fn split(&self, number: u32) -> Option<(Self, Self)> {
        let newest = self.at.as_ref().map_or(self.lt, |at| at.created)?;
        let oldest = self.gte.unwrap_or(STRIPE_BEGAN);
        if self.done || newest - oldest < SHORTEST_SPLIT {
            return None;
        }
        let middle = oldest + (newest - oldest) / 2;
        let newer = Self { gte: Some(middle), ..self.clone() };
        let older = Self { number, lt: Some(middle), at: None, by_time: false, ..self.clone() };
        Some((newer, older))
    }

    /// Seconds left to walk, as far as one can tell: what a split would halve.
    #[must_use]
    pub fn span(&self) -> i64 {
        self.known_span().unwrap_or(0)
    }

    /// The same; none while the newest object is not known.
    pub(crate) fn known_span(&self) -> Option<i64> {
        let newest = self.at.as_ref().map_or(self.lt, |at| at.created)?;
        Some((newest - self.gte.unwrap_or(STRIPE_BEGAN)).max(0))
    }
}

#[cfg(test)]
mod tests {
    use catalog::Key;

    use super::*;

    fn key(id: &str, created: i64) -> Key {
        Key { id: id.to_owned(), created: Some(created) }
    }

    #[test]
    fn trap_2_a_lost_cursor_resumes_by_time_and_skips_what_is_stored() {
        let walked = Slice::whole().walked(&[key("a", 9), key("b", 7), key("c", 7)], true);
        let resumed = walked.without_cursor(true).unwrap();
        let ask = resumed.ask();
        assert_eq!(ask.query, [("limit", "100".to_owned()), ("created[lte]", "7".to_owned())]);
        assert_eq!(ask.skip, HashSet::from(["b".to_owned(), "c".to_owned()]));
        assert!(!resumed.done, "a lost cursor is not the end of the list");
    }

    #[test]
    fn trap_3_the_boundary_second_is_remembered_over_pages() {
        let first = Slice::whole().walked(&[key("a", 7), key("b", 7)], true);
        let second = first.walked(&[key("c", 7)], true);
        assert_eq!(second.at.unwrap().seen, ["a", "b", "c"]);
    }

    #[test]
    fn trap_3_a_split_shares_no_second() {
        let slice = Slice::whole().walked(&[key("a", 1_700_000_000)], true);
        let (newer, older) = slice.split(1).unwrap();
        assert_eq!(newer.gte, older.lt, "gte includes and lt excludes: no second twice, none lost");
        assert_eq!(newer.at, slice.at);
        assert_eq!(older.gte, slice.gte);
    }

    #[test]
    fn trap_2_a_cursor_that_did_not_say_when_it_was_created_is_gone_from_the_beginning_on() {
        let timeless = Key { id: "a".to_owned(), created: None };
        let again = Slice::whole().walked(&[timeless], true).without_cursor(true).unwrap();
        assert_eq!(again, Slice { begun_anew: 1, ..Slice::whole() });
    }

    #[test]
    fn trap_2_a_walk_that_loses_its_cursor_forever_ends() {
        let mut slice = Slice::whole();
        let lost = |slice: &Slice| slice.walked(&[key("a", 7)], true).without_cursor(false);
        for _ in 0..MOST_BEGINNINGS {
            slice = lost(&slice).unwrap();
            assert_eq!(slice.at, None);
        }
        assert_eq!(lost(&slice), None);
    }

    #[test]
    fn a_short_or_finished_slice_is_not_split() {
        let short = Slice { gte: Some(100), lt: Some(200), ..Slice::whole() };
        assert_eq!(short.split(1), None);
        assert_eq!(Slice { done: true, lt: Some(1_700_000_000), ..Slice::whole() }.split(1), None);
    }

    #[test]
    fn an_empty_page_ends_the_slice() {
        assert!(Slice::whole().walked(&[], false).done);
    }
}
