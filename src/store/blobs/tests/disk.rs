//! The real file system behind the seam.

use std::num::NonZeroU64;

use super::super::disk::{Access, Disk, RealDisk};
use super::*;

#[test]
fn reserving_keeps_the_length_and_cutting_frees() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let file = RealDisk.create(&path).unwrap();
    RealDisk.write_at(&file, b"abc", 0).unwrap();
    RealDisk
        .reserve(&file, 3, NonZeroU64::new(4 << 20).unwrap())
        .unwrap();
    assert_eq!(RealDisk.metadata(&file).unwrap().length, 3);
    RealDisk.set_length(&file, 3).unwrap();
    RealDisk.sync(&file).unwrap();
    assert!(std::fs::metadata(&path).unwrap().blocks() * 512 < 1 << 20);
}

#[test]
fn reserving_more_than_there_is_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = RealDisk.create(&folder.path().join("file")).unwrap();
    let error = RealDisk
        .reserve(&file, 0, NonZeroU64::new(1 << 60).unwrap())
        .unwrap_err();
    let kind = Error::io("reserving", "room", error).kind();
    assert_eq!(kind, crate::store::ErrorKind::Full);
}

#[test]
fn links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/proc/self/maps", folder.path().join("link")).unwrap();
    let link = folder.path().join("link");
    assert!(RealDisk.open(&link, Access::Read).is_err());
    assert!(!RealDisk.lookup(&link).unwrap().unwrap().is_file);
}

#[test]
fn a_new_name_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::write(&a, "a").unwrap();
    assert!(RealDisk.rename_new(&a, &b).unwrap());
    std::fs::write(&a, "other").unwrap();
    assert!(!RealDisk.rename_new(&a, &b).unwrap());
    assert_eq!(std::fs::read(&b).unwrap(), b"a");
}

#[test]
fn the_boot_has_a_name() {
    // No mark is trusted beyond the process: see `RealDisk`.
    assert!(RealDisk.boot_id().is_none());
}

/// As after a restore that left out empty folders.
#[test]
fn a_missing_shard_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    let open = || FileBlobStore::open(layout.clone(), options(), RealDisk).unwrap();
    let store = open();
    let digest = sha256(b"first");
    std::fs::remove_dir(layout.shard(Shard::of(&digest))).unwrap();
    assert_eq!(push_blob(&store, b"first").unwrap(), digest);
    assert_eq!(read(&store, &digest, 5).unwrap(), b"first");
    assert!(!layout.shards_made().exists());
    drop(open());
    assert!(layout.shards_made().exists());
}

#[test]
fn what_is_no_file_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    let store = FileBlobStore::open(layout.clone(), options(), RealDisk).unwrap();
    let digest = sha256(b"whole");
    std::fs::create_dir(layout.blob(&digest)).unwrap();
    let error = store.open(&digest, 5).err().unwrap();
    assert_eq!(error.kind(), crate::store::ErrorKind::Corrupt);
    assert_eq!(store.size(&digest).unwrap(), None);
    assert!(push_blob(&store, b"whole").is_err());
    store.quarantine(&digest).unwrap();
    push_blob(&store, b"whole").unwrap();
    let fifo = layout.blob(&sha256(b"pipe"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
    assert!(store.open(&sha256(b"pipe"), 0).is_err());
}
