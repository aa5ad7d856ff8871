//! The one thread that writes: group commit, and keeping the write-ahead log short.
//!
//! Whatever waits when the writer is free goes into one transaction and shares its one sync. While
//! that sync runs, the next batch gathers in the queue, so the batches grow with the load and
//! nobody waits for company. A batch that has written much content takes no more, so that neither
//! the log nor the memory of one transaction grows with the number of those who wait. Order within
//! a batch: run every closure, sync the shards that they touched, commit, answer everyone, and only
//! then see to it that a long log is folded into the file.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::failure::Failure;
use super::gate::{Gate, become_writer};
use super::incoming::Incoming;
use super::job::{Job, panicked};
use super::log_file::LogFile;
use super::readers::run;
use super::transaction::WriteTx;
use super::{Bell, Durability, SyncShards};
use crate::clock::Clock;
use crate::metrics::CatalogMetrics;
use crate::store::space::Space;
use crate::store::{Error, ErrorKind, Shard};

/// Bytes of content after which a batch takes no more, so it holds at most this and one more.
pub(super) const BATCH_BYTES_MAX: usize = 1 << 20;

/// The writer's own state, on its own thread.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sync_shards: SyncShards,
    pub(super) gate: Option<Arc<Gate>>,
    pub(super) batch_max: usize,
    pub(super) log_file: LogFile,
    pub(super) durability: Durability,
    pub(super) space: Arc<Space>,
    pub(super) blob_grace: Duration,
    /// Whether a failed commit may come back with the next start.
    pub(super) unclear: Arc<AtomicBool>,
    /// Closures that were run.
    pub(super) written: Arc<AtomicU64>,
    /// Whether there may be tags to be taken away before anything else is written.
    pub(super) ending: Arc<AtomicBool>,
    pub(super) metrics: Arc<CatalogMetrics>,
    /// Who is told of what is new in the outbox.
    pub(super) bell: Arc<OnceLock<Bell>>,
}

/// What one transaction holds.
#[derive(Default)]
struct Batch {
    jobs: Vec<Box<dyn Job>>,
    shards: BTreeSet<Shard>,
    /// How many closures did something that is to be committed.
    kept: usize,
    /// Bytes of content that they wrote.
    bytes: usize,
    /// Whether one left tags to be taken away: none may follow it.
    ending: bool,
    /// The last row that they added to the outbox; 0 for none.
    outbox: i64,
}

impl Writer {
    /// Runs until every sender of the queue is gone, then folds the log in and closes.
    ///
    /// # Errors
    /// The final checkpoint or the close failed; nothing that was committed is lost.
    fn work(mut self, incoming: &mut Incoming) -> Result<(), Error> {
        become_writer();
        if self.durability == Durability::Full
            && let Err(error) = self.log_file.make_room(&self.connection)
        {
            log::warn!("no room was made for the catalog's write-ahead log: {error}");
        }
        self.end_tags_or_later();
        while let Some(first) = incoming.first() {
            self.batch(first, incoming);
            self.end_tags_or_later();
        }
        let folded = self.log_file.fold_in(&self.connection);
        let closed = self.connection.close().map_err(|(_, error)| error);
        folded
            .and(closed)
            .map_err(|error| Failure::sqlite("closing", &error).to_error())
    }

    fn batch(&mut self, first: Box<dyn Job>, incoming: &mut Incoming) {
        let begun = Instant::now();
        let mut batch = Batch::default();
        self.log_file.see_to_room();
        let stay = self.gate.as_ref().map(|gate| gate.exclusive());
        let result = match self.end_tags() {
            Ok(()) => self
                .run_waiting(&mut batch, first, incoming)
                .and_then(|()| self.commit(&batch)),
            Err(failure) => {
                batch.jobs.push(first);
                Err(failure)
            }
        };
        match &result {
            Ok(()) if batch.ending => self.ending.store(true, Ordering::Release),
            Ok(()) => {}
            Err(failure) => self.recover(failure),
        }
        drop(stay);
        self.written
            .fetch_add(batch.jobs.len() as u64, Ordering::Relaxed);
        self.metrics.batch.observe(batch.jobs.len() as u64);
        self.metrics.batch_seconds.observe_duration(begun.elapsed());
        for job in batch.jobs {
            job.answer(result.as_ref().err());
        }
        if batch.outbox > 0
            && result.is_ok()
            && let Some(bell) = self.bell.get()
        {
            bell(batch.outbox);
        }
        self.log_file.tend(&self.connection);
    }

    /// Takes away the tags that a batch left, while nobody waits for it. What fails is tried again
    /// before the next batch.
    fn end_tags_or_later(&mut self) {
        let there_are_some = self.ending.load(Ordering::Acquire);
        let stay = self.gate.as_ref().map(|gate| gate.exclusive());
        if let Err(failure) = self.end_tags() {
            log::warn!(
                "tags of removed manifests stay rows for now: {}",
                failure.to_error()
            );
            self.recover(&failure);
        }
        drop(stay);
        if there_are_some {
            self.log_file.note(&self.connection);
        }
    }

    fn end_tags(&self) -> Result<(), Failure> {
        if !self.ending.load(Ordering::Acquire) {
            return Ok(());
        }
        let failed = |error: &rusqlite::Error| Failure::sqlite("writing to", error);
        let mut transaction = WriteTx::new(&self.connection, self.clock.now(), self.blob_grace);
        if transaction.has_ending_tags().map_err(|e| failed(&e))? {
            run(&self.connection, "BEGIN IMMEDIATE").map_err(|e| failed(&e))?;
            transaction.end_noted_tags().map_err(|error| Failure {
                kind: error.kind(),
                doing: "writing to",
                cause: error.to_string(),
            })?;
            self.commit(&Batch::default())?;
        }
        self.ending.store(false, Ordering::Release);
        Ok(())
    }

