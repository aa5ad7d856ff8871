//! The one error of the registry: the outcomes a caller can act on, with the facts inside.

use std::fmt;
use std::io;

use super::manifests::TIME_TO_LIVE;
use super::policy::Excess;
use crate::clock::life::LifeError;
use crate::clock::rfc3339;
use crate::oci::{Digest, ManifestError, Reference, RepositoryName, Tag};
use crate::store;
use crate::store::blobs::{UploadError, UploadId};

/// Why an operation was not done. Whatever the variant, nothing was changed by it, save that a
/// finished upload session is gone after [`Error::DigestMismatch`].
#[derive(Debug)]
pub enum Error {
    /// No such repository.
    NameUnknown {
        /// Its name.
        name: RepositoryName,
    },
    /// The repository holds no such blob.
    BlobUnknown {
        /// The blob.
        digest: Digest,
    },
    /// The repository holds no such manifest.
    ManifestUnknown {
        /// What was asked for.
        reference: Reference,
    },
    /// The bytes are not a manifest that can be stored.
    ManifestInvalid(ManifestError),
    /// Content that the manifest refers to is not in the repository.
    ManifestReferencesMissing {
        /// Every missing digest, once.
        digests: Vec<Digest>,
    },
    /// The manifest has too many descriptors.
    ManifestReferencesTooMany {
        /// How many it has.
        count: usize,
        /// The bound.
        limit: usize,
    },
    /// The manifest is too long.
    ManifestTooLarge {
        /// The bound, in bytes.
        limit: u64,
    },
    /// The bytes do not hash to the digest they were pushed under.
    DigestMismatch {
        /// What the client said.
        expected: Digest,
        /// What was received; `None` when it was not computed.
        actual: Option<Digest>,
    },
    /// No such upload session in this repository.
    UploadUnknown {
        /// The session.
        id: UploadId,
    },
    /// Another request is using the session.
    UploadBusy {
        /// The session.
        id: UploadId,
    },
    /// Too many upload sessions are open.
    UploadsTooMany {
        /// The bound.
        limit: usize,
    },
    /// A chunk does not start where the upload ends.
    OffsetMismatch {
        /// The session, which stays as it was.
        id: UploadId,
        /// Where the upload ends, in bytes.
        expected: u64,
        /// Where the chunk starts.
        found: u64,
    },
    /// A chunk is not as long as it said.
    SizeMismatch {
        /// What the range says, in bytes.
        declared: u64,
        /// What came.
        received: u64,
    },
    /// The blob is longer than allowed.
    BlobTooLarge {
        /// The bound, in bytes.
        limit: u64,
    },
    /// A quota has no room for it.
    QuotaExceeded(Excess),
    /// A tag that never moves would be moved or removed.
    TagImmutable {
        /// The tag.
        tag: Tag,
        /// What it stays on.
        digest: Digest,
        /// Where the rule was written.
        origin: String,
    },
    /// The annotation of a manifest that gives its tags a time to live is none.
    TimeToLiveInvalid {
        /// What it says.
        found: String,
        /// Why that is none.
        error: LifeError,
    },
    /// The clock is wrong, so that nothing is removed for its age.
    ClockWrong {
        /// What it says, in milliseconds since 1970.
        now: i64,
        /// Before which it cannot be.
        earliest: i64,
    },
    /// Deleting is switched off.
    DeleteDisabled,
    /// The content could not be read from whoever sends it.
    Source(io::Error),
    /// The store failed.
    Store(store::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameUnknown { name } => write!(f, "repository {name} is not known"),
            Self::BlobUnknown { digest } => write!(f, "blob {digest} is not in this repository"),
            Self::ManifestUnknown { reference } => {
                write!(f, "manifest {reference} is not in this repository")
            }
            Self::ManifestInvalid(why) => why.fmt(f),
            Self::ManifestReferencesMissing { digests } => write!(
                f,
                "{} of the blobs or manifests that the manifest refers to are not in this \
                 repository; push them first",
                digests.len()
            ),
            Self::ManifestReferencesTooMany { count, limit } => {
                write!(
                    f,
                    "the manifest has {count} descriptors, the most is {limit}"
                )
            }
            Self::ManifestTooLarge { limit } => {
                write!(
                    f,
                    "the manifest is larger than {limit} bytes, the most that is accepted"
                )
            }
            Self::DigestMismatch {
                expected,
                actual: Some(actual),
            } => {
                write!(
                    f,
                    "the content hashes to {actual}, not to {expected}; send it again"
                )
            }
            Self::DigestMismatch {
                expected,
                actual: None,
            } => {
                write!(f, "the content does not hash to {expected}; send it again")
            }
            Self::UploadUnknown { id } => write!(
                f,
                "upload {id} is not known in this repository: finished, cancelled or expired; \
                 start a new one"
            ),
            Self::UploadBusy { id } => write!(f, "upload {id} is in use by another request"),
            Self::UploadsTooMany { limit } => {
                write!(
                    f,
                    "{limit} uploads are open, the most there may be; try again later"
                )
            }
            Self::OffsetMismatch {
                expected, found, ..
            } => write!(
                f,
                "the chunk starts at byte {found}, the upload goes on at byte {expected}"
            ),
            Self::SizeMismatch { declared, received } => {
                write!(
                    f,
                    "the range covers {declared} bytes, the body has {received}"
                )
            }
            Self::BlobTooLarge { limit } => {
                write!(
                    f,
                    "the blob is larger than {limit} bytes, the most that is accepted"
                )
            }
            Self::QuotaExceeded(excess) => excess.fmt(f),
            Self::TagImmutable {
                tag,
                digest,
                origin,
            } => write!(
                f,
                "tag {tag} never moves and is never removed (immutable in {origin}); it stays on \
                 {digest}, use another tag"
            ),
            Self::TimeToLiveInvalid { found, error } => write!(
                f,
                "the annotation {TIME_TO_LIVE} is {found:?} and {error}; correct it or leave it out"
            ),
            Self::ClockWrong { now, earliest } => write!(
                f,
                "the clock says {}, and it cannot be before {}: nothing is removed for its age \
                 until the clock is right",
                rfc3339(*now),
                rfc3339(*earliest)
            ),
            Self::DeleteDisabled => f.write_str("deleting is switched off (delete.enabled)"),
            Self::Source(error) => write!(f, "the content could not be received: {error}"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::ManifestInvalid(error) => Some(error),
            Self::Source(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl Error {
    /// The registry's view of a session that could not be had.
    pub(super) fn of_upload(error: UploadError, id: &UploadId) -> Self {
        match error {
            UploadError::Unknown => Self::UploadUnknown { id: id.clone() },
            UploadError::Busy => Self::UploadBusy { id: id.clone() },
            UploadError::TooMany { limit } => Self::UploadsTooMany { limit },
            UploadError::Store(error) => Self::Store(error),
        }
    }
}
