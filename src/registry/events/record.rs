//! Writing changes down: one method for each kind of change, called inside the write that makes it.

use std::sync::Arc;

use super::{Listener, Origin, references};
use crate::clock::unix_ms;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::registry::Registry;
use crate::store::catalog::{Change, ChangeAction, ChangeTarget, ManifestFacts, Removal, WriteTx};
use crate::store::{Error as StoreError, ErrorKind};

/// Writes changes down for those who listen; does nothing where nobody does. It goes along into the
/// write.
#[derive(Clone, Default)]
pub struct Recorder {
    listeners: Option<Arc<[Listener]>>,
    origin: Option<Origin>,
}

impl Recorder {
    pub(super) fn new(listeners: Arc<[Listener]>, origin: Option<Origin>) -> Self {
        Self {
            listeners: Some(listeners),
            origin,
        }
    }

    /// Whether anybody listens: what is found out for an event alone need not be found out else.
    pub const fn is_heard(&self) -> bool {
        self.listeners.is_some()
    }

    /// A blob arrived.
    pub fn blob_pushed(
        &self,
        tx: &mut WriteTx<'_>,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
    ) -> Result<(), StoreError> {
        let target = ChangeTarget::Blob(*digest);
        self.record(tx, ChangeAction::Push, target, repository, |change| {
            change.size = size;
        })
    }

    /// A blob came from another repository.
    pub fn blob_mounted(
        &self,
        tx: &mut WriteTx<'_>,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
        from: &RepositoryName,
    ) -> Result<(), StoreError> {
        let target = ChangeTarget::Blob(*digest);
        self.record(tx, ChangeAction::Mount, target, repository, |change| {
            change.size = size;
            change.from = Some(from.clone());
        })
    }

    /// A blob went.
    pub fn blob_deleted(
        &self,
        tx: &mut WriteTx<'_>,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        let target = ChangeTarget::Blob(*digest);
        self.record(tx, ChangeAction::Delete, target, repository, |_| {})
    }

    /// A manifest arrived and got these tags: an event for each of them, and one without a tag
    /// where there is none.
    pub fn manifest_pushed(
        &self,
        tx: &mut WriteTx<'_>,
        repository: &RepositoryName,
        manifest: &ManifestFacts,
        tags: &[Tag],
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let target = ChangeTarget::Manifest(manifest.digest);
        self.record(tx, ChangeAction::Push, target, repository, |change| {
            change.size = manifest.size;
            change.media_type = Some(manifest.media_type.clone());
            change.tags = tags.iter().map(Tag::to_string).collect();
            if self.wants_references() {
                change.refers_to = references::of(bytes);
            }
        })
    }

    /// A manifest that is there got these tags, or came back.
    pub fn manifest_set(
        &self,
        tx: &mut WriteTx<'_>,
        repository: &RepositoryName,
        digest: &Digest,
        tags: &[Tag],
    ) -> Result<(), StoreError> {
        if !self.is_heard() {
            return Ok(());
        }
        let Some(facts) = tx.manifest_facts(repository, digest)? else {
            return Ok(());
        };
        let row = if self.wants_references() {
            tx.manifest(repository, digest)?
        } else {
            None
        };
        let bytes = row.as_ref().map_or(&[][..], |row| &row.bytes);
        self.manifest_pushed(tx, repository, &facts, tags, bytes)
    }

    /// Removes a manifest with all its tags, and tells of it. False when it was not there.
    pub fn remove_manifest(
        &self,
        tx: &mut WriteTx<'_>,
        repository: &RepositoryName,
        digest: &Digest,
        removal: Removal,
    ) -> Result<bool, StoreError> {
        let Some(tags) = tx.remove_manifest(repository, digest, removal)? else {
            return Ok(false);
        };
        self.manifest_deleted(tx, repository, digest, tags)?;
        Ok(true)
    }

    /// As [`remove_manifest`](Self::remove_manifest), the last thing that its closure does.
    pub fn remove_manifest_last(
        &self,
        tx: &mut WriteTx<'_>,
        repository: &RepositoryName,
        digest: &Digest,
        removal: Removal,
    ) -> Result<bool, StoreError> {
        // Before, because nothing is written behind it; without it nothing is kept of this.
        if self.is_heard() && tx.manifest_facts(repository, digest)?.is_some() {
            let tags = tx.tags_on(repository, digest)?;
            let tags = tags.iter().map(Tag::to_string).collect();
            self.manifest_deleted(tx, repository, digest, tags)?;
        }
        tx.remove_manifest_last(repository, digest, removal)
    }

    /// A manifest went, and these tags with it: one change, however many they are.
    pub fn manifest_deleted(
        &self,
        tx: &mut WriteTx<'_>,
        repository: &RepositoryName,
        digest: &Digest,
        tags: Vec<String>,
    ) -> Result<(), StoreError> {
        let target = ChangeTarget::Manifest(*digest);
        self.record(tx, ChangeAction::Delete, target, repository, |change| {
            change.tags = tags;
        })
    }

