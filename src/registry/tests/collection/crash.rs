//! A crash at every sync point and every disk call of pushes and collections that take turns, and a
//! failure of every disk call: every row has its whole file, everything that was acknowledged and
//! not deleted is there, and the next collection goes on.

use super::*;
use crate::store::blobs::crash_disk::{EIO, Faults, Names, Tail};

/// The longest inline blob: every blob is a file, some are.
const BOUNDS: [u64; 2] = [0, 250];

fn open(disk: &CrashDisk, database: &Path, bound: u64) -> Option<Registry> {
    let blobs = blobs_on(disk, bound)?;
    let clock = Arc::new(ManualClock::new(
        std::time::SystemTime::UNIX_EPOCH + MADE_AFTER + WINDOW,
    ));
    let catalog = catalog_with(Location::File(database), &blobs, clock, GRACE);
    Some(Registry::new(catalog, blobs, Options::default()))
}

/// Images by their tags, as far as their pushes were acknowledged.
#[derive(Default)]
struct Acknowledged {
    images: Vec<(&'static str, Vec<Vec<u8>>)>,
    collections: usize,
}

fn push(registry: &Registry, word: &'static str, blobs: &[&[u8]], done: &mut Acknowledged) {
    let push = || -> Result<(), Error> {
        for bytes in blobs {
            registry.push_blob(&name("a"), None, &mut &bytes[..], &digest(bytes))?;
        }
        let (manifest, reference) = (image(blobs, None), Reference::Tag(tag(word)));
        registry.push_manifest(&name("a"), &reference, Vec::new(), None, manifest, None)?;
        Ok(())
    };
    if push().is_ok() {
        let blobs = blobs.iter().map(|bytes| bytes.to_vec()).collect();
        done.images.push((word, blobs));
    }
}

fn delete(registry: &Registry, word: &'static str, done: &mut Acknowledged) {
    // A failed one may or may not have removed it, so nothing is claimed any more.
    done.images.retain(|(own, _)| *own != word);
    let reference = Reference::Tag(tag(word));
    let _ = registry.delete_manifest(&name("a"), &reference, None);
}

/// Pushes, deletes, collects, pushes the same again and collects again.
fn work(registry: &Registry) -> Acknowledged {
    let mut done = Acknowledged::default();
    let blobs: Vec<Vec<u8>> = (0..4u8)
        .map(|n| vec![n; 200 + 50 * usize::from(n)])
        .collect();
    let [one, two, three, four] = [0, 1, 2, 3].map(|at: usize| blobs[at].as_slice());
    let all = GcOptions {
        delete_untagged: true,
        ..NOW
    };
    let collect = |done: &mut Acknowledged| {
        done.collections += usize::from(registry.collect(all, &mut |_| ()).is_ok());
    };
    push(registry, "v1", &[one, two], &mut done);
    push(registry, "v2", &[three, two], &mut done);
    // Nothing refers to it.
    let _ = registry.push_blob(&name("b"), None, &mut &four[..], &digest(four));
    delete(registry, "v1", &mut done);
    collect(&mut done);
    push(registry, "v3", &[one, four], &mut done);
    delete(registry, "v2", &mut done);
    collect(&mut done);
    push(registry, "v4", &[three], &mut done);
    collect(&mut done);
    done
}

/// Opens what is left, asks for what was acknowledged, and goes on collecting.
fn examine(disk: &CrashDisk, database: &Path, done: &Acknowledged, what: &str) {
    let registry = open(disk, database, 0).expect("what is left can be opened");
    let check = || {
        let options = CheckOptions {
            deep: true,
            repair: false,
        };
        let report = registry.check(options, &mut |_| ()).expect("a report");
        assert!(report.is_sound(), "{what}: {:?}", report.findings);
        for (word, blobs) in &done.images {
            let reference = Reference::Tag(tag(word));
            let row = registry.manifest(&name("a"), &reference);
            row.unwrap_or_else(|error| panic!("{what}: {word}: {error}"));
            for bytes in blobs {
                let blob = registry.open_blob(&name("a"), &digest(bytes));
                let blob = blob.unwrap_or_else(|error| panic!("{what}: {word}: {error}"));
                let mut found = Vec::new();
                let read = blob.reader.into_read().read_to_end(&mut found);
                read.expect("readable");
                assert_eq!(&found, bytes, "{what}");
            }
        }
    };
    check();
    let all = GcOptions {
        delete_untagged: true,
        ..NOW
    };
    registry.collect(all, &mut |_| ()).expect("it goes on");
    check();
    assert!(
        !registry
            .collect(all, &mut |_| ())
            .expect("a report")
            .did_something(),
        "{what}"
    );
}

/// Runs the workload with these faults; the disk and what was acknowledged.
fn run(database: &Path, bound: u64, faults: Faults) -> (CrashDisk, Acknowledged) {
    let disk = CrashDisk::new(Path::new(ROOT));
    let registry = open(&disk, database, bound).expect("a fresh store");
    disk.set_faults(faults);
    let done = work(&registry);
    let closed = registry.catalog().close(Duration::from_secs(10));
    closed.expect("closed");
    (disk, done)
}

#[test]
fn a_crash_at_any_sync_point_beside_collections_loses_nothing() {
    for bound in BOUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, done) = run(&folder.path().join("whole.db"), bound, Faults::default());
        assert_eq!((done.images.len(), done.collections), (2, 3));
        for point in 0..=disk.syncs() {
            for (number, (names, tail)) in Names::ALL
                .iter()
                .flat_map(|names| Tail::ALL.iter().map(move |t| (names, t)))
                .enumerate()
            {
                let database = folder.path().join(format!("sync-{point}-{number}.db"));
                let faults = Faults {
                    freeze_at_sync: Some(point),
                    ..Faults::default()
                };
                let (disk, done) = run(&database, bound, faults);
                let what = format!("bound {bound}, sync {point}, case {number}");
                examine(&disk.crash(*names, *tail), &database, &done, &what);
            }
        }
    }
}

#[test]
fn the_end_of_the_process_at_any_disk_call_beside_collections_loses_nothing() {
    for bound in BOUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, _) = run(&folder.path().join("whole.db"), bound, Faults::default());
        for point in 0..=disk.calls() {
            let database = folder.path().join(format!("call-{point}.db"));
            let faults = Faults {
                freeze_at_call: Some(point),
                ..Faults::default()
            };
            let (disk, done) = run(&database, bound, faults);
            let what = format!("bound {bound}, call {point}");
            examine(&disk.kill(), &database, &done, &what);
        }
    }
}

#[test]
fn a_failure_of_any_disk_call_beside_collections_loses_nothing() {
    for bound in BOUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, _) = run(&folder.path().join("whole.db"), bound, Faults::default());
        for point in 0..=disk.calls() {
            let database = folder.path().join(format!("fail-{point}.db"));
            let faults = Faults {
                fail_at_call: Some((point, EIO)),
                ..Faults::default()
            };
            let (disk, done) = run(&database, bound, faults);
            let what = format!("bound {bound}, call {point}");
            disk.set_faults(Faults::default());
            examine(&disk.kill(), &database, &done, &what);
        }
    }
}
