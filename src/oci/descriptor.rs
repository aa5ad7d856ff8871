//! Descriptors: how a manifest refers to content (OCI Image Specification, "Descriptors").

use super::{Digest, MediaType};

/// The part of a descriptor that a registry acts on. Everything else stays in the manifest's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What the content is; absent or malformed types are kept as `None`.
    pub media_type: Option<MediaType>,
    /// Which content.
    pub digest: Digest,
    /// Its length in bytes, as the manifest claims.
    pub size: u64,
    /// Whether the content may be fetched from elsewhere (`urls` is not empty).
    pub has_urls: bool,
}
