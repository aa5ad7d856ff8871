//! Repositories and tags as an operator looks at them: sums and facts a row, for nobody counts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::SystemTime;

use rusqlite::Row;

use super::past::past_name;
use super::transaction::{ReadTx, statements};
use super::values::{Count, DigestColumn, limit, time};
use crate::oci::{Digest, MediaType, RepositoryName, Tag};
use crate::store::Error;

statements! {
    REPOSITORY = "SELECT name, created_at, tags, manifests, manifest_bytes, blobs, blob_bytes,
            alone_bytes FROM repository WHERE name = ?1";
    REPOSITORIES = "SELECT name, created_at, tags, manifests, manifest_bytes, blobs, blob_bytes,
            alone_bytes FROM repository WHERE name > ?1 AND name < '~' ORDER BY name LIMIT ?2";
    PAST = "SELECT id, manifests, manifest_bytes, blob_bytes, alone_bytes, removed_at
        FROM repository WHERE name = ?1";
    LAST_OF_PAST = "SELECT removed_at FROM manifest
        WHERE repository_id = ?1 AND removed_at IS NOT NULL ORDER BY removed_at DESC LIMIT 1";
    LAST_OF_ALL = "SELECT removed_at FROM manifest
        WHERE removed_at IS NOT NULL ORDER BY removed_at DESC LIMIT 1";
    TAG = "SELECT t.name, m.digest, m.media_type, t.updated_at, t.set_by, t.expires_at,
            t.pulled_at, t.pulls, m.size
        FROM repository r JOIN tag t ON t.repository_id = r.id
        JOIN manifest m ON m.id = t.manifest_id
        WHERE r.name = ?1 AND t.name = ?2";
    TAGS = "SELECT t.name, m.digest, m.media_type, t.updated_at, t.set_by, t.expires_at,
            t.pulled_at, t.pulls, m.size
        FROM repository r JOIN tag t ON t.repository_id = r.id
        JOIN manifest m ON m.id = t.manifest_id
        WHERE r.name = ?1 AND t.name > ?2 ORDER BY t.name LIMIT ?3";
    AGES = "SELECT t.updated_at, t.name FROM repository r JOIN tag t ON t.repository_id = r.id
        WHERE r.name = ?1";
    DIGESTS = "SELECT m.digest FROM repository r JOIN manifest m ON m.repository_id = r.id
        WHERE r.name = ?1 AND m.digest > ?2 ORDER BY m.digest LIMIT ?3";
}

/// What a repository holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryRow {
    /// Its name.
    pub name: RepositoryName,
    /// When its first content arrived.
    pub created_at: SystemTime,
    /// Tags.
    pub tags: u64,
    /// Manifests.
    pub manifests: u64,
    /// Sum of their sizes in bytes.
    pub manifest_bytes: u64,
    /// Blobs.
    pub blobs: u64,
    /// Sum of their sizes in bytes.
    pub blob_bytes: u64,
    /// The part of it that no other repository holds.
    pub alone_bytes: u64,
}

/// What was removed from a repository and can be brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastRow {
    /// Manifests.
    pub manifests: u64,
    /// Sum of their sizes in bytes.
    pub manifest_bytes: u64,
    /// Sum of the sizes of their blobs in bytes.
    pub blob_bytes: u64,
    /// The part of it that nothing else needs.
    pub alone_bytes: u64,
    /// When the repository was last removed as a whole.
    pub removed_at: Option<SystemTime>,
    /// When the last of the manifests was removed.
    pub last_at: Option<SystemTime>,
}

/// A tag with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRow {
    /// Its name.
    pub name: String,
    /// The manifest that it points to.
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: MediaType,
    /// The manifest's length in bytes.
    pub size: u64,
    /// When it was last set, also to what it pointed to already.
    pub set_at: SystemTime,
    /// By whom; `None` when nobody was logged in.
    pub set_by: Option<String>,
    /// When it is to be removed.
    pub expires_at: Option<SystemTime>,
    /// When it was last pulled.
    pub pulled_at: Option<SystemTime>,
    /// How often it was.
    pub pulls: u64,
}

fn repository_row(row: &Row<'_>) -> rusqlite::Result<RepositoryRow> {
    let count = |column: usize| row.get::<_, Count>(column).map(|count| count.0);
    Ok(RepositoryRow {
        name: row.get(0)?,
        created_at: time(row.get(1)?),
        tags: count(2)?,
        manifests: count(3)?,
        manifest_bytes: count(4)?,
        blobs: count(5)?,
        blob_bytes: count(6)?,
        alone_bytes: count(7)?,
    })
}