    /// Tags went, and their manifests stayed.
    pub fn tags_deleted<'t>(
        &self,
        tx: &mut WriteTx<'_>,
        repository: &RepositoryName,
        tags: impl IntoIterator<Item = &'t Tag>,
    ) -> Result<(), StoreError> {
        if !self.is_heard() {
            return Ok(());
        }
        let tags: Vec<String> = tags.into_iter().map(Tag::to_string).collect();
        if tags.is_empty() {
            return Ok(());
        }
        let target = ChangeTarget::Tags;
        self.record(tx, ChangeAction::Delete, target, repository, |change| {
            change.tags = tags;
        })
    }

    /// A repository went, or has another name now.
    pub fn repository_deleted(
        &self,
        tx: &mut WriteTx<'_>,
        repository: &RepositoryName,
    ) -> Result<(), StoreError> {
        let target = ChangeTarget::Repository;
        self.record(tx, ChangeAction::Delete, target, repository, |_| {})
    }

    /// All that a repository holds arrived, because it has this name now.
    pub fn repository_named(
        &self,
        tx: &mut WriteTx<'_>,
        repository: &RepositoryName,
    ) -> Result<(), StoreError> {
        if !self.is_heard() {
            return Ok(());
        }
        let mut last = None;
        loop {
            let part = tx.manifest_digests(repository, last.as_ref(), DIGESTS_AT_ONCE)?;
            for digest in &part {
                let tags = tx.tags_on(repository, digest)?;
                self.manifest_set(tx, repository, digest, &tags)?;
            }
            if part.len() < DIGESTS_AT_ONCE {
                return Ok(());
            }
            last = part.into_iter().next_back();
        }
    }

    fn wants_references(&self) -> bool {
        let listeners = self.listeners.as_deref().unwrap_or_default();
        listeners.iter().any(|own| own.references)
    }

    fn record(
        &self,
        tx: &mut WriteTx<'_>,
        action: ChangeAction,
        target: ChangeTarget,
        repository: &RepositoryName,
        fill: impl FnOnce(&mut Change),
    ) -> Result<(), StoreError> {
        let Some(listeners) = &self.listeners else {
            return Ok(());
        };
        let mut change = self.change(tx, action, target, repository)?;
        fill(&mut change);
        if listeners.iter().any(|own| own.filter.wants(&change)) {
            tx.add_to_outbox(&change)?;
        }
        Ok(())
    }

    fn change(
        &self,
        tx: &WriteTx<'_>,
        action: ChangeAction,
        target: ChangeTarget,
        repository: &RepositoryName,
    ) -> Result<Change, StoreError> {
        let origin = self.origin.as_ref();
        let named = || origin.and_then(|origin| origin.actor.as_deref());
        let actor = tx.actor().or_else(named).map(str::to_owned);
        Ok(Change {
            at_ms: unix_ms(tx.now()),
            salt: salt()?,
            action,
            target,
            repository: repository.clone(),
            from: None,
            size: 0,
            media_type: None,
            tags: Vec::new(),
            refers_to: None,
            actor,
            request: request(origin),
        })
    }
}

/// Digests that are read at once.
const DIGESTS_AT_ONCE: usize = 500;

/// The request of an origin as the outbox keeps it.
fn request(origin: Option<&Origin>) -> Option<String> {
    // Nothing in it can fail to be JSON.
    serde_json::to_string(&origin?.request).ok()
}

fn salt() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| {
        StoreError::new(ErrorKind::Io, "making", "the id of an event").because(error.to_string())
    })
}

impl Registry {
    /// Tells those who want to know of pulls that a blob was fetched, or looked for and found.
    pub fn blob_pulled(&self, repository: &RepositoryName, digest: &Digest, size: u64) {
        if self.events.hear_pulls() {
            let target = ChangeTarget::Blob(*digest);
            self.tell_of_pull(target, repository, |change| change.size = size);
        }
    }

    /// The same of a manifest, which was asked for as `reference`.
    pub fn manifest_pulled(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        manifest: &ManifestFacts,
    ) {
        if !self.events.hear_pulls() {
            return;
        }
        let target = ChangeTarget::Manifest(manifest.digest);
        self.tell_of_pull(target, repository, |change| {
            change.size = manifest.size;
            change.media_type = Some(manifest.media_type.clone());
            if let Reference::Tag(tag) = reference {
                change.tags = vec![tag.to_string()];
            }
        });
    }

    fn tell_of_pull(
        &self,
        target: ChangeTarget,
        repository: &RepositoryName,
        fill: impl FnOnce(&mut Change),
    ) {
        let origin = Origin::current();
        let mut pull = Change {
            at_ms: unix_ms(self.catalog.now()),
            salt: salt().unwrap_or_default(),
            action: ChangeAction::Pull,
            target,
            repository: repository.clone(),
            from: None,
            size: 0,
            media_type: None,
            tags: Vec::new(),
            refers_to: None,
            actor: origin.as_ref().and_then(|origin| origin.actor.clone()),
            request: request(origin.as_ref()),
        };
        fill(&mut pull);
        let is_head = origin.is_some_and(|origin| origin.request.method == "HEAD");
        let listeners = self.events.listeners();
        let wanting = listeners
            .iter()
            .filter(|own| (own.pull_head || !is_head) && own.filter.wants(&pull));
        let mut told = false;
        for listener in wanting {
            if let Some(queue) = &listener.pulls {
                queue.add(pull.clone());
                told = true;
            }
        }
        if told {
            self.events.ring();
        }
    }
}
