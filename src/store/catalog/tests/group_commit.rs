//! The writer: batches, what one failure may touch, and the order of effects.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::*;
use crate::store::Shard;

/// A catalog whose every sync of shards is recorded, and fails while it is told to.
struct Watched {
    catalog: Arc<Catalog>,
    syncs: Arc<Mutex<Vec<Vec<Shard>>>>,
    failing: Arc<AtomicBool>,
}

fn watched() -> Watched {
    let syncs = Arc::new(Mutex::new(Vec::new()));
    let failing = Arc::new(AtomicBool::new(false));
    let (seen, fail) = (Arc::clone(&syncs), Arc::clone(&failing));
    let sync = move |shards: &[Shard]| {
        seen.lock().unwrap().push(shards.to_vec());
        if fail.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Full, "syncing", "a shard"));
        }
        Ok(())
    };
    let catalog = Catalog::open(Options::new(Location::Memory), Box::new(sync)).unwrap();
    Watched {
        catalog: Arc::new(catalog),
        syncs,
        failing,
    }
}

/// Holds the writer inside a closure until it is let go, so that a batch gathers behind it.
struct Held {
    go: Sender<()>,
    thread: std::thread::JoinHandle<Result<(), Error>>,
}

fn hold(catalog: &Arc<Catalog>) -> Held {
    let (go, wait): (Sender<()>, Receiver<()>) = bounded(1);
    let (started, start) = bounded(1);
    let catalog = Arc::clone(catalog);
    let thread = std::thread::spawn(move || {
        catalog.write(move |_| {
            started.send(()).unwrap();
            wait.recv().unwrap();
            Ok(())
        })
    });
    start.recv().unwrap();
    Held { go, thread }
}

impl Held {
    /// Lets the writer go once `waiting` more writes are queued behind it.
    fn let_go(self, catalog: &Catalog, waiting: usize) {
        wait_for_queue(catalog, waiting);
        self.go.send(()).unwrap();
        self.thread.join().unwrap().unwrap();
    }
}

/// Until so many writes wait for the writer.
fn wait_for_queue(catalog: &Catalog, waiting: usize) {
    let count = || {
        catalog
            .ways
            .read()
            .unwrap()
            .as_ref()
            .map_or(0, Ways::waiting)
    };
    while count() < waiting {
        std::thread::yield_now();
    }
}

type Handle = std::thread::JoinHandle<Result<(), Error>>;

fn insert(catalog: &Arc<Catalog>, blob: &'static str) -> Handle {
    let catalog = Arc::clone(catalog);
    std::thread::spawn(move || catalog.write(move |tx| tx.insert_blob(&stored(blob))))
}

fn blob_count(catalog: &Catalog) -> u64 {
    read(catalog, |tx| tx.totals()).blobs
}

#[test]
fn what_waits_is_committed_together_with_one_sync_of_all_shards() {
    let Watched { catalog, syncs, .. } = watched();
    let blobs = ["a", "b", "c", "d", "e"];
    let held = hold(&catalog);
    let handles: Vec<Handle> = blobs.iter().map(|blob| insert(&catalog, blob)).collect();
    held.let_go(&catalog, blobs.len());
    for handle in handles {
        handle.join().unwrap().unwrap();
    }
    let mut shards: Vec<Shard> = blobs.iter().map(|blob| Shard::of(&digest(blob))).collect();
    shards.sort_unstable();
    shards.dedup();
    assert_eq!(*syncs.lock().unwrap(), [shards]);
    assert_eq!(blob_count(&catalog), 5);
}

/// A clock would show it too, but a batch is known by its sync.
#[test]
fn background_work_goes_last_and_into_the_commit_of_others() {
    let Watched { catalog, syncs, .. } = watched();
    let order = Arc::new(Mutex::new(Vec::new()));
    let held = hold(&catalog);
    let mut handles = Vec::new();
    for (waiting, who) in ["background", "first", "second"].into_iter().enumerate() {
        let (catalog_of_it, order) = (Arc::clone(&catalog), Arc::clone(&order));
        handles.push(std::thread::spawn(move || {
            let work = move |tx: &mut WriteTx<'_>| {
                order.lock().unwrap().push(who);
                tx.insert_blob(&stored(who))
            };
            if who == "background" {
                catalog_of_it.write_patiently(work)
            } else {
                catalog_of_it.write(work)
            }
        }));
        wait_for_queue(&catalog, waiting + 1);
    }
    held.let_go(&catalog, 3);
    for handle in handles {
        handle.join().unwrap().unwrap();
    }
    assert_eq!(*order.lock().unwrap(), ["first", "second", "background"]);
    assert_eq!(syncs.lock().unwrap().len(), 1, "one batch");
    assert_eq!(blob_count(&catalog), 3);
}

