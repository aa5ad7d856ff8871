//! Tokens that were verified a moment ago, by their SHA-256, so that a client that shows one with
//! each request pays for its signature once.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// The most bytes of one half. What is kept of a token is about as large as its text.
const HALF_BYTES_MAX: usize = 2 << 20;

/// What an entry costs beside its token, in bytes.
const ENTRY_BYTES: usize = 256;

/// The name of a token: its SHA-256, so that the cache holds no credential.
pub(super) type TokenId = [u8; 32];

/// The name of the token with this text.
pub(super) fn id(text: &str) -> TokenId {
    Sha256::digest(text).into()
}

/// A bounded map from tokens to what they were found to be. Whether an entry is still good is for
/// its user to say.
#[derive(Debug)]
pub(super) struct TokenCache<V>(Mutex<Halves<V>>);

/// When the young half is full it becomes the old one, whose entries are gone: no entry is ever
/// looked for to be removed, and what is in use moves to the young half again.
#[derive(Debug)]
struct Halves<V> {
    young: HashMap<TokenId, (usize, V)>,
    old: HashMap<TokenId, (usize, V)>,
    young_bytes: usize,
}

impl<V: Clone> TokenCache<V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Halves {
            young: HashMap::new(),
            old: HashMap::new(),
            young_bytes: 0,
        }))
    }

    /// What is kept of a token.
    pub(super) fn get(&self, id: &TokenId) -> Option<V> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = halves.young.get(id) {
            return Some(value.clone());
        }
        let (bytes, value) = halves.old.remove(id)?;
        halves.put(*id, bytes, value.clone());
        Some(value)
    }

    /// Keeps what a token of this many bytes was found to be.
    pub(super) fn put(&self, id: TokenId, text_bytes: usize, value: V) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.put(id, text_bytes + ENTRY_BYTES, value);
    }
}

impl<V> Halves<V> {
    fn put(&mut self, id: TokenId, bytes: usize, value: V) {
        if self.young_bytes + bytes > HALF_BYTES_MAX {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        if let Some((before, _)) = self.young.insert(id, (bytes, value)) {
            self.young_bytes -= before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_the_rest_goes() {
        let cache = TokenCache::new();
        let token_bytes = HALF_BYTES_MAX / 100;
        cache.put(id("used"), token_bytes, 0);
        for number in 1..1000 {
            cache.put(id(&number.to_string()), token_bytes, number);
            assert_eq!(cache.get(&id("used")), Some(0), "after {number}");
        }
        assert_eq!(cache.get(&id("1")), None);
        assert_eq!(cache.get(&id("999")), Some(999));
        let halves = cache.0.lock().unwrap();
        assert!(halves.young.len() + halves.old.len() <= 200);
    }

    #[test]
    fn a_token_that_is_put_again_counts_once() {
        let cache = TokenCache::new();
        cache.put(id("other"), 100, 1);
        for number in 0..HALF_BYTES_MAX / 100 {
            cache.put(id("same"), 100, number);
        }
        assert!(cache.0.lock().unwrap().young.contains_key(&id("other")));
    }
}
