//! Makes text of strangers safe to log: escaped and cut.

use std::fmt::{self, Write as _};
use std::io;

/// What the text is written into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    /// A line: only what ends lines or steers terminals is escaped.
    Line,
    /// Double quotes in a line: quotes and backslashes too.
    Quoted,
    /// A JSON string (RFC 8259 section 7).
    Json,
}

/// A text that prints itself escaped, and cut after a number of bytes.
#[derive(Clone, Copy)]
pub(super) struct Escaped<'a> {
    text: &'a str,
    quoting: Quoting,
    bytes_max: usize,
}

impl<'a> Escaped<'a> {
    pub(super) fn new(text: &'a str, quoting: Quoting, bytes_max: usize) -> Self {
        Self {
            text,
            quoting,
            bytes_max,
        }
    }

    pub(super) fn write_io(self, out: &mut impl io::Write) -> io::Result<()> {
        write!(out, "{self}")
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.bytes_max;
        write_escaped(f, self.text, self.quoting, &mut left)
    }
}

/// Escapes what is formatted into it, piece by piece, without holding it.
pub(super) struct Escaping<'a, W> {
    quoting: Quoting,
    left: usize,
    out: &'a mut W,
    failed: Option<io::Error>,
}

impl<'a, W: io::Write> Escaping<'a, W> {
    pub(super) fn new(quoting: Quoting, bytes_max: usize, out: &'a mut W) -> Self {
        Self {
            quoting,
            left: bytes_max,
            out,
            failed: None,
        }
    }

    pub(super) fn write_args(&mut self, args: &fmt::Arguments<'_>) -> io::Result<()> {
        // A `Display` that fails by itself only shortens the message.
        let _ = self.write_fmt(*args);
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl<W: io::Write> fmt::Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut adapter = Adapter {
            out: self.out,
            failed: &mut self.failed,
        };
        write_escaped(&mut adapter, text, self.quoting, &mut self.left)
    }
}

struct Adapter<'a, W> {
    out: &'a mut W,
    failed: &'a mut Option<io::Error>,
}

impl<W: io::Write> fmt::Write for Adapter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.out.write_all(text.as_bytes()).map_err(|error| {
            *self.failed = Some(error);
            fmt::Error
        })
    }
}

/// Writes `text` escaped; stops with an ellipsis when `left` bytes of input are used up.
fn write_escaped(
    out: &mut impl fmt::Write,
    text: &str,
    quoting: Quoting,
    left: &mut usize,
) -> fmt::Result {
    if *left == 0 {
        return Ok(());
    }
    let mut end = text.len().min(*left);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = &text[..end];
    let mut plain_from = 0;
    for (at, character) in kept.char_indices() {
        if is_plain(character, quoting) {
            continue;
        }
        out.write_str(&kept[plain_from..at])?;
        write_character(out, character, quoting)?;
        plain_from = at + character.len_utf8();
    }
    out.write_str(&kept[plain_from..])?;
    if end < text.len() {
        *left = 0;
        return out.write_char('…');
    }
    *left -= end;
    Ok(())
}

/// Whether a character can stand as it is. What steers terminals or the direction of text, or
/// ends a line for some programs, cannot.
const fn is_plain(character: char, quoting: Quoting) -> bool {
    match character {
        '"' | '\\' => matches!(quoting, Quoting::Line),
        '\u{0}'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => false,
        _ => true,
    }
}

fn write_character(out: &mut impl fmt::Write, character: char, quoting: Quoting) -> fmt::Result {
    match character {
        '"' => out.write_str("\\\""),
        '\\' => out.write_str("\\\\"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        // All of these are in the Basic Multilingual Plane: four digits are enough for JSON.
        _ if quoting == Quoting::Json => write!(out, "\\u{:04x}", u32::from(character)),
        _ => write!(out, "\\u{{{:x}}}", u32::from(character)),
    }
}
