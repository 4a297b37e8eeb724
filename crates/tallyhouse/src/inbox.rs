//! Webhooks on their way to disk: gathered while the last ones are written, then written together.
//!
//! A commit waits for the disk, whatever it holds. So one task takes what came meanwhile into one transaction and answers
//! all of it: 2xx means that it is on disk.

mod levels;

use std::{collections::BTreeMap, sync::Arc};

use store::{Delivery, Store};
use stripe_api::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use self::levels::Levels;
use crate::{config::Webhooks, web::SyncControl};

/// The largest body that is read. Stripe's events are a few kilobytes, rarely some hundred.
pub const LARGEST: usize = 2 * 1024 * 1024;
/// Bytes of bodies that are read or wait to be written, all together.
const ROOM: usize = 32 * 1024 * 1024;
/// A body counts as this much at least: it has company in memory.
const LEAST: usize = 4 * 1024;
/// The unit in which room is given.
const UNIT: usize = 1024;
/// Deliveries of one transaction.
const GROUP: usize = 512;

/// Where handlers leave what came. Clones share it.
#[derive(Debug, Clone)]
pub struct Inbox {
    sender: mpsc::Sender<Arrived>,
    room: Arc<Semaphore>,
    bound: Webhooks,
}

/// The task that writes. It ends when every [`Inbox`] is gone.
#[derive(Debug)]
pub struct Writer {
    receiver: mpsc::Receiver<Arrived>,
    levels: Levels,
}

/// Room for what has come of one body, until it is on disk.
#[derive(Debug)]
pub struct Room {
    all: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

/// What came, and what is to be done with it.
#[derive(Debug)]
pub enum What {
    /// To be kept. The name is the connection's.
    Keep {
        /// What came.
        delivery: Delivery,
        /// The connection's name.
        name: String,
    },
    /// Not for the connection's account and mode: to be counted.
    Count {
        /// Of which connection.
        connection_id: String,
        /// Why, in a sentence.
        why: &'static str,
    },
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It is on disk.
    Stored,
    /// The connection was deleted meanwhile.
    Gone,
    /// As much of the connection's waits as may.
    Full,
    /// It could not be written; the log says why.
    Failed,
}

#[derive(Debug)]
struct Arrived {
    what: What,
    answer: oneshot::Sender<Done>,
    room: Room,
}

/// An inbox and its writer, which is to be run.
#[must_use]
pub fn inbox(bound: Webhooks) -> (Inbox, Writer) {
    let (sender, receiver) = mpsc::channel(ROOM / LEAST);
    let room = Arc::new(Semaphore::new(ROOM / UNIT));
    (Inbox { sender, room, bound }, Writer { receiver, levels: Levels::new(bound) })
}

impl Inbox {
    /// How much of a connection may wait.
    #[must_use]
    pub fn bound(&self) -> Webhooks {
        self.bound
    }

    /// Room for a body of which nothing has come yet, and which takes none yet: whoever promises a body and does not send
    /// it keeps nobody out.
    #[must_use]
    pub fn room(&self) -> Room {
        Room { all: Arc::clone(&self.room), taken: None }
    }

