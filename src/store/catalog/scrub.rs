//! The scrub's one row, and the blobs that it found damaged.

use super::rows::{ScrubCounts, ScrubRow};
use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, DigestColumn, limit};
use crate::oci::Digest;
use crate::store::Error;

statements! {
    SCRUB = "SELECT began_at, running, position, blobs, bytes, found,
        ended_at, ended_blobs, ended_bytes, ended_found FROM scrub WHERE id = 1";
    FINDINGS = "SELECT digest FROM scrub_finding WHERE digest > ?1 ORDER BY digest LIMIT ?2";
    SET = "UPDATE scrub SET began_at = ?1, running = ?2, position = ?3, blobs = ?4, bytes = ?5,
        found = ?6, ended_at = ?7, ended_blobs = ?8, ended_bytes = ?9, ended_found = ?10
        WHERE id = 1";
    // What was healed meanwhile is no finding.
    ADD = "INSERT INTO scrub_finding (digest, found_at)
        SELECT digest, ?2 FROM blob WHERE digest = ?1 AND quarantined = 1
        ON CONFLICT DO NOTHING";
}

impl ReadTx<'_> {
    /// How far the scrub has come.
    pub fn scrub(&self) -> Result<ScrubRow, Error> {
        let scrub = self.one(SCRUB, [], |row| {
            let counts = |first: usize| {
                Ok::<_, rusqlite::Error>(ScrubCounts {
                    blobs: row.get::<_, Count>(first)?.0,
                    bytes: row.get::<_, Count>(first + 1)?.0,
                    found: row.get::<_, Count>(first + 2)?.0,
                })
            };
            Ok(ScrubRow {
                began_ms: row.get(0)?,
                running: row.get(1)?,
                position: row.get(2)?,
                counts: counts(3)?,
                ended_ms: row.get(6)?,
                ended: counts(7)?,
            })
        });
        scrub
            .and_then(|scrub| scrub.ok_or(rusqlite::Error::QueryReturnedNoRows))
            .map_err(|error| self.failed(&error, "reading", "the state of the scrub"))
    }

    /// Up to `limit` blobs that the scrub took out of service and that were not healed since.
    pub fn scrub_findings(&self, limit: usize) -> Result<Vec<Digest>, Error> {
        let params = (DigestColumn::after(None), self::limit(limit));
        self.all(FINDINGS, params, |row| row.get(0))
            .map_err(|error| self.failed(&error, "reading", "what the scrub found"))
    }
}

impl WriteTx<'_> {
    /// Writes how far the scrub has come.
    pub fn set_scrub(&mut self, scrub: &ScrubRow) -> Result<(), Error> {
        let params = (
            scrub.began_ms,
            scrub.running,
            scrub.position.as_ref().map(DigestColumn::from),
            Count(scrub.counts.blobs),
            Count(scrub.counts.bytes),
            Count(scrub.counts.found),
            scrub.ended_ms,
            Count(scrub.ended.blobs),
            Count(scrub.ended.bytes),
            Count(scrub.ended.found),
        );
        self.execute(SET, params)
            .map(|_| ())
            .map_err(|error| self.failed(&error, "writing", "the state of the scrub"))
    }

    /// Notes a blob that the scrub took out of service, until it is healed or removed.
    pub fn add_scrub_finding(&mut self, digest: &Digest) -> Result<(), Error> {
        self.execute(ADD, (DigestColumn::from(digest), self.now_ms()))
            .map(|_| ())
            .map_err(|error| self.failed(&error, "noting the damaged blob", digest))
    }
}
