//! The open file, and those who work on it.
//!
//! As long as it has a file open, DuckDB keeps what it knows of every group of rows that it wrote: some 20 MB for each million
//! objects of a first copy. So now and then, while nobody works on it, the file is closed and opened again.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;

use ::duckdb::{Connection, InterruptHandle};

use super::open::{self, Only, Opened, Options};
use super::worker::Undone;
use crate::WarehouseError;

/// How often the file is tried before it is given up, and what is waited in between.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Statements that a connection keeps: what the tables that change most need.
const STATEMENTS: usize = 64;

/// An open file.
pub(super) struct Instance {
    /// Others are made from it; none while the file could not be opened again.
    root: Mutex<Option<Connection>>,
    seats: Mutex<Vec<Weak<Seat>>>,
    pub(super) exports: PathBuf,
    options: Options,
    /// Dropped after the connections.
    only: Only,
}

/// Where one works on the file, with a connection of its own.
pub(super) struct Seat {
    /// None when the file was opened again since it was used.
    connection: Mutex<Option<Connection>>,
    interrupt: Mutex<Option<Arc<InterruptHandle>>>,
    /// What a new connection begins with.
    beginning: String,
    /// Dropped after the connection.
    instance: Arc<Instance>,
}

impl Instance {
    pub(super) fn new(Opened { connection, exports, only }: Opened, options: Options) -> Arc<Self> {
        let (root, seats) = (Mutex::new(Some(connection)), Mutex::default());
        Arc::new(Self { only, exports, options, root, seats })
    }

    /// One place more to work; `beginning` is what its connections begin with.
    pub(super) fn seat(self: &Arc<Self>, beginning: String) -> ::duckdb::Result<Arc<Seat>> {
        let (instance, connection, interrupt) = (Arc::clone(self), Mutex::default(), Mutex::default());
        let seat = Arc::new(Seat { instance, beginning, connection, interrupt });
        // Known before it has a connection: no other may be open when the file is opened again.
        let mut seats = held(&self.seats);
        seats.retain(|seat| seat.strong_count() > 0);
        seats.push(Arc::downgrade(&seat));
        drop(seats);
        seat.work(|connection| connection.map(drop))?;
        Ok(seat)
    }

    /// A connection of one's own. A file that could not be opened again is tried once more.
    pub(super) fn connect(&self) -> ::duckdb::Result<Connection> {
        let mut root = held(&self.root);
        match &mut *root {
            Some(root) => root.try_clone(),
            none => none.insert(self.open_again()?).try_clone(),
        }
    }

    /// Another program may have the file for a moment, as soon as it is closed.
    fn open_again(&self) -> ::duckdb::Result<Connection> {
        let mut tries = 1;
        loop {
            let opened = open::again(&self.only, &self.exports, self.options);
            if opened.is_ok() || tries == TRIES || !self.only.is_there() {
                return opened;
            }
            tries += 1;
            std::thread::sleep(PAUSE);
        }
    }

    /// Why a job was not done.
    pub(super) fn refused(&self, undone: Undone) -> WarehouseError {
        match undone {
            Undone::Gone => WarehouseError::Stopped,
            Undone::Closed(source) => open::refused(self.only.path(), source),
        }
    }

    /// Closes the file and opens it again, unless somebody works on it; whether it was. What cannot be written into it then stays
    /// in its log: nothing is lost, whatever fails.
    pub(super) fn reopen(&self) -> bool {
        let mut root = held(&self.root);
        let seats: Vec<_> = held(&self.seats).iter().filter_map(Weak::upgrade).collect();
        // Whoever works holds his connection, and may wait for the root: nobody is waited for.
        let free: Option<Vec<_>> = seats.iter().map(|seat| free(&seat.connection)).collect();
        let (Some(mut connections), Some(writing)) = (free, root.as_ref()) else { return false };
        if let Err(error) = writing.execute_batch(&format!("CHECKPOINT {}", open::CATALOG)) {
            // After such an error DuckDB does nothing more with the file until it is opened again.
            tracing::warn!(error = %error, "could not write the log into the warehouse file");
        }
        connections.iter_mut().for_each(|connection| **connection = None);
        *root = None;
        match self.open_again() {
            Ok(connection) => *root = Some(connection),
            Err(error) => tracing::error!(error = %error, "could not open the warehouse file again"),
        }
        root.is_some()
    }
}

impl Seat {
    /// Works on the file, with a new connection if need be; or hears why there is none.
    pub(super) fn work<T>(&self, work: impl FnOnce(::duckdb::Result<&Connection>) -> T) -> T {
        work(self.connected(&mut held(&self.connection)))
    }

    /// Gives up its connection, for good.
    pub(super) fn leave(&self) {
        *held(&self.connection) = None;
    }

    /// Ends what is worked just now.
    pub(super) fn interrupt(&self) {
        held(&self.interrupt).iter().for_each(|interrupt| interrupt.interrupt());
    }

    fn connected<'c>(&self, own: &'c mut Option<Connection>) -> ::duckdb::Result<&'c Connection> {
        match own {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(self.connect()?)),
        }
    }

    fn connect(&self) -> ::duckdb::Result<Connection> {
        let new = self.instance.connect()?;
        open::enter(&new)?;
        new.execute_batch(&self.beginning)?;
        new.set_prepared_statement_cache_capacity(STATEMENTS);
        *held(&self.interrupt) = Some(new.interrupt_handle());
        Ok(new)
    }
}

/// What nobody holds; one who panicked holds nothing any more.
fn free<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(free) => Some(free),
        Err(TryLockError::Poisoned(free)) => Some(free.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// One who panicked while he held it holds nothing any more.
pub(super) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
