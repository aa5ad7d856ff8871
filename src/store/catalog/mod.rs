//! The catalog: every row of the registry, in one SQLite file. All SQL is in this folder.
//!
//! Reads run on a connection of their own and never wait for writes. Writes are closures that one
//! writer thread runs in order, many in one transaction (group commit), each of them undone alone
//! when it fails. Nothing here knows a rule of the registry, a file of a blob or a word of HTTP.
//!
//! In reading order: [`rows`] (the values), `schema/*.sql` (the tables), `repository`, `blob`,
//! `uses`, `manifest`, `ending`, `loose`, `past`, `removed`, `retire`, `referrer`, `tag`,
//! `history`, `collect`, `overview`, `usage`, `total`, `scrub`, `quota`, `retention`, `pull`,
//! `outbox`, `account`, `machine_token` (what can be asked and changed), [`transaction`] (the views
//! they are asked through), `readers`, `incoming` and `writer` (who runs them), `options`,
//! `connection`, `schema`, `log_file`, `index_file`, `fold`, `gate` (how SQLite is kept), `check`,
//! `copy`, `failure`.

mod account;
mod blob;
mod check;
mod collect;
mod connection;
mod copy;
mod ending;
mod failure;
mod fold;
mod gate;
mod history;
mod incoming;
mod index_file;
mod job;
mod log_file;
mod loose;
mod machine_token;
mod manifest;
mod options;
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

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

pub use self::account::UserRow;
pub use self::collect::{BlobUses, Collectable};
use self::connection::Place;
pub use self::copy::{CatalogCopy, has_log};
use self::fold::Folding;
use self::gate::Gate;
pub use self::history::{Forgotten, TAG_HISTORY_MAX};
use self::incoming::{Incoming, Ways};
use self::index_file::IndexFile;
use self::job::{closed, job};
use self::log_file::LogFile;
pub use self::machine_token::{NewToken, TokenInserted, TokenRow};
pub use self::options::{Bell, Durability, Location, Options, SyncShards};
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
use super::{Error, ErrorKind};
use crate::clock::Clock;
use crate::metrics::CatalogMetrics;

/// How the writer will have ended.
type Ending = Receiver<Result<(), Error>>;

