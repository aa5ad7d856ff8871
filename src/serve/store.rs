//! Wiring of the store: blobs and catalog, in the data folder or in memory.

use std::sync::Arc;

use super::Error;
use crate::clock::Clock;
use crate::config::Settings;
use crate::metrics::Metrics;
use crate::store::blobs::disk::RealDisk;
use crate::store::blobs::metered::Metered;
use crate::store::blobs::{BlobStore, FileBlobStore, FileOptions, MemoryBlobStore};
use crate::store::catalog::{self, Catalog, Durability, Location};
use crate::store::layout::Layout;
use crate::store::space::{self, Space};

/// The room of the file system; without end in memory.
pub(super) fn open_space(
    settings: &Settings,
    layout: Option<&Layout>,
) -> Result<Arc<Space>, Error> {
    let Some(layout) = layout else {
        return Ok(Space::unlimited());
    };
    let options = space::Options {
        reserve: settings.storage.reserve,
        low_water: settings.storage.low_water,
    };
    Ok(Space::open(RealDisk, layout, options)?)
}

pub(super) fn open_blobs(
    settings: &Settings,
    layout: Option<&Layout>,
    space: &Arc<Space>,
    metrics: &Metrics,
) -> Result<Arc<dyn BlobStore>, Error> {
    let sessions_max = settings.uploads.sessions_max;
    Ok(match layout {
        Some(layout) => Arc::new(FileBlobStore::open_in(
            layout.clone(),
            FileOptions {
                relaxed: settings.storage.durability == Durability::Relaxed,
                inline_bytes_max: settings.storage.inline_bytes_max,
                upload_sessions_max: sessions_max,
                ..FileOptions::default()
            },
            Metered::new(RealDisk, Arc::clone(&metrics.disk)),
            Arc::clone(space),
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
    space: &Arc<Space>,
    metrics: &Metrics,
) -> Result<Catalog, Error> {
    let path = layout.map(Layout::catalog);
    let location = path.as_deref().map_or(Location::Memory, Location::File);
    let blobs = Arc::clone(blobs);
    let options = catalog::Options {
        durability: settings.storage.durability,
        blob_grace: settings.gc.grace_seconds,
        clock: Arc::clone(clock),
        space: Arc::clone(space),
        metrics: Arc::clone(&metrics.catalog),
        ..catalog::Options::new(location)
    };
    Ok(Catalog::open(
        options,
        Box::new(move |shards| blobs.sync_shards(shards)),
    )?)
}
