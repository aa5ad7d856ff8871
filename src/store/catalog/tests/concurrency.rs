//! Readers beside the writer, in memory and in a file; and what may not be nested.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Eight readers watch while one writer moves a tag and counts in step: every snapshot must agree
/// with itself, no read may fail.
fn readers_see_whole_commits(catalog: &Catalog) {
    const WRITES: usize = 60;
    push(catalog, "app", &["m0"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let (totals, tags, latest) = read(catalog, |tx| {
                        let totals = tx.totals()?;
                        let tags = tx.tags(&name("app"), None, 10_000)?;
                        let latest = tx.manifest_by_tag(&name("app"), &tag("latest"))?;
                        Ok((totals, tags, latest))
                    });
                    assert_eq!(totals.tags, tags.len() as u64);
                    let newest = totals.manifests - 1;
                    if let Some(latest) = latest {
                        assert_eq!(&*latest.bytes, format!("m{newest}").as_bytes());
                    }
                }
            });
        }
        for n in 1..=WRITES {
            write(catalog, move |tx| {
                let manifest = sample(&format!("m{n}"));
                manifest.put(tx, &name("app"))?;
                tx.set_tag(
                    &name("app"),
                    &tag(&manifest.content),
                    &manifest.digest(),
                    None,
                )?;
                tx.set_tag(&name("app"), &tag("latest"), &manifest.digest(), None)
            });
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(read(catalog, |tx| tx.totals()).manifests, WRITES as u64 + 1);
}

#[test]
fn readers_see_whole_commits_everywhere() {
    everywhere(readers_see_whole_commits);
}

#[test]
fn a_read_keeps_its_snapshot_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = in_file(&folder.path().join("coracle.db"));
    push(&catalog, "app", &["m"]);
    read(&catalog, |tx| {
        assert_eq!(tx.totals()?.manifests, 1);
        std::thread::scope(|scope| {
            scope.spawn(|| push(&catalog, "app", &["n"]));
        });
        assert_eq!(tx.totals()?.manifests, 1, "the same view to its end");
        Ok(())
    });
    assert_eq!(read(&catalog, |tx| tx.totals()).manifests, 2);
}

#[test]
fn a_read_may_lie_inside_a_read_while_a_writer_waits() {
    everywhere(|catalog| {
        push(catalog, "app", &["m"]);
        std::thread::scope(|scope| {
            let (queued, wait) = crossbeam_channel::bounded(1);
            read(catalog, |outer| {
                scope.spawn(move || {
                    queued.send(()).unwrap();
                    push(catalog, "app", &["n"]);
                });
                wait.recv().unwrap();
                for _ in 0..100 {
                    let inner = read(catalog, |inner| inner.totals());
                    assert!(inner.manifests >= outer.totals()?.manifests);
                }
                Ok(())
            });
        });
        assert_eq!(read(catalog, |tx| tx.totals()).manifests, 2);
    });
}

#[test]
fn what_would_wait_for_itself_is_refused() {
    everywhere(|catalog| {
        let refused = read(catalog, |_| Ok(catalog.write(|_| Ok::<(), Error>(()))));
        assert!(refused.unwrap_err().to_string().contains("inside a read"));
        // The thread is not marked for ever.
        push(catalog, "app", &["m"]);
    });
    let catalog = Arc::new(in_memory());
    let inner = Arc::clone(&catalog);
    let refused = write(&catalog, move |_| {
        let read = inner.read(|tx| tx.totals());
        let write = inner.write(|_| Ok::<(), Error>(()));
        Ok((
            read.unwrap_err().to_string(),
            write.unwrap_err().to_string(),
        ))
    });
    assert!(refused.0.contains("a read inside a write"), "{}", refused.0);
    assert!(
        refused.1.contains("a write inside a write"),
        "{}",
        refused.1
    );
}

#[test]
fn a_panic_in_a_read_harms_nobody() {
    everywhere(|catalog| {
        push(catalog, "app", &["m"]);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            read(catalog, |tx| -> Result<(), Error> {
                tx.totals()?;
                panic!("on purpose")
            });
        }));
        assert!(panicked.is_err());
        push(catalog, "app", &["n"]);
        assert_eq!(read(catalog, |tx| tx.totals()).manifests, 2);
    });
}

#[test]
fn idle_connections_are_kept_up_to_a_bound_and_closed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = in_file(&folder.path().join("coracle.db"));
    let all_in = std::sync::Barrier::new(100);
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                read(&catalog, |tx| {
                    all_in.wait();
                    tx.totals()
                })
            });
        }
    });
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    assert_eq!(catalog.readers.idle_count(), (2 * cores).min(100));
    catalog.close(Duration::from_secs(60)).unwrap();
    assert_eq!(catalog.readers.idle_count(), 0);
}

#[test]
fn two_catalogs_in_memory_are_strangers() {
    let (one, two) = (in_memory(), in_memory());
    push(&one, "app", &["m"]);
    assert_eq!(read(&two, |tx| tx.totals()), Totals::default());
    read(&one, |outer| {
        let inner = read(&two, |tx| tx.totals());
        assert_eq!((outer.totals()?.manifests, inner.manifests), (1, 0));
        Ok(())
    });
}
