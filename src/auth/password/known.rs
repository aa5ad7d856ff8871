//! What is remembered of logins that were verified: not the password, only a hash under the key of
//! this process.
//!
//! A fresh memory answers without bcrypt. An older one does not; it only tells that this very
//! password fitted this very hash before, so that its owner is neither throttled nor made to queue
//! behind others when somebody floods the registry with guesses.
//!
//! The key of an entry holds the stored hash that the password fitted. A new password, or another
//! line in the htpasswd file, makes another key: nothing has to be removed when accounts change.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a verified login is good without bcrypt.
pub const FRESH_MAX: Duration = Duration::from_secs(60);
/// How long it is remembered that it was good.
pub const KNOWN_MAX: Duration = Duration::from_secs(24 * 3600);
/// The most logins that are remembered; 40 bytes each, and a little more.
pub const ENTRIES_MAX: usize = 4096;

/// A name, the hash it is verified against, and a password, hashed under the process's key.
pub type Key = [u8; 32];

/// What is remembered of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// It was verified a moment ago.
    Fresh,
    /// It was verified some time ago.
    Known,
    /// Nothing.
    None,
}

/// The logins that were verified.
pub struct Known {
    verified: Mutex<HashMap<Key, Instant>>,
    entries_max: usize,
}

impl Known {
    /// Remembers up to `entries_max` logins.
    pub fn new(entries_max: usize) -> Self {
        Self {
            verified: Mutex::new(HashMap::new()),
            entries_max: entries_max.max(1),
        }
    }

    /// What is remembered of a login at `now`.
    pub fn look_up(&self, key: &Key, now: Instant) -> Memory {
        let verified = self.lock().get(key).copied();
        match verified.map(|at| now.saturating_duration_since(at)) {
            Some(age) if age < FRESH_MAX => Memory::Fresh,
            Some(age) if age < KNOWN_MAX => Memory::Known,
            _ => Memory::None,
        }
    }

    /// Remembers that a login was verified at `now`. Where there is no room, the one that was
    /// verified longest ago is forgotten; only right passwords get here.
    pub fn remember(&self, key: Key, now: Instant) {
        let mut verified = self.lock();
        if verified.len() >= self.entries_max && !verified.contains_key(&key) {
            verified.retain(|_, at| now.saturating_duration_since(*at) < KNOWN_MAX);
            if verified.len() >= self.entries_max {
                let oldest = verified.iter().min_by_key(|(_, at)| **at);
                if let Some(oldest) = oldest.map(|(key, _)| *key) {
                    verified.remove(&oldest);
                }
            }
        }
        verified.insert(key, now);
    }

    // Each change is one call on the map, so a panic leaves a whole map behind.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_age_and_end() {
        let known = Known::new(10);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(known.look_up(&[1; 32], start), Memory::None);
        known.remember([1; 32], start);
        for (seconds, memory) in [
            (0, Memory::Fresh),
            (59, Memory::Fresh),
            (60, Memory::Known),
            (86_399, Memory::Known),
            (86_400, Memory::None),
        ] {
            assert_eq!(known.look_up(&[1; 32], after(seconds)), memory);
            assert_eq!(known.look_up(&[2; 32], after(seconds)), Memory::None);
        }
        known.remember([1; 32], after(70));
        assert_eq!(known.look_up(&[1; 32], after(71)), Memory::Fresh);
    }

    #[test]
    fn what_was_verified_longest_ago_is_forgotten_first() {
        let known = Known::new(2);
        let start = Instant::now();
        for (key, seconds) in [(1, 0), (2, 1), (1, 2), (3, 3)] {
            known.remember([key; 32], start + Duration::from_secs(seconds));
        }
        let memories = [1, 2, 3].map(|key| known.look_up(&[key; 32], start));
        assert_eq!(memories, [Memory::Fresh, Memory::None, Memory::Fresh]);
        assert_eq!(known.lock().len(), 2);
    }
}
