//! Pushing, reading and deleting manifests.

use std::collections::BTreeSet;

use super::policy::Rules;
use super::{Error, Registry, immutable, quotas};
use crate::clock::Life;
use crate::oci::{
    Algorithm, Descriptor, Digest, Manifest, ManifestKind, MediaType, Reference, RepositoryName,
    Tag,
};
use crate::store::Error as StoreError;
use crate::store::catalog::{
    ManifestFacts, ManifestRow, NewManifest, ReadTx, ReferenceKind, WriteTx,
};
use crate::store::space::Claim;

/// The annotation of a manifest that says how long its tags live after a push: `90s`, `12h`, `30d`.
pub const TIME_TO_LIVE: &str = "io.coracle.ttl";

/// So much of a value that is wrong is said.
const FOUND_CHARACTERS_MAX: usize = 60;

/// The most times that a tag is looked up anew because manifests are being taken.
const LOOKS_MAX: usize = 3;

/// What a push of a manifest did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest under which the manifest is stored.
    pub digest: Digest,
    /// The manifest it is about.
    pub subject: Option<Digest>,
}

impl Registry {
    /// A manifest with its bytes. Who is told of one may refer to it: it is kept for the grace.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`], [`Error::Store`].
    pub fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestRow, Error> {
        let look = || match reference {
            Reference::Tag(tag) => self
                .catalog
                .read_at_once(|tx| tx.manifest_by_tag(repository, tag)),
            Reference::Digest(digest) => self
                .catalog
                .read_at_once(|tx| tx.manifest(repository, digest)),
        };
        let row = self.leased(reference, look, |row| row.digest)?;
        row.ok_or_else(|| Error::ManifestUnknown {
            reference: reference.clone(),
        })
    }

    /// A manifest without its bytes. As [`manifest`](Self::manifest), it is kept for the grace.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`], [`Error::Store`].
    pub fn manifest_facts(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestFacts, Error> {
        let look = || {
            self.catalog.read_at_once(|tx| match reference {
                Reference::Tag(tag) => tx.manifest_facts_by_tag(repository, tag),
                Reference::Digest(digest) => tx.manifest_facts(repository, digest),
            })
        };
        let facts = self.leased(reference, look, |facts| facts.digest)?;
        facts.ok_or_else(|| Error::ManifestUnknown {
            reference: reference.clone(),
        })
    }

    /// Looks a manifest up so that it has its lease when the client is told of it.
    pub(super) fn leased<T>(
        &self,
        reference: &Reference,
        look: impl Fn() -> Result<Option<T>, StoreError>,
        digest: impl Fn(&T) -> Digest,
    ) -> Result<Option<T>, StoreError> {
        if let Reference::Digest(digest) = reference {
            self.lease(digest);
            return look();
        }
        // What a tag points to is known only afterwards. If manifests were taken meanwhile, this
        // one may have been among them; with its lease it is not any more. The tag may also have
        // moved; that it does so each time is not worth waiting for.
        let mut taken = self.leases.manifests_taken();
        let mut found = look()?;
        for _ in 0..LOOKS_MAX {
            let Some(manifest) = &found else { break };
            let was_taken = self.lease(&digest(manifest));
            let taken_now = self.leases.manifests_taken();
            if !was_taken && taken_now == taken {
                break;
            }
            taken = taken_now;
            found = look()?;
        }
        Ok(found)
    }

    /// Stores a manifest exactly as it is, and sets the reference (when it is a tag) and `tags`, on
    /// behalf of `actor`.
    ///
    /// # Errors
    /// [`Error::ManifestInvalid`], [`Error::ManifestTooLarge`],
    /// [`Error::ManifestReferencesTooMany`], [`Error::ManifestReferencesMissing`],
    /// [`Error::DigestMismatch`], [`Error::TimeToLiveInvalid`], [`Error::QuotaExceeded`],
    /// [`Error::TagImmutable`], [`Error::Store`].
    pub fn push_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        tags: Vec<Tag>,
        content_type: Option<&str>,
        bytes: Vec<u8>,
        actor: Option<&str>,
    ) -> Result<Pushed, Error> {
        let _room = self.admit_manifest(bytes.len() as u64)?;
        let (digest, mut tags) = match reference {
            Reference::Tag(tag) => (
                Digest::of(Algorithm::Sha256, &bytes),
                [vec![tag.clone()], tags].concat(),
            ),
            Reference::Digest(expected) => (verified(expected, &bytes)?, tags),
        };
        tags.dedup();
        let manifest = Manifest::parse(&bytes, content_type).map_err(Error::ManifestInvalid)?;
        let references = self.references(&manifest)?;
        let life = time_to_live(&manifest)?;
        let required = if self.options.references_check {
            required(&manifest)
        } else {
            Vec::new()
        };
        let pushed = Pushed {
            digest,
            subject: manifest.subject,
        };
        self.lease(&digest);
        let repository = repository.clone();
        let actor = actor.map(str::to_owned);
        let (rules, recorder) = (self.policy(), self.recorder());
        self.catalog.write(move |tx| {
            tx.set_actor(actor);
            let missing = missing(tx, &repository, &required)?;
            if !missing.is_empty() {
                return Err(Error::ManifestReferencesMissing { digests: missing });
            }
            let new = NewManifest {
                digest,
                media_type: &manifest.media_type,
                bytes: &bytes,
                artifact_type: manifest.artifact_type.as_deref(),
                annotations: &manifest.annotations,
                subject: manifest.subject,
                references: &references,
                is_tagged: !tags.is_empty(),
            };
            store(tx, &rules, &repository, &new, &tags, life)?;
            let facts = ManifestFacts {
                digest,
                media_type: manifest.media_type.clone(),
                size: bytes.len() as u64,
            };
            Ok(recorder.manifest_pushed(tx, &repository, &facts, &tags, &bytes)?)
        })?;
        Ok(pushed)
    }

