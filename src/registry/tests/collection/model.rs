//! Several threads push, mount, tag, delete and bring back, each in a repository of its own and
//! beside a plain model of it, while the collection runs. Time passes only between two phases, so
//! that each model knows what must be there: what is tagged, what that holds, and what was sent or
//! found in this phase.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

const WORKERS: usize = 3;
const NAMES: [&str; WORKERS] = ["w0", "w1", "w2"];
const PHASES: usize = 6;
const STEPS: usize = 40;
const SEEDS: u64 = 6;
const TAGS: [&str; 3] = ["v1", "v2", "latest"];
const BLOBS: usize = 6;
/// Images and, behind them, indexes of two images each.
const IMAGES: usize = 5;
const MANIFESTS: usize = IMAGES + 3;

fn blob(number: usize) -> Vec<u8> {
    vec![u8::try_from(number).expect("small"); 100 + number]
}

fn blobs_of(number: usize) -> [usize; 3] {
    [
        number % BLOBS,
        (number + 1) % BLOBS,
        (number * 2 + 3) % BLOBS,
    ]
}

fn children_of(number: usize) -> Vec<usize> {
    match number.checked_sub(IMAGES) {
        Some(index) => vec![index, index + 2],
        None => Vec::new(),
    }
}

fn manifest(number: usize) -> Vec<u8> {
    let children: Vec<Vec<u8>> = children_of(number).into_iter().map(manifest).collect();
    if children.is_empty() {
        let blobs = blobs_of(number).map(blob);
        let blobs: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
        image(&blobs, None)
    } else {
        index(&children.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

/// A small generator of numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below the bound")
    }
}

/// What one repository must hold.
#[derive(Default)]
struct Model {
    tags: BTreeMap<&'static str, usize>,
    /// Sent or found in this phase, and not deleted since.
    fresh: BTreeSet<usize>,
    /// Deleted in this phase.
    removed: BTreeSet<usize>,
    /// Deleted at any time and not sent again, so that an index above it does not make it be there.
    deleted: BTreeSet<usize>,
}

impl Model {
    /// What is tagged or fresh, with what that holds.
    fn must_be_there(&self) -> BTreeSet<usize> {
        let mut all: BTreeSet<usize> = self.tags.values().copied().collect();
        all.extend(&self.fresh);
        let children: Vec<usize> = all.iter().flat_map(|own| children_of(*own)).collect();
        all.extend(
            children
                .into_iter()
                .filter(|own| !self.deleted.contains(own)),
        );
        all
    }
}

struct Worker<'w> {
    world: &'w World,
    at: &'static str,
    others: [&'static str; 2],
    random: Random,
    model: Model,
}

impl Worker<'_> {
    fn step(&mut self) {
        let (number, word) = (
            self.random.below(MANIFESTS),
            TAGS[self.random.below(TAGS.len())],
        );
        match self.random.below(8) {
            0..=2 => self.push(number, Some(word)),
            3 => self.push(number, None),
            4 => self.untag(word),
            5 => self.remove(number),
            6 => self.bring_back(),
            _ => {
                self.find(number);
            }
        }
    }

    fn push(&mut self, number: usize, word: Option<&'static str>) {
        for child in children_of(number) {
            if !self.find(child) {
                self.push(child, None);
            }
        }
        if children_of(number).is_empty() {
            for own in blobs_of(number) {
                self.bring(&blob(own));
            }
        }
        let bytes = manifest(number);
        let reference = word.map_or_else(|| digest(&bytes).to_string(), ToOwned::to_owned);
        let pushed = self.world.put(self.at, &reference, &bytes);
        pushed.unwrap_or_else(|error| panic!("{} {number}: {error}", self.at));
        if let Some(word) = word {
            self.model.tags.insert(word, number);
        }
        self.model.fresh.insert(number);
        self.model.removed.remove(&number);
        self.model.deleted.remove(&number);
    }

    /// Has a blob in the repository in one of the ways in which a client does.
    fn bring(&mut self, bytes: &[u8]) {
        let (registry, own) = (&self.world.registry, digest(bytes));
        let found = match self.random.below(3) {
            0 => false,
            1 => registry.blob_size(&name(self.at), &own).is_ok(),
            _ => {
                let from = name(self.others[self.random.below(2)]);
                let mounted = registry.mount(&name(self.at), &own, &from);
                mounted.expect("an answer")
            }
        };
        if !found {
            self.world.push_blob(self.at, bytes);
        }
    }

    fn find(&mut self, number: usize) -> bool {
        let reference = Reference::Digest(digest(&manifest(number)));
        let facts = self
            .world
            .registry
            .manifest_facts(&name(self.at), &reference);
        let must = self.model.must_be_there().contains(&number);
        assert!(facts.is_ok() || !must, "{} {number}", self.at);
        if facts.is_ok() {
            self.model.fresh.insert(number);
        }
        facts.is_ok()
    }

    fn untag(&mut self, word: &'static str) {
        let reference = Reference::Tag(tag(word));
        let deleted = self
            .world
            .registry
            .delete_manifest(&name(self.at), &reference, None);
        let was = self.model.tags.remove(word);
        assert_eq!(deleted.is_ok(), was.is_some(), "{} {word}", self.at);
    }

    fn remove(&mut self, number: usize) {
        let must = self.model.must_be_there().contains(&number);
        let reference = Reference::Digest(digest(&manifest(number)));
        let deleted = self
            .world
            .registry
            .delete_manifest(&name(self.at), &reference, None);
        assert!(deleted.is_ok() || !must, "{} {number}", self.at);
        self.model.tags.retain(|_, own| *own != number);
        self.model.fresh.remove(&number);
        if deleted.is_ok() {
            self.model.removed.insert(number);
            self.model.deleted.insert(number);
        }
    }

    fn bring_back(&mut self) {
        let Some(number) = self.model.removed.pop_first() else {
            return;
        };
        let (at, own) = (name(self.at), digest(&manifest(number)));
        // Who brings something back looks for it first, as any client does.
        let reference = Reference::Digest(own);
        let _ = self.world.registry.manifest_facts(&at, &reference);
        let back = self
            .world
            .registry
            .catalog()
            .write(move |tx| tx.restore_manifest(&at, &own));
        assert!(back.expect("an answer"), "{} {number}", self.at);
        self.model.fresh.insert(number);
        self.model.deleted.remove(&number);
    }

    /// What must be there is, byte for byte.
    fn compare(&self) {
        for number in self.model.must_be_there() {
            let what = || format!("{} {number}", self.at);
            assert!(
                self.world.has_manifest(self.at, &digest(&manifest(number))),
                "{}",
                what()
            );
            if children_of(number).is_empty() {
                for own in blobs_of(number) {
                    let found = self
                        .world
                        .registry
                        .open_blob(&name(self.at), &digest(&blob(own)));
                    let found = found.unwrap_or_else(|error| panic!("{}: {error}", what()));
                    let mut bytes = Vec::new();
                    let read = found.reader.into_read().read_to_end(&mut bytes);
                    read.expect("readable");
                    assert_eq!(bytes, blob(own), "{}", what());
                }
            }
        }
        for (word, number) in &self.model.tags {
            let reference = Reference::Tag(tag(word));
            let facts = self
                .world
                .registry
                .manifest_facts(&name(self.at), &reference);
            assert_eq!(facts.expect("tagged").digest, digest(&manifest(*number)));
        }
    }

    fn work(mut self, turn: &Barrier, failed: &AtomicBool) -> Model {
        for phase in 0..PHASES {
            if turn.wait().is_leader() {
                let long = 2 * GRACE + Duration::from_secs(1);
                let steps = [long, GRACE / 3, WINDOW, WINDOW / 2];
                self.world.clock.advance(steps[phase % steps.len()]);
            }
            turn.wait();
            // Whoever fails must not leave the others waiting.
            let outcome = catch_unwind(AssertUnwindSafe(|| self.phase()));
            failed.fetch_or(outcome.is_err(), Ordering::SeqCst);
            turn.wait();
            if failed.load(Ordering::SeqCst) {
                break;
            }
        }
        self.model
    }

    fn phase(&mut self) {
        self.model.fresh.clear();
        self.model.removed.clear();
        self.compare();
        for _ in 0..STEPS {
            self.step();
        }
        self.compare();
    }
}

