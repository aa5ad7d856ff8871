//! Between the answer to a removal and the end of its tags: nobody sees them, and no crash or
//! failure in between brings them back.

use super::*;

fn keep(catalog: &Catalog, tags: usize) {
    push(catalog, "app", &["m", "n"]);
    write(catalog, move |tx| {
        for number in 0..tags {
            let name_of_tag = tag(&format!("t{number:03}"));
            tx.set_tag(&name("app"), &name_of_tag, &digest("m"), None)?;
        }
        Ok(())
    });
}

fn remove(tx: &mut WriteTx<'_>) -> Result<(), Error> {
    tx.set_actor(Some("ann".to_owned()));
    assert!(tx.remove_manifest_last(&name("app"), &digest("m"), Removal::Undoable)?);
    tx.set_actor(None);
    Ok(())
}

fn nobody_sees_them(tx: &ReadTx<'_>) -> Result<(), Error> {
    let app = name("app");
    assert_eq!(tx.tags(&app, None, 200)?, ["n"]);
    for gone in ["m", "t000", "t099"] {
        assert!(tx.manifest_by_tag(&app, &tag(gone))?.is_none());
        assert!(tx.manifest_facts_by_tag(&app, &tag(gone))?.is_none());
    }
    assert!(tx.manifest(&app, &digest("m"))?.is_none());
    assert_eq!(tx.totals()?.tags, 1);
    Ok(())
}

fn they_are_history(tx: &ReadTx<'_>) -> Result<(), Error> {
    nobody_sees_them(tx)?;
    assert!(tx.tag_row(&name("app"), &tag("t099"))?.is_none());
    let history = tx.tag_history(&name("app"), &tag("t099"), None, 10)?;
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].ended, Ended::RemovedWithManifest);
    assert_eq!(history[0].ended_by.as_deref(), Some("ann"));
    assert!(!tx.has_ending_tags().unwrap());
    Ok(())
}

#[test]
fn nobody_sees_tags_that_are_about_to_go() {
    everywhere(|catalog| {
        keep(catalog, 100);
        write(catalog, |tx| {
            remove(tx)?;
            nobody_sees_them(tx)
        });
        read(catalog, they_are_history);
    });
}

#[test]
fn a_removal_that_fails_later_leaves_them() {
    everywhere(|catalog| {
        keep(catalog, 100);
        let failed = catalog.write(|tx| {
            remove(tx)?;
            Err::<(), _>(Error::new(ErrorKind::Io, "trying", "it"))
        });
        assert!(failed.is_err());
        read(catalog, |tx| {
            assert_eq!(tx.tags(&name("app"), None, 200)?.len(), 102);
            assert_eq!(tx.totals()?.tags, 102);
            Ok(())
        });
    });
}

#[test]
fn what_was_written_together_with_a_removal_is_kept_with_it() {
    // Many at a time, so that some share a batch with the removal and some come right after it.
    everywhere(|catalog| {
        keep(catalog, 100);
        std::thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || {
                    let again = tag(&format!("new{number}"));
                    write(catalog, move |tx| {
                        tx.set_tag(&name("app"), &again, &digest("n"), None)
                    });
                });
            }
            scope.spawn(move || write(catalog, remove));
        });
        read(catalog, |tx| {
            assert_eq!(tx.tags(&name("app"), None, 200)?.len(), 9);
            assert_eq!(tx.totals()?.tags, 9);
            Ok(())
        });
    });
}

#[test]
fn the_end_of_the_program_in_between_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coracle.db");
    let catalog = in_file(&path);
    keep(&catalog, 100);
    write(&catalog, |tx| {
        remove(tx)?;
        // As if the program had ended with the commit.
        tx.ending = false;
        Ok(())
    });
    let look = |tx: &ReadTx<'_>| {
        assert!(tx.has_ending_tags().unwrap());
        nobody_sees_them(tx)
    };
    catalog.read_at_once(look).unwrap();
    // What a backup of this moment is checked by.
    let between = check::integrity(&catalog.readers).unwrap();
    assert_eq!(between, Vec::<String>::new());
    catalog.close(Duration::from_secs(60)).unwrap();

    let catalog = in_file(&path);
    read(&catalog, they_are_history);
    assert_eq!(catalog.integrity().unwrap(), Vec::<String>::new());
}

#[test]
fn a_repository_whose_last_manifest_went_goes_with_its_tags() {
    everywhere(|catalog| {
        keep(catalog, 3);
        write(catalog, |tx| {
            tx.remove_manifest(&name("app"), &digest("n"), Removal::Undoable)
        });
        write(catalog, remove);
        read(catalog, |tx| {
            assert!(!tx.repository_exists(&name("app"))?);
            assert_eq!(tx.repositories(None, 10)?, Vec::<String>::new());
            Ok(())
        });
        // It can be pushed to at once, and what was removed comes back.
        write(catalog, |tx| {
            assert!(tx.restore_manifest(&name("app"), &digest("m"))?);
            tx.set_tag(&name("app"), &tag("t001"), &digest("m"), None)
        });
        read(catalog, |tx| {
            assert_eq!(tx.tags(&name("app"), None, 10)?, ["t001"]);
            Ok(())
        });
    });
}