    /// Room for a manifest of so many bytes, if it may be as long.
    fn admit_manifest(&self, bytes: u64) -> Result<Claim, Error> {
        let limit = self.options.manifest_bytes_max;
        if bytes > limit {
            return Err(Error::ManifestTooLarge { limit });
        }
        self.claim_row(bytes)
    }

    /// Removes a tag (the manifest stays), or a manifest with all its tags, on behalf of `actor`.
    /// It can be brought back for a time
    /// ([`Options::undo_window`](super::Options::undo_window)).
    ///
    /// # Errors
    /// [`Error::DeleteDisabled`], [`Error::NameUnknown`], [`Error::ManifestUnknown`],
    /// [`Error::TagImmutable`], [`Error::Store`].
    pub fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        actor: Option<&str>,
    ) -> Result<(), Error> {
        self.require_delete()?;
        let (name, target) = (repository.clone(), reference.clone());
        let (actor, removal) = (actor.map(str::to_owned), self.removal());
        let (rules, recorder) = (self.policy(), self.recorder());
        let found = self.catalog.write(move |tx| {
            tx.set_actor(actor);
            match &target {
                Reference::Tag(tag) => {
                    immutable::may_remove(tx, &rules, &name, tag)?;
                    let found = tx.delete_tag(&name, tag)?;
                    if found {
                        recorder.tags_deleted(tx, &name, [tag])?;
                    }
                    Ok::<_, Error>(found)
                }
                Reference::Digest(digest) => {
                    immutable::may_remove_manifest(tx, &rules, &name, digest)?;
                    Ok(recorder.remove_manifest(tx, &name, digest, removal)?)
                }
            }
        })?;
        if found {
            return Ok(());
        }
        let unknown = Error::ManifestUnknown {
            reference: reference.clone(),
        };
        Err(self.absent(repository, unknown))
    }

    /// Everything the manifest refers to, for the catalog.
    fn references(&self, manifest: &Manifest) -> Result<Vec<(ReferenceKind, Digest)>, Error> {
        let of = |kind: ReferenceKind| move |descriptor: &Descriptor| (kind, descriptor.digest);
        let references: Vec<_> = manifest
            .config
            .iter()
            .map(of(ReferenceKind::Config))
            .chain(manifest.layers.iter().map(of(ReferenceKind::Layer)))
            .chain(manifest.children.iter().map(of(ReferenceKind::Child)))
            .collect();
        let limit = self.options.references_max;
        if references.len() > limit {
            return Err(Error::ManifestReferencesTooMany {
                count: references.len(),
                limit,
            });
        }
        Ok(references)
    }
}

