//! The write-ahead log's length: when the writer folds the log into the database file.
//!
//! A log that was folded in completely is used again from its start. Its file keeps its length
//! then, and a commit that does not change a file's length needs fewer flushes of the device. So
//! the log is folded in rarely, kept, and never truncated in normal work.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rusqlite::{Connection, Result};

use super::writer::BATCH_BYTES_MAX;

/// Frames (pages) in the log that are not yet in the database file, from which on they are copied.
const FRAMES_DUE: i64 = 1000;
/// Frames that a large batch adds: its content, and pages of the trees that lead there.
const FRAMES_BATCH: u64 = BATCH_BYTES_MAX as u64 / 4096 + 144;
/// Bytes that the log has from the start: what it grows to anyway before it is folded in. A frame
/// is a page of 4096 bytes and a header of 24.
const LENGTH_USUAL: u64 = (FRAMES_DUE.unsigned_abs() + FRAMES_BATCH) * (4096 + 24);
/// Length of the log in frames from which on the writer waits for readers, so that it can start the
/// log afresh.
const FRAMES_LONG: i64 = 8000;
/// How long it waits for them. A reader that stays longer (a backup, a check) is left in peace.
const READERS_PATIENCE: Duration = Duration::from_millis(20);

/// What the writer remembers of the log.
pub(super) struct LogFile {
    /// Frames not yet folded in from which on the next attempt is made. Raised by an attempt, so
    /// that a full disk is not tried, and complained about, with every commit.
    due: i64,
    /// Length in frames from which the next attempt to start afresh is worth its wait.
    long: i64,
    /// False for a catalog in memory, which has no log.
    exists: bool,
}

const LENGTH: &str = "PRAGMA wal_checkpoint(NOOP)";
const FOLD: &str = "PRAGMA wal_checkpoint(PASSIVE)";
const START_AFRESH: &str = "PRAGMA wal_checkpoint(RESTART)";
const FOLD_AND_TRUNCATE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// What a checkpoint answers: frames in the log, and how many of them are in the database file.
struct Length {
    frames: i64,
    folded: i64,
}

impl LogFile {
    pub(super) const fn new(exists: bool) -> Self {
        Self {
            due: FRAMES_DUE,
            long: FRAMES_LONG,
            exists,
        }
    }

    /// Gives the log its usual length before the first commit needs it: a commit into it is then
    /// one flush of the device instead of two, and finds its room on a full disk too, so that
    /// content can still be deleted. SQLite reads a log up to the first frame that is not sound,
    /// so zeros behind its end mean nothing to it.
    ///
    /// # Errors
    /// There is no room for it: the log grows as it is needed.
    pub(super) fn make_room(&self, connection: &Connection) -> io::Result<()> {
        let Some(path) = connection.path().filter(|_| self.exists) else {
            return Ok(());
        };
        let file = OpenOptions::new().write(true).open(format!("{path}-wal"))?;
        let zeros = [0; 16 << 10];
        let mut end = file.metadata()?.len();
        while end < LENGTH_USUAL {
            let step = (LENGTH_USUAL - end).min(zeros.len() as u64);
            // No more than the length of `zeros`, so the cast is exact.
            #[expect(clippy::cast_possible_truncation, reason = "at most 16 KiB")]
            file.write_all_at(&zeros[..step as usize], end)?;
            end += step;
        }
        file.sync_all()
    }

    /// Folds the log in when it is long. A failure loses nothing and is tried again later.
    pub(super) fn tend(&mut self, connection: &Connection) {
        if !self.exists {
            return;
        }
        if let Err(error) = self.try_tend(connection) {
            log::warn!("the catalog's write-ahead log could not be folded in: {error}");
        }
    }

    fn try_tend(&mut self, connection: &Connection) -> Result<()> {
        let Length { frames, folded } = checkpoint(connection, LENGTH)?;
        let pending = frames - folded;
        if frames < FRAMES_DUE {
            *self = Self::new(self.exists);
        }
        if pending < self.due && frames < self.long {
            return Ok(());
        }
        // Whether it fails, or a reader of old frames holds it back (then the log can only grow):
        // the next attempt waits until there is clearly more to do.
        self.due = pending + FRAMES_DUE;
        let left = if frames < self.long {
            checkpoint(connection, FOLD)?
        } else {
            self.long = 2 * frames;
            impatiently(connection, START_AFRESH)?
        };
        self.due = left.frames - left.folded + FRAMES_DUE;
        Ok(())
    }

    /// Folds all in and truncates the log, at the end.
    pub(super) fn fold_in(&self, connection: &Connection) -> Result<()> {
        if self.exists {
            impatiently(connection, FOLD_AND_TRUNCATE)?;
        }
        Ok(())
    }
}

fn impatiently(connection: &Connection, sql: &str) -> Result<Length> {
    let usual: i64 = connection.pragma_query_value(None, "busy_timeout", |row| row.get(0))?;
    connection.busy_timeout(READERS_PATIENCE)?;
    let result = checkpoint(connection, sql);
    connection.pragma_update(None, "busy_timeout", usual)?;
    result
}

fn checkpoint(connection: &Connection, sql: &str) -> Result<Length> {
    connection.prepare_cached(sql)?.query_row([], |row| {
        Ok(Length {
            frames: row.get(1)?,
            folded: row.get(2)?,
        })
    })
}
