//! Manifests that nothing holds: no tag, no index above them, no subject that is there.
//!
//! They are noted when it becomes so, so that nobody has to look for them; whether and when they go
//! is a rule of the registry.

use std::time::SystemTime;

use super::rows::{LooseManifest, ReferenceKind};
use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, DigestColumn, limit};
use crate::clock::unix_ms;
use crate::oci::Digest;
use crate::store::Error;

statements! {
    NOTE = "INSERT INTO loose_manifest (manifest_id, since)
        SELECT m.id, ?2 FROM manifest m WHERE m.id = ?1
        AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.manifest_id = m.id)
        AND NOT EXISTS (
            SELECT 1 FROM manifest_reference f CROSS JOIN manifest a ON a.id = f.manifest_id
            WHERE f.kind = 3 AND f.digest = m.digest AND a.repository_id = m.repository_id)
        AND NOT EXISTS (SELECT 1 FROM manifest s
            WHERE s.repository_id = m.repository_id AND s.digest = m.subject)
        ON CONFLICT DO NOTHING";
    TOUCH = "UPDATE loose_manifest SET since = ?2 WHERE manifest_id = ?1";
    FORGET = "DELETE FROM loose_manifest WHERE manifest_id = ?1";
    FORGET_DIGEST = "DELETE FROM loose_manifest WHERE manifest_id IN
        (SELECT id FROM manifest WHERE repository_id = ?1 AND digest = ?2)";
    FORGET_REFERRERS = "DELETE FROM loose_manifest WHERE manifest_id IN
        (SELECT id FROM manifest WHERE repository_id = ?1 AND subject = ?2)";
    REFERRERS = "SELECT id FROM manifest WHERE repository_id = ?1 AND subject = ?2";
    LIST = "SELECT l.manifest_id, l.since, r.name, m.digest, m.size, r.id FROM loose_manifest l
        JOIN manifest m ON m.id = l.manifest_id JOIN repository r ON r.id = m.repository_id
        WHERE (l.since, l.manifest_id) > (?1, ?2) AND l.since <= ?3
        ORDER BY l.since, l.manifest_id LIMIT ?4";
    IS_LOOSE = "SELECT l.since FROM manifest m JOIN loose_manifest l ON l.manifest_id = m.id
        WHERE m.repository_id = ?1 AND m.digest = ?2";
    HELD_BY = "SELECT c.id, c.digest FROM manifest m
        JOIN manifest_reference f ON f.manifest_id = m.id AND f.kind = 3
        JOIN manifest c ON c.repository_id = m.repository_id AND c.digest = f.digest
        WHERE m.id = ?1
        UNION ALL SELECT r.id, r.digest FROM manifest m
        JOIN manifest r ON r.repository_id = m.repository_id AND r.subject = m.digest
        WHERE m.id = ?1";
    HOLDERS = "SELECT a.id FROM manifest m
        CROSS JOIN manifest_reference f ON f.kind = 3 AND f.digest = m.digest
        CROSS JOIN manifest a ON a.id = f.manifest_id AND a.repository_id = m.repository_id
        WHERE m.id = ?1
        UNION ALL SELECT s.id FROM manifest m
        JOIN manifest s ON s.repository_id = m.repository_id AND s.digest = m.subject
        WHERE m.id = ?1
        UNION ALL SELECT 0 FROM tag WHERE manifest_id = ?1";
}

