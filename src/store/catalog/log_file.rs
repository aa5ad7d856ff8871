//! The write-ahead log's length: when the log is folded into the database file, and by whom.
//!
//! A log that was folded in completely is used again from its start. Its file keeps its length
//! then, and a commit that does not change a file's length needs fewer flushes of the device. So
//! the log is folded in rarely, kept, and never truncated in normal work.
//!
//! Most of it is folded in beside the writer (`fold`). What was committed meanwhile is folded in by
//! the writer itself, when that is little, or when the log is full: only while nothing is added can
//! all of it be folded in.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Result};

use super::Durability;
use super::failure::kind_of;
use super::fold::Folding;
use super::writer::BATCH_BYTES_MAX;
use crate::host::usage;
use crate::metrics::CatalogMetrics;
use crate::store::ErrorKind;
use crate::store::space::Space;

/// Frames (pages) in the log that are not yet in the database file, from which on they are copied.
const FRAMES_DUE: i64 = 700;
/// Frames that the writer copies itself, at the end of a fold.
const FRAMES_REST: i64 = 300;
/// Frames after which a fold that was held back by a reader is tried again.
const FRAMES_HELD: i64 = 100;
/// Length of the log in frames at which the writer waits for the fold that runs.
const FRAMES_FULL: i64 = FRAMES_DUE + FRAMES_REST;
/// Frames that a large batch adds: its content, and pages of the trees that lead there.
const FRAMES_BATCH: u64 = BATCH_BYTES_MAX as u64 / 4096 + 144;
/// Bytes that the log has from the start: what it grows to anyway before it is folded in. A frame
/// is a page of 4096 bytes and a header of 24.
const LENGTH_USUAL: u64 = ((FRAMES_DUE + FRAMES_REST).unsigned_abs() + FRAMES_BATCH) * FRAME_BYTES;
const FRAME_BYTES: u64 = 4096 + 24;
/// Bytes that a batch may add to a log that has no room of its own, and to its index.
const BATCH_ROOM: u64 = FRAMES_BATCH * FRAME_BYTES + (64 << 10);
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
    /// Folds in what is due; `None` for a catalog in memory, which has no log.
    folding: Option<Folding>,
    /// Frames that the next commit will find in the log.
    frames: u64,
    /// Frames for which the log has its room already.
    roomy_to: u64,
    /// The log as it was after the last batch.
    seen: Length,
    /// Whether commits and folds are flushed.
    is_flushed: bool,
    metrics: Arc<CatalogMetrics>,
    space: Arc<Space>,
}

const LENGTH: &str = "PRAGMA wal_checkpoint(NOOP)";
pub(super) const FOLD: &str = "PRAGMA wal_checkpoint(PASSIVE)";
const START_AFRESH: &str = "PRAGMA wal_checkpoint(RESTART)";
const FOLD_AND_TRUNCATE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// What a checkpoint answers: frames in the log, and how many of them are in the database file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Length {
    frames: i64,
    folded: i64,
}

impl Length {
    /// Frames that are not in the database file.
    const fn pending(&self) -> i64 {
        self.frames - self.folded
    }
}

/// What has become of the log between two looks, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    added: u64,
    folded: u64,
    /// Whether it was begun afresh.
    restarted: bool,
}

impl Length {
    /// What has changed since `before`. A log that is begun afresh forgets how much was folded in,
    /// which else only grows.
    fn since(self, before: Self) -> Change {
        let restarted = self.folded < before.folded || self.frames < before.frames;
        let (frames, folded) = if restarted {
            (0, 0)
        } else {
            (before.frames, before.folded)
        };
        Change {
            added: (self.frames - frames).max(0).unsigned_abs(),
            folded: (self.folded - folded).max(0).unsigned_abs(),
            restarted,
        }
    }
}

