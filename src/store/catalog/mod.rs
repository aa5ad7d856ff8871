//! The catalog: every row of the registry, in one SQLite file. All SQL is in this folder.
//!
//! Reads run on a connection of their own and never wait for writes. Writes are closures that one
//! writer thread runs in order, many in one transaction (group commit), each of them undone alone
//! when it fails. Nothing here knows a rule of the registry, a file of a blob or a word of HTTP.
//!
//! In reading order: [`rows`] (the values), `schema/*.sql` (the tables), `repository`, `blob`,
//! `uses`, `manifest`, `loose`, `past`, `removed`, `retire`, `referrer`, `tag`, `history`,
//! `collect`, `overview`, `usage`, `total`, `scrub`, `quota`, `retention`, `pull`, `outbox`,
//! `account`, `machine_token` (what can be asked and changed), [`transaction`] (the views they are
//! asked through), `readers` and `writer` (who runs them), `connection`, `schema`, `log_file`,
//! `index_file`, `fold`, `gate` (how SQLite is kept), `check`, `copy`, `failure`.

mod account;
mod blob;
mod check;
mod collect;
mod connection;
mod copy;
mod failure;
mod fold;
mod gate;
mod history;
mod index_file;
mod job;
mod log_file;
mod loose;
mod machine_token;
mod manifest;
mod outbox;
mod overview;
mod past;
mod pull;
mod quota;
mod readers;
mod referrer;
mod removed;
mod repository;
mod retention;
mod retire;
pub mod rows;
mod schema;
mod scrub;
mod tag;
#[cfg(test)]
mod tests;
mod total;
pub mod transaction;
mod usage;
mod uses;
mod values;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

pub use self::account::UserRow;
pub use self::collect::{BlobUses, Collectable};
use self::connection::Place;
pub use self::copy::{CatalogCopy, has_log};
use self::fold::Folding;
use self::gate::Gate;
pub use self::history::{Forgotten, TAG_HISTORY_MAX};
use self::index_file::IndexFile;
use self::job::{Job, closed, job};
use self::log_file::LogFile;
pub use self::machine_token::{NewToken, TokenInserted, TokenRow};
pub use self::outbox::{
    Change, ChangeAction, ChangeTarget, Cursor, EndpointRow, OutboxRow, Replay,
};
pub use self::overview::{PastRow, RepositoryRow, TagRow};
pub use self::pull::PullCount;
use self::readers::Readers;
pub use self::removed::{RemovedPlace, Span};
pub use self::rows::{
    BlobRow, DatedTag, Ended, Growth, Held, LooseManifest, ManifestFacts, ManifestRow, NewManifest,
    PastManifest, PastTag, ReferenceKind, Referrer, Removal, RemovedManifest, ScrubCounts,
    ScrubRow, Totals, UsedBlob,
};
pub use self::transaction::{ReadTx, WriteTx};
pub use self::usage::{Node, Use};
use self::writer::Writer;
use super::space::Space;
use super::{Error, ErrorKind, Shard};
use crate::clock::{Clock, SystemClock};

/// How much a commit may lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// `synchronous=FULL`: what was answered survives a power cut.
    #[default]
    Full,
    /// Survives the end of the process, not a power cut: for fixtures.
    Relaxed,
}

/// What the writer calls, with every shard touched by the transaction, just before it commits. An
/// error rolls the transaction back and fails everyone in it.
pub type SyncShards = Box<dyn Fn(&[Shard]) -> Result<(), Error> + Send>;

/// What the writer calls after a commit that added to the outbox, with the last row of it. It must
/// not wait.
pub type Bell = Box<dyn Fn(i64) + Send + Sync>;

/// Where the catalog lives.
#[derive(Clone, Copy, Debug)]
pub enum Location<'a> {
    /// A file, made when it is missing; its folder must exist.
    File(&'a Path),
    /// Memory, gone with the catalog; at most 1 GiB.
    Memory,
}

