//! What is known of the tags of a repository, and what is held by what: for a decision about what
//! is kept, and for how many bytes it frees.

use std::time::SystemTime;

use super::rows::{DatedTag, UsedBlob};
use super::transaction::{ReadTx, statements};
use super::values::{Count, DigestColumn, limit};
use crate::clock::unix_ms;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::Error;

statements! {
    // A digest is looked up for those tags alone that go: it lies with the manifest's bytes.
    TAGS = "SELECT t.name, t.manifest_id, t.updated_at, t.pulled_at, t.expires_at
        FROM repository r JOIN tag t ON t.repository_id = r.id WHERE r.name = ?1 ORDER BY t.name";
    TAG = "SELECT t.name, t.manifest_id, t.updated_at, t.pulled_at, t.expires_at
        FROM repository r JOIN tag t ON t.repository_id = r.id WHERE r.name = ?1 AND t.name = ?2";
    EXPIRED = "SELECT t.name, t.manifest_id, t.updated_at, t.pulled_at, t.expires_at, r.name
        FROM tag t CROSS JOIN repository r ON r.id = t.repository_id
        WHERE t.expires_at <= ?1 ORDER BY t.expires_at LIMIT ?2";
    ON_MANIFEST = "SELECT t.name FROM repository r JOIN manifest m ON m.repository_id = r.id
        JOIN tag t ON t.manifest_id = m.id WHERE r.name = ?1 AND m.digest = ?2";
    LAST_CHANGE = "SELECT ifnull(max(id), 0) FROM tag_history";
    CHANGED = "SELECT 1 FROM tag_history WHERE id > ?1 AND repository = ?2 LIMIT 1";
    SIZE = "SELECT size FROM manifest WHERE id = ?1";
    DIGEST = "SELECT digest FROM manifest WHERE id = ?1";
    TAG_COUNT = "SELECT count(*) FROM tag WHERE manifest_id = ?1";
    // The indexes above it, and the manifest that it is about.
    ABOVE = "SELECT a.id FROM manifest m
        CROSS JOIN manifest_reference f ON f.digest = m.digest AND f.kind = 3
        CROSS JOIN manifest a ON a.id = f.manifest_id AND a.repository_id = m.repository_id
        WHERE m.id = ?1
        UNION ALL SELECT s.id FROM manifest m
        CROSS JOIN manifest s ON s.repository_id = m.repository_id AND s.digest = m.subject
        WHERE m.id = ?1";
    // Its children, and the manifests that are about it.
    BELOW = "SELECT c.id FROM manifest m CROSS JOIN manifest_reference f ON f.manifest_id = m.id
        CROSS JOIN manifest c ON c.repository_id = m.repository_id AND c.digest = f.digest
        WHERE m.id = ?1 AND f.kind = 3
        UNION ALL SELECT c.id FROM manifest m
        CROSS JOIN manifest c ON c.repository_id = m.repository_id AND c.subject = m.digest
        WHERE m.id = ?1";
    BLOBS = "SELECT f.digest, rb.uses, b.size, b.holders FROM manifest m
        CROSS JOIN manifest_reference f ON f.manifest_id = m.id
        CROSS JOIN repository_blob rb
            ON rb.repository_id = m.repository_id AND rb.digest = f.digest
        CROSS JOIN blob b ON b.digest = f.digest WHERE m.id = ?1";
}

fn dated_tag(row: &rusqlite::Row<'_>) -> rusqlite::Result<DatedTag> {
    Ok(DatedTag {
        name: row.get(0)?,
        manifest: row.get(1)?,
        set_at: row.get(2)?,
        pulled_at: row.get(3)?,
        expires_at: row.get(4)?,
    })
}