impl LogFile {
    pub(super) fn new(
        folding: Option<Folding>,
        space: Arc<Space>,
        metrics: Arc<CatalogMetrics>,
        durability: Durability,
    ) -> Self {
        Self {
            due: FRAMES_DUE,
            long: FRAMES_LONG,
            folding,
            frames: 0,
            roomy_to: 0,
            seen: Length::default(),
            is_flushed: durability == Durability::Full,
            metrics,
            space,
        }
    }

    /// Before a batch: when it may make the log longer and there is no room for that, the catalog
    /// gets the ballast. In normal work the log has its room, and nothing is looked at.
    pub(super) fn see_to_room(&self) {
        if self.folding.is_some() && self.frames + FRAMES_BATCH > self.roomy_to {
            self.space.provide(BATCH_ROOM);
        }
    }

    /// Gives the log its usual length before the first commit needs it: a commit into it is then
    /// one flush of the device instead of two, and finds its room on a full disk too, so that
    /// content can still be deleted. SQLite reads a log up to the first frame that is not sound,
    /// so zeros behind its end mean nothing to it.
    ///
    /// # Errors
    /// There is no room for it: the log grows as it is needed.
    pub(super) fn make_room(&mut self, connection: &Connection) -> io::Result<()> {
        let Some(path) = connection.path().filter(|_| self.folding.is_some()) else {
            return Ok(());
        };
        let file = OpenOptions::new().write(true).open(format!("{path}-wal"))?;
        let zeros = [0; 16 << 10];
        let mut end = file.metadata()?.len();
        while end < LENGTH_USUAL {
            let step = (LENGTH_USUAL - end).min(zeros.len() as u64);
            // No more than the length of `zeros`, so the cast is exact.
            #[expect(clippy::cast_possible_truncation, reason = "at most 16 KiB")]
            let written = file.write_all_at(&zeros[..step as usize], end);
            // What it got so far is room as well.
            self.roomy_to = end / FRAME_BYTES;
            written?;
            end += step;
            self.metrics.log_bytes.add(step);
        }
        self.roomy_to = end / FRAME_BYTES;
        self.metrics.flushes.add_one();
        file.sync_all()
    }

    /// Counts a commit after which the log need not be tended yet.
    pub(super) fn note(&mut self, connection: &Connection) {
        if self.folding.is_some()
            && let Err(error) = self.look(connection, LENGTH)
        {
            log::debug!("the length of the catalog's log is not known: {error}");
        }
    }

    /// Has the log folded in when it is long. A failure loses nothing and is tried again later.
    pub(super) fn tend(&mut self, connection: &Connection) {
        if let Some(mut folding) = self.folding.take() {
            let mut tended = self.try_tend(connection, &mut folding);
            // The database file could not grow.
            if let Err(error) = &tended
                && kind_of(error) == ErrorKind::Full
                && self.space.release_ballast()
            {
                log::warn!("the log could not be folded in: the ballast was given to the catalog");
                self.due = FRAMES_DUE;
                tended = self.look(connection, FOLD).map(drop);
            }
            if let Err(error) = tended {
                log::warn!("the catalog's write-ahead log could not be folded in: {error}");
            }
            self.folding = Some(folding);
        }
    }

    fn try_tend(&mut self, connection: &Connection, folding: &mut Folding) -> Result<()> {
        let now = self.look(connection, LENGTH)?;
        // One that is folded in completely is used from its start.
        self.frames = if now.pending() > 0 {
            now.frames.unsigned_abs()
        } else {
            0
        };
        self.roomy_to = self.roomy_to.max(self.frames);
        if now.frames < FRAMES_DUE {
            (self.due, self.long) = (FRAMES_DUE, FRAMES_LONG);
        }
        if now.frames >= self.long {
            // Readers hold it back, or it is written faster than it is folded in: all wait a bit.
            self.long = 2 * now.frames;
            let left = counted(&self.metrics, || impatiently(connection, START_AFRESH))?;
            self.count(left);
            self.due = left.pending() + FRAMES_DUE;
            return Ok(());
        }
        if folding.is_running() {
            let Some(ended) = folding.end(now.frames >= FRAMES_FULL) else {
                return Ok(());
            };
            // If it failed, the next attempt waits until there is clearly more to do.
            self.due = now.pending() + FRAMES_DUE;
            if ended?.pending() > 0 {
                // A reader of old frames holds it back, and most readers stay for a moment.
                self.due = now.pending() + FRAMES_HELD;
                return Ok(());
            }
            return self.finish_fold(connection, folding);
        }
        if now.pending() >= self.due {
            folding.begin();
        }
        Ok(())
    }

