//! Short blobs: what of them touches the disk, and what becomes of their sessions' files.

use super::super::crash_disk::{ENOSPC, Faults};
use super::super::disk::{Access, Disk};
use super::*;
use crate::store::ErrorKind;
use crate::store::proof::Place;

/// A store that keeps blobs of at most 64 bytes inline.
fn open_inline(disk: &CrashDisk) -> FileBlobStore<CrashDisk> {
    let options = Options {
        inline_bytes_max: 64,
        ..options()
    };
    FileBlobStore::open(layout(), options, disk.clone()).unwrap()
}

/// What a blob carries to its row; `None` for a file.
fn inline_bytes(blob: &StoredBlob) -> Option<&[u8]> {
    match &blob.place {
        Place::Row(bytes) => Some(bytes),
        Place::File { .. } => None,
    }
}

fn publish_single(store: &dyn BlobStore, content: &[u8]) -> StoredBlob {
    let mut upload = store.start_anonymous_upload(Algorithm::Sha256).unwrap();
    for chunk in content.chunks(40) {
        upload.append(chunk).unwrap();
    }
    let staged = upload.finish(&sha256(content)).unwrap();
    store.publish_new(staged).unwrap()
}

fn in_uploads(disk: &CrashDisk) -> Vec<PathBuf> {
    disk.names(&layout().uploads())
}

#[test]
fn a_short_blob_in_one_request_touches_no_file() {
    let disk = crash_disk();
    let store = open_inline(&disk);
    disk.set_faults(Faults::default());
    let blob = publish_single(&store, b"short");
    assert_eq!(inline_bytes(&blob), Some(&b"short"[..]));
    assert_eq!(blob.size(), 5);
    drop(blob);
    // Only the question how much room there is.
    assert_eq!((disk.calls(), disk.syncs()), (1, 0));
    assert!(in_uploads(&disk).is_empty());
}

#[test]
fn the_bound_is_exact_and_0_makes_every_blob_a_file() {
    let disk = crash_disk();
    let store = open_inline(&disk);
    for (length, is_inline) in [
        (0, true),
        (63, true),
        (64, true),
        (65, false),
        (5000, false),
    ] {
        let content = bytes(1, length);
        let blob = publish_single(&store, &content);
        let kept = is_inline.then_some(&content[..]);
        assert_eq!(inline_bytes(&blob), kept, "{length}");
        let size = (!is_inline).then_some(length as u64);
        assert_eq!(store.size(blob.digest()).unwrap(), size, "{length}");
    }
    let store = open_on(&crash_disk());
    assert!(inline_bytes(&publish_single(&store, b"")).is_none());
}

#[test]
fn what_was_acknowledged_is_read_back_and_the_rest_is_not_written() {
    for algorithm in Algorithm::ALL {
        let disk = crash_disk();
        let store = open_inline(&disk);
        let key = started(&store, "a");
        push_chunk(&store, &key, b"from the file, ");
        let mut upload = store.claim_upload(&key).unwrap();
        upload.append(b"from memory").unwrap();
        let digest = Digest::of(algorithm, b"from the file, from memory");
        let staged = upload.finish(&digest).unwrap();
        let blob = store.publish(staged).unwrap();
        assert_eq!(inline_bytes(&blob).unwrap(), b"from the file, from memory");
        let file = disk.contents(&session_file(&key)).unwrap();
        assert_eq!(file, b"from the file, ", "until the row is committed");
    }
}

/// Chunks that become a long blob are all in its file, whichever of them waited in memory.
#[test]
fn a_blob_that_outgrows_the_bound_is_a_file() {
    for acknowledge in [false, true] {
        let disk = crash_disk();
        let store = open_inline(&disk);
        let key = started(&store, "a");
        let content = bytes(1, 100);
        let mut upload = store.claim_upload(&key).unwrap();
        for chunk in content.chunks(30) {
            upload.append(chunk).unwrap();
            if acknowledge {
                upload.checkpoint().unwrap();
            }
        }
        let blob = store
            .publish(upload.finish(&sha256(&content)).unwrap())
            .unwrap();
        assert!(inline_bytes(&blob).is_none());
        assert_eq!(read(&store, blob.digest(), 100), Some(content));
    }
}

