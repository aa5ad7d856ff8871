//! The pieces of certificates and keys that a key's id and a certificate's time need. A chain of
//! certificates is judged by webpki; nothing here decides whether one is good.

use std::time::{Duration, SystemTime};

use crate::der::{BIT_STRING, Der, INTEGER, NotDer, OID, SEQUENCE};

/// `[0]`, constructed: the version of a certificate.
const VERSION: u8 = 0xa0;

/// What a certificate says, as far as it is needed here.
pub struct Certificate<'a> {
    /// Its `SubjectPublicKeyInfo`.
    pub key: &'a [u8],
    /// When it begins.
    pub not_before: SystemTime,
    /// When it ends.
    pub not_after: SystemTime,
}

/// Reads a certificate (RFC 5280 section 4.1).
pub fn certificate(bytes: &[u8]) -> Option<Certificate<'_>> {
    read_certificate(bytes).ok()
}

fn read_certificate(bytes: &[u8]) -> Result<Certificate<'_>, NotDer> {
    let mut outer = Der::new(bytes);
    let mut body = outer.enter(SEQUENCE)?.enter(SEQUENCE)?;
    outer.end()?;
    body.optional(VERSION)?;
    body.expect(INTEGER)?; // serial number
    body.expect(SEQUENCE)?; // signature algorithm
    body.expect(SEQUENCE)?; // issuer
    let mut validity = body.enter(SEQUENCE)?;
    let not_before = at(validity.time()?)?;
    let not_after = at(validity.time()?)?;
    body.expect(SEQUENCE)?; // subject
    let key = body.next()?;
    if key.tag != SEQUENCE {
        return Err(NotDer);
    }
    Ok(Certificate {
        key: key.whole,
        not_before,
        not_after,
    })
}

/// A time in seconds since 1970.
fn at(seconds: i64) -> Result<SystemTime, NotDer> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.ok_or(NotDer)
}

/// A public key with its kind.
pub struct PublicKey<'a> {
    /// The algorithm's object identifier.
    pub algorithm: &'a [u8],
    /// That of the curve, where there is one.
    pub curve: Option<&'a [u8]>,
    /// The key.
    pub bits: &'a [u8],
}

/// Reads a `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
pub fn public_key(bytes: &[u8]) -> Option<PublicKey<'_>> {
    read_public_key(bytes).ok()
}

fn read_public_key(bytes: &[u8]) -> Result<PublicKey<'_>, NotDer> {
    let mut outer = Der::new(bytes);
    let mut info = outer.enter(SEQUENCE)?;
    outer.end()?;
    let mut kind = info.enter(SEQUENCE)?;
    let algorithm = kind.expect(OID)?;
    let curve = kind.optional(OID)?;
    let bits = info.expect(BIT_STRING)?;
    info.end()?;
    // The first byte is the number of bits that are not used in the last one.
    let bits = bits.strip_prefix(&[0]).ok_or(NotDer)?;
    Ok(PublicKey {
        algorithm,
        curve,
        bits,
    })
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1), without leading zeros.
pub fn rsa_public_key(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Der::new(bytes);
    let mut key = outer.enter(SEQUENCE).ok()?;
    outer.end().ok()?;
    let modulus = key.expect(INTEGER).ok()?;
    let exponent = key.expect(INTEGER).ok()?;
    key.end().ok()?;
    Some((without_zeros(modulus), without_zeros(exponent)))
}

/// A number without the zeros in front of it.
pub fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_that_is_read_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = certificate(&bytes);
            let _ = public_key(&bytes);
            let _ = rsa_public_key(&bytes);
        }
    }
}
