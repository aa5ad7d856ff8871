//! A blob that changes its form: what was a file becomes inline and the other way round, and what
//! is left behind means nothing.

use std::path::Path;
use std::sync::Arc;

use super::{ROOT, blobs_on, catalog, digest, name};
use crate::oci::{Algorithm, Digest};
use crate::registry::check::{CheckOptions, FindingKind};
use crate::registry::{Error, Options, Registry};
use crate::store::Shard;
use crate::store::blobs::Opened;
use crate::store::blobs::crash_disk::CrashDisk;
use crate::store::blobs::disk::{Access, Disk};
use crate::store::catalog::{Catalog, Location};
use crate::store::layout::Layout;

const CONTENT: &[u8] = b"some content";

struct Both {
    disk: CrashDisk,
    catalog: Arc<Catalog>,
    /// Every blob it takes is a file.
    files: Registry,
    /// Every blob it takes is inline.
    inline: Registry,
}

/// Two registries over the same store, as before and after a change of the bound.
fn both() -> Both {
    let disk = CrashDisk::new(Path::new(ROOT));
    let blobs = blobs_on(&disk, 0).expect("a fresh store");
    let catalog = catalog(Location::Memory, &blobs);
    let other = blobs_on(&disk, 1000).expect("the same store");
    let over = |blobs| Registry::new(Arc::clone(&catalog), blobs, Options::default());
    Both {
        files: over(blobs),
        inline: over(other),
        disk,
        catalog,
    }
}

fn push(registry: &Registry) {
    registry
        .push_blob(&name("a"), None, &mut &CONTENT[..], &digest(CONTENT))
        .expect("taken");
}

impl Both {
    fn is_inline(&self) -> bool {
        let row = self.catalog.read(|tx| tx.blob(&digest(CONTENT)));
        row.expect("an answer").expect("a row").inline.is_some()
    }

    fn file(&self) -> Option<Vec<u8>> {
        self.disk
            .contents(&Layout::new(ROOT).blob(&digest(CONTENT)))
    }

    fn set_file_length(&self, length: u64) {
        let path = Layout::new(ROOT).blob(&digest(CONTENT));
        let file = self.disk.open(&path, Access::ReadWrite).expect("a file");
        self.disk.set_length(&file, length).expect("cut");
    }

    fn kinds(&self, deep: bool, repair: bool) -> Vec<FindingKind> {
        let options = CheckOptions { deep, repair };
        let report = self.files.check(options, &mut |_| ()).expect("a report");
        report.findings.iter().map(|own| own.kind).collect()
    }

    fn is_served(&self) -> bool {
        let (repository, content) = (name("a"), digest(CONTENT));
        let size = self.inline.blob_size(&repository, &content).ok();
        let opened = self.inline.open_blob(&repository, &content).ok();
        let read = opened.map(|blob| {
            let mut bytes = Vec::new();
            let read = blob.reader.into_read().read_to_end(&mut bytes);
            read.expect("readable");
            bytes
        });
        assert_eq!(size.is_some(), read.is_some());
        read.is_some_and(|bytes| bytes == CONTENT)
    }
}

#[test]
fn a_blob_that_is_sound_keeps_its_form() {
    let both = both();
    push(&both.files);
    push(&both.inline);
    assert!(!both.is_inline() && both.is_served());
    let both = self::both();
    push(&both.inline);
    push(&both.files);
    assert!(both.is_inline() && both.is_served());
    assert_eq!(both.file(), None);
    assert_eq!(both.kinds(true, false), []);
}

#[test]
fn a_short_file_heals_inline_and_goes() {
    let both = both();
    push(&both.files);
    both.set_file_length(3);
    push(&both.inline);
    assert!(both.is_inline() && both.is_served());
    assert_eq!(both.file(), None);
    assert_eq!(both.kinds(true, false), []);
}

#[test]
fn a_quarantined_blob_heals_in_the_other_form() {
    let both = both();
    push(&both.inline);
    let row = both.catalog.read(|tx| tx.blob(&digest(CONTENT)));
    let row = row.expect("an answer").expect("a row");
    both.inline
        .quarantine(&digest(CONTENT), row)
        .expect("out of service");
    assert!(!both.is_served());
    assert_eq!(both.kinds(true, false), [FindingKind::BlobQuarantined]);
    push(&both.files);
    assert!(!both.is_inline() && both.is_served());

    let row = both.catalog.read(|tx| tx.blob(&digest(CONTENT)));
    let row = row.expect("an answer").expect("a row");
    both.files
        .quarantine(&digest(CONTENT), row)
        .expect("put aside");
    assert!(!both.is_served());
    push(&both.inline);
    assert!(both.is_inline() && both.is_served());
    assert_eq!(both.kinds(true, false), []);
}

