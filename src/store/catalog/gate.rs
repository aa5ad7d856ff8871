//! Who may touch a catalog in memory at this moment: readers together, or the writer alone.
//!
//! A catalog in a file needs none of this: its write-ahead log lets both go on at once. SQLite's
//! shared memory database has no such log and would answer a reader "locked", so its users wait
//! here instead, where they are woken and need not poll. Also here, for both kinds of catalog: what
//! may not be nested, found by asking the thread.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::store::{Error, ErrorKind};

#[derive(Default)]
struct State {
    readers: usize,
    writing: bool,
    writer_waits: bool,
}

/// The gate of one catalog in memory.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

/// A reader's stay.
pub(super) struct Shared<'g>(&'g Gate);

/// The writer's stay.
pub(super) struct Exclusive<'g>(&'g Gate);

impl Gate {
    /// Waits for the writer to leave. A waiting writer goes first, unless this thread is inside
    /// already (`nested`): the writer waits for it, so it must not wait for the writer.
    pub(super) fn shared(&self, nested: bool) -> Shared<'_> {
        let mut state = self.lock();
        while state.writing || (state.writer_waits && !nested) {
            state = self.wait(state);
        }
        state.readers += 1;
        Shared(self)
    }

    /// Waits for all readers to leave. There is one writer.
    pub(super) fn exclusive(&self) -> Exclusive<'_> {
        let mut state = self.lock();
        state.writer_waits = true;
        while state.readers > 0 {
            state = self.wait(state);
        }
        state.writer_waits = false;
        state.writing = true;
        Exclusive(self)
    }

    // Counters alone are kept under the lock, and no panic can leave them half-changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.readers -= 1;
        if state.readers == 0 && state.writer_waits {
            self.0.changed.notify_all();
        }
    }
}

impl Drop for Exclusive<'_> {
    fn drop(&mut self) {
        self.0.lock().writing = false;
        self.0.changed.notify_all();
    }
}

thread_local! {
    static READS: Cell<usize> = const { Cell::new(0) };
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

/// A read that this thread is in the middle of.
pub(super) struct Reading {
    /// Whether it lies inside another one.
    pub(super) nested: bool,
}

impl Reading {
    /// Begins a read; refused inside a write, where it would miss what that write did.
    pub(super) fn begin() -> Result<Self, Error> {
        if IS_WRITER.get() {
            return Err(misuse("a read inside a write; use the write's own view"));
        }
        let outer = READS.get();
        READS.set(outer + 1);
        Ok(Self { nested: outer > 0 })
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READS.set(READS.get() - 1);
    }
}

/// Refuses a write where it could never be answered: inside a read, or inside another write.
pub(super) fn may_write() -> Result<(), Error> {
    if IS_WRITER.get() {
        return Err(misuse("a write inside a write"));
    }
    if READS.get() > 0 {
        return Err(misuse("a write inside a read; finish the read first"));
    }
    Ok(())
}

/// Marks this thread as a catalog's writer.
pub(super) fn become_writer() {
    IS_WRITER.set(true);
}

fn misuse(what: &str) -> Error {
    Error::new(ErrorKind::Io, "using", "the catalog").because(what)
}
