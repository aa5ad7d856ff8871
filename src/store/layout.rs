//! The tree on disk.
//!
//! ```text
//! DATA/
//!   coracle.db (-wal, -shm)        the catalog: ground truth for everything but long blobs' bytes
//!   blobs/sha256/ab/abcdef…        these, one file a digest, named by the encoded part, sharded
//!   blobs/sha512/ab/abcdef…        by its first two characters
//!   blobs/complete                 says that all shards were made and synced
//!   uploads/NAME                   bytes of an upload session on their way in
//!   uploads/NAME.state             its checkpoint: acknowledged offset and running hash
//!   uploads/once-NAME              a blob that arrives in a single request
//!   uploads/spare-N                an empty file for the next session
//!   uploads/probe                  a few bytes, for as long as it takes to write them
//!   quarantine/sha256-abcdef…      blobs found to be wrong, kept for a person to look at
//!   restoring                      says that a restore into this folder came to no end yet
//!   coracle.db.part                the catalog of a backup or a restore that is under way
//!   backup.json                    says that the folder is a backup (which has no lock's holder,
//!                                  no token.key, and nothing in uploads/ and quarantine/)
//!   token.key                      the key of the registry's own tokens, its owner's alone (0600)
//!   control.sock                   the running server's control socket
//!   ballast                        room inside the reserve that only the catalog gets
//!   lock                           held with flock(2) by the one process that owns the folder
//! ```
//!
//! A file under `blobs/` that no row means is nothing and may be removed at any time. `uploads/` is
//! on the same file system as `blobs/`, so that publishing is a rename.

use std::path::{Path, PathBuf};

use super::Shard;
use crate::oci::Digest;

/// The paths of one data folder.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`; touches nothing.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The data folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The catalog's file.
    pub fn catalog(&self) -> PathBuf {
        self.root.join("coracle.db")
    }

    /// The catalog of a backup or a restore before it takes its name.
    pub fn catalog_part(&self) -> PathBuf {
        self.root.join("coracle.db.part")
    }

    /// The mark of a restore that came to no end yet.
    pub fn restoring(&self) -> PathBuf {
        self.root.join("restoring")
    }

    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The key that signs the registry's own tokens.
    pub fn token_key(&self) -> PathBuf {
        self.root.join("token.key")
    }

    /// The running server's control socket.
    pub fn control(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    /// The file that holds room for the catalog.
    pub fn ballast(&self) -> PathBuf {
        self.root.join("ballast")
    }

    /// The folder of blobs.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The folder of upload sessions.
    pub fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// The folder of blobs that were found to be wrong.
    pub fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// The file that says that every shard's folder was made and synced.
    pub fn shards_made(&self) -> PathBuf {
        self.blobs().join("complete")
    }

    /// Where a blob that was found to be wrong is kept.
    pub fn quarantined(&self, digest: &Digest) -> PathBuf {
        self.quarantine()
            .join(format!("{}-{}", digest.algorithm(), digest.hex()))
    }

    /// The folder that holds a shard's blobs.
    pub fn shard(&self, shard: Shard) -> PathBuf {
        self.blobs()
            .join(shard.algorithm.as_str())
            .join(format!("{:02x}", shard.first_byte))
    }

    /// The file of a blob.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.shard(Shard::of(digest)).join(digest.hex())
    }
}
