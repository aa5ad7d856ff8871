//! Any `Range` header against any size: a part always lies inside.
#![no_main]

use coracle::http::range::{self, Range};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, u64)| {
    let (header, size) = input;
    if let Range::Part { first, last } = range::parse(header, size) {
        assert!(first <= last && last < size);
    }
});
