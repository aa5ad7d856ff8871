//! What every blob store does, whatever keeps its bytes.

use super::*;
use crate::store::ErrorKind;
use crate::store::blobs::disk::RealDisk;
use crate::store::blobs::{Entry, MemoryBlobStore};
use std::time::SystemTime;

/// Each case as a test of each store.
macro_rules! for_every_store {
    ($($case:ident),* $(,)?) => {
        mod files {
            $(#[test]
            fn $case() {
                let folder = tempfile::tempdir().unwrap();
                let layout = super::Layout::new(folder.path());
                let disk = super::RealDisk;
                super::$case(&super::FileBlobStore::open(layout, super::options(), disk).unwrap());
            })*
        }
        mod crash_disk {
            $(#[test]
            fn $case() {
                super::$case(&super::open_on(&super::crash_disk()));
            })*
        }
        mod inline {
            $(#[test]
            fn $case() {
                let (disk, rows) = (super::crash_disk(), super::Rows::default());
                super::$case(&super::open_with_rows(&disk, 64 << 10, &rows));
            })*
        }
        mod memory {
            $(#[test]
            fn $case() {
                super::$case(&super::MemoryBlobStore::new(64 << 20, 4));
            })*
        }
    };
}

for_every_store!(
    blob_lives_and_dies,
    chunks_add_up,
    empty_blob,
    what_was_not_acknowledged_is_cut_off,
    unused_room_is_given_back,
    second_claim_is_busy,
    of_many_that_finish_one_wins,
    foreign_repository_cannot_claim,
    finished_session_is_unknown,
    mismatch_ends_the_session,
    other_algorithm_at_the_end,
    announced_algorithm,
    cancel_ends_the_session,
    sessions_are_bounded,
    anonymous_leaves_nothing,
    dropped_stage_leaves_nothing,
    wrong_size_is_not_served,
    quarantined_is_missing_and_heals,
    pushing_again_replaces,
    new_blob_may_find_one_there,
    walk_sees_every_blob_once,
    walk_stops_when_told,
    expiry_spares_owned_and_fresh,
    many_sessions_beyond_the_open_ones,
    probe_is_fine,
    removing_nothing_is_fine,
    foreign_stage_is_refused,
);

fn blob_lives_and_dies(store: &dyn BlobStore) {
    let content = bytes(1, 100_000);
    let digest = push_blob(store, &content).unwrap();
    assert_eq!(store.size(&digest).unwrap(), Some(100_000));
    assert_eq!(read(store, &digest, 100_000), Some(content));
    store.remove(&digest).unwrap();
    assert_eq!(store.size(&digest).unwrap(), None);
    assert_eq!(read(store, &digest, 100_000), None);
}

fn chunks_add_up(store: &dyn BlobStore) {
    let key = started(store, "library/a");
    let content = bytes(2, 300_000);
    for chunk in content.chunks(70_001) {
        push_chunk(store, &key, chunk);
    }
    let upload = store.claim_upload(&key).unwrap();
    assert_eq!((upload.offset(), upload.length()), (300_000, 300_000));
    let staged = upload.finish(&sha256(&content)).unwrap();
    assert_eq!(staged.size(), 300_000);
    let stored = store.publish(staged).unwrap();
    assert_eq!(
        (stored.size(), *stored.digest()),
        (300_000, sha256(&content))
    );
    assert_eq!(read(store, stored.digest(), 300_000), Some(content));
}

fn empty_blob(store: &dyn BlobStore) {
    let key = started(store, "a");
    let upload = store.claim_upload(&key).unwrap();
    assert_eq!(upload.offset(), 0);
    let stored = store.publish(upload.finish(&sha256(b"")).unwrap()).unwrap();
    assert_eq!(read(store, stored.digest(), 0), Some(Vec::new()));
}

