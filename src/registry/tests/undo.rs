//! Random pushes, moves and removals of tags, removals and returns of whatever can be removed,
//! beside a plain model, with a catalog that is closed and opened again in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::{digest, image, name, tag};
use crate::clock::{Clock, MADE_AFTER, ManualClock};
use crate::oci::{Digest, Reference};
use crate::registry::admin::{AdminError, Command, Earlier, Reply, Target, Usage};
use crate::registry::{Error, Options, Registry};
use crate::store::blobs::{BlobStore, MemoryBlobStore};
use crate::store::catalog::{self, Catalog, Durability, Location};

const REPOSITORIES: [&str; 3] = ["a", "b/c", "d"];
const TAGS: [&str; 3] = ["latest", "v1", "v2"];
const MANIFESTS: usize = 6;
/// In steps, of which each takes a second.
const WINDOW: u64 = 12;

#[derive(Clone, Debug)]
enum Step {
    Push(usize, usize, Option<usize>),
    /// The index with all that belongs to it.
    PushIndex(usize, Option<usize>),
    DeleteTag(usize, usize),
    DeleteManifest(usize, usize),
    Set(usize, usize, usize),
    RemoveTags(usize, Vec<usize>, bool),
    Rollback(usize, usize, Back),
    RemoveRepository(usize, bool),
    Rename(usize, usize),
    UndeleteRepository(usize),
    UndeleteTag(usize, usize),
    UndeleteManifest(usize, usize),
    Reopen,
}

#[derive(Clone, Debug)]
enum Back {
    Before,
    To(usize),
    /// So many steps ago.
    Ago(u64),
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly one, so that what is done meets what was done before.
    let r = || prop_oneof![5 => Just(0_usize), 1 => 1..REPOSITORIES.len()];
    let (t, m) = (|| 0..TAGS.len(), || 0..MANIFESTS);
    let back = prop_oneof![
        2 => Just(Back::Before),
        1 => m().prop_map(Back::To),
        1 => (0..8_u64).prop_map(Back::Ago),
    ];
    prop_oneof![
        10 => (r(), m(), proptest::option::weighted(0.7, t()))
            .prop_map(|(r, m, t)| Step::Push(r, m, t)),
        3 => (r(), proptest::option::of(t())).prop_map(|(r, t)| Step::PushIndex(r, t)),
        1 => (r(), t()).prop_map(|(r, t)| Step::DeleteTag(r, t)),
        3 => (r(), m()).prop_map(|(r, m)| Step::DeleteManifest(r, m)),
        2 => (r(), t(), m()).prop_map(|(r, t, m)| Step::Set(r, t, m)),
        2 => (r(), proptest::collection::vec(t(), 1..3), any::<bool>())
            .prop_map(|(r, tags, now)| Step::RemoveTags(r, tags, now)),
        3 => (r(), t(), back).prop_map(|(r, t, back)| Step::Rollback(r, t, back)),
        2 => (r(), proptest::bool::weighted(0.2)).prop_map(|(r, now)| {
            Step::RemoveRepository(r, now)
        }),
        1 => (r(), r()).prop_map(|(r, to)| Step::Rename(r, to)),
        3 => r().prop_map(Step::UndeleteRepository),
        2 => (r(), t()).prop_map(|(r, t)| Step::UndeleteTag(r, t)),
        2 => (r(), m()).prop_map(|(r, m)| Step::UndeleteManifest(r, m)),
        1 => Just(Step::Reopen),
    ]
}

/// The numbers of the blobs, children and subject of a manifest: three images, of which two share a
/// blob, an index of these two, something about an image and something about the index.
fn parts(at: usize) -> (&'static [usize], &'static [usize], Option<usize>) {
    match at {
        0 => (&[0, 1], &[], None),
        1 => (&[0, 2], &[], None),
        2 => (&[3], &[], None),
        3 => (&[], &[0, 1], None),
        4 => (&[0, 4], &[], Some(0)),
        _ => (&[0, 4], &[], Some(3)),
    }
}

fn blob(at: usize) -> Vec<u8> {
    vec![u8::try_from(at).expect("small"); 10 << at]
}

