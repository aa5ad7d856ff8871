//! The queue of the collection: blobs that no manifest of their repository uses.
//!
//! The queue is an index over the rows themselves, so nothing can be in it that is used, nor out of
//! it that is not. Whether something is taken is decided by the registry.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, DigestColumn, limit, time};
use crate::clock::unix_ms;
use crate::oci::{Digest, RepositoryName};
use crate::store::Error;

statements! {
    LIST = "SELECT rb.collect_after, rb.repository_id, rb.digest, b.size, b.holders, b.pasts,
            iif(r.is_past, NULL, r.name)
        FROM repository_blob rb JOIN blob b ON b.digest = rb.digest
        JOIN repository r ON r.id = rb.repository_id
        WHERE rb.collect_after <= ?4
        AND (rb.collect_after, rb.repository_id, rb.digest) > (?1, ?2, ?3)
        ORDER BY rb.collect_after, rb.repository_id, rb.digest LIMIT ?5";
    TAKE = "DELETE FROM repository_blob WHERE repository_id = ?1 AND digest = ?2
        AND uses = 0 AND collect_after <= ?3";
    IS_DUE = "SELECT 1 FROM repository_blob WHERE collect_after <= ?1 LIMIT 1";
    IS_MANIFEST_DUE = "SELECT 1 FROM manifest WHERE removed_at <= ?1 LIMIT 1";
    IS_HISTORY_DUE = "SELECT 1 FROM tag_history
        WHERE ended_how IN (2, 3) AND ended_at <= ?1 LIMIT 1";
    COUNT = "SELECT count(*) FROM repository_blob WHERE collect_after <= ?1";
    UNUSED = "SELECT count(*) FROM repository_blob rb JOIN repository r ON r.id = rb.repository_id
        WHERE rb.digest = ?1 AND rb.uses = 0 AND r.is_past = 0";
    USES = "SELECT rb.uses, b.size, b.holders, b.pasts FROM repository_blob rb
        JOIN blob b ON b.digest = rb.digest WHERE rb.repository_id = ?1 AND rb.digest = ?2";
}

/// How a blob of a repository is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobUses {
    /// How often manifests of the repository name it.
    pub uses: u64,
    /// Its length in bytes.
    pub size: u64,
    /// How many repositories and pasts hold it, this one included.
    pub holders: u64,
    /// How many of these are pasts.
    pub pasts: u64,
}

/// A blob that nothing in its repository uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collectable {
    /// When it may be taken.
    pub after: SystemTime,
    /// The repository, or a past of one; internal.
    pub repository: i64,
    /// Its name; `None` for a past.
    pub name: Option<RepositoryName>,
    /// The blob.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// How many repositories and pasts hold it, this one included.
    pub holders: u64,
    /// How many of these are pasts.
    pub pasts: u64,
}

impl ReadTx<'_> {
    /// Up to `limit` blobs that may be taken at `until`, those that wait longest first, after
    /// `last`.
    pub fn collectable(
        &self,
        last: Option<&Collectable>,
        until: SystemTime,
        limit: usize,
    ) -> Result<Vec<Collectable>, Error> {
        let (after, repository) =
            last.map_or((i64::MIN, 0), |last| (unix_ms(last.after), last.repository));
        let digest = DigestColumn::after(last.map(|last| &last.digest));
        let params = (
            after,
            repository,
            digest,
            unix_ms(until),
            self::limit(limit),
        );
        let collectable = |row: &rusqlite::Row<'_>| {
            Ok(Collectable {
                after: time(row.get(0)?),
                repository: row.get(1)?,
                digest: row.get(2)?,
                size: row.get::<_, Count>(3)?.0,
                holders: row.get::<_, Count>(4)?.0 + row.get::<_, Count>(5)?.0,
                pasts: row.get::<_, Count>(5)?.0,
                name: row.get(6)?,
            })
        };
        self.all(LIST, params, collectable)
            .map_err(|error| self.failed(&error, "listing", "blobs that nothing uses"))
    }

    /// Whether a blob may be taken at `until`, or something was removed at `removed_before` or
    /// earlier.
    pub fn is_collection_due(
        &self,
        until: SystemTime,
        removed_before: SystemTime,
    ) -> Result<bool, Error> {
        let (until, before) = (unix_ms(until), unix_ms(removed_before));
        let is_due = || {
            for (sql, time) in [
                (IS_DUE, until),
                (IS_MANIFEST_DUE, before),
                (IS_HISTORY_DUE, before),
            ] {
                if self.one(sql, (time,), |_| Ok(()))?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        is_due().map_err(|error| self.failed(&error, "looking at", "the queue of the collection"))
    }

    /// How many blobs of repositories may be taken at `until`.
    pub fn count_collectable(&self, until: SystemTime) -> Result<u64, Error> {
        let count = self.one(COUNT, (unix_ms(until),), |row| {
            Ok(row.get::<_, Count>(0)?.0)
        });
        count
            .map(Option::unwrap_or_default)
            .map_err(|error| self.failed(&error, "counting", "blobs that nothing uses"))
    }

    /// How many repositories hold the blob and do not use it.
    pub fn unused_holders(&self, digest: &Digest) -> Result<u64, Error> {
        let count = self.one(UNUSED, (DigestColumn::from(digest),), |row| {
            Ok(row.get::<_, Count>(0)?.0)
        });
        count
            .map(Option::unwrap_or_default)
            .map_err(|error| self.failed(&error, "looking up the blob", digest))
    }

    /// How the repository (or past) uses a blob; `None` when it does not hold it.
    pub fn blob_uses(&self, repository: i64, digest: &Digest) -> Result<Option<BlobUses>, Error> {
        let uses = |row: &rusqlite::Row<'_>| {
            Ok(BlobUses {
                uses: row.get::<_, Count>(0)?.0,
                size: row.get::<_, Count>(1)?.0,
                holders: row.get::<_, Count>(2)?.0 + row.get::<_, Count>(3)?.0,
                pasts: row.get::<_, Count>(3)?.0,
            })
        };
        self.one(USES, (repository, DigestColumn::from(digest)), uses)
            .map_err(|error| self.failed(&error, "looking up the blob", digest))
    }
}

impl WriteTx<'_> {
    /// Takes a blob from its repository if it is still so that nothing uses it and it may be taken
    /// at `until`. False when it is not so any more. Repositories are left empty: the caller goes
    /// on with [`remove_if_empty`](Self::remove_if_empty).
    pub fn collect(&mut self, item: &Collectable, until: SystemTime) -> Result<bool, Error> {
        let digest = DigestColumn::from(&item.digest);
        self.execute(TAKE, (item.repository, digest, unix_ms(until)))
            .map(|taken| taken > 0)
            .map_err(|error| self.failed(&error, "collecting the blob", item.digest))
    }

    /// Removes those of the repositories of these items in which nothing is left.
    pub fn remove_if_empty(&mut self, items: &[Collectable]) -> Result<(), Error> {
        let repositories: BTreeSet<i64> = items.iter().map(|item| item.repository).collect();
        repositories
            .into_iter()
            .try_for_each(|repository| self.delete_empty_repository(repository))
    }
}
