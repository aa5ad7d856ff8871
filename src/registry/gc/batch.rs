//! One batch of the collection, as the catalog's writer runs it: what is left is looked at again,
//! what goes is condemned first.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::clock::Clock;
use crate::oci::{Digest, RepositoryName};
use crate::registry::events::Recorder;
use crate::registry::leases::Leases;
use crate::registry::pushing::Pushing;
use crate::store::Error as StoreError;
use crate::store::catalog::{Collectable, LooseManifest, Removal, WriteTx};

/// Who keeps content from the collection.
#[derive(Clone)]
pub(super) struct Keepers {
    pub(super) leases: Arc<Leases>,
    pub(super) pushing: Arc<Pushing>,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether leases do not count.
    pub(super) forced: bool,
}

/// What became of a batch of blobs.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Blobs that a repository does not hold any more.
    pub(super) links: u64,
    /// Blobs whose rows are gone, and their lengths.
    pub(super) gone: Vec<(Digest, u64)>,
    /// Blobs that were left.
    pub(super) kept: u64,
}

/// What became of a batch of manifests.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// Manifests that were removed.
    pub(super) manifests: u64,
    /// Manifests that were left.
    pub(super) kept: u64,
}

impl Keepers {
    /// Whether nobody keeps what the repository holds; asked before a batch, to spare the writer.
    pub(super) fn let_go(&self, name: &RepositoryName, digest: &Digest) -> bool {
        let now = self.clock.steady();
        !self.pushing.is_pushed_to(name, now)
            && (self.forced || !self.leases.is_touched(digest, now))
    }

    /// The same, for good: from now on whoever asks for it waits for the end of the batch.
    fn condemn(&self, name: &RepositoryName, digest: &Digest, now: Duration) -> bool {
        !self.pushing.is_pushed_to(name, now) && self.leases.condemn(digest, now, self.forced)
    }
}

/// Takes blobs from their repositories, and their rows where that was the last that held them. The
/// caller holds the locks of all their digests.
pub(super) fn take(
    tx: &mut WriteTx<'_>,
    items: &[Collectable],
    until: SystemTime,
    keepers: &Keepers,
) -> Result<Taken, StoreError> {
    let now = keepers.clock.steady();
    let mut taken = Taken::default();
    for item in items {
        // No client is told of what only a past holds.
        let may = item
            .name
            .as_ref()
            .is_none_or(|name| keepers.condemn(name, &item.digest, now));
        if !may {
            taken.kept += 1;
        } else if tx.collect(item, until)? {
            taken.links += 1;
            if tx.delete_unused_row(&item.digest)? {
                taken.gone.push((item.digest, item.size));
            }
        }
    }
    tx.remove_if_empty(items)?;
    Ok(taken)
}

/// Removes manifests if it is still so that nothing holds them. The caller holds the locks of all
/// their digests.
pub(super) fn remove(
    tx: &mut WriteTx<'_>,
    items: &[LooseManifest],
    removal: Removal,
    keepers: &Keepers,
    recorder: &Recorder,
) -> Result<Removed, StoreError> {
    let now = keepers.clock.steady();
    let mut removed = Removed::default();
    // Before the first of them is condemned.
    keepers.leases.note_manifests_taken();
    for item in items {
        let (name, digest) = (&item.repository, &item.digest);
        if tx.loose_since(name, digest)?.is_none() {
            continue;
        }
        if !keepers.condemn(name, digest, now) {
            removed.kept += 1;
        } else if recorder.remove_manifest(tx, name, digest, removal)? {
            removed.manifests += 1;
        }
    }
    Ok(removed)
}
