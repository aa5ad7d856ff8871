//! Any bytes as a chunked body: the same outcome however they are cut, and no more data than input.
#![no_main]

use coracle::http::chunked::{Decoder, Step};
use libfuzzer_sys::fuzz_target;

/// The data, and whether the body came to its end; `None` when it is malformed.
fn decode(pieces: &[&[u8]]) -> Option<(Vec<u8>, bool)> {
    let mut decoder = Decoder::new();
    let mut data = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            match decoder.step(rest).ok()? {
                Step::Framing(count) => rest = &rest[count..],
                Step::Data(count) => {
                    let count = usize::try_from(count).unwrap_or(usize::MAX).min(rest.len());
                    data.extend_from_slice(&rest[..count]);
                    decoder.took(count as u64);
                    rest = &rest[count..];
                }
                Step::End => return Some((data, true)),
            }
        }
    }
    Some((data, decoder.is_complete()))
}

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let (head, tail) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let whole = decode(&[bytes]);
    assert_eq!(whole, decode(&[head, tail]));
    assert!(whole.is_none_or(|(data, _)| data.len() <= bytes.len()));
});
