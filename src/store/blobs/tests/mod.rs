//! Tests of the blob stores: one suite for all, then what only a disk can do to a store.

mod cases;
mod checkpoint;
mod crash;
mod disk;
mod faults;
mod files;
mod inline;
mod model;
mod room;
mod rows;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::crash_disk::CrashDisk;
use super::{
    BlobStore, FileBlobStore, FileOptions as Options, FinishError, Opened, UploadError, UploadId,
    UploadKey,
};
use crate::oci::{Algorithm, Digest};
use crate::store::layout::Layout;
use crate::store::{Error, Shard, StagedBlob, StoredBlob};
use rows::{Rows, WithRows};

/// Where the data folder is on a [`CrashDisk`].
fn root() -> PathBuf {
    PathBuf::from("/data")
}

fn layout() -> Layout {
    Layout::new(root())
}

/// Small enough for a test to reach every bound; every blob is a file.
fn options() -> Options {
    Options {
        inline_bytes_max: 0,
        upload_sessions_max: 4,
        open_sessions_max: 2,
        probe_interval: Duration::ZERO,
        ..Options::default()
    }
}

fn crash_disk() -> CrashDisk {
    CrashDisk::new(&root())
}

fn open_on(disk: &CrashDisk) -> FileBlobStore<CrashDisk> {
    FileBlobStore::open(layout(), options(), disk.clone()).unwrap()
}

/// A store that keeps blobs of at most `bound` bytes in `rows`.
fn open_with_rows(disk: &CrashDisk, bound: u64, rows: &Rows) -> WithRows<CrashDisk> {
    WithRows::open(disk, layout(), bound, rows)
}

fn key(repository: &str) -> UploadKey {
    UploadKey {
        repository: repository.parse().unwrap(),
        id: UploadId::random().unwrap(),
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// Bytes that differ at every place from those of another seed's.
fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| at.to_le_bytes()[0] ^ seed.wrapping_mul(37) ^ u8::from(at % 509 == 0))
        .collect()
}

fn started(store: &dyn BlobStore, repository: &str) -> UploadKey {
    let key = key(repository);
    store.start_upload(&key, Algorithm::Sha256).unwrap();
    key
}

/// Claims, appends, acknowledges.
fn push_chunk(store: &dyn BlobStore, key: &UploadKey, chunk: &[u8]) {
    let mut upload = store.claim_upload(key).unwrap();
    upload.append(chunk).unwrap();
    upload.checkpoint().unwrap();
}

/// All the steps of a blob that arrives in one request.
fn push_blob(store: &dyn BlobStore, content: &[u8]) -> Result<Digest, Error> {
    push_blob_by(store, content, |store, staged| store.publish(staged))
}

/// The two ways to publish.
type Publish = fn(&dyn BlobStore, StagedBlob) -> Result<StoredBlob, Error>;

fn push_blob_by(store: &dyn BlobStore, content: &[u8], publish: Publish) -> Result<Digest, Error> {
    let digest = sha256(content);
    let mut upload = match store.start_anonymous_upload(Algorithm::Sha256) {
        Ok(upload) => upload,
        Err(UploadError::Store(error)) => return Err(error),
        Err(other) => panic!("{other:?}"),
    };
    upload.append(content)?;
    let staged = match upload.finish(&digest) {
        Ok(staged) => staged,
        Err(FinishError::Store(error)) => return Err(error),
        Err(other) => panic!("{other:?}"),
    };
    publish(store, staged)?;
    store.sync_shards(&[Shard::of(&digest)])?;
    Ok(digest)
}

fn read(store: &dyn BlobStore, digest: &Digest, size: u64) -> Option<Vec<u8>> {
    match store.open(digest, size).unwrap() {
        Opened::Blob(reader) => {
            let mut content = Vec::new();
            reader.into_read().read_to_end(&mut content).unwrap();
            Some(content)
        }
        Opened::Missing => None,
        Opened::WrongSize { found } => panic!("{digest} has {found} bytes, not {size}"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "reads better around a call")]
fn is_unknown<T>(result: Result<T, UploadError>) -> bool {
    matches!(&result, Err(UploadError::Unknown))
}

#[expect(clippy::needless_pass_by_value, reason = "reads better around a call")]
fn is_busy<T>(result: Result<T, UploadError>) -> bool {
    matches!(&result, Err(UploadError::Busy))
}

fn session_file(key: &UploadKey) -> PathBuf {
    layout().uploads().join(super::session::session_name(key))
}

fn is_state(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "state")
}