/// How a catalog is opened.
pub struct Options<'a> {
    /// Where it is.
    pub location: Location<'a>,
    /// What a commit may lose.
    pub durability: Durability,
    /// What time rows are written with.
    pub clock: Arc<dyn Clock>,
    /// How many writes may wait for the writer; a caller past it waits before it is queued.
    pub queue_max: usize,
    /// How many writes share one commit at most.
    pub batch_max: usize,
    /// The room of the file system, whose ballast is given up when a commit finds none.
    pub space: Arc<Space>,
    /// How long a blob that nothing uses yet is kept from the collection.
    pub blob_grace: Duration,
}

impl<'a> Options<'a> {
    /// Default of [`queue_max`](Options::queue_max).
    pub const QUEUE_MAX: usize = 1024;
    /// Default of [`batch_max`](Options::batch_max).
    pub const BATCH_MAX: usize = 256;

    /// Default of [`blob_grace`](Options::blob_grace).
    pub const BLOB_GRACE: Duration = Duration::from_secs(3600);

    /// The defaults for `location`: full durability, the machine's clock.
    pub fn new(location: Location<'a>) -> Self {
        Self {
            location,
            durability: Durability::Full,
            clock: Arc::new(SystemClock),
            queue_max: Self::QUEUE_MAX,
            batch_max: Self::BATCH_MAX,
            space: Space::unlimited(),
            blob_grace: Self::BLOB_GRACE,
        }
    }
}

/// The open catalog. Share it behind an `Arc`. Dropping it closes it and waits for the writer.
pub struct Catalog {
    readers: Readers,
    /// The way to the writer; none once the catalog is closed.
    queue: RwLock<Option<Sender<Box<dyn Job>>>>,
    /// How the writer ended.
    ended: Receiver<Result<(), Error>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Whether a failed commit may come back with the next start.
    unclear: Arc<AtomicBool>,
    /// Closures that the writer has run.
    written: Arc<AtomicU64>,
    /// Who is told that there is something new in the outbox.
    bell: Arc<OnceLock<Bell>>,
    /// Whether the log is being folded in; `None` where there is no log.
    folds: Option<Arc<AtomicBool>>,
    /// The last to go.
    _index: Option<IndexFile>,
    clock: Arc<dyn Clock>,
}