/// Locks that it holds would be held as long as others write.
#[test]
fn background_work_is_not_put_off_for_ever() {
    let options = Options {
        batch_max: 1,
        ..Options::new(Location::Memory)
    };
    let catalog = Arc::new(Catalog::open(options, Box::new(|_| Ok(()))).unwrap());
    let order = Arc::new(Mutex::new(Vec::new()));
    let held = hold(&catalog);
    let mut handles = Vec::new();
    for number in 0..30 {
        let (own, order) = (Arc::clone(&catalog), Arc::clone(&order));
        handles.push(std::thread::spawn(move || {
            let work = move |_: &mut WriteTx<'_>| {
                order.lock().unwrap().push(number);
                Ok::<_, Error>(())
            };
            if number == 0 {
                own.write_patiently(work)
            } else {
                own.write(work)
            }
        }));
        wait_for_queue(&catalog, number + 1);
    }
    held.let_go(&catalog, 30);
    for handle in handles {
        handle.join().unwrap().unwrap();
    }
    let order = order.lock().unwrap();
    let at = order.iter().position(|number| *number == 0).unwrap();
    assert!((1..10).contains(&at), "{order:?}");
}

/// What it waited for may fill the batch; then it is the first of the next one, and waits for
/// nobody more.
#[test]
fn background_work_whose_company_fills_the_batch_is_not_forgotten() {
    let options = Options {
        batch_max: 1,
        ..Options::new(Location::Memory)
    };
    let catalog = Catalog::open(options, Box::new(|_| Ok(()))).unwrap();
    for round in 0..200 {
        let (urgent, patient) = (format!("u{round}"), format!("p{round}"));
        let (end, ended) = bounded(2);
        std::thread::scope(|scope| {
            let catalog = &catalog;
            // So that others count as writing, and background work waits for company.
            catalog.write(|_| Ok::<_, Error>(())).unwrap();
            let done = end.clone();
            scope.spawn(move || {
                let work = move |tx: &mut WriteTx<'_>| tx.insert_blob(&stored(&patient));
                catalog.write_patiently(work).unwrap();
                done.send(()).unwrap();
            });
            scope.spawn(move || {
                let work = move |tx: &mut WriteTx<'_>| tx.insert_blob(&stored(&urgent));
                catalog.write(work).unwrap();
                end.send(()).unwrap();
            });
            for _ in 0..2 {
                let patience = Duration::from_secs(20);
                if ended.recv_timeout(patience).is_err() {
                    // Lets it go, so that the test can end.
                    catalog.write(|_| Ok::<_, Error>(())).unwrap();
                    panic!("background work waits for somebody who never comes");
                }
            }
        });
    }
    assert_eq!(blob_count(&catalog), 400);
}

#[test]
fn background_work_alone_is_done_too_and_at_the_end_as_well() {
    let Watched { catalog, .. } = watched();
    for blob in ["a", "b"] {
        catalog
            .write_patiently(move |tx| tx.insert_blob(&stored(blob)))
            .unwrap();
    }
    // Right after another one it waits for company, which does not come.
    catalog.write(|tx| tx.insert_blob(&stored("c"))).unwrap();
    catalog
        .write_patiently(|tx| tx.insert_blob(&stored("d")))
        .unwrap();
    assert_eq!(blob_count(&catalog), 4);
    let held = hold(&catalog);
    let waiting = {
        let catalog = Arc::clone(&catalog);
        std::thread::spawn(move || catalog.write_patiently(|tx| tx.insert_blob(&stored("e"))))
    };
    wait_for_queue(&catalog, 1);
    let late = catalog.close(Duration::ZERO).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Closed);
    held.go.send(()).unwrap();
    held.thread.join().unwrap().unwrap();
    waiting.join().unwrap().expect("what waits is committed");
    let refused = catalog.write_patiently(|tx| tx.insert_blob(&stored("late")));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
}

