//! Retention over a real catalog whose clock a test moves: the run does what the plan says, what
//! changes in between stays, and the bytes are those that come free.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::{digest, image, name, tag};
use crate::clock::{Clock, MADE_AFTER, ManualClock};
use crate::oci::{Digest, Glob, Reference, TagGlob};
use crate::registry::policy::{Immutable, Retention, Rules};
use crate::registry::retention::{ACTOR, Report};
use crate::registry::{Error, Options, Registry};
use crate::store::Error as StoreError;
use crate::store::blobs::{BlobStore, MemoryBlobStore};
use crate::store::catalog::{self, Catalog, Ended, Location};

const DAY: Duration = Duration::from_secs(86_400);

/// A registry in memory and its clock.
struct World {
    registry: Registry,
    clock: Arc<ManualClock>,
}

impl World {
    fn new(rules: Vec<Retention>) -> Self {
        let start = SystemTime::UNIX_EPOCH + MADE_AFTER + DAY;
        let clock = Arc::new(ManualClock::new(start));
        let own: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let options = catalog::Options {
            clock: own,
            ..catalog::Options::new(Location::Memory)
        };
        let catalog = Catalog::open(options, Box::new(|_| Ok(()))).unwrap();
        let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobStore::new(1 << 30, 1000));
        let registry = Registry::new(Arc::new(catalog), blobs, Options::default());
        let world = Self { registry, clock };
        world.set(Rules {
            retention: rules,
            ..Rules::default()
        });
        world
    }

    fn set(&self, rules: Rules) {
        self.registry.set_policy(rules).unwrap();
    }

    fn push_blob(&self, at: &str, content: &[u8]) {
        let length = Some(content.len() as u64);
        self.registry
            .push_blob(&name(at), length, &mut &content[..], &digest(content))
            .unwrap();
    }

    /// An image of these blobs, under a tag where one is given.
    fn push(&self, at: &str, text: Option<&str>, blobs: &[&[u8]]) -> Digest {
        for blob in blobs {
            self.push_blob(at, blob);
        }
        self.push_manifest(at, text, image(blobs, None))
    }

    fn push_manifest(&self, at: &str, text: Option<&str>, bytes: Vec<u8>) -> Digest {
        let content = digest(&bytes);
        let reference = text.map_or(Reference::Digest(content), |text| Reference::Tag(tag(text)));
        self.registry
            .push_manifest(&name(at), &reference, Vec::new(), None, bytes, None)
            .unwrap();
        content
    }

    fn delete(&self, at: &str, text: &str) {
        self.registry
            .delete_manifest(&name(at), &Reference::Tag(tag(text)), None)
            .unwrap();
    }

    fn tags(&self, at: &str) -> Vec<String> {
        match self.registry.tags(&name(at), None, 1000) {
            Ok(page) => page.items,
            Err(Error::NameUnknown { .. }) => Vec::new(),
            Err(other) => panic!("{other}"),
        }
    }

    fn has(&self, at: &str, content: Digest) -> bool {
        let reference = Reference::Digest(content);
        self.registry.manifest_facts(&name(at), &reference).is_ok()
    }

    fn plan(&self) -> Report {
        self.registry.retention_plan(None).unwrap()
    }

    fn run(&self) -> Report {
        self.registry
            .retention_run(None, &|| true, &mut |_| {})
            .unwrap()
    }

    /// Takes all that nothing uses, as the collection does.
    fn collect(&self) {
        let until = self.clock.now() + DAY * 400;
        self.registry
            .catalog()
            .write(move |tx| {
                while let Some(item) = tx.collectable(None, until, 1)?.first() {
                    tx.collect(item, until)?;
                    tx.remove_if_empty(std::slice::from_ref(item))?;
                    tx.delete_blob_if_unused(&item.digest)?;
                }
                Ok::<_, StoreError>(())
            })
            .unwrap();
    }

    fn bytes(&self) -> u64 {
        let totals = self.registry.totals().unwrap();
        totals.blob_bytes + totals.manifest_bytes
    }
}

fn rule(repositories: &str) -> Retention {
    Retention {
        repositories: vec![Glob::parse_plain(repositories).unwrap()],
        origin: format!("the rule for {repositories}"),
        ..Retention::default()
    }
}

/// An index of these manifests.
fn index(children: &[Digest]) -> Vec<u8> {
    let children: Vec<String> = children
        .iter()
        .map(|child| {
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{child}","size":1}}"#
            )
        })
        .collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
        children.join(",")
    )
    .into_bytes()
}

