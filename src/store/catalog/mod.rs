//! The catalog: every row of the registry, in one SQLite file. All SQL is in this folder.
//!
//! Reads run on a connection of the calling thread and never wait for writes. Writes are closures
//! that one writer thread runs in order, many in one transaction (group commit), each under its own
//! savepoint. Nothing here knows a rule of the registry, a file of a blob or a word of HTTP.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Error, Shard, StoredBlob};
use crate::oci::{Digest, MediaType, RepositoryName, Tag};

/// How much a commit may lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// `synchronous=FULL`: what was answered survives a power cut.
    #[default]
    Full,
    /// Survives the end of the process, not a power cut: for fixtures.
    Relaxed,
}

/// What the writer calls, with every shard touched by the transaction, just before it commits. An
/// error rolls the transaction back and fails everyone in it.
pub type SyncShards = Box<dyn Fn(&[Shard]) -> Result<(), Error> + Send>;

/// Where the catalog lives.
#[derive(Clone, Copy, Debug)]
pub enum Location<'a> {
    /// A file, made when it is missing.
    File(&'a Path),
    /// Memory, gone with the process.
    Memory,
}

/// A blob's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRow {
    /// Length in bytes.
    pub size: u64,
    /// Found to be wrong: not to be served until it is pushed again.
    pub quarantined: bool,
}

/// A manifest as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRow {
    /// The digest under which it was pushed.
    pub digest: Digest,
    /// The type it was pushed with.
    pub media_type: MediaType,
    /// The bytes that were pushed.
    pub bytes: Arc<[u8]>,
}

/// A manifest's facts without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFacts {
    /// The digest under which it was pushed.
    pub digest: Digest,
    /// The type it was pushed with.
    pub media_type: MediaType,
    /// Length in bytes.
    pub size: u64,
}

/// What a manifest refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceKind {
    /// The config of an image.
    Config,
    /// A layer, or a blob of an artifact.
    Layer,
    /// A manifest (or blob) of an index.
    Child,
}

/// A manifest about to be written. The digest of `bytes` was checked by the caller.
#[derive(Clone, Debug)]
pub struct NewManifest<'a> {
    /// The digest under which it is pushed.
    pub digest: Digest,
    /// The type it is served with.
    pub media_type: &'a MediaType,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// For the referrers API.
    pub artifact_type: Option<&'a str>,
    /// For the referrers API.
    pub annotations: &'a BTreeMap<String, String>,
    /// The manifest it is about.
    pub subject: Option<Digest>,
    /// What it refers to, in order.
    pub references: &'a [(ReferenceKind, Digest)],
}

/// One entry of the referrers API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// The digest under which it was pushed.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// Length in bytes.
    pub size: u64,
    /// Its artifact type.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Totals over the whole catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Repositories.
    pub repositories: u64,
    /// Blob rows.
    pub blobs: u64,
    /// Sum of the sizes of all blob rows, in bytes.
    pub blob_bytes: u64,
    /// Manifest rows.
    pub manifests: u64,
    /// Tags.
    pub tags: u64,
}

/// The open catalog. Cheap to share behind an `Arc`; closing waits for the writer.
pub struct Catalog {}

/// A consistent view for reading, borrowed for the length of one closure.
pub struct ReadTx<'c> {
    _connection: std::marker::PhantomData<&'c ()>,
}

/// The writer's view: reads see what this transaction wrote. Derefs to [`ReadTx`].
pub struct WriteTx<'c> {
    _read: ReadTx<'c>,
}

#[allow(clippy::todo, unused_variables)]
impl Catalog {
    /// Opens or makes the catalog, brings its schema up to date and starts the writer.
    ///
    /// # Errors
    /// Kind `Newer` when a newer version wrote it, `Corrupt` when it is not a sound catalog of
    /// ours, `Denied`, `Full`, `Io`; the sentence names what to do.
    pub fn open(
        location: Location<'_>,
        durability: Durability,
        sync_shards: SyncShards,
    ) -> Result<Self, Error> {
        todo!()
    }

    /// Runs `work` in a read transaction on this thread's own connection.
    ///
    /// # Errors
    /// What `work` returns, or the failure to read.
    pub fn read<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&ReadTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        todo!()
    }

    /// Has the writer run `work` and waits until it is committed as durably as configured. When
    /// `work` returns an error, nothing of it is kept and others in the batch are untouched.
    ///
    /// # Errors
    /// What `work` returns, or the failure to commit.
    pub fn write<T, E>(
        &self,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        todo!()
    }

    /// Verifies the file itself (`PRAGMA integrity_check`, foreign keys) and returns what is wrong,
    /// a sentence each; empty when all is well.
    ///
    /// # Errors
    /// The check could not run.
    pub fn integrity(&self) -> Result<Vec<String>, Error> {
        todo!()
    }

    /// Commits what waits, ends the writer and folds the write-ahead log into the file. Later
    /// writes fail with kind `Closed`.
    ///
    /// # Errors
    /// The final checkpoint failed; nothing committed is lost.
    pub fn close(&self, patience: Duration) -> Result<(), Error> {
        todo!()
    }
}

