//! A lock by digest: one owner at a time for {publish + row} and {re-check + row removal + unlink}
//! of the same blob. Different digests never wait for each other.
//!
//! Order: a digest lock is taken before a closure goes to the catalog's writer, never inside one.
//! Who holds one does not wait for another: several are taken only with
//! [`try_lock`](DigestLocks::try_lock), which does not wait.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::oci::Digest;

/// How many parts the locks have, so that their owners seldom meet at the same one.
const PARTS: usize = 64;

/// The locks. One value for each open store.
pub struct DigestLocks {
    parts: Vec<Part>,
}

#[derive(Default)]
struct Part {
    held: Mutex<HashSet<Digest>>,
    freed: Condvar,
}

/// The lock of a digest, until it is dropped.
#[must_use]
pub struct DigestLock<'l> {
    part: &'l Part,
    digest: Digest,
}

impl Part {
    fn held(&self) -> MutexGuard<'_, HashSet<Digest>> {
        // Nothing that is done under it can panic half-way.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DigestLocks {
    /// Nothing is locked.
    pub fn new() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Part::default()).collect(),
        }
    }

    /// Waits for the digest's lock. Not for who holds one already.
    pub fn lock(&self, digest: &Digest) -> DigestLock<'_> {
        let part = self.part(digest);
        let mut held = part.held();
        while !held.insert(*digest) {
            held = part
                .freed
                .wait(held)
                .unwrap_or_else(PoisonError::into_inner);
        }
        DigestLock {
            part,
            digest: *digest,
        }
    }

    /// The digest's lock, unless somebody holds it.
    pub fn try_lock(&self, digest: &Digest) -> Option<DigestLock<'_>> {
        let part = self.part(digest);
        let is_ours = part.held().insert(*digest);
        // Made only then: dropping one frees the digest.
        is_ours.then(|| DigestLock {
            part,
            digest: *digest,
        })
    }

    fn part(&self, digest: &Digest) -> &Part {
        &self.parts[usize::from(digest.raw()[1]) % PARTS]
    }
}

impl Drop for DigestLock<'_> {
    fn drop(&mut self) {
        self.part.held().remove(&self.digest);
        self.part.freed.notify_all();
    }
}

impl Default for DigestLocks {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn a_digest_has_one_owner_and_others_do_not_notice() {
        let locks = DigestLocks::new();
        let digests: Vec<Digest> = (0..1000u32)
            .map(|n| Digest::of(Algorithm::Sha256, &n.to_be_bytes()))
            .collect();
        let owned: Vec<_> = digests.iter().map(|own| locks.try_lock(own)).collect();
        assert!(owned.iter().all(Option::is_some));
        assert!(digests.iter().all(|own| locks.try_lock(own).is_none()));
        drop(owned);
        assert!(digests.iter().all(|own| locks.try_lock(own).is_some()));
    }

    #[test]
    fn who_waits_gets_it_when_it_is_dropped() {
        let locks = DigestLocks::new();
        let digest = Digest::of(Algorithm::Sha256, b"one");
        let count = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let _owned = locks.lock(&digest);
                        *count.try_lock().expect("there is one owner") += 1;
                    }
                });
            }
        });
        assert_eq!(*count.lock().expect("nobody panicked"), 4000);
    }
}
