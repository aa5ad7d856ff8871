//! A backup of the whole registry while it serves: which rows, which files, in which order.
//!
//! The catalog is copied first, then the files that this copy names are brought, and only then it
//! takes its name: so a backup never has a row without its file. A blob whose bytes are not as
//! they should be is out of service in the copy, and reported.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::activities::Work;
use super::check::FindingKind;
use super::copies::{Contents, Faults, Files, Rows, check_manifests, is_right_inline};
use super::{Counted, Error, Progress, Registry, Tell};
use crate::clock::{Clock, SystemClock, rfc3339, unix_ms};
use crate::oci::Digest;
use crate::store::Shard;
use crate::store::backup::{Description, Put, Target};
use crate::store::blobs::Opened;
use crate::store::blobs::disk::{Disk, RealDisk};
use crate::store::catalog::{BlobRow, CatalogCopy};
use crate::store::layout::Layout;

/// The most files without a row that one run removes from a backup; the next goes on.
const REMOVED_MAX: usize = 100_000;

/// What is wanted of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupOptions {
    /// The folder that it goes to; absolute.
    pub to: PathBuf,
    /// Whether everything in it is read and hashed afterwards.
    pub verify: bool,
}

/// What a backup came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// The folder.
    pub to: PathBuf,
    /// When the catalog was copied, RFC 3339.
    pub taken_at: String,
    /// What is in it.
    #[serde(flatten)]
    pub contents: Contents,
    /// Blobs that are in the catalog itself.
    pub inline: u64,
    /// Blobs that were out of service before.
    pub out_of_service: u64,
    /// The blobs that are files.
    pub files: Files,
    /// Files of an earlier backup that were removed.
    pub removed: u64,
    /// Whether everything was read and hashed.
    pub verified: bool,
    /// What was found to be wrong; blobs of it are out of service in the backup.
    pub faults: Faults,
}

/// One run.
struct Run<'r, D: Disk> {
    registry: &'r Registry,
    target: &'r mut Target<D>,
    report: BackupReport,
    progress: Progress,
    tell: &'r mut Tell<'r>,
    /// What the copy does not name.
    unnamed: Vec<Digest>,
    /// Shards with files that are not whole.
    strays: Vec<Shard>,
}

impl Registry {
    /// Makes or renews a backup, telling how far it is. Pushes, pulls and deletes go on.
    ///
    /// # Errors
    /// [`Error::Store`]: the folder will not do (the sentence says why), or it could not be
    /// written; an earlier backup in it is as it was.
    pub fn backup(
        &self,
        options: &BackupOptions,
        tell: &mut Tell<'_>,
    ) -> Result<BackupReport, Error> {
        self.watched(
            Work::Backup,
            |activity| {
                self.backup_on(RealDisk, options, &mut |progress| {
                    activity.tell(progress);
                    tell(progress);
                })
            },
            |report| {
                vec![
                    ("blobs", report.contents.blobs),
                    ("bytes", report.contents.blob_bytes),
                    ("faults", report.faults.count),
                ]
            },
        )
    }

    /// The same on a disk of the caller's choice.
    pub(super) fn backup_on<D: Disk>(
        &self,
        disk: D,
        options: &BackupOptions,
        tell: &mut Tell<'_>,
    ) -> Result<BackupReport, Error> {
        let data = self.blobs.layout().map(Layout::root);
        let mut target = Target::open(disk, &options.to, data)?;
        // From before the snapshot until all its files are in the backup.
        let held = self.hold_files();
        let taken_at = rfc3339(unix_ms(SystemClock.now()));
        let mut progress = Progress::start("copying the catalog", Counted::Bytes, 0);
        let copy = self
            .catalog
            .copy_to(&target.catalog_part(), &mut |done, total| {
                (progress.done, progress.total) = (done, total);
                tell(&progress);
            })?;
        target.catalog_copied()?;
        #[expect(
            clippy::redundant_closure_for_method_calls,
            reason = "the method's own lifetime does not fit where the closure's does"
        )]
        let contents = Contents::from(copy.read(|tx| tx.totals())?);
        let mut run = Run {
            registry: self,
            target: &mut target,
            report: BackupReport::new(options, taken_at, contents),
            progress: Progress::start("saving blobs", Counted::Bytes, contents.blob_bytes),
            tell: &mut *tell,
            unnamed: Vec::new(),
            strays: Vec::new(),
        };
        run.bring_all(&copy)?;
        if options.verify {
            run.verify(&copy)?;
        }
        run.publish(copy)?;
        drop(held);
        run.clean_up();
        Ok(run.report)
    }
}

impl BackupReport {
    fn new(options: &BackupOptions, taken_at: String, contents: Contents) -> Self {
        Self {
            to: options.to.clone(),
            taken_at,
            contents,
            inline: 0,
            out_of_service: 0,
            files: Files::default(),
            removed: 0,
            verified: options.verify,
            faults: Faults::default(),
        }
    }

    /// Whether everything was as it should be.
    pub const fn is_sound(&self) -> bool {
        self.faults.count == 0
    }

