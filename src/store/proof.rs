//! Values that prove how far a blob has come on its way into the store.
//!
//! [`StagedBlob`]: its bytes are hashed and counted, but not yet where blobs live.
//! [`StoredBlob`]: its bytes are durable and stand under their final name. The name itself becomes
//! durable when the folder that holds it, its [`Shard`], is synced: by the blob store, or by the
//! catalog just before it commits the row. So a committed row always has its file.

use std::any::Any;
use std::fmt;

use crate::oci::{Algorithm, Digest};

/// One of the folders that blobs are spread over: the algorithm and the digest's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard {
    /// The algorithm's folder.
    pub algorithm: Algorithm,
    /// The first byte of the digest, the folder's name in hexadecimal.
    pub first_byte: u8,
}

impl Shard {
    /// The shard a digest belongs to.
    pub fn of(digest: &Digest) -> Self {
        Self {
            algorithm: digest.algorithm(),
            first_byte: digest.raw()[0],
        }
    }

    /// Every shard there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Algorithm::ALL.into_iter().flat_map(|algorithm| {
            (0..=u8::MAX).map(move |first_byte| Self {
                algorithm,
                first_byte,
            })
        })
    }
}

/// A blob whose bytes were hashed to `digest` and counted, not yet published.
///
/// Dropping it removes the staged bytes: its holder does that in its own `Drop`.
pub struct StagedBlob {
    pub(in crate::store) digest: Digest,
    pub(in crate::store) size: u64,
    /// What the blob store that staged it needs to publish it.
    pub(in crate::store) holder: Box<dyn Any + Send>,
}

impl StagedBlob {
    /// What the bytes hash to.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Length in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl fmt::Debug for StagedBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedBlob")
            .field("digest", &self.digest)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A blob whose bytes are durable and stand under their final name. Only `BlobStore::publish` and
/// `BlobStore::publish_new` make one, and `WriteTx::insert_blob` takes nothing else.
#[derive(Debug)]
pub struct StoredBlob {
    pub(in crate::store) digest: Digest,
    pub(in crate::store) size: u64,
    /// Whether the name is durable already; if not, its shard is synced before the row commits.
    pub(in crate::store) named: bool,
}

impl StoredBlob {
    /// The content's digest.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Length in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The shard that must be synced before a row may be committed, unless that was done.
    pub fn shard_to_sync(&self) -> Option<Shard> {
        (!self.named).then(|| Shard::of(&self.digest))
    }
}