fn bytes(at: usize) -> Vec<u8> {
    let (blobs, children, subject) = parts(at);
    if children.is_empty() {
        let contents: Vec<Vec<u8>> = blobs.iter().map(|own| blob(*own)).collect();
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        return image(&contents, subject.map(content).as_ref());
    }
    let children = children.iter().map(|own| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":{}}}"#,
            content(*own),
            bytes(*own).len()
        )
    });
    let children = children.collect::<Vec<_>>().join(",");
    let index = "application/vnd.oci.image.index.v1+json";
    format!(r#"{{"schemaVersion":2,"mediaType":"{index}","manifests":[{children}]}}"#).into_bytes()
}

fn content(at: usize) -> Digest {
    digest(&bytes(at))
}

/// How a time of a tag ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Moved,
    Removed,
    WithManifest,
}

/// What a tag pointed to, from when, and until when.
#[derive(Clone, Debug)]
struct Time {
    manifest: usize,
    from: u64,
    end: Option<(u64, End)>,
}

#[derive(Clone, Debug, Default)]
struct Repository {
    blobs: BTreeSet<usize>,
    manifests: BTreeSet<usize>,
    /// The first first.
    tags: BTreeMap<usize, Vec<Time>>,
    past: BTreeMap<usize, u64>,
    removed_at: Option<u64>,
}

impl Repository {
    fn exists(&self) -> bool {
        !self.blobs.is_empty() || !self.manifests.is_empty()
    }

    fn target(&self, tag: usize) -> Option<usize> {
        let last = self.tags.get(&tag)?.last()?;
        last.end.is_none().then_some(last.manifest)
    }

    fn end(&mut self, tag: usize, now: u64, how: End) {
        if let Some(last) = self.tags.get_mut(&tag).and_then(|times| times.last_mut())
            && last.end.is_none()
        {
            last.end = Some((now, how));
        }
    }

    fn set(&mut self, tag: usize, manifest: usize, now: u64) {
        match self.target(tag) {
            Some(target) if target == manifest => {
                let times = self.tags.entry(tag).or_default();
                // Only what it was moved from tells when it was set first.
                let count = times.len();
                let followed = count > 1 && matches!(times[count - 2].end, Some((_, End::Moved)));
                if let Some(last) = times.last_mut().filter(|_| !followed) {
                    last.from = now;
                }
                return;
            }
            Some(_) => self.end(tag, now, End::Moved),
            None => {}
        }
        self.tags.entry(tag).or_default().push(Time {
            manifest,
            from: now,
            end: None,
        });
    }

    fn remove(&mut self, manifest: usize, now: u64, is_final: bool) {
        self.manifests.remove(&manifest);
        for tag in 0..TAGS.len() {
            if self.target(tag) == Some(manifest) {
                self.end(tag, now, End::WithManifest);
            }
        }
        if !is_final {
            self.past.insert(manifest, now);
        }
    }

    fn is_loose(&self, manifest: usize) -> bool {
        let is_child = |own: &usize| parts(*own).1.contains(&manifest);
        self.manifests.contains(&manifest)
            && (0..TAGS.len()).all(|tag| self.target(tag) != Some(manifest))
            && !self.manifests.iter().any(is_child)
            && parts(manifest)
                .2
                .is_none_or(|subject| !self.manifests.contains(&subject))
    }

    /// What belongs to a manifest: children and referrers that are there.
    fn neighbours(&self, manifest: usize) -> Vec<usize> {
        let about = |own: &usize| parts(*own).2 == Some(manifest);
        let children = parts(manifest).1.iter();
        let neighbours = children.copied().chain((0..MANIFESTS).filter(about));
        neighbours
            .filter(|own| self.manifests.contains(own))
            .collect()
    }

    fn remove_loose(&mut self, manifest: usize, now: u64) {
        if self.is_loose(manifest) {
            let neighbours = self.neighbours(manifest);
            self.remove(manifest, now, true);
            for own in neighbours {
                self.remove_loose(own, now);
            }
        }
    }

    fn restore(&mut self, manifest: usize) -> usize {
        let Some(removed) = self.past.remove(&manifest) else {
            return 0;
        };
        self.manifests.insert(manifest);
        let (blobs, children, _) = parts(manifest);
        self.blobs.extend(blobs);
        let about = |own: &usize| {
            parts(*own).2 == Some(manifest) && self.past.get(own).is_some_and(|at| *at >= removed)
        };
        let about: Vec<usize> = (0..MANIFESTS).filter(about).collect();
        let others = children.iter().copied().chain(about);
        1 + others.map(|own| self.restore(own)).sum::<usize>()
    }

