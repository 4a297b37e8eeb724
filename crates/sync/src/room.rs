//! The memory that walks share.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// What all walks of a cycle may have gathered and not yet stored: a warehouse that is slower than Stripe is must not fill
/// the memory.
pub(crate) struct Room {
    most: usize,
    /// Walks that share it, at most.
    sharers: usize,
    used: AtomicUsize,
    /// Somebody left.
    freed: Notify,
}

/// Bytes in the room, until this is dropped.
pub(crate) struct Held {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(most: usize, sharers: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            sharers: sharers.max(1),
            used: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Held { room: Arc::clone(self), bytes }
    }

    /// As much as one of those who share it has at least, if it is full.
    pub(crate) fn share(&self) -> usize {
        (self.most / self.sharers).max(1)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.most
    }

    /// Waits until it is not full.
    pub(crate) async fn free(&self) {
        loop {
            // It hears of what leaves from now on.
            let freed = self.freed.notified();
            if !self.is_full() {
                return;
            }
            freed.await;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.room.freed.notify_waiters();
    }
}
