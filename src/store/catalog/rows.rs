//! What goes into the catalog and comes out of it, as plain values.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::oci::{Digest, MediaType, RepositoryName, Tag};

/// A blob's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRow {
    /// Length in bytes.
    pub size: u64,
    /// Found to be wrong: not to be served until it is pushed again.
    pub quarantined: bool,
    /// Length of the bytes that the catalog keeps itself; `None` when they are a file.
    pub inline: Option<u64>,
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
    /// Whether a tag is set to it in the same transaction, so that it is held.
    pub is_tagged: bool,
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

/// What a round of the scrub has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubCounts {
    /// Blobs.
    pub blobs: u64,
    /// Bytes.
    pub bytes: u64,
    /// Blobs that it found damaged.
    pub found: u64,
}

/// How far the scrub has come. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubRow {
    /// When the round that is under way began, or else the last one.
    pub began_ms: Option<i64>,
    /// Whether a round is under way.
    pub running: bool,
    /// The last blob that it has read.
    pub position: Option<Digest>,
    /// What it has read.
    pub counts: ScrubCounts,
    /// When the last whole round ended.
    pub ended_ms: Option<i64>,
    /// What that one had read.
    pub ended: ScrubCounts,
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
    /// Sum over all repositories of the sizes of their blobs, in bytes: what deduplication saves
    /// is the difference to what is there once.
    pub linked_bytes: u64,
    /// Sum of the sizes of blobs that only what was removed still needs, in bytes.
    pub past_bytes: u64,
    /// Sum of the sizes of all manifests, in bytes.
    pub manifest_bytes: u64,
    /// The newest time that anything was written with, in milliseconds since 1970.
    pub newest_at: i64,
}

/// A manifest that nothing holds: no tag, no index above it, no subject that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LooseManifest {
    /// Internal; with `since` it is the place in the list.
    pub id: i64,
    /// Since when it is so.
    pub since: SystemTime,
    /// Its repository; internal.
    pub repository_id: i64,
    /// Its repository.
    pub repository: RepositoryName,
    /// The digest under which it was pushed.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

/// A manifest that was removed and can be brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedManifest {
    /// The digest under which it was pushed.
    pub digest: Digest,
    /// When it was removed.
    pub removed_at: SystemTime,
    /// Length in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: MediaType,
}

/// A manifest of a past, as the collection sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastManifest {
    /// Internal; with `removed_at` it is the place in the list.
    pub id: i64,
    /// The past; internal.
    pub past: i64,
    /// When it was removed.
    pub removed_at: SystemTime,
}

/// What a tag pointed to, for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastTag {
    /// Counts up; the place in the list.
    pub id: i64,
    /// The tag.
    pub tag: String,
    /// The manifest.
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: MediaType,
    /// The manifest's length in bytes.
    pub size: u64,
    /// When it was set to that.
    pub set_at: SystemTime,
    /// By whom; `None` when nobody was logged in.
    pub set_by: Option<String>,
    /// When that ended.
    pub ended_at: SystemTime,
    /// By whom; `None` when nobody was logged in.
    pub ended_by: Option<String>,
    /// How it ended.
    pub ended: Ended,
}

/// How what a tag pointed to came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The tag was moved to another manifest.
    Moved,
    /// The tag was removed.
    Removed,
    /// The manifest was removed, and the tag with it.
    RemovedWithManifest,
}

/// What a repository, or several, hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Bytes of blobs and manifests.
    pub bytes: u64,
    /// Tags.
    pub tags: u64,
}

/// Where a blob would be new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// No repository that clients see holds it.
    pub of_store: bool,
    /// The repository that was asked about does not.
    pub of_repository: bool,
}

/// A tag with its times, in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatedTag {
    /// The tag.
    pub name: Tag,
    /// The manifest it points to; internal.
    pub manifest: i64,
    /// When it was last set, also to the manifest it had.
    pub set_at: i64,
    /// When it was last pulled, as far as that was written; `None` for never.
    pub pulled_at: Option<i64>,
    /// When it is to be removed; `None` for never.
    pub expires_at: Option<i64>,
}

/// A blob that a manifest uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedBlob {
    /// The blob.
    pub digest: Digest,
    /// How often manifests of the repository use it.
    pub uses: u64,
    /// Its length in bytes.
    pub size: u64,
    /// How many repositories that clients see hold it.
    pub holders: u64,
}

/// What becomes of a manifest that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It can be brought back for a time.
    Undoable,
    /// It is gone, and its room is free as soon as its blobs are collected.
    Final,
}