fn names(report: &Report) -> Vec<String> {
    let name = |item: &crate::registry::retention::Item| {
        let what = item.tag.as_ref().unwrap_or(&item.digest);
        format!("{}:{what}", item.repository)
    };
    report.items.iter().map(name).collect()
}

#[test]
fn the_run_removes_exactly_what_the_plan_says() {
    let world = World::new(vec![
        Retention {
            keep_last: Some(2),
            ..rule("ci/*")
        },
        Retention {
            expire: Some("10d".parse().unwrap()),
            ..rule("old")
        },
    ]);
    for text in ["1", "2", "3", "4"] {
        for at in ["ci/a", "old", "free"] {
            world.push(at, Some(text), &[text.as_bytes()]);
        }
        world.clock.advance(DAY * 4);
    }
    let plan = world.plan();
    assert_eq!(names(&plan), ["ci/a:1", "ci/a:2", "old:1", "old:2"]);
    assert_eq!((plan.tags, plan.manifests, plan.left), (4, 0, 0));
    assert_eq!(plan.items[0].rule, "the rule for ci/*");
    assert_eq!(world.run(), plan);
    assert_eq!(world.tags("ci/a"), ["3", "4"]);
    assert_eq!(world.tags("old"), ["3", "4"]);
    assert_eq!(world.tags("free").len(), 4);
    assert_eq!(world.plan(), Report::default());
    let history = world
        .registry
        .catalog()
        .read(|tx| tx.tag_history(&name("ci/a"), &tag("1"), None, 10))
        .unwrap();
    assert_eq!(history[0].ended, Ended::Removed);
    assert_eq!(history[0].ended_by.as_deref(), Some(ACTOR));
}

#[test]
fn one_repository_can_be_asked_about_alone() {
    let one = Retention {
        keep_last: Some(1),
        untagged: Some("1d".parse().unwrap()),
        ..rule("**")
    };
    let world = World::new(vec![one]);
    for at in ["a", "b"] {
        for text in [Some("1"), Some("2"), None] {
            world.push(at, text, &[text.unwrap_or("none").as_bytes()]);
            world.clock.advance(DAY);
        }
    }
    world.clock.advance(DAY);
    let only = name("b");
    let plan = world.registry.retention_plan(Some(&only)).unwrap();
    assert_eq!((plan.tags, plan.manifests), (1, 1));
    assert!(plan.items.iter().all(|item| item.repository == "b"));
    let run = world
        .registry
        .retention_run(Some(&only), &|| true, &mut |_| {})
        .unwrap();
    assert_eq!(run, plan);
    assert_eq!((world.tags("a").len(), world.tags("b").len()), (2, 1));
}

#[test]
fn what_changes_after_the_plan_stays() {
    let world = World::new(vec![Retention {
        keep_last: Some(1),
        ..rule("**")
    }]);
    for text in ["1", "2", "3", "4", "5"] {
        world.push("a", Some(text), &[text.as_bytes()]);
        world.clock.advance(DAY);
    }
    let plan = world.registry.plan_now(None).unwrap();
    // One is pushed again, one is pulled; and the one that was to stay is deleted, so that now
    // the first of these does.
    world.push("a", Some("1"), &[b"1"]);
    let pulled = Reference::Tag(tag("2"));
    world
        .registry
        .pulled(&name("a"), &pulled, &digest(&image(&[b"2"], None)));
    world.registry.flush_pulls().unwrap();
    world.delete("a", "5");
    let report = world
        .registry
        .carry_out(plan, &|| true, &mut |_| {})
        .unwrap();
    assert_eq!(names(&report), ["a:3", "a:4"]);
    assert_eq!(report.left, 2);
    assert_eq!(world.tags("a"), ["1", "2"]);
}

#[test]
fn a_tag_that_became_one_of_the_last_is_not_removed() {
    let world = World::new(vec![Retention {
        keep_last: Some(2),
        ..rule("**")
    }]);
    for text in ["1", "2", "3", "4"] {
        world.push("a", Some(text), &[text.as_bytes()]);
        world.clock.advance(DAY);
    }
    let plan = world.registry.plan_now(None).unwrap();
    world.delete("a", "4");
    let report = world
        .registry
        .carry_out(plan, &|| true, &mut |_| {})
        .unwrap();
    assert_eq!(names(&report), ["a:1"]);
    assert_eq!(world.tags("a"), ["2", "3"]);
}

