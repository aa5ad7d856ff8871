//! What can be brought back: removed manifests and removed tags, in the order in which the time to
//! do so ends.

use std::time::SystemTime;

use rusqlite::Row;

use super::history::past_tag;
use super::past::past_name;
use super::rows::{PastTag, RemovedManifest};
use super::transaction::{ReadTx, statements};
use super::values::{Count, DigestColumn, limit, time};
use crate::clock::unix_ms;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::Error;

statements! {
    // Which index is the right one is known here, and not to the planner, which has no statistics.
    // The name of a past is '~' and that of its repository.
    OF_ALL = "SELECT m.digest, m.removed_at, m.size, m.media_type, m.id, substr(r.name, 2)
        FROM manifest m JOIN repository r ON r.id = m.repository_id
        WHERE m.removed_at IS NOT NULL AND m.removed_at >= ?1 AND m.removed_at <= ?2
        AND (m.removed_at, m.id) > (?3, ?4) ORDER BY m.removed_at, m.id LIMIT ?5";
    OF_ONE = "SELECT m.digest, m.removed_at, m.size, m.media_type, m.id, substr(r.name, 2)
        FROM repository r CROSS JOIN manifest m INDEXED BY manifest_removed_from
            ON m.repository_id = r.id
        WHERE r.name = ?6 AND m.removed_at IS NOT NULL
        AND m.removed_at >= ?1 AND m.removed_at <= ?2
        AND (m.removed_at, m.id) > (?3, ?4) ORDER BY m.removed_at, m.id LIMIT ?5";
    MANIFEST = "SELECT m.digest, m.removed_at, m.size, m.media_type FROM repository r
        JOIN manifest m ON m.repository_id = r.id WHERE r.name = ?1 AND m.digest = ?2";
    REFERRERS = "SELECT m.digest FROM repository r
        CROSS JOIN manifest m INDEXED BY manifest_by_subject ON m.repository_id = r.id
        WHERE r.name = ?1 AND m.subject = ?2 AND m.removed_at >= ?3";
    // A tag counts that is not there, at its last end, when its manifest still is.
    TAGS = "SELECT h.digest, h.set_at, h.set_by, h.ended_at, h.ended_by, h.ended_how, h.id, h.tag,
            h.media_type, h.size, h.repository
        FROM tag_history h INDEXED BY tag_history_removed
        WHERE h.ended_how IN (2, 3) AND h.ended_at >= ?1 AND h.ended_at <= ?2
        AND (h.ended_at, h.id) > (?3, ?4) AND h.repository = ifnull(?6, h.repository)
        AND NOT EXISTS (SELECT 1 FROM repository r JOIN tag t ON t.repository_id = r.id
            WHERE r.name = h.repository AND t.name = h.tag)
        AND NOT EXISTS (SELECT 1 FROM tag_history l
            WHERE l.repository = h.repository AND l.tag = h.tag AND l.id > h.id)
        AND EXISTS (SELECT 1 FROM repository r JOIN manifest m ON m.repository_id = r.id
            WHERE r.name IN (h.repository, '~' || h.repository) AND m.digest = h.digest)
        ORDER BY h.ended_at, h.id LIMIT ?5";
    WITH = "SELECT tag FROM tag_history INDEXED BY tag_history_removed
        WHERE ended_how IN (2, 3) AND ended_at = ?3 AND ended_how = 3
        AND repository = ?1 AND digest = ?2 ORDER BY id";
    AT = "SELECT id, tag, digest FROM tag_history INDEXED BY tag_history_removed
        WHERE ended_how IN (2, 3) AND ended_at = ?2 AND ended_how = 3
        AND repository = ?1 AND id > ?3 ORDER BY id LIMIT ?4";
}

/// A part of time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its begin.
    pub from: SystemTime,
    /// Its end.
    pub until: SystemTime,
}

/// A place in a list of what was removed: a time in milliseconds since 1970, and an internal id.
pub type RemovedPlace = (i64, i64);

fn removed(row: &Row<'_>) -> rusqlite::Result<RemovedManifest> {
    Ok(RemovedManifest {
        digest: row.get(0)?,
        removed_at: time(row.get(1)?),
        size: row.get::<_, Count>(2)?.0,
        media_type: row.get(3)?,
    })
}

