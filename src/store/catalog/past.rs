//! What was removed from a repository and can be brought back: its past.
//!
//! A past is a repository whose name begins with '~'. A manifest that is removed moves there with
//! its uses of blobs, and moves back when it is wanted again; neither copies a byte of a blob. Only
//! when its time is over is it forgotten, and what it used alone waits for collection.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::rows::{PastManifest, ReferenceKind, RemovedManifest};
use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, DigestColumn, limit, time};
use crate::clock::unix_ms;
use crate::oci::{Digest, RepositoryName};
use crate::store::Error;

statements! {
    ID = "SELECT id FROM repository WHERE name = ?1";
    MAKE = "INSERT INTO repository (name, created_at, is_past) VALUES (?1, ?2, 1) RETURNING id";
    MOVE = "UPDATE manifest SET repository_id = ?2, removed_at = ?3 WHERE id = ?1";
    MOVE_AS_IS = "UPDATE manifest SET repository_id = ?2 WHERE id = ?1";
    REFERENCES = "SELECT kind, digest FROM manifest_reference WHERE manifest_id = ?1
        ORDER BY position";
    DELETE = "DELETE FROM manifest WHERE id = ?1";
    LIST = "SELECT m.digest, m.removed_at, m.size, m.media_type, m.id FROM repository r
        JOIN manifest m ON m.repository_id = r.id
        WHERE r.name = ?1 AND m.digest > ?2 ORDER BY m.digest LIMIT ?3";
    OVER = "SELECT id, repository_id FROM manifest
        WHERE removed_at IS NOT NULL AND removed_at <= ?1 ORDER BY removed_at LIMIT ?2";
    OVER_AFTER = "SELECT id, repository_id, removed_at FROM manifest
        WHERE removed_at <= ?1 AND (removed_at, id) > (?2, ?3) ORDER BY removed_at, id LIMIT ?4";
    WAITING = "SELECT count(*), max(removed_at) FROM manifest WHERE removed_at > ?1";
    SET_REMOVED = "UPDATE repository SET removed_at = ?2 WHERE id = ?1";
    RENAME = "UPDATE repository SET name = ?2 WHERE id = ?1";
    MANIFESTS = "SELECT id, digest FROM manifest WHERE repository_id = ?1";
    REMOVED = "SELECT removed_at FROM repository WHERE name = ?1";
}

pub(super) fn past_name(name: &RepositoryName) -> String {
    format!("~{name}")
}