/// The open catalog. Share it behind an `Arc`. Dropping it closes it and waits for the writer.
pub struct Catalog {
    readers: Readers,
    /// The ways to the writer; none once the catalog is closed.
    ways: RwLock<Option<Ways>>,
    /// How the writer ended.
    ended: Ending,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Whether a failed commit may come back with the next start.
    unclear: Arc<AtomicBool>,
    /// Closures that the writer has run.
    written: Arc<AtomicU64>,
    /// Whether there are tags that the writer is about to take away.
    ending: Arc<AtomicBool>,
    /// Who is told that there is something new in the outbox.
    bell: Arc<OnceLock<Bell>>,
    /// Whether the log is being folded in; `None` where there is no log.
    folds: Option<Arc<AtomicBool>>,
    metrics: Arc<CatalogMetrics>,
    /// The database file and its log; `None` in memory.
    files: Option<[PathBuf; 2]>,
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
        let folding = (!in_memory)
            .then(|| start_folding(&place, &options))
            .transpose()?;
        let folds = folding
            .as_ref()
            .map(|folding| Arc::clone(folding.at_work()));
        let gate = in_memory.then(|| Arc::new(Gate::default()));
        let unclear = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicU64::new(0));
        let ending = ReadTx::new(&connection)
            .has_ending_tags()
            .map_err(|error| connection::opening(&place, &error))?;
        let ending = Arc::new(AtomicBool::new(ending));
        let bell = Arc::new(OnceLock::new());
        let writer = Writer {
            connection,
            clock: Arc::clone(&options.clock),
            sync_shards,
            gate: gate.clone(),
            batch_max: options.batch_max,
            log_file: LogFile::new(
                folding,
                Arc::clone(&options.space),
                Arc::clone(&options.metrics),
                options.durability,
            ),
            space: options.space,
            durability: options.durability,
            blob_grace: options.blob_grace,
            unclear: Arc::clone(&unclear),
            written: Arc::clone(&written),
            ending: Arc::clone(&ending),
            metrics: Arc::clone(&options.metrics),
            bell: Arc::clone(&bell),
        };
        let (ways, incoming) = incoming::ways(options.queue_max);
        let (thread, ended) = start_writer(writer, incoming)?;
        Ok(Self {
            files: place.files(),
            readers: Readers::new(place, gate),
            ways: RwLock::new(Some(ways)),
            ended,
            thread: Mutex::new(Some(thread)),
            unclear,
            written,
            ending,
            bell,
            folds,
            metrics: options.metrics,
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
    /// never inside a write. Right after the removal of a manifest with many tags it waits until
    /// they are gone.
    ///
    /// # Errors
    /// What `work` returns, or the failure to read.
    pub fn read<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&ReadTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.wait_for_ending_tags();
        self.read_at_once(work)
    }

    /// The same without ever waiting for the writer: for accounts, and for what clients pull.
    /// History, removals and the order of tags by time may lack what the last removal did.
    ///
    /// # Errors
    /// What `work` returns, or the failure to read.
    pub fn read_at_once<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&ReadTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let started = Instant::now();
        let outcome = self.readers.read(work);
        self.metrics
            .read_seconds
            .observe_duration(started.elapsed());
        outcome
    }

    /// Until the writer has taken them away, as it does first. When it cannot (the disk is full),
    /// or inside a read, what is read shows them.
    fn wait_for_ending_tags(&self) {
        if self.ending.load(Ordering::Acquire) {
            let _ = self.write(|_| Ok::<(), Error>(()));
        }
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
        self.send(work, false)
    }

    /// The same for background work: it goes after all that wait, and into a commit that others
    /// make anyway, if one of them comes within a moment.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn write_patiently<T, E>(
        &self,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.send(work, true)
    }

    fn send<T, E>(
        &self,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        patiently: bool,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        gate::may_write()?;
        let started = Instant::now();
        let (job, answer) = job(work);
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        let sent = ways.as_ref().is_some_and(|ways| ways.send(job, patiently));
        drop(ways);
        if !sent {
            return Err(closed().into());
        }
        let answer = answer.recv().unwrap_or_else(|_| Err(closed().into()));
        // Who is patient waits on purpose.
        if !patiently {
            let took = started.elapsed();
            self.metrics.write_seconds.observe_duration(took);
        }
        answer
    }

    /// What is counted of it.
    pub const fn metrics(&self) -> &Arc<CatalogMetrics> {
        &self.metrics
    }

    /// Lengths of the database file and of its log, in bytes; `None` in memory.
    pub fn file_bytes(&self) -> Option<[u64; 2]> {
        let length = |path: &PathBuf| fs::metadata(path).map_or(0, |file| file.len());
        self.files
            .as_ref()
            .map(|files| files.each_ref().map(length))
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
        self.wait_for_ending_tags();
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
        let mut ways = self.ways.write().unwrap_or_else(PoisonError::into_inner);
        *ways = None;
        drop(ways);
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

fn start_folding(place: &Place, options: &Options<'_>) -> Result<Folding, Error> {
    let own = connection::open_for_folding(place, options.durability)?;
    Folding::start(own, Arc::clone(&options.metrics))
}

/// The writer's thread.
fn start_writer(writer: Writer, incoming: Incoming) -> Result<(JoinHandle<()>, Ending), Error> {
    let (end, ended) = bounded(1);
    let thread = std::thread::Builder::new()
        .name("catalog-writer".to_owned())
        .spawn(move || {
            // The catalog may be gone when nobody waited for the end.
            let _ = end.send(writer::work(writer, incoming));
        })
        .map_err(|error| Error::io("starting", "the catalog's writer", error))?;
    Ok((thread, ended))
}

/// The version of the SQLite that this program is built with.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}
