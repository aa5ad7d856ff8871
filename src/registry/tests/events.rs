//! Events are the changes: whoever follows the outbox alone knows what the registry holds, whatever
//! was done to it and by whom; and what is not changed is not told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::{ROOT, blobs_on, catalog, digest, image, in_memory, name, tag};
use crate::oci::{Digest, Reference};
use crate::registry::admin::{Command, Earlier, Target};
use crate::registry::events::{Filter, Listener};
use crate::registry::gc::GcOptions;
use crate::registry::{Options, Registry};
use crate::store::blobs::crash_disk::{CrashDisk, Faults, Names, Tail};
use crate::store::catalog::{Change, ChangeAction, ChangeTarget, Location};

const REPOSITORIES: [&str; 3] = ["a", "b/c", "d"];
const TAGS: [&str; 3] = ["v1", "v2", "latest"];

/// One step. Numbers choose a repository, an image, a tag.
#[derive(Clone, Debug)]
enum Step {
    Push(usize, u8, Option<usize>),
    DeleteImage(usize, u8),
    DeleteTag(usize, usize),
    SetTag(usize, usize, usize),
    RollBack(usize, usize),
    RemoveTags(usize, usize, bool),
    Rename(usize, usize),
    RemoveRepository(usize, bool),
    Undelete(usize, Option<usize>),
    Collect,
}

fn step() -> impl Strategy<Value = Step> {
    let (repository, tag) = (0..REPOSITORIES.len(), 0..TAGS.len());
    let (r, t) = (repository, tag);
    prop_oneof![
        8 => (r.clone(), 0..4_u8, proptest::option::of(t.clone()))
            .prop_map(|(r, image, t)| Step::Push(r, image, t)),
        2 => (r.clone(), 0..4_u8).prop_map(|(r, image)| Step::DeleteImage(r, image)),
        2 => (r.clone(), t.clone()).prop_map(|(r, t)| Step::DeleteTag(r, t)),
        2 => (r.clone(), t.clone(), t.clone()).prop_map(|(r, t, to)| Step::SetTag(r, t, to)),
        2 => (r.clone(), t.clone()).prop_map(|(r, t)| Step::RollBack(r, t)),
        1 => (r.clone(), t.clone(), any::<bool>())
            .prop_map(|(r, t, now)| Step::RemoveTags(r, t, now)),
        1 => (r.clone(), r.clone()).prop_map(|(r, to)| Step::Rename(r, to)),
        1 => (r.clone(), any::<bool>()).prop_map(|(r, now)| Step::RemoveRepository(r, now)),
        2 => (r, proptest::option::of(t)).prop_map(|(r, t)| Step::Undelete(r, t)),
        1 => Just(Step::Collect),
    ]
}

fn image_of(number: u8) -> Vec<u8> {
    image(&[&[number; 10], &[100 + number; 20]], None)
}

fn push(registry: &Registry, at: &str, number: u8, word: Option<&str>) -> bool {
    let repository = name(at);
    let blobs = [vec![number; 10], vec![100 + number; 20]];
    let is_taken = |bytes: &Vec<u8>| {
        registry
            .push_blob(&repository, None, &mut &bytes[..], &digest(bytes))
            .is_ok()
    };
    let bytes = image_of(number);
    let reference = word.map_or(Reference::Digest(digest(&bytes)), |own| {
        Reference::Tag(tag(own))
    });
    blobs.iter().all(is_taken)
        && registry
            .push_manifest(&repository, &reference, Vec::new(), None, bytes, None)
            .is_ok()
}

/// Does it; what cannot be done changes nothing.
fn apply(registry: &Registry, step: &Step) {
    let admin = |command| {
        let _ = registry.administer(command);
    };
    match *step {
        Step::Push(r, number, t) => {
            push(registry, REPOSITORIES[r], number, t.map(|t| TAGS[t]));
        }
        Step::DeleteImage(r, number) => {
            let reference = Reference::Digest(digest(&image_of(number)));
            let _ = registry.delete_manifest(&name(REPOSITORIES[r]), &reference, None);
        }
        Step::DeleteTag(r, t) => {
            let reference = Reference::Tag(tag(TAGS[t]));
            let _ = registry.delete_manifest(&name(REPOSITORIES[r]), &reference, None);
        }
        Step::SetTag(r, t, to) => admin(Command::TagSet {
            repository: name(REPOSITORIES[r]),
            tag: tag(TAGS[t]),
            to: Reference::Tag(tag(TAGS[to])),
            expires_seconds: None,
        }),
        Step::RollBack(r, t) => admin(Command::TagRollback {
            repository: name(REPOSITORIES[r]),
            tag: tag(TAGS[t]),
            to: Earlier::Before,
        }),
        Step::RemoveTags(r, t, now) => admin(Command::TagRemove {
            repository: name(REPOSITORIES[r]),
            tags: vec![tag(TAGS[t])],
            now,
        }),
        Step::Rename(r, to) => admin(Command::RepositoryRename {
            repository: name(REPOSITORIES[r]),
            to: name(REPOSITORIES[to]),
        }),
        Step::RemoveRepository(r, now) => admin(Command::RepositoryRemove {
            repository: name(REPOSITORIES[r]),
            now,
        }),
        Step::Undelete(r, t) => {
            let repository = name(REPOSITORIES[r]);
            let target = match t {
                Some(t) => Target::Tag(repository, tag(TAGS[t])),
                None => Target::Repository(repository),
            };
            admin(Command::Undelete { target });
        }
        Step::Collect => {
            let options = GcOptions {
                delete_untagged: true,
                ..GcOptions::default()
            };
            registry
                .collect(options, &mut |_| {})
                .expect("a collection");
        }
    }
}

