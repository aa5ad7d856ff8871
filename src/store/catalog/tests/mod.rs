//! The catalog against its promises. Here: what the tests beside this file share.
#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method of a type with a lifetime is not general enough to stand for the closure"
)]

mod accounts;
mod concurrency;
mod copies;
mod ending;
mod files;
mod group_commit;
mod housekeeping;
mod model;
mod policy;
mod queries;
mod schema;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::*;
use crate::clock::ManualClock;
use crate::oci::{Algorithm, Digest, MediaType, RepositoryName, Tag};
use crate::store::StoredBlob;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

fn relaxed(location: Location<'_>) -> Options<'_> {
    Options {
        durability: Durability::Relaxed,
        ..Options::new(location)
    }
}

fn in_memory() -> Catalog {
    Catalog::open(Options::new(Location::Memory), Box::new(|_| Ok(()))).expect("opens")
}

fn in_file(path: &Path) -> Catalog {
    Catalog::open(relaxed(Location::File(path)), Box::new(|_| Ok(()))).expect("opens")
}

/// Runs a test against a catalog in memory and one in a file.
fn everywhere(test: impl Fn(&Catalog)) {
    let folder = tempfile::tempdir().unwrap();
    for catalog in [in_memory(), in_file(&folder.path().join("coracle.db"))] {
        test(&catalog);
        let findings = catalog.integrity().expect("checks");
        assert_eq!(findings, Vec::<String>::new());
    }
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn digest(text: &str) -> Digest {
    Digest::of(Algorithm::Sha256, text.as_bytes())
}

fn sha512(text: &str) -> Digest {
    Digest::of(Algorithm::Sha512, text.as_bytes())
}

/// A blob whose content is its name.
fn stored(text: &str) -> StoredBlob {
    StoredBlob::in_file(digest(text), text.len() as u64, false)
}

/// The same, with its bytes in the row.
fn inline(text: &str) -> StoredBlob {
    StoredBlob::in_row(digest(text), text.into(), Box::new(()))
}

/// A manifest as a test describes it: its content is a text.
#[derive(Clone, Default)]
struct Sample {
    content: String,
    media_type: Option<&'static str>,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
    subject: Option<Digest>,
    references: Vec<(ReferenceKind, Digest)>,
}

fn sample(content: &str) -> Sample {
    Sample {
        content: content.to_owned(),
        ..Sample::default()
    }
}

impl Sample {
    fn digest(&self) -> Digest {
        digest(&self.content)
    }

    fn put(&self, tx: &mut WriteTx<'_>, name: &RepositoryName) -> Result<(), Error> {
        let media_type = MediaType::from(self.media_type.unwrap_or(IMAGE));
        tx.put_manifest(
            name,
            &NewManifest {
                digest: self.digest(),
                media_type: &media_type,
                bytes: self.content.as_bytes(),
                artifact_type: self.artifact_type.as_deref(),
                annotations: &self.annotations,
                subject: self.subject,
                references: &self.references,
                is_tagged: false,
            },
        )
    }

    fn row(&self) -> ManifestRow {
        ManifestRow {
            digest: self.digest(),
            media_type: MediaType::from(self.media_type.unwrap_or(IMAGE)),
            bytes: Arc::from(self.content.as_bytes()),
        }
    }
}

fn write<T: Send + 'static>(
    catalog: &Catalog,
    work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, Error> + Send + 'static,
) -> T {
    catalog.write(work).expect("writes")
}

fn read<T>(catalog: &Catalog, work: impl FnOnce(&ReadTx<'_>) -> Result<T, Error>) -> T {
    catalog.read(work).expect("reads")
}

/// Puts manifests into a repository, each under a tag of its own name.
fn push(catalog: &Catalog, repository: &str, contents: &[&str]) {
    let repository = name(repository);
    let samples: Vec<Sample> = contents.iter().map(|content| sample(content)).collect();
    write(catalog, move |tx| {
        for sample in &samples {
            sample.put(tx, &repository)?;
            tx.set_tag(&repository, &tag(&sample.content), &sample.digest(), None)?;
        }
        Ok(())
    });
}
