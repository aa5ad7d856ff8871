//! Which change is which event: every kind of change, by whoever makes it.

use super::*;
use crate::oci::{Algorithm, Digest, MediaType};
use crate::store::catalog::{ChangeAction, ChangeTarget};

/// A change of a blob, for tests.
pub fn blob_change(repository: &str, action: ChangeAction) -> Change {
    Change {
        at_ms: 1_709_210_096_789,
        salt: 0x0123_4567_89ab_cdef,
        action,
        target: ChangeTarget::Blob(Digest::of(Algorithm::Sha256, b"blob")),
        repository: repository.parse().expect("a name"),
        from: None,
        size: 4,
        media_type: None,
        tags: Vec::new(),
        refers_to: None,
        actor: None,
        request: None,
    }
}

/// A change of a manifest, for tests.
pub fn manifest_change(repository: &str, action: ChangeAction) -> Change {
    Change {
        target: ChangeTarget::Manifest(Digest::of(Algorithm::Sha256, b"manifest")),
        size: 8,
        media_type: MediaType::parse("application/vnd.oci.image.manifest.v1+json"),
        ..blob_change(repository, action)
    }
}
