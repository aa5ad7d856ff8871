//! Quotas against what the store holds: asked before bytes travel, and decided inside the write
//! that would add something, so that two who push at a quota's edge cannot both get in.

use super::policy::quota::Measure;
use super::policy::{Excess, Quota, Rules, Usage};
use super::{Error, Registry};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::Error as StoreError;
use crate::store::catalog::{Catalog, Growth, Held, NewManifest, ReadTx, WriteTx};

/// What a change adds.
#[derive(Clone, Copy, Debug, Default)]
struct Added {
    /// To the repository.
    repository: Usage,
    /// To what the store holds, each blob counted once.
    store: Usage,
}

/// How much an upload may still bring.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The bytes that fit, and what is said of more; `None` where nothing bounds them.
    bound: Option<(u64, Excess)>,
}

impl Room {
    /// Whether a blob of this length fits, in bytes.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`].
    pub(super) fn check(&self, length: u64) -> Result<(), Error> {
        match &self.bound {
            Some((room, excess)) if length > *room => Err(Error::QuotaExceeded(Excess {
                asked: length,
                ..excess.clone()
            })),
            _ => Ok(()),
        }
    }

    fn narrow(&mut self, room: u64, excess: impl FnOnce() -> Excess) {
        if self.bound.as_ref().is_none_or(|(known, _)| room < *known) {
            self.bound = Some((room, excess()));
        }
    }
}

impl Registry {
    /// How much a blob for the repository may bring. One that is there already, and is named,
    /// brings nothing.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(super) fn room(
        &self,
        repository: &RepositoryName,
        digest: Option<&Digest>,
    ) -> Result<Room, Error> {
        let rules = self.policy();
        let mut room = Room::default();
        if !bounds_bytes(&rules, repository) {
            return Ok(room);
        }
        self.catalog.read(|tx| {
            let growth = match digest {
                Some(digest) => tx.blob_growth(repository, digest)?,
                None => EVERYWHERE,
            };
            for quota in rules.quotas_of(repository) {
                let grows = if quota.is_of_store() {
                    growth.of_store
                } else {
                    growth.of_repository
                };
                let Some(limit) = quota.bytes.filter(|_| grows) else {
                    continue;
                };
                let used = held(tx, quota, repository)?.bytes;
                room.narrow(limit.saturating_sub(used), || Excess {
                    measure: Measure::Bytes,
                    limit,
                    used,
                    asked: 0,
                    repository: quota.each.then(|| repository.clone()),
                    origin: quota.origin.clone(),
                });
            }
            Ok::<(), StoreError>(())
        })?;
        Ok(room)
    }
}

const EVERYWHERE: Growth = Growth {
    of_store: true,
    of_repository: true,
};

/// Refuses a blob that a quota has no room for, inside the write that links it.
///
/// # Errors
/// [`Error::QuotaExceeded`], [`Error::Store`].
pub(super) fn admit_blob(
    tx: &mut WriteTx<'_>,
    rules: &Rules,
    repository: &RepositoryName,
    digest: &Digest,
    size: u64,
) -> Result<(), Error> {
    if !bounds_bytes(rules, repository) {
        return Ok(());
    }
    let growth = tx.blob_growth(repository, digest)?;
    let bytes = |grows: bool| Usage {
        bytes: if grows { size } else { 0 },
        tags: 0,
    };
    let added = Added {
        repository: bytes(growth.of_repository),
        store: bytes(growth.of_store),
    };
    admit(tx, rules, repository, added)
}

/// Refuses a manifest or tags that a quota has no room for, inside the write that makes them.
///
/// # Errors
/// [`Error::QuotaExceeded`], [`Error::Store`].
pub(super) fn admit_manifest(
    tx: &mut WriteTx<'_>,
    rules: &Rules,
    repository: &RepositoryName,
    manifest: &NewManifest<'_>,
    tags: &[Tag],
) -> Result<(), Error> {
    if rules.quotas_of(repository).next().is_none() {
        return Ok(());
    }
    let mut added = new_tags(tx, repository, tags)?;
    if tx.manifest_facts(repository, &manifest.digest)?.is_none() {
        added.bytes = manifest.bytes.len() as u64;
    }
    let added = Added {
        repository: added,
        store: added,
    };
    admit(tx, rules, repository, added)
}

