//! What a collection would move into the past: manifests that nothing holds, where what is removed
//! can be brought back. Their blobs go along; the repository itself does not hold them any more.

use std::collections::{HashMap, HashSet};

use super::plan::Plan;
use super::run::Run;
use crate::oci::{Digest, RepositoryName};
use crate::registry::Error;
use crate::store::catalog::Removal;

/// What would go to pasts.
#[derive(Default)]
pub(super) struct Moved {
    /// How many uses of a blob by a repository would go there.
    pub(super) uses: HashMap<(i64, Digest), u64>,
    /// Blobs that a past would hold from then on, or still.
    into: HashSet<(i64, Digest)>,
    /// Manifests that could be brought back then and cannot be now.
    pub(super) manifests: u64,
    /// Bytes of blobs that only what can be brought back would need then.
    pub(super) bytes: u64,
}

impl Moved {
    /// Whether a past keeps the blob because of what would come to it.
    pub(super) fn stays(&self, past: i64, digest: &Digest) -> bool {
        self.into.contains(&(past, *digest))
    }
}

impl Run<'_> {
    /// Counts a manifest that would move, unless one of its digest is in the past already and
    /// stays there.
    pub(super) fn note_moved(
        &self,
        plan: &mut Plan,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), Error> {
        if self.removal == Removal::Undoable {
            let catalog = &self.registry.catalog;
            let earlier = catalog.read(|tx| tx.manifest_removed_at(name, digest))?;
            let stays = earlier.is_some_and(|at| self.removed_before.is_none_or(|end| at > end));
            plan.moved.manifests += u64::from(!stays);
        }
        Ok(())
    }

    /// Notes which blobs the pasts would hold.
    pub(super) fn plan_into_pasts(&self, plan: &mut Plan) -> Result<(), Error> {
        let mut into = HashSet::new();
        for (repository, digest) in plan.moved.uses.keys() {
            let Some(name) = plan.names.get(repository) else {
                continue;
            };
            let catalog = &self.registry.catalog;
            if let Some(past) = catalog.read(|tx| tx.past_of(name))? {
                into.insert((past, *digest));
            }
        }
        plan.moved.into = into;
        Ok(())
    }

    /// Blobs that a repository would not hold any more because only its past needs them.
    pub(super) fn plan_moved(&mut self, plan: &mut Plan) -> Result<(), Error> {
        let mut leaving: HashMap<Digest, (u64, u64, u64)> = HashMap::new();
        for ((repository, digest), gone) in std::mem::take(&mut plan.moved.uses) {
            let catalog = &self.registry.catalog;
            let Some(now) = catalog.read(|tx| tx.blob_uses(repository, &digest))? else {
                continue;
            };
            if now.uses > gone {
                continue;
            }
            let visible = now.holders - now.pasts;
            leaving.entry(digest).or_insert((now.size, visible, 0)).2 += 1;
            let name = plan.names.get(&repository);
            let free = name.is_some_and(|name| self.keepers.let_go(name, &digest));
            if free && self.until.is_some() {
                self.report.links += 1;
            } else {
                self.kept += 1;
            }
        }
        for (digest, (size, visible, links)) in leaving {
            let catalog = &self.registry.catalog;
            if links + catalog.read(|tx| tx.unused_holders(&digest))? == visible {
                plan.moved.bytes += size;
            }
        }
        Ok(())
    }
}
