//! Blobs, manifests, indexes and artifacts built from a seed, and the ways to push and ask for
//! them.
//!
//! Layers made here are random bytes: right for a registry, which never looks inside, but not
//! for a client that unpacks (`clients/` builds real ones).

use super::{Client, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};
use std::fmt::Write as _;

/// An OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The configuration of an OCI image.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A gzipped layer of an OCI image.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The config of an artifact that has none: the two bytes `{}`.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// A Docker schema 2 manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The configuration of a Docker image.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// A gzipped layer of a Docker image.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// Bytes that look random and are the same for the same seed (splitmix64).
pub fn bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// The sha256 digest as the protocol writes it.
pub fn digest(bytes: impl AsRef<[u8]>) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// The sha512 digest as the protocol writes it.
pub fn digest_sha512(bytes: impl AsRef<[u8]>) -> String {
    format!("sha512:{}", hex(&Sha512::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A descriptor of these bytes.
pub fn descriptor(media_type: &str, bytes: impl AsRef<[u8]>) -> Value {
    let bytes = bytes.as_ref();
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// A manifest of any kind: its exact bytes and the media type it is pushed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What the Content-Type header says.
    pub media_type: String,
    /// What is pushed, byte for byte.
    pub bytes: Vec<u8>,
}

impl Manifest {
    /// A manifest of this JSON; its media type is its `mediaType` field.
    pub fn new(json: &Value) -> Manifest {
        let media_type = json["mediaType"]
            .as_str()
            .expect("a manifest with mediaType")
            .to_owned();
        Manifest {
            media_type,
            bytes: json.to_string().into_bytes(),
        }
    }

    /// An OCI index of manifests, each with a platform (`amd64`, `arm64`, …).
    pub fn index(children: &[(&Manifest, &str)]) -> Manifest {
        Manifest::of_children(OCI_INDEX, children)
    }

    /// A Docker manifest list.
    pub fn list(children: &[(&Manifest, &str)]) -> Manifest {
        Manifest::of_children(DOCKER_LIST, children)
    }

    fn of_children(media_type: &str, children: &[(&Manifest, &str)]) -> Manifest {
        let describe = |(child, architecture): &(&Manifest, &str)| {
            let mut descriptor = child.descriptor();
            descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
            descriptor
        };
        let children: Vec<Value> = children.iter().map(describe).collect();
        let json = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children});
        Manifest::new(&json)
    }

    /// An artifact about `subject`: the empty config `{}` and no layers but that same blob, both
    /// of which the repository must hold ([`Client::push_blob`] with `b"{}"`).
    pub fn artifact(artifact_type: &str, subject: &Value) -> Manifest {
        let empty = descriptor(OCI_EMPTY, b"{}");
        Manifest::new(&json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": artifact_type,
            "config": empty, "layers": [empty], "subject": subject,
        }))
    }

    /// This manifest with more fields on top, such as `annotations`.
    #[must_use]
    pub fn with(&self, field: &str, value: Value) -> Manifest {
        let mut json = self.json();
        json[field] = value;
        Manifest::new(&json)
    }

    /// The digest of the exact bytes.
    pub fn digest(&self) -> String {
        digest(&self.bytes)
    }

    /// A descriptor of the exact bytes.
    pub fn descriptor(&self) -> Value {
        descriptor(&self.media_type, &self.bytes)
    }

    /// The bytes as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("a manifest of JSON")
    }
}

/// An image with all its blobs.
#[derive(Clone, Debug)]
pub struct Image {
    /// The bytes of the config blob.
    pub config: Vec<u8>,
    /// The bytes of each layer.
    pub layers: Vec<Vec<u8>>,
    /// The manifest that refers to them.
    pub manifest: Manifest,
}

impl Image {
    /// An OCI image with layers of these sizes.
    pub fn oci(seed: u64, layer_sizes: &[usize]) -> Image {
        Image::random([OCI_MANIFEST, OCI_CONFIG, OCI_LAYER], seed, layer_sizes)
    }

    /// A Docker schema 2 image with layers of these sizes.
    pub fn docker(seed: u64, layer_sizes: &[usize]) -> Image {
        Image::random(
            [DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER],
            seed,
            layer_sizes,
        )
    }

    /// An OCI image of this config and these layers.
    pub fn new(config: &Value, layers: Vec<Vec<u8>>) -> Image {
        Image::of_types([OCI_MANIFEST, OCI_CONFIG, OCI_LAYER], config, layers)
    }

