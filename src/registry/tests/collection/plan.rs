//! A dry run changes nothing and tells exactly what the real one then does, whatever the store is
//! like.

use proptest::prelude::*;

use super::*;

const REPOSITORIES: [&str; 2] = ["a", "b"];
const BLOBS: [&[u8]; 4] = [b"one", b"two two", b"three three", b"four"];
const TAGS: [&str; 2] = ["v1", "v2"];
/// Images, an index of two of them, and one of that.
const MANIFESTS: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    PushBlob(usize, usize),
    Mount(usize, usize),
    Put(usize, usize, Option<usize>),
    Delete(usize, usize),
    Untag(usize, usize),
    Find(usize, usize),
    StartUpload(usize),
    Pass(u64),
    Collect,
}

fn step() -> impl Strategy<Value = Step> {
    let r = 0..REPOSITORIES.len();
    let (b, m, t) = (0..BLOBS.len(), 0..MANIFESTS, 0..TAGS.len());
    prop_oneof![
        3 => (r.clone(), b.clone()).prop_map(|(r, b)| Step::PushBlob(r, b)),
        1 => (r.clone(), b.clone()).prop_map(|(r, b)| Step::Mount(r, b)),
        6 => (r.clone(), m.clone(), proptest::option::of(t.clone()))
            .prop_map(|(r, m, t)| Step::Put(r, m, t)),
        2 => (r.clone(), m).prop_map(|(r, m)| Step::Delete(r, m)),
        2 => (r.clone(), t).prop_map(|(r, t)| Step::Untag(r, t)),
        1 => (r.clone(), b).prop_map(|(r, b)| Step::Find(r, b)),
        1 => r.prop_map(Step::StartUpload),
        3 => (0u64..100_000).prop_map(Step::Pass),
        1 => Just(Step::Collect),
    ]
}

fn manifest(number: usize) -> Vec<u8> {
    match number {
        0 => image(&[BLOBS[0], BLOBS[1]], None),
        1 => image(&[BLOBS[0], BLOBS[2], BLOBS[2]], None),
        2 => image(&[BLOBS[3]], Some(&digest(&manifest(0)))),
        3 => index(&[&manifest(0), &manifest(1)]),
        4 => index(&[&manifest(3), &manifest(1)]),
        _ => image(&[BLOBS[1]], Some(&digest(&manifest(4)))),
    }
}

impl World {
    fn apply(&self, step: &Step) {
        let registry = &self.registry;
        match *step {
            Step::PushBlob(r, b) => {
                self.push_blob(REPOSITORIES[r], BLOBS[b]);
            }
            Step::Mount(r, b) => {
                let from = name(REPOSITORIES[1 - r]);
                let mounted = registry.mount(&name(REPOSITORIES[r]), &digest(BLOBS[b]), &from);
                mounted.expect("an answer");
            }
            Step::Put(r, m, t) => {
                let bytes = manifest(m);
                let reference =
                    t.map_or_else(|| digest(&bytes).to_string(), |t| TAGS[t].to_owned());
                // What it needs may be missing.
                let _ = self.put(REPOSITORIES[r], &reference, &bytes);
            }
            Step::Delete(r, m) => {
                let reference = Reference::Digest(digest(&manifest(m)));
                // It may not be there.
                let _ = registry.delete_manifest(&name(REPOSITORIES[r]), &reference, None);
            }
            Step::Untag(r, t) => {
                let reference = Reference::Tag(tag(TAGS[t]));
                let _ = registry.delete_manifest(&name(REPOSITORIES[r]), &reference, None);
            }
            Step::Find(r, b) => {
                let _ = registry.blob_size(&name(REPOSITORIES[r]), &digest(BLOBS[b]));
            }
            Step::StartUpload(r) => {
                let started =
                    registry.start_upload(&name(REPOSITORIES[r]), crate::oci::Algorithm::Sha256);
                started.expect("a session");
            }
            Step::Pass(seconds) => self.clock.advance(Duration::from_secs(seconds)),
            Step::Collect => {
                self.collect(DUE);
            }
        }
    }
}

/// What both say of what goes.
fn gone(report: &GcReport) -> [u64; 6] {
    [
        report.blobs,
        report.bytes,
        report.links,
        report.manifests,
        report.untagged,
        report.histories,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_dry_run_tells_what_the_real_one_does(
        steps in proptest::collection::vec(step(), 1..60),
        now in any::<bool>(),
        delete_untagged in any::<bool>(),
        without_window in any::<bool>(),
    ) {
        let world = World::with(Options {
            undo_window: if without_window { Duration::ZERO } else { WINDOW },
            start_wait: Duration::ZERO,
            ..Options::default()
        });
        for step in &steps {
            world.apply(step);
        }
        let real = GcOptions { now, delete_untagged, ..DUE };
        let dry = GcOptions { dry_run: true, ..real };
        let before = world.registry.totals().expect("totals");
        let planned = world.collect(dry);
        prop_assert!(planned.complete);
        prop_assert_eq!(world.registry.totals().expect("totals"), before);
        let again = world.collect(dry);
        prop_assert_eq!((gone(&again), &again.waiting), (gone(&planned), &planned.waiting));
        let done = world.collect(real);
        prop_assert_eq!(gone(&done), gone(&planned));
        let (done, planned) = (done.waiting.expect("counted"), planned.waiting.expect("counted"));
        // What the real one has removed for want of a tag can be brought back now.
        if now || without_window || !delete_untagged {
            prop_assert_eq!(done.undo, planned.undo);
        }
        let after = world.registry.totals().expect("totals");
        prop_assert_eq!(before.blobs - after.blobs, gone(&again)[0]);
        prop_assert_eq!(before.blob_bytes - after.blob_bytes, gone(&again)[1]);
        prop_assert_eq!(world.files() as u64, after.blobs);
        prop_assert_eq!(world.registry.catalog().integrity().expect("checked"), Vec::<String>::new());
        // Nothing is left that a second run would take.
        prop_assert!(!world.collect(real).did_something());
    }
}
