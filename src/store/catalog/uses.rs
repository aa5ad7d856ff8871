//! How many manifests of a repository use each of its blobs. What none uses waits for collection.
//!
//! The number stands with the row that lets the repository read the blob, so that neither a push
//! nor the collection looks for manifests. Whoever writes or removes references of a manifest calls
//! this; the schema's triggers keep the sums of bytes.

use super::rows::ReferenceKind;
use super::transaction::{WriteTx, statements};
use super::values::DigestColumn;
use crate::oci::Digest;

statements! {
    ADD = "UPDATE repository_blob SET uses = uses + 1, collect_after = NULL
        WHERE repository_id = ?1 AND digest = ?2";
    REMOVE = "UPDATE repository_blob
        SET uses = uses - 1, collect_after = iif(uses = 1, ?3, NULL)
        WHERE repository_id = ?1 AND digest = ?2";
    ADD_MISSING = "INSERT INTO missing_blob (repository_id, digest, uses) VALUES (?1, ?2, ?3)
        ON CONFLICT DO UPDATE SET uses = uses + excluded.uses";
    REMOVE_LAST_MISSING = "DELETE FROM missing_blob
        WHERE repository_id = ?1 AND digest = ?2 AND uses = 1";
    REMOVE_MISSING = "UPDATE missing_blob SET uses = uses - 1
        WHERE repository_id = ?1 AND digest = ?2";
    FOUND = "DELETE FROM missing_blob WHERE repository_id = ?1 AND digest = ?2";
    // From the digest: it is the child of few indexes, a repository may have many.
    CHILD_USES = "SELECT count(*) FROM manifest_reference f
        CROSS JOIN manifest m ON m.id = f.manifest_id
        WHERE f.kind = 3 AND f.digest = ?2 AND m.repository_id = ?1";
    HOLDS = "SELECT uses FROM repository_blob WHERE repository_id = ?1 AND digest = ?2";
    // How often it is used already, and what it is linked with, in one statement: each push of a
    // blob comes here.
    USED = "SELECT ifnull((SELECT uses FROM missing_blob
            WHERE repository_id = ?1 AND digest = ?2), 0),
        (SELECT count(*) FROM manifest_reference f CROSS JOIN manifest m ON m.id = f.manifest_id
            WHERE f.kind = 3 AND f.digest = ?2 AND m.repository_id = ?1)";
    LINK = "INSERT INTO repository_blob (repository_id, digest, uses, collect_after)
        VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT DO UPDATE SET collect_after = ?5 WHERE uses = 0";
    UNLINK = "DELETE FROM repository_blob WHERE repository_id = ?1 AND digest = ?2";
}

impl WriteTx<'_> {
    /// A manifest of the repository refers to the digest now.
    pub(super) fn add_use(
        &self,
        repository: i64,
        kind: ReferenceKind,
        digest: &Digest,
    ) -> rusqlite::Result<()> {
        let held = self.execute(ADD, (repository, DigestColumn::from(digest)))? > 0;
        // The child of an index is found by its own index should it come later.
        if !held && kind != ReferenceKind::Child {
            let params = (repository, DigestColumn::from(digest), 1);
            self.execute(ADD_MISSING, params)?;
        }
        Ok(())
    }

    /// A manifest of the repository does not refer to the digest any more.
    pub(super) fn remove_use(
        &self,
        repository: i64,
        kind: ReferenceKind,
        digest: &Digest,
    ) -> rusqlite::Result<()> {
        let params = (repository, DigestColumn::from(digest), self.now_ms());
        let held = self.execute(REMOVE, params)? > 0;
        if !held && kind != ReferenceKind::Child {
            let params = || (repository, DigestColumn::from(digest));
            if self.execute(REMOVE_LAST_MISSING, params())? == 0 {
                self.execute(REMOVE_MISSING, params())?;
            }
        }
        Ok(())
    }

    /// Lets a repository read a blob; what it has and nothing uses is kept for another grace.
    pub(super) fn link(&self, repository: i64, digest: &Digest) -> rusqlite::Result<()> {
        let params = || (repository, DigestColumn::from(digest));
        let found = self.one(USED, params(), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (missing, children): (i64, i64) = found.unwrap_or_default();
        let uses = missing + children;
        let again = self.collect_after_ms();
        let after = (uses == 0).then_some(again);
        let own = DigestColumn::from(digest);
        self.execute(LINK, (repository, own, uses, after, again))?;
        if missing > 0 {
            self.execute(FOUND, params())?;
        }
        Ok(())
    }

    /// Takes a blob from a repository, used or not. False when it did not have it.
    pub(super) fn unlink(&self, repository: i64, digest: &Digest) -> rusqlite::Result<bool> {
        let params = || (repository, DigestColumn::from(digest));
        let uses: Option<i64> = self.one(HOLDS, params(), |row| row.get(0))?;
        let Some(uses) = uses else {
            return Ok(false);
        };
        if uses > 0 {
            let missing = uses - self.child_uses(repository, digest)?;
            if missing > 0 {
                let params = (repository, DigestColumn::from(digest), missing);
                self.execute(ADD_MISSING, params)?;
            }
        }
        self.execute(UNLINK, params())?;
        Ok(true)
    }

    /// Whether the repository may read the blob.
    pub(super) fn is_linked(&self, repository: i64, digest: &Digest) -> rusqlite::Result<bool> {
        let params = (repository, DigestColumn::from(digest));
        let uses: Option<i64> = self.one(HOLDS, params, |row| row.get(0))?;
        Ok(uses.is_some())
    }

    fn child_uses(&self, repository: i64, digest: &Digest) -> rusqlite::Result<i64> {
        let params = (repository, DigestColumn::from(digest));
        let count = self.one(CHILD_USES, params, |row| row.get(0))?;
        Ok(count.unwrap_or(0))
    }
}
