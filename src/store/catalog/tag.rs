//! Tags: names that move from manifest to manifest.

use std::time::SystemTime;

use super::rows::Ended;
use super::transaction::{ReadTx, WriteTx, statements};
use super::values::limit;
use crate::clock::unix_ms;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::{Error, ErrorKind};

statements! {
    LIST = "SELECT t.name FROM repository r JOIN tag t ON t.repository_id = r.id
        WHERE r.name = ?1 AND t.name > ?2 ORDER BY t.name LIMIT ?3";
    LIST_SEEN = "SELECT t.name FROM repository r JOIN tag t ON t.repository_id = r.id
        WHERE r.name = ?1 AND t.name > ?2
        AND NOT EXISTS (SELECT 1 FROM ending_tags e WHERE e.manifest_id = t.manifest_id)
        ORDER BY t.name LIMIT ?3";
    TARGET = "SELECT manifest_id FROM tag WHERE repository_id = ?1 AND name = ?2";
    SET = "INSERT INTO tag (repository_id, name, manifest_id, updated_at, set_by, expires_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (repository_id, name)
        DO UPDATE SET manifest_id = excluded.manifest_id, updated_at = excluded.updated_at,
            set_by = excluded.set_by, expires_at = excluded.expires_at";
    COUNT = "UPDATE repository SET tags = tags + ?2 WHERE id = ?1";
    DELETE = "DELETE FROM tag WHERE repository_id = ?1 AND name = ?2";
}

impl ReadTx<'_> {
    /// Up to `limit` tags after `last`, in byte order.
    pub fn tags(
        &self,
        name: &RepositoryName,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Error> {
        // No tag is empty, so every tag sorts after the empty text.
        let params = (name.as_str(), last.unwrap_or_default(), self::limit(limit));
        let page = || {
            let sql = if self.has_ending_tags()? {
                LIST_SEEN
            } else {
                LIST
            };
            self.all(sql, params, |row| row.get(0))
        };
        page().map_err(|error| self.failed(&error, "listing the tags of", name))
    }
}

impl WriteTx<'_> {
    /// Makes or moves a tag onto a manifest that exists, to be removed at `expires_at`.
    ///
    /// # Errors
    /// Kind `Io` when the repository has no such manifest: the caller writes it first.
    pub fn set_tag(
        &mut self,
        name: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
        expires_at: Option<SystemTime>,
    ) -> Result<(), Error> {
        const SETTING: &str = "setting the tag";
        let subject = format_args!("{name}:{tag}");
        let known = self
            .repository_id(name)?
            .map(|repository| (repository, self.manifest_id(repository, digest)));
        let (repository, manifest) = match known {
            None => (0, Ok(None)),
            Some(known) => known,
        };
        let manifest = manifest.map_err(|error| self.failed(&error, SETTING, subject))?;
        let Some(manifest) = manifest else {
            let missing = format!("the repository has no manifest {digest}");
            return Err(Error::new(ErrorKind::Io, SETTING, subject).because(missing));
        };
        let expires_at = expires_at.map(unix_ms);
        self.point_tag(name, repository, tag, manifest, expires_at)
            .map_err(|error| self.failed(&error, SETTING, subject))
    }

    fn point_tag(
        &self,
        name: &RepositoryName,
        repository: i64,
        tag: &Tag,
        manifest: i64,
        expires_at: Option<i64>,
    ) -> rusqlite::Result<()> {
        let target: Option<i64> = self.one(TARGET, (repository, tag.as_str()), |row| row.get(0))?;
        let moved_from = target.filter(|target| *target != manifest);
        if moved_from.is_some() {
            self.end_tag(name, repository, tag.as_str(), Ended::Moved)?;
        }
        let params = (
            repository,
            tag.as_str(),
            manifest,
            self.now_ms(),
            self.actor(),
            expires_at,
        );
        self.execute(SET, params)?;
        if target.is_none() {
            self.count_tags(repository, 1)?;
            self.trim_history(name, tag.as_str())?;
        }
        self.is_held(manifest)?;
        moved_from.map_or(Ok(()), |manifest| self.note_if_loose(manifest))
    }

    /// Removes a tag, leaving its manifest. False when it was not there.
    pub fn delete_tag(&mut self, name: &RepositoryName, tag: &Tag) -> Result<bool, Error> {
        let Some(repository) = self.repository_id(name)? else {
            return Ok(false);
        };
        let delete = || {
            let names = (repository, tag.as_str());
            let target: Option<i64> = self.one(TARGET, names, |row| row.get(0))?;
            let Some(manifest) = target else {
                return Ok(false);
            };
            self.end_tag(name, repository, tag.as_str(), Ended::Removed)?;
            self.execute(DELETE, names)?;
            self.count_tags(repository, -1)?;
            self.note_if_loose(manifest)?;
            Ok(true)
        };
        delete()
            .map_err(|error| self.failed(&error, "removing the tag", format_args!("{name}:{tag}")))
    }

    /// The repository has so many tags more.
    pub(super) fn count_tags(&self, repository: i64, more: i64) -> rusqlite::Result<()> {
        self.execute(COUNT, (repository, more)).map(|_| ())
    }
}
