//! Copies: of one moment, whatever is written meanwhile, and of older versions too.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

use super::*;
use crate::store::catalog::schema::{APPLICATION_ID, FILES};

/// Inline blobs of 50 kB.
fn fill(catalog: &Catalog, from: u32, to: u32) {
    for number in from..to {
        let bytes = number.to_le_bytes().repeat(12_500);
        let own = Digest::of(Algorithm::Sha256, &bytes);
        let blob = StoredBlob::in_row(own, bytes, Box::new(()));
        catalog
            .write(move |tx| {
                tx.insert_blob(&blob)?;
                tx.link_blob(&name("app"), blob.digest())
            })
            .unwrap();
    }
}

/// Were it not one snapshot, each write would make it begin again.
#[test]
fn a_copy_is_of_one_moment_and_writes_do_not_hold_it_up() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = in_file(&folder.path().join("coracle.db"));
    fill(&catalog, 0, 100);
    let before = read(&catalog, |tx| tx.totals());
    let (written, mut last) = (AtomicU64::new(0), 0);
    let copy = std::thread::scope(|scope| {
        let (ask, asked) = crossbeam_channel::bounded::<()>(0);
        let (tell, told) = crossbeam_channel::bounded::<()>(0);
        let (writer, written) = (&catalog, &written);
        scope.spawn(move || {
            while asked.recv().is_ok() {
                let number = u32::try_from(written.fetch_add(1, Ordering::SeqCst)).unwrap();
                fill(writer, 1000 + number, 1001 + number);
                tell.send(()).unwrap();
            }
        });
        let copied = catalog.copy_to(&folder.path().join("copy.db"), &mut |done, total| {
            assert!(
                done > last && done <= total,
                "{done} after {last} of {total}"
            );
            last = done;
            // A write between any two steps.
            ask.send(()).unwrap();
            told.recv().unwrap();
        });
        drop(ask);
        copied.unwrap()
    });
    assert!(written.load(Ordering::SeqCst) > 3);
    assert_eq!(copy.read(|tx| tx.totals()).unwrap(), before);
    assert_eq!(copy.integrity().unwrap(), Vec::<String>::new());
    let now = read(&catalog, |tx| tx.totals());
    assert_eq!(now.blobs, before.blobs + written.load(Ordering::SeqCst));
}

#[test]
fn a_copy_is_one_file_that_can_be_marked_and_opened_as_a_catalog() {
    let folder = tempfile::tempdir().unwrap();
    everywhere(|catalog| {
        push(catalog, "app", &["m", "n"]);
        let path = folder.path().join("copy.db");
        let copy = catalog.copy_to(&path, &mut |_, _| ()).unwrap();
        let blobs = copy.read(|tx| tx.blobs(None, 10)).unwrap();
        let first = blobs.first().map(|(digest, _)| *digest);
        copy.quarantine(&first.into_iter().collect()).unwrap();
        copy.close().unwrap();
        let beside: BTreeSet<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(beside, BTreeSet::from(["copy.db".to_owned()]));
        let opened = in_file(&path);
        for (digest, _) in blobs {
            let row = read(&opened, |tx| tx.blob(&digest)).unwrap();
            assert_eq!(row.quarantined, Some(digest) == first);
        }
        opened.close(Duration::from_secs(60)).unwrap();
    });
}

#[test]
fn a_copy_of_an_older_version_is_brought_up_to_date_and_the_original_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (old, path) = (folder.path().join("old.db"), folder.path().join("copy.db"));
    let connection = Connection::open(&old).unwrap();
    connection.execute_batch(FILES[0].1).unwrap();
    connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);
    let before = std::fs::read(&old).unwrap();
    let copy = CatalogCopy::of_file(&old, &path).unwrap();
    assert_eq!(copy.read(|tx| tx.totals()).unwrap().blobs, 0);
    assert_eq!(copy.integrity().unwrap(), Vec::<String>::new());
    copy.close().unwrap();
    assert_eq!(std::fs::read(&old).unwrap(), before);
}

#[test]
fn what_is_no_catalog_of_ours_is_no_copy() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    for bytes in [
        &b""[..],
        b"no database at all, but some text that is long enough to be read",
    ] {
        std::fs::write(&from, bytes).unwrap();
        let refused = CatalogCopy::of_file(&from, &to).err().expect("is refused");
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    }
    let none = CatalogCopy::of_file(&folder.path().join("none"), &to).err();
    assert_eq!(none.expect("is refused").kind(), ErrorKind::Io);
}