impl ReadTx<'_> {
    /// Up to `limit` manifests that were removed within `span`, from one repository or from all,
    /// after `last`: place, repository, manifest.
    pub fn manifests_removed(
        &self,
        name: Option<&RepositoryName>,
        span: Span,
        last: Option<RemovedPlace>,
        limit: usize,
    ) -> Result<Vec<(RemovedPlace, RepositoryName, RemovedManifest)>, Error> {
        let (from, until) = (unix_ms(span.from), unix_ms(span.until));
        let (at, id) = last.unwrap_or((i64::MIN, 0));
        let limit = self::limit(limit);
        let entry = |row: &Row<'_>| Ok(((row.get(1)?, row.get(4)?), row.get(5)?, removed(row)?));
        let found = match name {
            None => self.all(OF_ALL, (from, until, at, id, limit), entry),
            Some(name) => {
                let params = (from, until, at, id, limit, past_name(name));
                self.all(OF_ONE, params, entry)
            }
        };
        found.map_err(|error| self.failed(&error, "listing", "what was removed"))
    }

    /// A manifest that was removed from the repository and can be brought back.
    pub fn removed_manifest(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<RemovedManifest>, Error> {
        let params = (past_name(name), DigestColumn::from(digest));
        self.one(MANIFEST, params, removed).map_err(|error| {
            let subject = format_args!("{name}@{digest}");
            self.failed(&error, "looking up the removed manifest", subject)
        })
    }

    /// The referrers of `subject` that were removed at `from` or later.
    pub fn removed_referrers(
        &self,
        name: &RepositoryName,
        subject: &Digest,
        from: SystemTime,
    ) -> Result<Vec<Digest>, Error> {
        let params = (past_name(name), DigestColumn::from(subject), unix_ms(from));
        self.all(REFERRERS, params, |row| row.get(0))
            .map_err(|error| {
                let subject = format_args!("{name}@{subject}");
                self.failed(&error, "listing the removed referrers of", subject)
            })
    }

    /// Up to `limit` tags that were removed within `span`, from one repository or from all, after
    /// `last`, with the repository of each. What is left out: tags that exist now, and those whose
    /// manifest is gone for good.
    pub fn tags_removed(
        &self,
        name: Option<&RepositoryName>,
        span: Span,
        last: Option<RemovedPlace>,
        limit: usize,
    ) -> Result<Vec<(RepositoryName, PastTag)>, Error> {
        let (at, id) = last.unwrap_or((i64::MIN, 0));
        let params = (
            unix_ms(span.from),
            unix_ms(span.until),
            at,
            id,
            self::limit(limit),
            name.map(RepositoryName::as_str),
        );
        self.all(TAGS, params, |row| Ok((row.get(10)?, past_tag(row)?)))
            .map_err(|error| self.failed(&error, "listing", "tags that were removed"))
    }

    /// The tags that went with the manifest when it was removed at that time.
    pub fn tags_removed_with(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        at: SystemTime,
    ) -> Result<Vec<String>, Error> {
        let params = (name.as_str(), DigestColumn::from(digest), unix_ms(at));
        self.all(WITH, params, |row| row.get(0)).map_err(|error| {
            let subject = format_args!("{name}@{digest}");
            self.failed(&error, "listing the tags that went with", subject)
        })
    }

    /// Up to `limit` tags that went with manifests of the repository at that time, after `last`:
    /// a place in the list, the tag, the manifest that it pointed to.
    pub fn tags_removed_at(
        &self,
        name: &RepositoryName,
        at: SystemTime,
        last: i64,
        limit: usize,
    ) -> Result<Vec<(i64, String, Digest)>, Error> {
        let params = (name.as_str(), unix_ms(at), last, self::limit(limit));
        let entry = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        self.all(AT, params, entry)
            .map_err(|error| self.failed(&error, "listing the tags that went with", name))
    }

    /// The last end of the tag, if its history has one.
    pub fn last_end(&self, name: &RepositoryName, tag: &Tag) -> Result<Option<PastTag>, Error> {
        Ok(self.tag_history(name, tag, None, 1)?.pop())
    }
}
