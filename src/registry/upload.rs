//! Blobs on their way in: sessions, chunks, single requests, mounts.
//!
//! A chunk counts whole or not at all. A blob is acknowledged only when its row is committed, and
//! its bytes and their name are durable by then (`store::proof`).

use std::cell::RefCell;
use std::io::Read;
use std::sync::Arc;

use super::quotas::{self, Room};
use super::{Error, Registry};
use crate::oci::{Algorithm, Digest, RepositoryName};
use crate::store::blobs::{FinishError, Upload, UploadId, UploadKey};
use crate::store::catalog::BlobRow;
use crate::store::{ErrorKind, StoredBlob, content};

/// Bytes moved at a time from the client to the store.
const COPY_BYTES: usize = 256 << 10;

thread_local! {
    /// One copy buffer a thread, so that a small blob costs no large allocation.
    static COPY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a request says about the chunk it carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// First and last byte, when the request names them (`Content-Range`).
    pub range: Option<(u64, u64)>,
    /// Length in bytes, when the request tells it.
    pub length: Option<u64>,
}

impl Registry {
    /// Starts an upload session that expects `algorithm`.
    ///
    /// # Errors
    /// [`Error::UploadsTooMany`], [`Error::QuotaExceeded`] when there is no room for a byte more,
    /// [`Error::Store`].
    pub fn start_upload(
        &self,
        repository: &RepositoryName,
        algorithm: Algorithm,
    ) -> Result<UploadId, Error> {
        self.room(repository, None)?.check(1)?;
        self.require_room(0)?;
        let id = UploadId::random()?;
        let key = UploadKey {
            repository: repository.clone(),
            id: id.clone(),
        };
        self.blobs
            .start_upload(&key, algorithm)
            .map_err(|error| Error::of_upload(error, &id))?;
        self.note_upload(&key);
        Ok(id)
    }

    /// Length in bytes of what a session has acknowledged.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], [`Error::UploadBusy`], [`Error::Store`].
    pub fn upload_offset(&self, key: &UploadKey) -> Result<u64, Error> {
        let offset = self.blobs.upload_offset(key);
        offset.map_err(|error| Error::of_upload(error, &key.id))
    }

    /// Adds a chunk and acknowledges it; returns the length of the upload so far.
    ///
    /// # Errors
    /// Those of a claim; [`Error::OffsetMismatch`] and [`Error::SizeMismatch`], after which the
    /// session is as before; so it is after [`Error::QuotaExceeded`]; [`Error::BlobTooLarge`],
    /// [`Error::Source`], [`Error::Store`].
    pub fn append(
        &self,
        key: &UploadKey,
        chunk: Chunk,
        source: &mut dyn Read,
    ) -> Result<u64, Error> {
        let mut upload = self.claim(key)?;
        let room = self.room(&key.repository, None)?;
        self.receive(&key.id, upload.as_mut(), chunk, source, &room)?;
        upload.checkpoint()?;
        Ok(upload.offset())
    }

    /// Adds the last chunk, which may be empty, and makes the upload a blob of the repository.
    ///
    /// # Errors
    /// Those of [`append`](Self::append), after which the session is as before;
    /// [`Error::DigestMismatch`], after which it is gone, and so it may be after
    /// [`Error::QuotaExceeded`], when others took the room meanwhile.
    pub fn finish_upload(
        &self,
        key: &UploadKey,
        chunk: Chunk,
        source: &mut dyn Read,
        digest: &Digest,
    ) -> Result<(), Error> {
        let mut upload = self.claim(key)?;
        let room = self.room(&key.repository, Some(digest))?;
        self.receive(&key.id, upload.as_mut(), chunk, source, &room)?;
        let admitted = self.admit(&key.repository, upload, digest);
        // When the store failed, the session may be back at what was acknowledged.
        if !matches!(admitted, Err(Error::Store(_))) {
            self.pushing.end(&key.repository, &key.id);
        }
        admitted
    }

    /// Receives a whole blob in one request.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], [`Error::UploadsTooMany`], [`Error::BlobTooLarge`],
    /// [`Error::QuotaExceeded`], [`Error::Source`], [`Error::Store`].
    pub fn push_blob(
        &self,
        repository: &RepositoryName,
        length: Option<u64>,
        source: &mut dyn Read,
        digest: &Digest,
    ) -> Result<(), Error> {
        let room = self.room(repository, Some(digest))?;
        let key = UploadKey {
            repository: repository.clone(),
            id: UploadId::random()?,
        };
        let upload = self
            .blobs
            .start_anonymous_upload(digest.algorithm())
            .map_err(|error| Error::of_upload(error, &key.id))?;
        self.note_upload(&key);
        let pushed = self.push_in_one(&key, upload, length, source, digest, &room);
        self.pushing.end(repository, &key.id);
        pushed
    }

