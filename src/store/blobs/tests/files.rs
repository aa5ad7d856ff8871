//! What only a store of files does: it survives its process, and finds what was left.

use super::super::crash_disk::{EIO, ENOSPC, Faults, Names, Tail};
use super::super::disk::{Access, Disk};
use super::*;
use crate::store::ErrorKind;

#[test]
fn sessions_survive_the_process_exactly() {
    let disk = crash_disk();
    let store = open_on(&disk);
    let keys: Vec<_> = (0..3).map(|_| started(&store, "a")).collect();
    push_chunk(&store, &keys[0], &bytes(1, 5000));
    push_chunk(&store, &keys[1], &bytes(2, 5000));
    let mut upload = store.claim_upload(&keys[1]).unwrap();
    upload.append(&bytes(3, 100_000)).unwrap();
    let disk = disk.kill();
    let store = open_on(&disk);
    for (key, offset) in keys.iter().zip([5000, 5000, 0]) {
        assert_eq!(store.claim_upload(key).unwrap().offset(), offset);
    }
    assert_eq!(disk.contents(&session_file(&keys[1])).unwrap().len(), 5000);
    let upload = store.claim_upload(&keys[1]).unwrap();
    upload.finish(&sha256(&bytes(2, 5000))).unwrap();
    // Counted at the start: four may exist, and one has just ended.
    started(&store, "a");
    started(&store, "a");
    assert!(matches!(
        store.start_upload(&key("a"), Algorithm::Sha256),
        Err(UploadError::TooMany { limit: 4 })
    ));
}

#[test]
fn an_algorithm_that_was_announced_survives_with_the_checkpoint() {
    let disk = crash_disk();
    let store = open_on(&disk);
    let key = key("a");
    store.start_upload(&key, Algorithm::Sha512).unwrap();
    push_chunk(&store, &key, b"abc");
    let disk = disk.kill();
    let store = open_on(&disk);
    disk.set_faults(Faults::default());
    let upload = store.claim_upload(&key).unwrap();
    let calls = disk.calls();
    upload
        .finish(&Digest::of(Algorithm::Sha512, b"abc"))
        .unwrap();
    // Only the removal of the session that was never published.
    assert_eq!(disk.calls() - calls, 2);
}

/// The bytes of a session after another boot are those of the checkpoint, or the session is gone.
#[test]
fn another_boot_compares_the_bytes() {
    for names in Names::ALL {
        for data in Tail::ALL {
            let disk = crash_disk();
            let store = open_on(&disk);
            let key = started(&store, "a");
            push_chunk(&store, &key, &bytes(1, 9000));
            let tail = |path: &Path| if is_state(path) { Tail::Kept } else { data };
            let store = open_on(&disk.crash_with(names, tail));
            let claimed = store.claim_upload(&key);
            if names == Names::Live && data == Tail::Kept {
                let upload = claimed.unwrap();
                assert_eq!(upload.offset(), 9000);
                upload.finish(&sha256(&bytes(1, 9000))).unwrap();
            } else {
                assert!(is_unknown(claimed), "{names:?} {data:?}");
                assert!(is_unknown(store.claim_upload(&key)));
            }
        }
    }
}

#[test]
fn another_boot_is_compared_once() {
    let disk = crash_disk();
    let store = open_on(&disk);
    let key = started(&store, "a");
    push_chunk(&store, &key, &bytes(1, 900_000));
    let disk = disk.crash(Names::Live, Tail::Kept);
    drop(open_on(&disk).claim_upload(&key).unwrap());
    let store = open_on(&disk);
    disk.set_faults(Faults::default());
    drop(store.claim_upload(&key).unwrap());
    // Two opens, one look, and two reads of the checkpoint: no byte of the session.
    assert_eq!(disk.calls(), 5);
}

#[test]
fn a_damaged_checkpoint_is_unknown_and_its_room_is_free() {
    let disk = crash_disk();
    let store = open_on(&disk);
    let key = started(&store, "a");
    push_chunk(&store, &key, b"acknowledged");
    let disk = disk.crash_with(Names::Live, |path| {
        if is_state(path) {
            Tail::Half
        } else {
            Tail::Kept
        }
    });
    let store = open_on(&disk);
    assert!(is_unknown(store.claim_upload(&key)));
    assert!(disk.names(&layout().uploads()).is_empty());
    for _ in 0..4 {
        started(&store, "a");
    }
}

