//! A crash at every sync point, and a failure of every n-th disk call: afterwards every row has
//! its whole file, and everything that was acknowledged is there.
//!
//! The blobs lie on a disk that keeps only what was synced; the catalog is a real file, whose own
//! crash safety is SQLite's tested property (the power cut tests cover both together).

use std::path::Path;

use super::{ROOT, blobs_on, catalog, digest, image, name, tag};
use crate::oci::{Digest, Reference};
use crate::registry::check::CheckOptions;
use crate::registry::upload::Chunk;
use crate::registry::{Error, Options, Registry};
use crate::store::blobs::UploadKey;
use crate::store::blobs::crash_disk::{CrashDisk, EIO, ENOSPC, Faults, Names, Tail};
use crate::store::catalog::Location;

/// The longest inline blob: every blob of the workload is a file, some are, none is.
const BOUNDS: [u64; 3] = [0, 250, 64 << 10];

fn open(disk: &CrashDisk, database: &Path, bound: u64) -> Option<Registry> {
    let blobs = blobs_on(disk, bound)?;
    let catalog = catalog(Location::File(database), &blobs);
    Some(Registry::new(catalog, blobs, Options::default()))
}

/// What was acknowledged, and what was acknowledged to be gone.
#[derive(Default)]
struct Acknowledged {
    blobs: Vec<Vec<u8>>,
    /// Pushed under their sha512, whose folders are made when they are needed.
    long: Vec<Vec<u8>>,
    tags: Vec<(String, Vec<u8>)>,
    deleted: Vec<Digest>,
}

/// Pushes in every way, deletes, pushes again; notes what was acknowledged and goes on after
/// failures.
fn work(registry: &Registry) -> Acknowledged {
    let mut done = Acknowledged::default();
    let repository = name("a");
    for round in 0..3u8 {
        let (config, layer) = (vec![round; 20], vec![100 + round; 5000]);
        for bytes in [&config, &layer] {
            if push_in_chunks(registry, bytes).is_ok() {
                done.blobs.push(bytes.clone());
            }
        }
        let single = vec![200 + round; 300];
        let content = digest(&single);
        if registry
            .push_blob(&repository, None, &mut &single[..], &content)
            .is_ok()
        {
            done.blobs.push(single);
        }
        // Two rounds share a folder, so that one relies on what the other made.
        let long = vec![50 + round / 2; 70];
        let name_of_long = Digest::of(crate::oci::Algorithm::Sha512, &long);
        if registry
            .push_blob(&repository, None, &mut &long[..], &name_of_long)
            .is_ok()
        {
            done.long.push(long);
        }
        let manifest = image(&[&config, &layer], None);
        let word = format!("v{round}");
        let reference = Reference::Tag(tag(&word));
        if registry
            .push_manifest(
                &repository,
                &reference,
                Vec::new(),
                None,
                manifest.clone(),
                None,
            )
            .is_ok()
        {
            done.tags.push((word, manifest));
        }
    }
    delete_and_push_again(registry, &mut done);
    done
}

fn push_in_chunks(registry: &Registry, bytes: &[u8]) -> Result<(), Error> {
    let repository = name("a");
    let id = registry.start_upload(&repository, crate::oci::Algorithm::Sha256)?;
    let key = UploadKey { repository, id };
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let chunk = |bytes: &[u8]| Chunk {
        range: None,
        length: Some(bytes.len() as u64),
    };
    registry.append(&key, chunk(head), &mut &head[..])?;
    registry.finish_upload(&key, chunk(tail), &mut &tail[..], &digest(bytes))
}

fn delete_and_push_again(registry: &Registry, done: &mut Acknowledged) {
    let repository = name("a");
    let (gone, back) = (vec![200; 300], vec![201; 300]);
    for bytes in [&gone, &back] {
        let content = digest(bytes);
        // A failed delete may or may not have removed it, so nothing is claimed any more.
        done.blobs.retain(|own| own != bytes);
        if registry.delete_blob(&repository, &content).is_ok() {
            done.deleted.push(content);
        }
    }
    if registry
        .push_blob(&repository, None, &mut &back[..], &digest(&back))
        .is_ok()
    {
        done.deleted.retain(|own| *own != digest(&back));
        done.blobs.push(back);
    }
}

/// Opens what is left and asks for everything that was acknowledged.
fn examine(disk: &CrashDisk, database: &Path, done: &Acknowledged, what: &str) {
    // In whichever form it is, and whatever the bound is by then.
    let registry = open(disk, database, 0).expect("what is left can be opened");
    let report = registry
        .check(
            CheckOptions {
                deep: true,
                repair: false,
            },
            &mut |_| (),
        )
        .expect("a report");
    assert!(report.is_sound(), "{what}: {:?}", report.findings);
    let repository = name("a");
    let short = done.blobs.iter().map(|bytes| (digest(bytes), bytes));
    let long = done.long.iter().map(|bytes| {
        let content = Digest::of(crate::oci::Algorithm::Sha512, bytes);
        (content, bytes)
    });
    for (content, bytes) in short.chain(long) {
        let blob = registry.open_blob(&repository, &content);
        let blob = blob.unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut found = Vec::new();
        blob.reader
            .into_read()
            .read_to_end(&mut found)
            .expect("readable");
        assert_eq!(&found, bytes, "{what}");
    }
    for (word, manifest) in &done.tags {
        let row = registry.manifest(&repository, &Reference::Tag(tag(word)));
        let row = row.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(&row.bytes[..], &manifest[..], "{what}");
    }
    for content in &done.deleted {
        assert!(
            registry.open_blob(&repository, content).is_err(),
            "{what}: {content} came back"
        );
    }
}

/// Runs the workload with these faults; the disk and what was acknowledged.
fn run(database: &Path, bound: u64, faults: Faults) -> (CrashDisk, Acknowledged) {
    let disk = CrashDisk::new(Path::new(ROOT));
    let registry = open(&disk, database, bound).expect("a fresh store");
    disk.set_faults(faults);
    let done = work(&registry);
    registry
        .catalog()
        .close(std::time::Duration::from_secs(10))
        .expect("closed");
    (disk, done)
}

#[test]
fn a_crash_at_any_sync_point_loses_nothing_that_was_acknowledged() {
    for bound in BOUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, done) = run(&folder.path().join("whole.db"), bound, Faults::default());
        assert_eq!(
            (done.blobs.len(), done.tags.len(), done.deleted.len()),
            (8, 3, 1)
        );
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
fn the_end_of_the_process_at_any_disk_call_loses_nothing_that_was_acknowledged() {
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
fn a_failure_of_any_disk_call_loses_nothing_that_was_acknowledged() {
    for (bound, error) in BOUNDS.into_iter().flat_map(|b| [(b, EIO), (b, ENOSPC)]) {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, _) = run(&folder.path().join("whole.db"), bound, Faults::default());
        for point in 0..=disk.calls() {
            let database = folder.path().join(format!("fail-{error}-{point}.db"));
            let faults = Faults {
                fail_at_call: Some((point, error)),
                ..Faults::default()
            };
            let (disk, done) = run(&database, bound, faults);
            let what = format!("bound {bound}, error {error} at call {point}");
            disk.set_faults(Faults::default());
            examine(&disk.kill(), &database, &done, &what);
        }
    }
}
