//! Manifests: their exact bytes, their facts, and what they refer to.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Row;

use super::rows::{ManifestFacts, ManifestRow, NewManifest, ReferenceKind, Removal};
use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, DigestColumn, limit};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::Error;

// Every text is selected by the position that `manifest_row` and `facts_row` read it from. What
// needs no bytes does not name them: they may lie in overflow pages.
statements! {
    BY_TAG = "SELECT m.digest, m.media_type, m.bytes FROM repository r
        JOIN tag t ON t.repository_id = r.id
        JOIN manifest m ON m.id = t.manifest_id AND m.repository_id = r.id
        WHERE r.name = ?1 AND t.name = ?2";
    BY_DIGEST = "SELECT m.digest, m.media_type, m.bytes FROM repository r
        JOIN manifest m ON m.repository_id = r.id
        WHERE r.name = ?1 AND m.digest = ?2";
    FACTS_BY_TAG = "SELECT m.digest, m.media_type, m.size FROM repository r
        JOIN tag t ON t.repository_id = r.id
        JOIN manifest m ON m.id = t.manifest_id AND m.repository_id = r.id
        WHERE r.name = ?1 AND t.name = ?2";
    FACTS_BY_DIGEST = "SELECT m.digest, m.media_type, m.size FROM repository r
        JOIN manifest m ON m.repository_id = r.id
        WHERE r.name = ?1 AND m.digest = ?2";
    LIST_IN_REPOSITORY = "SELECT m.digest, m.media_type, m.bytes, r.name FROM repository r
        JOIN manifest m ON m.repository_id = r.id
        WHERE r.name = ?1 AND m.digest > ?2 ORDER BY m.digest LIMIT ?3";
    LIST_AFTER_REPOSITORY = "SELECT m.digest, m.media_type, m.bytes, r.name FROM repository r
        JOIN manifest m ON m.repository_id = r.id
        WHERE r.name > ?1 ORDER BY r.name, m.digest LIMIT ?2";
    REFERENCES = "SELECT f.kind, f.digest FROM repository r
        JOIN manifest m ON m.repository_id = r.id
        JOIN manifest_reference f ON f.manifest_id = m.id
        WHERE r.name = ?1 AND m.digest = ?2 ORDER BY f.position";
    PUT = "INSERT INTO manifest (repository_id, digest, media_type, size, pushed_at, subject,
            artifact_type, annotations, bytes)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT (repository_id, digest) DO UPDATE SET media_type = excluded.media_type,
            size = excluded.size, pushed_at = excluded.pushed_at, subject = excluded.subject,
            artifact_type = excluded.artifact_type, annotations = excluded.annotations,
            bytes = excluded.bytes
        RETURNING id";
    CLEAR_REFERENCES = "DELETE FROM manifest_reference WHERE manifest_id = ?1";
    ADD_REFERENCE = "INSERT INTO manifest_reference (manifest_id, position, kind, digest)
        VALUES (?1, ?2, ?3, ?4)";
    ID = "SELECT id FROM manifest WHERE repository_id = ?1 AND digest = ?2";
    TAGS = "SELECT name FROM tag WHERE manifest_id = ?1 ORDER BY repository_id, name";
    DELETE_TAGS = "DELETE FROM tag WHERE manifest_id = ?1";
}

fn manifest_row(row: &Row<'_>) -> rusqlite::Result<ManifestRow> {
    Ok(ManifestRow {
        digest: row.get(0)?,
        media_type: row.get(1)?,
        bytes: Arc::from(row.get_ref(2)?.as_blob()?),
    })
}

fn facts_row(row: &Row<'_>) -> rusqlite::Result<ManifestFacts> {
    Ok(ManifestFacts {
        digest: row.get(0)?,
        media_type: row.get(1)?,
        size: row.get::<_, Count>(2)?.0,
    })
}

