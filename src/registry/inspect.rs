//! Looking at the bytes of one blob: what they hash to, and what becomes of a blob whose bytes are
//! not as they should be. Check and scrub share it.
//!
//! The first look takes no lock. What looks wrong is looked at again under the blob's lock before
//! it is called wrong, so that a push or delete that runs meanwhile is no finding.

use std::io::{ErrorKind, Read};

use super::check::FindingKind;
use super::{Error, Registry};
use crate::oci::{Digest, Hasher};
use crate::store::blobs::Opened;
use crate::store::catalog::BlobRow;
use crate::store::content;

/// Bytes hashed at a time.
pub(super) const READ_BYTES: usize = 256 << 10;

/// How bytes are read.
pub(super) struct Reading<'a> {
    /// Where they are read to.
    pub(super) buffer: &'a mut [u8],
    /// Whether they are kept out of the kernel's cache.
    pub(super) quiet: bool,
    /// Told how many bytes were read; false ends it.
    pub(super) each: &'a mut dyn FnMut(u64) -> bool,
}

/// What came of hashing a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hashed {
    /// The bytes hash to this.
    As(Digest),
    /// There are none, or of another length.
    NotOpened,
    /// They cannot be read to their end.
    Unreadable,
    /// It was ended.
    Stopped,
}

/// Something is wrong with a blob: what, and whether it was taken out of service for it.
pub(super) type Wrong = Option<(FindingKind, bool)>;

impl Registry {
    /// What the bytes of a row hash to.
    pub(super) fn hash_blob(
        &self,
        digest: &Digest,
        row: &BlobRow,
        reading: &mut Reading<'_>,
    ) -> Result<Hashed, Error> {
        let inline = match row.inline {
            Some(_) => self.catalog.read(|tx| tx.inline_bytes(digest))?,
            None => None,
        };
        let Opened::Blob(reader) = content::open(&*self.blobs, digest, row, inline)? else {
            return Ok(Hashed::NotOpened);
        };
        let mut reader: Box<dyn Read> = if reading.quiet {
            reader.into_quiet_read()
        } else {
            reader.into_read()
        };
        let mut running = Hasher::new(digest.algorithm());
        loop {
            match reader.read(reading.buffer) {
                Ok(0) => return Ok(Hashed::As(running.finish())),
                Ok(count) => {
                    running.update(&reading.buffer[..count]);
                    if !(reading.each)(count as u64) {
                        return Ok(Hashed::Stopped);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    log::warn!("blob {digest} cannot be read: {error}");
                    return Ok(Hashed::Unreadable);
                }
            }
        }
    }

    /// Looks again at a blob whose bytes are missing or of another length; with `repair` it is
    /// taken out of service.
    pub(super) fn suspect(&self, digest: &Digest, repair: bool) -> Result<Wrong, Error> {
        let (row, found) = {
            let _owned = self.locks.lock(digest);
            let Some(row) = self.catalog.read(|tx| tx.blob(digest))? else {
                return Ok(None);
            };
            (row, content::size(&*self.blobs, digest, &row)?)
        };
        let kind = match found {
            _ if row.quarantined => FindingKind::BlobQuarantined,
            Some(size) if size == row.size => return Ok(None),
            Some(_) => FindingKind::BlobWrongSize,
            None => FindingKind::BlobMissing,
        };
        let repair = repair && kind != FindingKind::BlobQuarantined;
        if repair {
            self.distrust(digest)?;
        }
        Ok(Some((kind, repair)))
    }

    /// Hashes a blob again, under its lock, after its bytes did not match; with `repair` it is
    /// taken out of service when they still do not.
    pub(super) fn suspect_content(
        &self,
        digest: &Digest,
        repair: bool,
        buffer: &mut [u8],
    ) -> Result<Wrong, Error> {
        let _owned = self.locks.lock(digest);
        let Some(row) = self.catalog.read(|tx| tx.blob(digest))? else {
            return Ok(None);
        };
        let mut reading = Reading {
            buffer,
            quiet: false,
            each: &mut |_| true,
        };
        if row.quarantined || self.hash_blob(digest, &row, &mut reading)? == Hashed::As(*digest) {
            return Ok(None);
        }
        if repair {
            self.quarantine(digest, row)?;
        }
        Ok(Some((FindingKind::BlobCorrupt, repair)))
    }
}
