//! Percent-encoding of paths and queries (RFC 3986 section 2.1). It knows nothing of forms:
//! whether `+` is a space is the caller's decision.

/// What a literal `+` means in a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plus {
    /// A plus, as in RFC 3986.
    Literal,
    /// A space, as in HTML forms.
    Space,
}

/// `text` with each `%XX` replaced by its octet. None when a `%` is not followed by two
/// hexadecimal digits, or when the outcome is not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    decode_with(text, Plus::Literal)
}

/// As [`decode`], with the given meaning of `+`.
pub fn decode_with(text: &str, plus: Plus) -> Option<String> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Some(text.to_owned());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = hex_digit(bytes.next()?)?;
                let low = hex_digit(bytes.next()?)?;
                decoded.push(high << 4 | low);
            }
            b'+' if plus == Plus::Space => decoded.push(b' '),
            other => decoded.push(other),
        }
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The `name=value` pairs of a query, still encoded, in their order; empty pairs are skipped and
/// a name without `=` has an empty value.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// `text` with every octet but the unreserved ones (RFC 3986 section 2.3) and those in `keep`
/// written as `%XX`.
pub fn encode(text: &str, keep: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || keep.as_bytes().contains(&byte)
        {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}
