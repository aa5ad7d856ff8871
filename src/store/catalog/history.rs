//! What tags pointed to before: a row for each time that a tag was moved or removed.
//!
//! It outlives the tag, its manifest and its repository, so that they can be brought back. What a
//! tag points to now is in its own row.

use std::time::SystemTime;

use super::rows::{Ended, PastTag};
use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, limit, time};
use crate::clock::unix_ms;
use crate::oci::{RepositoryName, Tag};
use crate::store::Error;

/// The most rows that are kept of one tag; with one more the oldest goes.
pub const TAG_HISTORY_MAX: usize = 100;

statements! {
    END = "INSERT INTO tag_history (repository, tag, digest, media_type, size, set_at, set_by,
            ended_at, ended_by, ended_how)
        SELECT ?1, t.name, m.digest, m.media_type, m.size, t.updated_at, t.set_by, ?4, ?5, ?6
        FROM tag t JOIN manifest m ON m.id = t.manifest_id
        WHERE t.repository_id = ?2 AND t.name = ?3";
    END_ALL = "INSERT INTO tag_history (repository, tag, digest, media_type, size, set_at, set_by,
            ended_at, ended_by, ended_how)
        SELECT ?1, t.name, m.digest, m.media_type, m.size, t.updated_at, t.set_by, ?3, ?4, ?5
        FROM manifest m JOIN tag t ON t.manifest_id = m.id WHERE m.id = ?2";
    TRIM = "DELETE FROM tag_history WHERE id IN (SELECT id FROM tag_history
        WHERE repository = ?1 AND tag = ?2 ORDER BY id DESC LIMIT -1 OFFSET ?3)";
    LIST = "SELECT digest, set_at, set_by, ended_at, ended_by, ended_how, id, tag, media_type,
            size FROM tag_history
        WHERE repository = ?1 AND tag = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4";
    REMOVED = "SELECT id, repository, tag FROM tag_history
        WHERE ended_how IN (2, 3) AND ended_at <= ?1 ORDER BY ended_at LIMIT ?2";
    // Of the removals of a tag the last one counts.
    FORGETTABLE = "SELECT count(*) FROM tag_history h WHERE ended_how IN (2, 3) AND ended_at <= ?1
        AND NOT EXISTS (SELECT 1 FROM repository r JOIN tag t ON t.repository_id = r.id
            WHERE r.name = h.repository AND t.name = h.tag)
        AND NOT EXISTS (SELECT 1 FROM tag_history l WHERE l.repository = h.repository
            AND l.tag = h.tag AND l.id > h.id AND (l.ended_at > ?1 OR l.ended_how IN (2, 3)))";
    IS_TAG = "SELECT 1 FROM repository r JOIN tag t ON t.repository_id = r.id
        WHERE r.name = ?1 AND t.name = ?2";
    LATER = "SELECT 1 FROM tag_history WHERE repository = ?1 AND tag = ?2 AND id > ?3
        AND ended_at > ?4 LIMIT 1";
    FORGET_TAG = "DELETE FROM tag_history WHERE repository = ?1 AND tag = ?2";
    SETTLE = "UPDATE tag_history SET ended_how = 4 WHERE id = ?1";
    RENAME = "UPDATE tag_history SET repository = ?2 WHERE repository = ?1";
}

/// What came of looking at removals of tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Removals that were looked at, and will not be again.
    pub looked_at: usize,
    /// Tags whose history is forgotten.
    pub tags: usize,
}