/// A file system may keep both names of a rename; then the session must not touch the blob.
#[test]
fn a_session_that_is_a_blob_already_is_left_alone() {
    let disk = crash_disk();
    let store = open_on(&disk);
    let key = started(&store, "a");
    push_chunk(&store, &key, b"published");
    disk.sync_folder(&layout().uploads()).unwrap();
    let mut upload = store.claim_upload(&key).unwrap();
    upload.append(b" and whole").unwrap();
    let content = b"published and whole";
    let digest = sha256(content);
    store.publish(upload.finish(&digest).unwrap()).unwrap();
    store.sync_shards(&[Shard::of(&digest)]).unwrap();
    let disk = disk.crash(Names::Synced, Tail::Kept);
    assert!(disk.contents(&session_file(&key)).is_some());
    let store = open_on(&disk);
    assert!(is_unknown(store.claim_upload(&key)));
    assert_eq!(read(&store, &digest, 19).unwrap(), content);
}

#[test]
fn leftovers_are_swept() {
    let disk = crash_disk();
    let store = open_on(&disk);
    let (old, fresh) = (started(&store, "a"), started(&store, "a"));
    push_chunk(&store, &old, b"old");
    disk.create(&state_of(&key("orphan"))).unwrap();
    disk.create(&layout().uploads().join("a stranger")).unwrap();
    let _anonymous = store.start_anonymous_upload(Algorithm::Sha256).unwrap();
    let before = disk.now() + Duration::from_secs(1);
    let disk = disk.kill();
    let store = open_on(&disk);
    push_chunk(&store, &fresh, b"fresh");
    assert_eq!(store.expire_uploads(before).unwrap(), 1);
    assert!(is_unknown(store.claim_upload(&old)));
    let mut left = disk.names(&layout().uploads());
    left.sort();
    let mut expected = vec![
        layout().uploads().join("a stranger"),
        session_file(&fresh),
        state_of(&fresh),
    ];
    expected.sort();
    assert_eq!(left, expected);
}

fn state_of(key: &UploadKey) -> PathBuf {
    session_file(key).with_extension("state")
}

