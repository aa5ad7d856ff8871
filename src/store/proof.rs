//! Values that prove how far a blob has come on its way into the store.
//!
//! [`StagedBlob`]: its bytes are hashed and counted, but not yet where blobs live.
//! [`StoredBlob`], in one of two forms. A file: its bytes are durable and stand under their final
//! name, which becomes durable when the folder that holds it, its [`Shard`], is synced: by the blob
//! store, or by the catalog just before it commits the row. Inline: it carries its bytes, and they
//! are written in the same transaction as the row. So a committed row always has its bytes.

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

/// A blob that may have a row: its bytes are durable already, or become so together with it. Only
/// `BlobStore::publish` and `BlobStore::publish_new` make one, and `WriteTx::insert_blob` takes
/// nothing else.
pub struct StoredBlob {
    pub(in crate::store) digest: Digest,
    pub(in crate::store) size: u64,
    pub(in crate::store) place: Place,
    /// What is not needed any more once the row is committed; its own `Drop` removes it.
    pub(in crate::store) _leftover: Option<Box<dyn Any + Send + Sync>>,
}

/// Where the bytes of a blob are kept.
pub(in crate::store) enum Place {
    /// In a file of the blob store, under their final name.
    File {
        /// Whether the name is durable already; if not, its shard is synced before the row commits.
        named: bool,
    },
    /// In the catalog, beside the row.
    Row(Vec<u8>),
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

    /// Whether the bytes become durable with the row, so that a file under the name is not needed.
    pub const fn is_inline(&self) -> bool {
        matches!(self.place, Place::Row(_))
    }

    /// The shard that must be synced before a row may be committed, unless that was done.
    pub fn shard_to_sync(&self) -> Option<Shard> {
        matches!(self.place, Place::File { named: false }).then(|| Shard::of(&self.digest))
    }

    /// A blob that is a file under its final name.
    pub(in crate::store) const fn in_file(digest: Digest, size: u64, named: bool) -> Self {
        Self {
            digest,
            size,
            place: Place::File { named },
            _leftover: None,
        }
    }

    /// A blob whose bytes, hashed to `digest` and counted, go with its row.
    pub(in crate::store) fn in_row(
        digest: Digest,
        bytes: Vec<u8>,
        leftover: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self {
            digest,
            size: bytes.len() as u64,
            place: Place::Row(bytes),
            _leftover: Some(leftover),
        }
    }
}

impl fmt::Debug for StoredBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredBlob")
            .field("digest", &self.digest)
            .field("size", &self.size)
            .field("inline", &self.is_inline())
            .finish_non_exhaustive()
    }
}