    /// Whether the manifest is there, or comes back.
    fn have(&mut self, manifest: usize, now: u64) -> bool {
        if self.manifests.contains(&manifest) {
            return true;
        }
        match self.past.get(&manifest) {
            Some(removed) if removed + WINDOW >= now => self.restore(manifest) > 0,
            _ => false,
        }
    }

    /// Tags that are no more, with their last end, when that can be undone.
    fn removed_tags(&self, now: u64) -> BTreeMap<usize, (u64, usize)> {
        let last = |(tag, times): (&usize, &Vec<Time>)| {
            let last = times.last()?;
            let (ended, _) = last.end?;
            let is_kept =
                self.manifests.contains(&last.manifest) || self.past.contains_key(&last.manifest);
            (ended + WINDOW >= now && is_kept).then_some((*tag, (ended, last.manifest)))
        };
        self.tags.iter().filter_map(last).collect()
    }

    /// Whether anything came back.
    fn undelete(&mut self, now: u64) -> bool {
        let whole = self.removed_at.filter(|at| at + WINDOW >= now);
        let within = |past: &BTreeMap<usize, u64>, is: &dyn Fn(u64) -> bool| -> Vec<usize> {
            let past = past.iter().filter(|(_, at)| is(**at));
            past.map(|(own, _)| *own).collect()
        };
        if let Some(at) = whole {
            let restored = within(&self.past, &|own| own == at);
            for manifest in &restored {
                self.restore(*manifest);
            }
            if !restored.is_empty() {
                for tag in 0..TAGS.len() {
                    let times = self.tags.get(&tag).into_iter().flatten();
                    let then = times.filter(|own| own.end == Some((at, End::WithManifest)));
                    let then = then.map(|own| own.manifest).next();
                    if let Some(manifest) = then.filter(|own| self.manifests.contains(own))
                        && self.target(tag).is_none()
                    {
                        self.set(tag, manifest, now);
                    }
                }
                return true;
            }
        }
        let restored = within(&self.past, &|at| at + WINDOW >= now);
        for manifest in &restored {
            self.restore(*manifest);
        }
        let tags = self.removed_tags(now);
        let mut count = restored.len();
        for (tag, (_, manifest)) in tags {
            if self.manifests.contains(&manifest) {
                self.set(tag, manifest, now);
                count += 1;
            }
        }
        count > 0
    }
}

type Model = BTreeMap<usize, Repository>;

/// What it is tested with: a catalog that can be opened again.
struct World {
    registry: Registry,
    clock: Arc<ManualClock>,
    blobs: Arc<dyn BlobStore>,
}

impl World {
    fn open(location: Location<'_>, clock: Arc<ManualClock>, blobs: Arc<dyn BlobStore>) -> Self {
        let own = Arc::clone(&blobs);
        let options = catalog::Options {
            durability: Durability::Relaxed,
            clock: Arc::<ManualClock>::clone(&clock),
            ..catalog::Options::new(location)
        };
        let catalog = Catalog::open(options, Box::new(move |shards| own.sync_shards(shards)));
        let options = Options {
            undo_window: Duration::from_secs(WINDOW),
            ..Options::default()
        };
        let catalog = Arc::new(catalog.expect("a catalog"));
        Self {
            registry: Registry::new(catalog, Arc::clone(&blobs), options),
            clock,
            blobs,
        }
    }

    fn ask(&self, command: Command) -> Result<Reply, AdminError> {
        self.registry.administer(command)
    }
}

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + MADE_AFTER + Duration::from_secs(1000)
}

fn at(step: u64) -> SystemTime {
    start() + Duration::from_secs(step)
}

fn push(world: &World, own: &mut Repository, r: usize, m: usize, t: Option<usize>, now: u64) {
    let repository = name(REPOSITORIES[r]);
    let (blobs, children, _) = parts(m);
    for number in blobs {
        let bytes = blob(*number);
        let pushed = world
            .registry
            .push_blob(&repository, None, &mut &bytes[..], &digest(&bytes));
        pushed.expect("a blob is taken");
        own.blobs.insert(*number);
    }
    let reference = t.map_or(Reference::Digest(content(m)), |t| {
        Reference::Tag(tag(TAGS[t]))
    });
    let outcome =
        world
            .registry
            .push_manifest(&repository, &reference, Vec::new(), None, bytes(m), None);
    let complete = children.iter().all(|child| own.manifests.contains(child));
    assert_eq!(outcome.is_ok(), complete, "{outcome:?}");
    if complete {
        own.manifests.insert(m);
        if let Some(t) = t {
            own.set(t, m, now);
        }
    }
}

