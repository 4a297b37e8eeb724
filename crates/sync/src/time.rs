//! How long rounds may go on.

use std::{sync::OnceLock, time::Duration};

use tokio::time::Instant;

/// How long rounds may go on when nothing else does.
pub(crate) struct Time {
    most: Duration,
    until: OnceLock<Instant>,
}

impl Time {
    pub(crate) fn new(most: Duration) -> Self {
        Self { most, until: OnceLock::new() }
    }

    /// Lists are walked and changes followed: they wait for the rounds from now on.
    pub(crate) fn begin(&self) {
        self.until.get_or_init(|| Instant::now() + self.most);
    }

    /// Whether changes of other tables are to be looked for again.
    pub(crate) fn is_up(&self) -> bool {
        self.until.get().is_some_and(|until| Instant::now() >= *until)
    }
}
