//! Wiring of the store: blobs and catalog, in the data folder or in memory.

use std::sync::Arc;

use super::Error;
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::blobs::disk::RealDisk;
use crate::store::blobs::{BlobStore, FileBlobStore, FileOptions, MemoryBlobStore};
use crate::store::catalog::{self, Catalog, Durability, Location};
use crate::store::layout::Layout;

pub(super) fn open_blobs(
    settings: &Settings,
    layout: Option<&Layout>,
) -> Result<Arc<dyn BlobStore>, Error> {
    let sessions_max = settings.uploads.sessions_max;
    Ok(match layout {
        Some(layout) => Arc::new(FileBlobStore::open(
            layout.clone(),
            FileOptions {
                relaxed: settings.storage.durability == Durability::Relaxed,
                inline_bytes_max: settings.storage.inline_bytes_max,
                upload_sessions_max: sessions_max,
                ..FileOptions::default()
            },
            RealDisk,
        )?),
        None => Arc::new(MemoryBlobStore::new(
            settings.storage.memory_bytes_max,
            sessions_max,
        )),
    })
}

pub(super) fn open_catalog(
    settings: &Settings,
    layout: Option<&Layout>,
    clock: &Arc<dyn Clock>,
    blobs: &Arc<dyn BlobStore>,
) -> Result<Catalog, Error> {
    let path = layout.map(Layout::catalog);
    let location = path.as_deref().map_or(Location::Memory, Location::File);
    let blobs = Arc::clone(blobs);
    let options = catalog::Options {
        durability: settings.storage.durability,
        blob_grace: settings.gc.grace_seconds,
        clock: Arc::clone(clock),
        ..catalog::Options::new(location)
    };
    Ok(Catalog::open(
        options,
        Box::new(move |shards| blobs.sync_shards(shards)),
    )?)
}
