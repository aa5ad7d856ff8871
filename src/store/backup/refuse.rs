//! Which folders will not do as the other end of a backup or a restore, found before anything is
//! changed.

use std::fs;
use std::io::{self, ErrorKind as Io};
use std::path::{Component, Path, PathBuf};

use crate::store::blobs::disk::Disk;
use crate::store::{Error, ErrorKind};

/// What may lie in a folder that counts as empty: what a first run leaves that ended at once, and
/// what a fresh file system has.
const NOTHING: [&str; 3] = ["lock", "backup.json.part", "lost+found"];

/// Refuses two folders of which one is the other, or lies inside it.
pub(super) fn unless_apart(
    doing: &'static str,
    one: &Path,
    other: &Path,
    what: &str,
) -> Result<(), Error> {
    let real = |path: &Path| {
        resolve(path).map_err(|error| Error::io("looking for", path.display(), error))
    };
    let (one, other) = (real(one)?, real(other)?);
    if one.starts_with(&other) || other.starts_with(&one) {
        let error = Error::new(ErrorKind::Io, doing, one.display());
        return Err(error.because(format!(
            "it is, holds or lies inside {what} {}; name a folder apart from it",
            other.display()
        )));
    }
    Ok(())
}

/// The path without symbolic links and `..`; what does not exist yet is taken as it stands.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut known = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                known.pop();
            }
            other => known.push(other),
        }
        match fs::canonicalize(&known) {
            Ok(real) => known = real,
            Err(error) if error.kind() == Io::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(known)
}

/// Whether there is nothing in the folder, or no folder at all.
pub(super) fn is_empty<D: Disk>(disk: &D, folder: &Path) -> Result<bool, Error> {
    let mut empty = true;
    let listed = disk.list(folder, &mut |name, _| {
        empty &= NOTHING.contains(&name);
        Ok(empty)
    });
    match listed {
        Err(error) if error.kind() != Io::NotFound => {
            Err(Error::io("looking into", folder.display(), error))
        }
        _ => Ok(empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_hold_one_another_are_refused_whatever_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("data/blobs")).unwrap();
        std::os::unix::fs::symlink(root.join("data"), root.join("link")).unwrap();
        let apart = |other: &str| {
            unless_apart(
                "backing up to",
                &root.join(other),
                &root.join("data"),
                "the data folder",
            )
        };
        for refused in [
            "data",
            ".",
            "data/x/y",
            "data/blobs",
            "link",
            "link/x",
            "other/../data",
            "data/../data/x",
        ] {
            let error = apart(refused).expect_err(refused);
            assert!(error.to_string().contains("the data folder"), "{error}");
        }
        for fine in ["other", "other/data", "data2", "data/../x", "link/../x"] {
            // Behind a link, `..` is the parent of what it points to, which is the same here.
            apart(fine).expect(fine);
        }
    }
}
