//! The registry over a real catalog and real blob stores: against a plain model, and through
//! crashes.

mod backup;
mod collection;
mod crash;
mod events;
mod forms;
mod model;
mod quotas;
mod retention;
mod rules;
mod scrub;
mod undo;

use std::sync::Arc;
use std::time::Duration;

use super::{Options, Registry};
use crate::clock::{Clock, SystemClock};
use crate::oci::{Algorithm, Digest, RepositoryName, Tag};
use crate::store::blobs::crash_disk::CrashDisk;
use crate::store::blobs::{BlobStore, FileBlobStore, FileOptions, MemoryBlobStore};
use crate::store::catalog::{self, Catalog, Durability, Location};
use crate::store::layout::Layout;

/// Where the data folder is on a disk in memory.
pub const ROOT: &str = "/data";

/// A registry in memory.
pub fn in_memory(options: Options) -> Registry {
    let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobStore::new(1 << 30, 1000));
    Registry::new(catalog(Location::Memory, &blobs), blobs, options)
}

/// Blobs on a disk in memory, those of at most `bound` bytes inline.
pub fn blobs_on(disk: &CrashDisk, bound: u64) -> Option<Arc<dyn BlobStore>> {
    let options = FileOptions {
        inline_bytes_max: bound,
        ..FileOptions::default()
    };
    let store = FileBlobStore::open(Layout::new(ROOT), options, disk.clone()).ok()?;
    Some(Arc::new(store))
}

/// A catalog that syncs through `blobs`.
pub fn catalog(location: Location<'_>, blobs: &Arc<dyn BlobStore>) -> Arc<Catalog> {
    let grace = Options::default().grace;
    catalog_with(location, blobs, Arc::new(SystemClock), grace)
}

/// The same with a clock and a grace.
pub fn catalog_with(
    location: Location<'_>,
    blobs: &Arc<dyn BlobStore>,
    clock: Arc<dyn Clock>,
    grace: Duration,
) -> Arc<Catalog> {
    let blobs = Arc::clone(blobs);
    let options = catalog::Options {
        durability: Durability::Relaxed,
        clock,
        blob_grace: grace,
        ..catalog::Options::new(location)
    };
    let sync = Box::new(move |shards: &[_]| blobs.sync_shards(shards));
    Arc::new(Catalog::open(options, sync).expect("a catalog"))
}

/// A repository name that is one.
pub fn name(text: &str) -> RepositoryName {
    text.parse().expect("a repository name")
}

/// A tag that is one.
pub fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

/// The canonical digest.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// An OCI image manifest over these blobs, the first being the config.
pub fn image(blobs: &[&[u8]], subject: Option<&Digest>) -> Vec<u8> {
    let descriptor = |bytes: &&[u8]| {
        format!(
            r#"{{"mediaType":"application/octet-stream","digest":"{}","size":{}}}"#,
            digest(bytes),
            bytes.len()
        )
    };
    let config = blobs.first().map(&descriptor).expect("a config");
    let layers: Vec<String> = blobs[1..].iter().map(descriptor).collect();
    let subject = subject.map_or_else(String::new, |subject| {
        format!(
            r#","subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{subject}","size":1}}"#
        )
    });
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{config},"layers":[{}]{subject}}}"#,
        layers.join(",")
    )
    .into_bytes()
}
