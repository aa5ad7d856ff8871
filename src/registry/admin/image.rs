//! An image as a whole: its manifest with all children and referrers, and what they use.
//!
//! The work is that of the image, however large the store is, and it has a bound.

use std::collections::{BTreeMap, BTreeSet};

use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::Error;
use crate::store::catalog::{Node, ReadTx, ReferenceKind, Use};

/// Which manifests belong to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Those that a pull may need: children, and children of these.
    Children,
    /// Those that go with it: children and referrers, and theirs.
    Referrers,
}

/// An image.
pub(super) struct Image {
    parts: BTreeMap<Digest, Part>,
}

struct Part {
    node: Node,
    uses: Vec<Use>,
}

/// What an image takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Takes {
    /// Blobs that nothing else uses.
    pub alone: u64,
    /// Blobs that something else uses too.
    pub shared: u64,
    /// Manifests that nothing else holds.
    pub manifests: u64,
}

impl Image {
    /// The image of a manifest; `None` when the repository has no such manifest or more than `max`
    /// manifests belong to it.
    pub(super) fn of(
        tx: &ReadTx<'_>,
        repository: &RepositoryName,
        root: Digest,
        extent: Extent,
        max: usize,
    ) -> Result<Option<Self>, Error> {
        let (mut parts, mut next) = (BTreeMap::new(), vec![root]);
        while let Some(digest) = next.pop() {
            if parts.contains_key(&digest) {
                continue;
            }
            // The child of an index may be a blob, or not be there.
            let Some(node) = tx.node(repository, &digest)? else {
                continue;
            };
            let uses = tx.uses_of(&node)?;
            next.extend(children(&uses));
            if extent == Extent::Referrers {
                next.extend(tx.referrers_of(&node, max)?);
            }
            parts.insert(digest, Part { node, uses });
            if parts.len() > max || next.len() > REFERENCES_MAX {
                return Ok(None);
            }
        }
        Ok((!parts.is_empty()).then_some(Self { parts }))
    }

    /// The sum of the sizes of its blobs, each once.
    pub(super) fn bytes(&self) -> u64 {
        let sizes: BTreeMap<Digest, u64> = self
            .parts
            .values()
            .flat_map(|part| &part.uses)
            .map(|own| (own.digest, own.size.unwrap_or(0)))
            .collect();
        sizes.values().sum()
    }

    /// What it takes alone and what it shares, when all that holds it is `tag`.
    pub(super) fn takes(&self, tx: &ReadTx<'_>, tag: Option<&Tag>) -> Result<Takes, Error> {
        let alone = self.held_alone(tx, tag)?;
        let mut takes = Takes::default();
        // How often a manifest that goes with it names the blob, and what the blob is.
        let mut blobs: BTreeMap<Digest, (u64, Use)> = BTreeMap::new();
        for (digest, part) in &self.parts {
            let goes = alone.contains(digest);
            takes.manifests += if goes { part.node.size } else { 0 };
            for own in &part.uses {
                blobs.entry(own.digest).or_insert((0, *own)).0 += u64::from(goes);
            }
        }
        for (named, own) in blobs.values() {
            let size = own.size.unwrap_or(0);
            if own.holders == 1 && own.uses == *named {
                takes.alone += size;
            } else {
                takes.shared += size;
            }
        }
        Ok(takes)
    }

    /// Those of its manifests that nothing outside holds: no other tag, no index, no subject.
    fn held_alone(&self, tx: &ReadTx<'_>, tag: Option<&Tag>) -> Result<BTreeSet<Digest>, Error> {
        let mut alone: BTreeSet<Digest> = self.parts.keys().copied().collect();
        let mut held = Vec::new();
        for (digest, part) in &self.parts {
            // One more than there are can only be from outside.
            let above = tx.indexes_above(&part.node, self.parts.len() + 1)?;
            let subject = self.subject_outside(tx, part)?;
            let outside = above.iter().any(|index| !self.parts.contains_key(index));
            if outside || subject || tx.has_other_tag(&part.node, tag)? {
                held.push(*digest);
            }
        }
        // What is held holds its children and referrers.
        while let Some(digest) = held.pop() {
            if !alone.remove(&digest) {
                continue;
            }
            if let Some(part) = self.parts.get(&digest) {
                held.extend(children(&part.uses));
            }
            let about = self.parts.iter();
            let about = about.filter(|(_, part)| part.node.subject == Some(digest));
            held.extend(about.map(|(own, _)| *own));
        }
        Ok(alone)
    }

    /// Whether it is about a manifest that is there and does not belong to the image.
    fn subject_outside(&self, tx: &ReadTx<'_>, part: &Part) -> Result<bool, Error> {
        match &part.node.subject {
            Some(subject) if !self.parts.contains_key(subject) => {
                tx.has_sibling(&part.node, subject)
            }
            _ => Ok(false),
        }
    }
}

/// The most manifests that wait to be looked at.
const REFERENCES_MAX: usize = 100_000;

fn children(uses: &[Use]) -> impl Iterator<Item = Digest> {
    let children = uses.iter().filter(|own| own.kind == ReferenceKind::Child);
    children.map(|own| own.digest)
}