/// Refuses a tag that a quota has no room for, inside the write that makes it.
///
/// # Errors
/// [`Error::QuotaExceeded`], [`Error::Store`].
pub(super) fn admit_tag(
    tx: &mut WriteTx<'_>,
    rules: &Rules,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<(), Error> {
    if rules.quotas_of(repository).next().is_none() {
        return Ok(());
    }
    let added = new_tags(tx, repository, std::slice::from_ref(tag))?;
    let added = Added {
        repository: added,
        store: added,
    };
    admit(tx, rules, repository, added)
}

fn new_tags(
    tx: &ReadTx<'_>,
    repository: &RepositoryName,
    tags: &[Tag],
) -> Result<Usage, StoreError> {
    let mut added = Usage::default();
    for (at, tag) in tags.iter().enumerate() {
        let is_first = !tags.get(..at).is_some_and(|before| before.contains(tag));
        if is_first && !tx.has_tag(repository, tag)? {
            added.tags += 1;
        }
    }
    Ok(added)
}

fn admit(
    tx: &mut WriteTx<'_>,
    rules: &Rules,
    repository: &RepositoryName,
    added: Added,
) -> Result<(), Error> {
    for quota in rules.quotas_of(repository) {
        let more = if quota.is_of_store() {
            added.store
        } else {
            added.repository
        };
        if is_shared(quota) {
            // Nearly always it is counted already.
            let group = quota.group();
            if !tx.has_quota_group(&group)? {
                tx.add_quota_groups(&[group])?;
            }
        }
        let used = held(tx, quota, repository)?;
        if let Some(excess) = quota.excess(repository, used, more) {
            return Err(Error::QuotaExceeded(excess));
        }
    }
    Ok(())
}

/// What a quota counts.
fn held(tx: &ReadTx<'_>, quota: &Quota, repository: &RepositoryName) -> Result<Usage, StoreError> {
    let Held { bytes, tags } = if quota.each {
        tx.repository_held(repository)?
    } else if quota.is_of_store() {
        tx.store_held()?
    } else {
        tx.group_held(&quota.group())?
    };
    Ok(Usage { bytes, tags })
}

fn bounds_bytes(rules: &Rules, repository: &RepositoryName) -> bool {
    let mut quotas = rules.quotas_of(repository);
    quotas.any(|quota| quota.bytes.is_some())
}

/// Has the catalog count for the quotas that are shared, from now on. Groups of earlier rules stay
/// until [`Registry::forget_quotas`].
pub(super) fn add_groups(catalog: &Catalog, rules: &Rules) -> Result<(), StoreError> {
    let groups = groups(rules);
    let known = known_groups(catalog)?;
    if groups.iter().all(|group| known.contains(group)) {
        return Ok(());
    }
    catalog.write(move |tx| tx.add_quota_groups(&groups))
}

impl Registry {
    /// Counts no more for quotas that are in force no more. Only a server does it: whoever opens
    /// the store for a moment may have been told of no rules at all.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn forget_quotas(&self) -> Result<(), Error> {
        let groups = groups(&self.policy());
        let known = known_groups(&self.catalog)?;
        if known.iter().all(|known| groups.contains(known)) {
            return Ok(());
        }
        Ok(self
            .catalog
            .write(move |tx| tx.keep_quota_groups(&groups))?)
    }
}

/// Whether the catalog keeps a count for it.
fn is_shared(quota: &Quota) -> bool {
    !quota.each && !quota.is_of_store()
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method's own lifetime does not fit where the closure's does"
)]
fn known_groups(catalog: &Catalog) -> Result<Vec<String>, StoreError> {
    catalog.read(|tx| tx.quota_groups())
}

/// What the catalog knows the groups of these rules by, each once.
fn groups(rules: &Rules) -> Vec<String> {
    let shared = rules.quotas.iter();
    let mut groups: Vec<String> = shared
        .filter(|quota| is_shared(quota))
        .map(Quota::group)
        .collect();
    groups.sort();
    groups.dedup();
    groups
}