fn what_was_not_acknowledged_is_cut_off(store: &dyn BlobStore) {
    let key = started(store, "a");
    push_chunk(store, &key, b"one ");
    let mut upload = store.claim_upload(&key).unwrap();
    upload.append(b"never counted").unwrap();
    assert_eq!((upload.offset(), upload.length()), (4, 17));
    drop(upload);
    push_chunk(store, &key, b"two");
    let upload = store.claim_upload(&key).unwrap();
    assert_eq!(upload.length(), 7);
    let stored = store
        .publish(upload.finish(&sha256(b"one two")).unwrap())
        .unwrap();
    assert_eq!(read(store, stored.digest(), 7).unwrap(), b"one two");
}

/// Room that was reserved and not used is no part of the blob.
fn unused_room_is_given_back(store: &dyn BlobStore) {
    let key = started(store, "a");
    let mut upload = store.claim_upload(&key).unwrap();
    upload.reserve(3 << 20).unwrap();
    drop(upload);
    let mut upload = store.claim_upload(&key).unwrap();
    assert_eq!(upload.length(), 0);
    upload.reserve(2 << 20).unwrap();
    upload.append(b"short").unwrap();
    let stored = store
        .publish(upload.finish(&sha256(b"short")).unwrap())
        .unwrap();
    assert_eq!(store.size(stored.digest()).unwrap(), Some(5));
}

fn second_claim_is_busy(store: &dyn BlobStore) {
    let key = started(store, "a");
    let upload = store.claim_upload(&key).unwrap();
    assert!(is_busy(store.claim_upload(&key)));
    drop(upload);
    drop(store.claim_upload(&key).unwrap());
}

fn of_many_that_finish_one_wins(store: &dyn BlobStore) {
    let key = started(store, "a");
    push_chunk(store, &key, b"x");
    let together = std::sync::Barrier::new(4);
    let finish = || {
        together.wait();
        match store.claim_upload(&key) {
            Ok(upload) => {
                let staged = upload.finish(&sha256(b"x")).unwrap();
                store.publish(staged).unwrap();
                1
            }
            Err(UploadError::Busy | UploadError::Unknown) => 0,
            Err(other) => panic!("{other:?}"),
        }
    };
    let won: i32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(finish)).collect();
        threads.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
    assert!(is_unknown(store.claim_upload(&key)));
    assert_eq!(read(store, &sha256(b"x"), 1).unwrap(), b"x");
}

fn foreign_repository_cannot_claim(store: &dyn BlobStore) {
    let key = started(store, "a/b");
    let foreign = UploadKey {
        repository: "a".parse().unwrap(),
        id: key.id.clone(),
    };
    assert!(is_unknown(store.claim_upload(&foreign)));
    assert!(store.claim_upload(&key).is_ok());
}

fn finished_session_is_unknown(store: &dyn BlobStore) {
    let key = started(store, "a");
    push_chunk(store, &key, b"x");
    let upload = store.claim_upload(&key).unwrap();
    let staged = upload.finish(&sha256(b"x")).unwrap();
    assert!(is_unknown(store.claim_upload(&key)));
    store.publish(staged).unwrap();
    assert!(is_unknown(store.claim_upload(&key)));
}

fn mismatch_ends_the_session(store: &dyn BlobStore) {
    let key = started(store, "a");
    let mut upload = store.claim_upload(&key).unwrap();
    upload.append(b"right").unwrap();
    upload.checkpoint().unwrap();
    match upload.finish(&sha256(b"wrong")) {
        Err(FinishError::DigestMismatch { actual }) => assert_eq!(actual, sha256(b"right")),
        other => panic!("{other:?}"),
    }
    assert!(is_unknown(store.claim_upload(&key)));
    assert_eq!(store.size(&sha256(b"right")).unwrap(), None);
}

fn other_algorithm_at_the_end(store: &dyn BlobStore) {
    let content = bytes(3, 600_000);
    let digest = Digest::of(Algorithm::Sha512, &content);
    let key = started(store, "a");
    push_chunk(store, &key, &content[..300_000]);
    let mut upload = store.claim_upload(&key).unwrap();
    upload.append(&content[300_000..]).unwrap();
    let stored = store.publish(upload.finish(&digest).unwrap()).unwrap();
    assert_eq!(read(store, stored.digest(), 600_000), Some(content));
}

