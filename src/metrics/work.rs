//! What is counted of housekeeping, of logins, and of what was refused.

use super::instruments::Counter;
use super::labels::{LoginKind, LoginOutcome, RefusedFor};

/// What housekeeping has done, and why requests were refused.
#[derive(Debug, Default)]
pub struct WorkMetrics {
    /// Blobs that were collected.
    pub collected_blobs: Counter,
    /// Their bytes.
    pub collected_bytes: Counter,
    /// Manifests that were collected.
    pub collected_manifests: Counter,
    /// Tags that retention removed.
    pub retention_tags: Counter,
    /// Manifests that retention removed.
    pub retention_manifests: Counter,
    /// Bytes that this frees in time.
    pub retention_bytes: Counter,
    /// Blobs that the scrub has read.
    pub scrubbed_blobs: Counter,
    /// Bytes that the scrub has read.
    pub scrubbed_bytes: Counter,
    /// Blobs that the scrub found damaged.
    pub scrub_found: Counter,
    /// Upload sessions that were removed for their age or for room.
    pub expired_uploads: Counter,
    /// Files without a row that were removed.
    pub swept_files: Counter,
    refused: [Counter; RefusedFor::ALL.len()],
}

impl WorkMetrics {
    /// Requests that were refused for this.
    pub const fn refused(&self, why: RefusedFor) -> &Counter {
        &self.refused[why as usize]
    }
}

/// Who was let in and who was not.
#[derive(Debug, Default)]
pub struct LoginMetrics {
    logins: [[Counter; LoginOutcome::ALL.len()]; LoginKind::ALL.len()],
}

impl LoginMetrics {
    /// Logins of this kind with this outcome.
    pub const fn of(&self, kind: LoginKind, outcome: LoginOutcome) -> &Counter {
        &self.logins[kind as usize][outcome as usize]
    }
}
