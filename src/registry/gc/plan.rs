//! What a collection would take: worked out from the catalog, which is only read.
//!
//! What is due stands in the queue. What the run itself would set free is counted: a blob whose
//! uses all belong to manifests that would go, goes too.

use std::collections::{HashMap, HashSet};

use super::far;
use super::run::Run;
use crate::oci::{Digest, RepositoryName};
use crate::registry::Error;
use crate::store::catalog::{Collectable, LooseManifest, PastManifest, Removal};

/// Items that are read at a time.
const PAGE: usize = 500;

/// The most blobs of repositories that a plan looks at: each is held in memory.
const LINKS_MAX: usize = 500_000;

/// What would go.
#[derive(Default)]
pub(super) struct Plan {
    /// How many uses of a blob by a repository would go.
    uses: HashMap<(i64, Digest), u64>,
    /// Blobs that a repository would not hold any more.
    blobs: HashMap<Digest, Going>,
    pasts: HashSet<i64>,
    /// Names of the repositories of manifests that would go.
    names: HashMap<i64, RepositoryName>,
    /// Manifests that would go because nothing holds them.
    loose: HashSet<i64>,
    /// Blobs that these would take along into a past, where there is one already: it keeps them.
    moved: HashSet<(Option<i64>, Digest)>,
    /// Blobs of the queue that would be gone, and their bytes.
    pub(super) queued: (u64, u64),
    /// Bytes of blobs that only pasts hold, some of which use them, and that would be gone.
    pub(super) undo_bytes: u64,
}

/// A blob that some repositories would not hold any more.
#[derive(Default)]
struct Going {
    size: u64,
    holders: u64,
    links: u64,
    past: u64,
    queued: u64,
}

impl Plan {
    /// Whether none of so many pasts would hold the blob any more.
    pub(super) fn leaves_no_past(&self, digest: &Digest, pasts: u64) -> bool {
        self.blobs
            .get(digest)
            .is_some_and(|going| going.past == pasts)
    }
}