#[test]
fn other_rules_end_a_run() {
    let world = World::new(vec![Retention {
        keep_last: Some(1),
        ..rule("**")
    }]);
    for text in ["1", "2"] {
        world.push("a", Some(text), &[text.as_bytes()]);
        world.clock.advance(DAY);
    }
    let plan = world.registry.plan_now(None).unwrap();
    world.set(Rules::default());
    let report = world
        .registry
        .carry_out(plan, &|| true, &mut |_| {})
        .unwrap();
    assert_eq!((report.items.len(), report.left), (0, 1));
    assert_eq!(world.tags("a"), ["1", "2"]);
}

#[test]
fn manifests_that_something_holds_stay_and_the_others_go_in_their_time() {
    let world = World::new(vec![Retention {
        untagged: Some("7d".parse().unwrap()),
        ..rule("a")
    }]);
    let child = world.push("a", None, &[b"child"]);
    let kept = world.push_manifest("a", Some("kept"), index(&[child]));
    let about = image(&[b"child", b"signature"], Some(&kept));
    world.push_blob("a", b"signature");
    let referrer = world.push_manifest("a", None, about);
    let loose = world.push("a", None, &[b"loose"]);
    world.push("other", None, &[b"loose"]);
    world.clock.advance(DAY * 6);
    world.clock.advance(Duration::from_millis(86_399_999));
    assert_eq!(world.plan(), Report::default());
    world.clock.advance(Duration::from_millis(1));
    let plan = world.plan();
    assert_eq!(names(&plan), [format!("a:{loose}")]);
    assert_eq!((plan.tags, plan.manifests), (0, 1));
    assert_eq!(world.run(), plan);
    assert!(world.has("a", child) && world.has("a", kept) && world.has("a", referrer));
    assert!(!world.has("a", loose) && world.has("other", loose));
    // One after the other, once the tag is gone.
    world.delete("a", "kept");
    world.clock.advance(DAY * 7);
    assert_eq!(world.run().manifests, 1);
    assert!(!world.has("a", kept) && world.has("a", child));
    world.clock.advance(DAY * 7);
    assert_eq!(world.run().manifests, 2);
    assert!(!world.has("a", child) && !world.has("a", referrer));
}

#[test]
fn a_manifest_that_is_held_again_after_the_plan_stays() {
    let world = World::new(vec![Retention {
        untagged: Some("1d".parse().unwrap()),
        ..rule("a")
    }]);
    let (held, pushed) = (
        world.push("a", None, &[b"held"]),
        world.push("a", None, &[b"pushed"]),
    );
    world.clock.advance(DAY);
    let plan = world.registry.plan_now(None).unwrap();
    world.push_manifest("a", None, index(&[held]));
    world.push("a", None, &[b"pushed"]);
    let report = world
        .registry
        .carry_out(plan, &|| true, &mut |_| {})
        .unwrap();
    assert_eq!((report.items.len(), report.left), (0, 2));
    assert!(world.has("a", held) && world.has("a", pushed));
}

fn with_life(life: &str) -> Vec<u8> {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{{"io.coracle.ttl":"{life}"}}}}"#
    )
    .into_bytes()
}

#[test]
fn a_time_to_live_ends_without_any_rule_but_not_for_immutable_tags() {
    let world = World::new(Vec::new());
    world.push_manifest("a", Some("short"), with_life("12h"));
    world.push_manifest("a", Some("long"), with_life("2d"));
    world.push_manifest("a", Some("fixed"), with_life("1h"));
    world.push_manifest("a", Some("plain"), index(&[]));
    world.set(Rules {
        immutable: vec![Immutable {
            repositories: vec![Glob::parse_plain("**").unwrap()],
            tags: vec![TagGlob::parse("fixed").unwrap()],
            origin: "there".to_owned(),
        }],
        ..Rules::default()
    });
    assert_eq!(world.plan(), Report::default());
    world.clock.advance(DAY);
    let plan = world.plan();
    assert_eq!(names(&plan), ["a:short"]);
    assert_eq!(plan.items[0].rule, "time to live");
    assert_eq!(world.run(), plan);
    // A push begins a new life.
    world.push_manifest("a", Some("long"), with_life("2d"));
    world.clock.advance(DAY);
    assert_eq!(world.plan(), Report::default());
    world.clock.advance(DAY);
    assert_eq!(names(&world.run()), ["a:long"]);
    assert_eq!(world.tags("a"), ["fixed", "plain"]);
}

#[test]
fn a_life_that_is_none_is_refused() {
    let world = World::new(Vec::new());
    for life in ["soon", "0d", "3651d", "1"] {
        let reference = Reference::Tag(tag("v1"));
        let outcome = world.registry.push_manifest(
            &name("a"),
            &reference,
            Vec::new(),
            None,
            with_life(life),
            None,
        );
        assert!(
            matches!(outcome, Err(Error::TimeToLiveInvalid { .. })),
            "{life}: {outcome:?}"
        );
    }
    assert_eq!(world.tags("a"), [""; 0]);
}

