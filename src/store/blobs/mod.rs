//! Blob bytes: the trait every blob store implements, and its types.
//!
//! A blob store keeps bytes and upload sessions. It knows no repository rule, no row and no HTTP
//! word; which repository may read a blob is the catalog's knowledge.

mod checkpoint;
#[cfg(test)]
pub(crate) mod crash_disk;
pub mod disk;
mod file;
mod health;
mod memory;
pub mod metered;
mod quiet;
mod resume;
mod session;
mod sessions;
mod shards;
mod spares;
mod staged;
#[cfg(test)]
mod tests;
mod upload;

pub use file::{FileBlobStore, Options as FileOptions};
pub use memory::MemoryBlobStore;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::str::FromStr;
use std::time::SystemTime;

use super::layout::Layout;
use super::{Error, Shard, StagedBlob, StoredBlob};
use crate::oci::{Algorithm, Digest, RepositoryName};

/// The unguessable name of an upload session: 128 random bits, written as a UUID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadId(String);

/// Which session of which repository. A session cannot be reached through another repository,
/// because its place in the store is derived from both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadKey {
    /// The repository the upload was started in.
    pub repository: RepositoryName,
    /// The session.
    pub id: UploadId,
}

/// Why a session could not be had.
#[derive(Debug)]
pub enum UploadError {
    /// There is no such session: never started, finished, cancelled, expired, or lost with a power
    /// cut that took bytes it had acknowledged.
    Unknown,
    /// Another request owns the session at this moment.
    Busy,
    /// The store already holds as many sessions as it may.
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// The store failed.
    Store(Error),
}

/// A blob's bytes, opened for reading.
pub enum BlobReader {
    /// A file whose length was checked when it was opened.
    File(File),
    /// Bytes in memory.
    Memory(std::sync::Arc<[u8]>),
}

/// What was found when a blob was opened.
pub enum Opened {
    /// The blob, with the length that was asked for.
    Blob(BlobReader),
    /// There are no such bytes.
    Missing,
    /// The bytes have another length: they are not served.
    WrongSize {
        /// Length found, in bytes.
        found: u64,
    },
}

/// One entry of [`BlobStore::walk`].
#[derive(Clone, Debug)]
pub struct Entry {
    /// The blob.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written, by the file system's clock.
    pub modified: SystemTime,
}

/// An upload session, owned by one request until it is dropped.
///
/// Bytes given to [`append`](Upload::append) are hashed on their way. They count only once
/// [`checkpoint`](Upload::checkpoint) was called: an upload dropped without one is cut back to its
/// last checkpoint, so that a refused or broken chunk leaves nothing behind.
pub trait Upload: Send {
    /// Length in bytes as of the last checkpoint.
    fn offset(&self) -> u64;

    /// Length in bytes, those appended since the last checkpoint included.
    fn length(&self) -> u64;

    /// Tells that about `bytes` more will come, so that a full disk says so now.
    ///
    /// # Errors
    /// Kind `Full` when there is no room for them above the reserve.
    fn reserve(&mut self, bytes: u64) -> Result<(), Error>;

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// A failed write; what was appended since the last checkpoint does not count.
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Acknowledges all that was appended: from now on it survives the end of the process.
    ///
    /// # Errors
    /// A failed write.
    fn checkpoint(&mut self) -> Result<(), Error>;

    /// Finishes the session: its bytes must hash to `expected` (under any supported algorithm).
    /// The session is gone afterwards, whatever the outcome, save that one whose last bytes could
    /// not be written is back at what was acknowledged.
    ///
    /// # Errors
    /// [`FinishError`].
    fn finish(self: Box<Self>, expected: &Digest) -> Result<StagedBlob, FinishError>;

    /// Ends the session and removes its bytes.
    ///
    /// # Errors
    /// A failed removal.
    fn cancel(self: Box<Self>) -> Result<(), Error>;
}

/// Why an upload did not become a blob.
#[derive(Debug)]
pub enum FinishError {
    /// The bytes hash to something else.
    DigestMismatch {
        /// What they hash to.
        actual: Digest,
    },
    /// The store failed.
    Store(Error),
}

/// A place for blob bytes and upload sessions.
pub trait BlobStore: Send + Sync {
    /// Starts a session that will be hashed with `algorithm` while it arrives. Another algorithm at
    /// the end is possible and costs one more reading.
    ///
    /// # Errors
    /// [`UploadError::TooMany`], [`UploadError::Store`].
    fn start_upload(&self, key: &UploadKey, algorithm: Algorithm) -> Result<(), UploadError>;

    /// Length in bytes of what a session has acknowledged, also while a request owns it: asking
    /// never keeps the owner or the next request from it.
    ///
    /// # Errors
    /// [`UploadError::Unknown`], [`UploadError::Store`]; [`UploadError::Busy`] while a session
    /// is being picked up after a restart.
    fn upload_offset(&self, key: &UploadKey) -> Result<u64, UploadError>;

    /// Takes a session for one request.
    ///
    /// # Errors
    /// [`UploadError::Unknown`], [`UploadError::Busy`], [`UploadError::Store`].
    fn claim_upload(&self, key: &UploadKey) -> Result<Box<dyn Upload>, UploadError>;