/// Does the step to the model, and to the registry what is not a command; whether the model says
/// that it succeeds, and the command.
fn apply(world: &World, model: &mut Model, step: &Step, now: u64) -> Option<(bool, Command)> {
    let repository = |r: &usize| name(REPOSITORIES[*r]);
    match step {
        Step::Push(r, m, t) => {
            push(world, model.entry(*r).or_default(), *r, *m, *t, now);
            None
        }
        Step::PushIndex(r, t) => {
            let own = model.entry(*r).or_default();
            for m in [0, 1, 4, 5] {
                push(world, own, *r, m, None, now);
            }
            push(world, own, *r, 3, *t, now);
            None
        }
        Step::DeleteTag(r, t) => {
            let own = model.entry(*r).or_default();
            let expected = own.target(*t).is_some();
            own.end(*t, now, End::Removed);
            delete(world, *r, &Reference::Tag(tag(TAGS[*t])), expected);
            None
        }
        Step::DeleteManifest(r, m) => {
            let own = model.entry(*r).or_default();
            let expected = own.manifests.contains(m);
            if expected {
                own.remove(*m, now, false);
            }
            delete(world, *r, &Reference::Digest(content(*m)), expected);
            None
        }
        Step::Set(r, t, m) => {
            let own = model.entry(*r).or_default();
            let expected = own.manifests.contains(m);
            if expected {
                own.set(*t, *m, now);
            }
            let command = Command::TagSet {
                repository: repository(r),
                tag: tag(TAGS[*t]),
                to: Reference::Digest(content(*m)),
                expires_seconds: None,
            };
            Some((expected, command))
        }
        Step::RemoveTags(r, tags, finally) => {
            let own = model.entry(*r).or_default();
            let expected = tags.iter().all(|t| own.target(*t).is_some());
            if expected {
                let targets: Vec<_> = tags.iter().filter_map(|t| own.target(*t)).collect();
                for t in tags {
                    own.end(*t, now, End::Removed);
                }
                for target in targets.into_iter().filter(|_| *finally) {
                    own.remove_loose(target, now);
                }
            }
            let command = Command::TagRemove {
                repository: repository(r),
                tags: tags.iter().map(|t| tag(TAGS[*t])).collect(),
                now: *finally,
            };
            Some((expected, command))
        }
        Step::Rollback(r, t, back) => {
            let expected = roll_back(model.entry(*r).or_default(), *t, back, now);
            let command = Command::TagRollback {
                repository: repository(r),
                tag: tag(TAGS[*t]),
                to: match back {
                    Back::Before => Earlier::Before,
                    Back::To(m) => Earlier::Digest(content(*m)),
                    Back::Ago(ago) => {
                        Earlier::At(crate::clock::unix_ms(at(now) - Duration::from_secs(*ago)))
                    }
                },
            };
            Some((expected, command))
        }
        other => apply_whole(model, other, now),
    }
}