    fn push_in_one(
        &self,
        key: &UploadKey,
        mut upload: Box<dyn Upload>,
        length: Option<u64>,
        source: &mut dyn Read,
        digest: &Digest,
        room: &Room,
    ) -> Result<(), Error> {
        let chunk = Chunk {
            range: None,
            length,
        };
        self.receive(&key.id, upload.as_mut(), chunk, source, room)?;
        self.admit(&key.repository, upload, digest)
    }

    /// Ends a session and forgets its bytes.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], [`Error::UploadBusy`], [`Error::Store`].
    pub fn cancel_upload(&self, key: &UploadKey) -> Result<(), Error> {
        let cancelled = self.claim(key)?.cancel();
        self.pushing.end(&key.repository, &key.id);
        Ok(cancelled?)
    }

    /// Lets `repository` read a blob of `from` without sending it again. False when `from` does
    /// not hold it (or does not exist): the client uploads instead.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`], [`Error::Store`].
    pub fn mount(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: &RepositoryName,
    ) -> Result<bool, Error> {
        let (repository, from, digest) = (repository.clone(), from.clone(), *digest);
        if !self.holds(&from, &digest)? {
            return Ok(false);
        }
        let (rules, recorder) = (self.policy(), self.recorder());
        let _room = self.claim_row(0)?;
        self.catalog.write(move |tx| {
            let row = tx.repository_blob(&from, &digest)?;
            let Some(row) = row.filter(|row| !row.quarantined) else {
                return Ok(false);
            };
            quotas::admit_blob(tx, &rules, &repository, &digest, row.size)?;
            tx.link_blob(&repository, &digest)?;
            recorder.blob_mounted(tx, &repository, &digest, row.size, &from)?;
            Ok(true)
        })
    }

    /// Up to `limit` repositories that hold the blob: where a mount without a source may look.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn mount_sources(
        &self,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<RepositoryName>, Error> {
        Ok(self
            .catalog
            .read(|tx| tx.blob_repositories(digest, limit))?)
    }

    fn claim(&self, key: &UploadKey) -> Result<Box<dyn Upload>, Error> {
        let upload = self
            .blobs
            .claim_upload(key)
            .map_err(|error| Error::of_upload(error, &key.id))?;
        self.note_upload(key);
        Ok(upload)
    }

    fn note_upload(&self, key: &UploadKey) {
        let now = self.clock.steady();
        self.pushing.note(&key.repository, &key.id, now);
    }

    /// Copies a chunk into the upload. Nothing of it counts until the caller acknowledges it.
    fn receive(
        &self,
        id: &UploadId,
        upload: &mut dyn Upload,
        chunk: Chunk,
        source: &mut dyn Read,
        room: &Room,
    ) -> Result<(), Error> {
        let start = upload.length();
        let declared = self.expected_length(id, start, chunk)?;
        room.check(start.saturating_add(declared.unwrap_or(0)))?;
        if let Some(length) = declared.filter(|length| *length > 0) {
            upload.reserve(length)?;
        }
        COPY.with_borrow_mut(|buffer| {
            buffer.resize(COPY_BYTES, 0);
            loop {
                let count = source.read(buffer).map_err(Error::Source)?;
                if count == 0 {
                    break;
                }
                let length = upload.length() + count as u64;
                self.check_blob_length(length)?;
                room.check(length)?;
                upload.append(&buffer[..count])?;
            }
            Ok::<(), Error>(())
        })?;
        let received = upload.length() - start;
        match declared {
            Some(declared) if declared != received => {
                Err(Error::SizeMismatch { declared, received })
            }
            _ => Ok(()),
        }
    }

