//! What is pushed: layers of seeded random bytes, and the images made of them.
//!
//! Every round has its own bytes, so that no server can answer from what it already has, and all
//! servers of a round get the same ones.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// Media type of the image manifests.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of the indexes that fill long lists.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An image manifest that needs nothing else to be there first.
pub const INDEX_EMPTY: &str = concat!(
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","#,
    r#""manifests":[]}"#
);

/// A small deterministic generator (splitmix64); not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose bytes depend on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

/// A blob with its digest, in two parts so that large ones can share their bulk.
#[derive(Clone, Debug)]
pub struct Blob {
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    bulk: Arc<Vec<u8>>,
    end: Vec<u8>,
}

impl Blob {
    /// A blob of its own bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        let digest = digest(&Sha256::digest(&bytes));
        Self {
            digest,
            bulk: Arc::new(bytes),
            end: Vec::new(),
        }
    }

    /// The bytes, in order.
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.bulk, &self.end]
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.bulk.len() + self.end.len()
    }

    fn descriptor(&self, media_type: &str) -> serde_json::Value {
        serde_json::json!({ "mediaType": media_type, "digest": self.digest, "size": self.len() })
    }
}

/// Makes large blobs that differ in their last bytes only, so that a thousand of them need the
/// memory, and the hashing, of one.
pub struct LargeBlobs {
    bulk: Arc<Vec<u8>>,
    hashed: Sha256,
    random: Random,
}

impl LargeBlobs {
    const END_BYTES: usize = 64;

    /// Blobs of `length` bytes.
    pub fn new(seed: u64, length: usize) -> Self {
        let mut random = Random::new(seed);
        let bulk = Arc::new(random.bytes(length.saturating_sub(Self::END_BYTES)));
        let hashed = Sha256::new_with_prefix(bulk.as_slice());
        Self {
            bulk,
            hashed,
            random,
        }
    }

    /// The next blob.
    pub fn next(&mut self) -> Blob {
        let end = self.random.bytes(Self::END_BYTES);
        let mut hash = self.hashed.clone();
        hash.update(&end);
        Blob {
            digest: digest(&hash.finalize()),
            bulk: Arc::clone(&self.bulk),
            end,
        }
    }

    /// The next `count` blobs.
    pub fn take(&mut self, count: usize) -> Vec<Blob> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// An image as a client pushes it.
#[derive(Clone, Debug)]
pub struct Image {
    /// Repository name.
    pub repository: String,
    /// Tag.
    pub tag: String,
    /// Configuration and layers, in the order they are pushed.
    pub blobs: Vec<Blob>,
    /// The manifest's exact bytes.
    pub manifest: Vec<u8>,
}

impl Image {
    /// An image of `layers` random layers of `layer_bytes` each.
    pub fn random(
        random: &mut Random,
        repository: String,
        tag: String,
        layers: usize,
        layer_bytes: usize,
    ) -> Self {
        let created = random.next();
        let config = Blob::new(
            serde_json::json!({
                "architecture": "amd64", "os": "linux", "config": { "User": created.to_string() },
                "rootfs": { "type": "layers", "diff_ids": [] }
            })
            .to_string()
            .into_bytes(),
        );
        let layers: Vec<Blob> = (0..layers)
            .map(|_| Blob::new(random.bytes(layer_bytes)))
            .collect();
        let layer_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
            "layers": layers.iter().map(|it| it.descriptor(layer_type)).collect::<Vec<_>>(),
        });
        let blobs = std::iter::once(config).chain(layers).collect();
        Self {
            repository,
            tag,
            blobs,
            manifest: manifest.to_string().into_bytes(),
        }
    }

    /// `count` images, ten tags to a repository, whose names and bytes depend on `seed`.
    pub fn many(seed: u64, count: usize, layers: usize, layer_bytes: usize) -> Vec<Self> {
        let mut random = Random::new(seed);
        (0..count)
            .map(|index| {
                let repository = format!("bench/s{seed}-r{}", index / 10);
                Self::random(
                    &mut random,
                    repository,
                    format!("v{index}"),
                    layers,
                    layer_bytes,
                )
            })
            .collect()
    }

    /// Where the manifest is put and got.
    pub fn target(&self) -> String {
        format!("/v2/{}/manifests/{}", self.repository, self.tag)
    }
}

/// Where a blob of a repository is got.
pub fn blob_target(repository: &str, blob: &Blob) -> String {
    format!("/v2/{repository}/blobs/{}", blob.digest)
}

/// `sha256:` and the hash in hex.
pub fn digest(hash: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in hash {
        // Writing into a String has no way to fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
