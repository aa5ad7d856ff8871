//! The data folder: made when missing, and owned by one process at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};

use rustix::fs::{FlockOperation, flock};

use super::layout::Layout;
use super::{Error, ErrorKind};

/// The ownership of a data folder, given up when dropped (or when the process ends, however).
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Makes the folder if needed, readable by its owner alone, and takes it for a registry.
    ///
    /// # Errors
    /// Kind `Locked` when another process has it, with that process's id in the message; `Denied`,
    /// `Full`, `Io`, also when a restore into it has not come to its end.
    pub fn take(layout: &Layout) -> Result<Self, Error> {
        const DOING: &str = "taking the data folder";
        let lock = Self::take_for(layout, DOING)?;
        if layout.restoring().exists() {
            let error = Error::new(ErrorKind::Io, DOING, layout.root().display());
            return Err(error.because(
                "a restore into it has not come to its end; run `coracle restore` again, or remove \
                 what is in the folder",
            ));
        }
        Ok(lock)
    }

    /// The same for another purpose, which is said when it fails.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub fn take_for(layout: &Layout, doing: &'static str) -> Result<Self, Error> {
        let root = layout.root();
        let is_new = !root.exists();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .map_err(|error| Error::io("making the folder", root.display(), error))?;
        if is_new && let Some(parent) = root.parent().filter(|own| !own.as_os_str().is_empty()) {
            // The folder's own name must survive a power cut as well.
            let synced = File::open(parent).and_then(|folder| folder.sync_all());
            synced.map_err(|error| Error::io("making durable", parent.display(), error))?;
        }
        let failed = |error| Error::io(doing, root.display(), error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(layout.lock())
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(held(&file, layout, doing)),
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        // On a full disk the id cannot be written; the lock itself holds all the same.
        let _ = writeln!(file, "{}", std::process::id());
        Ok(Self { _file: file })
    }

    /// Keeps others from changing what is in the folder while it is read; nothing when that
    /// cannot be, as on a medium that nobody can write.
    ///
    /// # Errors
    /// Kind `Locked` when another process is changing it.
    pub fn share(layout: &Layout, doing: &'static str) -> Result<Option<Self>, Error> {
        let Ok(file) = File::open(layout.lock()) else {
            return Ok(None);
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(held(&file, layout, doing)),
            Err(_) => Ok(None),
        }
    }
}

/// Who has a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process, unless it has not written its number yet.
    pub pid: Option<u32>,
}

/// Who has the folder at this moment; `None` for nobody.
pub fn holder(layout: &Layout) -> Option<Holder> {
    let file = File::open(layout.lock()).ok()?;
    // Trying would stand in the way of a server that is just starting, if only for a moment. So it
    // is tried only where the kernel tells of a lock.
    if !is_locked(&file).unwrap_or(true) {
        return None;
    }
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => Some(Holder {
            pid: written_pid(&file),
        }),
        _ => None,
    }
}

/// Whether the kernel tells of a lock on a file of this inode, on whichever file system; `None`
/// when it does not tell of locks.
fn is_locked(file: &File) -> Option<bool> {
    let inode = format!(":{}", file.metadata().ok()?.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let is_of_file = |line: &str| {
        let mut words = line.split_whitespace();
        line.contains(" FLOCK ") && words.any(|word| word.ends_with(&inode))
    };
    Some(locks.lines().any(is_of_file))
}

/// The number that the holder has written. A courtesy: it may not have come to that yet.
fn written_pid(mut file: &File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The folder has another user.
fn held(file: &File, layout: &Layout, doing: &'static str) -> Error {
    let who = written_pid(file).map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
    let root = layout.root().display();
    let subject = format!(
        "{root}, which process {who} is using (stop it, or name another folder with --data)"
    );
    Error::new(ErrorKind::Locked, doing, subject)
}
