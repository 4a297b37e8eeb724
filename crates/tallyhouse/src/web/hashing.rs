//! Passwords are hashed and checked beside the requests, a few at a time.
//!
//! Argon2 takes tens of milliseconds and 19 MiB each time, on purpose. Without a limit a few hundred forms sent at once
//! would take all memory, and nobody has to be signed in to send them.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::timeout};

use super::Refusal;

/// As many as there are cores on the smallest machine that is meant.
const AT_ONCE: usize = 2;
/// Longer than anybody waits to be let in; those behind are turned away rather than queued without end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The places for such work. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Hashing {
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), patience: PATIENCE }
    }
}

impl Hashing {
    /// Does the work when there is a place. The place is kept until the work is done, even if nobody waits any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = timeout(self.patience, Arc::clone(&self.places).acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(Refusal::busy()) };
        let work = move || {
            let done = work();
            drop(place);
            done
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends by itself after tens of milliseconds and writes nothing"
        )]
        tokio::task::spawn_blocking(work).await.map_err(|error| Refusal::inside(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn only_a_few_are_hashed_at_once_even_when_nobody_waits_for_them() {
        let (hashing, now, most) =
            (Hashing::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let work = || {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(20));
                now.fetch_sub(1, Ordering::SeqCst);
            }
        };
        for _ in 0..6 {
            // Somebody sends a form and goes away.
            let _gone = timeout(Duration::from_millis(1), hashing.run(work())).await;
        }
        let all = join_all((0..6).map(|_| hashing.run(work()))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
    }

    #[tokio::test]
    async fn who_would_wait_too_long_is_turned_away() {
        let hashing = Hashing { patience: Duration::from_millis(1), ..Hashing::default() };
        let _taken = Arc::clone(&hashing.places).acquire_many_owned(2).await.unwrap();
        let refused = hashing.run(|| ()).await;
        assert!(matches!(refused, Err(Refusal::Page(_))), "{refused:?}");
    }
}
