//! Media types of manifests and layers, as registered by OCI and Docker.

use std::fmt;

/// A media type without parameters, kept exactly as it was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaType(String);

/// `application/vnd.oci.image.manifest.v1+json`
pub const OCI_IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// `application/vnd.oci.image.index.v1+json`
pub const OCI_IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The artifact manifest that OCI retired before 1.1; still pushed by old clients.
pub const OCI_ARTIFACT_MANIFEST: &str = "application/vnd.oci.artifact.manifest.v1+json";
/// Docker's image manifest, version 2 schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's schema 1, refused.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// Docker's signed schema 1, refused.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

impl MediaType {
    /// The longest media type that is kept, in bytes (RFC 6838, section 4.2: 127 + "/" + 127).
    pub const LENGTH_MAX: usize = 255;

    /// A media type from the value of a `Content-Type` header or a `mediaType` field: parameters
    /// are dropped. `None` when what is left is not `type/subtype` of printable characters.
    pub fn parse(value: &str) -> Option<Self> {
        let essence = value.split(';').next().unwrap_or_default().trim();
        let printable =
            |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:<=>?@[\\]{}".contains(&byte);
        let (kind, subtype) = essence.split_once('/')?;
        let valid = essence.len() <= Self::LENGTH_MAX
            && !kind.is_empty()
            && !subtype.is_empty()
            && kind.bytes().all(printable)
            && subtype.bytes().all(printable);
        valid.then(|| Self(essence.to_owned()))
    }

    /// The media type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a layer of this type is never distributed by a registry, so that its absence is no
    /// error (OCI Image Specification, "Non-distributable layers"; Docker's foreign layers).
    pub fn is_nondistributable(&self) -> bool {
        self.0
            .starts_with("application/vnd.oci.image.layer.nondistributable.")
            || self
                .0
                .starts_with("application/vnd.docker.image.rootfs.foreign.")
    }
}

impl From<&'static str> for MediaType {
    fn from(known: &'static str) -> Self {
        Self(known.to_owned())
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
