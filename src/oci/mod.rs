//! The words of the field: parsed once at the edge, and from then on the type is the proof.
//!
//! Grammar and meaning come from the OCI Distribution, Image and Digest specifications.
//! Nothing here does I/O, reads a clock or knows HTTP.

pub mod bounded;
pub mod descriptor;
pub mod digest;
pub mod error_code;
pub mod glob;
pub mod manifest;
pub mod media_type;
pub mod reference;
pub mod repository;
pub mod tag_glob;
#[cfg(test)]
mod tests;

pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use error_code::ErrorCode;
pub use glob::Glob;
pub use manifest::{Manifest, ManifestError, ManifestKind};
pub use media_type::MediaType;
pub use reference::{Reference, ReferenceError, Tag, TagError};
pub use repository::{RepositoryName, RepositoryNameError};
pub use tag_glob::TagGlob;