impl ReadTx<'_> {
    /// Calls `each` with all tags of the repository, in byte order, until it answers false.
    pub fn each_dated_tag(
        &self,
        name: &RepositoryName,
        mut each: impl FnMut(DatedTag) -> bool,
    ) -> Result<(), Error> {
        self.each(TAGS, (name.as_str(),), |row| Ok(each(dated_tag(row)?)))
            .map_err(|error| self.failed(&error, "listing the tags of", name))
    }

    /// One tag.
    pub fn dated_tag(&self, name: &RepositoryName, tag: &Tag) -> Result<Option<DatedTag>, Error> {
        self.one(TAG, (name.as_str(), tag.as_str()), dated_tag)
            .map_err(|error| self.failed(&error, "looking up", format_args!("{name}:{tag}")))
    }

    /// Up to `limit` tags whose time to live is over at `now`, with their repositories, those first
    /// whose time ended first.
    pub fn expired_tags(
        &self,
        now: SystemTime,
        limit: usize,
    ) -> Result<Vec<(RepositoryName, DatedTag)>, Error> {
        let params = (unix_ms(now), self::limit(limit));
        self.all(EXPIRED, params, |row| Ok((row.get(5)?, dated_tag(row)?)))
            .map_err(|error| self.failed(&error, "listing", "tags whose time is over"))
    }

    /// The tags that point to the manifest.
    pub fn tags_on(&self, name: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, Error> {
        let params = (name.as_str(), DigestColumn::from(digest));
        self.all(ON_MANIFEST, params, |row| row.get(0))
            .map_err(|error| {
                let subject = format_args!("{name}@{digest}");
                self.failed(&error, "listing the tags of the manifest", subject)
            })
    }

    /// A mark of the history of all tags, for [`tags_changed`](Self::tags_changed).
    pub fn history_mark(&self) -> Result<i64, Error> {
        self.one(LAST_CHANGE, [], |row| row.get(0))
            .map(Option::unwrap_or_default)
            .map_err(|error| self.failed(&error, "reading", "the history of tags"))
    }

    /// Whether a tag of the repository was moved or removed since the mark.
    pub fn tags_changed(&self, name: &RepositoryName, mark: i64) -> Result<bool, Error> {
        self.one(CHANGED, (mark, name.as_str()), |_| Ok(()))
            .map(|found| found.is_some())
            .map_err(|error| self.failed(&error, "reading the history of", name))
    }

    /// Length of a manifest in bytes.
    pub fn manifest_size(&self, manifest: i64) -> Result<u64, Error> {
        self.one(SIZE, (manifest,), |row| Ok(row.get::<_, Count>(0)?.0))
            .map(Option::unwrap_or_default)
            .map_err(|error| self.failed(&error, HOLDING, "a manifest"))
    }

    /// The digest under which a manifest was pushed; `None` when it is not there.
    pub fn manifest_digest(&self, manifest: i64) -> Result<Option<Digest>, Error> {
        self.one(DIGEST, (manifest,), |row| row.get(0))
            .map_err(|error| self.failed(&error, "looking up", "a manifest"))
    }

    /// How many tags point to a manifest.
    pub fn manifest_tags(&self, manifest: i64) -> Result<u64, Error> {
        self.one(TAG_COUNT, (manifest,), |row| Ok(row.get::<_, Count>(0)?.0))
            .map(Option::unwrap_or_default)
            .map_err(|error| self.failed(&error, HOLDING, "a manifest"))
    }

    /// The manifests that hold one, besides its tags: indexes above it, and what it is about.
    pub fn manifests_above(&self, manifest: i64) -> Result<Vec<i64>, Error> {
        self.all(ABOVE, (manifest,), |row| row.get(0))
            .map_err(|error| self.failed(&error, HOLDING, "a manifest"))
    }

    /// The manifests that one holds: its children, and those that are about it.
    pub fn manifests_below(&self, manifest: i64) -> Result<Vec<i64>, Error> {
        self.all(BELOW, (manifest,), |row| row.get(0))
            .map_err(|error| self.failed(&error, HOLDING, "a manifest"))
    }

    /// The blobs of its repository that a manifest uses, each as often as it does.
    pub fn manifest_blobs(&self, manifest: i64) -> Result<Vec<UsedBlob>, Error> {
        let used = |row: &rusqlite::Row<'_>| {
            Ok(UsedBlob {
                digest: row.get(0)?,
                uses: row.get::<_, Count>(1)?.0,
                size: row.get::<_, Count>(2)?.0,
                holders: row.get::<_, Count>(3)?.0,
            })
        };
        self.all(BLOBS, (manifest,), used)
            .map_err(|error| self.failed(&error, HOLDING, "a manifest"))
    }
}

const HOLDING: &str = "reading what holds and is held by";
