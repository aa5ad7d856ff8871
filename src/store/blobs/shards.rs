//! The folders that blobs are spread over: making, syncing and walking them.

use std::io::{self, ErrorKind as Io};
use std::path::Path;

use super::Entry;
use super::disk::Disk;
use super::file::Shared;
use crate::oci::{Algorithm, Digest};
use crate::store::layout::Layout;
use crate::store::{Error, Shard};

/// Makes the folders of a data folder, unless the mark says that this was done: it is made after
/// everything else was synced, so that to see it is enough.
pub(super) fn make_folders<D: Disk>(disk: &D, layout: &Layout, relaxed: bool) -> Result<(), Error> {
    let make = || -> io::Result<()> {
        if disk.lookup(&layout.shards_made())?.is_some() {
            return Ok(());
        }
        let sync = |path: &Path| {
            if relaxed {
                Ok(())
            } else {
                disk.sync_folder(path)
            }
        };
        let (root, blobs) = (layout.root(), layout.blobs());
        for path in [root, &blobs, &layout.uploads(), &layout.quarantine()] {
            disk.make_folder(path)?;
        }
        for algorithm in Algorithm::ALL {
            disk.make_folder(&blobs.join(algorithm.as_str()))?;
        }
        // Those of other algorithms are made when one is needed: few stores ever see one, and a
        // start that makes twice as many folders takes twice as long.
        for shard in Shard::all().filter(|shard| made_at_start(*shard)) {
            disk.make_folder(&layout.shard(shard))?;
        }
        sync(&blobs.join(Algorithm::Sha256.as_str()))?;
        sync(&blobs)?;
        sync(root)?;
        disk.create(&layout.shards_made()).map(drop)
    };
    make().map_err(|error| Error::io("preparing", layout.root().display(), error))
}

/// Whether a shard's folder is there from the first start on.
pub(super) fn made_at_start(shard: Shard) -> bool {
    shard.algorithm == Algorithm::Sha256
}

/// Makes one shard's folder, durably. When somebody removed one that was made at the start, the
/// mark goes first, so that a process that dies half-way leaves the rest to the next start.
pub(super) fn make_shard<D: Disk>(store: &Shared<D>, shard: Shard) -> io::Result<()> {
    if made_at_start(shard) {
        match store.disk.remove(&store.layout.shards_made()) {
            Err(error) if error.kind() != Io::NotFound => return Err(error),
            _ => {}
        }
    }
    let path = store.layout.shard(shard);
    store.disk.make_folder(&path)?;
    match path.parent() {
        Some(parent) if !store.options.relaxed => store.disk.sync_folder(parent),
        _ => Ok(()),
    }
}

/// Makes the names in the `touched` shards durable, each folder once.
pub(super) fn sync<D: Disk>(store: &Shared<D>, touched: &[Shard]) -> Result<(), Error> {
    if store.options.relaxed {
        return Ok(());
    }
    let mut folders = touched.to_vec();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        let path = store.layout.shard(folder);
        let parent = path.parent().filter(|_| store.must_sync_parent(folder));
        for path in parent.into_iter().chain([path.as_path()]) {
            store.disk.sync_folder(path).map_err(|error| {
                let error = Error::io("syncing", path.display(), error);
                store.health.sync_failed(&error);
                error
            })?;
        }
        store.parent_synced(folder);
    }
    Ok(())
}

/// Calls `each` with every blob of a shard until it returns false. Names that are no digest, or a
/// digest of another shard, are passed over.
pub(super) fn walk_shard<D: Disk>(
    store: &Shared<D>,
    shard: Shard,
    each: &mut dyn FnMut(Entry) -> bool,
) -> Result<(), Error> {
    let path = store.layout.shard(shard);
    let listed = store.disk.list(&path, &mut |name, metadata| {
        let digest: Option<Digest> = format!("{}:{name}", shard.algorithm).parse().ok();
        if let Some(digest) = digest
            && metadata.is_file
            && Shard::of(&digest) == shard
        {
            return Ok(each(Entry {
                digest,
                size: metadata.length,
                modified: metadata.modified,
            }));
        }
        Ok(true)
    });
    match listed {
        // A folder that is missing holds no blob.
        Err(error) if error.kind() != Io::NotFound => {
            Err(Error::io("listing", path.display(), error))
        }
        _ => Ok(()),
    }
}
