//! A data folder from outside: who owns what, who uses it, when something was last written. It
//! opens nothing of the registry and changes nothing.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::folder::{Holder, holder};
use super::layout::Layout;

/// The bits of a mode that let others than the owner in.
const OTHERS: u32 = 0o077;

/// What a folder looks like.
#[derive(Clone, Debug)]
pub struct Looks {
    /// The user that it belongs to.
    pub owner: u32,
    /// Its permissions, the lowest nine bits.
    pub mode: u32,
    /// Whether there is a catalog in it.
    pub has_catalog: bool,
    /// Whether a restore into it has not come to its end.
    pub is_restoring: bool,
    /// Whether others than the owner may read the key of the registry's tokens.
    pub is_key_open: bool,
    /// What in it belongs to others than the folder does, with their numbers; not the blobs
    /// themselves.
    pub foreign: Vec<(PathBuf, u32)>,
    /// When the catalog was last written.
    pub written: Option<SystemTime>,
    /// Who uses it.
    pub holder: Option<Holder>,
}

/// Looks at the folder of `layout`.
///
/// # Errors
/// There is none, it may not be read, or it is no folder.
pub fn look(layout: &Layout) -> io::Result<Looks> {
    let folder = fs::metadata(layout.root())?;
    if !folder.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    let owner = folder.uid();
    let mut foreign = Vec::new();
    // Not each of 256 shards, which are made together.
    for part in [layout.root().to_owned(), layout.blobs(), layout.uploads()] {
        match fs::read_dir(&part) {
            Ok(entries) => foreign.extend(entries.flatten().filter_map(|entry| {
                let id = entry.metadata().ok()?.uid();
                (id != owner).then(|| (entry.path(), id))
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let key = fs::metadata(layout.token_key()).map(|meta| meta.mode());
    Ok(Looks {
        owner,
        mode: folder.mode() & 0o777,
        has_catalog: layout.catalog().exists(),
        is_restoring: layout.restoring().exists(),
        is_key_open: key.is_ok_and(|mode| mode & OTHERS != 0),
        foreign,
        written: written(&layout.catalog()),
        holder: holder(layout),
    })
}

/// When the catalog or its log was last written.
fn written(catalog: &Path) -> Option<SystemTime> {
    let mut log = catalog.as_os_str().to_owned();
    log.push("-wal");
    [catalog, Path::new(&log)]
        .into_iter()
        .filter_map(|file| fs::metadata(file).and_then(|meta| meta.modified()).ok())
        .max()
}

/// The folder or, where it is missing, the nearest one above it that is there.
pub fn nearest(folder: &Path) -> Option<PathBuf> {
    let folder = std::path::absolute(folder).ok()?;
    let mut above = folder.ancestors();
    above.find(|path| path.is_dir()).map(Path::to_owned)
}

/// Whether this process may make files in a folder.
pub fn may_write(folder: &Path) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let access = Access::WRITE_OK | Access::EXEC_OK;
    accessat(CWD, folder, access, AtFlags::EACCESS).is_ok()
}

/// Whether everybody on this machine may read a file that an operator named.
pub fn is_open_to_others(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.mode() & 0o007 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::folder::FolderLock;

    #[test]
    fn a_folder_is_looked_at_and_left_as_it_is() {
        let temp = tempfile::TempDir::new().expect("a folder");
        let layout = Layout::new(temp.path().join("data"));
        assert!(look(&layout).is_err());
        assert_eq!(nearest(layout.root()).as_deref(), Some(temp.path()));
        let lock = FolderLock::take(&layout).expect("the lock");
        let looks = look(&layout).expect("a folder");
        assert_eq!((looks.mode, looks.has_catalog), (0o700, false));
        assert_eq!(
            looks.holder.and_then(|own| own.pid),
            Some(std::process::id())
        );
        assert!(looks.foreign.is_empty() && looks.written.is_none());
        drop(lock);
        assert!(look(&layout).expect("a folder").holder.is_none());
        fs::write(layout.token_key(), "x").expect("written");
        fs::write(layout.catalog(), "x").expect("written");
        let looks = look(&layout).expect("a folder");
        assert!(looks.is_key_open && looks.has_catalog && looks.written.is_some());
    }
}