fn apply_whole(model: &mut Model, step: &Step, now: u64) -> Option<(bool, Command)> {
    let repository = |r: &usize| name(REPOSITORIES[*r]);
    match step {
        Step::RemoveRepository(r, finally) => {
            let own = model.entry(*r).or_default();
            let expected = own.exists() || *finally && !own.past.is_empty();
            if expected {
                for manifest in own.manifests.clone() {
                    own.remove(manifest, now, *finally);
                }
                if *finally {
                    own.past.clear();
                } else {
                    own.removed_at = Some(now);
                }
                own.blobs.clear();
            }
            let command = Command::RepositoryRemove {
                repository: repository(r),
                now: *finally,
            };
            Some((expected, command))
        }
        Step::Rename(r, to) => {
            // What becomes of two histories under one name has its own test.
            let has_past = |own: &Repository| !own.past.is_empty() || !own.tags.is_empty();
            if model
                .get(to)
                .is_some_and(|own| !own.exists() && has_past(own))
            {
                return None;
            }
            let is_free = model.get(to).is_none_or(|own| !own.exists());
            let expected = is_free && model.get(r).is_some_and(Repository::exists);
            if expected {
                let own = model.remove(r).unwrap_or_default();
                model.insert(*to, own);
            }
            let command = Command::RepositoryRename {
                repository: repository(r),
                to: repository(to),
            };
            Some((expected, command))
        }
        Step::UndeleteRepository(r) => {
            let expected = model.entry(*r).or_default().undelete(now);
            let target = Target::Repository(repository(r));
            Some((expected, Command::Undelete { target }))
        }
        Step::UndeleteTag(r, t) => {
            let own = model.entry(*r).or_default();
            let last = own.tags.get(t).and_then(|times| times.last()).cloned();
            let expected = match last {
                Some(Time {
                    manifest,
                    end: Some((ended, _)),
                    ..
                }) => ended + WINDOW >= now && own.have(manifest, now),
                _ => false,
            };
            if let Some(last) = last.filter(|_| expected) {
                own.set(*t, last.manifest, now);
            }
            let target = Target::Tag(repository(r), tag(TAGS[*t]));
            Some((expected, Command::Undelete { target }))
        }
        Step::UndeleteManifest(r, m) => {
            let own = model.entry(*r).or_default();
            let removed = own.past.get(m).copied();
            let removed = removed.filter(|removed| removed + WINDOW >= now);
            if let Some(removed) = removed {
                own.restore(*m);
                for t in 0..TAGS.len() {
                    let end = Some((removed, End::WithManifest));
                    let times = own.tags.get(&t).into_iter().flatten();
                    let went = times
                        .filter(|own| own.end == end && own.manifest == *m)
                        .count();
                    if went > 0 && own.target(t).is_none() {
                        own.set(t, *m, now);
                    }
                }
            }
            let target = Target::Manifest(repository(r), content(*m));
            Some((removed.is_some(), Command::Undelete { target }))
        }
        _ => None,
    }
}

fn delete(world: &World, r: usize, reference: &Reference, expected: bool) {
    let outcome = world
        .registry
        .delete_manifest(&name(REPOSITORIES[r]), reference, None);
    assert_eq!(outcome.is_ok(), expected, "{outcome:?}");
}

fn roll_back(own: &mut Repository, t: usize, back: &Back, now: u64) -> bool {
    let times = own.tags.get(&t).cloned().unwrap_or_default();
    let target = own.target(t);
    let chosen = match back {
        Back::Before => {
            let mut latest_first = times.iter().rev();
            latest_first.find(|own| Some(own.manifest) != target)
        }
        Back::To(m) => times.iter().find(|own| own.manifest == *m),
        Back::Ago(ago) => {
            let then = now.saturating_sub(*ago);
            let was =
                |own: &&Time| own.from <= then && own.end.is_none_or(|(ended, _)| then < ended);
            times.iter().find(was)
        }
    };
    let Some(chosen) = chosen.map(|own| own.manifest) else {
        return false;
    };
    if target == Some(chosen) {
        return true;
    }
    if !own.have(chosen, now) {
        return false;
    }
    own.set(t, chosen, now);
    true
}

fn compare(world: &World, model: &Model, now: u64) {
    for (r, text) in REPOSITORIES.iter().enumerate() {
        let own = model.get(&r).cloned().unwrap_or_default();
        let repository = name(text);
        let exists = world
            .registry
            .catalog()
            .read(|tx| tx.repository_exists(&repository));
        assert_eq!(exists.expect("an answer"), own.exists(), "{text}");
        for m in 0..MANIFESTS {
            let reference = Reference::Digest(content(m));
            let found = world.registry.manifest(&repository, &reference);
            assert_eq!(found.is_ok(), own.manifests.contains(&m), "{text} {m}");
            let Ok(found) = found else { continue };
            assert_eq!(&found.bytes[..], &bytes(m)[..]);
            for number in parts(m).0 {
                let size = world
                    .registry
                    .blob_size(&repository, &digest(&blob(*number)));
                assert_eq!(size.expect("there"), blob(*number).len() as u64);
            }
        }
        compare_tags(world, &own, text);
        compare_removed(world, &own, text, now);
        compare_usage(world, model, r);
    }
}