impl ReadTx<'_> {
    /// Up to `limit` manifests that were removed from the repository and can be brought back,
    /// after `last` by digest.
    pub fn removed_manifests(
        &self,
        name: &RepositoryName,
        last: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<RemovedManifest>, Error> {
        let removed = |row: &rusqlite::Row<'_>| {
            Ok(RemovedManifest {
                digest: row.get(0)?,
                removed_at: time(row.get(1)?),
                size: row.get::<_, Count>(2)?.0,
                media_type: row.get(3)?,
            })
        };
        let params = (
            past_name(name),
            DigestColumn::after(last),
            self::limit(limit),
        );
        self.all(LIST, params, removed)
            .map_err(|error| self.failed(&error, "listing what was removed from", name))
    }

    /// When the repository was last removed as a whole, if that can still be brought back.
    pub fn repository_removed_at(
        &self,
        name: &RepositoryName,
    ) -> Result<Option<SystemTime>, Error> {
        let removed = self.one(REMOVED, (past_name(name),), |row| {
            Ok(row.get::<_, Option<i64>>(0)?.map(time))
        });
        removed
            .map(Option::flatten)
            .map_err(|error| self.failed(&error, "looking up the past of", name))
    }

    /// Up to `limit` manifests that were removed at `before` or earlier, in the order in which they
    /// were, after `last`.
    pub fn removed_before(
        &self,
        last: Option<&PastManifest>,
        before: SystemTime,
        limit: usize,
    ) -> Result<Vec<PastManifest>, Error> {
        let (removed_at, id) =
            last.map_or((i64::MIN, 0), |last| (unix_ms(last.removed_at), last.id));
        let params = (unix_ms(before), removed_at, id, self::limit(limit));
        let row = |row: &rusqlite::Row<'_>| {
            Ok(PastManifest {
                id: row.get(0)?,
                past: row.get(1)?,
                removed_at: time(row.get(2)?),
            })
        };
        self.all(OVER_AFTER, params, row)
            .map_err(|error| self.failed(&error, "listing", "what was removed before"))
    }

    /// How many manifests that were removed later than `before` can be brought back, and when the
    /// last of them was removed.
    pub fn removed_since(&self, before: SystemTime) -> Result<(u64, Option<SystemTime>), Error> {
        let found = self.one(WAITING, (unix_ms(before),), |row| {
            let last: Option<i64> = row.get(1)?;
            Ok((row.get::<_, Count>(0)?.0, last.map(time)))
        });
        found
            .map(Option::unwrap_or_default)
            .map_err(|error| self.failed(&error, "counting", "what can be brought back"))
    }

    /// The past of a repository, by its internal id; `None` when it has none.
    pub fn past_of(&self, name: &RepositoryName) -> Result<Option<i64>, Error> {
        self.past_id(name)
            .map_err(|error| self.failed(&error, "looking up the past of", name))
    }

    /// What a manifest refers to, by its internal id.
    pub fn references_of_manifest(&self, id: i64) -> Result<Vec<(ReferenceKind, Digest)>, Error> {
        self.references_of(id)
            .map_err(|error| self.failed(&error, "reading the references of", "a manifest"))
    }

    pub(super) fn past_id(&self, name: &RepositoryName) -> rusqlite::Result<Option<i64>> {
        self.one(ID, (past_name(name),), |row| row.get(0))
    }

    pub(super) fn references_of(
        &self,
        manifest: i64,
    ) -> rusqlite::Result<Vec<(ReferenceKind, Digest)>> {
        self.all(REFERENCES, (manifest,), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }
}

