//! A restore: from a backup to a folder that a registry can be started in.
//!
//! It needs no registry. Everything is hashed on its way, and only what is right becomes a data
//! folder; what is not is named.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::check::FindingKind;
use super::copies::{Contents, Faults, Files, Rows, check_manifests, is_right_inline};
use super::{Counted, Error, Progress, Tell};
use crate::oci::Digest;
use crate::store::Shard;
use crate::store::backup::Restored;
use crate::store::blobs::disk::{Disk, RealDisk};
use crate::store::catalog::{BlobRow, CatalogCopy};

/// What is wanted of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreOptions {
    /// The folder of the backup.
    pub from: PathBuf,
    /// The folder that it goes to.
    pub to: PathBuf,
    /// Whether files are linked where that can be done, and not copied.
    pub link: bool,
    /// Whether only lengths are compared, and nothing is hashed.
    pub quick: bool,
    /// Whether blobs that are damaged are taken out of service and the rest is restored.
    pub partial: bool,
}

/// What a restore came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreReport {
    /// The folder of the backup.
    pub from: PathBuf,
    /// The folder that it went to.
    pub to: PathBuf,
    /// Whether a registry can be started there.
    pub restored: bool,
    /// What is in it.
    #[serde(flatten)]
    pub contents: Contents,
    /// Blobs that are in the catalog itself.
    pub inline: u64,
    /// Blobs that were out of service already in the backup.
    pub out_of_service: u64,
    /// The blobs that are files.
    pub files: Files,
    /// Whether everything was hashed.
    pub verified: bool,
    /// What was found to be wrong in the backup.
    pub faults: Faults,
}

/// One run.
struct Run<'r, D: Disk> {
    restored: &'r mut Restored<D>,
    quick: bool,
    partial: bool,
    report: RestoreReport,
    progress: Progress,
    tell: &'r mut Tell<'r>,
}

/// Restores a backup, telling how far it is.
///
/// # Errors
/// [`Error::Store`]: one of the folders will not do (the sentence says why), or could not be read
/// or written; nothing can be started in `to` then, and it may be tried again. What is damaged is
/// in the report.
pub fn restore(options: &RestoreOptions, tell: &mut Tell<'_>) -> Result<RestoreReport, Error> {
    restore_on(RealDisk, options, tell)
}

/// The same on a disk of the caller's choice.
pub(super) fn restore_on<D: Disk>(
    disk: D,
    options: &RestoreOptions,
    tell: &mut Tell<'_>,
) -> Result<RestoreReport, Error> {
    let mut restored = Restored::open(disk, &options.to, &options.from, options.link)?;
    let copy = CatalogCopy::of_file(&restored.source_catalog(), &restored.catalog_part())?;
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's own lifetime does not fit where the closure's does"
    )]
    let contents = Contents::from(copy.read(|tx| tx.totals())?);
    let mut run = Run {
        restored: &mut restored,
        quick: options.quick,
        partial: options.partial,
        report: RestoreReport::new(options, contents),
        progress: Progress::start(
            "restoring",
            Counted::Bytes,
            contents.blob_bytes + if options.quick { 0 } else { contents.manifests },
        ),
        tell,
    };
    run.bring_all(&copy)?;
    let mut report = run.report;
    let is_damaged = |kind| {
        let mut findings = report.faults.findings.iter();
        findings.any(|finding| finding.kind == kind)
    };
    if report.faults.count > 0 && (!options.partial || is_damaged(FindingKind::CatalogDamaged)) {
        return Ok(report);
    }
    copy.quarantine(&report.faults.blobs)?;
    copy.close()?;
    restored.publish()?;
    report.restored = true;
    Ok(report)
}

impl RestoreReport {
    fn new(options: &RestoreOptions, contents: Contents) -> Self {
        Self {
            from: options.from.clone(),
            to: options.to.clone(),
            restored: false,
            contents,
            inline: 0,
            out_of_service: 0,
            files: Files::default(),
            verified: !options.quick,
            faults: Faults::default(),
        }
    }

    /// Whether everything was as it should be.
    pub const fn is_sound(&self) -> bool {
        self.faults.count == 0
    }
}

impl<D: Disk> Run<'_, D> {
    fn advance(&mut self, by: u64) {
        self.progress.done += by;
        (self.tell)(&self.progress);
    }

    fn bring_all(&mut self, copy: &CatalogCopy) -> Result<(), Error> {
        if !self.quick {
            // First: of a catalog that is damaged nothing can be believed.
            for sentence in copy.integrity()? {
                let faults = &mut self.report.faults;
                faults.add(FindingKind::CatalogDamaged, &sentence, false);
            }
        }
        let mut rows = Rows::new(copy);
        for shard in Shard::all() {
            let listed = if self.restored.was_interrupted {
                let listed = self.restored.blobs.list(shard)?;
                self.restored.blobs.distrust_names(shard);
                listed.blobs
            } else {
                HashMap::new()
            };
            while let Some((digest, row)) = rows.next_of(shard)? {
                let found = listed.get(&digest).copied();
                self.blob(copy, &digest, &row, found)?;
                self.advance(row.size);
            }
        }
        if self.quick {
            return Ok(());
        }
        let (faults, progress) = (&mut self.report.faults, &mut self.progress);
        check_manifests(copy, faults, progress, self.tell)
    }

    /// One blob; `found` bytes are under its name from an earlier run.
    fn blob(
        &mut self,
        copy: &CatalogCopy,
        digest: &Digest,
        row: &BlobRow,
        found: Option<u64>,
    ) -> Result<(), Error> {
        let (blobs, report) = (&mut self.restored.blobs, &mut self.report);
        if row.quarantined {
            report.out_of_service += 1;
        } else if let Some(length) = row.inline {
            report.inline += 1;
            let is_right = length == row.size && (self.quick || is_right_inline(copy, digest)?);
            if !is_right {
                let faults = &mut report.faults;
                faults.add_blob(FindingKind::BlobCorrupt, digest, self.partial);
            }
        } else if found == Some(row.size) && (self.quick || blobs.is_right(digest)) {
            report.files.kept += 1;
        } else {
            let from = self.restored.source_blob(digest);
            let put = self
                .restored
                .blobs
                .put(&from, digest, row.size, !self.quick)?;
            let faults = &mut report.faults;
            faults.of_put(put, digest, row, &mut report.files, self.partial);
        }
        Ok(())
    }
}
