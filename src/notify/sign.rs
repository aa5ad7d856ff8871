//! Ids of events and deliveries, and the signature of a body.

use std::fmt::Write as _;

use ring::hmac;

/// The header with the signature of the body.
pub const SIGNATURE_HEADER: &str = "X-Coracle-Signature-256";
/// The header with the id of the delivery: the same for every attempt.
pub const DELIVERY_HEADER: &str = "X-Coracle-Delivery";

/// The most events of one change that have ids of their own.
const PARTS_MAX: u64 = 1 << 24;

/// What signs bodies: HMAC with SHA-256 (RFC 2104).
pub struct Signer(hmac::Key);

impl Signer {
    /// Signs with this secret.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The value of [`SIGNATURE_HEADER`]: `sha256=` and 64 hexadecimal digits.
    pub fn sign(&self, body: &[u8]) -> String {
        let mut value = "sha256=".to_owned();
        for byte in hmac::sign(&self.0, body).as_ref() {
            // Writing to a string does not fail.
            let _ = write!(value, "{byte:02x}");
        }
        value
    }
}

/// The id of the `part`-th event of a change: a UUID of version 7 (RFC 9562 section 5.7), the same
/// whenever it is made.
pub fn event_id(at_ms: i64, salt: u64, part: u64) -> String {
    let time = u128::from(at_ms.max(0).cast_unsigned() & 0xffff_ffff_ffff);
    let random = u128::from(salt);
    let low = (random & 0x3f_ffff_ffff) << 24 | u128::from(part % PARTS_MAX);
    uuid(time << 80 | 7 << 76 | (random >> 52) << 64 | 0b10 << 62 | low)
}

/// A random UUID, of version 4.
pub fn random_id() -> String {
    let mut bytes = [0; 16];
    // Without randomness an id of zeros is still an id; the events in the body have their own.
    let _ = getrandom::fill(&mut bytes);
    let random = u128::from_be_bytes(bytes);
    let fixed = 0xf << 76 | 0b11 << 62;
    uuid(random & !fixed | 4 << 76 | 0b10 << 62)
}

fn uuid(value: u128) -> String {
    let hex = format!("{value:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 2 and 6.
    #[test]
    fn signatures_are_those_of_the_standard() {
        assert_eq!(
            Signer::new(b"Jefe").sign(b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let long = [0xaa; 131];
        assert_eq!(
            Signer::new(&long).sign(b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "sha256=60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn ids_are_uuids_that_sort_by_time_and_differ_by_part() {
        let id = event_id(0x0123_4567_89ab, 0xfedc_ba98_7654_3210, 0);
        assert_eq!(id, "01234567-89ab-7fed-9876-543210000000");
        let next = event_id(0x0123_4567_89ab, 0xfedc_ba98_7654_3210, 0x12_3456);
        assert_eq!(next, "01234567-89ab-7fed-9876-543210123456");
        assert!(event_id(1, u64::MAX, 0) < event_id(2, 0, 0));
        assert_eq!(event_id(-5, 0, 0), "00000000-0000-7000-8000-000000000000");
        let random = random_id();
        assert_eq!((random.len(), &random[14..15]), (36, "4"));
        assert!("89ab".contains(&random[19..20]));
        assert_ne!(random, random_id());
    }
}
