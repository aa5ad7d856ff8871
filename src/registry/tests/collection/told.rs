//! What a client is told while the collection takes that very thing: each moment by itself, which
//! the race only meets by chance.

use std::cell::Cell;
use std::thread;

use super::*;

/// A blob that is condemned, and not yet gone, is not told of: who asks waits.
#[test]
fn who_asks_for_what_is_being_taken_waits_for_the_end() {
    let world = World::new();
    let blob = world.push_blob("a", b"one");
    world.clock.advance(2 * GRACE);
    let registry = &world.registry;
    let lock = registry.locks.try_lock(&blob).expect("nobody has it");
    let condemned = registry.leases.condemned(vec![blob]);
    assert!(registry.leases.condemn(&blob, world.clock.steady(), false));
    thread::scope(|scope| {
        let asks: [fn(&Registry, &Digest) -> bool; 2] = [
            |registry, own| registry.blob_size(&name("a"), own).is_ok(),
            |registry, own| {
                registry
                    .mount(&name("b"), own, &name("a"))
                    .expect("an answer")
            },
        ];
        let asked: Vec<_> = asks
            .map(|ask| scope.spawn(move || ask(registry, &blob)))
            .into();
        while !registry.leases.is_touched(&blob, world.clock.steady()) {
            thread::yield_now();
        }
        // One that did not wait would have its answer by now, or soon.
        for _ in 0..1000 {
            thread::yield_now();
        }
        let taken = registry.catalog().write(move |tx| {
            tx.unlink_blob(&name("a"), &blob)?;
            tx.delete_blob_if_unused(&blob)
        });
        assert!(taken.expect("written"));
        registry.remove_file(&blob).expect("removed");
        drop((condemned, lock));
        for told in asked {
            assert!(
                !told.join().expect("an answer"),
                "it was told of what is gone"
            );
        }
    });
}

/// What a tag points to has no lease before it was looked up, and may be gone by then.
#[test]
fn what_a_tag_pointed_to_is_not_told_of_when_it_was_taken_meanwhile() {
    let world = World::new();
    world.push_image("a", Some("v1"), &[b"config"]);
    world.clock.advance(2 * GRACE);
    let reference = Reference::Tag(tag("v1"));
    let looks = Cell::new(0);
    let look = || {
        looks.set(looks.get() + 1);
        let found = world
            .registry
            .catalog()
            .read(|tx| tx.manifest_facts_by_tag(&name("a"), &tag("v1")));
        if looks.get() == 1 {
            world.delete("a", "v1");
            let untagged = GcOptions {
                delete_untagged: true,
                ..DUE
            };
            assert_eq!(world.collect(untagged).untagged, 1);
        }
        found
    };
    let told = world
        .registry
        .leased(&reference, look, |facts| facts.digest);
    assert_eq!(told.expect("an answer"), None);
    assert_eq!(looks.get(), 2);
}

/// With nothing taken, a tag is looked up once.
#[test]
fn a_tag_is_looked_up_once() {
    let world = World::new();
    let image = world.push_image("a", Some("v1"), &[b"config"]);
    let looks = Cell::new(0);
    let look = || {
        looks.set(looks.get() + 1);
        let catalog = world.registry.catalog();
        catalog.read(|tx| tx.manifest_facts_by_tag(&name("a"), &tag("v1")))
    };
    let told = world
        .registry
        .leased(&Reference::Tag(tag("v1")), look, |facts| facts.digest);
    assert_eq!(
        told.expect("an answer").map(|facts| facts.digest),
        Some(image)
    );
    assert_eq!(looks.get(), 1);
}