impl ReadTx<'_> {
    /// Up to `limit` manifests that nothing holds since `until` or longer, those of longest
    /// first, after `last` (its `since` and `id`).
    pub fn loose_manifests(
        &self,
        last: Option<&LooseManifest>,
        until: SystemTime,
        limit: usize,
    ) -> Result<Vec<LooseManifest>, Error> {
        let (since, id) = last.map_or((i64::MIN, 0), |last| (unix_ms(last.since), last.id));
        let params = (since, id, unix_ms(until), self::limit(limit));
        let loose = |row: &rusqlite::Row<'_>| {
            Ok(LooseManifest {
                id: row.get(0)?,
                since: super::values::time(row.get(1)?),
                repository: row.get(2)?,
                digest: row.get(3)?,
                size: row.get::<_, Count>(4)?.0,
                repository_id: row.get(5)?,
            })
        };
        self.all(LIST, params, loose)
            .map_err(|error| self.failed(&error, "listing", "manifests that nothing holds"))
    }

    /// The manifests that a manifest holds, alone or with others: children and referrers, some
    /// perhaps twice. By its internal id, theirs with their digests.
    pub fn held_by(&self, id: i64) -> Result<Vec<(i64, Digest)>, Error> {
        self.all(HELD_BY, (id,), |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| self.failed(&error, "listing", "what a manifest holds"))
    }

    /// What holds a manifest: the internal ids of other manifests, and 0 for tags.
    pub fn holders_of(&self, id: i64) -> Result<Vec<i64>, Error> {
        self.all(HOLDERS, (id,), |row| row.get(0))
            .map_err(|error| self.failed(&error, "listing", "what holds a manifest"))
    }

    /// Since when nothing holds the manifest; `None` when something does, or it is not there.
    pub fn loose_since(
        &self,
        name: &crate::oci::RepositoryName,
        digest: &Digest,
    ) -> Result<Option<SystemTime>, Error> {
        let Some(repository) = self.repository_id(name)? else {
            return Ok(None);
        };
        let params = (repository, DigestColumn::from(digest));
        self.one(IS_LOOSE, params, |row| Ok(super::values::time(row.get(0)?)))
            .map_err(|error| {
                let subject = format_args!("{name}@{digest}");
                self.failed(&error, "looking up the manifest", subject)
            })
    }
}

impl WriteTx<'_> {
    /// Notes the manifest if nothing holds it.
    pub(super) fn note_if_loose(&self, manifest: i64) -> rusqlite::Result<()> {
        self.execute(NOTE, (manifest, self.now_ms())).map(|_| ())
    }

    /// A manifest that nothing holds was pushed again: its time begins anew.
    pub(super) fn touch_loose(&self, manifest: i64) -> rusqlite::Result<()> {
        self.execute(TOUCH, (manifest, self.now_ms())).map(|_| ())
    }

    /// Something holds the manifest now.
    pub(super) fn is_held(&self, manifest: i64) -> rusqlite::Result<()> {
        self.execute(FORGET, (manifest,)).map(|_| ())
    }

    /// The manifest with this digest and these references is there: its children and referrers are
    /// held by it.
    pub(super) fn holds_others(
        &self,
        repository: i64,
        digest: &Digest,
        references: &[(ReferenceKind, Digest)],
    ) -> rusqlite::Result<()> {
        self.execute(FORGET_REFERRERS, (repository, DigestColumn::from(digest)))?;
        for child in children(references) {
            self.execute(FORGET_DIGEST, (repository, DigestColumn::from(child)))?;
        }
        Ok(())
    }

    /// The manifest with this digest and these references is gone: its children and referrers may
    /// be held by nothing now.
    pub(super) fn released_others(
        &self,
        repository: i64,
        digest: &Digest,
        references: &[(ReferenceKind, Digest)],
    ) -> rusqlite::Result<()> {
        let params = (repository, DigestColumn::from(digest));
        for referrer in self.all(REFERRERS, params, |row| row.get(0))? {
            self.note_if_loose(referrer)?;
        }
        for child in children(references) {
            if let Some(child) = self.manifest_id(repository, child)? {
                self.note_if_loose(child)?;
            }
        }
        Ok(())
    }
}

fn children(references: &[(ReferenceKind, Digest)]) -> impl Iterator<Item = &Digest> {
    references
        .iter()
        .filter(|(kind, _)| *kind == ReferenceKind::Child)
        .map(|(_, digest)| digest)
}