impl ReadTx<'_> {
    /// How many tags [`forget_history`](WriteTx::forget_history) would forget.
    pub fn count_forgettable_history(&self, before: SystemTime) -> Result<u64, Error> {
        let count = self.one(FORGETTABLE, (unix_ms(before),), |row| {
            Ok(row.get::<_, Count>(0)?.0)
        });
        count
            .map(Option::unwrap_or_default)
            .map_err(|error| self.failed(&error, "counting", "the history of removed tags"))
    }

    /// Up to `limit` rows of the tag's history, the latest first, of those before `before` (the
    /// `id` of a row) where one is given.
    pub fn tag_history(
        &self,
        name: &RepositoryName,
        tag: &Tag,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<PastTag>, Error> {
        let before = before.unwrap_or(i64::MAX);
        let params = (name.as_str(), tag.as_str(), before, self::limit(limit));
        self.all(LIST, params, past_tag).map_err(|error| {
            let subject = format_args!("{name}:{tag}");
            self.failed(&error, "reading the history of", subject)
        })
    }
}

pub(super) fn past_tag(row: &rusqlite::Row<'_>) -> rusqlite::Result<PastTag> {
    Ok(PastTag {
        digest: row.get(0)?,
        set_at: time(row.get(1)?),
        set_by: row.get(2)?,
        ended_at: time(row.get(3)?),
        ended_by: row.get(4)?,
        ended: row.get(5)?,
        id: row.get(6)?,
        tag: row.get(7)?,
        media_type: row.get(8)?,
        size: row.get::<_, Count>(9)?.0,
    })
}

impl WriteTx<'_> {
    /// Notes what the tag points to, because that ends now.
    pub(super) fn end_tag(
        &self,
        name: &RepositoryName,
        repository: i64,
        tag: &str,
        ended: Ended,
    ) -> rusqlite::Result<()> {
        let params = (
            name.as_str(),
            repository,
            tag,
            self.now_ms(),
            self.actor(),
            ended,
        );
        self.execute(END, params)?;
        self.trim_history(name, tag)
    }

    /// Notes what all tags of a manifest point to, because that ends with it. A history that grows
    /// too long by it is cut when its tag is made again.
    pub(super) fn end_tags(&self, name: &RepositoryName, manifest: i64) -> rusqlite::Result<()> {
        let params = (
            name.as_str(),
            manifest,
            self.now_ms(),
            self.actor(),
            Ended::RemovedWithManifest,
        );
        self.execute(END_ALL, params).map(|_| ())
    }

    /// Forgets what is beyond the longest history.
    pub(super) fn trim_history(&self, name: &RepositoryName, tag: &str) -> rusqlite::Result<()> {
        self.execute(TRIM, (name.as_str(), tag, limit(TAG_HISTORY_MAX)))
            .map(|_| ())
    }

    /// Forgets the history of tags that were removed at `before` or earlier and not made again,
    /// looking at up to `limit` removals.
    pub fn forget_history(&mut self, before: SystemTime, limit: usize) -> Result<Forgotten, Error> {
        let forget = || {
            let params = (unix_ms(before), self::limit(limit));
            let removed = self.all(REMOVED, params, |row| {
                let row: (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(row)
            })?;
            let mut forgotten = Forgotten {
                looked_at: removed.len(),
                tags: 0,
            };
            for (id, repository, tag) in &removed {
                let names = (repository, tag);
                let is_tag = self.one(IS_TAG, names, |_| Ok(()))?.is_some();
                let params = (repository, tag, id, unix_ms(before));
                if is_tag || self.one(LATER, params, |_| Ok(()))?.is_some() {
                    // It was made again: the row is part of a history that goes on.
                    self.execute(SETTLE, (id,))?;
                } else {
                    // None when another removal of the same tag has done it.
                    let rows = self.execute(FORGET_TAG, names)?;
                    forgotten.tags += usize::from(rows > 0);
                }
            }
            Ok(forgotten)
        };
        forget().map_err(|error| self.failed(&error, "forgetting", "the history of removed tags"))
    }

    /// The history of all tags of a repository goes to another name.
    pub(super) fn rename_history(
        &self,
        name: &RepositoryName,
        to: &RepositoryName,
    ) -> rusqlite::Result<usize> {
        self.execute(RENAME, (name.as_str(), to.as_str()))
    }
}
