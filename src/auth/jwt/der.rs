//! The few pieces of DER that a key's id and a certificate's time need. A chain of certificates is
//! judged by webpki; nothing here decides whether one is good.

use std::time::{Duration, SystemTime};

use jiff::civil::DateTime;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`, constructed: the version of a certificate.
const VERSION: u8 = 0xa0;

/// Reads one value after another.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

/// One value: its tag, what is in it, and all of its bytes.
struct Value<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<Value<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // Two bytes of length are enough for all that fits into a token or a file of keys.
            0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
            0x82 => {
                let (high, low) = (*rest.first()?, *rest.get(1)?);
                (usize::from(u16::from_be_bytes([high, low])), rest.get(2..)?)
            }
            _ => return None,
        };
        let content = rest.get(..length)?;
        let after = &rest[length..];
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Some(Value {
            tag,
            content,
            whole,
        })
    }

    fn expect(&mut self, tag: u8) -> Option<Value<'a>> {
        self.next().filter(|value| value.tag == tag)
    }

    fn enter(&mut self, tag: u8) -> Option<Self> {
        self.expect(tag).map(|value| Reader(value.content))
    }

    const fn end(self) -> Option<()> {
        if self.0.is_empty() { Some(()) } else { None }
    }
}

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
pub fn certificate(der: &[u8]) -> Option<Certificate<'_>> {
    let mut outer = Reader(der);
    let mut body = outer.enter(SEQUENCE)?.enter(SEQUENCE)?;
    outer.end()?;
    if body.0.first() == Some(&VERSION) {
        body.next()?;
    }
    body.expect(INTEGER)?; // serial number
    body.expect(SEQUENCE)?; // signature algorithm
    body.expect(SEQUENCE)?; // issuer
    let mut validity = body.enter(SEQUENCE)?;
    let not_before = time(&validity.next()?)?;
    let not_after = time(&validity.next()?)?;
    body.expect(SEQUENCE)?; // subject
    let key = body.expect(SEQUENCE)?.whole;
    Some(Certificate {
        key,
        not_before,
        not_after,
    })
}

/// A time (RFC 5280 section 4.1.2.5): `YYMMDDHHMMSSZ` of 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn time(value: &Value<'_>) -> Option<SystemTime> {
    let text = std::str::from_utf8(value.content).ok()?;
    let text = text.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest): (i16, &str) = match (value.tag, text.len()) {
        (UTC_TIME, 12) => {
            let year: i16 = text[..2].parse().ok()?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                &text[2..],
            )
        }
        (GENERALIZED_TIME, 14) => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let two = |at: usize| rest[at..at + 2].parse::<i8>().ok();
    let time = DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0);
    // Without a time zone, so that also the last second of 9999, which says "never", is one.
    let since_epoch = time
        .ok()?
        .duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let seconds = since_epoch.as_secs();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
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
pub fn public_key(der: &[u8]) -> Option<PublicKey<'_>> {
    let mut outer = Reader(der);
    let mut info = outer.enter(SEQUENCE)?;
    outer.end()?;
    let mut kind = info.enter(SEQUENCE)?;
    let algorithm = kind.expect(OID)?.content;
    let curve = kind.expect(OID).map(|value| value.content);
    let bits = info.expect(BIT_STRING)?.content;
    info.end()?;
    // The first byte is the number of bits that are not used in the last one.
    let bits = bits.strip_prefix(&[0])?;
    Some(PublicKey {
        algorithm,
        curve,
        bits,
    })
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1), without leading zeros.
pub fn rsa_public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Reader(der);
    let mut key = outer.enter(SEQUENCE)?;
    outer.end()?;
    let modulus = key.expect(INTEGER)?.content;
    let exponent = key.expect(INTEGER)?.content;
    key.end()?;
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
    use crate::clock::unix_ms;
    use proptest::prelude::*;

    fn time_of(tag: u8, text: &str) -> Option<i64> {
        let value = Value {
            tag,
            content: text.as_bytes(),
            whole: &[],
        };
        time(&value).map(|time| unix_ms(time) / 1000)
    }

    #[test]
    fn times_of_certificates() {
        for (tag, text, seconds) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", Some(-631_152_000)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "700101000000", None),
            (UTC_TIME, "701301000000Z", None),
            (UTC_TIME, "70010100000-Z", None),
            (UTC_TIME, "19700101000000Z", None),
            (GENERALIZED_TIME, "700101000000Z", None),
            (INTEGER, "700101000000Z", None),
        ] {
            assert_eq!(time_of(tag, text), seconds, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = certificate(&bytes);
            let _ = public_key(&bytes);
            let _ = rsa_public_key(&bytes);
        }
    }
}