    fn random(types: [&str; 3], seed: u64, layer_sizes: &[usize]) -> Image {
        let sizes = layer_sizes.iter().zip(1_u64..);
        let layers: Vec<_> = sizes
            .map(|(&size, n)| bytes(seed.wrapping_mul(1000) + n, size))
            .collect();
        let diff_ids: Vec<String> = layers.iter().map(digest).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "author": format!("seed {seed}"),
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        Image::of_types(types, &config, layers)
    }

    fn of_types(types: [&str; 3], config: &Value, layers: Vec<Vec<u8>>) -> Image {
        let [manifest_type, config_type, layer_type] = types;
        let config = config.to_string().into_bytes();
        let described: Vec<_> = layers
            .iter()
            .map(|layer| descriptor(layer_type, layer))
            .collect();
        let manifest = Manifest::new(&json!({
            "schemaVersion": 2, "mediaType": manifest_type,
            "config": descriptor(config_type, &config), "layers": described,
        }));
        Image {
            config,
            layers,
            manifest,
        }
    }

    /// The digest of the manifest.
    pub fn digest(&self) -> String {
        self.manifest.digest()
    }

    /// Every blob: the config, then the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.config)
            .chain(&self.layers)
            .map(Vec::as_slice)
    }
}

/// Pushes and questions about them, all of which fail unless the server agrees.
impl Client {
    /// Pushes a blob by POST and one PUT; answers its digest.
    #[track_caller]
    pub fn push_blob(&mut self, repository: &str, bytes: impl AsRef<[u8]>) -> String {
        let digest = digest(&bytes);
        let session = self
            .post(&format!("/v2/{repository}/blobs/uploads/"), b"")
            .expect(202);
        let location = session.location();
        let joint = if location.contains('?') { '&' } else { '?' };
        self.put(&format!("{location}{joint}digest={digest}"), bytes)
            .expect(201)
            .expect_header("Docker-Content-Digest", &digest);
        digest
    }

    /// Pushes a manifest by tag or digest, whatever comes of it.
    #[track_caller]
    pub fn put_manifest(
        &mut self,
        repository: &str,
        reference: &str,
        manifest: &Manifest,
    ) -> Response {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let headers = [("Content-Type", manifest.media_type.as_str())];
        self.request("PUT", &path, &headers, Some(&manifest.bytes))
    }

    /// Pushes a manifest by tag or digest; answers its digest.
    #[track_caller]
    pub fn push_manifest(
        &mut self,
        repository: &str,
        reference: &str,
        manifest: &Manifest,
    ) -> String {
        let digest = manifest.digest();
        self.put_manifest(repository, reference, manifest)
            .expect(201)
            .expect_header("Docker-Content-Digest", &digest);
        digest
    }

    /// Pushes an image's blobs, then its manifest by tag or digest; answers the manifest's digest.
    #[track_caller]
    pub fn push_image(&mut self, repository: &str, reference: &str, image: &Image) -> String {
        for blob in image.blobs() {
            self.push_blob(repository, blob);
        }
        self.push_manifest(repository, reference, &image.manifest)
    }

    /// Fails unless the blob is served, byte for byte.
    #[track_caller]
    pub fn expect_blob(&mut self, repository: &str, bytes: impl AsRef<[u8]>) {
        let path = format!("/v2/{repository}/blobs/{}", digest(&bytes));
        self.get(&path).expect(200).expect_body(bytes);
    }

    /// Fails unless the manifest is served by tag or digest, byte for byte, as what it is.
    #[track_caller]
    pub fn expect_manifest(&mut self, repository: &str, reference: &str, manifest: &Manifest) {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let accept = [("Accept", manifest.media_type.as_str())];
        self.request("GET", &path, &accept, None)
            .expect(200)
            .expect_header("Content-Type", &manifest.media_type)
            .expect_header("Docker-Content-Digest", &manifest.digest())
            .expect_body(&manifest.bytes);
    }

    /// Fails unless the image is served by tag or digest with all its blobs, byte for byte.
    #[track_caller]
    pub fn expect_image(&mut self, repository: &str, reference: &str, image: &Image) {
        self.expect_manifest(repository, reference, &image.manifest);
        for blob in image.blobs() {
            self.expect_blob(repository, blob);
        }
    }
}
