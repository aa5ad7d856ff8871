//! A striped lock by digest: one owner at a time for {publish + row} and {re-check + row removal +
//! unlink} of the same blob.
//!
//! Order: a digest lock is taken before a closure goes to the catalog's writer, never inside one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::oci::Digest;

/// How many stripes there are; two digests share one with a chance of 1 in this many.
const STRIPES: usize = 1024;

/// The locks. One value for each open store.
pub struct DigestLocks {
    stripes: Vec<Mutex<()>>,
}

impl DigestLocks {
    /// Unlocked stripes.
    pub fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Waits for the digest's stripe. Never hold two at once: two digests may share a stripe.
    pub fn lock(&self, digest: &Digest) -> MutexGuard<'_, ()> {
        let raw = digest.raw();
        let stripe = usize::from(u16::from_be_bytes([raw[1], raw[2]])) % STRIPES;
        // The lock guards no data of its own, so a panic elsewhere left nothing half-done in it.
        self.stripes[stripe]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for DigestLocks {
    fn default() -> Self {
        Self::new()
    }
}
