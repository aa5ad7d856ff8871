//! What goes and what stays.

use super::*;
use crate::oci::Algorithm;
use crate::registry::upload::Chunk;
use crate::store::blobs::UploadKey;
use crate::store::catalog::Removal;

/// What a client does with a blob, and how that is called.
type Way = (&'static str, fn(&World, &Digest));

#[test]
fn a_blob_that_nothing_refers_to_goes_after_the_grace() {
    let world = World::new();
    let blob = world.push_blob("a", b"one");
    for part in [0, 1799, 1800] {
        world.clock.advance(Duration::from_secs(part));
        let report = world.collect(DUE);
        assert_eq!((report.blobs, report.links), (0, 0));
        let waiting = report.waiting.expect("counted");
        assert_eq!((waiting.grace.count, waiting.grace.bytes), (1, 3));
        assert!(waiting.grace.until.is_some());
    }
    assert!(world.has_blob("a", &blob));
    // A lease ends within two graces.
    world.clock.advance(GRACE + Duration::from_secs(1));
    let report = world.collect(DUE);
    assert_eq!((report.blobs, report.links, report.bytes), (1, 1, 3));
    assert_eq!(report.waiting.expect("counted").grace.until, None);
    assert!(!world.has_blob("a", &blob));
    assert_eq!(world.files(), 0);
    assert_eq!(world.registry.totals().expect("totals").repositories, 0);
}

#[test]
fn what_a_client_found_sent_or_mounted_is_kept_for_the_grace() {
    let world = World::new();
    let ways: [Way; 3] = [
        ("found", |world, own| {
            world.registry.blob_size(&name("a"), own).expect("there");
        }),
        ("sent", |world, _| {
            world.push_blob("a", b"one");
        }),
        ("mounted", |world, own| {
            let mounted = world.registry.mount(&name("b"), own, &name("a"));
            assert!(mounted.expect("an answer"));
        }),
    ];
    for (way, touch) in ways {
        let blob = world.push_blob("a", b"one");
        world.clock.advance(2 * GRACE);
        touch(&world, &blob);
        world
            .clock
            .advance(GRACE.saturating_sub(Duration::from_secs(1)));
        world.collect(DUE);
        assert!(world.has_blob("a", &blob), "{way}");
        // What it was found for comes in time.
        let at = if way == "mounted" { "b" } else { "a" };
        let manifest = world.put(at, "v1", &image(&[b"one"], None)).expect(way);
        world.delete(at, &manifest.to_string());
        world.clock.advance(2 * GRACE);
        world.collect(NOW);
        assert_eq!(world.files(), 0, "{way}");
    }
}

#[test]
fn a_pull_of_a_blob_keeps_nothing() {
    let world = World::new();
    let blob = world.push_blob("a", b"one");
    world.clock.advance(2 * GRACE);
    assert!(world.has_blob("a", &blob));
    assert_eq!(world.collect(DUE).blobs, 1);
}

#[test]
fn what_was_removed_stays_for_its_window_and_what_it_shares_for_ever() {
    let world = World::new();
    let kept = world.push_image("a", Some("v1"), &[b"config", b"shared"]);
    let gone = world.push_image("a", Some("v2"), &[b"other", b"shared"]);
    world.delete("a", &gone.to_string());
    world.clock.advance(2 * GRACE);
    let report = world.collect(DUE);
    // The repository lets go of what it does not use; its past has it.
    assert_eq!((report.links, report.blobs, report.manifests), (1, 0, 0));
    let undo = report.waiting.expect("counted").undo;
    assert_eq!((undo.count, undo.bytes), (1, 5));
    assert!(undo.until.is_some());
    world
        .clock
        .advance(WINDOW.saturating_sub(2 * GRACE + Duration::from_secs(1)));
    assert!(!world.collect(DUE).did_something());
    assert_eq!(world.files(), 3);
    world.clock.advance(Duration::from_secs(1));
    let report = world.collect(DUE);
    assert_eq!((report.blobs, report.bytes, report.manifests), (1, 5, 1));
    assert_eq!(report.histories, 1, "that of v2");
    assert_eq!(world.files(), 2);
    assert!(world.has_manifest("a", &kept));
    world.expect_sound();
}

#[test]
fn now_waits_for_nothing_but_an_upload_in_progress() {
    let world = World::new();
    let gone = world.push_image("a", Some("v1"), &[b"config", b"layer"]);
    world.delete("a", &gone.to_string());
    let open = name("b");
    let id = world
        .registry
        .start_upload(&open, Algorithm::Sha256)
        .expect("a session");
    let (one, two) = (world.push_blob("b", b"one"), world.push_blob("c", b"two"));
    let report = world.collect(NOW);
    assert_eq!(
        (report.blobs, report.manifests, report.histories),
        (3, 1, 1)
    );
    assert!(world.has_blob("b", &one) && !world.has_blob("c", &two));
    let waiting = report.waiting.expect("counted");
    assert_eq!((waiting.grace.count, waiting.undo.count), (1, 0));
    let key = UploadKey {
        repository: open,
        id,
    };
    let sent = world.registry.finish_upload(
        &key,
        Chunk::default(),
        &mut &b"three"[..],
        &digest(b"three"),
    );
    sent.expect("finished");
    assert_eq!(world.collect(NOW).blobs, 2);
    assert_eq!(world.files(), 0);
}

#[test]
fn an_upload_that_is_cancelled_or_left_keeps_nothing() {
    let world = World::new();
    let (a, b) = (name("a"), name("b"));
    let id = world
        .registry
        .start_upload(&a, Algorithm::Sha256)
        .expect("a session");
    world
        .registry
        .start_upload(&b, Algorithm::Sha256)
        .expect("a session");
    world.push_blob("a", b"one");
    world.push_blob("b", b"two");
    let key = UploadKey { repository: a, id };
    world.registry.cancel_upload(&key).expect("cancelled");
    assert_eq!(world.collect(NOW).blobs, 1);
    world.clock.advance(GRACE + Duration::from_secs(1));
    assert_eq!(world.collect(NOW).blobs, 1);
}

#[test]
fn after_a_start_everything_waits_for_a_grace() {
    let world = World::with(Options::default());
    let gone = world.push_image("a", Some("v1"), &[b"config"]);
    world.delete("a", &gone.to_string());
    world
        .registry
        .catalog()
        .write(|tx| tx.forget_removed(tx.now(), 10))
        .expect("forgotten");
    world
        .clock
        .advance(GRACE.saturating_sub(Duration::from_secs(1)));
    assert_eq!(
        world.collect(DUE).links,
        1,
        "that of the past, which nobody was told of"
    );
    assert_eq!(world.files(), 1);
    let alone = GcOptions { alone: true, ..DUE };
    assert_eq!(world.collect(alone).blobs, 1, "nobody was told of anything");
    world.clock.advance(2 * GRACE);
    assert!(!world.collect(DUE).did_something());
}

#[test]
fn untagged_manifests_go_when_asked_for_and_what_is_held_stays() {
    let world = World::new();
    let (one, two) = (
        image(&[b"config", b"one"], None),
        image(&[b"config", b"two"], None),
    );
    for bytes in [&b"config"[..], b"one", b"two", b"sig"] {
        world.push_blob("a", bytes);
    }
    for manifest in [&one, &two] {
        world
            .put("a", &digest(manifest).to_string(), manifest)
            .expect("a child");
    }
    let multi = index(&[&one, &two]);
    world.put("a", "multi", &multi).expect("an index");
    let signature = image(&[b"sig"], Some(&digest(&multi)));
    world
        .put("a", &digest(&signature).to_string(), &signature)
        .expect("a referrer");
    let loose = world.push_image("a", None, &[b"loose"]);
    world.clock.advance(2 * GRACE);
    let untagged = GcOptions {
        delete_untagged: true,
        ..DUE
    };
    assert!(!world.collect(DUE).did_something());
    // Undone within its window, like any removal.
    let report = world.collect(untagged);
    assert_eq!((report.untagged, report.manifests, report.blobs), (1, 0, 0));
    let restored = world
        .registry
        .catalog()
        .write(move |tx| tx.restore_manifest(&name("a"), &loose));
    assert!(restored.expect("an answer"));
    let report = world.collect(GcOptions {
        now: true,
        ..untagged
    });
    assert_eq!((report.untagged, report.manifests, report.blobs), (1, 1, 1));
    for manifest in [&one, &two, &multi, &signature] {
        assert!(world.has_manifest("a", &digest(manifest)));
    }
    // Without its tag the index goes, and only then what it held.
    world.delete("a", "multi");
    let report = world.collect(GcOptions {
        now: true,
        ..untagged
    });
    assert_eq!((report.untagged, report.manifests, report.blobs), (4, 4, 4));
    assert_eq!(world.files(), 0);
    assert_eq!(world.registry.totals().expect("totals").manifests, 0);
    world.expect_sound();
}

#[test]
fn an_untagged_manifest_that_a_client_found_is_kept() {
    let world = World::new();
    let ways: [Way; 4] = [
        ("by digest", |world, own| {
            let found = world
                .registry
                .manifest(&name("a"), &Reference::Digest(*own));
            found.expect("there");
        }),
        ("its facts", |world, own| {
            let facts = world
                .registry
                .manifest_facts(&name("a"), &Reference::Digest(*own));
            facts.expect("there");
        }),
        ("by tag", |world, own| {
            let reference = Reference::Tag(tag("v1"));
            let found = world.registry.manifest(&name("a"), &reference);
            assert_eq!(found.expect("there").digest, *own);
        }),
        ("sent", |world, _| {
            let manifest = image(&[b"config"], None);
            world
                .put("a", &digest(&manifest).to_string(), &manifest)
                .expect("taken");
        }),
    ];
    let untagged = GcOptions {
        delete_untagged: true,
        ..DUE
    };
    for (way, find) in ways {
        let own = world.push_image("a", Some("v1"), &[b"config"]);
        world.clock.advance(2 * GRACE);
        find(&world, &own);
        world.delete("a", "v1");
        world
            .clock
            .advance(GRACE.saturating_sub(Duration::from_secs(1)));
        assert_eq!(world.collect(untagged).untagged, 0, "{way}");
        world
            .put("a", "multi", &index(&[&image(&[b"config"], None)]))
            .expect(way);
        world.delete("a", "multi");
        world.clock.advance(2 * GRACE);
        assert_eq!(world.collect(untagged).untagged, 2, "{way}");
    }
}

#[test]
fn a_blob_stays_for_each_repository_that_uses_it() {
    let world = World::new();
    let blob = world.push_blob("a", b"layer");
    world.push_image("b", Some("v1"), &[b"layer"]);
    world.clock.advance(2 * GRACE);
    let report = world.collect(DUE);
    assert_eq!((report.links, report.blobs), (1, 0));
    assert!(!world.has_blob("a", &blob) && world.has_blob("b", &blob));
    world.expect_sound();
}

#[test]
fn no_file_goes_while_the_catalog_is_unclear() {
    let world = World::new();
    world.push_blob("a", b"one");
    world.clock.advance(2 * GRACE);
    world.registry.catalog().set_unclear();
    let digest = digest(b"one");
    assert!(!world.registry.remove_file(&digest).expect("no failure"));
    assert_eq!(world.files(), 1);
}

#[test]
fn the_background_takes_what_is_due_and_stops_when_told() {
    let world = World::new();
    for number in 0..1000u32 {
        world.push_blob("a", &number.to_be_bytes());
    }
    assert!(
        !world
            .registry
            .collect_due(&|| false)
            .expect("a report")
            .did_something()
    );
    world.clock.advance(2 * GRACE);
    assert_eq!(
        world
            .registry
            .collect_due(&|| true)
            .expect("a report")
            .blobs,
        0
    );
    let asked = std::cell::Cell::new(0);
    let soon = || {
        asked.set(asked.get() + 1);
        asked.get() > 5
    };
    let some = world.registry.collect_due(&soon).expect("a report").blobs;
    assert!((1..1000).contains(&some), "{some}");
    let rest = world
        .registry
        .collect_due(&|| false)
        .expect("a report")
        .blobs;
    assert_eq!(some + rest, 1000);
    assert_eq!(world.files(), 0);
}

#[test]
fn without_a_window_what_is_removed_goes_at_once() {
    let world = World::with(Options {
        undo_window: Duration::ZERO,
        start_wait: Duration::ZERO,
        ..Options::default()
    });
    let gone = world.push_image("a", Some("v1"), &[b"config", b"layer"]);
    world.clock.advance(2 * GRACE);
    world.delete("a", &gone.to_string());
    assert_eq!(world.collect(DUE).blobs, 2);
    let removed = world
        .registry
        .catalog()
        .write(move |tx| tx.remove_manifest(&name("a"), &gone, Removal::Final));
    assert_eq!(removed.expect("an answer"), None);
}
