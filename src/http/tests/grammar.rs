//! The small pure parsers: ranges, percent-encoding, dates, chunks, addresses, headers, pace.

use std::time::Duration;

use proptest::prelude::*;

use crate::http::chunked::{Decoder, Step};
use crate::http::date::imf_fixdate;
use crate::http::pace::Pace;
use crate::http::percent::{Plus, decode, decode_with, encode, pairs};
use crate::http::range::{Range, parse};
use crate::http::{Headers, ListenAddress};

#[test]
fn ranges_are_clamped_refused_or_ignored() {
    let part = |first, last| Range::Part { first, last };
    let cases = [
        ("bytes=0-9", 100, part(0, 9)),
        ("bytes=0-0", 1, part(0, 0)),
        ("bytes=90-", 100, part(90, 99)),
        ("bytes=90-1000", 100, part(90, 99)),
        ("bytes=-10", 100, part(90, 99)),
        ("bytes=-1000", 100, part(0, 99)),
        ("BYTES = 1-2 ", 100, part(1, 2)),
        ("bytes=100-", 100, Range::Unsatisfiable),
        ("bytes=100-200", 100, Range::Unsatisfiable),
        ("bytes=9-0", 100, Range::Unsatisfiable),
        ("bytes=-0", 100, Range::Unsatisfiable),
        ("bytes=0-", 0, Range::Unsatisfiable),
        ("bytes=-5", 0, Range::Unsatisfiable),
        ("bytes=99999999999999999999-", 100, Range::Unsatisfiable),
        ("bytes=5-99999999999999999999", 100, part(5, 99)),
        ("bytes=-99999999999999999999", 100, part(0, 99)),
        (
            "bytes=18446744073709551615-",
            u64::MAX,
            Range::Unsatisfiable,
        ),
        ("lines=0-9", 100, Range::Whole),
        ("bytes=0-1,5-6", 100, Range::Whole),
        ("bytes", 100, Range::Whole),
        ("bytes=", 100, Range::Whole),
        ("bytes=-", 100, Range::Whole),
        ("bytes=+1-2", 100, Range::Whole),
        ("bytes=a-b", 100, Range::Whole),
        ("bytes=1-2-3", 100, Range::Whole),
        ("", 100, Range::Whole),
    ];
    for (header, size, expected) in cases {
        assert_eq!(parse(header, size), expected, "{header} of {size}");
    }
}

proptest! {
    #[test]
    fn a_part_always_lies_within_the_size(header in "bytes=[0-9]{0,21}-[0-9]{0,21}", size: u64) {
        if let Range::Part { first, last } = parse(&header, size) {
            prop_assert!(first <= last && last < size);
        }
    }

    #[test]
    fn any_range_header_is_answered(header in ".{0,60}", size: u64) {
        if let Range::Part { first, last } = parse(&header, size) {
            prop_assert!(first <= last && last < size);
        }
    }

    #[test]
    fn what_was_encoded_decodes_to_itself(text in ".{0,60}", keep in "[/:+]{0,3}") {
        prop_assert_eq!(decode(&encode(&text, &keep)), Some(text));
    }

    #[test]
    fn any_text_decodes_or_does_not(text in "[%0-9a-f+x]{0,30}") {
        if let Some(decoded) = decode(&text) {
            prop_assert!(decoded.len() <= text.len());
        }
    }
}

#[test]
fn percent_encoding_is_strict_and_plus_is_the_callers() {
    assert_eq!(decode("a%2Fb%3a+c").as_deref(), Some("a/b:+c"));
    assert_eq!(decode_with("a+b%2B", Plus::Space).as_deref(), Some("a b+"));
    for broken in ["%", "%2", "%zz", "a%2", "%ff", "%C3"] {
        assert_eq!(decode(broken), None, "{broken}");
    }
    let all: Vec<_> = pairs("a=1&&b&c=x=y&=z").collect();
    assert_eq!(all, [("a", "1"), ("b", ""), ("c", "x=y"), ("", "z")]);
    assert_eq!(encode("a/b:c d", "/"), "a/b%3Ac%20d");
}

#[test]
fn dates_are_imf_fixdates() {
    let cases = [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ];
    for (seconds, expected) in cases {
        assert_eq!(std::str::from_utf8(&imf_fixdate(seconds)), Ok(expected));
    }
}

/// Decodes `coded`, given in pieces of the sizes in `cuts` (and then at once): the data, and how
/// many bytes belong to the body.
fn decode_chunks(coded: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, usize), &'static str> {
    let mut decoder = Decoder::new();
    let mut data = Vec::new();
    let mut at = 0;
    let mut cuts = cuts.iter();
    while at < coded.len() && !decoder.is_complete() {
        let piece = cuts.next().map_or(coded.len(), |cut| *cut);
        let end = coded.len().min(at + piece);
        while at < end {
            match decoder.step(&coded[at..end])? {
                Step::Framing(count) => at += count,
                Step::Data(most) => {
                    let count = (end - at).min(usize::try_from(most).unwrap());
                    data.extend_from_slice(&coded[at..at + count]);
                    decoder.took(count as u64);
                    at += count;
                }
                Step::End => return Ok((data, at)),
            }
        }
    }
    if decoder.is_complete() {
        Ok((data, at))
    } else {
        Err("incomplete")
    }
}

