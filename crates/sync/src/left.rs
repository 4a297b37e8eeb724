//! What is left of a walk.

use std::collections::{BTreeMap, VecDeque};

use crate::{Slice, copy::PAGE};

/// What is left to walk.
pub(crate) struct Left {
    pub(crate) waiting: VecDeque<Slice>,
    /// Seconds still to walk of every slice there is, by its number.
    pub(crate) spans: BTreeMap<u32, i64>,
    /// Objects met so far.
    objects: usize,
    /// Pages walked so far that covered a known stretch, and its seconds.
    pages: u32,
    seconds: i64,
}

impl Left {
    pub(crate) fn of(slices: &[Slice]) -> Self {
        let mut left =
            Self { waiting: VecDeque::new(), spans: BTreeMap::new(), objects: 0, pages: 0, seconds: 0 };
        slices.iter().rev().for_each(|slice| left.back(slice.clone()));
        left
    }

    /// A slice that was walked, to be walked on next if it is not done.
    pub(crate) fn back(&mut self, slice: Slice) {
        self.spans.insert(slice.number, if slice.done { 0 } else { slice.span() });
        if !slice.done {
            self.waiting.push_front(slice);
        }
    }

    /// Up to `most` slices to walk now.
    pub(crate) fn take(&mut self, most: usize) -> impl Iterator<Item = Slice> {
        let most = most.min(self.waiting.len());
        self.waiting.drain(..most)
    }

    pub(crate) fn split_longest(&mut self) -> Option<(Slice, Slice)> {
        let number = self.spans.last_key_value().map_or(0, |(most, _)| most + 1);
        let (index, longest) = self.waiting.iter().enumerate().max_by_key(|(_, slice)| slice.span())?;
        let (newer, older) = longest.split(number)?;
        self.waiting.remove(index);
        for half in [&newer, &older] {
            self.spans.insert(half.number, half.span());
            self.waiting.push_back(half.clone());
        }
        Some((newer, older))
    }

    /// Notes what so many pages showed, and the seconds that they covered if that is known.
    pub(crate) fn covered(&mut self, pages: u32, objects: usize, seconds: Option<i64>) {
        self.objects += objects;
        if let Some(seconds) = seconds.filter(|seconds| *seconds > 0) {
            self.pages += pages;
            self.seconds += seconds;
        }
    }

    /// About how many requests are still to come one after another, if objects are as dense where none was walked as where
    /// some were: a page each, and where rounds begin when the walk is over, in which each is asked for what belongs to it,
    /// one for each object.
    pub(crate) fn requests(&self, are_parents: bool) -> u32 {
        let pages = i128::from(self.span()) * i128::from(self.pages) / i128::from(self.seconds.max(1));
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        if !are_parents || pages == 0 {
            return pages;
        }
        let objects = u32::try_from(self.objects).unwrap_or(u32::MAX);
        pages.saturating_mul(1 + u32::from(PAGE)).saturating_add(objects)
    }

    /// Seconds of the time line still to walk.
    pub(crate) fn span(&self) -> i64 {
        self.spans.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use catalog::Key;

    use super::*;

    const YEAR: i64 = 365 * 86_400;

    /// A slice of so many years whose newest objects were walked for so many.
    fn walked(number: u32, years: i64, of_them: i64) -> Slice {
        let (gte, lt) = (Some(0), Some(years * YEAR));
        let slice = Slice { number, gte, lt, ..Slice::whole() };
        slice.walked(&[Key { id: "a".to_owned(), created: Some((years - of_them) * YEAR) }], true)
    }

    #[test]
    fn what_is_left_is_as_dense_as_what_was_walked() {
        let mut left = Left::of(&[walked(0, 10, 2)]);
        assert_eq!(left.requests(false), 0, "nothing is known");
        left.covered(20, 2_000, Some(2 * YEAR));
        assert_eq!(left.requests(false), 80);
        assert_eq!(left.requests(true), 80 * 101 + 2_000, "and one for each of their objects");
        left.covered(1, 0, Some(0));
        assert_eq!(left.requests(false), 80, "a page that shows nothing says nothing");
        left.back(Slice { done: true, ..walked(0, 10, 2) });
        assert_eq!((left.requests(false), left.requests(true)), (0, 0));
    }

    #[test]
    fn a_list_that_tells_no_time_and_objects_from_before_stripe_leave_nothing_to_estimate() {
        let mut left = Left::of(&[Slice::whole()]);
        left.covered(5, 500, None);
        assert_eq!(left.requests(false), 0);
        let old = Slice::whole().walked(&[Key { id: "a".to_owned(), created: Some(0) }], true);
        let mut left = Left::of(&[old]);
        left.covered(1, 100, Some(YEAR));
        assert_eq!(left.requests(true), 0);
    }
}