#[test]
fn a_session_file_is_used_again_once_the_blob_is_committed() {
    let disk = crash_disk();
    let store = open_inline(&disk);
    for (chunk, files) in [(&b""[..], 1), (b"acknowledged", 2), (b"again", 2)] {
        let key = started(&store, "a");
        push_chunk(&store, &key, chunk);
        let upload = store.claim_upload(&key).unwrap();
        let staged = upload.finish(&sha256(chunk)).unwrap();
        let blob = store.publish_new(staged).unwrap();
        assert_eq!(inline_bytes(&blob), Some(chunk));
        assert!(in_uploads(&disk).contains(&session_file(&key)));
        drop(blob);
        assert!(is_unknown(store.claim_upload(&key)));
        let left = in_uploads(&disk);
        assert_eq!(left.len(), files, "{left:?}");
        for path in left {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(name.starts_with("spare-"), "{name}");
            assert_eq!(disk.contents(&path).unwrap(), b"", "{name}");
        }
    }
    disk.set_faults(Faults::default());
    let key = started(&store, "a");
    // Its time and its name, and no new file.
    assert_eq!(disk.calls(), 2);
    assert_eq!(store.claim_upload(&key).unwrap().offset(), 0);
    drop(open_inline(&disk.kill()));
}

/// A session that has an old file is not old.
#[test]
fn a_session_is_as_old_as_its_start() {
    let disk = crash_disk();
    let store = open_inline(&disk);
    let first = started(&store, "a");
    let staged = store.claim_upload(&first).unwrap().finish(&sha256(b""));
    drop(store.publish(staged.unwrap()).unwrap());
    // The disk's clock goes on with its calls.
    for _ in 0..10 {
        store.probe().unwrap();
    }
    let between = disk.now();
    let key = started(&store, "a");
    assert_eq!(store.expire_uploads(between).unwrap(), 0);
    assert_eq!(store.claim_upload(&key).unwrap().offset(), 0);
}

#[test]
fn spare_files_end_with_the_process_and_are_no_sessions() {
    let disk = crash_disk();
    let store = open_inline(&disk);
    let keys: Vec<_> = (0..3).map(|_| started(&store, "a")).collect();
    for key in &keys {
        let staged = store.claim_upload(key).unwrap().finish(&sha256(b""));
        drop(store.publish(staged.unwrap()).unwrap());
    }
    assert_eq!(in_uploads(&disk).len(), 3);
    let future = disk.now() + Duration::from_secs(1000);
    assert_eq!(store.expire_uploads(future).unwrap(), 0);
    let disk = disk.kill();
    let store = open_inline(&disk);
    assert!(in_uploads(&disk).is_empty());
    for _ in 0..4 {
        started(&store, "a");
    }
}

#[test]
fn a_spare_file_that_somebody_took_away_is_made_anew() {
    let disk = crash_disk();
    let store = open_inline(&disk);
    let first = started(&store, "a");
    let staged = store.claim_upload(&first).unwrap().finish(&sha256(b""));
    drop(store.publish(staged.unwrap()).unwrap());
    for path in in_uploads(&disk) {
        disk.remove(&path).unwrap();
    }
    let key = started(&store, "a");
    push_chunk(&store, &key, b"kept");
    let store = open_inline(&disk.kill());
    assert_eq!(store.claim_upload(&key).unwrap().offset(), 4);
}

/// With little room left a short blob is a file as well: the catalog's log must stay foldable.
#[test]
fn with_little_room_a_short_blob_is_a_file() {
    let disk = crash_disk();
    let store = open_inline(&disk);
    disk.set_faults(Faults {
        bytes_max: Some(1 << 20),
        ..Faults::default()
    });
    let blob = publish_single(&store, b"short");
    assert!(inline_bytes(&blob).is_none());
    assert_eq!(read(&store, blob.digest(), 5).unwrap(), b"short");
}

