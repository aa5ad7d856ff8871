//! The scrub: it finds what is damaged in either form, goes on where it was, and what it found is
//! told until it is healed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{ROOT, blobs_on, catalog, digest, name};
use crate::clock::{MADE_AFTER, ManualClock};
use crate::oci::Digest;
use crate::registry::scrub::RoundEnd;
use crate::registry::{Options, Registry};
use crate::store::blobs::crash_disk::CrashDisk;
use crate::store::blobs::disk::{Access, Disk};
use crate::store::catalog::Location;
use crate::store::layout::Layout;

const PERIOD: Duration = Duration::from_secs(3600);

/// Blobs of at most 100 bytes are inline.
fn open(disk: &CrashDisk, database: &Path) -> Registry {
    let blobs = blobs_on(disk, 100).unwrap();
    let catalog = catalog(Location::File(database), &blobs);
    Registry::new(catalog, blobs, Options::default())
}

fn push(registry: &Registry, blob: &[u8]) -> Digest {
    let own = digest(blob);
    let pushed = registry.push_blob(&name("a"), None, &mut &blob[..], &own);
    pushed.unwrap();
    own
}

fn clock() -> ManualClock {
    ManualClock::new(SystemTime::UNIX_EPOCH + MADE_AFTER)
}

fn damage_file(disk: &CrashDisk, digest: &Digest) {
    let path = Layout::new(ROOT).blob(digest);
    let file = disk.open(&path, Access::ReadWrite).unwrap();
    disk.write_at(&file, b"!", 3).unwrap();
}

fn damage_inline(database: &Path, digest: &Digest) {
    let connection = rusqlite::Connection::open(database).unwrap();
    let column = [&[digest.algorithm().code()], digest.raw()].concat();
    let changed = connection.execute(
        "UPDATE inline_blob SET bytes = zeroblob(length(bytes)) WHERE digest = ?1",
        [column],
    );
    assert_eq!(changed.unwrap(), 1);
}

#[test]
fn a_changed_byte_in_a_file_or_inline_is_found_told_and_healed() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("catalog.db");
    let disk = CrashDisk::new(Path::new(ROOT));
    let registry = open(&disk, &database);
    let clock = clock();
    let blobs: Vec<Vec<u8>> = (1..=6)
        .map(|seed| vec![seed; if seed % 2 == 0 { 50 } else { 5000 }])
        .collect();
    let digests: Vec<Digest> = blobs.iter().map(|blob| push(&registry, blob)).collect();
    damage_file(&disk, &digests[2]);
    damage_inline(&database, &digests[3]);
    let mut bytes = 0;
    let end = registry.scrub(&clock, &mut |count| {
        bytes += count;
        true
    });
    assert_eq!(end.unwrap(), RoundEnd::Whole);
    assert_eq!(bytes, 3 * 5000 + 3 * 50);
    let state = registry.scrub_state().unwrap();
    let last = state.last.unwrap();
    assert_eq!(
        (last.counts.blobs, last.counts.bytes, last.counts.found),
        (6, 15_150, 2)
    );
    assert!(state.running.is_none() && state.is_damaged);
    let notes = registry.scrub_notes().unwrap().join("\n");
    for (number, digest) in digests.iter().enumerate() {
        let is_bad = number == 2 || number == 3;
        let served = registry.open_blob(&name("a"), digest).is_ok();
        assert_eq!(served, !is_bad, "{number}");
        assert_eq!(notes.contains(&digest.to_string()), is_bad, "{notes}");
    }
    let quarantined = Layout::new(ROOT).quarantined(&digests[2]);
    assert!(disk.contents(&quarantined).is_some());
    push(&registry, &blobs[2]);
    let notes = registry.scrub_notes().unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    push(&registry, &blobs[3]);
    assert!(registry.scrub_notes().unwrap().is_empty());
    for digest in &digests {
        assert!(registry.open_blob(&name("a"), digest).is_ok());
    }
    registry.scrub(&clock, &mut |_| true).unwrap();
    assert_eq!(
        registry.scrub_state().unwrap().last.unwrap().counts.found,
        0
    );
}

