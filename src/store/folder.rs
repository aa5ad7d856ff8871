//! The data folder: made when missing, and owned by one process at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use rustix::fs::{FlockOperation, flock};

use super::layout::Layout;
use super::{Error, ErrorKind};

/// The ownership of a data folder, given up when dropped (or when the process ends, however).
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Makes the folder if needed, readable by its owner alone, and takes it.
    ///
    /// # Errors
    /// Kind `Locked` when another process has it, with that process's id in the message; `Denied`,
    /// `Full`, `Io`.
    pub fn take(layout: &Layout) -> Result<Self, Error> {
        let root = layout.root();
        let is_new = !root.exists();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .map_err(|error| Error::io("making the data folder", root.display(), error))?;
        if is_new && let Some(parent) = root.parent().filter(|own| !own.as_os_str().is_empty()) {
            // The folder's own name must survive a power cut as well.
            let synced = File::open(parent).and_then(|folder| folder.sync_all());
            synced.map_err(|error| Error::io("making durable", parent.display(), error))?;
        }
        let path = layout.lock();
        let failed = |error| Error::io("taking the data folder", root.display(), error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // The id is a courtesy: a holder that has not written it yet is named without.
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim();
                let who = if holder.is_empty() { "unknown" } else { holder };
                return Err(Error::new(
                    ErrorKind::Locked,
                    "taking the data folder",
                    format!(
                        "{}, which process {who} is using (stop it, or name another folder with \
                         --data)",
                        root.display()
                    ),
                ));
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        // On a full disk the id cannot be written; the lock itself holds all the same.
        let _ = writeln!(file, "{}", std::process::id());
        Ok(Self { _file: file })
    }
}
