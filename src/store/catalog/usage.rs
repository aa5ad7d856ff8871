//! How manifests hang together and what they use: for telling what an image alone takes, with work
//! for that image and nothing else.

use rusqlite::Row;

use super::rows::ReferenceKind;
use super::transaction::{ReadTx, statements};
use super::values::{Count, DigestColumn, limit};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::Error;

statements! {
    NODE = "SELECT m.id, m.repository_id, m.digest, m.size, m.subject FROM repository r
        JOIN manifest m ON m.repository_id = r.id WHERE r.name = ?1 AND m.digest = ?2";
    USES = "SELECT f.kind, f.digest, b.size, ifnull(rb.uses, 0), ifnull(b.holders, 0)
        FROM manifest_reference f
        LEFT JOIN repository_blob rb ON rb.repository_id = ?1 AND rb.digest = f.digest
        LEFT JOIN blob b ON b.digest = rb.digest
        WHERE f.manifest_id = ?2";
    REFERRERS = "SELECT digest FROM manifest WHERE repository_id = ?1 AND subject = ?2 LIMIT ?3";
    ABOVE = "SELECT a.digest FROM manifest_reference f
        CROSS JOIN manifest a ON a.id = f.manifest_id
        WHERE f.kind = 3 AND f.digest = ?2 AND a.repository_id = ?1 LIMIT ?3";
    SIBLING = "SELECT 1 FROM manifest WHERE repository_id = ?1 AND digest = ?2";
    OTHER_TAG = "SELECT 1 FROM tag WHERE manifest_id = ?1 AND name <> ?2 LIMIT 1";
}

/// A manifest among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    id: i64,
    repository: i64,
    /// The digest under which it was pushed.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// The manifest it is about, which need not exist.
    pub subject: Option<Digest>,
}

/// One reference of a manifest, and how the blob that it names is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// What it refers to it as.
    pub kind: ReferenceKind,
    /// The digest that it names.
    pub digest: Digest,
    /// The blob's length in bytes; `None` when the repository holds no such blob.
    pub size: Option<u64>,
    /// How many references of manifests of the repository name the blob.
    pub uses: u64,
    /// How many repositories hold it.
    pub holders: u64,
}

impl ReadTx<'_> {
    /// The manifest of a digest.
    pub fn node(&self, name: &RepositoryName, digest: &Digest) -> Result<Option<Node>, Error> {
        let node = |row: &Row<'_>| {
            Ok(Node {
                id: row.get(0)?,
                repository: row.get(1)?,
                digest: row.get(2)?,
                size: row.get::<_, Count>(3)?.0,
                subject: row.get(4)?,
            })
        };
        let params = (name.as_str(), DigestColumn::from(digest));
        self.one(NODE, params, node).map_err(|error| {
            let subject = format_args!("{name}@{digest}");
            self.failed(&error, "looking up the manifest", subject)
        })
    }

    /// What the manifest refers to.
    pub fn uses_of(&self, node: &Node) -> Result<Vec<Use>, Error> {
        let entry = |row: &Row<'_>| {
            Ok(Use {
                kind: row.get(0)?,
                digest: row.get(1)?,
                size: row.get::<_, Option<Count>>(2)?.map(|count| count.0),
                uses: row.get::<_, Count>(3)?.0,
                holders: row.get::<_, Count>(4)?.0,
            })
        };
        self.all(USES, (node.repository, node.id), entry)
            .map_err(|error| self.failed(&error, "reading the references of", node.digest))
    }

    /// The digests of up to `limit` manifests that are about this one.
    pub fn referrers_of(&self, node: &Node, limit: usize) -> Result<Vec<Digest>, Error> {
        self.others(REFERRERS, node, limit)
    }

    /// The digests of up to `limit` indexes that have this one as a child.
    pub fn indexes_above(&self, node: &Node, limit: usize) -> Result<Vec<Digest>, Error> {
        self.others(ABOVE, node, limit)
    }

    fn others(&self, sql: &str, node: &Node, limit: usize) -> Result<Vec<Digest>, Error> {
        let digest = DigestColumn::from(&node.digest);
        let params = (node.repository, digest, self::limit(limit));
        self.all(sql, params, |row| row.get(0))
            .map_err(|error| self.failed(&error, "listing what refers to", node.digest))
    }

    /// Whether a tag other than `tag` points to the manifest.
    pub fn has_other_tag(&self, node: &Node, tag: Option<&Tag>) -> Result<bool, Error> {
        // No tag is empty.
        let params = (node.id, tag.map_or("", Tag::as_str));
        self.one(OTHER_TAG, params, |_| Ok(()))
            .map(|found| found.is_some())
            .map_err(|error| self.failed(&error, "looking for tags on", node.digest))
    }

    /// Whether the same repository has a manifest of this digest.
    pub fn has_sibling(&self, node: &Node, digest: &Digest) -> Result<bool, Error> {
        let params = (node.repository, DigestColumn::from(digest));
        self.one(SIBLING, params, |_| Ok(()))
            .map(|found| found.is_some())
            .map_err(|error| self.failed(&error, "looking up the manifest", digest))
    }
}
