//! Reading and deleting blobs through the repository that holds them.

use super::{Error, Registry};
use crate::oci::{Digest, RepositoryName};
use crate::store::blobs::{BlobReader, Opened};
use crate::store::catalog::BlobRow;
use crate::store::content;

/// A blob that can be served.
pub struct Blob {
    /// Length in bytes, checked against the stored bytes.
    pub size: u64,
    /// The bytes.
    pub reader: BlobReader,
}

impl Registry {
    /// Length of a blob of the repository. A blob that is known to be damaged is unknown, so that
    /// clients send it again. Who is told of one will not send it: it is kept for the grace.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`], [`Error::Store`].
    pub fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<u64, Error> {
        self.lease(digest);
        let row = self
            .catalog
            .read_at_once(|tx| tx.repository_blob(repository, digest))?;
        let row = served(row, digest)?;
        if content::size(&*self.blobs, digest, &row)? == Some(row.size) {
            return Ok(row.size);
        }
        self.distrust(digest)?;
        Err(Error::BlobUnknown { digest: *digest })
    }

    /// Opens a blob of the repository.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`], also for a blob whose bytes were found to be wrong: they are never
    /// served; [`Error::Store`].
    pub fn open_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Blob, Error> {
        // One snapshot for both, and the connection is free again before a byte is sent.
        let (row, inline) = self.catalog.read_at_once(|tx| {
            let row = served(tx.repository_blob(repository, digest)?, digest)?;
            let inline = row.inline.map(|_| tx.inline_bytes(digest)).transpose()?;
            Ok::<_, Error>((row, inline.flatten()))
        })?;
        match content::open(&*self.blobs, digest, &row, inline)? {
            Opened::Blob(reader) => Ok(Blob {
                size: row.size,
                reader,
            }),
            Opened::Missing | Opened::WrongSize { .. } => {
                self.distrust(digest)?;
                Err(Error::BlobUnknown { digest: *digest })
            }
        }
    }

    /// Where a client can fetch the blob instead, for stores that have such a place.
    pub fn blob_redirect(&self, digest: &Digest) -> Option<String> {
        self.blobs.redirect_url(digest)
    }

    /// Takes a blob from the repository, and its bytes when no other repository holds it.
    ///
    /// # Errors
    /// [`Error::DeleteDisabled`], [`Error::BlobUnknown`], [`Error::Store`].
    pub fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Error> {
        self.require_delete()?;
        let _owned = self.locks.lock(digest);
        let (name, digest) = (repository.clone(), *digest);
        let recorder = self.recorder();
        let unused = self.catalog.write(move |tx| {
            if !tx.unlink_blob(&name, &digest)? {
                return Err(Error::BlobUnknown { digest });
            }
            recorder.blob_deleted(tx, &name, &digest)?;
            Ok(tx.delete_blob_if_unused(&digest)?)
        })?;
        if unused && let Err(error) = self.remove_file(&digest) {
            // The row is gone, with the bytes it had beside it, so a file means nothing; the sweep
            // tries again.
            log::warn!("blob {digest} was deleted but its file stays for now: {error}");
        }
        Ok(())
    }

    /// Whether the repository holds a blob that can be served.
    pub(super) fn holds(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, Error> {
        match self.blob_size(repository, digest) {
            Ok(_) => Ok(true),
            Err(Error::BlobUnknown { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The row of a blob that may be served.
fn served(row: Option<BlobRow>, digest: &Digest) -> Result<BlobRow, Error> {
    row.filter(|row| !row.quarantined)
        .ok_or(Error::BlobUnknown { digest: *digest })
}
