//! The blob store in memory, for fixtures: nothing survives the process, and a limit in bytes
//! stands for the size of the disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::{
    BlobReader, BlobStore, Entry, FinishError, Opened, Upload, UploadError, UploadId, UploadKey,
};
use crate::clock::{Clock, SystemClock};
use crate::oci::{Algorithm, Digest, Hasher};
use crate::store::{Error, ErrorKind, Shard, StagedBlob, StoredBlob};

/// The blob store in memory.
pub struct MemoryBlobStore {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    bytes_max: u64,
    upload_sessions_max: usize,
}

#[derive(Default)]
struct State {
    blobs: HashMap<Digest, Blob>,
    sessions: HashMap<String, Slot>,
    /// Bytes of blobs and of sessions.
    used: u64,
}

/// One session's place.
struct Slot {
    /// `None` while a request owns the session.
    session: Option<Session>,
    /// Length in bytes that was acknowledged, also while it is owned.
    acknowledged: u64,
}

struct Blob {
    bytes: Arc<[u8]>,
    modified: SystemTime,
}

struct Session {
    bytes: Vec<u8>,
    hasher: Hasher,
    /// What was acknowledged: its length and its hash.
    offset: usize,
    acknowledged: Hasher,
    modified: SystemTime,
}

impl Session {
    fn new(algorithm: Algorithm) -> Self {
        Self {
            bytes: Vec::new(),
            hasher: Hasher::new(algorithm),
            offset: 0,
            acknowledged: Hasher::new(algorithm),
            modified: SystemClock.now(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, name: String, session: Option<Session>) -> Result<(), UploadError> {
        let mut state = self.lock();
        if state.sessions.len() >= self.upload_sessions_max {
            return Err(UploadError::TooMany {
                limit: self.upload_sessions_max,
            });
        }
        if state.sessions.contains_key(&name) {
            return Err(UploadError::Busy);
        }
        let slot = Slot {
            session,
            acknowledged: 0,
        };
        state.sessions.insert(name, slot);
        Ok(())
    }

    fn free(&self, bytes: u64) {
        let mut state = self.lock();
        state.used = state.used.saturating_sub(bytes);
    }
}

impl MemoryBlobStore {
    /// An empty store for at most `bytes_max` bytes of blobs and sessions together.
    pub fn new(bytes_max: u64, upload_sessions_max: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                bytes_max,
                upload_sessions_max,
            }),
        }
    }

    fn upload(&self, name: String, session: Session, named: bool) -> Box<dyn Upload> {
        Box::new(MemoryUpload {
            shared: Arc::clone(&self.shared),
            name,
            session: Some(session),
            named,
        })
    }
}

fn name_of(key: &UploadKey) -> String {
    format!("{} {}", key.repository, key.id)
}

/// A session in the hands of one request.
struct MemoryUpload {
    shared: Arc<Shared>,
    name: String,
    /// There until it is finished or cancelled.
    session: Option<Session>,
    named: bool,
}

impl MemoryUpload {
    fn session(&mut self) -> Result<&mut Session, Error> {
        self.session
            .as_mut()
            .ok_or_else(|| Error::new(ErrorKind::Closed, "continuing", "an upload"))
    }

    /// Takes the session out of the table, with the bytes it holds.
    fn end(&mut self) -> Option<Session> {
        self.shared.lock().sessions.remove(&self.name);
        self.session.take()
    }
}

impl Upload for MemoryUpload {
    fn offset(&self) -> u64 {
        let session = self.session.as_ref();
        session.map_or(0, |session| session.offset as u64)
    }