#[test]
fn without_any_room_the_session_stays_as_it_was() {
    let disk = crash_disk();
    let store = open_inline(&disk);
    let key = started(&store, "a");
    push_chunk(&store, &key, b"before");
    let mut upload = store.claim_upload(&key).unwrap();
    upload.append(b" after").unwrap();
    disk.set_faults(Faults {
        bytes_max: Some(6),
        ..Faults::default()
    });
    match upload.finish(&sha256(b"before after")) {
        Err(FinishError::Store(error)) => assert_eq!(error.kind(), ErrorKind::Full),
        other => panic!("{other:?}"),
    }
    disk.set_faults(Faults::default());
    let mut upload = store.claim_upload(&key).unwrap();
    assert_eq!((upload.offset(), upload.length()), (6, 6));
    upload.append(b" after").unwrap();
    let staged = upload.finish(&sha256(b"before after")).unwrap();
    let blob = store.publish(staged).unwrap();
    assert_eq!(inline_bytes(&blob).unwrap(), b"before after");
}

/// Whatever fails while a session's files are put by, the blob is not touched by it.
#[test]
fn a_failure_after_the_commit_is_no_matter() {
    for at in 1..=6 {
        let disk = crash_disk();
        let store = open_inline(&disk);
        let key = started(&store, "a");
        push_chunk(&store, &key, b"chunk");
        let staged = store.claim_upload(&key).unwrap().finish(&sha256(b"chunk"));
        let blob = store.publish(staged.unwrap()).unwrap();
        disk.set_faults(Faults {
            fail_at_call: Some((at, ENOSPC)),
            ..Faults::default()
        });
        drop(blob);
        disk.set_faults(Faults::default());
        assert!(is_unknown(store.claim_upload(&key)), "{at}");
        let next = started(&store, "a");
        push_chunk(&store, &next, b"other");
        let store = open_inline(&disk.kill());
        let upload = store.claim_upload(&next).unwrap();
        drop(store.publish(upload.finish(&sha256(b"other")).unwrap()));
    }
}

/// Room that was reserved and not used does not stay with a spare file.
#[test]
fn a_spare_file_keeps_no_room() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    let options = Options {
        inline_bytes_max: 64,
        ..options()
    };
    let disk = super::super::disk::RealDisk;
    let store = FileBlobStore::open(layout.clone(), options, disk).unwrap();
    let key = started(&store, "a");
    let mut upload = store.claim_upload(&key).unwrap();
    upload.reserve(3 << 20).unwrap();
    upload.append(b"short").unwrap();
    let blob = store.publish(upload.finish(&sha256(b"short")).unwrap());
    assert_eq!(inline_bytes(&blob.unwrap()), Some(&b"short"[..]));
    let spare = std::fs::metadata(layout.uploads().join("spare-1")).unwrap();
    assert_eq!((spare.len(), spare.blocks()), (0, 0));
}

/// A file of a session that was finished elsewhere is not cut by the one that has it now.
#[test]
fn a_spare_file_has_no_byte_of_its_last_session() {
    let disk = crash_disk();
    let store = open_inline(&disk);
    let first = started(&store, "a");
    push_chunk(&store, &first, &bytes(1, 60));
    let staged = store
        .claim_upload(&first)
        .unwrap()
        .finish(&sha256(&bytes(1, 60)));
    drop(store.publish(staged.unwrap()).unwrap());
    let second = started(&store, "a");
    push_chunk(&store, &second, b"two");
    assert_eq!(disk.contents(&session_file(&second)).unwrap(), b"two");
    let file = disk.open(&session_file(&second), Access::Read).unwrap();
    assert_eq!(disk.metadata(&file).unwrap().length, 3);
}
