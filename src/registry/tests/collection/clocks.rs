//! Clocks that jump, in both directions.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// A store with a removed manifest, and a blob that nothing refers to.
fn world() -> World {
    let world = World::new();
    let gone = world.push_image("a", Some("v1"), &[b"config"]);
    world.delete("a", &gone.to_string());
    world.push_blob("a", b"one");
    world.push_image("kept", Some("v1"), &[b"kept"]);
    // Somebody looks at the clock while it is right.
    world.collect(DUE);
    world
}

#[test]
fn a_jump_forward_removes_nothing_before_its_time() {
    let world = world();
    world.clock.set(world.clock.now() + 400 * DAY);
    let report = world.collect(DUE);
    assert!(report.clock.is_some() && !report.did_something());
    let past = |seconds| {
        world.clock.advance(Duration::from_secs(seconds));
        world.collect(DUE)
    };
    assert!(!past(3599).did_something());
    // The grace was seen to pass, but not the window; a lease lasts for up to two.
    past(3601);
    assert_eq!(
        world.files(),
        2,
        "what can be brought back, and what is in use"
    );
    let report = past(86_400 - 7200 - 1);
    assert!(!report.did_something() && report.clock.is_some());
    let report = past(1);
    assert_eq!((report.blobs, report.manifests, report.clock), (1, 1, None));
    world.expect_sound();
}

#[test]
fn a_jump_back_keeps_everything_until_the_clock_is_believed() {
    let world = world();
    world.clock.set(world.clock.now() - DAY / 2);
    for _ in 0..11 {
        world.clock.advance(GRACE);
        let report = world.collect(DUE);
        assert!(report.clock.is_some() && !report.did_something());
    }
    // It stands after the newest time again. The window has passed by no clock.
    world.clock.advance(2 * GRACE);
    let report = world.collect(DUE);
    assert_eq!((report.blobs, report.manifests), (1, 0));
    world.clock.advance(DAY);
    assert_eq!(world.collect(DUE).manifests, 1);
}

#[test]
fn a_clock_from_before_this_version_keeps_everything() {
    let world = world();
    world.clock.set(std::time::SystemTime::UNIX_EPOCH + DAY);
    for _ in 0..5 {
        world.clock.advance(DAY);
        assert!(!world.collect(DUE).did_something());
    }
}

#[test]
fn a_person_who_says_now_does_not_wait_for_the_clock() {
    let world = world();
    world.clock.set(world.clock.now() - DAY / 2);
    let report = world.collect(NOW);
    assert_eq!((report.blobs, report.manifests), (2, 1));
    assert_eq!(world.files(), 1);
}

#[test]
fn the_time_is_noted_once_an_hour() {
    let world = world();
    let newest = || world.registry.totals().expect("totals").newest_at;
    let before = newest();
    world.clock.advance(Duration::from_secs(3599));
    world.registry.note_time().expect("noted");
    assert_eq!(newest(), before);
    world.clock.advance(Duration::from_secs(1));
    world.registry.note_time().expect("noted");
    assert_eq!(newest(), before + 3_600_000);
}

/// A clock that goes on by a millisecond whenever somebody looks.
struct Ticking(ManualClock);

impl Clock for Ticking {
    fn now(&self) -> std::time::SystemTime {
        self.0.advance(Duration::from_millis(1));
        self.0.now()
    }

    fn steady(&self) -> Duration {
        self.0.advance(Duration::from_millis(1));
        self.0.steady()
    }
}

/// What a run sets free is due only after the run began.
#[test]
fn what_a_run_sets_free_it_takes_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = blobs_on(&CrashDisk::new(Path::new(ROOT)), 0).expect("a fresh store");
    let start = std::time::SystemTime::UNIX_EPOCH + MADE_AFTER + WINDOW;
    let clock: Arc<dyn Clock> = Arc::new(Ticking(ManualClock::new(start)));
    let options = Options {
        undo_window: Duration::from_millis(1),
        grace: Duration::from_millis(1),
        start_wait: Duration::ZERO,
        ..Options::default()
    };
    let database = folder.path().join("coracle.db");
    let location = Location::File(&database);
    let catalog = catalog_with(location, &blobs, clock, options.grace);
    let registry = Registry::new(catalog, blobs, options);
    let own = digest(b"config");
    let pushed = registry.push_blob(&name("a"), None, &mut &b"config"[..], &own);
    pushed.expect("a blob is taken");
    let (manifest, reference) = (image(&[b"config"], None), Reference::Tag(tag("v1")));
    let pushed = registry.push_manifest(
        &name("a"),
        &reference,
        Vec::new(),
        None,
        manifest.clone(),
        None,
    );
    pushed.expect("taken");
    let reference = Reference::Digest(digest(&manifest));
    let deleted = registry.delete_manifest(&name("a"), &reference, None);
    deleted.expect("deleted");
    let report = registry.collect(DUE, &mut |_| ()).expect("a report");
    assert_eq!((report.manifests, report.links, report.blobs), (1, 2, 1));
}
