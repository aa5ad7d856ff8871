//! A store of files with what a catalog would keep of it: the bytes of inline blobs. So the suite
//! that runs against every store sees both forms of a blob through the same calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use super::super::disk::Disk;
use super::super::{BlobReader, Entry, Upload};
use super::*;
use crate::store::proof::Place;

/// Bytes of inline blobs, which outlive the process that wrote them.
pub type Rows = Arc<Mutex<BTreeMap<Digest, Arc<[u8]>>>>;

/// The store, and the rows.
pub struct WithRows<D: Disk> {
    store: FileBlobStore<D>,
    rows: Rows,
}

impl<D: Disk> WithRows<D> {
    /// A store that keeps blobs of at most `bound` bytes inline, in `rows`.
    pub fn open(disk: &D, layout: Layout, bound: u64, rows: &Rows) -> Self {
        let options = Options {
            inline_bytes_max: bound,
            ..options()
        };
        Self {
            store: FileBlobStore::open(layout, options, disk.clone()).unwrap(),
            rows: Arc::clone(rows),
        }
    }

    /// Commits the row: from then on the blob has one of its two forms.
    fn commit(&self, blob: StoredBlob) -> StoredBlob {
        let (digest, size) = (*blob.digest(), blob.size());
        match &blob.place {
            Place::Row(bytes) => {
                let bytes = Arc::from(bytes.as_slice());
                self.rows.lock().unwrap().insert(digest, bytes);
                drop(blob);
                StoredBlob::in_file(digest, size, true)
            }
            Place::File { .. } => {
                self.rows.lock().unwrap().remove(&digest);
                blob
            }
        }
    }

    fn row(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        self.rows.lock().unwrap().get(digest).cloned()
    }
}

impl<D: Disk> BlobStore for WithRows<D> {
    fn start_upload(&self, key: &UploadKey, algorithm: Algorithm) -> Result<(), UploadError> {
        self.store.start_upload(key, algorithm)
    }

    fn upload_offset(&self, key: &UploadKey) -> Result<u64, UploadError> {
        self.store.upload_offset(key)
    }

    fn claim_upload(&self, key: &UploadKey) -> Result<Box<dyn Upload>, UploadError> {
        self.store.claim_upload(key)
    }

    fn start_anonymous_upload(&self, algorithm: Algorithm) -> Result<Box<dyn Upload>, UploadError> {
        self.store.start_anonymous_upload(algorithm)
    }

    fn publish(&self, staged: StagedBlob) -> Result<StoredBlob, Error> {
        self.store.publish(staged).map(|blob| self.commit(blob))
    }

    fn publish_new(&self, staged: StagedBlob) -> Result<StoredBlob, Error> {
        self.store.publish_new(staged).map(|blob| self.commit(blob))
    }

    fn sync_shards(&self, shards: &[Shard]) -> Result<(), Error> {
        self.store.sync_shards(shards)
    }

    fn open(&self, digest: &Digest, size: u64) -> Result<Opened, Error> {
        match self.row(digest) {
            Some(bytes) if bytes.len() as u64 == size => {
                Ok(Opened::Blob(BlobReader::Memory(bytes)))
            }
            Some(bytes) => Ok(Opened::WrongSize {
                found: bytes.len() as u64,
            }),
            None => self.store.open(digest, size),
        }
    }

    fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match self.row(digest) {
            Some(bytes) => Ok(Some(bytes.len() as u64)),
            None => self.store.size(digest),
        }
    }

    fn remove(&self, digest: &Digest) -> Result<(), Error> {
        self.rows.lock().unwrap().remove(digest);
        self.store.remove(digest)
    }

    fn quarantine(&self, digest: &Digest) -> Result<(), Error> {
        self.rows.lock().unwrap().remove(digest);
        self.store.quarantine(digest)
    }

    fn walk_shard(&self, shard: Shard, each: &mut dyn FnMut(Entry) -> bool) -> Result<(), Error> {
        let rows = self.rows.lock().unwrap().clone();
        for (digest, bytes) in rows {
            let entry = Entry {
                digest,
                size: bytes.len() as u64,
                modified: SystemTime::UNIX_EPOCH,
            };
            if Shard::of(&digest) == shard && !each(entry) {
                return Ok(());
            }
        }
        self.store.walk_shard(shard, each)
    }

    fn expire_uploads(&self, before: SystemTime) -> Result<usize, Error> {
        self.store.expire_uploads(before)
    }

    fn sessions(&self) -> usize {
        self.store.sessions()
    }

    fn probe(&self) -> Result<(), Error> {
        self.store.probe()
    }
}