    /// The length a chunk must have, after checking that it belongs where the upload ends.
    fn expected_length(
        &self,
        id: &UploadId,
        offset: u64,
        chunk: Chunk,
    ) -> Result<Option<u64>, Error> {
        if let Some(length) = chunk.length {
            self.check_blob_length(offset.saturating_add(length))?;
        }
        let Some((first, last)) = chunk.range else {
            return Ok(chunk.length);
        };
        if first != offset || last < first {
            return Err(Error::OffsetMismatch {
                id: id.clone(),
                expected: offset,
                found: first,
            });
        }
        let declared = (last - first).saturating_add(1);
        match chunk.length {
            Some(received) if received != declared => {
                Err(Error::SizeMismatch { declared, received })
            }
            _ => Ok(Some(declared)),
        }
    }

    fn check_blob_length(&self, length: u64) -> Result<(), Error> {
        match self.options.blob_bytes_max {
            0 => Ok(()),
            limit if length > limit => Err(Error::BlobTooLarge { limit }),
            _ => Ok(()),
        }
    }

    /// Turns a complete upload into a blob that `repository` may read.
    fn admit(
        &self,
        repository: &RepositoryName,
        upload: Box<dyn Upload>,
        digest: &Digest,
    ) -> Result<(), Error> {
        let staged = upload.finish(digest).map_err(|error| match error {
            FinishError::DigestMismatch { actual } => Error::DigestMismatch {
                expected: *digest,
                actual: Some(actual),
            },
            FinishError::Store(error) => Error::Store(error),
        })?;
        self.lease(digest);
        let _owned = self.locks.lock(digest);
        let row = self.catalog.read_at_once(|tx| tx.blob(digest))?;
        let stored = match row {
            // Nothing claims the name, so the cheaper order of steps is as safe.
            None if !self.catalog.is_unclear() => self.blobs.publish_new(staged)?,
            Some(row) if self.is_sound(digest, row, staged.size())? => {
                // The bytes are there already; the staged copy goes when it is dropped.
                return self.link(repository, digest, staged.size());
            }
            None | Some(_) => self.blobs.publish(staged)?,
        };
        let is_inline = stored.is_inline();
        self.insert(repository, stored)?;
        if is_inline
            && content::names_file(row)
            && let Err(error) = self.remove_file(digest)
        {
            // The row has the bytes now, so the file means nothing; the sweep tries again.
            log::warn!("blob {digest} was healed but its old file stays for now: {error}");
        }
        Ok(())
    }

    /// Whether the store already has exactly this blob, in a state that can be served.
    fn is_sound(&self, digest: &Digest, row: BlobRow, size: u64) -> Result<bool, Error> {
        let claimed = !row.quarantined && row.size == size;
        Ok(claimed && content::size(&*self.blobs, digest, &row)? == Some(size))
    }

    fn link(&self, repository: &RepositoryName, digest: &Digest, size: u64) -> Result<(), Error> {
        let (repository, digest, rules) = (repository.clone(), *digest, self.policy());
        let recorder = self.recorder();
        self.catalog.write(move |tx| {
            quotas::admit_blob(tx, &rules, &repository, &digest, size)?;
            tx.link_blob(&repository, &digest)?;
            Ok(recorder.blob_pushed(tx, &repository, &digest, size)?)
        })
    }

    fn insert(&self, repository: &RepositoryName, stored: StoredBlob) -> Result<(), Error> {
        let (repository, digest) = (repository.clone(), *stored.digest());
        // What its upload left behind goes here and after the commit, with the last of the two.
        let stored = Arc::new(stored);
        let (own, rules) = (Arc::clone(&stored), self.policy());
        let recorder = self.recorder();
        let inserted = self.catalog.write(move |tx| {
            quotas::admit_blob(tx, &rules, &repository, own.digest(), own.size())?;
            tx.insert_blob(&own)?;
            tx.link_blob(&repository, own.digest())?;
            recorder.blob_pushed(tx, &repository, own.digest(), own.size())?;
            Ok(())
        });
        drop(stored);
        match &inserted {
            Err(Error::QuotaExceeded(_)) => self.give_back(&digest),
            Err(Error::Store(error)) if error.kind() == ErrorKind::Full => self.give_back(&digest),
            _ => {}
        }
        inserted
    }

    /// On a full disk or past a quota, a blob that got no row must not keep its room from being
    /// used. The caller holds the digest's lock.
    fn give_back(&self, digest: &Digest) {
        let unclaimed = matches!(self.catalog.read_at_once(|tx| tx.blob(digest)), Ok(None));
        if unclaimed
            && !self.catalog.is_unclear()
            && let Err(error) = self.remove_file(digest)
        {
            log::warn!("the file of blob {digest}, which has no row, stays for now: {error}");
        }
    }
}
