//! Content digests: `algorithm:encoded`, and the running hash that produces them.
//!
//! Only the registered algorithms that this registry can verify are accepted: a digest that
//! cannot be checked would be a promise that cannot be kept.

use std::fmt;
use std::str::FromStr;

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256, Sha512};

/// A digest algorithm registered by the OCI Image Specification ("Digests").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, the canonical algorithm: 32 bytes, 64 hexadecimal characters.
    Sha256,
    /// SHA-512: 64 bytes, 128 hexadecimal characters.
    Sha512,
}

impl Algorithm {
    /// Every supported algorithm, the canonical one first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name as it stands before the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the raw digest in bytes.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// The small number that stands for the algorithm in the catalog and in checkpoints.
    pub const fn code(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// The algorithm of a [`code`](Self::code).
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Sha256),
            2 => Some(Self::Sha512),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or(DigestError::UnknownAlgorithm)
    }
}

/// Why a text is not a digest this registry can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestError {
    /// There is no `algorithm:encoded` shape.
    Malformed,
    /// The shape is right, the algorithm is not one of [`Algorithm::ALL`].
    UnknownAlgorithm,
    /// The encoded part has the wrong length for its algorithm.
    WrongLength,
    /// The encoded part holds something other than `0-9a-f`.
    NotLowerHex,
}

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => {
                "a digest has the form algorithm:encoded, such as sha256:<64 hex characters>"
            }
            Self::UnknownAlgorithm => "the digest algorithm is not supported; use sha256 or sha512",
            Self::WrongLength => {
                "the encoded part has the wrong length; sha256 has 64 characters, sha512 has 128"
            }
            Self::NotLowerHex => "the encoded part may hold only the characters 0-9 and a-f",
        })
    }
}

impl std::error::Error for DigestError {}

/// A content digest: its algorithm and its raw bytes.
///
/// Ordered by algorithm, then bytes: the order in which the catalog lists digests.
#[derive(Clone, Copy)]
pub struct Digest {
    algorithm: Algorithm,
    /// Only the first `algorithm.length()` bytes count; the rest is zero.
    bytes: [u8; 64],
}

impl Digest {
    /// The digest of `content` under `algorithm`.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// Joins an algorithm and raw bytes.
    ///
    /// # Errors
    /// [`DigestError::WrongLength`] when `raw` does not have the algorithm's length.
    pub fn from_raw(algorithm: Algorithm, raw: &[u8]) -> Result<Self, DigestError> {
        if raw.len() != algorithm.length() {
            return Err(DigestError::WrongLength);
        }
        let mut bytes = [0; 64];
        bytes[..raw.len()].copy_from_slice(raw);
        Ok(Self { algorithm, bytes })
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The raw digest bytes, 32 or 64 of them.
    pub fn raw(&self) -> &[u8] {
        &self.bytes[..self.algorithm.length()]
    }

    /// The encoded part: lower-case hexadecimal.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(2 * self.algorithm.length());
        self.push_hex(&mut text);
        text
    }

    fn push_hex(&self, text: &mut String) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for byte in self.raw() {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.raw() == other.raw()
    }
}

impl Eq for Digest {}

impl std::hash::Hash for Digest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.raw().hash(state);
    }
}

impl PartialOrd for Digest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Digest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.algorithm, self.raw()).cmp(&(other.algorithm, other.raw()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(7 + 2 * self.algorithm.length());
        text.push_str(self.algorithm.as_str());
        text.push(':');
        self.push_hex(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    /// Parses `algorithm:encoded` (OCI Image Specification, "Digests").
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, encoded) = text.split_once(':').ok_or(DigestError::Malformed)?;
        if !is_algorithm_name(algorithm) || encoded.is_empty() {
            return Err(DigestError::Malformed);
        }
        let algorithm: Algorithm = algorithm.parse()?;
        if encoded.len() != 2 * algorithm.length() {
            return Err(DigestError::WrongLength);
        }
        let mut bytes = [0; 64];
        for (byte, pair) in bytes.iter_mut().zip(encoded.as_bytes().chunks_exact(2)) {
            let high = lower_hex(pair[0]).ok_or(DigestError::NotLowerHex)?;
            let low = lower_hex(pair[1]).ok_or(DigestError::NotLowerHex)?;
            *byte = high << 4 | low;
        }
        Ok(Self { algorithm, bytes })
    }
}

/// `[a-z0-9]+([+._-][a-z0-9]+)*`, so that a plain mistake is told from an unsupported algorithm.
fn is_algorithm_name(text: &str) -> bool {
    text.split(['+', '.', '_', '-']).all(|component| {
        !component.is_empty()
            && component
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

const fn lower_hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// A running hash whose state can be saved and restored, so that an upload that resumes after a
/// restart does not read again what it has already hashed.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// A hash of nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// The algorithm this hash will finish with.
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Adds the next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of all that was added.
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 64];
        let algorithm = self.algorithm();
        match self.0 {
            State::Sha256(hash) => bytes[..32].copy_from_slice(&hash.finalize()),
            State::Sha512(hash) => bytes.copy_from_slice(&hash.finalize()),
        }
        Digest { algorithm, bytes }
    }

    /// The running state, to be given back to [`Hasher::restore`] by the same version of this
    /// program. Its length depends on the algorithm alone.
    pub fn save(&self) -> Vec<u8> {
        match &self.0 {
            State::Sha256(hash) => hash.serialize().to_vec(),
            State::Sha512(hash) => hash.serialize().to_vec(),
        }
    }

    /// A hash that goes on where [`Hasher::save`] stopped; `None` when the state is not one.
    pub fn restore(algorithm: Algorithm, state: &[u8]) -> Option<Self> {
        fn of<T: SerializableState>(state: &[u8]) -> Option<T> {
            let state = SerializedState::<T>::try_from(state).ok()?;
            T::deserialize(&state).ok()
        }
        Some(Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(of(state)?),
            Algorithm::Sha512 => State::Sha512(of(state)?),
        }))
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(&self.algorithm()).finish()
    }
}