/// Writes a manifest and its tags, if rules about content allow it.
fn store(
    tx: &mut WriteTx<'_>,
    rules: &Rules,
    repository: &RepositoryName,
    manifest: &NewManifest<'_>,
    tags: &[Tag],
    life: Option<Life>,
) -> Result<(), Error> {
    for tag in tags {
        immutable::may_set(tx, rules, repository, tag, &manifest.digest)?;
    }
    quotas::admit_manifest(tx, rules, repository, manifest, tags)?;
    tx.put_manifest(repository, manifest)?;
    let end = life.map(|life| tx.now() + life.duration());
    for tag in tags {
        tx.set_tag(repository, tag, &manifest.digest, end)?;
    }
    Ok(())
}

/// How long the manifest says that its tags live.
fn time_to_live(manifest: &Manifest) -> Result<Option<Life>, Error> {
    let Some(text) = manifest.annotations.get(TIME_TO_LIVE) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(life) => Ok(Some(life)),
        Err(error) => Err(Error::TimeToLiveInvalid {
            found: text.chars().take(FOUND_CHARACTERS_MAX).collect(),
            error,
        }),
    }
}

/// The digest a manifest is pushed under, once its bytes were found to match.
fn verified(expected: &Digest, bytes: &[u8]) -> Result<Digest, Error> {
    let actual = Digest::of(expected.algorithm(), bytes);
    if actual == *expected {
        Ok(actual)
    } else {
        Err(Error::DigestMismatch {
            expected: *expected,
            actual: Some(actual),
        })
    }
}

/// What must be in the repository before the manifest is accepted, each digest once.
///
/// The subject never is. A layer that may be fetched from elsewhere need not be here, nor a child
/// of an index whose type is none that a registry stores as a manifest.
fn required(manifest: &Manifest) -> Vec<(ReferenceKind, Digest)> {
    let layers = manifest.layers.iter().filter(|layer| {
        let foreign = layer
            .media_type
            .as_ref()
            .is_some_and(MediaType::is_nondistributable);
        !layer.has_urls && !foreign
    });
    let children = manifest.children.iter().filter(|child| {
        let kind = child.media_type.as_ref().map(ManifestKind::of);
        !child.has_urls && !matches!(kind, Some(None))
    });
    let set: BTreeSet<(bool, Digest)> = manifest
        .config
        .iter()
        .chain(layers)
        .map(|descriptor| (false, descriptor.digest))
        .chain(children.map(|descriptor| (true, descriptor.digest)))
        .collect();
    set.into_iter()
        .map(|(child, digest)| {
            (
                if child {
                    ReferenceKind::Child
                } else {
                    ReferenceKind::Layer
                },
                digest,
            )
        })
        .collect()
}

/// Those of `required` that the repository does not hold, in digest order. A child may be a
/// manifest or a blob (build caches are pushed as an index of blobs).
fn missing(
    tx: &ReadTx<'_>,
    repository: &RepositoryName,
    required: &[(ReferenceKind, Digest)],
) -> Result<Vec<Digest>, StoreError> {
    let mut missing = Vec::new();
    for (kind, digest) in required {
        let child = *kind == ReferenceKind::Child;
        let held = child && tx.manifest_facts(repository, digest)?.is_some()
            || tx
                .repository_blob(repository, digest)?
                .is_some_and(|row| !row.quarantined);
        if !held {
            missing.push(*digest);
        }
    }
    Ok(missing)
}