    fn description(&self) -> Description {
        Description {
            taken_at: Some(self.taken_at.clone()),
            repositories: self.contents.repositories,
            manifests: self.contents.manifests,
            tags: self.contents.tags,
            blobs: self.contents.blobs,
            blob_bytes: self.contents.blob_bytes,
            ..Description::empty()
        }
    }
}

impl<D: Disk> Run<'_, D> {
    fn advance(&mut self, by: u64) {
        self.progress.done += by;
        (self.tell)(&self.progress);
    }

    /// Brings every file that a row of the copy means, and notes what none means.
    fn bring_all(&mut self, copy: &CatalogCopy) -> Result<(), Error> {
        let mut rows = Rows::new(copy);
        for shard in Shard::all() {
            let mut listed = self.target.blobs.list(shard)?;
            if self.target.was_interrupted {
                self.target.blobs.distrust_names(shard);
            }
            if listed.has_strays {
                self.strays.push(shard);
            }
            while let Some((digest, row)) = rows.next_of(shard)? {
                if row.quarantined {
                    self.report.out_of_service += 1;
                } else if row.inline.is_some() {
                    self.report.inline += 1;
                } else if listed.blobs.remove(&digest) == Some(row.size) {
                    self.report.files.kept += 1;
                } else {
                    self.bring(&digest, &row, false)?;
                }
                self.advance(row.size);
            }
            let room = REMOVED_MAX.saturating_sub(self.unnamed.len());
            self.unnamed.extend(listed.blobs.into_keys().take(room));
        }
        Ok(())
    }

    fn bring(&mut self, digest: &Digest, row: &BlobRow, hashed: bool) -> Result<(), Error> {
        let (registry, blobs) = (self.registry, &mut self.target.blobs);
        let put = match registry.blobs.layout() {
            Some(layout) => blobs.put(&layout.blob(digest), digest, row.size, hashed)?,
            None => match registry.blobs.open(digest, row.size)? {
                Opened::Blob(reader) => blobs.put_bytes(reader, digest)?,
                Opened::Missing => Put::Missing,
                Opened::WrongSize { .. } => Put::WrongSize,
            },
        };
        let report = &mut self.report;
        report
            .faults
            .of_put(put, digest, row, &mut report.files, true);
        if !matches!(put, Put::There(_)) {
            // Whatever stands there now is no part of the backup.
            self.unnamed.push(*digest);
        }
        Ok(())
    }

    /// Reads everything in the backup. A file that is wrong is brought once more, because only
    /// the backup's own may be.
    fn verify(&mut self, copy: &CatalogCopy) -> Result<(), Error> {
        let contents = self.report.contents;
        let total = contents.blob_bytes + contents.manifests;
        self.progress = Progress::start("verifying", Counted::Bytes, total);
        for sentence in copy.integrity()? {
            let faults = &mut self.report.faults;
            faults.add(FindingKind::CatalogDamaged, &sentence, false);
        }
        let mut rows = Rows::new(copy);
        for shard in Shard::all() {
            while let Some((digest, row)) = rows.next_of(shard)? {
                self.verify_blob(copy, &digest, &row)?;
                self.advance(row.size);
            }
        }
        let (faults, progress) = (&mut self.report.faults, &mut self.progress);
        check_manifests(copy, faults, progress, self.tell)
    }

    fn verify_blob(
        &mut self,
        copy: &CatalogCopy,
        digest: &Digest,
        row: &BlobRow,
    ) -> Result<(), Error> {
        if row.quarantined || self.report.faults.blobs.contains(digest) {
            return Ok(());
        }
        if row.inline.is_some() {
            if !is_right_inline(copy, digest)? {
                let faults = &mut self.report.faults;
                faults.add_blob(FindingKind::BlobCorrupt, digest, true);
            }
            return Ok(());
        }
        if self.target.blobs.is_right(digest) {
            return Ok(());
        }
        self.report.files.kept = self.report.files.kept.saturating_sub(1);
        self.bring(digest, row, true)
    }

    /// Takes out of service in the copy what is not as it should be, and makes it the backup.
    fn publish(&mut self, copy: CatalogCopy) -> Result<(), Error> {
        copy.quarantine(&self.report.faults.blobs)?;
        copy.close()?;
        let description = self.report.description();
        Ok(self.target.publish(&description)?)
    }

    /// Removes what the new backup does not name. What stays is removed by the next run.
    fn clean_up(&mut self) {
        let blobs = &self.target.blobs;
        let mut failed = None;
        for digest in &self.unnamed {
            match blobs.remove(digest) {
                Ok(()) => self.report.removed += 1,
                Err(error) => failed = Some(error),
            }
        }
        for shard in &self.strays {
            if let Err(error) = blobs.remove_strays(*shard) {
                failed = Some(error);
            }
        }
        if let Some(error) = failed {
            let to = self.report.to.display();
            log::warn!("the backup in {to} is whole, but some old files stay in it: {error}");
        }
    }
}