    fn length(&self) -> u64 {
        let session = self.session.as_ref();
        session.map_or(0, |session| session.bytes.len() as u64)
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), Error> {
        let used = self.shared.lock().used;
        if used.saturating_add(bytes) > self.shared.bytes_max {
            return Err(full("reserving space for", self.shared.bytes_max));
        }
        let room = usize::try_from(bytes).unwrap_or(usize::MAX);
        let reserved = self.session()?.bytes.try_reserve_exact(room);
        reserved.map_err(|error| full("reserving space for", self.shared.bytes_max).because(error))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let count = bytes.len() as u64;
        let bytes_max = self.shared.bytes_max;
        let reserved = self.session()?.bytes.try_reserve(bytes.len());
        reserved.map_err(|error| full("writing", bytes_max).because(error))?;
        {
            let mut state = self.shared.lock();
            if state.used.saturating_add(count) > bytes_max {
                return Err(full("writing", bytes_max));
            }
            state.used += count;
        }
        let session = self.session()?;
        session.bytes.extend_from_slice(bytes);
        session.hasher.update(bytes);
        session.modified = SystemClock.now();
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), Error> {
        let session = self.session()?;
        session.offset = session.bytes.len();
        session.acknowledged = session.hasher.clone();
        let offset = session.offset as u64;
        if let Some(slot) = self.shared.lock().sessions.get_mut(&self.name) {
            slot.acknowledged = offset;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, expected: &Digest) -> Result<StagedBlob, FinishError> {
        let session = self
            .end()
            .ok_or_else(|| Error::new(ErrorKind::Closed, "finishing", "an upload"))?;
        let staged = Staged {
            shared: Arc::clone(&self.shared),
            counted: session.bytes.len() as u64,
            bytes: session.bytes.into(),
        };
        let actual = if expected.algorithm() == session.hasher.algorithm() {
            session.hasher.finish()
        } else {
            Digest::of(expected.algorithm(), &staged.bytes)
        };
        if actual != *expected {
            return Err(FinishError::DigestMismatch { actual });
        }
        Ok(StagedBlob {
            digest: *expected,
            size: staged.counted,
            holder: Box::new(staged),
        })
    }

    fn cancel(mut self: Box<Self>) -> Result<(), Error> {
        if let Some(session) = self.end() {
            self.shared.free(session.bytes.len() as u64);
        }
        Ok(())
    }
}

impl Drop for MemoryUpload {
    /// Back to what was acknowledged.
    fn drop(&mut self) {
        if !self.named {
            if let Some(session) = self.end() {
                self.shared.free(session.bytes.len() as u64);
            }
            return;
        }
        let Some(mut session) = self.session.take() else {
            return;
        };
        let surplus = session.bytes.len() - session.offset;
        if surplus > 0 {
            session.bytes.truncate(session.offset);
            session.bytes.shrink_to_fit();
            session.hasher = session.acknowledged.clone();
            self.shared.free(surplus as u64);
        }
        if let Some(slot) = self.shared.lock().sessions.get_mut(&self.name) {
            slot.session = Some(session);
        }
    }
}

/// Verified bytes that are not a blob yet; dropping them gives their room back.
struct Staged {
    shared: Arc<Shared>,
    bytes: Arc<[u8]>,
    counted: u64,
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.shared.free(self.counted);
    }
}

fn full(doing: &'static str, bytes_max: u64) -> Error {
    Error::new(ErrorKind::Full, doing, "an upload").because(format!(
        "the store in memory holds at most {bytes_max} bytes"
    ))
}

impl BlobStore for MemoryBlobStore {
    fn start_upload(&self, key: &UploadKey, algorithm: Algorithm) -> Result<(), UploadError> {
        self.shared
            .start(name_of(key), Some(Session::new(algorithm)))
    }

    fn claim_upload(&self, key: &UploadKey) -> Result<Box<dyn Upload>, UploadError> {
        let name = name_of(key);
        let mut state = self.shared.lock();
        let slot = state.sessions.get_mut(&name).ok_or(UploadError::Unknown)?;
        let session = slot.session.take().ok_or(UploadError::Busy)?;
        drop(state);
        Ok(self.upload(name, session, true))
    }

