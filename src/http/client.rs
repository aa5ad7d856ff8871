//! A client for one request: how the command line asks a running server, over its UNIX socket, or
//! over a plain TCP address to see what its clients see.
//!
//! It trusts its peer, which is this very program: lengths are bounded, nothing else is guarded
//! against.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The longest answer that is taken, in bytes: a hundred thousand items of a report.
const RESPONSE_BYTES_MAX: u64 = 128 << 20;

/// The longest answer that is taken over TCP, in bytes, where somebody else may answer.
const PROBE_BYTES_MAX: u64 = 1 << 20;

/// How long the server may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Sends one request and returns the status and body of its answer.
///
/// # Errors
/// Nobody listens on the socket, or what comes back is no HTTP.
pub fn request_unix(
    socket: &Path,
    method: &str,
    target: &str,
    body: &[u8],
) -> io::Result<(u16, Vec<u8>)> {
    request_unix_within(socket, method, target, body, SILENCE_MAX)
}

/// As [`request_unix`], for what may take the server as long as `silence`.
///
/// # Errors
/// Nobody listens on the socket, or what comes back is no HTTP; of kind `TimedOut` when nothing
/// came back.
pub fn request_unix_within(
    socket: &Path,
    method: &str,
    target: &str,
    body: &[u8],
    silence: Duration,
) -> io::Result<(u16, Vec<u8>)> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(silence))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    exchange(
        stream,
        "localhost",
        method,
        target,
        body,
        RESPONSE_BYTES_MAX,
    )
}

/// Asks for `target` at an address where plain HTTP is spoken; `wait` is how long each step may
/// take.
///
/// # Errors
/// Nobody listens there, or what comes back is no HTTP; of kind `TimedOut` when nothing came back.
pub fn get_tcp(address: SocketAddr, target: &str, wait: Duration) -> io::Result<(u16, Vec<u8>)> {
    let stream = TcpStream::connect_timeout(&address, wait)?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    let host = address.to_string();
    exchange(stream, &host, "GET", target, &[], PROBE_BYTES_MAX).map_err(|error| late(error, wait))
}

fn exchange(
    mut stream: impl Read + Write,
    host: &str,
    method: &str,
    target: &str,
    body: &[u8],
    bytes_max: u64,
) -> io::Result<(u16, Vec<u8>)> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    let mut stream = stream.take(bytes_max);
    stream.read_to_end(&mut answer)?;
    parse(&answer)
}

/// The error of a server that was silent for too long, in words.
fn late(error: io::Error, silence: Duration) -> io::Error {
    if error.kind() != io::ErrorKind::WouldBlock {
        return error;
    }
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("the server has not answered within {silence:?}; it may still be at work"),
    )
}

fn parse(answer: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(answer) {
        Ok(httparse::Status::Complete(head)) => {
            Ok((response.code.unwrap_or_default(), answer[head..].to_vec()))
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the answer is no HTTP response",
        )),
    }
}
