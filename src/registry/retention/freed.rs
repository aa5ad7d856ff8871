//! How many bytes are free once tags and manifests are gone: by what is counted beside each blob
//! and each manifest, without looking for anything.

use std::collections::{HashMap, HashSet};

use crate::oci::{Digest, RepositoryName};
use crate::store::Error;
use crate::store::catalog::{ReadTx, UsedBlob};

/// The most manifests and uses of blobs that are remembered to have gone. Past it the figures are
/// too low: what several that go share is not counted any more.
const REMEMBERED_MAX: usize = 1 << 18;

/// What has gone so far, in thought.
#[derive(Default)]
pub(super) struct Freed {
    /// Tags that went, by their manifest.
    tags: HashMap<i64, u64>,
    manifests: HashSet<i64>,
    /// Uses that went, by repository and blob.
    uses: HashMap<RepositoryName, HashMap<Digest, u64>>,
    remembered: usize,
    /// Repositories that hold the blob no more.
    holders: HashMap<Digest, u64>,
}

impl Freed {
    /// A tag goes, and with it in time what nothing else holds; the bytes that are free then.
    pub(super) fn without_tag(
        &mut self,
        tx: &ReadTx<'_>,
        repository: &RepositoryName,
        manifest: i64,
    ) -> Result<u64, Error> {
        *self.tags.entry(manifest).or_default() += 1;
        if self.is_held(tx, manifest)? {
            return Ok(0);
        }
        self.without_manifest(tx, repository, manifest)
    }

    /// A manifest goes, and with it in time what nothing else holds; the bytes that are free then.
    pub(super) fn without_manifest(
        &mut self,
        tx: &ReadTx<'_>,
        repository: &RepositoryName,
        manifest: i64,
    ) -> Result<u64, Error> {
        let mut bytes = 0_u64;
        let mut going = vec![manifest];
        while let Some(manifest) = going.pop() {
            if self.manifests.len() >= REMEMBERED_MAX || !self.manifests.insert(manifest) {
                continue;
            }
            bytes = bytes.saturating_add(tx.manifest_size(manifest)?);
            for blob in tx.manifest_blobs(manifest)? {
                bytes = bytes.saturating_add(self.without_use(repository, &blob));
            }
            for below in tx.manifests_below(manifest)? {
                if !self.is_held(tx, below)? {
                    going.push(below);
                }
            }
        }
        Ok(bytes)
    }

    fn is_held(&self, tx: &ReadTx<'_>, manifest: i64) -> Result<bool, Error> {
        let gone = self.tags.get(&manifest).copied().unwrap_or_default();
        if tx.manifest_tags(manifest)? > gone {
            return Ok(true);
        }
        let above = tx.manifests_above(manifest)?;
        Ok(above.iter().any(|above| !self.manifests.contains(above)))
    }

    /// One use of a blob goes; its bytes, if that was the last one anywhere.
    fn without_use(&mut self, repository: &RepositoryName, blob: &UsedBlob) -> u64 {
        if blob.uses > 1 && !self.is_last_use(repository, blob) {
            return 0;
        }
        // The repository holds it no more.
        if blob.holders > 1 {
            if self.remembered >= REMEMBERED_MAX {
                return 0;
            }
            self.remembered += 1;
            let gone = self.holders.entry(blob.digest).or_default();
            *gone += 1;
            if *gone < blob.holders {
                return 0;
            }
        }
        blob.size
    }

    fn is_last_use(&mut self, repository: &RepositoryName, blob: &UsedBlob) -> bool {
        if self.remembered >= REMEMBERED_MAX {
            return false;
        }
        if !self.uses.contains_key(repository) {
            self.uses.insert(repository.clone(), HashMap::new());
        }
        let Some(uses) = self.uses.get_mut(repository) else {
            return false;
        };
        let gone = uses.entry(blob.digest).or_insert_with(|| {
            self.remembered += 1;
            0
        });
        *gone += 1;
        *gone == blob.uses
    }
}
