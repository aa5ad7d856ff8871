//! Responses on their way out: the head and a small body in one write, files by sendfile(2).
//! Lengths are exact, or the connection is closed so that the client can tell.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;

use super::date::LENGTH;
use super::pace::Pace;
use super::response::{Response, ResponseBody, Text};
use super::status::reason;
use super::wire::Wire;

/// A body up to this many bytes is copied behind its head, so that both leave in one call.
const INLINE_BYTES_MAX: u64 = 32 * 1024;
/// Bytes that one sendfile(2) may move: enough to cost little, few enough to judge the pace.
const SENDFILE_BYTES: u64 = 1 << 20;
/// Bytes moved at once where they have to pass through memory.
const COPY_BYTES: usize = 128 * 1024;

/// What goes into a response head beside what the handler said.
pub(super) struct Framing<'a> {
    pub(super) date: &'a [u8; LENGTH],
    /// The value of `Connection`, where it must be said.
    pub(super) connection: Option<&'static str>,
}

/// Writes the head of `response` to `out`.
pub(super) fn write_head(out: &mut Vec<u8>, response: &Response, framing: &Framing<'_>) {
    let status = response.status;
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\nDate: ");
    out.extend_from_slice(framing.date);
    for (name, value) in &response.headers {
        if !is_ours(name) {
            field(out, name, value);
        }
    }
    let length = response.body.length();
    if has_body(status) || (status == 304 && length > 0) {
        out.extend_from_slice(b"\r\nContent-Length: ");
        decimal(out, length);
    }
    if let Some(connection) = framing.connection {
        out.extend_from_slice(b"\r\nConnection: ");
        out.extend_from_slice(connection.as_bytes());
    }
    out.extend_from_slice(b"\r\n\r\n");
}

/// Whether a response of this status has a body at all (RFC 9112 section 6.3).
fn has_body(status: u16) -> bool {
    status >= 200 && status != 204 && status != 304
}

/// Fields that the server alone decides.
fn is_ours(name: &Text) -> bool {
    ["content-length", "connection", "date", "transfer-encoding"]
        .iter()
        .any(|ours| name.eq_ignore_ascii_case(ours))
}

/// One field. What could end its line or its name early is replaced.
fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b"\r\n");
    let is_token = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    out.extend(
        name.bytes()
            .map(|byte| if is_token(byte) { byte } else { b'-' }),
    );
    out.extend_from_slice(b": ");
    out.extend(value.bytes().map(|byte| {
        if byte < b' ' || byte == 0x7f {
            b' '
        } else {
            byte
        }
    }));
}

fn decimal(out: &mut Vec<u8>, number: u64) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{number}");
}

/// Sends `out`, where [`write_head`] has put the head of `response`, and then its body, unless
/// the request was a HEAD. `out` is scratch memory afterwards.
///
/// # Errors
/// The connection is unusable: not all of the response could be written.
pub(super) fn send(
    wire: &mut Wire,
    out: &mut Vec<u8>,
    response: &mut Response,
    is_head: bool,
    pace: &mut Pace,
) -> io::Result<()> {
    if is_head || !has_body(response.status) {
        return wire.write_all(out, b"", pace);
    }
    match &mut response.body {
        ResponseBody::Empty | ResponseBody::LengthOnly { length: 0 } => {
            wire.write_all(out, b"", pace)
        }
        // A length without bytes answers a HEAD only; here it would leave the client waiting.
        ResponseBody::LengthOnly { .. } => Err(ErrorKind::InvalidInput.into()),
        ResponseBody::Bytes(bytes) => send_bytes(wire, out, bytes, pace),
        ResponseBody::Shared(bytes) => send_bytes(wire, out, bytes, pace),
        ResponseBody::File {
            file,
            offset,
            length,
        } => send_file(wire, out, file, *offset, *length, pace),
        ResponseBody::Reader { reader, length } => send_reader(wire, out, reader, *length, pace),
    }
}

/// Appends a body that is in memory, for an answer that must not wait for anything.
pub(super) fn append_body(out: &mut Vec<u8>, body: &ResponseBody) {
    match body {
        ResponseBody::Bytes(bytes) => out.extend_from_slice(bytes),
        ResponseBody::Shared(bytes) => out.extend_from_slice(bytes),
        _ => {}
    }
}

fn send_bytes(wire: &mut Wire, out: &mut Vec<u8>, bytes: &[u8], pace: &mut Pace) -> io::Result<()> {
    if bytes.len() as u64 <= INLINE_BYTES_MAX {
        out.extend_from_slice(bytes);
        wire.write_all(out, b"", pace)
    } else {
        wire.write_all(out, bytes, pace)
    }
}

fn send_file(
    wire: &mut Wire,
    out: &mut Vec<u8>,
    file: &File,
    offset: u64,
    length: u64,
    pace: &mut Pace,
) -> io::Result<()> {
    if length > INLINE_BYTES_MAX && wire.connection.plain().is_some() {
        wire.write_more(out, pace)?;
        let sent = sendfile(wire, file, offset, length, pace)?;
        if sent == length {
            return Ok(());
        }
        // The file cannot be sent by the kernel: nothing of it has left yet.
        out.clear();
    }
    let mut reader = At { file, offset };
    send_reader(wire, out, &mut reader, length, pace)
}

/// Sends the part by sendfile(2). Zero when the kernel cannot do it for this file.
fn sendfile(
    wire: &mut Wire,
    file: &File,
    mut offset: u64,
    length: u64,
    pace: &mut Pace,
) -> io::Result<u64> {
    let end = offset.saturating_add(length);
    let start = offset;
    while offset < end {
        let count = usize::try_from((end - offset).min(SENDFILE_BYTES)).unwrap_or(usize::MAX);
        let sent = wire.write_once(pace, |connection| {
            let socket = connection.plain().ok_or(ErrorKind::Unsupported)?;
            Ok(rustix::fs::sendfile(
                socket,
                file,
                Some(&mut offset),
                count,
            )?)
        });
        match sent {
            Ok(_) => {}
            Err(error) if offset == start && is_unsupported(&error) => return Ok(0),
            Err(error) if error.kind() == ErrorKind::WriteZero => {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the file is too short",
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidInput | ErrorKind::Unsupported
    )
}

/// A file from an offset on, whatever its own position is.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(out, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Sends what is in `out` and then `length` bytes of `reader`, through `out`.
fn send_reader(
    wire: &mut Wire,
    out: &mut Vec<u8>,
    reader: &mut dyn Read,
    length: u64,
    pace: &mut Pace,
) -> io::Result<()> {
    let mut left = length;
    loop {
        let filled = out.len();
        let room = COPY_BYTES.saturating_sub(filled).max(1024);
        let count = usize::try_from(left).unwrap_or(room).min(room);
        out.resize(filled + count, 0);
        reader.read_exact(&mut out[filled..])?;
        wire.write_all(out, b"", pace)?;
        out.clear();
        left -= count as u64;
        if left == 0 {
            return Ok(());
        }
    }
}