impl Run<'_> {
    /// Works out what [`take`](Self::take) would do.
    pub(super) fn plan(&mut self) -> Result<(), Error> {
        let mut plan = Plan::default();
        if let Some(before) = self.removed_before {
            let catalog = &self.registry.catalog;
            self.report.histories = catalog.read(|tx| tx.count_forgettable_history(before))?;
            self.plan_removed(&mut plan)?;
        }
        if self.report.options.delete_untagged {
            self.plan_loose(&mut plan)?;
        }
        if self.until.is_some() {
            self.plan_set_free(&mut plan)?;
            self.plan_queue(&mut plan)?;
        }
        for (digest, going) in &plan.blobs {
            self.report.links += going.links;
            if going.links == going.holders && !plan.moved.contains(&(None, *digest)) {
                self.report.blobs += 1;
                self.report.bytes += going.size;
                if going.queued == going.links {
                    plan.queued.0 += 1;
                    plan.queued.1 += going.size;
                }
                if going.past == going.links && going.queued < going.links {
                    plan.undo_bytes += going.size;
                }
            }
        }
        self.planned = Some(plan);
        Ok(())
    }

    fn plan_removed(&mut self, plan: &mut Plan) -> Result<(), Error> {
        let Some(before) = self.removed_before else {
            return Ok(());
        };
        let mut last: Option<PastManifest> = None;
        loop {
            let catalog = &self.registry.catalog;
            let page = catalog.read(|tx| tx.removed_before(last.as_ref(), before, PAGE))?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            last = Some(*end);
            for manifest in page {
                self.report.manifests += 1;
                plan.pasts.insert(manifest.past);
                self.plan_uses(plan, manifest.past, manifest.id)?;
            }
        }
    }

    fn plan_uses(&mut self, plan: &mut Plan, repository: i64, id: i64) -> Result<(), Error> {
        let catalog = &self.registry.catalog;
        for (_, digest) in catalog.read(|tx| tx.references_of_manifest(id))? {
            if plan.uses.len() < LINKS_MAX {
                *plan.uses.entry((repository, digest)).or_default() += 1;
            } else {
                self.report.complete = false;
            }
        }
        Ok(())
    }

    /// What nothing holds, and then what only that holds.
    fn plan_loose(&mut self, plan: &mut Plan) -> Result<(), Error> {
        let mut last: Option<LooseManifest> = None;
        loop {
            let catalog = &self.registry.catalog;
            let page = catalog.read(|tx| tx.loose_manifests(last.as_ref(), far(), PAGE))?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            last = Some(end.clone());
            for manifest in page {
                plan.names
                    .entry(manifest.repository_id)
                    .or_insert_with(|| manifest.repository.clone());
                let mut found = vec![(manifest.id, manifest.digest)];
                while let Some((id, digest)) = found.pop() {
                    if self.would_go(plan, &manifest.repository, id, &digest)? {
                        self.plan_loose_one(plan, &manifest, id)?;
                        found.extend(catalog_held_by(self, id)?);
                    }
                }
            }
        }
    }

    /// Whether a manifest would be removed because all that holds it would be.
    fn would_go(
        &mut self,
        plan: &Plan,
        name: &RepositoryName,
        id: i64,
        digest: &Digest,
    ) -> Result<bool, Error> {
        if plan.loose.len() >= LINKS_MAX {
            self.report.complete = false;
            return Ok(false);
        }
        if plan.loose.contains(&id) || !self.keepers.let_go(name, digest) {
            return Ok(false);
        }
        let holders = self.registry.catalog.read(|tx| tx.holders_of(id))?;
        Ok(holders.iter().all(|holder| plan.loose.contains(holder)))
    }

    /// The manifest of this id goes, of the repository of `at`.
    fn plan_loose_one(
        &mut self,
        plan: &mut Plan,
        at: &LooseManifest,
        id: i64,
    ) -> Result<(), Error> {
        plan.loose.insert(id);
        self.report.untagged += 1;
        match self.removal {
            Removal::Final => self.report.manifests += 1,
            Removal::Undoable => {
                let (past, references) = self.registry.catalog.read(|tx| {
                    Ok::<_, Error>((tx.past_of(&at.repository)?, tx.references_of_manifest(id)?))
                })?;
                let moved = references.into_iter().map(|(_, digest)| digest);
                plan.moved
                    .extend(moved.flat_map(|digest| [(past, digest), (None, digest)]));
            }
        }
        self.plan_uses(plan, at.repository_id, id)
    }

    /// Blobs all of whose uses in their repository would go.
    fn plan_set_free(&mut self, plan: &mut Plan) -> Result<(), Error> {
        for ((repository, digest), gone) in std::mem::take(&mut plan.uses) {
            let catalog = &self.registry.catalog;
            let Some(now) = catalog.read(|tx| tx.blob_uses(repository, &digest))? else {
                continue;
            };
            let is_past = plan.pasts.contains(&repository);
            let name = plan.names.get(&repository);
            let free = is_past || name.is_some_and(|name| self.keepers.let_go(name, &digest));
            if now.uses > gone || plan.moved.contains(&(Some(repository), digest)) {
                continue;
            }
            if !free {
                self.kept += 1;
                continue;
            }
            let going = plan.blobs.entry(digest).or_default();
            (going.size, going.holders) = (now.size, now.holders);
            going.links += 1;
            going.past += u64::from(is_past);
        }
        Ok(())
    }

    fn plan_queue(&mut self, plan: &mut Plan) -> Result<(), Error> {
        let Some(until) = self.until else {
            return Ok(());
        };
        let mut last: Option<Collectable> = None;
        loop {
            let catalog = &self.registry.catalog;
            let page = catalog.read(|tx| tx.collectable(last.as_ref(), until, PAGE))?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            last = Some(end.clone());
            for item in page {
                let name = item.name.as_ref();
                if !name.is_none_or(|name| self.keepers.let_go(name, &item.digest)) {
                    self.kept += 1;
                    continue;
                }
                if plan.moved.contains(&(Some(item.repository), item.digest)) {
                    continue;
                }
                if plan.blobs.len() >= LINKS_MAX {
                    self.report.complete = false;
                    return Ok(());
                }
                let going = plan.blobs.entry(item.digest).or_default();
                (going.size, going.holders) = (item.size, item.holders);
                going.links += 1;
                going.past += u64::from(item.name.is_none());
                going.queued += 1;
            }
        }
    }
}

fn catalog_held_by(run: &Run<'_>, id: i64) -> Result<Vec<(i64, Digest)>, Error> {
    Ok(run.registry.catalog.read(|tx| tx.held_by(id))?)
}