fn announced_algorithm(store: &dyn BlobStore) {
    let key = key("a");
    store.start_upload(&key, Algorithm::Sha512).unwrap();
    push_chunk(store, &key, b"five ");
    push_chunk(store, &key, b"hundred");
    let digest = Digest::of(Algorithm::Sha512, b"five hundred");
    let upload = store.claim_upload(&key).unwrap();
    match upload.finish(&sha256(b"something else")) {
        Err(FinishError::DigestMismatch { actual }) => assert_eq!(actual, sha256(b"five hundred")),
        other => panic!("{other:?}"),
    }
    let mut upload = store.start_anonymous_upload(Algorithm::Sha512).unwrap();
    upload.append(b"five hundred").unwrap();
    let stored = store.publish(upload.finish(&digest).unwrap()).unwrap();
    assert_eq!(read(store, stored.digest(), 12).unwrap(), b"five hundred");
}

fn cancel_ends_the_session(store: &dyn BlobStore) {
    let key = started(store, "a");
    push_chunk(store, &key, b"x");
    store.claim_upload(&key).unwrap().cancel().unwrap();
    assert!(is_unknown(store.claim_upload(&key)));
}

fn sessions_are_bounded(store: &dyn BlobStore) {
    let keys: Vec<_> = (0..4).map(|_| started(store, "a")).collect();
    let refused = |result| matches!(result, Err(UploadError::TooMany { limit: 4 }));
    assert!(refused(store.start_upload(&key("a"), Algorithm::Sha256)));
    assert!(refused(
        store.start_anonymous_upload(Algorithm::Sha256).map(drop)
    ));
    store.claim_upload(&keys[0]).unwrap().cancel().unwrap();
    let upload = store.claim_upload(&keys[1]).unwrap();
    store.publish(upload.finish(&sha256(b"")).unwrap()).unwrap();
    started(store, "a");
    drop(store.start_anonymous_upload(Algorithm::Sha256).unwrap());
    started(store, "a");
    assert!(refused(store.start_upload(&key("a"), Algorithm::Sha256)));
}

fn anonymous_leaves_nothing(store: &dyn BlobStore) {
    for _ in 0..6 {
        let mut upload = store.start_anonymous_upload(Algorithm::Sha256).unwrap();
        upload.append(b"gone").unwrap();
        upload.checkpoint().unwrap();
    }
    assert_eq!(store.expire_uploads(far_future()).unwrap(), 0);
}

fn dropped_stage_leaves_nothing(store: &dyn BlobStore) {
    let key = started(store, "a");
    push_chunk(store, &key, b"x");
    let upload = store.claim_upload(&key).unwrap();
    drop(upload.finish(&sha256(b"x")).unwrap());
    assert!(is_unknown(store.claim_upload(&key)));
    assert_eq!(store.size(&sha256(b"x")).unwrap(), None);
    assert_eq!(store.expire_uploads(far_future()).unwrap(), 0);
}

fn wrong_size_is_not_served(store: &dyn BlobStore) {
    let digest = push_blob(store, b"twelve bytes").unwrap();
    assert!(matches!(
        store.open(&digest, 11).unwrap(),
        Opened::WrongSize { found: 12 }
    ));
}

fn quarantined_is_missing_and_heals(store: &dyn BlobStore) {
    let digest = push_blob(store, b"doubtful").unwrap();
    store.quarantine(&digest).unwrap();
    store.quarantine(&digest).unwrap();
    assert!(matches!(store.open(&digest, 8).unwrap(), Opened::Missing));
    assert_eq!(store.size(&digest).unwrap(), None);
    push_blob(store, b"doubtful").unwrap();
    assert_eq!(read(store, &digest, 8).unwrap(), b"doubtful");
    store.quarantine(&digest).unwrap();
    assert_eq!(read(store, &digest, 8), None);
}

fn pushing_again_replaces(store: &dyn BlobStore) {
    let digest = push_blob(store, b"same").unwrap();
    assert_eq!(push_blob(store, b"same").unwrap(), digest);
    assert_eq!(read(store, &digest, 4).unwrap(), b"same");
}

