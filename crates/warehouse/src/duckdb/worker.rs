//! A thread that does one job after the other, on a connection of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use ::duckdb::Connection;
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::sync::oneshot;

use super::instance::{Seat, held};

/// Done on the file, or told why it cannot be.
pub(super) type Job = Box<dyn FnOnce(::duckdb::Result<&Connection>) + Send>;

/// Why a job was not done.
#[derive(Debug)]
pub(super) enum Undone {
    /// The thread is gone.
    Gone,
    /// The file could not be opened again.
    Closed(::duckdb::Error),
}

enum Task {
    /// Somebody waits for it.
    Job(Job),
    /// To be done part by part while there is no job.
    Parts(Vec<Job>),
}

/// The handle; dropping it ends the thread, after the jobs that wait.
pub(super) struct Worker {
    /// Without a bound: whoever has a job done waits for it, so there are no more than callers. A place that one waits for
    /// without being polled would keep everybody behind from theirs.
    tasks: Option<mpsc::UnboundedSender<Task>>,
    thread: Option<JoinHandle<()>>,
    seat: Arc<Seat>,
}

/// Where a job is; the lock is held while it is interrupted, so that no other job is hit.
#[derive(PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    Over,
}

impl Worker {
    /// Starts the thread. `between` is done after each job, `last` when the handle is gone.
    pub(super) fn spawn(
        name: &str,
        seat: Arc<Seat>,
        mut between: impl FnMut() + Send + 'static,
        last: impl FnOnce(&Seat) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (tasks, mut queue) = mpsc::unbounded_channel();
        let own = Arc::clone(&seat);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut parts = VecDeque::new();
            while let Some(task) = next(&mut queue, &mut parts) {
                match task {
                    Task::Job(job) => own.work(job),
                    Task::Parts(more) => parts.extend(more),
                }
                between();
            }
            last(&own);
        })?;
        Ok(Self { tasks: Some(tasks), thread: Some(thread), seat })
    }

    /// Has the job done, to its end even when nobody waits any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| drop(reply.send(connection.map(job))));
        let tasks = self.tasks.as_ref().ok_or(Undone::Gone)?;
        tasks.send(Task::Job(job)).map_err(|_| Undone::Gone)?;
        answer.await.map_err(|_| Undone::Gone)?.map_err(Undone::Closed)
    }

    /// Has parts done while no job waits; those that are left when the handle is dropped never are.
    pub(super) fn when_idle(&self, parts: Vec<Job>) {
        if parts.is_empty() {
            return;
        }
        // Without its thread the worker does nothing any more, and says so to those who wait.
        let _gone = self.tasks.as_ref().map(|tasks| tasks.send(Task::Parts(parts)));
    }

    /// As [`Self::run`], but interrupted when the caller stops waiting.
    pub(super) async fn run_while_awaited<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let phase = Arc::new(Mutex::new(Phase::Waiting));
        let _guard = Interrupting { phase: Arc::clone(&phase), seat: Arc::clone(&self.seat) };
        let job = move |connection: &Connection| {
            if !begin(&phase) {
                return None;
            }
            let answer = job(connection);
            *held(&phase) = Phase::Over;
            Some(answer)
        };
        self.run(job).await?.ok_or(Undone::Gone)
    }
}

/// What is to be done next; none when the handle is gone.
fn next(queue: &mut mpsc::UnboundedReceiver<Task>, parts: &mut VecDeque<Job>) -> Option<Task> {
    match queue.try_recv() {
        Ok(task) => Some(task),
        Err(TryRecvError::Disconnected) => None,
        Err(TryRecvError::Empty) => parts.pop_front().map(Task::Job).or_else(|| queue.blocking_recv()),
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.tasks.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a warehouse thread panicked");
        }
        self.seat.leave();
    }
}

/// Stops the job when dropped before its end.
struct Interrupting {
    phase: Arc<Mutex<Phase>>,
    seat: Arc<Seat>,
}

impl Drop for Interrupting {
    fn drop(&mut self) {
        let mut phase = held(&self.phase);
        if *phase == Phase::Running {
            self.seat.interrupt();
        }
        *phase = Phase::Over;
    }
}

fn begin(phase: &Mutex<Phase>) -> bool {
    let mut phase = held(phase);
    let waited_for = *phase == Phase::Waiting;
    if waited_for {
        *phase = Phase::Running;
    }
    waited_for
}