/// The blobs that what is tagged needs.
fn needed(models: &[Model]) -> BTreeSet<usize> {
    let tagged = models.iter().flat_map(|model| model.tags.values());
    let images = tagged.flat_map(|own| match children_of(*own) {
        children if children.is_empty() => vec![*own],
        children => children,
    });
    images.flat_map(blobs_of).collect()
}

fn run(seed: u64) {
    let world = World::new();
    let untagged = GcOptions {
        delete_untagged: true,
        ..DUE
    };
    let (turn, over, failed) = (
        Barrier::new(WORKERS),
        AtomicBool::new(false),
        AtomicBool::new(false),
    );
    let models: Vec<Model> = thread::scope(|scope| {
        let collector = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                world.collect(untagged);
                thread::yield_now();
            }
        });
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                let worker = Worker {
                    world: &world,
                    at: NAMES[number],
                    others: [NAMES[(number + 1) % 3], NAMES[(number + 2) % 3]],
                    random: Random(seed * 1_000_003 + number as u64 + 1),
                    model: Model::default(),
                };
                let (turn, failed) = (&turn, &failed);
                scope.spawn(move || worker.work(turn, failed))
            })
            .collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Model>| {
            worker.join().expect("it catches its own failure")
        };
        let models = workers.into_iter().map(join).collect();
        over.store(true, Ordering::Relaxed);
        collector.join().expect("the collection goes on");
        models
    });
    assert!(!failed.into_inner(), "seed {seed}");
    world.expect_sound();
    // Nothing unreferenced stays. What was deleted may have taken children along.
    world.clock.advance(WINDOW + 2 * GRACE);
    world.collect(untagged);
    world.clock.advance(WINDOW + 2 * GRACE);
    world.collect(untagged);
    assert!(world.files() <= needed(&models).len(), "seed {seed}");
    world.expect_sound();
    for (at, model) in NAMES.iter().zip(&models) {
        for word in model.tags.keys() {
            world.delete(at, word);
        }
    }
    world.clock.advance(WINDOW + 2 * GRACE);
    world.collect(untagged);
    world.clock.advance(WINDOW + 2 * GRACE);
    world.collect(untagged);
    let totals = world.registry.totals().expect("totals");
    assert_eq!(
        (totals.repositories, totals.blobs, totals.manifests),
        (0, 0, 0)
    );
    assert_eq!((world.files(), totals.past_bytes), (0, 0));
}

#[test]
fn beside_the_collection_everything_is_as_plain_models_have_it() {
    for seed in 1..=SEEDS {
        run(seed);
    }
}
