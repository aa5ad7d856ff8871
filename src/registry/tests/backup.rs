//! Backup and restore: whole at every moment, whatever fails and wherever it ends.
//!
//! The blobs lie on a disk that keeps only what was synced. The database files are real ones: what
//! SQLite wrote is taken into that disk when it is done, unsynced.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{catalog, digest, image, name, tag};
use crate::oci::{Digest, Reference};
use crate::registry::backup::{BackupOptions, BackupReport};
use crate::registry::check::{CheckOptions, FindingKind};
use crate::registry::restore::{RestoreOptions, RestoreReport, restore_on};
use crate::registry::{Error, Options, Registry};
use crate::store::blobs::crash_disk::{CrashDisk, EIO, ENOSPC, Faults, Names, Tail};
use crate::store::blobs::disk::{Access, Disk, RealDisk};
use crate::store::blobs::{BlobStore, FileBlobStore, FileOptions, MemoryBlobStore};
use crate::store::catalog::{CatalogCopy, Location};
use crate::store::layout::Layout;

/// Blobs of at most this are inline.
const BOUND: u64 = 64;

/// The ways in which a file can come from one place to another: linked, cloned, copied.
const WAYS: [(bool, bool); 3] = [(true, true), (false, true), (false, false)];

/// A registry on a disk in memory, and the real folder of its database files.
struct World {
    folder: tempfile::TempDir,
    disk: CrashDisk,
    registry: Registry,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let disk = CrashDisk::new(&root);
        let options = FileOptions {
            inline_bytes_max: BOUND,
            ..FileOptions::default()
        };
        for own in ["data", "backup", "restored"] {
            disk.make_folder(&root.join(own)).unwrap();
        }
        disk.sync_folder(&root).unwrap();
        let layout = Layout::new(root.join("data"));
        let blobs: Arc<dyn BlobStore> =
            Arc::new(FileBlobStore::open(layout, options, disk.clone()).unwrap());
        let catalog = catalog(Location::File(&root.join("catalog.db")), &blobs);
        let registry = Registry::new(catalog, blobs, Options::default());
        Self {
            folder,
            disk,
            registry,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn backup_on(&self, disk: &CrashDisk, verify: bool) -> Result<BackupReport, Error> {
        let options = BackupOptions {
            to: self.at("backup"),
            verify,
        };
        self.registry.backup_on(disk.clone(), &options, &mut |_| ())
    }

    fn backup(&self) -> BackupReport {
        self.backup_on(&self.disk, false).unwrap()
    }

    fn restore_on(&self, disk: &CrashDisk, partial: bool) -> Result<RestoreReport, Error> {
        let options = RestoreOptions {
            from: self.at("backup"),
            to: self.at("restored"),
            link: false,
            quick: false,
            partial,
        };
        restore_on(disk.clone(), &options, &mut |_| ())
    }

    /// Makes the database files of the backup real ones, as a restore needs them.
    fn make_backup_real(&self) {
        self.disk.write_out(&self.at("backup"), &self.at("backup"));
    }

    /// The tags of a folder whose every row has its bytes; `None` when there is no catalog.
    fn tags_of(&self, disk: &CrashDisk, folder: &str, what: &str) -> Option<Vec<String>> {
        let layout = Layout::new(self.at(folder));
        let bytes = disk.contents(&layout.catalog())?;
        let file = self.at("looked-at.db");
        std::fs::write(&file, bytes).unwrap();
        let copy = CatalogCopy::of_file(&file, &self.at("looked-at-copy.db"))
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(copy.integrity().unwrap(), Vec::<String>::new(), "{what}");
        for (digest, row) in copy.read(|tx| tx.blobs(None, 1000)).unwrap() {
            let bytes = match row.inline {
                Some(_) => copy.read(|tx| tx.inline_bytes(&digest)).unwrap(),
                None => disk.contents(&layout.blob(&digest)).map(Arc::from),
            };
            let found = bytes.map(|bytes| Digest::of(digest.algorithm(), &bytes));
            assert_eq!(found, Some(digest), "{what}");
        }
        let tags = copy.read(|tx| tx.tags(&name("a"), None, 100)).unwrap();
        Some(tags)
    }
}

fn push(registry: &Registry, word: &str, seed: u8) {
    let repository = name("a");
    let blobs = [vec![seed; 20], vec![seed; 300], vec![seed; 5000]];
    for blob in &blobs {
        registry
            .push_blob(&repository, None, &mut &blob[..], &digest(blob))
            .unwrap();
    }
    let long = vec![seed; 400];
    let own = Digest::of(crate::oci::Algorithm::Sha512, &long);
    registry
        .push_blob(&repository, None, &mut &long[..], &own)
        .unwrap();
    let slices: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    let reference = Reference::Tag(tag(word));
    registry
        .push_manifest(
            &repository,
            &reference,
            Vec::new(),
            None,
            image(&slices, None),
            None,
        )
        .unwrap();
}

/// From `old` with its blobs to `kept` and `new`.
fn change(registry: &Registry) {
    push(registry, "new", 3);
    let repository = name("a");
    let reference = Reference::Tag(tag("old"));
    registry
        .delete_manifest(&repository, &reference, None)
        .unwrap();
    for blob in [vec![1; 20], vec![1; 300], vec![1; 5000]] {
        registry.delete_blob(&repository, &digest(&blob)).unwrap();
    }
}

fn old() -> Vec<String> {
    vec!["kept".to_owned(), "old".to_owned()]
}

fn new() -> Vec<String> {
    vec!["kept".to_owned(), "new".to_owned()]
}

/// A registry with an earlier backup, changed since.
fn changed() -> World {
    let world = World::new();
    push(&world.registry, "old", 1);
    push(&world.registry, "kept", 2);
    world.disk.set_ways(true, true);
    world.backup();
    change(&world.registry);
    world
}

#[test]
fn a_second_run_brings_only_what_is_new_and_removes_what_is_gone() {
    for (can_link, can_clone) in WAYS {
        let world = World::new();
        world.disk.set_ways(can_link, can_clone);
        push(&world.registry, "old", 1);
        push(&world.registry, "kept", 2);
        let report = world.backup();
        let files = report.files;
        let ways = (files.linked, files.cloned, files.copied);
        let all = match (can_link, can_clone) {
            (true, _) => (6, 0, 0),
            (_, true) => (0, 6, 0),
            _ => (0, 0, 6),
        };
        assert_eq!((ways, files.kept, report.inline), (all, 0, 2));
        assert_eq!(world.tags_of(&world.disk, "backup", "first"), Some(old()));
        change(&world.registry);
        let report = world.backup();
        let files = report.files;
        assert_eq!(files.kept, 4, "{report:?}");
        assert_eq!(files.linked + files.cloned + files.copied, 3, "{report:?}");
        assert_eq!(files.new_bytes, 5700);
        assert_eq!(report.removed, 2);
        assert_eq!(world.tags_of(&world.disk, "backup", "second"), Some(new()));
        let gone = Layout::new(world.at("backup")).blob(&digest(&[1; 5000]));
        assert!(world.disk.contents(&gone).is_none());
        let report = world.backup();
        assert_eq!((report.files.kept, report.files.new_bytes), (7, 0));
        assert!(report.is_sound());
    }
}

/// After whatever came of a second backup: it is the old one or the new one, and a further run
/// makes it the new one.
fn examine(world: &World, disk: &CrashDisk, what: &str) {
    let found = world.tags_of(disk, "backup", what);
    assert!(
        found == Some(old()) || found == Some(new()),
        "{what}: {found:?}"
    );
    disk.set_faults(Faults::default());
    let report = world
        .backup_on(disk, true)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(report.is_sound(), "{what}: {report:?}");
    assert_eq!(world.tags_of(disk, "backup", what), Some(new()), "{what}");
    // What it says is durable, also what the run before it had brought.
    let later = disk.crash(Names::Synced, Tail::Lost);
    assert_eq!(world.tags_of(&later, "backup", what), Some(new()), "{what}");
}

/// How many calls and syncs a second backup takes.
fn measure(world: &World, ways: (bool, bool)) -> (u64, u64) {
    let disk = world.disk.kill();
    disk.set_ways(ways.0, ways.1);
    disk.set_faults(Faults::default());
    world.backup_on(&disk, false).unwrap();
    (disk.calls(), disk.syncs())
}

#[test]
fn a_power_cut_at_any_sync_of_a_backup_leaves_the_old_or_the_new() {
    let world = changed();
    for ways in WAYS {
        let (_, syncs) = measure(&world, ways);
        for point in 1..=syncs + 1 {
            let disk = world.disk.kill();
            disk.set_ways(ways.0, ways.1);
            disk.set_faults(Faults {
                freeze_at_sync: Some(point),
                ..Faults::default()
            });
            let outcome = world.backup_on(&disk, false);
            assert_eq!(outcome.is_ok(), point > syncs, "{point}");
            for names in Names::ALL {
                for tail in Tail::ALL {
                    let what = format!("{ways:?}, sync {point}, {names:?}, {tail:?}");
                    examine(&world, &disk.crash(names, tail), &what);
                }
            }
        }
    }
}

#[test]
fn the_end_of_the_process_at_any_call_of_a_backup_leaves_the_old_or_the_new() {
    let world = changed();
    for ways in WAYS {
        let (calls, _) = measure(&world, ways);
        for point in 1..=calls {
            let disk = world.disk.kill();
            disk.set_ways(ways.0, ways.1);
            disk.set_faults(Faults {
                freeze_at_call: Some(point),
                ..Faults::default()
            });
            // The last calls remove what is not needed any more; it is whole without them.
            let _ = world.backup_on(&disk, false);
            examine(&world, &disk.kill(), &format!("{ways:?}, call {point}"));
        }
    }
}

#[test]
fn a_failure_of_any_call_of_a_backup_leaves_the_old_or_the_new() {
    let world = changed();
    for (ways, error) in WAYS.into_iter().zip([EIO, EIO, ENOSPC]) {
        let (calls, _) = measure(&world, ways);
        for point in 1..=calls {
            let disk = world.disk.kill();
            disk.set_ways(ways.0, ways.1);
            disk.set_faults(Faults {
                fail_at_call: Some((point, error)),
                ..Faults::default()
            });
            let what = format!("{ways:?}, error {error} at call {point}");
            match world.backup_on(&disk, false) {
                // What could not be read of the source is not in it, and is told.
                Ok(report) if !report.is_sound() => {}
                Ok(_) => assert_eq!(world.tags_of(&disk, "backup", &what), Some(new())),
                Err(_) => {
                    examine(&world, &disk, &what);
                }
            }
        }
    }
}

/// Where there was no backup before, there is none or a whole one.
#[test]
fn a_first_backup_that_ends_anywhere_can_be_run_again() {
    let world = World::new();
    push(&world.registry, "kept", 2);
    push(&world.registry, "new", 3);
    world.disk.set_ways(true, true);
    let (calls, syncs) = measure(&world, (true, true));
    let points = (1..=calls).map(|point| (Some(point), None));
    let points = points.chain((1..=syncs).map(|point| (None, Some(point))));
    for (freeze_at_call, freeze_at_sync) in points {
        let disk = world.disk.kill();
        disk.set_faults(Faults {
            freeze_at_call,
            freeze_at_sync,
            ..Faults::default()
        });
        let _ = world.backup_on(&disk, false);
        let what = format!("call {freeze_at_call:?}, sync {freeze_at_sync:?}");
        let disk = match freeze_at_sync {
            Some(_) => disk.crash(Names::Live, Tail::Zeros),
            None => disk.kill(),
        };
        let found = world.tags_of(&disk, "backup", &what);
        assert!(found.is_none() || found == Some(new()), "{what}: {found:?}");
        world
            .backup_on(&disk, false)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(world.tags_of(&disk, "backup", &what), Some(new()), "{what}");
    }
}

/// After whatever came of a restore: it is whole, or nothing can be started there and a further
/// run makes it whole.
fn examine_restored(world: &World, disk: &CrashDisk, what: &str) {
    let layout = Layout::new(world.at("restored"));
    let is_marked = disk.contents(&layout.restoring()).is_some();
    let found = world.tags_of(disk, "restored", what);
    if found.is_some() && !is_marked {
        assert_eq!(found, Some(new()), "{what}");
        return;
    }
    disk.set_faults(Faults::default());
    let report = world
        .restore_on(disk, false)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(report.restored, "{what}: {report:?}");
    assert_eq!(world.tags_of(disk, "restored", what), Some(new()), "{what}");
    let later = disk.crash(Names::Synced, Tail::Lost);
    assert_eq!(
        world.tags_of(&later, "restored", what),
        Some(new()),
        "{what}"
    );
    assert!(disk.contents(&layout.restoring()).is_none(), "{what}");
}

fn backed_up() -> World {
    let world = changed();
    world.backup();
    world.make_backup_real();
    world
}

fn measure_restore(world: &World) -> (u64, u64) {
    let disk = world.disk.kill();
    disk.set_faults(Faults::default());
    let report = world.restore_on(&disk, false).unwrap();
    assert!(report.restored && report.is_sound(), "{report:?}");
    (disk.calls(), disk.syncs())
}

#[test]
fn a_power_cut_at_any_sync_of_a_restore_leaves_nothing_that_could_be_served() {
    let world = backed_up();
    for can_clone in [true, false] {
        world.disk.set_ways(true, can_clone);
        let (_, syncs) = measure_restore(&world);
        for point in 1..=syncs + 1 {
            let disk = world.disk.kill();
            disk.set_faults(Faults {
                freeze_at_sync: Some(point),
                ..Faults::default()
            });
            let outcome = world.restore_on(&disk, false);
            assert_eq!(outcome.is_ok(), point > syncs, "{point}");
            for names in Names::ALL {
                for tail in Tail::ALL {
                    let what = format!("clone {can_clone}, sync {point}, {names:?}, {tail:?}");
                    examine_restored(&world, &disk.crash(names, tail), &what);
                }
            }
        }
    }
}

#[test]
fn the_end_or_a_failure_at_any_call_of_a_restore_leaves_nothing_that_could_be_served() {
    let world = backed_up();
    for can_clone in [true, false] {
        world.disk.set_ways(true, can_clone);
        let (calls, _) = measure_restore(&world);
        for point in 1..=calls {
            let faults = [
                Faults {
                    freeze_at_call: Some(point),
                    ..Faults::default()
                },
                Faults {
                    fail_at_call: Some((point, EIO)),
                    ..Faults::default()
                },
                Faults {
                    fail_at_call: Some((point, ENOSPC)),
                    ..Faults::default()
                },
            ];
            for faults in faults {
                let disk = world.disk.kill();
                disk.set_faults(faults);
                let _ = world.restore_on(&disk, false);
                let what = format!("clone {can_clone}, {faults:?}");
                examine_restored(&world, &disk.kill(), &what);
            }
        }
    }
}

fn kinds(findings: &[crate::registry::check::Finding]) -> Vec<FindingKind> {
    findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn a_damaged_backup_is_named_and_restored_only_when_asked_for() {
    let world = backed_up();
    let layout = Layout::new(world.at("backup"));
    let broken = digest(&[3; 5000]);
    let disk = &world.disk;
    let file = Disk::open(disk, &layout.blob(&broken), Access::ReadWrite);
    Disk::write_at(disk, &file.unwrap(), b"x", 77).unwrap();
    Disk::remove(disk, &layout.blob(&digest(&[2; 300]))).unwrap();
    let report = world.restore_on(disk, false).unwrap();
    assert!(!report.restored);
    let mut found = kinds(&report.faults.findings);
    found.sort_by_key(|kind| format!("{kind:?}"));
    assert_eq!(found, [FindingKind::BlobCorrupt, FindingKind::BlobMissing]);
    let named = |digest: &Digest| {
        let mut findings = report.faults.findings.iter();
        findings.any(|finding| finding.subject == digest.to_string())
    };
    assert!(named(&broken) && named(&digest(&[2; 300])));
    let restored = Layout::new(world.at("restored"));
    assert!(disk.contents(&restored.catalog()).is_none());
    assert!(disk.contents(&restored.restoring()).is_some());
    let report = world.restore_on(disk, true).unwrap();
    assert!(report.restored && !report.is_sound());
    assert_eq!(report.files.kept, 5, "{report:?}");
    let bytes = disk.contents(&restored.catalog()).unwrap();
    std::fs::write(world.at("partial.db"), bytes).unwrap();
    let copy = CatalogCopy::of_file(&world.at("partial.db"), &world.at("partial-2.db")).unwrap();
    let row = copy.read(|tx| tx.blob(&broken)).unwrap().unwrap();
    assert!(row.quarantined);
    assert!(disk.contents(&restored.blob(&broken)).is_none());
}

#[test]
fn what_is_broken_in_the_store_is_reported_and_out_of_service_in_the_backup() {
    let world = World::new();
    world.disk.set_ways(true, true);
    push(&world.registry, "old", 1);
    push(&world.registry, "kept", 2);
    let data = Layout::new(world.at("data"));
    let (gone, short) = (digest(&[1; 300]), digest(&[1; 5000]));
    Disk::remove(&world.disk, &data.blob(&gone)).unwrap();
    let file = Disk::open(&world.disk, &data.blob(&short), Access::ReadWrite);
    Disk::set_length(&world.disk, &file.unwrap(), 17).unwrap();
    let report = world.backup();
    let mut found = kinds(&report.faults.findings);
    found.sort_by_key(|kind| format!("{kind:?}"));
    assert_eq!(
        found,
        [FindingKind::BlobMissing, FindingKind::BlobWrongSize]
    );
    let rows = |world: &World| {
        let bytes = world
            .disk
            .contents(&Layout::new(world.at("backup")).catalog());
        std::fs::write(world.at("rows.db"), bytes.unwrap()).unwrap();
        let copy = CatalogCopy::of_file(&world.at("rows.db"), &world.at("rows-2.db")).unwrap();
        [gone, short].map(|digest| {
            let row = copy.read(|tx| tx.blob(&digest)).unwrap();
            row.unwrap().quarantined
        })
    };
    assert_eq!(rows(&world), [true, true]);
    // It heals in the store, and so in the next backup.
    push(&world.registry, "old", 1);
    let report = world.backup();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.files.linked, 2);
    assert_eq!(rows(&world), [false, false]);
    assert_eq!(world.tags_of(&world.disk, "backup", "healed"), Some(old()));
}

#[test]
fn verify_tells_the_backups_own_damage_from_the_stores() {
    let world = World::new();
    world.disk.set_ways(false, false);
    push(&world.registry, "old", 1);
    push(&world.registry, "kept", 2);
    world.backup();
    let damage = |folder: &str, digest: &Digest| {
        let path = Layout::new(world.at(folder)).blob(digest);
        let access = Access::ReadWrite;
        let file = Disk::open(&world.disk, &path, access).unwrap();
        Disk::write_at(&world.disk, &file, b"x", 9).unwrap();
    };
    let (own, both) = (digest(&[1; 300]), digest(&[2; 300]));
    damage("backup", &own);
    damage("backup", &both);
    damage("data", &both);
    assert!(world.backup().is_sound(), "lengths alone say nothing");
    let report = world.backup_on(&world.disk, true).unwrap();
    assert_eq!(kinds(&report.faults.findings), [FindingKind::BlobCorrupt]);
    assert_eq!(report.faults.findings[0].subject, both.to_string());
    assert_eq!((report.files.kept, report.files.copied), (4, 1));
    let backup = Layout::new(world.at("backup"));
    assert_eq!(world.disk.contents(&backup.blob(&own)), Some(vec![1; 300]));
    assert_eq!(world.disk.contents(&backup.blob(&both)), None);
}

#[test]
fn a_file_whose_row_goes_during_a_backup_stays_until_its_end() {
    let world = World::new();
    push(&world.registry, "old", 1);
    let (gone, back) = (digest(&[1; 300]), digest(&[1; 5000]));
    let repository = name("a");
    let data = Layout::new(world.at("data"));
    let is_there = |digest: &Digest| world.disk.contents(&data.blob(digest)).is_some();
    let (first, second) = (world.registry.hold_files(), world.registry.hold_files());
    for digest in [&gone, &back] {
        world.registry.delete_blob(&repository, digest).unwrap();
        assert!(world.registry.open_blob(&repository, digest).is_err());
        assert!(is_there(digest));
    }
    let later = world.disk.now() + std::time::Duration::from_secs(1000);
    let shard = crate::store::Shard::of(&gone);
    assert_eq!(world.registry.sweep_orphans(shard, later).unwrap(), 0);
    assert!(is_there(&gone), "the sweep waits as well");
    let blob = vec![1; 5000];
    let pushed = world
        .registry
        .push_blob(&repository, None, &mut &blob[..], &back);
    pushed.unwrap();
    drop(first);
    assert!(is_there(&gone), "another backup is running");
    drop(second);
    assert!(!is_there(&gone));
    assert!(is_there(&back), "a row means it again");
    let options = CheckOptions {
        deep: true,
        repair: false,
    };
    let report = world.registry.check(options, &mut |_| ()).unwrap();
    assert_eq!((report.faults, report.orphans), (0, 0));
    world.registry.delete_blob(&repository, &back).unwrap();
    assert!(!is_there(&back), "at once when none is running");
}

/// The copy of the catalog still names what is deleted right after it was made.
#[test]
fn what_is_deleted_during_a_backup_is_in_it() {
    let world = World::new();
    world.disk.set_ways(true, true);
    push(&world.registry, "old", 1);
    push(&world.registry, "kept", 2);
    let options = BackupOptions {
        to: world.at("backup"),
        verify: true,
    };
    let mut changed = false;
    let report = world
        .registry
        .backup_on(world.disk.clone(), &options, &mut |progress| {
            if progress.label == "saving blobs" && !changed {
                changed = true;
                change(&world.registry);
            }
        });
    let report = report.unwrap();
    assert!(changed && report.is_sound(), "{report:?}");
    assert_eq!(world.tags_of(&world.disk, "backup", "during"), Some(old()));
    // Afterwards the files are gone.
    let data = Layout::new(world.at("data"));
    for gone in [digest(&[1; 300]), digest(&[1; 5000])] {
        assert!(world.disk.contents(&data.blob(&gone)).is_none());
    }
    assert!(world.backup().is_sound());
    assert_eq!(world.tags_of(&world.disk, "backup", "after"), Some(new()));
}

#[test]
fn a_registry_in_memory_can_be_backed_up_too() {
    let folder = tempfile::tempdir().unwrap();
    let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobStore::new(1 << 30, 1000));
    let registry = Registry::new(catalog(Location::Memory, &blobs), blobs, Options::default());
    push(&registry, "kept", 2);
    let options = BackupOptions {
        to: folder.path().join("backup"),
        verify: true,
    };
    let report = registry.backup(&options, &mut |_| ()).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.files.copied, 4);
    let options = RestoreOptions {
        from: folder.path().join("backup"),
        to: folder.path().join("data"),
        link: true,
        quick: false,
        partial: false,
    };
    let report = restore_on(RealDisk, &options, &mut |_| ()).unwrap();
    assert!(report.restored && report.is_sound(), "{report:?}");
    check_deep(&folder.path().join("data"));
}

/// A registry can be started in the folder, and everything in it is right.
fn check_deep(data: &Path) {
    let options = FileOptions {
        relaxed: true,
        ..FileOptions::default()
    };
    let layout = Layout::new(data);
    let blobs: Arc<dyn BlobStore> =
        Arc::new(FileBlobStore::open(layout.clone(), options, RealDisk).unwrap());
    let catalog = catalog(Location::File(&layout.catalog()), &blobs);
    let registry = Registry::new(catalog, blobs, Options::default());
    let options = CheckOptions {
        deep: true,
        repair: false,
    };
    let report = registry.check(options, &mut |_| ()).unwrap();
    assert!(report.is_sound() && report.blobs > 0, "{report:?}");
}