#[test]
fn a_missing_a_short_and_an_unreadable_file_are_found_too() {
    let disk = CrashDisk::new(Path::new(ROOT));
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&disk, &folder.path().join("catalog.db"));
    let (gone, short) = (push(&registry, &[1; 500]), push(&registry, &[2; 500]));
    let removed = push(&registry, &[3; 500]);
    let layout = Layout::new(ROOT);
    disk.remove(&layout.blob(&gone)).unwrap();
    let file = disk.open(&layout.blob(&short), Access::ReadWrite).unwrap();
    disk.set_length(&file, 20).unwrap();
    registry.scrub(&clock(), &mut |_| true).unwrap();
    assert_eq!(registry.scrub_notes().unwrap().len(), 2);
    // What is removed is no finding any more.
    registry.delete_blob(&name("a"), &gone).unwrap();
    registry.delete_blob(&name("a"), &removed).unwrap();
    let notes = registry.scrub_notes().unwrap();
    assert!(
        notes.len() == 1 && notes[0].contains(&short.to_string()),
        "{notes:?}"
    );
}

#[test]
fn a_round_goes_on_where_it_was_after_a_restart() {
    let disk = CrashDisk::new(Path::new(ROOT));
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("catalog.db");
    let registry = open(&disk, &database);
    let clock = clock();
    for seed in 1..=10 {
        push(&registry, &[seed; 1000]);
    }
    let began = registry.scrub_row().unwrap();
    assert!(began.is_due(crate::clock::Clock::now(&clock), PERIOD));
    let mut read = 0;
    // It stops in the middle of the fourth.
    let end = registry.scrub(&clock, &mut |count| {
        read += count;
        read < 3001
    });
    assert_eq!(end.unwrap(), RoundEnd::Stopped);
    registry.catalog().close(Duration::from_secs(60)).unwrap();
    drop(registry);
    let registry = open(&disk.kill(), &database);
    let state = registry.scrub_state().unwrap();
    assert_eq!(state.running.unwrap().counts.blobs, 3);
    clock.advance(PERIOD / 2);
    let row = registry.scrub_row().unwrap();
    assert!(row.is_due(crate::clock::Clock::now(&clock), PERIOD));
    let mut read = 0;
    registry
        .scrub(&clock, &mut |count| {
            read += count;
            true
        })
        .unwrap();
    assert_eq!(read, 7000, "three blobs were read before");
    let last = registry.scrub_state().unwrap().last.unwrap();
    assert_eq!((last.counts.blobs, last.counts.bytes), (10, 10_000));
    // The period counts from the beginning of a round.
    let row = registry.scrub_row().unwrap();
    assert!(!row.is_due(crate::clock::Clock::now(&clock), PERIOD));
    clock.advance(PERIOD / 2);
    assert!(row.is_due(crate::clock::Clock::now(&clock), PERIOD));
}

/// A blob that is deleted or pushed anew while it is read is no finding.
#[test]
fn what_changes_while_it_is_read_is_no_finding() {
    let disk = CrashDisk::new(Path::new(ROOT));
    let folder = tempfile::tempdir().unwrap();
    let registry = Arc::new(open(&disk, &folder.path().join("catalog.db")));
    let digests: Vec<Digest> = (1..=4).map(|seed| push(&registry, &[seed; 1000])).collect();
    let own = Arc::clone(&registry);
    let mut left = digests.clone();
    registry
        .scrub(&clock(), &mut |_| {
            if let Some(digest) = left.pop() {
                own.delete_blob(&name("a"), &digest).unwrap();
            }
            true
        })
        .unwrap();
    assert!(left.is_empty());
    assert!(registry.scrub_notes().unwrap().is_empty());
    assert_eq!(
        registry.scrub_state().unwrap().last.unwrap().counts.found,
        0
    );
}
