//! The thread that folds the write-ahead log into the database file while the writer goes on.
//!
//! With inline blobs in it the log is full after a dozen pushes, and to fold it in is to copy all
//! of it and to wait for the device. Whoever commits meanwhile need not wait for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use rusqlite::{Connection, Result};

use super::log_file::{FOLD, Length, checkpoint, counted};
use crate::metrics::CatalogMetrics;
use crate::store::Error;

/// The thread, and what it was asked.
pub(super) struct Folding {
    /// The way to the thread; none once it is to end.
    ask: Option<Sender<()>>,
    ended: Receiver<Result<Length>>,
    thread: Option<JoinHandle<()>>,
    running: bool,
    /// Whether the thread is at work at this moment, for others to see.
    at_work: Arc<AtomicBool>,
}

impl Folding {
    /// Starts the thread on a connection of its own.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(
        connection: Connection,
        metrics: Arc<CatalogMetrics>,
    ) -> std::result::Result<Self, Error> {
        let (ask, asked) = bounded::<()>(1);
        let (end, ended) = bounded(1);
        let at_work = Arc::new(AtomicBool::new(false));
        let own = Arc::clone(&at_work);
        let thread = std::thread::Builder::new()
            .name("catalog-fold".to_owned())
            .stack_size(256 << 10)
            .spawn(move || {
                for () in &asked {
                    let length = counted(&metrics, || checkpoint(&connection, FOLD));
                    own.store(false, Ordering::Release);
                    // The writer is gone when nobody listens.
                    let _ = end.send(length);
                }
            })
            .map_err(|error| Error::io("starting", "the folding of the catalog's log", error))?;
        Ok(Self {
            ask: Some(ask),
            ended,
            thread: Some(thread),
            running: false,
            at_work,
        })
    }

    /// Whether the thread is at work.
    pub const fn at_work(&self) -> &Arc<AtomicBool> {
        &self.at_work
    }

    /// Asks for a fold; only while none runs.
    pub fn begin(&mut self) {
        self.at_work.store(true, Ordering::Release);
        // The thread ends after this value only, so there is somebody to take it.
        self.running = self
            .ask
            .as_ref()
            .is_some_and(|ask| ask.try_send(()).is_ok());
        if !self.running {
            self.at_work.store(false, Ordering::Release);
        }
    }

    /// Whether a fold was asked for whose end was not told yet.
    pub const fn is_running(&self) -> bool {
        self.running
    }

    /// How the fold that runs has ended; `None` while it has not. With `wait` it has.
    pub fn end(&mut self, wait: bool) -> Option<Result<Length>> {
        let ended = if wait {
            self.ended.recv().ok()
        } else {
            match self.ended.try_recv() {
                Err(TryRecvError::Empty) => return None,
                ended => ended.ok(),
            }
        };
        self.running = false;
        // Nothing comes if the thread panicked. Nothing is lost by that, and the writer folds by
        // itself when the log is long.
        ended
    }
}

impl Drop for Folding {
    /// Waits for the thread, whose connection is closed then.
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            // A panic of it was the end of the thread only.
            let _ = thread.join();
        }
    }
}
