//! The scrub: reads and hashes every blob again, in the order of digests, and takes out of service
//! what does not match. Its position survives restarts.
//!
//! When and how fast is said from outside; here is what is read, what is found, what is noted. It
//! holds neither a lock nor a transaction while it reads.

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::activities::{self, Work};
use super::inspect::{Hashed, READ_BYTES, Reading};
use super::{Counted, Error, Progress, Registry};
use crate::clock::{Clock, MADE_AFTER, rfc3339, unix_ms};
use crate::oci::Digest;
use crate::store::catalog::{BlobRow, ScrubCounts, ScrubRow};
use crate::store::content;

/// How often the position is written down while a round is under way.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// Rows read at a time.
const ROWS_PER_READ: usize = 100;

/// Findings that are named where the health is told.
const NOTES_MAX: usize = 10;

/// How far in the future the beginning of a round may lie before it is taken for nonsense.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(86_400);

/// How far the scrub has come, for people and programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubState {
    /// The round that is under way.
    pub running: Option<Round>,
    /// The last whole round.
    pub last: Option<Round>,
    /// Whether a blob that it found damaged was not healed since.
    pub is_damaged: bool,
}

/// One round of the scrub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// When it began, of the one under way; when it ended, of the last whole one. RFC 3339.
    pub at: String,
    /// What it has read.
    #[serde(flatten)]
    pub counts: ScrubCounts,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundEnd {
    /// Everything was read.
    Whole,
    /// It was told to stop, and will go on there.
    Stopped,
}

impl ScrubRow {
    /// Whether something is to be read now: a round is under way, or `period` has passed since the
    /// last one began. None begins while the clock is wrong.
    pub fn is_due(&self, now: SystemTime, period: Duration) -> bool {
        if self.running {
            return true;
        }
        if now < SystemTime::UNIX_EPOCH + MADE_AFTER {
            return false;
        }
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.began_ms.is_none_or(|began| {
            let since = unix_ms(now).saturating_sub(began);
            since >= ms(period) || since < -ms(CLOCK_TOLERANCE)
        })
    }
}

