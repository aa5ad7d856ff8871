//! Random operations against a plain model: after every step both give the same answers, and a
//! check finds nothing but what was broken on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{ROOT, blobs_on, catalog, digest, image, in_memory, name, tag};
use crate::oci::{Digest, Reference};
use crate::registry::check::{CheckOptions, Finding, FindingKind};
use crate::registry::{Error, Options, Registry};
use crate::store::blobs::crash_disk::CrashDisk;
use crate::store::catalog::Location;

const REPOSITORIES: [&str; 3] = ["a", "b/c", "d"];
const TAGS: [&str; 3] = ["v1", "v2", "latest"];
const BLOBS: usize = 5;

/// One step. Numbers choose a repository, a blob, a tag.
#[derive(Clone, Debug)]
enum Step {
    PushBlob(usize, usize),
    Mount {
        to: usize,
        from: usize,
        blob: usize,
    },
    DeleteBlob(usize, usize),
    /// An image of two blobs, by tag or by digest, perhaps about an earlier image.
    PushImage {
        repository: usize,
        blobs: (usize, usize),
        tag: Option<usize>,
        subject: Option<(usize, usize)>,
    },
    DeleteImage(usize, (usize, usize)),
    DeleteTag(usize, usize),
    /// The bytes of a blob are found to be wrong.
    Quarantine(usize),
    /// Another length up to which blobs are inline: those that are there keep their form.
    Rebound(usize),
}

/// Blobs have 10 to 14 bytes.
const BOUNDS: [u64; 3] = [0, 12, 100];

fn step() -> impl Strategy<Value = Step> {
    let repository = 0..REPOSITORIES.len();
    let blob = 0..BLOBS;
    let pair = (0..BLOBS, 0..BLOBS);
    prop_oneof![
        4 => (repository.clone(), blob.clone()).prop_map(|(r, b)| Step::PushBlob(r, b)),
        2 => (repository.clone(), repository.clone(), blob.clone())
            .prop_map(|(to, from, blob)| Step::Mount { to, from, blob }),
        1 => (repository.clone(), blob).prop_map(|(r, b)| Step::DeleteBlob(r, b)),
        5 => (
            repository.clone(),
            pair.clone(),
            proptest::option::of(0..TAGS.len()),
            proptest::option::weighted(0.3, pair.clone())
        )
            .prop_map(|(repository, blobs, tag, subject)| Step::PushImage {
                repository,
                blobs,
                tag,
                subject
            }),
        1 => (repository.clone(), pair).prop_map(|(r, p)| Step::DeleteImage(r, p)),
        1 => (repository, 0..TAGS.len()).prop_map(|(r, t)| Step::DeleteTag(r, t)),
        1 => (0..BLOBS).prop_map(Step::Quarantine),
        1 => (0..BOUNDS.len()).prop_map(Step::Rebound),
    ]
}

/// A manifest's bytes and its subject.
type Stored = (Vec<u8>, Option<Digest>);

/// What the registry should hold.
#[derive(Default)]
struct Model {
    blobs: BTreeMap<&'static str, BTreeSet<Digest>>,
    manifests: BTreeMap<&'static str, BTreeMap<Digest, Stored>>,
    tags: BTreeMap<&'static str, BTreeMap<&'static str, Digest>>,
    quarantined: BTreeSet<Digest>,
}

impl Model {
    fn holds(&self, repository: &str, blob: &Digest) -> bool {
        let blobs = self.blobs.get(repository);
        !self.quarantined.contains(blob) && blobs.is_some_and(|blobs| blobs.contains(blob))
    }

    /// Whether anybody holds it.
    fn is_there(&self, blob: &Digest) -> bool {
        self.blobs.values().any(|blobs| blobs.contains(blob))
    }

    fn exists(&self, repository: &str) -> bool {
        self.blobs
            .get(repository)
            .is_some_and(|set| !set.is_empty())
            || self
                .manifests
                .get(repository)
                .is_some_and(|map| !map.is_empty())
    }
}

fn blob(number: usize) -> Vec<u8> {
    vec![u8::try_from(number).expect("small"); 10 + number]
}

