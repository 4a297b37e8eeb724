//! Everything accidental: one seed, one stream.

use std::ops::RangeInclusive;
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// An id, shared by all that name it.
pub(crate) type Id = Arc<str>;

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What decides.
pub(crate) struct Chance(ChaCha8Rng);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn between(&mut self, range: RangeInclusive<i64>) -> i64 {
        self.0.random_range(range)
    }

    /// True in `per_mille` of a thousand cases.
    pub(crate) fn one_in_thousand(&mut self, per_mille: i64) -> bool {
        self.between(0..=999) < per_mille
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the range is the slice's, and no caller passes an empty one"
    )]
    pub(crate) fn pick<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.0.random_range(0..options.len())]
    }

    /// The number of a record chosen among the newest `count`, counted back from the newest.
    pub(crate) fn back(&mut self, count: usize) -> usize {
        self.0.random_range(0..count.max(1))
    }
}

/// Makes ids that do not sort and are never the same.
pub(crate) struct Ids {
    seed: u64,
    made: u64,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, made: 0 }
    }

    /// `prefix` and `places` letters.
    pub(crate) fn next(&mut self, prefix: &str, places: usize) -> Id {
        self.made += 1;
        id(prefix, places, self.seed, self.made)
    }
}

/// The id that belongs to a number.
pub(crate) fn id(prefix: &str, places: usize, seed: u64, number: u64) -> Id {
    let mut text = String::with_capacity(prefix.len() + places);
    text.push_str(prefix);
    let mut state = scramble(seed ^ scramble(number));
    while text.len() < prefix.len() + places {
        state = scramble(state);
        let letter = LETTERS.iter().cycle().nth(usize::try_from(state % 62).unwrap_or(0));
        text.push(char::from(*letter.unwrap_or(&b'0')));
    }
    Arc::from(text)
}

/// A number that looks unlike the one it comes from.
fn scramble(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
