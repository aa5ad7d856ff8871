//! Going through the rows of a copied catalog: by shard, as their files lie, and comparing what it
//! holds itself with its digests. What backup and restore have in common.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::check::{FINDINGS_MAX, Finding, FindingKind};
use super::{Error, Progress, Tell};
use crate::oci::Digest;
use crate::store::Shard;
use crate::store::backup::{Put, Way};
use crate::store::catalog::{BlobRow, CatalogCopy, Totals};

/// Rows read at a time.
const ROWS_PER_READ: usize = 500;

/// Manifests read at a time: a few megabytes.
const MANIFESTS_PER_READ: usize = 50;

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Repositories.
    pub repositories: u64,
    /// Manifests.
    pub manifests: u64,
    /// Tags.
    pub tags: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub blob_bytes: u64,
}

impl From<Totals> for Contents {
    fn from(totals: Totals) -> Self {
        Self {
            repositories: totals.repositories,
            manifests: totals.manifests,
            tags: totals.tags,
            blobs: totals.blobs,
            blob_bytes: totals.blob_bytes,
        }
    }
}

/// How the files of blobs came where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// They were there already.
    pub kept: u64,
    /// By one more name for the same file.
    pub linked: u64,
    /// As files that share their bytes.
    pub cloned: u64,
    /// As copies.
    pub copied: u64,
    /// Bytes of the files that were not there already.
    pub new_bytes: u64,
}

impl Files {
    fn add(&mut self, way: Way, bytes: u64) {
        *match way {
            Way::Linked => &mut self.linked,
            Way::Cloned => &mut self.cloned,
            Way::Copied => &mut self.copied,
        } += 1;
        self.new_bytes += bytes;
    }
}

/// What is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// How much.
    pub count: u64,
    /// The first [`FINDINGS_MAX`] of it.
    pub findings: Vec<Finding>,
    /// Blobs that must not be served.
    #[serde(skip)]
    pub(super) blobs: BTreeSet<Digest>,
}

impl Faults {
    /// Notes one; `repaired` when it is dealt with.
    pub(super) fn add(&mut self, kind: FindingKind, subject: &impl ToString, repaired: bool) {
        self.count += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding {
                kind,
                subject: subject.to_string(),
                repaired,
            });
        }
    }

    /// Notes a blob that must not be served; `repaired` when the copy says so.
    pub(super) fn add_blob(&mut self, kind: FindingKind, digest: &Digest, repaired: bool) {
        self.blobs.insert(*digest);
        self.add(kind, digest, repaired);
    }

    /// Notes what came of bringing a blob's file.
    pub(super) fn of_put(
        &mut self,
        put: Put,
        digest: &Digest,
        row: &BlobRow,
        files: &mut Files,
        repaired: bool,
    ) {
        let kind = match put {
            Put::There(way) => return files.add(way, row.size),
            Put::Missing => FindingKind::BlobMissing,
            Put::WrongSize => FindingKind::BlobWrongSize,
            Put::Corrupt => FindingKind::BlobCorrupt,
        };
        self.add_blob(kind, digest, repaired);
    }
}

/// The blob rows of a copy in the order of shards.
pub(super) struct Rows<'c> {
    copy: &'c CatalogCopy,
    read: VecDeque<(Digest, BlobRow)>,
    last: Option<Digest>,
    at_end: bool,
}

impl<'c> Rows<'c> {
    pub(super) fn new(copy: &'c CatalogCopy) -> Self {
        Self {
            copy,
            read: VecDeque::new(),
            last: None,
            at_end: false,
        }
    }

    /// The next row of this shard; `None` when the next is of another one. Shards are asked for
    /// in their order.
    pub(super) fn next_of(&mut self, shard: Shard) -> Result<Option<(Digest, BlobRow)>, Error> {
        if self.read.is_empty() && !self.at_end {
            let rows = self
                .copy
                .read(|tx| tx.blobs(self.last.as_ref(), ROWS_PER_READ))?;
            self.last = rows.last().map(|(digest, _)| *digest);
            self.at_end = rows.is_empty();
            self.read.extend(rows);
        }
        let next = self.read.front().map(|(digest, _)| Shard::of(digest));
        Ok(if next == Some(shard) {
            self.read.pop_front()
        } else {
            None
        })
    }
}

/// Whether the bytes beside a row hash to its digest.
pub(super) fn is_right_inline(copy: &CatalogCopy, digest: &Digest) -> Result<bool, Error> {
    let bytes = copy.read(|tx| tx.inline_bytes(digest))?;
    Ok(bytes.is_some_and(|bytes| Digest::of(digest.algorithm(), &bytes) == *digest))
}

/// Hashes all manifests of a copy and notes those that are wrong.
pub(super) fn check_manifests(
    copy: &CatalogCopy,
    faults: &mut Faults,
    progress: &mut Progress,
    tell: &mut Tell<'_>,
) -> Result<(), Error> {
    let mut last: Option<(String, Digest)> = None;
    loop {
        let after = last.as_ref().map(|(name, digest)| (name.as_str(), digest));
        let rows = copy.read(|tx| tx.manifests(after, MANIFESTS_PER_READ))?;
        let Some((name, row)) = rows.last() else {
            return Ok(());
        };
        last = Some((name.clone(), row.digest));
        for (name, row) in &rows {
            if Digest::of(row.digest.algorithm(), &row.bytes) != row.digest {
                let subject = format!("{name}@{}", row.digest);
                faults.add(FindingKind::ManifestCorrupt, &subject, false);
            }
        }
        progress.done += rows.len() as u64;
        tell(progress);
    }
}