proptest! {
    #[test]
    fn chunks_decode_however_they_are_cut(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
        cuts in prop::collection::vec(1_usize..9, 0..60),
        extension in "(;[a-z]{0,5}(=\"[a-z ]{0,4}\")?)?",
        trailer in "(X: [a-z]{0,9}\r\n)?",
    ) {
        let mut coded = Vec::new();
        for chunk in &chunks {
            coded.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
            coded.extend_from_slice(chunk);
            coded.extend_from_slice(b"\r\n");
        }
        coded.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
        let length = coded.len();
        coded.extend_from_slice(b"GET / HTTP/1.1");
        prop_assert_eq!(decode_chunks(&coded, &cuts), Ok((chunks.concat(), length)));
    }

    #[test]
    fn any_bytes_are_chunks_or_are_refused(
        coded in "[0-9a-fx;\r\n]{0,80}",
        cuts in prop::collection::vec(1_usize..9, 0..60),
    ) {
        let whole = decode_chunks(coded.as_bytes(), &[]);
        prop_assert_eq!(decode_chunks(coded.as_bytes(), &cuts), whole);
    }
}

#[test]
fn malformed_chunks_are_refused() {
    let long_line = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(2000));
    let long_trailer = format!("0\r\n{}\r\n", "T: t\r\n".repeat(3000));
    let endless_zeros = format!("{}1\r\nx\r\n0\r\n\r\n", "0".repeat(2000));
    let refused = [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "0x1\r\n",
        "1\nx\r\n0\r\n\r\n",
        "1\r\nxy\r\n0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "1\r\nx0\r\n\r\n",
        "11111111111111111\r\n",
        "1\r x\r\n",
        "0\r\n\rx",
        "0\r\nA: \x01\r\n\r\n",
        "1;\x01\r\nx\r\n0\r\n\r\n",
        "g\r\n",
        ";a\r\n",
        " 1\r\n",
        &long_line,
        &long_trailer,
        &endless_zeros,
    ];
    for coded in refused {
        let outcome = decode_chunks(coded.as_bytes(), &[]);
        assert!(
            outcome.is_err_and(|why| why != "incomplete"),
            "{coded:.40?}"
        );
    }
    for incomplete in [
        "",
        "1",
        "1\r\n",
        "1\r\nx",
        "1\r\nx\r\n",
        "0\r\n",
        "0\r\nA: b\r\n",
    ] {
        assert_eq!(
            decode_chunks(incomplete.as_bytes(), &[]),
            Err("incomplete"),
            "{incomplete:?}"
        );
    }
}

#[test]
fn listen_addresses_are_read_and_written() {
    let cases = [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("[::1]:5000", "[::1]:5000"),
        (":5000", "[::]:5000"),
        ("localhost:80", "127.0.0.1:80"),
        ("unix:/run/a b.sock", "unix:/run/a b.sock"),
    ];
    for (text, shown) in cases {
        assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), shown);
    }
    for wrong in [
        "",
        "5000",
        "127.0.0.1",
        ":70000",
        "unix:",
        "example:80",
        "::1:80x",
    ] {
        let error = wrong.parse::<ListenAddress>().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("'{wrong}' is not an address")),
            "{error}"
        );
    }
}

#[test]
fn headers_are_found_in_any_case_and_keep_their_order() {
    let headers: Headers = [("Accept", "a, B"), ("X-Y", ""), ("accept", "c")]
        .into_iter()
        .collect();
    assert_eq!(headers.get("ACCEPT"), Some("a, B"));
    assert_eq!(headers.get_all("accept").collect::<Vec<_>>(), ["a, B", "c"]);
    assert_eq!(headers.get("x-y"), Some(""));
    assert_eq!(headers.get("x"), None);
    assert!(headers.has_token("Accept", "b") && !headers.has_token("Accept", "a, B"));
    assert_eq!(headers.len(), 3);
}

#[test]
fn pace_judges_whole_windows_of_waiting() {
    let second = Duration::from_secs(1);
    let mut pace = Pace::new(100, 10 * second);
    // A burst does not pay for the windows after it.
    assert!(pace.add(9 * second, 1_000_000).is_ok());
    assert_eq!(pace.left(), second);
    assert!(pace.add(second, 0).is_ok());
    assert!(pace.add(9 * second, 999).is_ok());
    assert!(pace.add(second, 0).is_err());
    // Even without a minimum, a whole window without a byte is too slow.
    let mut stalled = Pace::new(0, 10 * second);
    assert!(stalled.add(10 * second, 0).is_err());
}