    fn upload_offset(&self, key: &UploadKey) -> Result<u64, UploadError> {
        let state = self.shared.lock();
        let slot = state.sessions.get(&name_of(key));
        slot.map(|slot| slot.acknowledged)
            .ok_or(UploadError::Unknown)
    }

    fn start_anonymous_upload(&self, algorithm: Algorithm) -> Result<Box<dyn Upload>, UploadError> {
        let name = UploadId::random()?.to_string();
        self.shared.start(name.clone(), None)?;
        Ok(self.upload(name, Session::new(algorithm), false))
    }

    fn publish(&self, staged: StagedBlob) -> Result<StoredBlob, Error> {
        let StagedBlob {
            digest,
            size,
            holder,
        } = staged;
        let mut staged = match holder.downcast::<Staged>() {
            Ok(staged) if Arc::ptr_eq(&staged.shared, &self.shared) => staged,
            _ => {
                return Err(Error::new(ErrorKind::Io, "publishing blob", digest)
                    .because("it was staged by another store"));
            }
        };
        let blob = Blob {
            bytes: Arc::clone(&staged.bytes),
            modified: SystemClock.now(),
        };
        staged.counted = 0;
        let mut state = self.shared.lock();
        let replaced = state.blobs.insert(digest, blob);
        let freed = replaced.map_or(0, |blob| blob.bytes.len() as u64);
        state.used = state.used.saturating_sub(freed);
        drop(state);
        Ok(StoredBlob::in_file(digest, size, true))
    }

    fn sync_shards(&self, _shards: &[Shard]) -> Result<(), Error> {
        Ok(())
    }

    fn open(&self, digest: &Digest, size: u64) -> Result<Opened, Error> {
        Ok(match self.shared.lock().blobs.get(digest) {
            None => Opened::Missing,
            Some(blob) if blob.bytes.len() as u64 == size => {
                Opened::Blob(BlobReader::Memory(Arc::clone(&blob.bytes)))
            }
            Some(blob) => Opened::WrongSize {
                found: blob.bytes.len() as u64,
            },
        })
    }

    fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let state = self.shared.lock();
        Ok(state.blobs.get(digest).map(|blob| blob.bytes.len() as u64))
    }

    fn remove(&self, digest: &Digest) -> Result<(), Error> {
        let mut state = self.shared.lock();
        if let Some(blob) = state.blobs.remove(digest) {
            state.used = state.used.saturating_sub(blob.bytes.len() as u64);
        }
        Ok(())
    }

    /// Bytes in memory are not kept for a person to look at.
    fn quarantine(&self, digest: &Digest) -> Result<(), Error> {
        self.remove(digest)
    }

    fn walk_shard(&self, shard: Shard, each: &mut dyn FnMut(Entry) -> bool) -> Result<(), Error> {
        // Copied first, so that `each` may use the store.
        let state = self.shared.lock();
        let entries: Vec<Entry> = state
            .blobs
            .iter()
            .filter(|(digest, _)| Shard::of(digest) == shard)
            .map(|(digest, blob)| Entry {
                digest: *digest,
                size: blob.bytes.len() as u64,
                modified: blob.modified,
            })
            .collect();
        drop(state);
        for entry in entries {
            if !each(entry) {
                break;
            }
        }
        Ok(())
    }

    fn expire_uploads(&self, before: SystemTime) -> Result<usize, Error> {
        let mut state = self.shared.lock();
        let known = state.sessions.len();
        let mut freed = 0;
        state.sessions.retain(|_, slot| match &slot.session {
            Some(session) if session.modified < before => {
                freed += session.bytes.len() as u64;
                false
            }
            _ => true,
        });
        state.used = state.used.saturating_sub(freed);
        Ok(known - state.sessions.len())
    }

    fn sessions(&self) -> usize {
        self.shared.lock().sessions.len()
    }

    fn probe(&self) -> Result<(), Error> {
        Ok(())
    }
}