fn tag_row(row: &Row<'_>) -> rusqlite::Result<TagRow> {
    Ok(TagRow {
        name: row.get(0)?,
        digest: row.get(1)?,
        media_type: row.get(2)?,
        set_at: time(row.get(3)?),
        set_by: row.get(4)?,
        expires_at: row.get::<_, Option<i64>>(5)?.map(time),
        pulled_at: row.get::<_, Option<i64>>(6)?.map(time),
        pulls: row.get::<_, Count>(7)?.0,
        size: row.get::<_, Count>(8)?.0,
    })
}

impl ReadTx<'_> {
    /// What the repository holds; `None` when it does not exist.
    pub fn repository_row(&self, name: &RepositoryName) -> Result<Option<RepositoryRow>, Error> {
        self.one(REPOSITORY, (name.as_str(),), repository_row)
            .map_err(|error| self.failed(&error, "looking up the repository", name))
    }

    /// What up to `limit` repositories after `last` hold, in byte order of their names.
    pub fn repository_rows(
        &self,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Vec<RepositoryRow>, Error> {
        let params = (last.unwrap_or_default(), self::limit(limit));
        self.all(REPOSITORIES, params, repository_row)
            .map_err(|error| self.failed(&error, "listing", "repositories"))
    }

    /// What was removed from the repository, which need not exist any more.
    pub fn past_row(&self, name: &RepositoryName) -> Result<Option<PastRow>, Error> {
        let past = || {
            let found = self.one(PAST, (past_name(name),), |row| {
                let count = |column: usize| row.get::<_, Count>(column).map(|count| count.0);
                let past = PastRow {
                    manifests: count(1)?,
                    manifest_bytes: count(2)?,
                    blob_bytes: count(3)?,
                    alone_bytes: count(4)?,
                    removed_at: row.get::<_, Option<i64>>(5)?.map(time),
                    last_at: None,
                };
                Ok((row.get::<_, i64>(0)?, past))
            })?;
            let Some((id, past)) = found else {
                return Ok(None);
            };
            let last_at = self.one(LAST_OF_PAST, (id,), |row| Ok(time(row.get(0)?)))?;
            Ok(Some(PastRow { last_at, ..past }))
        };
        past().map_err(|error| self.failed(&error, "looking up the past of", name))
    }

    /// When the last of all manifests that can be brought back was removed.
    pub fn last_removed_at(&self) -> Result<Option<SystemTime>, Error> {
        self.one(LAST_OF_ALL, (), |row| Ok(time(row.get(0)?)))
            .map_err(|error| self.failed(&error, "looking up", "what was removed last"))
    }

    /// What is known of the tag.
    pub fn tag_row(&self, name: &RepositoryName, tag: &Tag) -> Result<Option<TagRow>, Error> {
        self.one(TAG, (name.as_str(), tag.as_str()), tag_row)
            .map_err(|error| {
                self.failed(&error, "looking up the tag", format_args!("{name}:{tag}"))
            })
    }

    /// What is known of up to `limit` tags after `last`, in byte order of their names.
    pub fn tag_rows(
        &self,
        name: &RepositoryName,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Vec<TagRow>, Error> {
        let params = (name.as_str(), last.unwrap_or_default(), self::limit(limit));
        self.all(TAGS, params, tag_row)
            .map_err(|error| self.failed(&error, "listing the tags of", name))
    }

    /// The `count` tags that were set last, the last first. Looks at each tag of the repository.
    pub fn newest_tags(&self, name: &RepositoryName, count: usize) -> Result<Vec<TagRow>, Error> {
        let newest = || {
            let mut newest: BinaryHeap<Reverse<(i64, String)>> = BinaryHeap::new();
            self.each(AGES, (name.as_str(),), |row| {
                newest.push(Reverse((row.get(0)?, row.get(1)?)));
                if newest.len() > count {
                    newest.pop();
                }
                Ok(true)
            })?;
            let mut rows = Vec::new();
            for Reverse((_, tag)) in newest.into_sorted_vec() {
                rows.extend(self.one(TAG, (name.as_str(), tag), tag_row)?);
            }
            Ok(rows)
        };
        newest().map_err(|error| self.failed(&error, "listing the newest tags of", name))
    }

    /// The digests of up to `limit` manifests of the repository after `last`.
    pub fn manifest_digests(
        &self,
        name: &RepositoryName,
        last: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<Digest>, Error> {
        let params = (name.as_str(), DigestColumn::after(last), self::limit(limit));
        self.all(DIGESTS, params, |row| row.get(0))
            .map_err(|error| self.failed(&error, "listing the manifests of", name))
    }
}
