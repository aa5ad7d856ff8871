//! The folder of a backup: claimed, filled, and made the new backup in one step.

use std::fs;
use std::io::{self, ErrorKind as Io};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::blobs::BlobFolder;
use super::describe::{self, Description};
use super::refuse;
use crate::store::blobs::disk::{Access, Disk};
use crate::store::catalog;
use crate::store::folder::FolderLock;
use crate::store::layout::Layout;
use crate::store::{Error, ErrorKind};

const DOING: &str = "backing up to";

/// A folder that is or becomes a backup, claimed for one run.
pub struct Target<D: Disk> {
    disk: D,
    layout: Layout,
    /// Its blobs.
    pub blobs: BlobFolder<D>,
    /// Whether a run before this one came to no end, so that names may not be durable.
    pub was_interrupted: bool,
    _lock: FolderLock,
}

impl<D: Disk> Target<D> {
    /// Claims the folder `root`, which is made when it is missing, for a backup of the store in
    /// `data`. Changes nothing when it will not do.
    ///
    /// # Errors
    /// It has to do with the data folder, holds other things, or another process is using it
    /// (kind `Locked`); the sentence says which.
    pub fn open(disk: D, root: &Path, data: Option<&Path>) -> Result<Self, Error> {
        let layout = Layout::new(root);
        if let Some(data) = data {
            refuse::unless_apart(DOING, root, data, "the data folder")?;
        }
        let refused = |why: &str| Error::new(ErrorKind::Io, DOING, root.display()).because(why);
        let described = match fs::metadata(root) {
            Ok(found) if !found.is_dir() => return Err(refused("it is no folder")),
            _ => Description::read(&disk, root)?,
        };
        if described.is_none() && !refuse::is_empty(&disk, root)? {
            return Err(refused(
                "the folder holds other things and no backup.json; name an empty folder or one \
                 that is a backup",
            ));
        }
        if catalog::has_log(&layout.catalog()) {
            return Err(refused(
                "a registry has run in this folder and has not ended well, so it is no backup any \
                 more; name another folder",
            ));
        }
        let lock = FolderLock::take_for(&layout, DOING)?;
        if described.is_none() {
            disk.make_folder(root)
                .map_err(|error| Error::io("preparing", root.display(), error))?;
            Description::empty().write(&disk, root)?;
            // Before anything else is there that would make it a folder with other things in it.
            disk.sync_folder(root)
                .map_err(|error| Error::io("syncing", root.display(), error))?;
        }
        make_blobs(&disk, &layout)
            .map_err(|error| Error::io("preparing", root.display(), error))?;
        let part = layout.catalog_part();
        let was_interrupted = disk
            .lookup(&part)
            .map_err(|error| Error::io("looking up", part.display(), error))?
            .is_some();
        Ok(Self {
            blobs: BlobFolder::new(disk.clone(), layout.clone(), true),
            disk,
            layout,
            was_interrupted,
            _lock: lock,
        })
    }

    /// Where the catalog is copied to.
    pub fn catalog_part(&self) -> PathBuf {
        self.layout.catalog_part()
    }

    /// The catalog was copied: from now on a run that ends early is known by it.
    ///
    /// # Errors
    /// It is not there.
    pub fn catalog_copied(&self) -> Result<(), Error> {
        let part = self.layout.catalog_part();
        let adopted = self.disk.adopt(&part);
        adopted.map_err(|error| Error::io("looking up", part.display(), error))
    }

    /// Makes what was brought the backup: its blobs first, then the catalog that was copied to
    /// [`catalog_part`](Self::catalog_part) and is closed. Until it returns, the folder is the
    /// backup that it was.
    ///
    /// # Errors
    /// A failed sync or rename.
    pub fn publish(&mut self, description: &Description) -> Result<(), Error> {
        self.blobs.sync()?;
        let (disk, root) = (&self.disk, self.layout.root());
        let (part, path) = (self.layout.catalog_part(), self.layout.catalog());
        disk.adopt(&part)
            .and_then(|()| disk.open(&part, Access::ReadWrite))
            .and_then(|file| disk.sync(&file))
            .and_then(|()| disk.rename(&part, &path))
            .map_err(|error| Error::io("publishing", path.display(), error))?;
        description.write(disk, root)?;
        disk.sync_folder(root)
            .map_err(|error| Error::io("syncing", root.display(), error))
    }
}

/// Makes the folder of blobs, for its owner alone.
pub(super) fn make_blobs<D: Disk>(disk: &D, layout: &Layout) -> io::Result<()> {
    let blobs = layout.blobs();
    match fs::DirBuilder::new().mode(0o700).create(&blobs) {
        Err(error) if error.kind() != Io::AlreadyExists => Err(error),
        _ => disk.make_folder(&blobs),
    }
}

/// The catalog of a backup, when the folder is one that can be restored.
///
/// # Errors
/// It is none, or a newer version wrote it; the sentence says which.
pub(super) fn catalog_of<D: Disk>(disk: &D, root: &Path) -> Result<PathBuf, Error> {
    let layout = Layout::new(root);
    let refused = |why: &str| {
        Error::new(ErrorKind::Io, "restoring from", root.display()).because(why.to_owned())
    };
    if Description::read(disk, root)?.is_none() {
        return Err(refused(&format!(
            "the folder is no backup: it holds no {}",
            describe::NAME
        )));
    }
    let path = layout.catalog();
    let found = disk
        .lookup(&path)
        .map_err(|error| Error::io("looking up", path.display(), error))?;
    if found.is_none() {
        return Err(refused("the backup never came to its end"));
    }
    if catalog::has_log(&path) {
        return Err(refused(
            "a registry has run in this folder and has not ended well, so it is no backup any \
             more; start it there once more to save what it holds",
        ));
    }
    Ok(path)
}
