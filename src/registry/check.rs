//! Proves the one rule, that a row means the bytes are there, and mends what can be mended.
//!
//! It runs beside a serving registry: whatever looks wrong is looked at again under the blob's
//! lock before it is reported, so that a push or delete that runs meanwhile is no finding.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::activities::Work;
use super::inspect::{Hashed, READ_BYTES, Reading};
use super::scrub::ScrubState;
use super::{Counted, Error, Progress, Registry, Tell};
use crate::oci::Digest;
use crate::store::blobs::Entry;
use crate::store::catalog::{BlobRow, Totals};
use crate::store::content;

/// Findings kept in a report; the counts go on beyond it.
pub const FINDINGS_MAX: usize = 1000;

/// Rows read at a time, so that the check holds no long transaction.
const ROWS_PER_READ: usize = 500;

/// What to do beyond comparing rows with the lengths of their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOptions {
    /// Hash all bytes again.
    pub deep: bool,
    /// Remove orphans and take broken blobs out of service.
    pub repair: bool,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// Which one: a digest, a repository and digest, or a sentence of the database.
    pub subject: String,
    /// Whether `repair` dealt with it.
    pub repaired: bool,
}

/// The kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// The catalog's file is damaged.
    CatalogDamaged,
    /// A row without its file.
    BlobMissing,
    /// Bytes of another length than their row says.
    BlobWrongSize,
    /// Bytes that do not hash to their digest.
    BlobCorrupt,
    /// Known to be broken and out of service; pushing it again heals it.
    BlobQuarantined,
    /// A manifest whose bytes do not hash to its digest; pushing it again heals it.
    ManifestCorrupt,
    /// A file that no row means. Harmless: the sweep removes it in time.
    Orphan,
}

impl FindingKind {
    /// Whether the store breaks its promise while this is so. Orphans break none.
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Orphan)
    }

    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CatalogDamaged => "the catalog is damaged",
            Self::BlobMissing => "blob has a row but no file",
            Self::BlobWrongSize => "blob has the wrong length",
            Self::BlobCorrupt => "blob does not match its digest",
            Self::BlobQuarantined => "blob is out of service until it is pushed again",
            Self::ManifestCorrupt => "manifest does not match its digest",
            Self::Orphan => "file without a row (harmless)",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What was asked for.
    pub options: CheckOptions,
    /// Blob rows compared with their bytes.
    pub blobs: u64,
    /// Bytes of these blobs, as their rows say.
    pub blob_bytes: u64,
    /// Manifests hashed (only when deep).
    pub manifests: u64,
    /// Findings that break the promise.
    pub faults: u64,
    /// Files that no row means.
    pub orphans: u64,
    /// Bytes of these files.
    pub orphan_bytes: u64,
    /// Findings that were dealt with.
    pub repaired: u64,
    /// The first [`FINDINGS_MAX`] findings.
    pub findings: Vec<Finding>,
    /// How far the scrub in the background has come.
    pub scrub: ScrubState,
}

impl Report {
    /// Whether every promise holds.
    pub const fn is_sound(&self) -> bool {
        self.faults == 0
    }

    fn add(&mut self, kind: FindingKind, subject: impl fmt::Display, repaired: bool) {
        self.faults += u64::from(kind.is_fault());
        self.repaired += u64::from(repaired);
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding {
                kind,
                subject: subject.to_string(),
                repaired,
            });
        }
    }
}

/// One run of a check.
struct Run<'r> {
    registry: &'r Registry,
    report: Report,
    progress: Progress,
    tell: &'r mut Tell<'r>,
    buffer: Vec<u8>,
}

impl Registry {
    /// Checks the whole store, telling how far it is as it goes.
    ///
    /// # Errors
    /// [`Error::Store`] when the check itself could not go on. What is wrong with the content is
    /// in the report.
    pub fn check(&self, options: CheckOptions, tell: &mut Tell<'_>) -> Result<Report, Error> {
        self.watched(
            Work::Check,
            |activity| {
                self.check_all(options, &mut |progress| {
                    activity.tell(progress);
                    tell(progress);
                })
            },
            |report| vec![("blobs", report.blobs), ("faults", report.faults)],
        )
    }

