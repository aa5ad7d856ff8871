//! Secrets: values that no log and no message shows, the secrets of machines' tokens, and hashes
//! under a key that only this process knows.

use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A text that is not shown by accident: its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever means to have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What the secret of a machine's token begins with, so that people and scanners recognise it.
const MACHINE_PREFIX: &str = "coracle_";
/// Random bytes of such a secret.
const MACHINE_BYTES: usize = 32;
/// Their length in base64 without padding.
const MACHINE_CHARACTERS: usize = (MACHINE_BYTES * 8).div_ceil(6);

/// A new secret for a machine's token: `coracle_` and 32 random bytes in URL-safe base64.
///
/// # Errors
/// The system gives no random bytes.
pub fn new_machine_secret() -> io::Result<Secret> {
    let random: [u8; MACHINE_BYTES] = random()?;
    let encoded = URL_SAFE_NO_PAD.encode(random);
    Ok(Secret(format!("{MACHINE_PREFIX}{encoded}")))
}

/// Whether `text` has the form of a machine's secret.
pub fn is_machine_secret(text: &str) -> bool {
    text.strip_prefix(MACHINE_PREFIX).is_some_and(|rest| {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        rest.len() == MACHINE_CHARACTERS && rest.bytes().all(is_known)
    })
}

/// What the catalog keeps of a machine's secret. The secret is random and long, so that a plain
/// hash cannot be turned back, and nobody learns anything by measuring how long a look-up takes.
pub fn machine_secret_hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Random bytes, straight from the kernel.
///
/// # Errors
/// The system gives none.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| io::Error::other(format!("the system gives no random bytes: {error}")))?;
    Ok(bytes)
}

/// A key that is made with the process and never leaves it.
pub struct ProcessKey([u8; 32]);

impl ProcessKey {
    /// A new key.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new() -> io::Result<Self> {
        random().map(Self)
    }

    /// The hash of `parts` under this key. The lengths go in as well, so that no two lists of
    /// parts are the same. (The key in front of the text is enough here: nobody outside ever sees
    /// a hash that they could extend.)
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(self.0);
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

impl fmt::Debug for ProcessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProcessKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_secrets_are_long_random_and_recognised() {
        let (one, other) = (new_machine_secret().unwrap(), new_machine_secret().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), 8 + 43);
        assert!(is_machine_secret(one.reveal()));
        let secret = one.reveal();
        for text in [
            "",
            "coracle_",
            "hunter22",
            &secret[..50],
            &format!("{secret}A"),
            &secret.replace("coracle_", "Coracle_"),
            &format!("{}+", &secret[..50]),
            &format!("coracle_{}", "é".repeat(22)),
        ] {
            assert!(!is_machine_secret(text), "{text}");
        }
        assert_ne!(
            machine_secret_hash(one.reveal()),
            machine_secret_hash(other.reveal())
        );
    }

    #[test]
    fn a_secret_is_not_shown_by_accident() {
        let shown = format!("{:?}", Secret::new("hunter22"));
        assert_eq!(shown, "Secret(…)");
        let key = ProcessKey::new().unwrap();
        assert_eq!(format!("{key:?}"), "ProcessKey(…)");
    }

    #[test]
    fn hashes_tell_lists_of_parts_apart() {
        let key = ProcessKey::new().unwrap();
        let hash = key.hash(&[b"ab", b"c"]);
        assert_eq!(hash, key.hash(&[b"ab", b"c"]));
        assert_ne!(hash, key.hash(&[b"a", b"bc"]));
        assert_ne!(hash, key.hash(&[b"abc"]));
        assert_ne!(hash, ProcessKey::new().unwrap().hash(&[b"ab", b"c"]));
    }
}