    /// Starts a session and takes it at once, for a blob that arrives in a single request; the
    /// session is invisible to others and leaves nothing behind when it is dropped unfinished.
    ///
    /// # Errors
    /// [`UploadError::TooMany`], [`UploadError::Store`].
    fn start_anonymous_upload(&self, algorithm: Algorithm) -> Result<Box<dyn Upload>, UploadError>;

    /// Makes the bytes of a staged blob durable and then gives it its final name, replacing
    /// whatever stood there; the name is durable only after
    /// [`sync_shards`](BlobStore::sync_shards). Or leaves the bytes of a short blob to the
    /// catalog, inline: then no file is touched, and one that stands under the name means nothing
    /// once the row is committed.
    ///
    /// # Errors
    /// A failed sync, which is final for these bytes, or a failed rename; the staged bytes are
    /// removed.
    fn publish(&self, staged: StagedBlob) -> Result<StoredBlob, Error>;

    /// Like [`publish`](BlobStore::publish), for a digest that no row names: the caller has
    /// looked, and holds the digest's lock. Then the order of the name and the sync does not
    /// matter, and the store may take the one that costs the device less: a file whose name
    /// outlived its bytes is an orphan like any other, and the next push replaces it.
    ///
    /// # Errors
    /// As for [`publish`](BlobStore::publish).
    fn publish_new(&self, staged: StagedBlob) -> Result<StoredBlob, Error> {
        self.publish(staged)
    }

    /// Makes the names in these shards durable. Called by the catalog's writer before each commit
    /// that inserts blob rows.
    ///
    /// # Errors
    /// A failed sync; the transaction must not commit.
    fn sync_shards(&self, shards: &[Shard]) -> Result<(), Error>;

    /// Opens a blob, checking that it has `size` bytes.
    ///
    /// # Errors
    /// A failed open that is not a plain absence.
    fn open(&self, digest: &Digest, size: u64) -> Result<Opened, Error>;

    /// Length of the stored bytes; `None` when there are none.
    ///
    /// # Errors
    /// A failed look-up.
    fn size(&self, digest: &Digest) -> Result<Option<u64>, Error>;

    /// Removes the bytes; removing what is not there is no error. Call it only after the removal
    /// of the row was committed, under the digest's lock.
    ///
    /// # Errors
    /// A failed removal.
    fn remove(&self, digest: &Digest) -> Result<(), Error>;

    /// Puts bytes that are known to be wrong aside, where they are never served.
    ///
    /// # Errors
    /// A failed rename.
    fn quarantine(&self, digest: &Digest) -> Result<(), Error>;

    /// Calls `each` with every blob stored in a shard, in no promised order; `each` returning false
    /// ends the walk.
    ///
    /// # Errors
    /// A folder that cannot be read.
    fn walk_shard(&self, shard: Shard, each: &mut dyn FnMut(Entry) -> bool) -> Result<(), Error>;

    /// Calls `each` with every stored blob, shard by shard; `each` returning false ends the walk.
    ///
    /// # Errors
    /// A folder that cannot be read.
    fn walk(&self, each: &mut dyn FnMut(Entry) -> bool) -> Result<(), Error> {
        let mut go_on = true;
        for shard in Shard::all() {
            self.walk_shard(shard, &mut |entry| {
                go_on = each(entry);
                go_on
            })?;
            if !go_on {
                break;
            }
        }
        Ok(())
    }

    /// Removes upload sessions that nobody owns and nobody has touched since `before`; returns how
    /// many.
    ///
    /// # Errors
    /// A folder that cannot be read.
    fn expire_uploads(&self, before: SystemTime) -> Result<usize, Error>;

    /// Removes upload sessions that nobody owns and nobody has touched since `before`, the oldest
    /// first, until `enough` says so; returns how many. A store that has no disk keeps them.
    ///
    /// # Errors
    /// A folder that cannot be read.
    fn expire_oldest_uploads(
        &self,
        _before: SystemTime,
        _enough: &mut dyn FnMut() -> bool,
    ) -> Result<usize, Error> {
        Ok(0)
    }

    /// How many upload sessions there are, those that a request owns among them.
    fn sessions(&self) -> usize;

    /// Proves that bytes can be written durably right now.
    ///
    /// # Errors
    /// The reason why not.
    fn probe(&self) -> Result<(), Error>;

    /// Where the files are, for stores that have any: a backup may link them.
    fn layout(&self) -> Option<&Layout> {
        None
    }

    /// A URL that a client can be sent to instead, for stores that have one.
    fn redirect_url(&self, _digest: &Digest) -> Option<String> {
        None
    }
}

impl UploadId {
    /// A new random id.
    ///
    /// # Errors
    /// The kernel's random source failed.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::new(super::ErrorKind::Io, "making", "an upload id").because(error.to_string())
        })?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = format!("{:032x}", u128::from_be_bytes(bytes));
        Ok(Self(format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )))
    }
}

impl FromStr for UploadId {
    type Err = ();

    /// Accepts the form that [`UploadId::random`] writes and no other.
    fn from_str(text: &str) -> Result<Self, ()> {
        let valid = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            });
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(())
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BlobReader {
    /// Reads all bytes in order, for hashing and copying.
    pub fn into_read(self) -> Box<dyn Read + Send> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Memory(bytes) => Box::new(std::io::Cursor::new(bytes)),
        }
    }
}

impl From<Error> for UploadError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for FinishError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}
