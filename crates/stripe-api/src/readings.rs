//! Who reads and has yet to store: what is stored may be older than the moment in which it is.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// When the readings under way began, in microseconds; no two in the same.
#[derive(Default)]
pub(crate) struct Readings(Mutex<BTreeSet<i64>>);

/// A reading under way, until this is dropped: see [`Stripe::reading`](crate::Stripe::reading).
#[must_use]
pub struct Reading {
    all: Arc<Readings>,
    began_micros: i64,
}

impl Readings {
    /// `now` never gives a time twice.
    pub(crate) fn begin(all: &Arc<Self>, now: impl FnOnce() -> i64) -> Reading {
        let mut held = all.held();
        let began_micros = now();
        held.insert(began_micros);
        Reading { all: Arc::clone(all), began_micros }
    }

    /// When the first began that is under way, or else now.
    pub(crate) fn first_or(&self, now: impl FnOnce() -> i64) -> i64 {
        // Under the lock: whoever begins later does so after the moment that is given.
        let held = self.held();
        held.first().copied().unwrap_or_else(now)
    }

    fn held(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.all.held().remove(&self.began_micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_from_now_on_is_no_older_than_the_first_reading_under_way() {
        let all = Arc::new(Readings::default());
        assert_eq!(all.first_or(|| 1), 1);
        let first = Readings::begin(&all, || 2);
        let second = Readings::begin(&all, || 3);
        assert_eq!(all.first_or(|| 4), 2);
        drop(first);
        assert_eq!(all.first_or(|| 5), 3);
        drop(second);
        assert_eq!(all.first_or(|| 6), 6);
    }
}
