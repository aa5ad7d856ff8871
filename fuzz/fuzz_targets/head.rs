//! Any bytes as a request head, also a byte at a time: a verdict never changes once it is there,
//! and nothing beyond the bounds is accepted.
#![no_main]

use coracle::http::Limits;
use coracle::http::head;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { head_bytes_max: 2048, ..Limits::default() };
    if let Ok(Some((parsed, used))) = head::parse(bytes, &limits) {
        assert!(used <= bytes.len() && used <= limits.head_bytes_max);
        assert!(parsed.headers.len() <= limits.header_count_max);
        let (again, same) = head::parse(&bytes[..used], &limits)
            .expect("the head alone parses too")
            .expect("and is complete");
        assert_eq!((again.path, same), (parsed.path, used));
        assert!(matches!(head::parse(&bytes[..used - 1], &limits), Ok(None) | Err(_)));
    }
});
