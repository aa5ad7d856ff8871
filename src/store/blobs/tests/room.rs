//! Uploads take their room from a reserve's remainder, and give back what they do not use.

use std::sync::Arc;

use super::super::crash_disk::Faults;
use super::*;
use crate::store::ErrorKind;
use crate::store::space::{self, Space};

const MIB: u64 = 1 << 20;

/// A disk of so many bytes, all but the reserve for pushes; with blobs of at most `bound` inline.
fn open(bytes_max: u64, reserve: u64, bound: u64) -> (CrashDisk, Arc<Space>, impl BlobStore) {
    let disk = crash_disk();
    limit(&disk, bytes_max);
    let sizes = space::Options {
        reserve: Some(reserve),
        low_water: Some(0),
    };
    let space = Space::open(disk.clone(), &layout(), sizes).unwrap();
    let options = Options {
        inline_bytes_max: bound,
        ..options()
    };
    let store = FileBlobStore::open_in(layout(), options, disk.clone(), Arc::clone(&space));
    (disk, space, store.unwrap())
}

fn limit(disk: &CrashDisk, bytes_max: u64) {
    disk.set_faults(Faults {
        bytes_max: Some(bytes_max),
        ..Faults::default()
    });
}

/// How much a push could have at this moment.
fn left(space: &Arc<Space>) -> u64 {
    let error = space.claim_all(u64::MAX).err().unwrap();
    let shortage = error.shortage().unwrap();
    shortage.free.saturating_sub(shortage.reserve)
}

#[test]
fn an_announced_length_is_refused_at_once_or_held_until_it_is_written() {
    let (disk, space, store) = open(10 * MIB, 4 * MIB, 0);
    let key = started(&store, "a");
    let mut upload = store.claim_upload(&key).unwrap();
    let error = upload.reserve(6 * MIB).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(error.shortage().unwrap().free, 10 * MIB);
    assert_eq!(left(&space), 6 * MIB, "nothing is held by what was refused");
    upload.reserve(5 * MIB).unwrap();
    let held = 6 * MIB - left(&space);
    assert!((5 * MIB..5 * MIB + 64 * 1024).contains(&held), "{held}");
    upload.append(&bytes(1, 3 << 20)).unwrap();
    assert_eq!(
        6 * MIB - left(&space),
        held,
        "written, and not counted twice"
    );
    // A broken chunk gives all of it back.
    drop(upload);
    assert_eq!(left(&space), 6 * MIB);
    assert_eq!(disk.contents(&session_file(&key)).unwrap().len(), 0);
    let mut upload = store.claim_upload(&key).unwrap();
    upload.reserve(5 * MIB).unwrap();
    upload.append(&bytes(1, 5 << 20)).unwrap();
    let staged = upload.finish(&sha256(&bytes(1, 5 << 20))).unwrap();
    drop(store.publish(staged).unwrap());
    assert_eq!(left(&space), MIB);
}

#[test]
fn an_upload_of_unknown_length_stops_before_the_reserve() {
    let (disk, space, store) = open(10 * MIB, 4 * MIB, 0);
    let key = started(&store, "a");
    push_chunk(&store, &key, &bytes(1, 100_000));
    let before = left(&space);
    let mut upload = store.claim_upload(&key).unwrap();
    let chunk = bytes(2, 250_000);
    let mut taken = 0;
    let error = loop {
        match upload.append(&chunk) {
            Ok(()) => taken += chunk.len() as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(error.shortage().unwrap().reserve, 4 * MIB);
    assert!(
        taken <= before && taken + 250_000 > before,
        "{taken} of {before}"
    );
    assert!(upload.append(b"x").is_err() && upload.checkpoint().is_err());
    let used: u64 = 100_000 + taken;
    assert!(10 * MIB - used >= 4 * MIB);
    drop(upload);
    assert_eq!(left(&space), before);
    assert_eq!(store.upload_offset(&key).unwrap(), 100_000);
    assert_eq!(disk.contents(&session_file(&key)).unwrap().len(), 100_000);
}

/// Bytes of an inline blob are on their way into the catalog until its row is committed.
#[test]
fn an_inline_blob_holds_its_room_until_it_is_in_the_catalog() {
    let (_disk, space, store) = open(100 * MIB, 4 * MIB, 64 << 10);
    let before = left(&space);
    let content = bytes(1, 50_000);
    let mut upload = store.start_anonymous_upload(Algorithm::Sha256).unwrap();
    upload.reserve(50_000).unwrap();
    upload.append(&content).unwrap();
    let staged = upload.finish(&sha256(&content)).unwrap();
    assert!(left(&space) <= before - 50_000);
    let stored = store.publish(staged).unwrap();
    assert!(stored.is_inline());
    assert!(left(&space) <= before - 50_000);
    drop(stored);
    assert_eq!(left(&space), before);
    // One whose bytes were acknowledged before is in a file as well, and takes its room again.
    let key = started(&store, "a");
    push_chunk(&store, &key, &content);
    let before = left(&space);
    let staged = store.claim_upload(&key).unwrap().finish(&sha256(&content));
    assert_eq!(left(&space), before - 50_000);
    drop(staged);
}

#[test]
fn an_inline_blob_for_whose_second_copy_there_is_no_room_stays_an_upload() {
    let (disk, space, store) = open(100 * MIB, 4 * MIB, 64 << 10);
    let key = started(&store, "a");
    let content = bytes(1, 50_000);
    push_chunk(&store, &key, &content);
    limit(&disk, 4 * MIB + 60_000);
    let refused = store.claim_upload(&key).unwrap().finish(&sha256(&content));
    assert!(matches!(refused, Err(FinishError::Store(error)) if error.shortage().is_some()));
    assert_eq!(store.upload_offset(&key).unwrap(), 50_000);
    limit(&disk, 100 * MIB);
    let upload = store.claim_upload(&key).unwrap();
    let stored = store.publish(upload.finish(&sha256(&content)).unwrap());
    assert!(stored.unwrap().is_inline());
    assert!(left(&space) > 90 * MIB);
}

#[test]
fn uploads_that_rest_go_the_oldest_first_until_it_is_enough() {
    let (disk, _, store) = open(100 * MIB, 0, 0);
    let keys: Vec<UploadKey> = (0..4)
        .map(|n| {
            let key = started(&store, "a");
            push_chunk(&store, &key, &bytes(n, 1000));
            key
        })
        .collect();
    // The second is heard of again, and somebody has the first.
    let owned = store.claim_upload(&keys[0]).unwrap();
    push_chunk(&store, &keys[1], b"more");
    let now = disk.now() + Duration::from_secs(1);
    let mut asked = 0;
    let removed = store.expire_oldest_uploads(now, &mut || {
        asked += 1;
        asked > 2
    });
    assert_eq!(removed.unwrap(), 1, "the first is in use, the third goes");
    drop(owned);
    let there = |key: &UploadKey| !is_unknown(store.upload_offset(key));
    let found: Vec<bool> = keys.iter().map(there).collect();
    assert_eq!(found, [true, true, false, true]);
    let before = disk.now() - Duration::from_secs(1_000_000);
    assert_eq!(
        store.expire_oldest_uploads(before, &mut || false).unwrap(),
        0
    );
    let now = disk.now() + Duration::from_secs(1);
    assert_eq!(store.expire_oldest_uploads(now, &mut || true).unwrap(), 0);
    assert_eq!(store.expire_oldest_uploads(now, &mut || false).unwrap(), 3);
    assert!(disk.names(&layout().uploads()).is_empty());
}