fn compare_tags(world: &World, own: &Repository, text: &str) {
    for (t, word) in TAGS.iter().enumerate() {
        let reference = Reference::Tag(tag(word));
        let found = world.registry.manifest_facts(&name(text), &reference).ok();
        let expected = own.target(t).map(content);
        assert_eq!(found.map(|facts| facts.digest), expected, "{text}:{word}");
        let history = world.ask(Command::TagHistory {
            repository: name(text),
            tag: tag(word),
        });
        let times = own.tags.get(&t).cloned().unwrap_or_default();
        let Ok(Reply::History(history)) = history else {
            assert!(times.is_empty(), "{text}:{word} {history:?}");
            continue;
        };
        let told: Vec<(String, String)> = history
            .history
            .into_iter()
            .map(|time| (time.digest, format!("{} {}", time.set_at, time.how)))
            .collect();
        let how = |time: &Time| match time.end {
            None => "current",
            Some((_, End::Moved)) => "moved",
            Some((_, End::Removed)) => "removed",
            Some((_, End::WithManifest)) => "removed_with_manifest",
        };
        let expected: Vec<(String, String)> = times
            .iter()
            .rev()
            .map(|time| {
                let from = crate::clock::rfc3339_ms(crate::clock::unix_ms(at(time.from)));
                (
                    content(time.manifest).to_string(),
                    format!("{from} {}", how(time)),
                )
            })
            .collect();
        assert_eq!(told, expected, "{text}:{word}");
    }
}

fn compare_removed(world: &World, own: &Repository, text: &str, now: u64) {
    let (repository, after) = (Some(text.to_owned()), None);
    let command = Command::RemovedManifests { repository, after };
    let Ok(Reply::RemovedManifests { manifests, .. }) = world.ask(command) else {
        panic!("no list");
    };
    let told: BTreeSet<String> = manifests.into_iter().map(|own| own.digest).collect();
    let expected = own.past.iter().filter(|(_, at)| **at + WINDOW >= now);
    let expected: BTreeSet<String> = expected.map(|(m, _)| content(*m).to_string()).collect();
    assert_eq!(told, expected, "{text}");
    let (repository, after) = (Some(text.to_owned()), None);
    let Ok(Reply::RemovedTags { tags, .. }) = world.ask(Command::RemovedTags { repository, after })
    else {
        panic!("no list");
    };
    let told: BTreeSet<Option<String>> = tags.into_iter().map(|own| own.tag).collect();
    let expected = own.removed_tags(now).into_keys();
    let expected: BTreeSet<_> = expected.map(|t| Some(TAGS[t].to_owned())).collect();
    assert_eq!(told, expected, "{text}");
}

fn usage_of(world: &World, target: Target) -> Option<Usage> {
    match world.ask(Command::Usage { target }) {
        Ok(Reply::Usage(usage)) => Some(usage),
        _ => None,
    }
}

/// What a removal for good frees in the model is what `du` says.
fn compare_usage(world: &World, model: &Model, r: usize) {
    let own = model.get(&r).cloned().unwrap_or_default();
    let others: BTreeSet<usize> = model
        .iter()
        .filter(|(other, _)| **other != r)
        .flat_map(|(_, other)| other.blobs.iter().copied())
        .collect();
    let size =
        |blobs: &BTreeSet<usize>| -> u64 { blobs.iter().map(|own| blob(*own).len() as u64).sum() };
    let name = name(REPOSITORIES[r]);
    let usage = usage_of(world, Target::Repository(name.clone()));
    let alone: BTreeSet<usize> = own.blobs.difference(&others).copied().collect();
    let expected = own
        .exists()
        .then(|| (size(&alone), size(&own.blobs) - size(&alone)));
    let told = usage.map(|usage| (usage.alone_bytes, usage.shared_bytes));
    assert_eq!(told, expected, "{name}");
    for (t, word) in TAGS.iter().enumerate() {
        let usage = usage_of(world, Target::Tag(name.clone(), tag(word)));
        let expected = own.target(t).map(|manifest| {
            let (mut image, mut next) = (BTreeSet::new(), vec![manifest]);
            while let Some(manifest) = next.pop() {
                if image.insert(manifest) {
                    next.extend(own.neighbours(manifest));
                }
            }
            let used = |manifests: &BTreeSet<usize>| -> BTreeSet<usize> {
                let blobs = manifests.iter().flat_map(|manifest| parts(*manifest).0);
                blobs.copied().collect()
            };
            let mut without = own.clone();
            without.end(t, 0, End::Removed);
            without.remove_loose(manifest, 0);
            let (all, left) = (used(&image), used(&without.manifests));
            let alone: BTreeSet<usize> = all
                .iter()
                .filter(|own| !left.contains(own) && !others.contains(own))
                .copied()
                .collect();
            (size(&alone), size(&all) - size(&alone))
        });
        let told = usage.map(|usage| (usage.alone_bytes, usage.shared_bytes));
        assert_eq!(told, expected, "{name}:{word}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn what_is_removed_comes_back_as_a_plain_model_says(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("coracle.db");
        let clock = Arc::new(ManualClock::new(start()));
        let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobStore::new(1 << 30, 1000));
        let mut world = World::open(Location::File(&path), clock, blobs);
        let mut model = Model::new();
        for (step, now) in steps.iter().zip(1..) {
            world.clock.set(at(now));
            if matches!(step, Step::Reopen) {
                let World { registry, clock, blobs } = world;
                registry.catalog().close(Duration::from_secs(60)).expect("closed");
                drop(registry);
                world = World::open(Location::File(&path), clock, blobs);
            }
            if let Some((expected, command)) = apply(&world, &mut model, step, now) {
                let outcome = world.ask(command);
                prop_assert_eq!(outcome.is_ok(), expected, "{:?}: {:?}", step, outcome);
            }
            compare(&world, &model, now);
        }
        let findings = world.registry.catalog().integrity().expect("a check");
        prop_assert_eq!(findings, Vec::<String>::new());
        prop_assert_eq!(world.clock.now(), at(steps.len() as u64));
    }
}