#[allow(clippy::todo, unused_variables)]
impl ReadTx<'_> {
    /// Whether the repository exists.
    pub fn repository_exists(&self, name: &RepositoryName) -> Result<bool, Error> {
        todo!()
    }
    /// Up to `limit` repository names after `last`, in byte order.
    pub fn repositories(&self, last: Option<&str>, limit: usize) -> Result<Vec<String>, Error> {
        todo!()
    }
    /// The blob's row, whichever repository holds it.
    pub fn blob(&self, digest: &Digest) -> Result<Option<BlobRow>, Error> {
        todo!()
    }
    /// The blob's row if this repository holds it.
    pub fn repository_blob(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<BlobRow>, Error> {
        todo!()
    }
    /// Up to `limit` repositories that hold the blob, in byte order.
    pub fn blob_repositories(
        &self,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<RepositoryName>, Error> {
        todo!()
    }
    /// Up to `limit` blob rows after `last`, by digest.
    pub fn blobs(
        &self,
        last: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<(Digest, BlobRow)>, Error> {
        todo!()
    }
    /// The manifest that a tag points to.
    pub fn manifest_by_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<ManifestRow>, Error> {
        todo!()
    }
    /// The manifest of a digest.
    pub fn manifest(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRow>, Error> {
        todo!()
    }
    /// As [`manifest_by_tag`](Self::manifest_by_tag), without reading the bytes.
    pub fn manifest_facts_by_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<ManifestFacts>, Error> {
        todo!()
    }
    /// As [`manifest`](Self::manifest), without reading the bytes.
    pub fn manifest_facts(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestFacts>, Error> {
        todo!()
    }
    /// Up to `limit` manifests after (`name`, `digest`) over all repositories, for checking: name, digest and bytes.
    pub fn manifests(
        &self,
        last: Option<(&str, &Digest)>,
        limit: usize,
    ) -> Result<Vec<(String, ManifestRow)>, Error> {
        todo!()
    }
    /// What a manifest refers to, in the order it was written.
    pub fn manifest_references(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<(ReferenceKind, Digest)>, Error> {
        todo!()
    }
    /// Up to `limit` tags after `last`, in byte order.
    pub fn tags(
        &self,
        name: &RepositoryName,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Error> {
        todo!()
    }
    /// Referrers of `subject` after `last`, by digest; at most `limit`, and stopping once their
    /// annotations and fields pass `bytes_max` (always at least one). `artifact_types` empty means all.
    /// The flag tells whether more would follow.
    pub fn referrers(
        &self,
        name: &RepositoryName,
        subject: &Digest,
        artifact_types: &[String],
        last: Option<&Digest>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<(Vec<Referrer>, bool), Error> {
        todo!()
    }
    /// Totals; kept current by the writer, not counted.
    pub fn totals(&self) -> Result<Totals, Error> {
        todo!()
    }
}

#[allow(clippy::todo, unused_variables)]
impl WriteTx<'_> {
    /// Writes the row of a published blob; an existing row is brought up to date and its quarantine lifted.
    pub fn insert_blob(&mut self, blob: &StoredBlob) -> Result<(), Error> {
        todo!()
    }
    /// Lets a repository read a blob whose row exists; makes the repository.
    pub fn link_blob(&mut self, name: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        todo!()
    }
    /// Takes a blob from a repository (and the repository, when that was its last content). False when it was not there.
    pub fn unlink_blob(&mut self, name: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        todo!()
    }
    /// Removes the blob's row unless a repository still holds it. True when it is gone.
    pub fn delete_blob_if_unused(&mut self, digest: &Digest) -> Result<bool, Error> {
        todo!()
    }
    /// Marks or clears a blob's quarantine. False when there is no row.
    pub fn set_quarantine(&mut self, digest: &Digest, quarantined: bool) -> Result<bool, Error> {
        todo!()
    }
    /// Writes a manifest; makes the repository. The same digest again is brought up to date.
    pub fn put_manifest(
        &mut self,
        name: &RepositoryName,
        manifest: &NewManifest<'_>,
    ) -> Result<(), Error> {
        todo!()
    }
    /// Removes a manifest and every tag on it; the tags that went, or `None` when it was not there.
    pub fn delete_manifest(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Vec<String>>, Error> {
        todo!()
    }
    /// Makes or moves a tag onto a manifest that exists.
    pub fn set_tag(
        &mut self,
        name: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<(), Error> {
        todo!()
    }
    /// Removes a tag, leaving its manifest. False when it was not there.
    pub fn delete_tag(&mut self, name: &RepositoryName, tag: &Tag) -> Result<bool, Error> {
        todo!()
    }
}