/// What a crash between the commit and the removal of the old file leaves.
#[test]
fn a_file_beside_inline_bytes_is_an_orphan() {
    let both = both();
    push(&both.inline);
    let mut upload = both
        .files
        .blobs
        .start_anonymous_upload(Algorithm::Sha256)
        .expect("a session");
    upload.append(CONTENT).expect("taken");
    let staged = upload.finish(&digest(CONTENT)).expect("staged");
    both.files.blobs.publish(staged).expect("a file");
    assert!(both.file().is_some());
    assert_eq!(both.kinds(false, false), [FindingKind::Orphan]);
    let shard = Shard::of(&digest(CONTENT));
    let later = both.disk.now() + std::time::Duration::from_secs(1000);
    assert_eq!(both.files.sweep_orphans(shard, later).expect("swept"), 1);
    assert_eq!(both.file(), None);
    assert!(both.is_served());
}

#[test]
fn deleting_takes_inline_bytes_along_once_nobody_holds_them() {
    let both = both();
    let content = digest(CONTENT);
    push(&both.inline);
    let mounted = both.inline.mount(&name("b"), &content, &name("a"));
    assert!(mounted.expect("an answer"));
    both.inline
        .delete_blob(&name("a"), &content)
        .expect("deleted");
    let kept = both.inline.open_blob(&name("b"), &content);
    assert_eq!(kept.expect("still there").size, CONTENT.len() as u64);
    both.inline
        .delete_blob(&name("b"), &content)
        .expect("deleted");
    let bytes = both.catalog.read(|tx| tx.inline_bytes(&content));
    assert_eq!(bytes.expect("an answer"), None);
    assert_eq!(both.inline.totals().expect("totals").blob_bytes, 0);
}

/// Inline bytes that are not what they should be: found, taken out of service, healed.
#[test]
fn a_check_finds_inline_bytes_that_are_wrong() {
    for (wrong, deep, kind) in [
        (&b"som"[..], false, FindingKind::BlobWrongSize),
        (b"same length!", true, FindingKind::BlobCorrupt),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("coracle.db");
        let disk = CrashDisk::new(Path::new(ROOT));
        let blobs = blobs_on(&disk, 1000).expect("a fresh store");
        let catalog = catalog(Location::File(&path), &blobs);
        let registry = Registry::new(Arc::clone(&catalog), blobs, Options::default());
        push(&registry);
        let database = rusqlite::Connection::open(&path).expect("the catalog");
        database
            .execute("UPDATE inline_blob SET bytes = ?1", [wrong])
            .expect("damaged");
        let check = |repair| {
            let options = CheckOptions { deep, repair };
            let report = registry.check(options, &mut |_| ()).expect("a report");
            report
                .findings
                .iter()
                .map(|own| own.kind)
                .collect::<Vec<_>>()
        };
        assert_eq!(check(false), [kind]);
        assert_eq!(check(true), [kind]);
        assert_eq!(check(false), [FindingKind::BlobQuarantined]);
        let content: Digest = digest(CONTENT);
        assert!(matches!(
            registry.open_blob(&name("a"), &content),
            Err(Error::BlobUnknown { .. })
        ));
        push(&registry);
        assert_eq!(check(false), []);
        let blob = registry.open_blob(&name("a"), &content).expect("healed");
        assert_eq!(blob.size, CONTENT.len() as u64);
    }
}

/// A length that disagrees is found by who asks, too, and never served.
#[test]
fn inline_bytes_of_another_length_are_never_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("coracle.db");
    let disk = CrashDisk::new(Path::new(ROOT));
    let blobs = blobs_on(&disk, 1000).expect("a fresh store");
    let catalog = catalog(Location::File(&path), &blobs);
    let registry = Registry::new(Arc::clone(&catalog), blobs, Options::default());
    push(&registry);
    let database = rusqlite::Connection::open(&path).expect("the catalog");
    database
        .execute("UPDATE inline_blob SET bytes = x'00'", [])
        .expect("damaged");
    let content = digest(CONTENT);
    assert!(matches!(
        registry.open_blob(&name("a"), &content),
        Err(Error::BlobUnknown { .. })
    ));
    let row = catalog.read(|tx| tx.blob(&content)).expect("an answer");
    assert!(row.expect("a row").quarantined);
    assert!(matches!(
        registry.blobs.open(&content, 12),
        Ok(Opened::Missing)
    ));
    push(&registry);
    assert!(registry.blob_size(&name("a"), &content).is_ok());
}
