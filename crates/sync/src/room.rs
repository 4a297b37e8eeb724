//! The memory that walks share.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// What all walks of a cycle may have gathered and not yet stored: a warehouse that is slower than Stripe is must not fill
/// the memory.
pub(crate) struct Room {
    most: usize,
    used: AtomicUsize,
    /// What each walk has gathered and does not store yet.
    parts: Mutex<Vec<Weak<AtomicUsize>>>,
    /// It became full, somebody left, or somebody else has most.
    moved: Notify,
}

/// What one walk has in the room.
pub(crate) struct Part {
    room: Arc<Room>,
    /// Bytes that are gathered and that it does not store yet.
    gathered: Arc<AtomicUsize>,
}

/// Bytes in the room, until this is dropped.
pub(crate) struct Held {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let (used, parts, moved) = (AtomicUsize::new(0), Mutex::default(), Notify::new());
        Arc::new(Self { most: most.max(1), used, parts, moved })
    }

    /// The part of one walk more.
    pub(crate) fn part(self: &Arc<Self>) -> Part {
        let gathered = Arc::<AtomicUsize>::default();
        let mut parts = self.parts();
        parts.retain(|part| part.strong_count() > 0);
        parts.push(Arc::downgrade(&gathered));
        Part { room: Arc::clone(self), gathered }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.most
    }

    /// Waits until it is full or no longer, or the turn to make room is another's.
    pub(crate) async fn changed(&self) {
        self.moved.notified().await;
    }

    /// The most that one walk has gathered.
    fn largest(&self) -> usize {
        let parts = self.parts();
        let gathered = parts.iter().filter_map(Weak::upgrade).map(|part| part.load(Ordering::Relaxed));
        gathered.max().unwrap_or(0)
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Weak<AtomicUsize>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// Takes room for what was gathered.
    pub(crate) fn gather(&self, bytes: usize) -> Held {
        self.gathered.fetch_add(bytes, Ordering::Relaxed);
        self.room.used.fetch_add(bytes, Ordering::Relaxed);
        if self.room.is_full() {
            self.room.moved.notify_waiters();
        }
        Held { room: Arc::clone(&self.room), bytes }
    }

    /// So much is stored now; it has its room until it is.
    pub(crate) fn store(&self, bytes: usize) {
        self.gathered.fetch_sub(bytes, Ordering::Relaxed);
        self.room.moved.notify_waiters();
    }

    pub(crate) fn gathered(&self) -> usize {
        self.gathered.load(Ordering::Relaxed)
    }

    /// Whether this one is to make room: when it is full, the one that gathered most stores. The others keep what they have until
    /// it is their turn, so that transactions are as large as memory allows.
    pub(crate) fn is_to_make_room(&self) -> bool {
        let gathered = self.gathered();
        self.room.is_full() && gathered > 0 && gathered >= self.room.largest()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.room.moved.notify_waiters();
    }
}