#[test]
fn a_full_disk_keeps_what_was_acknowledged() {
    let disk = crash_disk();
    let store = open_on(&disk);
    let key = started(&store, "a");
    push_chunk(&store, &key, &bytes(1, 1000));
    disk.set_faults(Faults {
        bytes_max: Some(3000),
        ..Faults::default()
    });
    let mut upload = store.claim_upload(&key).unwrap();
    assert_eq!(upload.reserve(2 << 20).unwrap_err().kind(), ErrorKind::Full);
    upload.append(&bytes(2, 500)).unwrap();
    let error = upload.append(&bytes(3, 50_000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(upload.append(b"more").is_err());
    assert!(upload.checkpoint().is_err());
    drop(upload);
    disk.set_faults(Faults::default());
    push_chunk(&store, &key, &bytes(2, 500));
    let content = [bytes(1, 1000), bytes(2, 500)].concat();
    let upload = store.claim_upload(&key).unwrap();
    assert_eq!(upload.offset(), 1500);
    store
        .publish(upload.finish(&sha256(&content)).unwrap())
        .unwrap();
    assert_eq!(read(&store, &sha256(&content), 1500), Some(content));
}

/// Whatever a failed checkpoint left on the disk, the bytes that come later are not taken for
/// those that it hashed.
#[test]
fn a_failed_checkpoint_does_not_count() {
    for acknowledged in [0, 1000] {
        for (failing, bytes_max) in [(1, None), (2, None), (9, Some(acknowledged + 640))] {
            let disk = crash_disk();
            let store = open_on(&disk);
            let key = started(&store, "a");
            let first = bytes(1, usize::try_from(acknowledged).unwrap());
            push_chunk(&store, &key, &first);
            let mut upload = store.claim_upload(&key).unwrap();
            upload.append(&bytes(2, 600)).unwrap();
            disk.set_faults(Faults {
                fail_at_call: Some((failing, if failing == 1 { EIO } else { ENOSPC })),
                bytes_max,
                ..Faults::default()
            });
            let failed = upload.checkpoint().is_err();
            disk.set_faults(Faults::default());
            drop(upload);
            let expected = acknowledged + if failed { 0 } else { 600 };
            let disk = disk.kill();
            let store = open_on(&disk);
            let upload = store.claim_upload(&key).unwrap();
            assert_eq!(upload.offset(), expected, "{acknowledged} {failing}");
        }
    }
}

#[test]
fn a_sync_that_fails_is_final_and_told_once() {
    let disk = crash_disk();
    let store = open_on(&disk);
    disk.set_faults(Faults::default());
    let digest = push_blob(&store, b"counting").unwrap();
    store.remove(&digest).unwrap();
    // A push is: look for room, create, write, sync, rename, sync of the folder.
    disk.set_faults(Faults {
        fail_at_call: Some((4, EIO)),
        ..Faults::default()
    });
    assert_eq!(
        push_blob(&store, b"counting").unwrap_err().kind(),
        ErrorKind::Io
    );
    assert_eq!(store.size(&digest).unwrap(), None);
    assert!(disk.names(&layout().uploads()).is_empty());
    let told = store.probe().unwrap_err().to_string();
    assert!(told.contains(&digest.to_string()), "{told}");
    store.probe().unwrap();
    push_blob(&store, b"counting").unwrap();
}

#[test]
fn probe_tells_a_full_disk_until_there_is_room() {
    let disk = crash_disk();
    let store = open_on(&disk);
    disk.set_faults(Faults {
        bytes_max: Some(0),
        ..Faults::default()
    });
    assert_eq!(store.probe().unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(store.probe().unwrap_err().kind(), ErrorKind::Full);
    disk.set_faults(Faults::default());
    store.probe().unwrap();
}

#[test]
fn a_short_file_is_replaced_by_pushing_again() {
    let disk = crash_disk();
    let store = open_on(&disk);
    let digest = sha256(b"whole");
    let path = layout().blob(&digest);
    let file = disk.create(&path).unwrap();
    disk.write_at(&file, b"who", 0).unwrap();
    assert!(matches!(
        store.open(&digest, 5).unwrap(),
        Opened::WrongSize { found: 3 }
    ));
    push_blob(&store, b"whole").unwrap();
    assert_eq!(read(&store, &digest, 5).unwrap(), b"whole");
}

#[test]
fn walk_passes_over_what_is_no_blob() {
    let disk = crash_disk();
    let store = open_on(&disk);
    let digest = push_blob(&store, b"a blob").unwrap();
    let folder = layout().shard(Shard::of(&digest));
    for name in ["lost+found", "00", &"z".repeat(64), &digest.hex()[1..]] {
        disk.create(&folder.join(name)).unwrap();
    }
    // A digest in another digest's shard.
    let mut strange = digest.hex();
    strange.replace_range(
        ..2,
        if strange.starts_with("00") {
            "01"
        } else {
            "00"
        },
    );
    disk.create(&folder.join(strange)).unwrap();
    let mut found = Vec::new();
    store
        .walk(&mut |entry| {
            found.push(entry.digest);
            true
        })
        .unwrap();
    assert_eq!(found, [digest]);
}

#[test]
fn a_later_start_does_not_look_at_the_shards() {
    let disk = crash_disk();
    drop(open_on(&disk));
    disk.set_faults(Faults::default());
    drop(open_on(&disk));
    // The ballast, the room, the mark, the uploads.
    assert_eq!(disk.calls(), 4);
}

#[test]
fn relaxed_never_syncs() {
    let disk = crash_disk();
    let relaxed = Options {
        relaxed: true,
        ..options()
    };
    let store = FileBlobStore::open(layout(), relaxed, disk.clone()).unwrap();
    push_blob(&store, b"anything").unwrap();
    store.probe().unwrap();
    assert_eq!(disk.syncs(), 0);
}

#[test]
fn a_small_push_is_six_calls() {
    let disk = crash_disk();
    let store = open_on(&disk);
    disk.set_faults(Faults::default());
    push_blob(&store, b"small").unwrap();
    assert_eq!((disk.calls(), disk.syncs()), (6, 2));
}

/// A write that failed leaves bytes behind that are no part of what comes next.
#[test]
fn a_write_that_failed_half_way_leaves_nothing() {
    let disk = crash_disk();
    let store = open_on(&disk);
    let key = started(&store, "a");
    let mut upload = store.claim_upload(&key).unwrap();
    upload.append(&bytes(2, 100)).unwrap();
    // There was room when it was looked for, and somebody else took it.
    disk.set_faults(Faults {
        bytes_max: Some(3000),
        ..Faults::default()
    });
    assert!(upload.append(&bytes(1, 5000)).is_err());
    assert!(disk.contents(&session_file(&key)).unwrap().len() > 100);
    drop(upload);
    let mut upload = store.claim_upload(&key).unwrap();
    upload.append(b"short").unwrap();
    let staged = upload.finish(&sha256(b"short")).unwrap();
    let stored = store.publish(staged).unwrap();
    assert_eq!(read(&store, stored.digest(), 5).unwrap(), b"short");
}

#[test]
fn a_session_that_lost_bytes_in_the_same_boot_is_unknown() {
    let disk = crash_disk();
    let store = open_on(&disk);
    let key = started(&store, "a");
    push_chunk(&store, &key, &bytes(1, 1000));
    let file = disk.open(&session_file(&key), Access::ReadWrite).unwrap();
    disk.set_length(&file, 999).unwrap();
    let store = open_on(&disk.kill());
    assert!(is_unknown(store.claim_upload(&key)));
}