impl Registry {
    /// How far the scrub has come, as it was last written down.
    ///
    /// # Errors
    /// [`Error::Store`].
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's own lifetime does not fit where the closure's does"
    )]
    pub fn scrub_row(&self) -> Result<ScrubRow, Error> {
        Ok(self.catalog.read(|tx| tx.scrub())?)
    }

    /// The same for people and programs.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn scrub_state(&self) -> Result<ScrubState, Error> {
        let (row, findings) = self
            .catalog
            .read(|tx| Ok::<_, Error>((tx.scrub()?, tx.scrub_findings(1)?)))?;
        let round = |ms, counts| Round {
            at: rfc3339(ms),
            counts,
        };
        let running = row.began_ms.filter(|_| row.running);
        Ok(ScrubState {
            running: running.map(|began| round(began, row.counts)),
            last: row.ended_ms.map(|ended| round(ended, row.ended)),
            is_damaged: !findings.is_empty(),
        })
    }

    /// A sentence for each blob that the scrub took out of service and that was not healed since;
    /// of many, for the first few.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn scrub_notes(&self) -> Result<Vec<String>, Error> {
        let found = self.catalog.read(|tx| tx.scrub_findings(NOTES_MAX + 1))?;
        let notes = found.iter().take(NOTES_MAX).map(|digest| {
            format!("the scrub found blob {digest} damaged; push it again to heal it")
        });
        let more = (found.len() > NOTES_MAX)
            .then(|| "the scrub found more damaged blobs; `coracle check` names all".to_owned());
        Ok(notes.chain(more).collect())
    }

    /// Begins a round or goes on with the one that is under way. `each` is told how many bytes
    /// were read, may wait, and ends it by answering false; it is asked between blobs too.
    ///
    /// # Errors
    /// [`Error::Store`]: rows cannot be read. What is wrong with the blobs is no error.
    pub fn scrub(
        &self,
        clock: &dyn Clock,
        each: &mut dyn FnMut(u64) -> bool,
    ) -> Result<RoundEnd, Error> {
        self.watched(
            Work::Scrub,
            |activity| self.scrub_on(clock, activity, each),
            |_| Vec::new(),
        )
    }

    fn scrub_on(
        &self,
        clock: &dyn Clock,
        activity: &activities::Run<'_>,
        each: &mut dyn FnMut(u64) -> bool,
    ) -> Result<RoundEnd, Error> {
        let mut row = self.scrub_row()?;
        let mut progress = Progress::start("reading", Counted::Bytes, self.totals()?.blob_bytes);
        if !row.running {
            row = ScrubRow {
                began_ms: Some(unix_ms(clock.now())),
                running: true,
                position: None,
                counts: ScrubCounts::default(),
                ..row
            };
            self.save_scrub(row);
        }
        let mut buffer = vec![0; READ_BYTES];
        let mut saved = Instant::now();
        loop {
            let rows = self
                .catalog
                .read(|tx| tx.blobs(row.position.as_ref(), ROWS_PER_READ))?;
            if rows.is_empty() {
                row.running = false;
                row.ended_ms = Some(unix_ms(clock.now()));
                row.ended = row.counts;
                self.save_scrub(row);
                return Ok(RoundEnd::Whole);
            }
            for (digest, blob) in rows {
                let go_on = self.scrub_blob(&digest, &blob, &mut row, &mut buffer, each)?;
                progress.done = row.counts.bytes;
                activity.tell(&progress);
                if !go_on || !each(0) {
                    self.save_scrub(row);
                    return Ok(RoundEnd::Stopped);
                }
                if saved.elapsed() >= SAVE_EVERY {
                    self.save_scrub(row);
                    saved = Instant::now();
                }
            }
        }
    }

    /// One blob; false when it was ended in the middle, and then it counts for nothing.
    fn scrub_blob(
        &self,
        digest: &Digest,
        blob: &BlobRow,
        row: &mut ScrubRow,
        buffer: &mut [u8],
        each: &mut dyn FnMut(u64) -> bool,
    ) -> Result<bool, Error> {
        let mut wrong = None;
        if !blob.quarantined {
            let has_length = content::size(&*self.blobs, digest, blob)? == Some(blob.size);
            let hashed = if has_length {
                let mut reading = Reading {
                    buffer: &mut *buffer,
                    quiet: true,
                    each,
                };
                self.hash_blob(digest, blob, &mut reading)?
            } else {
                Hashed::NotOpened
            };
            wrong = match hashed {
                Hashed::Stopped => return Ok(false),
                Hashed::As(found) if found == *digest => None,
                Hashed::NotOpened => self.suspect(digest, true)?,
                Hashed::As(_) | Hashed::Unreadable => self.suspect_content(digest, true, buffer)?,
            };
            row.counts.blobs += 1;
            row.counts.bytes += blob.size;
            self.metrics().work.scrubbed_blobs.add_one();
            self.metrics().work.scrubbed_bytes.add(blob.size);
        }
        row.position = Some(*digest);
        if let Some((kind, _)) = wrong.filter(|(_, taken)| *taken) {
            row.counts.found += 1;
            self.metrics().work.scrub_found.add_one();
            log::error!(
                "the scrub found that blob {digest} is damaged ({}): it is not served any more; \
                 push it again to heal it",
                kind.as_str()
            );
            let (digest, state) = (*digest, *row);
            let noted = self.catalog.write(move |tx| {
                tx.add_scrub_finding(&digest)?;
                tx.set_scrub(&state)
            });
            if let Err(error) = noted {
                log::warn!("what the scrub found is in this log only: {error}");
            }
        }
        Ok(true)
    }

    /// What cannot be written down now is read once more after a restart, no more.
    fn save_scrub(&self, row: ScrubRow) {
        if let Err(error) = self.catalog.write(move |tx| tx.set_scrub(&row)) {
            log::warn!("how far the scrub has come could not be written down: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_due_when_its_time_has_come_and_the_clock_is_right() {
        let right = SystemTime::UNIX_EPOCH + MADE_AFTER;
        let hour = Duration::from_secs(3600);
        let began = |at: SystemTime| ScrubRow {
            began_ms: Some(unix_ms(at)),
            ..ScrubRow::default()
        };
        assert!(ScrubRow::default().is_due(right, hour), "the first");
        assert!(!began(right).is_due(right + hour / 2, hour));
        assert!(began(right).is_due(right + hour, hour));
        let early = SystemTime::UNIX_EPOCH + hour;
        assert!(!ScrubRow::default().is_due(early, hour), "a wrong clock");
        assert!(!began(right).is_due(early, hour), "the same");
        assert!(
            !began(right + hour).is_due(right, hour),
            "set back a little"
        );
        assert!(
            began(right + 1000 * hour).is_due(right, hour),
            "it was wrong when the last began"
        );
        let running = ScrubRow {
            running: true,
            ..began(right)
        };
        assert!(running.is_due(right, hour));
        assert!(running.is_due(early, hour), "no age is asked for");
    }
}