impl Catalog {
    /// Opens or makes the catalog, brings its schema up to date and starts the writer.
    ///
    /// # Errors
    /// Kind `Newer` when a newer version wrote it, `Corrupt` when it is not a sound catalog of
    /// ours, `Denied`, `Full`, `Locked`, `Io`; the sentence names what to do.
    pub fn open(options: Options<'_>, sync_shards: SyncShards) -> Result<Self, Error> {
        let place = Place::new(options.location);
        index_file::make_room(&place)?;
        let connection = connection::open_writer(&place, options.durability)?;
        let index = index_file::hold(&place, &connection)?;
        let in_memory = matches!(place, Place::Memory(_));
        let folding = if in_memory {
            None
        } else {
            let own = connection::open_for_folding(&place, options.durability)?;
            Some(Folding::start(own)?)
        };
        let folds = folding
            .as_ref()
            .map(|folding| Arc::clone(folding.at_work()));
        let gate = in_memory.then(|| Arc::new(Gate::default()));
        let unclear = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicU64::new(0));
        let bell = Arc::new(OnceLock::new());
        let writer = Writer {
            connection,
            clock: Arc::clone(&options.clock),
            sync_shards,
            gate: gate.clone(),
            batch_max: options.batch_max,
            log_file: LogFile::new(folding, Arc::clone(&options.space)),
            space: options.space,
            durability: options.durability,
            blob_grace: options.blob_grace,
            unclear: Arc::clone(&unclear),
            written: Arc::clone(&written),
            bell: Arc::clone(&bell),
        };
        // At least one: a queue without room would hold nobody while the writer is busy.
        let (sender, queue) = bounded(options.queue_max.max(1));
        let (end, ended) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("catalog-writer".to_owned())
            .spawn(move || {
                // The catalog may be gone when nobody waited for the end.
                let _ = end.send(writer::work(writer, &queue));
            })
            .map_err(|error| Error::io("starting", "the catalog's writer", error))?;
        Ok(Self {
            readers: Readers::new(place, gate),
            queue: RwLock::new(Some(sender)),
            ended,
            thread: Mutex::new(Some(thread)),
            unclear,
            written,
            bell,
            folds,
            _index: index,
            clock: options.clock,
        })
    }

    /// The clock that rows are written with.
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// What time it is by the clock that rows are written with.
    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Runs `work` on one consistent snapshot, on this thread. A read may lie inside another read,
    /// never inside a write.
    ///
    /// # Errors
    /// What `work` returns, or the failure to read.
    pub fn read<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&ReadTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.readers.read(work)
    }

    /// Has the writer run `work` and waits until it is committed as durably as configured. When
    /// `work` returns an error or panics, nothing of it is kept and others in the batch are
    /// untouched. Refused inside a read or a write, where it could wait for itself.
    ///
    /// # Errors
    /// What `work` returns, or the failure to commit: kind `Full` on a full disk, after which a
    /// later write may succeed; `Closed` after [`close`](Self::close).
    pub fn write<T, E>(
        &self,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        gate::may_write()?;
        let (job, answer) = job(work);
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        let sender = queue.as_ref().ok_or_else(closed)?;
        sender.send(job).map_err(|_| closed())?;
        drop(queue);
        answer.recv().unwrap_or_else(|_| Err(closed().into()))
    }

    /// Whether the last commit failed in a way that leaves open if a restart would find it done: a
    /// row that is not there now may be there then. While it is so, no file may be taken away
    /// because no row names it.
    pub fn is_unclear(&self) -> bool {
        self.unclear.load(Ordering::Acquire)
    }

    /// How many writes were made so far: whoever has much to write sees by it whether others do
    /// too.
    pub fn writes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Has `bell` called after each commit that added to the outbox. Only the first one is.
    pub fn ring(&self, bell: Bell) {
        // One is enough: whoever opens the registry is the one to deliver.
        let _ = self.bell.set(bell);
    }

    /// Whether the write-ahead log is being folded in at this moment. The writer waits for that
    /// when much is written meanwhile, and all that wait for the writer with it.
    pub fn is_folding(&self) -> bool {
        let folds = self.folds.as_ref();
        folds.is_some_and(|folds| folds.load(Ordering::Acquire))
    }

    /// Makes the catalog say that its last commit failed so.
    #[cfg(test)]
    pub(crate) fn set_unclear(&self) {
        self.unclear.store(true, Ordering::Release);
    }

    /// Verifies the file itself (`PRAGMA integrity_check`, foreign keys) and what its rows must
    /// agree on, and returns what is wrong, a sentence each; empty when all is well. Reads
    /// everything; reads and writes go on meanwhile (of a catalog in memory: reads only).
    ///
    /// # Errors
    /// The check could not run.
    pub fn integrity(&self) -> Result<Vec<String>, Error> {
        check::integrity(&self.readers)
    }

    /// Commits what waits, ends the writer and folds the write-ahead log into the file. Later
    /// writes and reads fail with kind `Closed`.
    ///
    /// # Errors
    /// Kind `Closed` when that took longer than `patience` (it goes on by itself); else the final
    /// checkpoint failed. Nothing committed is lost.
    pub fn close(&self, patience: Duration) -> Result<(), Error> {
        self.stop_taking();
        match self.ended.recv_timeout(patience) {
            Ok(result) => result,
            // It was closed before.
            Err(RecvTimeoutError::Disconnected) => Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                // Nobody waits for it any more, not even the drop.
                drop(self.take_thread());
                let late = Error::new(ErrorKind::Closed, "closing", "the catalog");
                Err(late.because(format!("writes were still running after {patience:?}")))
            }
        }
    }

    /// Lets nobody in any more. The writer ends when it has worked off its queue.
    fn stop_taking(&self) {
        let mut queue = self.queue.write().unwrap_or_else(PoisonError::into_inner);
        *queue = None;
        drop(queue);
        self.readers.close();
    }

    fn take_thread(&self) -> Option<JoinHandle<()>> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.take()
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        self.stop_taking();
        if let Some(thread) = self.take_thread() {
            // The thread catches its own panics; there is nothing to learn from its end.
            let _ = thread.join();
        }
    }
}

/// The version of the SQLite that this program is built with.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}
