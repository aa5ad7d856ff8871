//! Where a request head ends: looked for as its bytes arrive, within its bounds. What the head
//! says is read by `head` once it is complete.

use super::head::HeadError;
use super::limits::Limits;

/// Looks for the end of a head that arrives in pieces, so that each byte is looked at once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scan {
    /// Bytes that were looked at.
    seen: usize,
    /// Bytes of the current line so far.
    line: usize,
    /// Whether the request line is complete.
    past_first_line: bool,
    after_cr: bool,
}

impl Scan {
    /// Looks at the bytes that are new since the last call; `bytes` starts where it did then.
    /// The head's length once its empty line is there.
    pub(super) fn find_end(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, HeadError> {
        const TLS_HANDSHAKE: u8 = 0x16;
        if self.seen == 0 && bytes.first() == Some(&TLS_HANDSHAKE) {
            return Err(HeadError::bad(
                "this port speaks plain HTTP: ask it with http:// instead of https://",
            ));
        }
        let end = bytes.len().min(limits.head_bytes_max);
        while self.seen < end {
            let byte = bytes[self.seen];
            self.seen += 1;
            if self.after_cr {
                if byte != b'\n' {
                    return Err(HeadError::bad("a carriage return stands alone in the head"));
                }
                self.after_cr = false;
                if self.line == 0 && self.past_first_line {
                    return Ok(Some(self.seen));
                }
                // Empty lines before the request line are skipped (RFC 9112 section 2.2).
                self.past_first_line |= self.line > 0;
                self.line = 0;
                continue;
            }
            match byte {
                b'\r' => self.after_cr = true,
                b'\n' => return Err(HeadError::bad("a line of the head ends without a return")),
                b'\t' | b' '..=b'~' | 0x80.. => self.line += 1,
                _ => return Err(HeadError::bad("the head holds a control character")),
            }
            if !self.past_first_line && self.line > limits.request_line_bytes_max {
                return Err(too_long(414, "request line", limits.request_line_bytes_max));
            }
        }
        if bytes.len() >= limits.head_bytes_max {
            return Err(too_long(431, "request head", limits.head_bytes_max));
        }
        Ok(None)
    }
}

fn too_long(status: u16, what: &str, bytes_max: usize) -> HeadError {
    HeadError::of(
        status,
        format!("the {what} is longer than the limit of {bytes_max} bytes"),
    )
}
