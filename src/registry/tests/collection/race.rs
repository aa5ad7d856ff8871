//! Ten thousand rounds that try to make a push fail between what a client was told and its
//! manifest, while the collection runs all the time. Before each round the clock moves so far that
//! everything unused is due and no lease is left.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::oci::Algorithm;
use crate::registry::upload::Chunk;
use crate::store::blobs::UploadKey;

const ROUNDS: usize = 10_000;
const PUSHERS: usize = 2;

/// How often clients were told that something is there, and that it is not.
#[derive(Default)]
struct Told {
    there: AtomicUsize,
    missing: AtomicUsize,
}

struct Race {
    world: World,
    told: Told,
    turn: Barrier,
    over: AtomicBool,
    failed: AtomicBool,
}

impl Race {
    fn note(&self, there: bool) -> bool {
        let count = if there {
            &self.told.there
        } else {
            &self.told.missing
        };
        count.fetch_add(1, Ordering::Relaxed);
        there
    }

    /// Sends a blob in a session, in two requests.
    fn send(&self, at: &str, bytes: &[u8]) {
        let registry = &self.world.registry;
        let id = registry.start_upload(&name(at), Algorithm::Sha256);
        let key = UploadKey {
            repository: name(at),
            id: id.expect("a session"),
        };
        let finished =
            registry.finish_upload(&key, Chunk::default(), &mut &bytes[..], &digest(bytes));
        finished.expect("finished");
    }

    fn push(&self, at: &str, reference: &str, manifest: &[u8], round: usize) {
        if let Err(error) = self.world.put(at, reference, manifest) {
            panic!("round {round}: the push to {at} failed: {error}");
        }
    }

    /// Deletes a manifest, which another pusher may have done.
    fn delete(&self, at: &str, manifest: &[u8]) {
        let reference = Reference::Digest(digest(manifest));
        let deleted = self
            .world
            .registry
            .delete_manifest(&name(at), &reference, None);
        assert!(matches!(
            deleted,
            Ok(()) | Err(Error::ManifestUnknown { .. } | Error::NameUnknown { .. })
        ));
    }

    /// Looks for each blob, sends what is missing, and then the manifest.
    fn find_and_push(&self, at: &str, round: usize) {
        let blobs: [&[u8]; 3] = [b"config", b"one", b"two"];
        for bytes in blobs {
            let found = self.world.registry.blob_size(&name(at), &digest(bytes));
            if !self.note(found.is_ok()) {
                self.send(at, bytes);
            }
        }
        self.push(at, "v1", &image(&blobs, None), round);
        self.delete(at, &image(&blobs, None));
    }

    /// Mounts each blob from where others push and delete, and then the manifest.
    fn mount_and_push(&self, at: &str, from: &str, round: usize) {
        let blobs: [&[u8]; 2] = [b"config", b"one"];
        for bytes in blobs {
            let registry = &self.world.registry;
            let mounted = registry.mount(&name(at), &digest(bytes), &name(from));
            if !self.note(mounted.expect("an answer")) {
                self.send(at, bytes);
            }
        }
        self.push(at, "v2", &image(&blobs, None), round);
        self.delete(at, &image(&blobs, None));
    }

    /// Looks for an image by its digest, sends it when it is missing, and then the index above it.
    fn find_child_and_push(&self, at: &str, round: usize) {
        let child = image(&[b"child"], None);
        let reference = digest(&child).to_string();
        let parsed: Reference = reference.parse().expect("a reference");
        let facts = self.world.registry.manifest_facts(&name(at), &parsed);
        if !self.note(facts.is_ok()) {
            self.send(at, b"child");
            self.push(at, &reference, &child, round);
        }
        let multi = index(&[&child]);
        self.push(at, "multi", &multi, round);
        self.delete(at, &multi);
    }

    /// One looks an image up by its tag while the other deletes the tag; what was found can be put
    /// under an index.
    fn find_by_tag(&self, number: usize, round: usize) {
        let (at, child) = ("tagged", image(&[b"tagged"], None));
        let reference = Reference::Tag(tag("v1"));
        if number == 0 {
            let found = self.world.registry.manifest(&name(at), &reference);
            if self.note(found.is_ok()) {
                let multi = index(&[&child]);
                self.push(at, "multi", &multi, round);
                self.delete(at, &multi);
            }
        } else {
            // It may have been deleted before.
            let _ = self
                .world
                .registry
                .delete_manifest(&name(at), &reference, None);
        }
    }

    /// What the next look by tag finds.
    fn tag_again(&self, number: usize, round: usize) {
        let (at, child) = ("tagged", image(&[b"tagged"], None));
        if number == 0 {
            self.send(at, b"tagged");
            self.push(at, "v1", &child, round);
        }
    }

    fn pusher(&self, number: usize) {
        let own = ["p0", "p1"][number];
        let other = ["p1", "p0"][number];
        for round in 0..ROUNDS {
            if self.turn.wait().is_leader() {
                self.world.clock.advance(2 * GRACE + Duration::from_secs(1));
            }
            self.turn.wait();
            // The collection is at another place each time.
            for _ in 0..(round * 7919 + number * 104_729) % 8191 {
                std::hint::spin_loop();
            }
            // Whoever fails must not leave the other waiting.
            let outcome = catch_unwind(AssertUnwindSafe(|| match round % 5 {
                0 => self.find_and_push(own, round),
                1 => self.mount_and_push(own, other, round),
                2 => self.find_child_and_push("shared", round),
                3 => self.tag_again(number, round),
                _ => self.find_by_tag(number, round),
            }));
            self.failed.fetch_or(outcome.is_err(), Ordering::SeqCst);
            self.turn.wait();
            if self.failed.load(Ordering::SeqCst) {
                return;
            }
        }
    }
}

#[test]
fn no_push_fails_because_of_what_is_collected_meanwhile() {
    let race = Race {
        world: World::with(Options {
            undo_window: Duration::ZERO,
            start_wait: Duration::ZERO,
            ..Options::default()
        }),
        told: Told::default(),
        turn: Barrier::new(PUSHERS),
        over: AtomicBool::new(false),
        failed: AtomicBool::new(false),
    };
    let untagged = GcOptions {
        delete_untagged: true,
        ..DUE
    };
    let collected = thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let mut collected = 0;
            while !race.over.load(Ordering::Relaxed) {
                let report = race.world.collect(untagged);
                collected += report.links + report.untagged;
            }
            collected
        });
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|number| {
                let race = &race;
                scope.spawn(move || race.pusher(number))
            })
            .collect();
        for pusher in pushers {
            pusher.join().expect("it catches its own failure");
        }
        race.over.store(true, Ordering::Relaxed);
        collector.join().expect("the collection goes on")
    });
    assert!(!race.failed.into_inner(), "a push failed");
    let (there, missing) = (race.told.there.into_inner(), race.told.missing.into_inner());
    // It was a race: both happened often.
    assert!(
        there > 1000 && missing > 1000 && collected > 1000,
        "{there} {missing} {collected}"
    );
    race.world.expect_sound();
    race.world.clock.advance(2 * GRACE + Duration::from_secs(1));
    race.world.collect(untagged);
    assert_eq!(race.world.files(), 0);
}
