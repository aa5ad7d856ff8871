//! Connections for reading: as many as there are reads at one moment, kept for the next.
//!
//! The last one returned is the next one taken, so a quiet registry keeps few of them warm, however
//! many threads it has, and none belongs to a thread that could end or outlive the catalog.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::connection::{self, Place, opening};
use super::failure::failed;
use super::gate::{Gate, Reading};
use super::transaction::ReadTx;
use crate::store::{Error, ErrorKind};

/// The readers of one catalog.
pub(super) struct Readers {
    place: Place,
    gate: Option<Arc<Gate>>,
    idle: Mutex<Vec<Connection>>,
    idle_max: usize,
    closed: AtomicBool,
}

impl Readers {
    /// No connection yet: the first read opens the first.
    pub(super) fn new(place: Place, gate: Option<Arc<Gate>>) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            place,
            gate,
            idle: Mutex::new(Vec::new()),
            // A thread that was put to sleep in a read keeps its connection, hence more than one
            // for each core.
            idle_max: 2 * cores,
            closed: AtomicBool::new(false),
        }
    }

    /// Runs `work` on one consistent snapshot.
    pub(super) fn read<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&ReadTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let reading = Reading::begin()?;
        let _stay = self.gate.as_ref().map(|gate| gate.shared(reading.nested));
        let connection = self.take()?;
        // The snapshot is taken by the first statement that follows.
        run(&connection, "BEGIN").map_err(|error| failed(&error, "reading", &self.place))?;
        let result = work(&ReadTx::new(&connection));
        // Ends a transaction that wrote nothing: it cannot fail in a way that matters to what was
        // read, and a connection that stays in it is not used again.
        let _ = run(&connection, "COMMIT");
        self.give_back(connection);
        result
    }

    /// A connection of its own for a long piece of work.
    pub(super) fn read_apart<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<rusqlite::Result<T>, Error> {
        let reading = Reading::begin()?;
        let _stay = self.gate.as_ref().map(|gate| gate.shared(reading.nested));
        self.refuse_when_closed()?;
        Ok(work(&self.open()?))
    }

    /// Closes what is idle, and what is in use when it comes back.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.idle().clear();
    }

    /// Whether it was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn take(&self) -> Result<Connection, Error> {
        self.refuse_when_closed()?;
        let idle = self.idle().pop();
        idle.map_or_else(|| self.open(), Ok)
    }

    fn open(&self) -> Result<Connection, Error> {
        connection::open_reader(&self.place).map_err(|error| opening(&self.place, &error))
    }

    /// Keeps the connection for the next read, unless there are enough, or it is stuck in a
    /// transaction. (One whose closure panicked never comes here.)
    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle();
        if connection.is_autocommit()
            && idle.len() < self.idle_max
            && !self.closed.load(Ordering::SeqCst)
        {
            idle.push(connection);
        } else {
            // Closing takes longer than the others should wait.
            drop(idle);
            drop(connection);
        }
    }

    fn refuse_when_closed(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Closed, "reading", "the catalog"));
        }
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn idle_count(&self) -> usize {
        self.idle().len()
    }
}

/// Runs a statement that returns nothing, prepared once for each connection.
pub(super) fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}