fn in_memory() -> World {
    let clock = Arc::new(ManualClock::new(start()));
    let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobStore::new(1 << 30, 1000));
    World::open(Location::Memory, clock, blobs)
}

impl World {
    /// Pushes manifests, the last with the tag `v1`.
    fn pushed(&self, r: usize, manifests: &[usize]) {
        let mut own = Repository::default();
        for m in manifests {
            let is_last = Some(m) == manifests.last();
            push(self, &mut own, r, *m, is_last.then_some(1), 0);
        }
    }

    fn done(&self, command: Command) -> Reply {
        self.ask(command).expect("done")
    }

    /// Digests of blobs that may be collected now, however many repositories hold them.
    fn collectable(&self) -> BTreeSet<Digest> {
        let now = self.clock.now();
        let items = self
            .registry
            .catalog()
            .read(|tx| tx.collectable(None, now, 100));
        let items = items.expect("a list").into_iter();
        items.map(|item| item.digest).collect()
    }
}

fn remove(r: usize, finally: bool) -> Command {
    Command::RepositoryRemove {
        repository: name(REPOSITORIES[r]),
        now: finally,
    }
}

fn undelete(text: &str) -> Command {
    let target = text.parse().expect("a target");
    Command::Undelete { target }
}

#[test]
fn a_repository_that_was_removed_for_good_leaves_blobs_that_may_be_collected_at_once() {
    let world = in_memory();
    world.pushed(0, &[0, 1, 3]);
    let stray = b"never used".to_vec();
    let pushed = world
        .registry
        .push_blob(&name("a"), None, &mut &stray[..], &digest(&stray));
    pushed.expect("taken");
    assert_eq!(world.collectable(), BTreeSet::new());
    world.done(remove(0, true));
    let listed = world.registry.repositories(None, 10, |_| true);
    assert_eq!(listed.expect("a page").items, Vec::<String>::new());
    let mut expected: BTreeSet<Digest> = [0, 1, 2].map(|own| digest(&blob(own))).into();
    expected.insert(digest(&stray));
    assert_eq!(world.collectable(), expected);
    let refused = world.ask(undelete("a"));
    assert!(
        matches!(refused, Err(AdminError::NothingRemoved(_))),
        "{refused:?}"
    );
}

#[test]
fn what_was_removed_before_is_gone_too_when_a_name_is_removed_for_good() {
    let world = in_memory();
    world.pushed(0, &[0]);
    world.done(remove(0, false));
    // The past uses them, and only what the repository no more uses waits.
    let totals = world.registry.totals().expect("totals");
    assert_eq!((totals.past_bytes, totals.repositories), (30, 0));
    world.done(remove(0, true));
    assert_eq!(world.collectable().len(), 2);
    let again = world.ask(remove(0, true));
    assert!(matches!(again, Err(AdminError::Unknown(_))), "{again:?}");
}

