//! A thread that owns a connection and does one job after the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ::duckdb::{Connection, InterruptHandle};
use tokio::sync::{mpsc, oneshot};

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The handle; dropping it ends the thread, after the jobs that wait.
pub(super) struct Worker {
    /// Without a bound: whoever has a job done waits for it, so there are no more than callers. A place that one waits for
    /// without being polled would keep everybody behind from theirs.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
    interrupt: Arc<InterruptHandle>,
}

/// Where a job is; the lock is held while it is interrupted, so that no other job is hit.
#[derive(PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    Over,
}

impl Worker {
    /// Starts the thread; `last` is done when the handle is gone.
    pub(super) fn spawn(
        name: &str,
        connection: Connection,
        last: impl FnOnce(&Connection) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let interrupt = connection.interrupt_handle();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                job(&connection);
            }
            last(&connection);
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), interrupt })
    }

    /// Has the job done, to its end even when nobody waits any more. None if the thread is gone.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| drop(reply.send(job(connection))));
        self.jobs.as_ref()?.send(job).ok()?;
        answer.await.ok()
    }

    /// As [`Self::run`], but interrupted when the caller stops waiting.
    pub(super) async fn run_while_awaited<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Option<T> {
        let phase = Arc::new(Mutex::new(Phase::Waiting));
        let _guard = Interrupting { phase: Arc::clone(&phase), interrupt: Arc::clone(&self.interrupt) };
        self.run(move |connection| {
            if !begin(&phase) {
                return None;
            }
            let answer = job(connection);
            *phase.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Over;
            Some(answer)
        })
        .await
        .flatten()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a warehouse thread panicked");
        }
    }
}

/// Stops the job when dropped before its end.
struct Interrupting {
    phase: Arc<Mutex<Phase>>,
    interrupt: Arc<InterruptHandle>,
}

impl Drop for Interrupting {
    fn drop(&mut self) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if *phase == Phase::Running {
            self.interrupt.interrupt();
        }
        *phase = Phase::Over;
    }
}

fn begin(phase: &Mutex<Phase>) -> bool {
    let mut phase = phase.lock().unwrap_or_else(PoisonError::into_inner);
    let waited_for = *phase == Phase::Waiting;
    if waited_for {
        *phase = Phase::Running;
    }
    waited_for
}