/// What somebody knows who has followed all events.
#[derive(Debug, Default, PartialEq, Eq)]
struct Followed {
    manifests: BTreeMap<String, BTreeSet<Digest>>,
    tags: BTreeMap<(String, String), Digest>,
}

impl Followed {
    fn follow(&mut self, change: &Change) {
        let at = change.repository.to_string();
        let own = |word: &String| (at.clone(), word.clone());
        match (&change.target, change.action) {
            (ChangeTarget::Manifest(digest), ChangeAction::Push) => {
                self.manifests
                    .entry(at.clone())
                    .or_default()
                    .insert(*digest);
                for word in &change.tags {
                    self.tags.insert(own(word), *digest);
                }
            }
            (ChangeTarget::Manifest(digest), _) => {
                let held = self.manifests.entry(at.clone()).or_default();
                assert!(held.remove(digest), "what goes was there: {change:?}");
                let with = self.tags.iter();
                let with = with.filter(|(key, target)| key.0 == at && *target == digest);
                let with: Vec<String> = with.map(|(key, _)| key.1.clone()).collect();
                assert_eq!(with, change.tags, "exactly its tags go along");
                self.tags
                    .retain(|key, _| key.0 != at || !with.contains(&key.1));
            }
            (ChangeTarget::Tags, _) => {
                for word in &change.tags {
                    assert!(self.tags.remove(&own(word)).is_some(), "{change:?}");
                }
            }
            (ChangeTarget::Repository, _) => {
                self.manifests.remove(&at);
                self.tags.retain(|key, _| key.0 != at);
            }
            (ChangeTarget::Blob(_), _) => {}
        }
        self.manifests.retain(|_, held| !held.is_empty());
    }
}

/// What the registry holds.
fn held(registry: &Registry) -> Followed {
    let mut held = Followed::default();
    for at in REPOSITORIES {
        let repository = name(at);
        let all = registry
            .catalog()
            .read(|tx| tx.manifest_digests(&repository, None, 100));
        let all: BTreeSet<Digest> = all.expect("digests").into_iter().collect();
        if !all.is_empty() {
            held.manifests.insert(at.to_owned(), all);
        }
        for word in TAGS {
            let facts = registry.manifest_facts(&repository, &Reference::Tag(tag(word)));
            if let Ok(facts) = facts {
                held.tags
                    .insert((at.to_owned(), word.to_owned()), facts.digest);
            }
        }
    }
    held
}

fn follow(registry: &Registry) -> Followed {
    let (mut followed, mut after) = (Followed::default(), 0);
    loop {
        let rows = registry.outbox_page(after).expect("a page");
        let Some(last) = rows.last() else {
            return followed;
        };
        after = last.id;
        for row in &rows {
            followed.follow(&row.change);
        }
    }
}

fn listen(registry: &Registry) {
    registry.events().listen(vec![Listener {
        filter: Filter::default(),
        references: false,
        pull_head: true,
        pulls: None,
    }]);
}

fn options() -> Options {
    Options {
        grace: Duration::ZERO,
        start_wait: Duration::ZERO,
        ..Options::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whoever_follows_events_knows_what_the_registry_holds(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let registry = in_memory(options());
        listen(&registry);
        for step in &steps {
            apply(&registry, step);
            prop_assert_eq!(follow(&registry), held(&registry), "{:?}", step);
        }
    }
}

/// Nothing is written, and nothing asked of the catalog, where nobody listens.
#[test]
fn without_a_webhook_there_are_no_events() {
    let registry = in_memory(options());
    assert!(push(&registry, "a", 1, Some("v1")));
    assert_eq!(registry.outbox_span().expect("a span"), None);
    listen(&registry);
    assert!(push(&registry, "a", 1, Some("v1")));
    // Two blobs and a manifest, a row each.
    assert_eq!(registry.outbox_span().expect("a span"), Some((1, 3)));
    registry.events().listen(Vec::new());
    assert!(push(&registry, "a", 1, Some("v1")));
    assert_eq!(registry.outbox_span().expect("a span"), Some((1, 3)));
}

/// A change and its event are one: after a crash at any sync point whoever follows the outbox knows
/// what is there, no more and no less.
#[test]
fn a_crash_at_any_sync_point_keeps_changes_and_events_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = |disk: &CrashDisk, database: &Path| {
        let blobs = blobs_on(disk, 12).expect("a store");
        let registry = Registry::new(catalog(Location::File(database), &blobs), blobs, options());
        listen(&registry);
        registry
    };
    let work = |registry: &Registry| -> u32 {
        let mut done = 0;
        for number in 0..3 {
            done += u32::from(push(registry, "a", number, Some("v1")));
        }
        let reference = Reference::Digest(digest(&image_of(1)));
        let gone = registry.delete_manifest(&name("a"), &reference, None);
        done + u32::from(gone.is_ok())
    };
    let disk = CrashDisk::new(Path::new(ROOT));
    let whole = open(&disk, &folder.path().join("whole.db"));
    assert_eq!(work(&whole), 4);
    let before = disk.syncs();
    drop(whole);
    assert!(before > 0);
    for point in 0..=before {
        let database = folder.path().join(format!("sync-{point}.db"));
        let disk = CrashDisk::new(Path::new(ROOT));
        let registry = open(&disk, &database);
        disk.set_faults(Faults {
            freeze_at_sync: Some(point),
            ..Faults::default()
        });
        work(&registry);
        drop(registry);
        let registry = open(&disk.crash(Names::ALL[0], Tail::ALL[0]), &database);
        assert_eq!(follow(&registry), held(&registry), "sync {point}");
    }
}
