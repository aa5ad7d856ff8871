//! The folder that comes of a backup: claimed, filled, and made a data folder in one step.
//!
//! Until then a mark lies in it, with which no registry is opened there.

use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};

use super::blobs::BlobFolder;
use super::{refuse, target};
use crate::store::blobs::disk::{Access, Disk};
use crate::store::folder::FolderLock;
use crate::store::layout::Layout;
use crate::store::{Error, ErrorKind};

const DOING: &str = "restoring to";

/// A folder that becomes a data folder.
pub struct Restored<D: Disk> {
    disk: D,
    layout: Layout,
    source: Layout,
    /// Its blobs.
    pub blobs: BlobFolder<D>,
    /// Whether a run before this one came to no end, so that some may be there already.
    pub was_interrupted: bool,
    _lock: FolderLock,
    _source_lock: Option<FolderLock>,
}

impl<D: Disk> Restored<D> {
    /// Claims the folder `root`, which must be missing, empty, or left by a restore that came to
    /// no end, for what is in the backup `source`. Changes nothing when one of them will not do.
    ///
    /// # Errors
    /// The sentence says which will not do, and why.
    pub fn open(disk: D, root: &Path, source: &Path, may_link: bool) -> Result<Self, Error> {
        let (layout, source) = (Layout::new(root), Layout::new(source));
        target::catalog_of(&disk, source.root())?;
        refuse::unless_apart(DOING, root, source.root(), "the backup")?;
        let looking = |error| Error::io("looking into", root.display(), error);
        let marked = disk.lookup(&layout.restoring()).map_err(looking)?;
        let was_interrupted = marked.is_some();
        if !was_interrupted && !refuse::is_empty(&disk, root)? {
            let error = Error::new(ErrorKind::Io, DOING, root.display());
            return Err(error.because(
                "the folder holds something; name one that is empty or does not exist, with --data",
            ));
        }
        let source_lock = FolderLock::share(&source, "restoring from")?;
        let lock = FolderLock::take_for(&layout, DOING)?;
        let restored = Self {
            blobs: BlobFolder::new(disk.clone(), layout.clone(), may_link),
            disk,
            layout,
            source,
            was_interrupted,
            _lock: lock,
            _source_lock: source_lock,
        };
        restored.mark()?;
        Ok(restored)
    }

    /// The mark, durable before anything else is.
    fn mark(&self) -> Result<(), Error> {
        let (disk, root) = (&self.disk, self.layout.root());
        disk.make_folder(root)
            .and_then(|()| match disk.create(&self.layout.restoring()) {
                Err(error) if error.kind() != Io::AlreadyExists => Err(error),
                _ => disk.sync_folder(root),
            })
            .and_then(|()| target::make_blobs(disk, &self.layout))
            .map_err(|error| Error::io("preparing", root.display(), error))
    }

    /// The backup's catalog.
    pub fn source_catalog(&self) -> PathBuf {
        self.source.catalog()
    }

    /// The backup's file of a blob.
    pub fn source_blob(&self, digest: &crate::oci::Digest) -> PathBuf {
        self.source.blob(digest)
    }

    /// Where the catalog is copied to.
    pub fn catalog_part(&self) -> PathBuf {
        self.layout.catalog_part()
    }

    /// Makes what was brought a data folder: its blobs first, then the catalog that was copied to
    /// [`catalog_part`](Self::catalog_part) and is closed; the mark goes last.
    ///
    /// # Errors
    /// A failed sync or rename: the folder is still marked.
    pub fn publish(mut self) -> Result<(), Error> {
        self.blobs.sync()?;
        let (disk, root) = (&self.disk, self.layout.root());
        let (part, path) = (self.layout.catalog_part(), self.layout.catalog());
        disk.adopt(&part)
            .and_then(|()| disk.open(&part, Access::ReadWrite))
            .and_then(|file| disk.sync(&file))
            .and_then(|()| disk.rename(&part, &path))
            .and_then(|()| disk.sync_folder(root))
            .and_then(|()| disk.remove(&self.layout.restoring()))
            .and_then(|()| disk.sync_folder(root))
            .map_err(|error| Error::io("publishing", path.display(), error))
    }
}
