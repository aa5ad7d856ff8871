//! Ids of requests: the client's own where it sent one that can be written anywhere, else a part
//! that differs from process to process, and a count.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::http::Headers;

/// The header that carries it, both ways.
pub const REQUEST_ID: &str = "X-Request-Id";

/// The longest id of a client that is kept, in bytes.
const LENGTH_MAX: usize = 128;

/// Makes ids.
pub struct RequestIds {
    process: u32,
    count: AtomicU32,
}

impl RequestIds {
    /// Ids of this process.
    pub fn new() -> Self {
        // Without randomness the process id still tells two runs apart well enough for a log.
        let process = getrandom::u32().unwrap_or_else(|_| std::process::id());
        Self {
            process,
            count: AtomicU32::new(0),
        }
    }

    /// The id of a request with these headers.
    pub fn of(&self, headers: &Headers) -> String {
        let sent = headers.get(REQUEST_ID).map(str::trim);
        let kept = sent.filter(|id| is_sane(id)).map(str::to_owned);
        kept.unwrap_or_else(|| self.next())
    }

    /// An id of our own.
    pub fn next(&self) -> String {
        format!(
            "{:08x}-{:08x}",
            self.process,
            self.count.fetch_add(1, Ordering::Relaxed)
        )
    }
}

/// Whether an id can stand in a header, a log and a shell without quotes.
fn is_sane(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+/=@~".contains(&byte);
    !id.is_empty() && id.len() <= LENGTH_MAX && id.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_the_client_is_kept_when_it_is_sane() {
        let ids = RequestIds::new();
        let of = |value: &str| {
            let mut headers = Headers::new();
            headers.push("x-request-id", value);
            ids.of(&headers)
        };
        let uuid = "f058ebd6-02f7-4d3f-942e-904344e8cde5";
        assert_eq!(of(uuid), uuid);
        assert_eq!(of(&"x".repeat(128)).len(), 128);
        for value in ["", " ", "a b", "a\"b", "a\nb", "ü", &"x".repeat(129)] {
            let own = of(value);
            assert_eq!(own.len(), 17, "{value:?}: {own}");
        }
        assert_ne!(ids.of(&Headers::new()), ids.of(&Headers::new()));
    }
}