#[test]
fn a_name_that_is_taken_over_brings_two_pasts_and_two_histories_together() {
    let world = in_memory();
    // An index without children: nothing of it is left once it went to the other past.
    let empty = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let reference = Reference::Tag(tag("v1"));
    let pushed = world.registry.push_manifest(
        &name("b/c"),
        &reference,
        Vec::new(),
        None,
        empty.to_vec(),
        None,
    );
    pushed.expect("taken");
    world.done(remove(1, false));
    world.clock.advance(Duration::from_secs(1));
    world.pushed(0, &[0, 2]);
    let command = Command::Usage {
        target: Target::Manifest(name("a"), content(0)),
    };
    assert!(matches!(world.done(command), Reply::Usage(_)));
    let gone = world
        .registry
        .delete_manifest(&name("a"), &Reference::Digest(content(0)), None);
    gone.expect("gone");
    world.done(Command::RepositoryRename {
        repository: name("a"),
        to: name("b/c"),
    });
    let findings = world.registry.catalog().integrity().expect("a check");
    assert_eq!(findings, Vec::<String>::new());
    for digest in [digest(empty), content(0)] {
        world.done(undelete(&format!("b/c@{digest}")));
    }
    let history = Command::TagHistory {
        repository: name("b/c"),
        tag: tag("v1"),
    };
    let Reply::History(history) = world.done(history) else {
        panic!("no history");
    };
    let how: Vec<&str> = history.history.iter().map(|own| own.how.as_str()).collect();
    assert_eq!(how, ["current", "removed_with_manifest"]);
}

#[test]
fn what_is_too_late_is_told_with_the_time_that_it_was_too_late_from() {
    let world = in_memory();
    world.pushed(0, &[0]);
    world.done(remove(0, false));
    world.clock.advance(Duration::from_secs(WINDOW + 1));
    for target in ["a", "a:v1", &format!("a@{}", content(0))] {
        let refused = world.ask(undelete(target)).expect_err("too late");
        assert!(
            matches!(refused, AdminError::WindowOver { .. }),
            "{refused:?}"
        );
        let end = crate::clock::rfc3339(crate::clock::unix_ms(at(WINDOW)));
        assert!(refused.to_string().contains(&end), "{refused}");
    }
    // A clock that was set back takes nothing away.
    world.clock.set(start() - Duration::from_secs(500));
    world.done(undelete("a"));
}

#[test]
fn where_undo_is_off_a_removal_is_final_and_the_history_stays() {
    let World {
        clock,
        blobs,
        registry,
    } = in_memory();
    let options = Options {
        undo_window: Duration::ZERO,
        ..Options::default()
    };
    let registry = Registry::new(Arc::clone(registry.catalog()), Arc::clone(&blobs), options);
    let world = World {
        registry,
        clock,
        blobs,
    };
    world.pushed(0, &[0]);
    let Reply::RepositoryRemoved(removed) = world.done(remove(0, false)) else {
        panic!("not removed");
    };
    assert_eq!(removed.until, None);
    assert_eq!(world.collectable().len(), 2);
    let refused = world.ask(undelete("a")).expect_err("off");
    assert!(matches!(refused, AdminError::UndoOff), "{refused:?}");
    let history = Command::TagHistory {
        repository: name("a"),
        tag: tag("v1"),
    };
    let Reply::History(history) = world.done(history) else {
        panic!("no history");
    };
    assert_eq!(history.history[0].manifest, "gone");
}

#[test]
fn a_push_that_runs_while_its_repository_is_renamed_fails_or_lands_under_the_old_name() {
    let world = in_memory();
    world.pushed(0, &[0]);
    for number in [0, 2] {
        let bytes = blob(number);
        let pushed = world
            .registry
            .push_blob(&name("a"), None, &mut &bytes[..], &digest(&bytes));
        pushed.expect("taken");
    }
    world.done(Command::RepositoryRename {
        repository: name("a"),
        to: name("d"),
    });
    let push = |world: &World| {
        let reference = Reference::Tag(tag("v1"));
        let (a, bytes) = (name("a"), bytes(1));
        world
            .registry
            .push_manifest(&a, &reference, Vec::new(), None, bytes, None)
    };
    match push(&world) {
        Err(Error::ManifestReferencesMissing { digests }) => assert_eq!(digests.len(), 2),
        other => panic!("{other:?}"),
    }
    for number in [0, 2] {
        let bytes = blob(number);
        let pushed = world
            .registry
            .push_blob(&name("a"), None, &mut &bytes[..], &digest(&bytes));
        pushed.expect("taken");
    }
    push(&world).expect("taken under the old name");
    assert_eq!(
        world
            .registry
            .repositories(None, 10, |_| true)
            .expect("a page")
            .items,
        ["a", "d"]
    );
}
