//! What is counted of the state floor: commits, reads, flushes, bytes.

use std::time::Instant;

use super::instruments::{BATCH_WRITES, Counter, Histogram, STORE_SECONDS};
use super::labels::Action;

/// What the catalog counts.
#[derive(Debug)]
pub struct CatalogMetrics {
    /// Writes of each group commit.
    pub batch: Histogram,
    /// How long each group took, with the closures it ran.
    pub batch_seconds: Histogram,
    /// How long each commit took: shards that were synced for it, and `COMMIT`.
    pub commit_seconds: Histogram,
    /// How long reads took.
    pub read_seconds: Histogram,
    /// How long writes took, their wait for the writer included.
    pub write_seconds: Histogram,
    /// Groups that could not be committed.
    pub commits_failed: Counter,
    /// Times that the log was folded into the database file, at least in part.
    pub folds: Counter,
    /// Flushes of the device.
    pub flushes: Counter,
    /// Bytes written to the log.
    pub log_bytes: Counter,
    /// Bytes written to the database file, when the log was folded into it.
    pub file_bytes: Counter,
}

impl Default for CatalogMetrics {
    fn default() -> Self {
        let seconds = || Histogram::new(&STORE_SECONDS);
        Self {
            batch: Histogram::new(&BATCH_WRITES),
            batch_seconds: seconds(),
            commit_seconds: seconds(),
            read_seconds: seconds(),
            write_seconds: seconds(),
            commits_failed: Counter::default(),
            folds: Counter::default(),
            flushes: Counter::default(),
            log_bytes: Counter::default(),
            file_bytes: Counter::default(),
        }
    }
}

/// What the folder of blobs counts.
#[derive(Debug)]
pub struct DiskMetrics {
    actions: Box<[Histogram]>,
    /// Flushes of files.
    pub file_flushes: Counter,
    /// Flushes of folders.
    pub folder_flushes: Counter,
    /// Bytes written to files.
    pub written_bytes: Counter,
}

impl Default for DiskMetrics {
    fn default() -> Self {
        let actions = Action::ALL.iter();
        Self {
            actions: actions.map(|_| Histogram::new(&STORE_SECONDS)).collect(),
            file_flushes: Counter::default(),
            folder_flushes: Counter::default(),
            written_bytes: Counter::default(),
        }
    }
}

impl DiskMetrics {
    /// How long actions of this kind took.
    pub fn action(&self, action: Action) -> &Histogram {
        &self.actions[action as usize]
    }

    /// Does `work` and counts how long it took.
    pub fn timed<T>(&self, action: Action, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let outcome = work();
        self.action(action).observe_duration(started.elapsed());
        outcome
    }
}