    /// Waits until it is on disk.
    pub async fn put(&self, what: What, room: Room) -> Done {
        let (answer, done) = oneshot::channel();
        let arrived = Arrived { what, answer, room };
        if self.sender.send(arrived).await.is_err() {
            return Done::Failed;
        }
        done.await.unwrap_or(Done::Failed)
    }
}

impl Room {
    /// Takes as much as so many bytes of the body need, all together; false while too much waits, and then it takes no
    /// more than before.
    #[must_use]
    pub fn hold(&mut self, bytes: usize) -> bool {
        let held = self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.max(LEAST).div_ceil(UNIT).saturating_sub(held);
        let Ok(more) = u32::try_from(more) else { return false };
        let Ok(more) = Arc::clone(&self.all).try_acquire_many_owned(more) else { return false };
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        true
    }
}

impl Writer {
    /// Writes, and wakes whoever applies what was written, until every [`Inbox`] is gone.
    pub async fn run(self, store: Arc<Store>, sync: Arc<dyn SyncControl>, clock: Arc<dyn Clock>) {
        let Self { mut receiver, levels } = self;
        let mut writing = Writing { store, sync, clock, levels };
        let mut arrived = Vec::with_capacity(GROUP);
        while receiver.recv_many(&mut arrived, GROUP).await > 0 {
            writing.write(arrived.drain(..)).await;
        }
    }
}

/// What the writer works with.
struct Writing {
    store: Arc<Store>,
    sync: Arc<dyn SyncControl>,
    clock: Arc<dyn Clock>,
    levels: Levels,
}

/// What is to be written in one transaction.
#[derive(Default)]
struct Group {
    deliveries: Vec<Delivery>,
    /// Connection, its name, and who waits, for each of them.
    waiting: Vec<(String, String, oneshot::Sender<Done>)>,
    /// Their room is given back when all of it is written.
    rooms: Vec<Room>,
}

impl Writing {
    async fn write(&mut self, arrived: impl Iterator<Item = Arrived>) {
        let mut group = Group::default();
        let mut counted: BTreeMap<(String, &'static str), u64> = BTreeMap::new();
        for Arrived { what, answer, room } in arrived {
            match what {
                What::Keep { delivery, name } if self.may_wait(&delivery, &name).await => {
                    group.waiting.push((delivery.connection_id.clone(), name, answer));
                    group.deliveries.push(delivery);
                    group.rooms.push(room);
                }
                What::Keep { .. } => {
                    let _gone = answer.send(Done::Full);
                }
                What::Count { connection_id, why } => {
                    *counted.entry((connection_id, why)).or_default() += 1;
                    // Nothing is lost with it, so nobody waits for it.
                    let _gone = answer.send(Done::Stored);
                }
            }
        }
        for ((connection_id, why), count) in counted {
            let noted = self.store.note_dropped(&connection_id, count, why, self.clock.now()).await;
            if let Err(error) = noted {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, connection_id, count, "could not count webhooks for somebody else");
            }
        }
        if !group.deliveries.is_empty() {
            self.store(group).await;
        }
    }

    /// What cannot be counted cannot be stored either, which says so.
    async fn may_wait(&mut self, delivery: &Delivery, name: &str) -> bool {
        self.levels.admit(&self.store, self.clock.now(), delivery, name).await.unwrap_or(true)
    }

    async fn store(&self, Group { deliveries, waiting, rooms }: Group) {
        let kept = self.store.keep_deliveries(&deliveries).await;
        let known = kept.inspect_err(|error| {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, events = deliveries.len(), "webhooks could not be stored; Stripe sends them again");
        });
        drop(rooms);
        let mut woken = BTreeMap::new();
        for (connection_id, name, answer) in waiting {
            let done = match &known {
                Ok(known) if known.contains(&connection_id) => Done::Stored,
                Ok(_) => Done::Gone,
                Err(_) => Done::Failed,
            };
            if done == Done::Stored {
                woken.insert(connection_id, name);
            }
            // Whoever sent it may have gone away; it is stored all the same.
            let _gone = answer.send(done);
        }
        for (connection_id, name) in woken {
            self.sync.wake(&connection_id, &name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(inbox: &Inbox, bytes: usize) -> Option<Room> {
        let mut room = inbox.room();
        room.hold(bytes).then_some(room)
    }

    #[test]
    fn room_is_bounded_in_bytes_and_comes_back() {
        let (inbox, _writer) = inbox(Webhooks::default());
        let all: Vec<_> = std::iter::from_fn(|| held(&inbox, LARGEST)).collect();
        assert_eq!(all.len(), ROOM / LARGEST);
        assert!(held(&inbox, 1).is_none());
        drop(all);
        let small: Vec<_> = std::iter::from_fn(|| held(&inbox, 10)).collect();
        assert_eq!(small.len(), ROOM / LEAST, "the channel holds as many");
    }

    #[test]
    fn room_grows_with_what_came_and_a_promise_takes_none() {
        let (inbox, _writer) = inbox(Webhooks::default());
        let promised: Vec<Room> = (0..100).map(|_| inbox.room()).collect();
        let mut growing = inbox.room();
        assert!([0, LEAST, LEAST + 1, LARGEST].into_iter().all(|bytes| growing.hold(bytes)));
        let others: Vec<_> = std::iter::from_fn(|| held(&inbox, LARGEST)).collect();
        assert_eq!(others.len(), ROOM / LARGEST - 1);
        assert!(!growing.hold(LARGEST + UNIT), "nothing is left");
        drop((promised, growing));
        assert!(held(&inbox, LARGEST).is_some());
    }
}
