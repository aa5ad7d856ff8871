//! Removing the files of blobs whose rows went: at once, or after a backup that may need them.
//!
//! Every file of a blob that loses its row is removed here. A backup copies the catalog as it was
//! at one moment and brings its files afterwards; until it is done, a file that nobody needs any
//! more stays as the orphan that it is.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Error, Registry};
use crate::oci::Digest;

/// The most files that are remembered, to be removed after a backup; the sweep finds the others.
const REMEMBERED_MAX: usize = 100_000;

/// What waits for the end of backups.
#[derive(Default)]
pub(super) struct Removals(Mutex<State>);

#[derive(Default)]
struct State {
    /// Backups that are running.
    holders: usize,
    /// Files to be removed when none is.
    waiting: Vec<Digest>,
}

impl Removals {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While this lives no file of a blob is removed. At its end those that waited are, if no row has
/// come to mean them since.
pub(super) struct FilesHeld<'r>(&'r Registry);

impl Registry {
    /// Removes the file of a blob whose row went, or that has its bytes in its row; false when
    /// that waits for the end of a backup, or for the sweep because the row may come back. The
    /// caller holds the digest's lock, and the change of the row is committed.
    pub(super) fn remove_file(&self, digest: &Digest) -> Result<bool, Error> {
        if self.catalog.is_unclear() {
            return Ok(false);
        }
        {
            let mut state = self.removals.lock();
            if state.holders > 0 {
                if state.waiting.len() < REMEMBERED_MAX {
                    state.waiting.push(*digest);
                }
                return Ok(false);
            }
        }
        // A backup that begins at this moment copies a catalog in which the row is gone already.
        self.blobs.remove(digest)?;
        Ok(true)
    }

    /// Keeps every file of a blob where it is. Taken before the catalog is copied.
    pub(super) fn hold_files(&self) -> FilesHeld<'_> {
        self.removals.lock().holders += 1;
        FilesHeld(self)
    }
}

impl Drop for FilesHeld<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.removals.lock();
            state.holders -= 1;
            if state.holders > 0 {
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        for digest in waiting {
            if let Err(error) = self.0.remove_orphan(&digest) {
                log::warn!("the file of blob {digest}, which has no row, stays for now: {error}");
            }
        }
    }
}
