//! The queue of the collection: blobs that no manifest of their repository uses.
//!
//! The queue is an index over the rows themselves, so nothing can be in it that is used, nor out of
//! it that is not. Whether something is taken is decided by the registry.

use std::time::SystemTime;

use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, DigestColumn, limit, time};
use crate::clock::unix_ms;
use crate::oci::Digest;
use crate::store::Error;

statements! {
    LIST = "SELECT rb.collect_after, rb.repository_id, rb.digest, b.size, b.holders, b.pasts
        FROM repository_blob rb JOIN blob b ON b.digest = rb.digest
        WHERE rb.collect_after <= ?4
        AND (rb.collect_after, rb.repository_id, rb.digest) > (?1, ?2, ?3)
        ORDER BY rb.collect_after, rb.repository_id, rb.digest LIMIT ?5";
    TAKE = "DELETE FROM repository_blob WHERE repository_id = ?1 AND digest = ?2
        AND uses = 0 AND collect_after <= ?3";
}

/// A blob that nothing in its repository uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collectable {
    /// When it may be taken.
    pub after: SystemTime,
    /// The repository, or a past of one; internal.
    pub repository: i64,
    /// The blob.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// How many repositories and pasts hold it, this one included.
    pub holders: u64,
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
            })
        };
        self.all(LIST, params, collectable)
            .map_err(|error| self.failed(&error, "listing", "blobs that nothing uses"))
    }
}

impl WriteTx<'_> {
    /// Takes a blob from its repository if it is still so that nothing uses it and it may be taken
    /// at `until` (and the repository, when that was its last content). False when it is not so
    /// any more.
    pub fn collect(&mut self, item: &Collectable, until: SystemTime) -> Result<bool, Error> {
        let digest = DigestColumn::from(&item.digest);
        let taken = self
            .execute(TAKE, (item.repository, digest, unix_ms(until)))
            .map_err(|error| self.failed(&error, "collecting the blob", item.digest))?;
        if taken > 0 {
            self.delete_empty_repository(item.repository)?;
        }
        Ok(taken > 0)
    }
}