/// A batch that has written its share of content is committed, however many wait.
#[test]
fn a_batch_holds_so_much_content_and_no_more() {
    let Watched { catalog, syncs, .. } = watched();
    let held = hold(&catalog);
    let handles: Vec<Handle> = (0..5_u8)
        .map(|n| {
            let catalog = Arc::clone(&catalog);
            std::thread::spawn(move || {
                let bytes = vec![n; crate::store::catalog::writer::BATCH_BYTES_MAX / 2];
                let blob =
                    StoredBlob::in_row(Digest::of(Algorithm::Sha256, &bytes), bytes, Box::new(()));
                catalog.write(move |tx| {
                    // Each batch with a file in it is one sync.
                    tx.insert_blob(&stored("a file"))?;
                    tx.insert_blob(&blob)
                })
            })
        })
        .collect();
    held.let_go(&catalog, handles.len());
    for handle in handles {
        handle.join().unwrap().unwrap();
    }
    assert_eq!(syncs.lock().unwrap().len(), 3);
    assert_eq!(blob_count(&catalog), 6);
}

#[test]
fn many_threads_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Arc::new(in_file(&folder.path().join("coracle.db")));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let catalog = &catalog;
            scope.spawn(move || {
                for n in 0..50 {
                    let text = format!("{thread}-{n}");
                    let blob = stored(&text);
                    write(catalog, move |tx| tx.insert_blob(&blob));
                    // What was answered is there at once, for everyone.
                    assert!(read(catalog, |tx| tx.blob(&digest(&text))).is_some());
                }
            });
        }
    });
    assert_eq!(blob_count(&catalog), 400);
}

#[test]
fn a_failing_closure_leaves_nothing_and_touches_nobody_else() {
    let Watched { catalog, syncs, .. } = watched();
    let held = hold(&catalog);
    let before = insert(&catalog, "before");
    let failing = {
        let catalog = Arc::clone(&catalog);
        std::thread::spawn(move || {
            catalog.write(|tx| -> Result<(), Error> {
                tx.insert_blob(&stored("half-done"))?;
                tx.link_blob(&name("half"), &digest("half-done"))?;
                Err(Error::new(ErrorKind::Denied, "failing", "on purpose"))
            })
        })
    };
    let after = insert(&catalog, "after");
    held.let_go(&catalog, 3);
    before.join().unwrap().unwrap();
    after.join().unwrap().unwrap();
    let error = failing.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(blob_count(&catalog), 2);
    assert!(!read(&catalog, |tx| tx.repository_exists(&name("half"))));
    let half_done = Shard::of(&digest("half-done"));
    let synced = syncs.lock().unwrap();
    assert!(synced.iter().flatten().all(|&shard| shard != half_done));
}

#[test]
fn a_failing_closure_alone_leaves_nothing() {
    everywhere(|catalog| {
        let result = catalog.write(|tx| -> Result<(), Error> {
            tx.insert_blob(&stored("half-done"))?;
            Err(Error::new(ErrorKind::Denied, "failing", "on purpose"))
        });
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Denied);
        assert_eq!(blob_count(catalog), 0);
    });
}

#[test]
fn a_panic_is_an_error_for_its_caller_alone() {
    let Watched { catalog, .. } = watched();
    let held = hold(&catalog);
    let before = insert(&catalog, "before");
    let panicking = {
        let catalog = Arc::clone(&catalog);
        std::thread::spawn(move || {
            catalog.write(|tx| -> Result<(), Error> {
                tx.insert_blob(&stored("half-done"))?;
                panic!("on purpose")
            })
        })
    };
    let after = insert(&catalog, "after");
    held.let_go(&catalog, 3);
    before.join().unwrap().unwrap();
    after.join().unwrap().unwrap();
    let error = panicking.join().unwrap().unwrap_err();
    assert!(
        error.to_string().contains("panicked: on purpose"),
        "{error}"
    );
    assert_eq!(blob_count(&catalog), 2);
}

#[test]
fn a_failed_sync_fails_everyone_in_the_batch_and_keeps_nothing() {
    let watched = watched();
    let catalog = &watched.catalog;
    write(catalog, |tx| tx.insert_blob(&stored("earlier")));
    watched.failing.store(true, Ordering::SeqCst);
    let held = hold(catalog);
    let handles = [insert(catalog, "a"), insert(catalog, "b")];
    let own_error = {
        let catalog = Arc::clone(catalog);
        std::thread::spawn(move || {
            catalog.write(|_| Err::<(), _>(Error::new(ErrorKind::Denied, "failing", "alone")))
        })
    };
    // The writer's own hold is in the batch as well.
    wait_for_queue(catalog, 3);
    held.go.send(()).unwrap();
    assert!(held.thread.join().unwrap().is_err());
    for handle in handles {
        let error = handle.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full);
        assert!(error.to_string().contains("syncing a shard"), "{error}");
    }
    let own_error = own_error.join().unwrap().unwrap_err();
    assert_eq!(own_error.kind(), ErrorKind::Denied, "its own error stands");
    assert_eq!(blob_count(catalog), 1);

    watched.failing.store(false, Ordering::SeqCst);
    write(catalog, |tx| tx.insert_blob(&stored("later")));
    assert_eq!(blob_count(catalog), 2);
}

