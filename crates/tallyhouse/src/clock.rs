//! The wall clock. Everything else takes a `Clock`.

use chrono::{DateTime, Utc};

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl stripe_api::Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
