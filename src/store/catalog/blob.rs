//! Blobs: their rows, the bytes of the short ones, and which repository holds them.

use std::sync::Arc;

use super::rows::BlobRow;
use super::transaction::{ReadTx, WriteTx, statements};
use super::values::{Count, DigestColumn, limit};
use crate::oci::{Digest, RepositoryName};
use crate::store::proof::Place;
use crate::store::{Error, StoredBlob};

statements! {
    // The length of a column is in the head of its row: none of these reads the bytes.
    BLOB = "SELECT b.size, b.quarantined, length(i.bytes) AS inline FROM blob b
        LEFT JOIN inline_blob i ON i.digest = b.digest
        WHERE b.digest = ?1";
    IN_REPOSITORY = "SELECT b.size, b.quarantined, length(i.bytes) AS inline FROM repository r
        JOIN repository_blob rb ON rb.repository_id = r.id
        JOIN blob b ON b.digest = rb.digest
        LEFT JOIN inline_blob i ON i.digest = b.digest
        WHERE r.name = ?1 AND rb.digest = ?2";
    BYTES = "SELECT bytes FROM inline_blob WHERE digest = ?1";
    HOLDERS = "SELECT name FROM repository WHERE id IN
        (SELECT repository_id FROM repository_blob WHERE digest = ?1) AND is_past = 0
        ORDER BY name LIMIT ?2";
    LIST = "SELECT b.digest, b.size, b.quarantined, length(i.bytes) AS inline FROM blob b
        LEFT JOIN inline_blob i ON i.digest = b.digest
        WHERE b.digest > ?1 ORDER BY b.digest LIMIT ?2";
    INSERT = "INSERT INTO blob (digest, size, created_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (digest) DO UPDATE SET size = excluded.size, quarantined = 0
        WHERE size <> excluded.size OR quarantined <> 0";
    INSERT_BYTES = "INSERT INTO inline_blob (digest, bytes) VALUES (?1, ?2)
        ON CONFLICT (digest) DO UPDATE SET bytes = excluded.bytes";
    DELETE_BYTES = "DELETE FROM inline_blob WHERE digest = ?1";
    DELETE_UNUSED = "DELETE FROM blob WHERE digest = ?1
        AND NOT EXISTS (SELECT 1 FROM repository_blob WHERE digest = ?1)";
    SET_QUARANTINE = "UPDATE blob SET quarantined = ?2 WHERE digest = ?1";
}

fn blob_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<BlobRow> {
    Ok(BlobRow {
        size: row.get::<_, Count>("size")?.0,
        quarantined: row.get("quarantined")?,
        inline: row.get::<_, Option<Count>>("inline")?.map(|count| count.0),
    })
}

impl ReadTx<'_> {
    /// The blob's row, whichever repository holds it.
    pub fn blob(&self, digest: &Digest) -> Result<Option<BlobRow>, Error> {
        self.one(BLOB, (DigestColumn::from(digest),), blob_row)
            .map_err(|error| self.failed(&error, "looking up the blob", digest))
    }

    /// The blob's row if this repository holds it.
    pub fn repository_blob(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<BlobRow>, Error> {
        let params = (name.as_str(), DigestColumn::from(digest));
        self.one(IN_REPOSITORY, params, blob_row)
            .map_err(|error| self.failed(&error, "looking up the blob", digest))
    }

    /// The bytes of a blob that has them in the catalog; `None` when they are a file.
    pub fn inline_bytes(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, Error> {
        let bytes = |row: &rusqlite::Row<'_>| Ok(Arc::from(row.get_ref(0)?.as_blob()?));
        self.one(BYTES, (DigestColumn::from(digest),), bytes)
            .map_err(|error| self.failed(&error, "reading the blob", digest))
    }

    /// Up to `limit` repositories that hold the blob, in byte order.
    pub fn blob_repositories(
        &self,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<RepositoryName>, Error> {
        let params = (DigestColumn::from(digest), self::limit(limit));
        self.all(HOLDERS, params, |row| row.get(0))
            .map_err(|error| self.failed(&error, "listing the repositories of the blob", digest))
    }

    /// Up to `limit` blob rows after `last`, by digest.
    pub fn blobs(
        &self,
        last: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<(Digest, BlobRow)>, Error> {
        let params = (DigestColumn::after(last), self::limit(limit));
        self.all(LIST, params, |row| Ok((row.get("digest")?, blob_row(row)?)))
            .map_err(|error| self.failed(&error, "listing", "blobs"))
    }
}

impl WriteTx<'_> {
    /// Writes the row of a published blob, and its bytes when they go with it; an existing row is
    /// brought up to date and its quarantine lifted. The commit waits until the name of a blob
    /// that is a file is durable.
    pub fn insert_blob(&mut self, blob: &StoredBlob) -> Result<(), Error> {
        // Whether or not the row changes: the file under the name may be a new one.
        self.shards.extend(blob.shard_to_sync());
        let digest = || DigestColumn::from(blob.digest());
        self.execute(INSERT, (digest(), Count(blob.size()), self.now_ms()))
            .and_then(|_| match &blob.place {
                Place::Row(bytes) => {
                    self.bytes += bytes.len();
                    self.execute(INSERT_BYTES, (digest(), &bytes[..]))
                }
                // It may have been a short one that was found to be wrong.
                Place::File { .. } => self.execute(DELETE_BYTES, (digest(),)),
            })
            .map(|_| ())
            .map_err(|error| self.failed(&error, "writing the blob", blob.digest()))
    }

    /// Lets a repository read a blob whose row exists; makes the repository.
    ///
    /// # Errors
    /// Kind `Io` when there is no such row: the caller looks first.
    pub fn link_blob(&mut self, name: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        let repository = self.ensure_repository(name)?;
        self.link(repository, digest).map_err(|error| {
            let subject = format_args!("{digest} to the repository {name}");
            self.failed(&error, "linking the blob", subject)
        })
    }

    /// Takes a blob from a repository (and the repository, when that was its last content). False
    /// when it was not there.
    pub fn unlink_blob(&mut self, name: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        let Some(repository) = self.repository_id(name)? else {
            return Ok(false);
        };
        let unlinked = self.unlink(repository, digest).map_err(|error| {
            let subject = format_args!("{digest} from the repository {name}");
            self.failed(&error, "unlinking the blob", subject)
        })?;
        if unlinked {
            self.delete_empty_repository(repository)?;
        }
        Ok(unlinked)
    }

    /// Removes the blob's row, and the bytes it has beside it, unless a repository still holds it.
    /// True when it is gone, or was never there.
    pub fn delete_blob_if_unused(&mut self, digest: &Digest) -> Result<bool, Error> {
        Ok(self.delete_unused_row(digest)? || self.blob(digest)?.is_none())
    }

    /// The same for a blob whose row was there. True when it is gone.
    pub fn delete_unused_row(&mut self, digest: &Digest) -> Result<bool, Error> {
        self.execute(DELETE_UNUSED, (DigestColumn::from(digest),))
            .map(|deleted| deleted > 0)
            .map_err(|error| self.failed(&error, "removing the blob", digest))
    }

    /// Marks or clears a blob's quarantine. False when there is no row.
    pub fn set_quarantine(&mut self, digest: &Digest, quarantined: bool) -> Result<bool, Error> {
        self.execute(SET_QUARANTINE, (DigestColumn::from(digest), quarantined))
            .map(|rows| rows > 0)
            .map_err(|error| self.failed(&error, "marking the blob", digest))
    }
}
