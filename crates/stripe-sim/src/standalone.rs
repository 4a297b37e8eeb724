//! A simulator to run by itself: the demo's credentials and a live account's limits.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::http::{Clock, DEMO_KEY, DEMO_RESTRICTED_KEY, Key, RateLimits, Sim, SimOptions};

impl SimOptions {
    /// The demo's credentials and a live account's limits; webhooks are signed at the real time that `clock` gives.
    ///
    /// It takes [`DEMO_KEY`], [`DEMO_RESTRICTED_KEY`] and the demo application's OAuth; the truth is told only on
    /// request. Run [`Sim::follow`] beside the simulator to let the business live on.
    #[must_use]
    pub fn standalone(clock: Clock) -> Self {
        Self {
            keys: vec![Key::full(DEMO_KEY), Key::read_all(DEMO_RESTRICTED_KEY)],
            rates: Some(RateLimits::default()),
            truth: false,
            clock: Some(clock),
            ..Self::default()
        }
    }
}

impl Sim {
    /// Keeps the world's present at the real time that `clock` gives, and delivers webhooks, until `stop`.
    pub async fn follow(&self, clock: Clock, stop: CancellationToken) {
        let live = async {
            loop {
                tokio::time::sleep(SECOND).await;
                let behind = clock() - self.world().now();
                if behind > 0 {
                    self.advance(behind);
                }
            }
        };
        // Beside the clock: an endpoint that does not answer holds nothing else up.
        let tell = async {
            loop {
                tokio::time::sleep(SECOND).await;
                self.deliver_pending().await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = live => {}
            () = tell => {}
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