    fn check_all(&self, options: CheckOptions, tell: &mut Tell<'_>) -> Result<Report, Error> {
        let totals = self.totals()?;
        let mut run = Run {
            registry: self,
            report: Report {
                options,
                scrub: self.scrub_state()?,
                ..Report::default()
            },
            progress: start(options, &totals),
            tell,
            buffer: vec![0; if options.deep { READ_BYTES } else { 0 }],
        };
        for fault in self.catalog.integrity()? {
            run.report.add(FindingKind::CatalogDamaged, fault, false);
        }
        run.blob_rows()?;
        if options.deep {
            run.manifests()?;
        }
        run.files()?;
        Ok(run.report)
    }
}

const fn start(options: CheckOptions, totals: &Totals) -> Progress {
    if options.deep {
        Progress::start(
            "checking",
            Counted::Bytes,
            totals.blob_bytes + totals.manifests,
        )
    } else {
        Progress::start("checking", Counted::Blobs, totals.blobs)
    }
}

impl Run<'_> {
    fn advance(&mut self, by: u64) {
        self.progress.done += by;
        (self.tell)(&self.progress);
    }

    fn blob_rows(&mut self) -> Result<(), Error> {
        let mut last: Option<Digest> = None;
        loop {
            let rows = self
                .registry
                .catalog
                .read(|tx| tx.blobs(last.as_ref(), ROWS_PER_READ))?;
            let Some((digest, _)) = rows.last() else {
                return Ok(());
            };
            last = Some(*digest);
            for (digest, row) in rows {
                self.blob_row(&digest, row)?;
            }
        }
    }

    fn blob_row(&mut self, digest: &Digest, row: BlobRow) -> Result<(), Error> {
        self.report.blobs += 1;
        self.report.blob_bytes += row.size;
        let (registry, options) = (self.registry, self.report.options);
        let found = content::size(&*registry.blobs, digest, &row)?;
        let wrong = if row.quarantined || found != Some(row.size) {
            self.advance(if options.deep { row.size } else { 1 });
            registry.suspect(digest, options.repair)?
        } else if !options.deep {
            self.advance(1);
            None
        } else if self.hash(digest, &row)? == Hashed::As(*digest) {
            None
        } else {
            registry.suspect_content(digest, options.repair, &mut self.buffer)?
        };
        if let Some((kind, repaired)) = wrong {
            self.report.add(kind, digest, repaired);
        }
        Ok(())
    }

    fn hash(&mut self, digest: &Digest, row: &BlobRow) -> Result<Hashed, Error> {
        let (progress, tell) = (&mut self.progress, &mut *self.tell);
        let mut reading = Reading {
            buffer: &mut self.buffer,
            quiet: false,
            each: &mut |count| {
                progress.done += count;
                tell(progress);
                true
            },
        };
        let hashed = self.registry.hash_blob(digest, row, &mut reading)?;
        if hashed == Hashed::NotOpened {
            self.advance(row.size);
        }
        Ok(hashed)
    }

    fn manifests(&mut self) -> Result<(), Error> {
        let mut last: Option<(String, Digest)> = None;
        loop {
            let after = last.as_ref().map(|(name, digest)| (name.as_str(), digest));
            let rows = self
                .registry
                .catalog
                .read(|tx| tx.manifests(after, ROWS_PER_READ / 10))?;
            let Some((name, row)) = rows.last() else {
                return Ok(());
            };
            last = Some((name.clone(), row.digest));
            for (name, row) in &rows {
                self.report.manifests += 1;
                if Digest::of(row.digest.algorithm(), &row.bytes) != row.digest {
                    let subject = format!("{name}@{}", row.digest);
                    self.report
                        .add(FindingKind::ManifestCorrupt, subject, false);
                }
            }
            self.advance(rows.len() as u64);
        }
    }

    /// Walks all files for those that no row means.
    fn files(&mut self) -> Result<(), Error> {
        let registry = self.registry;
        let mut failure = None;
        registry.blobs.walk(&mut |entry| match self.file(&entry) {
            Ok(()) => true,
            Err(error) => {
                failure = Some(error);
                false
            }
        })?;
        failure.map_or(Ok(()), Err)
    }

    fn file(&mut self, entry: &Entry) -> Result<(), Error> {
        let registry = self.registry;
        if registry.is_file_of_row(&entry.digest)? {
            return Ok(());
        }
        let removed = if self.report.options.repair {
            registry.remove_orphan(&entry.digest)?
        } else {
            // Not an orphan if a push is between its rename and its row.
            let _owned = registry.locks.lock(&entry.digest);
            if registry.is_file_of_row(&entry.digest)? {
                return Ok(());
            }
            false
        };
        self.report.orphans += 1;
        self.report.orphan_bytes += entry.size;
        self.report.add(FindingKind::Orphan, entry.digest, removed);
        Ok(())
    }
}