impl ReadTx<'_> {
    /// The manifest that a tag points to.
    pub fn manifest_by_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<ManifestRow>, Error> {
        self.one(BY_TAG, (name.as_str(), tag.as_str()), manifest_row)
            .map_err(|error| self.failed(&error, READING, format_args!("{name}:{tag}")))
    }

    /// The manifest of a digest.
    pub fn manifest(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRow>, Error> {
        let params = (name.as_str(), DigestColumn::from(digest));
        self.one(BY_DIGEST, params, manifest_row)
            .map_err(|error| self.failed(&error, READING, format_args!("{name}@{digest}")))
    }

    /// As [`manifest_by_tag`](Self::manifest_by_tag), without reading the bytes.
    pub fn manifest_facts_by_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<ManifestFacts>, Error> {
        self.one(FACTS_BY_TAG, (name.as_str(), tag.as_str()), facts_row)
            .map_err(|error| self.failed(&error, READING, format_args!("{name}:{tag}")))
    }

    /// As [`manifest`](Self::manifest), without reading the bytes.
    pub fn manifest_facts(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestFacts>, Error> {
        let params = (name.as_str(), DigestColumn::from(digest));
        self.one(FACTS_BY_DIGEST, params, facts_row)
            .map_err(|error| self.failed(&error, READING, format_args!("{name}@{digest}")))
    }

    /// Up to `limit` manifests after (`name`, `digest`) over all repositories, in that order, for
    /// checking: name and manifest.
    pub fn manifests(
        &self,
        last: Option<(&str, &Digest)>,
        limit: usize,
    ) -> Result<Vec<(String, ManifestRow)>, Error> {
        let named = |row: &Row<'_>| Ok((row.get(3)?, manifest_row(row)?));
        let page = || {
            let mut found = Vec::new();
            if let Some((name, digest)) = last {
                let params = (name, DigestColumn::from(digest), self::limit(limit));
                found = self.all(LIST_IN_REPOSITORY, params, named)?;
            }
            let name = last.map_or("", |(name, _)| name);
            let params = (name, self::limit(limit - found.len()));
            found.append(&mut self.all(LIST_AFTER_REPOSITORY, params, named)?);
            Ok(found)
        };
        page().map_err(|error| self.failed(&error, "listing", "manifests"))
    }

    /// What a manifest refers to, in the order it was written; empty also when there is no such
    /// manifest.
    pub fn manifest_references(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<(ReferenceKind, Digest)>, Error> {
        let params = (name.as_str(), DigestColumn::from(digest));
        self.all(REFERENCES, params, |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| {
                let subject = format_args!("{name}@{digest}");
                self.failed(&error, "reading the references of the manifest", subject)
            })
    }

    pub(super) fn manifest_id(
        &self,
        repository: i64,
        digest: &Digest,
    ) -> rusqlite::Result<Option<i64>> {
        let params = (repository, DigestColumn::from(digest));
        self.one(ID, params, |row| row.get(0))
    }
}

impl WriteTx<'_> {
    /// Writes a manifest; makes the repository. The same digest again is brought up to date, and
    /// its tags stay.
    pub fn put_manifest(
        &mut self,
        name: &RepositoryName,
        manifest: &NewManifest<'_>,
    ) -> Result<(), Error> {
        let repository = self.ensure_repository(name)?;
        self.bytes += manifest.bytes.len();
        let put = || {
            let known = self.manifest_id(repository, &manifest.digest)?;
            let before = known.map(|id| self.references_of(id)).transpose()?;
            let id = self.put_row(repository, manifest)?;
            let is_new = before.is_none();
            let before = before.unwrap_or_default();
            // A manifest that is pushed again refers to what it did; then there is nothing to
            // write.
            if before != manifest.references {
                self.put_references(repository, id, &before, manifest.references)?;
            }
            if is_new {
                self.holds_others(repository, &manifest.digest, manifest.references)?;
                if manifest.is_tagged {
                    Ok(())
                } else {
                    self.note_if_loose(id)
                }
            } else {
                self.touch_loose(id)
            }
        };
        put().map_err(|error| {
            let subject = format_args!("{name}@{}", manifest.digest);
            self.failed(&error, "writing the manifest", subject)
        })
    }

    fn put_row(&self, repository: i64, manifest: &NewManifest<'_>) -> rusqlite::Result<i64> {
        let params = (
            repository,
            DigestColumn::from(&manifest.digest),
            manifest.media_type.as_str(),
            limit(manifest.bytes.len()),
            self.now_ms(),
            manifest.subject.as_ref().map(DigestColumn::from),
            manifest.artifact_type,
            annotations_column(manifest.annotations)?,
            manifest.bytes,
        );
        self.one(PUT, params, |row| row.get(0))?
            .ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    fn put_references(
        &self,
        repository: i64,
        id: i64,
        before: &[(ReferenceKind, Digest)],
        references: &[(ReferenceKind, Digest)],
    ) -> rusqlite::Result<()> {
        if !before.is_empty() {
            self.execute(CLEAR_REFERENCES, (id,))?;
        }
        for (kind, digest) in before {
            self.remove_use(repository, *kind, digest)?;
        }
        for (position, (kind, digest)) in references.iter().enumerate() {
            let params = (id, limit(position), *kind, DigestColumn::from(digest));
            self.execute(ADD_REFERENCE, params)?;
            self.add_use(repository, *kind, digest)?;
        }
        Ok(())
    }

    /// Removes a manifest and every tag on it (and the repository, when that was its last
    /// content); the tags that went, or `None` when it was not there.
    pub fn remove_manifest(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        removal: Removal,
    ) -> Result<Option<Vec<String>>, Error> {
        let Some(repository) = self.repository_id(name)? else {
            return Ok(None);
        };
        let delete = || {
            let Some(id) = self.manifest_id(repository, digest)? else {
                return Ok(None);
            };
            let tags: Vec<String> = self.all(TAGS, (id,), |row| row.get(0))?;
            if !tags.is_empty() {
                self.end_tags(name, id)?;
                self.execute(DELETE_TAGS, (id,))?;
                self.count_tags(repository, -limit(tags.len()))?;
            }
            let references = self.references_of(id)?;
            match removal {
                Removal::Undoable => {
                    self.move_to_past(name, repository, id, digest, &references)?;
                }
                Removal::Final => self.forget(repository, id, &references)?,
            }
            self.released_others(repository, digest, &references)?;
            Ok(Some(tags))
        };
        let tags = delete().map_err(|error| {
            self.failed(
                &error,
                "removing the manifest",
                format_args!("{name}@{digest}"),
            )
        })?;
        if tags.is_some() {
            self.delete_empty_repository(repository)?;
        }
        Ok(tags)
    }
}

const READING: &str = "reading the manifest";

/// Annotations as the column keeps them: JSON, or nothing.
fn annotations_column(annotations: &BTreeMap<String, String>) -> rusqlite::Result<Option<String>> {
    if annotations.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(annotations)
        .map(Some)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
