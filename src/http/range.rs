//! The `Range` header as one pure function (RFC 9110 section 14). It answers which bytes are
//! meant; the handler decides what to send.

/// Which bytes of a representation a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// All of them: the header asks for something that is ignored (another unit, several ranges,
    /// a malformed header).
    Whole,
    /// From `first` to `last`, both included, both below the size: 206.
    Part {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
    },
    /// None that exist: 416.
    Unsatisfiable,
}

/// What the value of a `Range` header means for a representation of `size` bytes.
///
/// `a-b`, `a-` and `-n` are understood and clamped to the size. A first byte beyond the size, a
/// last byte before the first, a suffix of no bytes and any range of nothing are unsatisfiable.
/// Numbers too large for 64 bits count as the largest.
pub fn parse(header: &str, size: u64) -> Range {
    let Some((unit, set)) = header.split_once('=') else {
        return Range::Whole;
    };
    if !unit.trim_matches(BLANK).eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Range::Whole;
    }
    let Some((first, last)) = set.trim_matches(BLANK).split_once('-') else {
        return Range::Whole;
    };
    match (number(first), number(last)) {
        (Number::Absent, Number::Is(suffix)) => suffix_of(size, suffix),
        (Number::Is(first), Number::Absent) => part(first, u64::MAX, size),
        (Number::Is(first), Number::Is(last)) => part(first, last, size),
        _ => Range::Whole,
    }
}

const BLANK: [char; 2] = [' ', '\t'];

enum Number {
    Absent,
    Is(u64),
    Malformed,
}

fn number(text: &str) -> Number {
    if text.is_empty() {
        Number::Absent
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only digits, so the one way to fail is to be too large.
        Number::Is(text.parse().unwrap_or(u64::MAX))
    } else {
        Number::Malformed
    }
}

fn suffix_of(size: u64, suffix: u64) -> Range {
    if suffix == 0 || size == 0 {
        Range::Unsatisfiable
    } else {
        Range::Part {
            first: size.saturating_sub(suffix),
            last: size - 1,
        }
    }
}

fn part(first: u64, last: u64, size: u64) -> Range {
    if first >= size || last < first {
        Range::Unsatisfiable
    } else {
        Range::Part {
            first,
            last: last.min(size - 1),
        }
    }
}
