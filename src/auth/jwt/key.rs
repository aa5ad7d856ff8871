//! Public keys: what they verify, and the names by which tokens refer to them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use super::algorithm::Algorithm;
use super::der;

/// The shortest RSA modulus, in bits. Shorter ones can be factored, or soon will be.
const RSA_BITS_MIN: usize = 2048;
/// The longest, in bits: the time of a verification grows with it.
const RSA_BITS_MAX: usize = 8192;

// Object identifiers in DER, without tag and length.
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// A public key that can verify tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// RSA: modulus and exponent, big-endian, without leading zeros.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
    /// A point of P-256, uncompressed.
    P256(Vec<u8>),
    /// A point of P-384, uncompressed.
    P384(Vec<u8>),
    /// Ed25519.
    Ed25519(Vec<u8>),
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It is none, or damaged.
    Malformed,
    /// It is of a kind that is not known here: a secret one, another curve.
    KindUnknown,
    /// An RSA key outside the bounds.
    RsaSize,
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed => f.write_str("it is damaged"),
            Self::KindUnknown => {
                f.write_str("its kind is not known here; RSA, P-256, P-384 and Ed25519 are")
            }
            Self::RsaSize => write!(
                f,
                "an RSA key must have {RSA_BITS_MIN} to {RSA_BITS_MAX} bits"
            ),
        }
    }
}

impl std::error::Error for KeyError {}

impl Key {
    /// An RSA key.
    ///
    /// # Errors
    /// [`KeyError::RsaSize`], [`KeyError::Malformed`].
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let (n, e) = (der::without_zeros(n), der::without_zeros(e));
        let Some(first) = n.first() else {
            return Err(KeyError::Malformed);
        };
        let bits = n.len() * 8 - first.leading_zeros() as usize;
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            return Err(KeyError::RsaSize);
        }
        // All exponents in use have three bytes or one.
        if e.is_empty() || e.len() > 8 {
            return Err(KeyError::Malformed);
        }
        Ok(Self::Rsa {
            n: n.to_vec(),
            e: e.to_vec(),
        })
    }

    /// A key on the curve of this name (RFC 7518 section 6.2.1.1), by its coordinates.
    ///
    /// # Errors
    /// [`KeyError::KindUnknown`], [`KeyError::Malformed`].
    pub fn elliptic(curve: &str, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        let point = [&[4], x, y].concat();
        let (length, make): (usize, fn(Vec<u8>) -> Self) = match curve {
            "P-256" => (32, Self::P256),
            "P-384" => (48, Self::P384),
            _ => return Err(KeyError::KindUnknown),
        };
        if x.len() != length || y.len() != length {
            return Err(KeyError::Malformed);
        }
        Ok(make(point))
    }

    /// An Ed25519 key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != 32 {
            return Err(KeyError::Malformed);
        }
        Ok(Self::Ed25519(bytes.to_vec()))
    }

    /// The key in the DER of a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn of_info(info: &[u8]) -> Result<Self, KeyError> {
        let key = der::public_key(info).ok_or(KeyError::Malformed)?;
        let on_curve = |curve: &str| {
            let coordinates = key.bits.strip_prefix(&[4]).ok_or(KeyError::Malformed)?;
            let (x, y) = coordinates.split_at(coordinates.len() / 2);
            Self::elliptic(curve, x, y)
        };
        match (key.algorithm, key.curve) {
            (OID_RSA, _) => {
                let (n, e) = der::rsa_public_key(key.bits).ok_or(KeyError::Malformed)?;
                Self::rsa(n, e)
            }
            (OID_EC, Some(OID_P256)) => on_curve("P-256"),
            (OID_EC, Some(OID_P384)) => on_curve("P-384"),
            (OID_ED25519, _) => Self::ed25519(key.bits),
            _ => Err(KeyError::KindUnknown),
        }
    }

    /// Whether `signature` is this key's of `message`, made with `algorithm`. It is not where the
    /// algorithm is for another kind of key.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        use Algorithm as Alg;
        let outcome = match (self, algorithm) {
            (Self::Rsa { n, e }, _) => match rsa_parameters(algorithm) {
                Some(parameters) => {
                    RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
                }
                None => return false,
            },
            (Self::P256(point), Alg::Es256) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature)
            }
            (Self::P384(point), Alg::Es384) => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point)
                    .verify(message, signature)
            }
            (Self::Ed25519(bytes), Alg::EdDsa) => {
                UnparsedPublicKey::new(&signature::ED25519, bytes).verify(message, signature)
            }
            _ => return false,
        };
        outcome.is_ok()
    }

    /// The SHA-256 thumbprint of RFC 7638 in base64url: over the members that the key's kind
    /// needs, in the order of their names, without a blank.
    pub fn thumbprint(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let on_curve = |curve: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at(point.len() / 2);
            let (x, y) = (text(x), text(y));
            format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
        };
        let members = match self {
            Self::Rsa { n, e } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n))
            }
            Self::P256(point) => on_curve("P-256", point),
            Self::P384(point) => on_curve("P-384", point),
            Self::Ed25519(bytes) => {
                let x = text(bytes);
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
            }
        };
        text(&Sha256::digest(members))
    }
}

/// The key id of libtrust, which Distribution's token specification once asked for: the first 240
/// bits of the SHA-256 of the key's `SubjectPublicKeyInfo`, in base32, in groups of four.
pub fn libtrust_id(info: &[u8]) -> String {
    const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = Sha256::digest(info);
    let mut id = String::with_capacity(59);
    // Five bytes are eight letters.
    for group in hash[..30].chunks_exact(5) {
        let bits = group
            .iter()
            .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for at in 0..8 {
            if !id.is_empty() && at % 4 == 0 {
                id.push(':');
            }
            let letter = (bits >> (35 - 5 * at)) & 31;
            id.push(char::from(BASE32[usize::try_from(letter).unwrap_or(0)]));
        }
    }
    id
}

/// How ring calls the RSA algorithms.
fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    })
}