fn image_of(blobs: (usize, usize), subject: Option<(usize, usize)>) -> (Vec<u8>, Option<Digest>) {
    let subject = subject.map(|about| digest(&image_of(about, None).0));
    let (config, layer) = (blob(blobs.0), blob(blobs.1));
    (image(&[&config, &layer], subject.as_ref()), subject)
}

fn apply(registry: &Registry, model: &mut Model, step: &Step) {
    match *step {
        Step::PushBlob(repository, number) => {
            let (at, bytes) = (REPOSITORIES[repository], blob(number));
            let content = digest(&bytes);
            registry
                .push_blob(
                    &name(at),
                    Some(bytes.len() as u64),
                    &mut &bytes[..],
                    &content,
                )
                .expect("a blob is taken");
            model.blobs.entry(at).or_default().insert(content);
            model.quarantined.remove(&content);
        }
        Step::Mount {
            to,
            from,
            blob: number,
        } => {
            let (to, from, content) = (REPOSITORIES[to], REPOSITORIES[from], digest(&blob(number)));
            let mounted = registry
                .mount(&name(to), &content, &name(from))
                .expect("an answer");
            assert_eq!(mounted, model.holds(from, &content));
            if mounted {
                model.blobs.entry(to).or_default().insert(content);
            }
        }
        Step::DeleteBlob(repository, number) => {
            let (at, content) = (REPOSITORIES[repository], digest(&blob(number)));
            let held = model.blobs.entry(at).or_default().remove(&content);
            match registry.delete_blob(&name(at), &content) {
                Ok(()) => assert!(held),
                Err(Error::BlobUnknown { .. }) => assert!(!held),
                Err(other) => panic!("{other}"),
            }
            if !model.is_there(&content) {
                model.quarantined.remove(&content);
            }
        }
        Step::PushImage {
            repository,
            blobs,
            tag: at_tag,
            subject,
        } => {
            push_image(
                registry,
                model,
                REPOSITORIES[repository],
                blobs,
                at_tag,
                subject,
            );
        }
        Step::DeleteImage(repository, blobs) => {
            let at = REPOSITORIES[repository];
            let content = digest(&image_of(blobs, None).0);
            let held = model
                .manifests
                .entry(at)
                .or_default()
                .remove(&content)
                .is_some();
            model
                .tags
                .entry(at)
                .or_default()
                .retain(|_, target| *target != content);
            let outcome = registry.delete_manifest(&name(at), &Reference::Digest(content), None);
            assert_eq!(outcome.is_ok(), held, "{outcome:?}");
        }
        Step::DeleteTag(repository, number) => {
            let (at, word) = (REPOSITORIES[repository], TAGS[number]);
            let held = model.tags.entry(at).or_default().remove(word).is_some();
            let outcome = registry.delete_manifest(&name(at), &Reference::Tag(tag(word)), None);
            assert_eq!(outcome.is_ok(), held, "{outcome:?}");
        }
        Step::Quarantine(number) => {
            let content = digest(&blob(number));
            let row = registry.catalog().read(|tx| tx.blob(&content));
            let row = row.expect("an answer");
            assert_eq!(row.is_some(), model.is_there(&content));
            if let Some(row) = row {
                registry.quarantine(&content, row).expect("put aside");
                model.quarantined.insert(content);
            }
        }
        // Not the registry's business.
        Step::Rebound(_) => {}
    }
}

fn push_image(
    registry: &Registry,
    model: &mut Model,
    at: &'static str,
    blobs: (usize, usize),
    at_tag: Option<usize>,
    about: Option<(usize, usize)>,
) {
    let (bytes, subject) = image_of(blobs, about);
    let content = digest(&bytes);
    let complete = [blobs.0, blobs.1]
        .iter()
        .all(|own| model.holds(at, &digest(&blob(*own))));
    let reference = at_tag.map_or(Reference::Digest(content), |own| {
        Reference::Tag(tag(TAGS[own]))
    });
    match registry.push_manifest(&name(at), &reference, Vec::new(), None, bytes.clone(), None) {
        Ok(pushed) => {
            assert!(complete);
            assert_eq!((pushed.digest, pushed.subject), (content, subject));
            model
                .manifests
                .entry(at)
                .or_default()
                .insert(content, (bytes, subject));
            if let Some(own) = at_tag {
                model.tags.entry(at).or_default().insert(TAGS[own], content);
            }
        }
        Err(Error::ManifestReferencesMissing { .. }) => assert!(!complete),
        Err(other) => panic!("{other}"),
    }
}