impl WriteTx<'_> {
    /// Moves a manifest of a repository that clients see into its past. The caller has removed its
    /// tags, and looks after what it held.
    pub(super) fn move_to_past(
        &self,
        name: &RepositoryName,
        repository: i64,
        manifest: i64,
        digest: &Digest,
        references: &[(ReferenceKind, Digest)],
    ) -> rusqlite::Result<()> {
        let past = self.ensure_past(name)?;
        if let Some(earlier) = self.manifest_id(past, digest)? {
            // The same content, removed before: it would come back as one in any case.
            self.forget(past, earlier, references)?;
        }
        self.move_uses(repository, past, references)?;
        self.is_held(manifest)?;
        self.execute(MOVE, (manifest, past, Some(self.now_ms())))?;
        Ok(())
    }

    /// Removes a manifest for good; what it alone used waits for collection.
    pub(super) fn forget(
        &self,
        repository: i64,
        manifest: i64,
        references: &[(ReferenceKind, Digest)],
    ) -> rusqlite::Result<()> {
        for (kind, digest) in references {
            self.remove_use(repository, *kind, digest)?;
        }
        self.execute(DELETE, (manifest,)).map(|_| ())
    }

    /// Brings a removed manifest back, without its tags. False when it cannot be, because it was
    /// never there or its time is over; true also when it was pushed again meanwhile.
    pub fn restore_manifest(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let found = (|| {
            let past = self.past_id(name)?;
            let manifest = past
                .map(|past| self.manifest_id(past, digest))
                .transpose()?;
            Ok(past.zip(manifest.flatten()))
        })();
        let failed = |error: &rusqlite::Error| {
            self.failed(error, "bringing back", format_args!("{name}@{digest}"))
        };
        let Some((past, manifest)) = found.map_err(|error| failed(&error))? else {
            return Ok(false);
        };
        let repository = self.ensure_repository(name)?;
        let restore = || {
            let references = self.references_of(manifest)?;
            if self.manifest_id(repository, digest)?.is_some() {
                return self.forget(past, manifest, &references);
            }
            self.move_uses(past, repository, &references)?;
            self.execute(MOVE, (manifest, repository, None::<i64>))?;
            self.holds_others(repository, digest, &references)?;
            self.note_if_loose(manifest)
        };
        restore().map_err(|error| failed(&error))?;
        self.delete_empty_repository(past)?;
        Ok(true)
    }

    /// Forgets up to `limit` manifests that were removed at `before` or earlier; how many went.
    pub fn forget_removed(&mut self, before: SystemTime, limit: usize) -> Result<usize, Error> {
        let forget = || {
            let over = self.all(OVER, (unix_ms(before), self::limit(limit)), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })?;
            for (manifest, past) in &over {
                let references = self.references_of(*manifest)?;
                self.forget(*past, *manifest, &references)?;
            }
            Ok(over)
        };
        let over = forget()
            .map_err(|error| self.failed(&error, "forgetting", "what was removed before"))?;
        let pasts: BTreeSet<i64> = over.iter().map(|(_, past)| *past).collect();
        for past in pasts {
            self.delete_empty_repository(past)?;
        }
        Ok(over.len())
    }

    /// Notes that the repository was removed as a whole now: all that goes to its past in this
    /// transaction belongs to it.
    pub fn note_repository_removed(&mut self, name: &RepositoryName) -> Result<(), Error> {
        let note = || {
            let past = self.ensure_past(name)?;
            self.execute(SET_REMOVED, (past, self.now_ms()))
        };
        note()
            .map(|_| ())
            .map_err(|error| self.failed(&error, "noting the removal of", name))
    }

    /// Gives the repository another name, with its past and the history of its tags. False, and
    /// nothing is changed, when there is no such repository; the caller has looked whether the new
    /// name is free.
    pub fn rename_repository(
        &mut self,
        name: &RepositoryName,
        to: &RepositoryName,
    ) -> Result<bool, Error> {
        let Some(repository) = self.repository_id(name)? else {
            return Ok(false);
        };
        let rename = || {
            self.execute(RENAME, (repository, to.as_str()))?;
            self.change_groups(repository, to)?;
            let merged = self.rename_past(name, to)?;
            self.rename_history(name, to)?;
            Ok(merged)
        };
        let merged = rename().map_err(|error| {
            let subject = format_args!("the repository {name} to {to}");
            self.failed(&error, "renaming", subject)
        })?;
        if let Some(past) = merged {
            self.delete_empty_repository(past)?;
        }
        Ok(true)
    }

    /// What was removed under both names becomes one past; what is left of the other, if it was
    /// two.
    fn rename_past(
        &self,
        name: &RepositoryName,
        to: &RepositoryName,
    ) -> rusqlite::Result<Option<i64>> {
        let Some(past) = self.past_id(name)? else {
            return Ok(None);
        };
        let Some(other) = self.past_id(to)? else {
            self.execute(RENAME, (past, past_name(to)))?;
            return Ok(None);
        };
        let manifests = self.all(MANIFESTS, (other,), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Digest>(1)?))
        })?;
        for (manifest, digest) in manifests {
            let references = self.references_of(manifest)?;
            if self.manifest_id(past, &digest)?.is_some() {
                self.forget(other, manifest, &references)?;
            } else {
                self.move_uses(other, past, &references)?;
                self.execute(MOVE_AS_IS, (manifest, past))?;
            }
        }
        // What is left of it are blobs that wait for collection, under a name that nobody has.
        self.execute(RENAME, (other, format!("~{other}~{to}")))?;
        self.execute(RENAME, (past, past_name(to)))?;
        Ok(Some(other))
    }

    /// The past of the repository, which is made when it is missing.
    pub(super) fn ensure_past(&self, name: &RepositoryName) -> rusqlite::Result<i64> {
        if let Some(id) = self.past_id(name)? {
            return Ok(id);
        }
        self.one(MAKE, (past_name(name), self.now_ms()), |row| row.get(0))?
            .ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// The blobs that `from` has go along; `from` keeps them until they are collected.
    fn move_uses(
        &self,
        from: i64,
        to: i64,
        references: &[(ReferenceKind, Digest)],
    ) -> rusqlite::Result<()> {
        for (kind, digest) in references {
            if self.is_linked(from, digest)? {
                self.link(to, digest)?;
            }
            self.add_use(to, *kind, digest)?;
            self.remove_use(from, *kind, digest)?;
        }
        Ok(())
    }
}
