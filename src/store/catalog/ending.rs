//! The tags of a manifest that was removed a moment ago.
//!
//! A manifest may have ten thousand tags, and whoever removes it by its digest does not have to
//! wait for a row of history for each. It moves to the past at once, with a note; a tag whose
//! manifest is not in the tag's own repository is seen by nobody. The writer takes the tags away
//! right after the answer, before it writes anything else, so no write ever meets them; what reads
//! more than a pull does waits for that. Only removals that can be undone come here: without a past
//! there is no row that could wait.

use super::rows::{Ended, Removal};
use super::transaction::{ReadTx, WriteTx, statements};
use super::values::limit;
use crate::oci::{Digest, RepositoryName};
use crate::store::Error;

/// With so many tags or fewer a manifest is removed with its tags, in one go. In tests none is,
/// so that they all see what happens in between.
const TAGS_AT_ONCE_MAX: usize = if cfg!(test) { 0 } else { 64 };

statements! {
    SOME = "SELECT 1 FROM ending_tags WHERE manifest_id > 0 LIMIT 1";
    COUNT = "SELECT count(*) FROM tag WHERE manifest_id = ?1";
    NOTE = "INSERT INTO ending_tags (manifest_id, repository_id, ended_at, ended_by)
        VALUES (?1, ?2, ?3, ?4)";
    LIST = "SELECT manifest_id, repository_id FROM ending_tags WHERE manifest_id > 0";
    END = "INSERT INTO tag_history (repository, tag, digest, media_type, size, set_at, set_by,
            ended_at, ended_by, ended_how)
        SELECT r.name, t.name, m.digest, m.media_type, m.size, t.updated_at, t.set_by, e.ended_at,
            e.ended_by, ?2
        FROM ending_tags e JOIN manifest m ON m.id = e.manifest_id
        JOIN tag t ON t.manifest_id = m.id JOIN repository r ON r.id = t.repository_id
        WHERE e.manifest_id = ?1";
    DELETE_TAGS = "DELETE FROM tag WHERE manifest_id = ?1";
    FORGET = "DELETE FROM ending_tags WHERE manifest_id = ?1";
}

impl ReadTx<'_> {
    /// Whether there are tags that nobody sees any more.
    pub(super) fn has_ending_tags(&self) -> rusqlite::Result<bool> {
        self.one(SOME, (), |_| Ok(())).map(|some| some.is_some())
    }
}

impl WriteTx<'_> {
    /// Removes a manifest as [`remove_manifest`](Self::remove_manifest) does, the last thing that
    /// its closure does. Of many tags only the removal is noted. False when it was not there.
    pub fn remove_manifest_last(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        removal: Removal,
    ) -> Result<bool, Error> {
        let Some(repository) = self.repository_id(name)? else {
            return Ok(false);
        };
        let note = || {
            let Some(id) = self.manifest_id(repository, digest)? else {
                return Ok(None);
            };
            let tags: i64 = self
                .one(COUNT, (id,), |row| row.get(0))?
                .unwrap_or_default();
            if removal == Removal::Final || tags <= limit(TAGS_AT_ONCE_MAX) {
                return Ok(Some(false));
            }
            self.execute(NOTE, (id, repository, self.now_ms(), self.actor()))?;
            self.count_tags(repository, -tags)?;
            let references = self.references_of(id)?;
            self.move_to_past(name, repository, id, digest, &references)?;
            self.released_others(repository, digest, &references)?;
            Ok(Some(true))
        };
        let noted = note().map_err(|error| {
            let subject = format_args!("{name}@{digest}");
            self.failed(&error, "removing the manifest", subject)
        })?;
        match noted {
            None => Ok(false),
            Some(false) => self
                .remove_manifest(name, digest, removal)
                .map(|tags| tags.is_some()),
            Some(true) => {
                self.ending = true;
                Ok(true)
            }
        }
    }

    /// Takes away what is noted.
    pub(super) fn end_noted_tags(&mut self) -> Result<(), Error> {
        let end = || {
            let noted = self.all(LIST, (), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })?;
            for (manifest, _) in &noted {
                self.execute(END, (manifest, Ended::RemovedWithManifest))?;
                self.execute(DELETE_TAGS, (manifest,))?;
                self.execute(FORGET, (manifest,))?;
            }
            Ok(noted)
        };
        let noted = end()
            .map_err(|error| self.failed(&error, "removing", "the tags of removed manifests"))?;
        noted
            .into_iter()
            .try_for_each(|(_, repository)| self.delete_empty_repository(repository))
    }
}