#[test]
fn nothing_goes_while_the_clock_is_wrong() {
    let world = World::new(vec![Retention {
        keep_last: Some(1),
        ..rule("**")
    }]);
    for text in ["1", "2"] {
        world.push("a", Some(text), &[text.as_bytes()]);
        world.clock.advance(DAY);
    }
    let right = world.clock.now();
    for wrong in [SystemTime::UNIX_EPOCH, right - DAY * 2] {
        world.clock.set(wrong);
        let outcome = world.registry.retention_run(None, &|| true, &mut |_| {});
        assert!(
            matches!(outcome, Err(Error::ClockWrong { .. })),
            "{outcome:?}"
        );
    }
    world.clock.set(right);
    assert_eq!(world.run().tags, 1);
}

/// What a random registry holds: images of some of five blobs, indexes of images, referrers.
#[derive(Clone, Debug)]
enum Thing {
    Image(usize, Vec<usize>, Option<usize>),
    Index(usize, Vec<Vec<usize>>, Option<usize>),
    Referrer(usize, Vec<usize>, Option<usize>),
}

fn thing() -> impl Strategy<Value = Thing> {
    let at = || 0..REPOSITORIES.len();
    let blobs = || proptest::collection::vec(0..5_usize, 1..4);
    let text = || proptest::option::of(0..4_usize);
    prop_oneof![
        4 => (at(), blobs(), text()).prop_map(|(at, blobs, tag)| Thing::Image(at, blobs, tag)),
        1 => (at(), proptest::collection::vec(blobs(), 1..3), text())
            .prop_map(|(at, children, tag)| Thing::Index(at, children, tag)),
        1 => (at(), blobs(), text()).prop_map(|(at, blobs, tag)| Thing::Referrer(at, blobs, tag)),
    ]
}

const REPOSITORIES: [&str; 2] = ["a", "b"];

fn make(world: &World, thing: &Thing) {
    let content = |number: &usize| vec![u8::try_from(*number).unwrap(); 100 << number];
    let image_of = |at: &str, blobs: &[usize], text: Option<&str>| {
        let blobs: Vec<Vec<u8>> = blobs.iter().map(content).collect();
        let blobs: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
        world.push(at, text, &blobs)
    };
    let text = |tag: &Option<usize>| tag.map(|number| format!("t{number}"));
    match thing {
        Thing::Image(at, blobs, tag) => {
            image_of(REPOSITORIES[*at], blobs, text(tag).as_deref());
        }
        Thing::Index(at, children, tag) => {
            let at = REPOSITORIES[*at];
            let children: Vec<Digest> = children
                .iter()
                .map(|blobs| image_of(at, blobs, None))
                .collect();
            world.push_manifest(at, text(tag).as_deref(), index(&children));
        }
        Thing::Referrer(at, blobs, tag) => {
            let at = REPOSITORIES[*at];
            let subject = image_of(at, blobs, None);
            let about = image(&[&content(&blobs[0])], Some(&subject));
            world.push_manifest(at, text(tag).as_deref(), about);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The bytes of a plan are those that are free once all of it is gone, and what hung on it.
    #[test]
    fn a_plan_frees_what_it_says(
        things in proptest::collection::vec(thing(), 1..14),
        keep in 1..3_usize,
    ) {
        let world = World::new(vec![Retention {
            keep_last: Some(keep),
            untagged: Some("1d".parse().unwrap()),
            ..rule("**")
        }]);
        for thing in &things {
            make(&world, thing);
            world.clock.advance(Duration::from_secs(60));
        }
        world.clock.advance(DAY);
        world.collect();
        let before = world.bytes();
        let plan = world.plan();
        prop_assert_eq!(&world.run(), &plan);
        loop {
            world.clock.advance(DAY);
            if world.run().items.is_empty() {
                break;
            }
        }
        let now = world.clock.now();
        world.registry
            .catalog()
            .write(move |tx| {
                while tx.forget_removed(now, 10)? > 0 {}
                Ok::<_, StoreError>(())
            })
            .unwrap();
        world.collect();
        prop_assert_eq!(before - world.bytes(), plan.bytes, "{:?}", plan);
        prop_assert_eq!(
            world.registry.catalog().integrity().unwrap(),
            Vec::<String>::new()
        );
    }
}