    /// Asks how long the log is, or folds it in, and counts what has become of it.
    fn look(&mut self, connection: &Connection, sql: &str) -> Result<Length> {
        let now = if sql == FOLD {
            counted(&self.metrics, || checkpoint(connection, FOLD))?
        } else {
            checkpoint(connection, sql)?
        };
        self.count(now);
        Ok(now)
    }

    /// Counts what was written since it was last looked at, from how the log has changed: each
    /// batch is followed by a look, and so is each fold.
    fn count(&mut self, now: Length) {
        let Change {
            added,
            folded,
            restarted,
        } = now.since(self.seen);
        self.seen = now;
        self.metrics.log_bytes.add(added * FRAME_BYTES);
        self.metrics.folds.add(u64::from(folded > 0));
        if self.is_flushed {
            // A commit is one flush of the log, which takes one more when it is begun afresh. A
            // fold flushes the log first, and the database file when nothing is left to be folded.
            let of_fold = 1 + u64::from(now.pending() == 0);
            let flushes =
                u64::from(added > 0) + u64::from(restarted) + if folded > 0 { of_fold } else { 0 };
            self.metrics.flushes.add(flushes);
        }
    }

    /// After a fold: what was added to the log meanwhile.
    fn finish_fold(&mut self, connection: &Connection, folding: &mut Folding) -> Result<()> {
        let now = self.look(connection, LENGTH)?;
        if now.pending() > FRAMES_REST && now.frames < FRAMES_FULL {
            folding.begin();
            return Ok(());
        }
        let left = self.look(connection, FOLD)?.pending();
        self.due = left + if left > 0 { FRAMES_HELD } else { FRAMES_DUE };
        Ok(())
    }

    /// Folds all in and truncates the log, at the end.
    pub(super) fn fold_in(&mut self, connection: &Connection) -> Result<()> {
        // Its connection goes first: the last one that is closed removes the log.
        if self.folding.take().is_some() {
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

/// Folds the log in, and counts what was written to the database file. How many pages that are only
/// the kernel tells: one that was committed several times is written once.
pub(super) fn counted<T>(metrics: &CatalogMetrics, fold: impl FnOnce() -> T) -> T {
    let before = usage::thread_written();
    let outcome = fold();
    if let (Some(before), Some(now)) = (before, usage::thread_written()) {
        metrics.file_bytes.add(now.saturating_sub(before));
    }
    outcome
}

pub(super) fn checkpoint(connection: &Connection, sql: &str) -> Result<Length> {
    connection.prepare_cached(sql)?.query_row([], |row| {
        Ok(Length {
            frames: row.get(1)?,
            folded: row.get(2)?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_seen_by_how_the_log_has_changed() {
        let log = |frames, folded| Length { frames, folded };
        let change = |added, folded, restarted| Change {
            added,
            folded,
            restarted,
        };
        let rows = [
            ((0, 0), (10, 0), change(10, 0, false)),
            ((10, 0), (10, 0), change(0, 0, false)),
            ((10, 0), (15, 10), change(5, 10, false)),
            // Begun afresh: shorter, as long, longer than before.
            ((15, 15), (3, 0), change(3, 0, true)),
            ((15, 15), (15, 0), change(15, 0, true)),
            ((15, 15), (40, 0), change(40, 0, true)),
            // A reader kept it from being begun afresh.
            ((15, 15), (40, 15), change(25, 0, false)),
        ];
        for (before, now, expected) in rows {
            let (before, now) = (log(before.0, before.1), log(now.0, now.1));
            assert_eq!(now.since(before), expected, "{before:?} {now:?}");
        }
    }
}