fn new_blob_may_find_one_there(store: &dyn BlobStore) {
    for _ in 0..2 {
        let mut upload = store.start_anonymous_upload(Algorithm::Sha256).unwrap();
        upload.append(b"first").unwrap();
        let staged = upload.finish(&sha256(b"first")).unwrap();
        let stored = store.publish_new(staged).unwrap();
        assert_eq!(read(store, stored.digest(), 5).unwrap(), b"first");
    }
}

fn walk_sees_every_blob_once(store: &dyn BlobStore) {
    let mut expected = Vec::new();
    for seed in 0..40 {
        let content = bytes(seed, usize::from(seed) + 1);
        expected.push((push_blob(store, &content).unwrap(), u64::from(seed) + 1));
    }
    let long = Digest::of(Algorithm::Sha512, b"long");
    let mut upload = store.start_anonymous_upload(Algorithm::Sha512).unwrap();
    upload.append(b"long").unwrap();
    store.publish(upload.finish(&long).unwrap()).unwrap();
    expected.push((long, 4));
    let mut found = Vec::new();
    store
        .walk(&mut |Entry { digest, size, .. }| {
            found.push((digest, size));
            true
        })
        .unwrap();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
}

fn walk_stops_when_told(store: &dyn BlobStore) {
    for seed in 0..3 {
        push_blob(store, &[seed]).unwrap();
    }
    let mut seen = 0;
    store
        .walk(&mut |entry| {
            seen += 1;
            store.remove(&entry.digest).unwrap();
            seen < 2
        })
        .unwrap();
    assert_eq!(seen, 2);
}

fn far_future() -> SystemTime {
    SystemTime::now() + Duration::from_secs(1 << 32)
}

fn expiry_spares_owned_and_fresh(store: &dyn BlobStore) {
    let (old, owned) = (started(store, "a"), started(store, "a"));
    push_chunk(store, &old, b"x");
    let mut upload = store.claim_upload(&owned).unwrap();
    upload.append(b"still coming").unwrap();
    assert_eq!(store.expire_uploads(SystemTime::UNIX_EPOCH).unwrap(), 0);
    assert_eq!(store.expire_uploads(far_future()).unwrap(), 1);
    assert!(is_unknown(store.claim_upload(&old)));
    upload.finish(&sha256(b"still coming")).unwrap();
    // What expired no longer counts.
    for _ in 0..4 {
        started(store, "a");
    }
}

fn many_sessions_beyond_the_open_ones(store: &dyn BlobStore) {
    let keys: Vec<_> = (0..4).map(|_| started(store, "a")).collect();
    for round in 0..3u8 {
        for (at, key) in (0..).zip(&keys) {
            push_chunk(store, key, &bytes(round * 4 + at, 1000));
        }
    }
    for (at, key) in (0..).zip(&keys) {
        let content: Vec<u8> = (0..3u8)
            .flat_map(|round| bytes(round * 4 + at, 1000))
            .collect();
        let upload = store.claim_upload(key).unwrap();
        assert_eq!(upload.offset(), 3000);
        upload.finish(&sha256(&content)).unwrap();
    }
}

fn probe_is_fine(store: &dyn BlobStore) {
    store.probe().unwrap();
    store.probe().unwrap();
    assert_eq!(store.expire_uploads(far_future()).unwrap(), 0);
}

fn removing_nothing_is_fine(store: &dyn BlobStore) {
    store.remove(&sha256(b"never")).unwrap();
    store.quarantine(&sha256(b"never")).unwrap();
    store.sync_shards(&[]).unwrap();
}

fn foreign_stage_is_refused(store: &dyn BlobStore) {
    let other = open_on(&crash_disk());
    let mut upload = other.start_anonymous_upload(Algorithm::Sha256).unwrap();
    upload.append(b"elsewhere").unwrap();
    let staged = upload.finish(&sha256(b"elsewhere")).unwrap();
    assert_eq!(store.publish(staged).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(store.size(&sha256(b"elsewhere")).unwrap(), None);
}
