//! The collection: what it takes and what it keeps, beside pushes, through crashes, and with clocks
//! that jump.

mod clocks;
mod crash;
mod model;
mod plan;
mod race;
mod rules;
mod told;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{ROOT, blobs_on, catalog_with, digest, image, name, tag};
use crate::clock::{Clock, MADE_AFTER, ManualClock};
use crate::oci::{Digest, Reference};
use crate::registry::check::CheckOptions;
use crate::registry::gc::{GcOptions, GcReport};
use crate::registry::{Error, Options, Registry};
use crate::store::Shard;
use crate::store::blobs::BlobStore;
use crate::store::blobs::crash_disk::CrashDisk;
use crate::store::catalog::Location;

const GRACE: Duration = Duration::from_secs(3600);
const WINDOW: Duration = Duration::from_secs(86_400);
const NOW: GcOptions = GcOptions {
    now: true,
    dry_run: false,
    delete_untagged: false,
    alone: false,
};
const DUE: GcOptions = GcOptions { now: false, ..NOW };

/// A registry whose clock stands still until it is moved. All its blobs are files, on a disk in
/// memory; its catalog is a real file, so that readers and the writer are as apart as they can be.
struct World {
    clock: Arc<ManualClock>,
    blobs: Arc<dyn BlobStore>,
    registry: Registry,
    _folder: TempDir,
}

impl World {
    /// Nothing waits for the start.
    fn new() -> Self {
        Self::with(Options {
            start_wait: Duration::ZERO,
            ..Options::default()
        })
    }

    fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let start = std::time::SystemTime::UNIX_EPOCH + MADE_AFTER + WINDOW;
        let clock = Arc::new(ManualClock::new(start));
        let disk = CrashDisk::new(Path::new(ROOT));
        let blobs = blobs_on(&disk, 0).expect("a fresh store");
        let database = folder.path().join("coracle.db");
        let of_catalog: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let location = Location::File(&database);
        let catalog = catalog_with(location, &blobs, of_catalog, options.grace);
        Self {
            registry: Registry::new(catalog, Arc::clone(&blobs), options),
            clock,
            blobs,
            _folder: folder,
        }
    }

    fn push_blob(&self, at: &str, bytes: &[u8]) -> Digest {
        let own = digest(bytes);
        let pushed = self
            .registry
            .push_blob(&name(at), None, &mut &bytes[..], &own);
        pushed.expect("a blob is taken");
        own
    }

    fn put(&self, at: &str, reference: &str, bytes: &[u8]) -> Result<Digest, Error> {
        let reference: Reference = reference.parse().expect("a reference");
        let pushed = self.registry.push_manifest(
            &name(at),
            &reference,
            Vec::new(),
            None,
            bytes.to_vec(),
            None,
        );
        pushed.map(|pushed| pushed.digest)
    }

    /// An image of these blobs, which are sent first; by tag, or by digest.
    fn push_image(&self, at: &str, word: Option<&str>, blobs: &[&[u8]]) -> Digest {
        for bytes in blobs {
            self.push_blob(at, bytes);
        }
        let manifest = image(blobs, None);
        let reference = word.map_or_else(|| digest(&manifest).to_string(), ToOwned::to_owned);
        self.put(at, &reference, &manifest).expect("taken")
    }

    fn delete(&self, at: &str, reference: &str) {
        let reference = reference.parse().expect("a reference");
        let deleted = self.registry.delete_manifest(&name(at), &reference, None);
        deleted.expect("deleted");
    }

    fn collect(&self, options: GcOptions) -> GcReport {
        self.registry
            .collect(options, &mut |_| ())
            .expect("a report")
    }

    fn has_blob(&self, at: &str, own: &Digest) -> bool {
        // Without a lease.
        self.registry.open_blob(&name(at), own).is_ok()
    }

    fn has_manifest(&self, at: &str, own: &Digest) -> bool {
        let found = self
            .registry
            .catalog()
            .read(|tx| tx.manifest_facts(&name(at), own));
        found.expect("an answer").is_some()
    }

    /// Files of blobs.
    fn files(&self) -> usize {
        let mut count = 0;
        for shard in Shard::all() {
            let walked = self.blobs.walk_shard(shard, &mut |_| {
                count += 1;
                true
            });
            walked.expect("a folder");
        }
        count
    }

    /// Nothing is wrong, and every file has its row.
    #[track_caller]
    fn expect_sound(&self) {
        let options = CheckOptions {
            deep: true,
            repair: false,
        };
        let report = self.registry.check(options, &mut |_| ()).expect("a report");
        assert_eq!(report.findings, []);
    }
}

/// An index of these manifests, with one blob as a child if there is one.
fn index(children: &[&[u8]]) -> Vec<u8> {
    let children: Vec<String> = children
        .iter()
        .map(|bytes| {
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":{}}}"#,
                digest(bytes),
                bytes.len()
            )
        })
        .collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
        children.join(",")
    )
    .into_bytes()
}