    /// After a transaction that failed.
    fn recover(&self, failure: &Failure) {
        self.roll_back();
        // The next one finds room, if there is any that only the catalog gets.
        if failure.kind == ErrorKind::Full && self.space.release_ballast() {
            log::warn!("a commit found no room: the ballast was given to the catalog");
        }
        self.settle();
    }

    fn run_waiting(
        &self,
        batch: &mut Batch,
        first: Box<dyn Job>,
        incoming: &mut Incoming,
    ) -> Result<(), Failure> {
        let now = self.clock.now();
        let mut next = Some(first);
        while let Some(mut job) = next {
            let mut transaction = WriteTx::new(&self.connection, now, self.blob_grace);
            let ran = self.run(&mut *job, batch.kept > 0, &mut transaction);
            batch.jobs.push(job);
            if ran? {
                batch.kept += 1;
                batch.shards.extend(transaction.shards);
                batch.bytes += transaction.bytes;
                batch.ending = transaction.ending;
                batch.outbox = batch.outbox.max(transaction.outbox);
            }
            let room =
                batch.jobs.len() < self.batch_max && batch.bytes < BATCH_BYTES_MAX && !batch.ending;
            next = room.then(|| incoming.further()).flatten();
        }
        Ok(())
    }

    /// Runs one closure so that it leaves nothing behind when it fails; whether it succeeded. The
    /// first that is to be kept needs no savepoint of its own: it can be undone with the whole
    /// transaction.
    fn run(
        &self,
        job: &mut dyn Job,
        guarded: bool,
        transaction: &mut WriteTx<'_>,
    ) -> Result<bool, Failure> {
        let control = |sql| {
            run(&self.connection, sql)
                .map_err(|error| Failure::sqlite("preparing a transaction of", &error))
        };
        if guarded {
            control("SAVEPOINT job")?;
        } else if self.connection.is_autocommit() {
            control("BEGIN IMMEDIATE")?;
        }
        let succeeded = job.run(transaction);
        if self.connection.is_autocommit() {
            // A full disk or an I/O error can end the whole transaction, with all that others did.
            return Err(Failure {
                kind: transaction.last_failure().unwrap_or(ErrorKind::Io),
                doing: "writing to",
                cause: "the transaction had to be rolled back, try again".to_owned(),
            });
        }
        match (succeeded, guarded) {
            (true, true) => control("RELEASE job")?,
            (true, false) => {}
            (false, true) => {
                control("ROLLBACK TO job")?;
                control("RELEASE job")?;
            }
            (false, false) => control("ROLLBACK")?,
        }
        Ok(succeeded)
    }

    fn commit(&self, batch: &Batch) -> Result<(), Failure> {
        let begun = Instant::now();
        let committed = self.commit_now(batch);
        let took = begun.elapsed();
        self.metrics.commit_seconds.observe_duration(took);
        committed
    }

    fn commit_now(&self, batch: &Batch) -> Result<(), Failure> {
        if !batch.shards.is_empty() {
            let shards: Vec<Shard> = batch.shards.iter().copied().collect();
            let synced = catch_unwind(AssertUnwindSafe(|| (self.sync_shards)(&shards)))
                .unwrap_or_else(|panic| Err(panicked(&*panic)));
            synced.map_err(|error| Failure {
                kind: error.kind(),
                doing: "making blobs durable for",
                cause: error.to_string(),
            })?;
        }
        if self.connection.is_autocommit() {
            return Ok(());
        }
        let committed = run(&self.connection, "COMMIT");
        self.unclear.store(committed.is_err(), Ordering::Release);
        if committed.is_err() {
            self.metrics.commits_failed.add_one();
        }
        committed.map_err(|error| Failure::sqlite("committing to", &error))
    }

    /// After a commit that failed: its frames may be in the log all the same, and a restart would
    /// find them. The next commit that succeeds writes over them, so one is made at once; until
    /// then the catalog says that it is unclear.
    fn settle(&self) {
        if !self.unclear.load(Ordering::Acquire) || !self.connection.is_autocommit() {
            return;
        }
        let settled = ["BEGIN IMMEDIATE", "UPDATE total SET tags = tags", "COMMIT"]
            .iter()
            .try_for_each(|sql| run(&self.connection, sql));
        match settled {
            Ok(()) => self.unclear.store(false, Ordering::Release),
            Err(error) => {
                log::error!("the catalog cannot be written: {error}");
                self.roll_back();
            }
        }
    }

    /// Leaves no transaction behind, so that the next batch can begin. SQLite may have rolled back
    /// by itself. When it cannot, the next batch fails at its start and comes here again.
    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = run(&self.connection, "ROLLBACK")
        {
            log::error!("the catalog could not roll back a failed transaction: {error}");
        }
    }
}

/// The body of the writer's thread. Answers everyone until the last sender is gone, whatever
/// happens: a caller must never wait for an answer that cannot come.
pub(super) fn work(writer: Writer, mut incoming: Incoming) -> Result<(), Error> {
    let result = catch_unwind(AssertUnwindSafe(|| writer.work(&mut incoming)));
    result.unwrap_or_else(|panic| {
        let error = panicked(&*panic);
        log::error!("the catalog's writer ended: {error}; restart the server");
        let failure = Failure {
            kind: ErrorKind::Closed,
            doing: "writing to",
            cause: "its writer ended after a failure, restart the server".to_owned(),
        };
        while let Some(job) = incoming.first() {
            job.answer(Some(&failure));
        }
        Err(error)
    })
}
