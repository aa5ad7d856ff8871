//! Removes what nobody will come back for: expired upload sessions, files that no row means.
//!
//! It never walks the whole store at once: orphans come only from crashes, so the folders are
//! visited a few at a time.

use std::time::SystemTime;

use super::{Error, Registry};
use crate::oci::Digest;
use crate::store::{Shard, content};

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Upload sessions.
    pub uploads: usize,
    /// Files that no row means.
    pub orphans: usize,
}

impl Registry {
    /// Removes upload sessions that were not touched since `before`; returns how many.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn expire_uploads(&self, before: SystemTime) -> Result<usize, Error> {
        let count = self.blobs.expire_uploads(before)?;
        self.metrics().work.expired_uploads.add(count as u64);
        Ok(count)
    }

    /// Removes upload sessions that were not touched since `before`, the oldest first, until there
    /// is room again; returns how many.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn expire_idle_uploads(&self, before: SystemTime) -> Result<usize, Error> {
        let is_roomy = || !matches!(self.space.standing(), Ok(Some(now)) if now.is_low);
        let count = self
            .blobs
            .expire_oldest_uploads(before, &mut || is_roomy())?;
        self.metrics().work.expired_uploads.add(count as u64);
        Ok(count)
    }

    /// Removes the files of a shard that no row means and that were last written before `before`;
    /// returns how many.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn sweep_orphans(&self, shard: Shard, before: SystemTime) -> Result<usize, Error> {
        let mut old = Vec::new();
        self.blobs.walk_shard(shard, &mut |entry| {
            if entry.modified < before {
                old.push(entry.digest);
            }
            true
        })?;
        let mut removed = 0;
        for digest in old {
            removed += usize::from(self.remove_orphan(&digest)?);
        }
        self.metrics().work.swept_files.add(removed as u64);
        Ok(removed)
    }

    /// Removes a file if no row means it; true when it did, false also while a backup may need
    /// the file.
    pub(super) fn remove_orphan(&self, digest: &Digest) -> Result<bool, Error> {
        if self.is_file_of_row(digest)? {
            return Ok(false);
        }
        let _owned = self.locks.lock(digest);
        if self.catalog.is_unclear() || self.is_file_of_row(digest)? {
            return Ok(false);
        }
        self.remove_file(digest)
    }

    /// Whether a row means the file of this name: there is one, and its bytes are not with it.
    pub(super) fn is_file_of_row(&self, digest: &Digest) -> Result<bool, Error> {
        let row = self.catalog.read(|tx| tx.blob(digest))?;
        Ok(content::names_file(row))
    }
}