#[test]
fn a_transaction_that_sqlite_gave_up_is_lost_for_everyone_who_was_in_it() {
    let Watched { catalog, syncs, .. } = watched();
    let held = hold(&catalog);
    let before = insert(&catalog, "before");
    // Only queued when the one before is, so that it runs after it.
    wait_for_queue(&catalog, 1);
    let unlucky = {
        let catalog = Arc::clone(&catalog);
        std::thread::spawn(move || {
            catalog.write(|tx| {
                // As SQLite does by itself on some full disks and I/O errors.
                tx.connection().execute_batch("ROLLBACK").unwrap();
                Ok::<(), Error>(())
            })
        })
    };
    wait_for_queue(&catalog, 2);
    held.go.send(()).unwrap();
    for lost in [held.thread, before, unlucky] {
        let error = lost.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("rolled back"), "{error}");
    }
    assert!(syncs.lock().unwrap().is_empty());
    write(&catalog, |tx| tx.insert_blob(&stored("later")));
    assert_eq!(blob_count(&catalog), 1);
}

#[test]
fn shards_are_synced_while_nobody_can_see_the_rows_yet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coracle.db");
    let seen = Arc::new(AtomicI64::new(-1));
    let (count, file) = (Arc::clone(&seen), path.clone());
    let sync = move |_: &[Shard]| {
        let other = rusqlite::Connection::open(&file).unwrap();
        let blobs: i64 = other
            .query_row("SELECT count(*) FROM blob", [], |row| row.get(0))
            .unwrap();
        count.store(blobs, Ordering::SeqCst);
        Ok(())
    };
    let catalog = Catalog::open(relaxed(Location::File(&path)), Box::new(sync)).unwrap();
    write(&catalog, |tx| tx.insert_blob(&stored("blob")));
    assert_eq!(seen.load(Ordering::SeqCst), 0);
    assert_eq!(blob_count(&catalog), 1);
}

#[test]
fn nothing_is_synced_when_no_blob_was_written() {
    let Watched { catalog, syncs, .. } = watched();
    push(&catalog, "app", &["m"]);
    write(&catalog, |_| Ok(()));
    assert!(syncs.lock().unwrap().is_empty());
}

#[test]
fn a_batch_has_a_bound() {
    let commits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&commits);
    let sync = move |_: &[Shard]| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    };
    let options = Options {
        batch_max: 2,
        ..Options::new(Location::Memory)
    };
    let catalog = Arc::new(Catalog::open(options, Box::new(sync)).unwrap());
    let held = hold(&catalog);
    let handles = ["a", "b", "c", "d", "e"].map(|blob| insert(&catalog, blob));
    held.let_go(&catalog, 5);
    for handle in handles {
        handle.join().unwrap().unwrap();
    }
    // The hold and one blob, then two, then two.
    assert_eq!(commits.load(Ordering::SeqCst), 3);
}

#[test]
fn closing_commits_what_waits_and_refuses_what_comes_later() {
    let Watched { catalog, .. } = watched();
    let held = hold(&catalog);
    let waiting = insert(&catalog, "waiting");
    wait_for_queue(&catalog, 1);
    let late = catalog.close(Duration::ZERO).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Closed);
    let refused = catalog.write(|tx| tx.insert_blob(&stored("late")));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
    held.go.send(()).unwrap();
    held.thread.join().unwrap().unwrap();
    waiting.join().unwrap().unwrap();
    catalog.close(Duration::from_secs(60)).unwrap();
    catalog.close(Duration::from_secs(60)).unwrap();
    let refused = catalog.read(|tx| tx.totals());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_failed_batch_makes_an_unclear_catalog_clear_by_a_commit_of_its_own() {
    let watched = watched();
    watched.catalog.set_unclear();
    watched.failing.store(true, Ordering::SeqCst);
    let failed = watched
        .catalog
        .write(|tx| tx.insert_blob(&stored("unclear")));
    assert!(failed.is_err());
    assert!(!watched.catalog.is_unclear());
    let rows = watched.catalog.read(|tx| tx.blobs(None, 10));
    assert!(rows.unwrap().is_empty(), "the failed write left nothing");
}