fn compare(registry: &Registry, model: &Model) {
    let existing: Vec<String> = REPOSITORIES
        .iter()
        .filter(|own| model.exists(own))
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        registry
            .repositories(None, 10, |_| true)
            .expect("a page")
            .items,
        existing
    );
    for at in REPOSITORIES {
        for number in 0..BLOBS {
            let content = digest(&blob(number));
            let held = registry.blob_size(&name(at), &content).is_ok();
            assert_eq!(held, model.holds(at, &content), "{at} {content}");
            let bytes = registry.open_blob(&name(at), &content).ok().map(|own| {
                let mut bytes = Vec::new();
                let read = own.reader.into_read().read_to_end(&mut bytes);
                read.expect("readable");
                bytes
            });
            assert_eq!(bytes, held.then(|| blob(number)));
        }
        for (content, (bytes, _)) in model.manifests.get(at).into_iter().flatten() {
            let row = registry
                .manifest(&name(at), &Reference::Digest(*content))
                .expect("kept");
            assert_eq!(&row.bytes[..], &bytes[..]);
        }
        compare_tags(registry, model, at);
        compare_referrers(registry, model, at);
    }
    let report = registry.check(
        CheckOptions {
            deep: true,
            repair: false,
        },
        &mut |_| (),
    );
    let report = report.expect("a report");
    let expected: Vec<Finding> = model
        .quarantined
        .iter()
        .map(|content| Finding {
            kind: FindingKind::BlobQuarantined,
            subject: content.to_string(),
            repaired: false,
        })
        .collect();
    assert_eq!(report.findings, expected);
}

fn compare_tags(registry: &Registry, model: &Model, at: &str) {
    let expected = model.tags.get(at).cloned().unwrap_or_default();
    match registry.tags(&name(at), None, 10) {
        Ok(page) => assert!(
            page.items
                .iter()
                .map(String::as_str)
                .eq(expected.keys().copied())
        ),
        Err(Error::NameUnknown { .. }) => assert!(!model.exists(at)),
        Err(other) => panic!("{other}"),
    }
    for word in TAGS {
        let found = registry
            .manifest_facts(&name(at), &Reference::Tag(tag(word)))
            .ok();
        assert_eq!(found.map(|facts| facts.digest), expected.get(word).copied());
    }
}

fn compare_referrers(registry: &Registry, model: &Model, at: &str) {
    let manifests = model.manifests.get(at).cloned().unwrap_or_default();
    let subjects: BTreeSet<Digest> = manifests.values().filter_map(|own| own.1).collect();
    for subject in subjects {
        let page = registry
            .referrers(&name(at), &subject, &[], None, 100)
            .expect("a page");
        let expected = manifests
            .iter()
            .filter(|(_, own)| own.1 == Some(subject))
            .map(|own| *own.0);
        assert!(page.items.iter().map(|own| own.digest).eq(expected));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_registry_does_what_a_plain_model_does(
        steps in proptest::collection::vec(step(), 1..50)
    ) {
        let registry = in_memory(Options::default());
        let mut model = Model::default();
        for step in &steps {
            apply(&registry, &mut model, step);
        }
        compare(&registry, &model);
    }

    #[test]
    fn it_does_so_with_blobs_of_both_forms(
        steps in proptest::collection::vec(step(), 1..50)
    ) {
        let disk = CrashDisk::new(Path::new(ROOT));
        let blobs = blobs_on(&disk, BOUNDS[1]).expect("a fresh store");
        let catalog = catalog(Location::Memory, &blobs);
        let over = |blobs| Registry::new(Arc::clone(&catalog), blobs, Options::default());
        let mut registry = over(blobs);
        let mut model = Model::default();
        for step in &steps {
            if let Step::Rebound(number) = step {
                registry = over(blobs_on(&disk, BOUNDS[*number]).expect("the same store"));
            }
            apply(&registry, &mut model, step);
        }
        compare(&registry, &model);
    }
}
