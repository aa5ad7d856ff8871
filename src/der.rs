//! The little of DER (X.690) that certificates and public keys need: tags, definite lengths, object
//! identifiers, times. TLS shows names and dates by it, tokens find their keys. Every length is
//! checked; what is not DER is an error and never a guess.

use std::fmt::Write as _;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The bytes are no DER, or not of the structure that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotDer;

/// One element: its tag, its content, and all of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// Reads one element after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Der<'a> {
    rest: &'a [u8],
}

impl<'a> Der<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The tag of the next element.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element.
    pub(crate) fn next(&mut self) -> Result<Element<'a>, NotDer> {
        let [tag, first, behind @ ..] = self.rest else {
            return Err(NotDer);
        };
        // No certificate has a tag of more than one byte.
        if tag & 0x1f == 0x1f {
            return Err(NotDer);
        }
        let (length, length_bytes) = match *first {
            short @ 0..=0x7f => (usize::from(short), 0),
            long @ 0x81..=0x84 => {
                let count = usize::from(long & 0x7f);
                let bytes = behind.get(..count).ok_or(NotDer)?;
                let length = bytes
                    .iter()
                    .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
                let is_shortest = bytes[0] != 0 && (count > 1 || length >= 0x80);
                let length = usize::try_from(length).map_err(|_| NotDer)?;
                if !is_shortest {
                    return Err(NotDer);
                }
                (length, count)
            }
            _ => return Err(NotDer),
        };
        let content = behind.get(length_bytes..).ok_or(NotDer)?;
        let content = content.get(..length).ok_or(NotDer)?;
        let (whole, rest) = self.rest.split_at(2 + length_bytes + length);
        self.rest = rest;
        Ok(Element {
            tag: *tag,
            content,
            whole,
        })
    }

    /// The content of the next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<&'a [u8], NotDer> {
        let element = self.next()?;
        if element.tag == tag {
            Ok(element.content)
        } else {
            Err(NotDer)
        }
    }

    /// What is in the next element, which must have this tag, element by element.
    pub(crate) fn enter(&mut self, tag: u8) -> Result<Self, NotDer> {
        self.expect(tag).map(Self::new)
    }

    /// Nothing may be left.
    pub(crate) const fn end(self) -> Result<(), NotDer> {
        if self.is_empty() { Ok(()) } else { Err(NotDer) }
    }

    /// The content of the next element if it has this tag; else it stays.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, NotDer> {
        if self.peek() == Some(tag) {
            self.expect(tag).map(Some)
        } else {
            Ok(None)
        }
    }

    /// A point in time, in seconds since 1970.
    pub(crate) fn time(&mut self) -> Result<i64, NotDer> {
        let element = self.next()?;
        let text = element.content;
        match element.tag {
            UTC_TIME if text.len() == 13 => {
                let year = number(&text[..2])?;
                let century = if year < 50 { 2000 } else { 1900 };
                seconds(century + year, &text[2..])
            }
            GENERALIZED_TIME if text.len() == 15 => seconds(number(&text[..4])?, &text[4..]),
            _ => Err(NotDer),
        }
    }
}

/// An object identifier with its dots.
pub(crate) fn dotted(oid: &[u8]) -> String {
    let mut text = String::new();
    let mut arc: u64 = 0;
    for byte in oid {
        arc = arc.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        // Writing to a string does not fail.
        let _ = if text.is_empty() {
            let root = (arc / 40).min(2);
            write!(text, "{root}.{}", arc - root * 40)
        } else {
            write!(text, ".{arc}")
        };
        arc = 0;
    }
    text
}

fn number(digits: &[u8]) -> Result<i64, NotDer> {
    digits.iter().try_fold(0, |sum, byte| match byte {
        b'0'..=b'9' => Ok(sum * 10 + i64::from(byte - b'0')),
        _ => Err(NotDer),
    })
}

/// `MMDDHHMMSSZ` of a year, as seconds since 1970.
fn seconds(year: i64, text: &[u8]) -> Result<i64, NotDer> {
    let part = |at: usize| number(&text[at..at + 2]);
    let (month, day) = (part(0)?, part(2)?);
    let (hour, minute, second) = (part(4)?, part(6)?, part(8)?);
    let is_valid = text[10] == b'Z'
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_valid {
        return Err(NotDer);
    }
    // Days of the civil calendar, counted from March so that a leap day is the last of its year.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Ok(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_definite_and_shortest() {
        let good = [0x04, 0x02, 1, 2, 0x05, 0x00];
        let mut der = Der::new(&good);
        assert_eq!(der.expect(OCTET_STRING), Ok(&[1, 2][..]));
        assert_eq!(der.next().unwrap().whole, [5, 0]);
        assert!(der.is_empty());
        let bad: [&[u8]; 8] = [
            &[],
            &[4],
            &[4, 3, 1, 2],
            &[4, 0x80, 0, 0],
            &[4, 0x81, 1, 1],
            &[4, 0x82, 0, 0x80],
            &[4, 0x85, 0, 0, 0, 0, 1],
            &[0x1f, 1, 1],
        ];
        for bytes in bad {
            assert!(Der::new(bytes).next().is_err(), "{bytes:?}");
        }
        let mut long = vec![4, 0x81, 0x80];
        long.resize(3 + 0x80, 7);
        assert_eq!(Der::new(&long).next().unwrap().content.len(), 0x80);
    }

    #[test]
    fn times_are_seconds_since_1970() {
        let time = |tag: u8, text: &str| {
            let mut bytes = vec![tag, u8::try_from(text.len()).unwrap()];
            bytes.extend_from_slice(text.as_bytes());
            Der::new(&bytes).time()
        };
        assert_eq!(time(UTC_TIME, "700101000000Z"), Ok(0));
        assert_eq!(time(UTC_TIME, "000229000000Z"), Ok(951_782_400));
        assert_eq!(time(UTC_TIME, "491231235959Z"), Ok(2_524_607_999));
        assert_eq!(time(UTC_TIME, "500101000000Z"), Ok(-631_152_000));
        assert_eq!(time(GENERALIZED_TIME, "20501231235959Z"), Ok(2_556_143_999));
        assert_eq!(
            time(GENERALIZED_TIME, "99991231235959Z"),
            Ok(253_402_300_799)
        );
        for text in [
            "7001010000Z",
            "700101000000+",
            "701301000000Z",
            "70010100000aZ",
        ] {
            assert_eq!(time(UTC_TIME, text), Err(NotDer), "{text}");
        }
    }

    #[test]
    fn identifiers_have_dots() {
        assert_eq!(dotted(&[0x55, 4, 3]), "2.5.4.3");
        assert_eq!(
            dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]),
            "1.2.840.113549"
        );
        assert_eq!(dotted(&[0x88, 0x37, 3]), "2.999.3");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut der = Der::new(&bytes);
            while der.next().is_ok() {}
            let _ = Der::new(&bytes).time();
            let _ = dotted(&bytes);
        }
    }
}
