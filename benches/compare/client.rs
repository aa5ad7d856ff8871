//! An HTTP/1.1 client that costs as little as it can: one keep-alive connection, one buffer,
//! blocking calls.
//!
//! It knows what the three servers send: exact lengths and no codings. Anything else is an
//! error, because a benchmark that guesses measures its guesses.

use std::io::{self, BufReader, IoSlice, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::Outcome;

/// A server that says nothing for this long has failed its row.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Receive buffer: large enough that a call moves much, small enough to stay in the cache.
const BUFFER_BYTES: usize = 256 * 1024;
/// Most header fields of an answer.
const FIELDS_MAX: usize = 48;

/// The manifest types that the load uses, as clients send them.
pub const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json";

/// The head of an answer, as far as the load looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Bytes of the head itself, with its empty line.
    pub length: usize,
    /// `Content-Length`, 0 when there is none.
    pub content_length: u64,
    /// `Location`, as sent.
    pub location: Option<String>,
}

impl Head {
    /// Bytes of body that follow this head when it answers `method`.
    pub fn body_bytes(&self, method: &str) -> u64 {
        if method == "HEAD" || matches!(self.status, 100..=199 | 204 | 304) {
            return 0;
        }
        self.content_length
    }

    /// The head at the start of `bytes`; `None` while it is incomplete.
    pub fn parse(bytes: &[u8]) -> Outcome<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(length) = response.parse(bytes)? else {
            return Ok(None);
        };
        let status = response.code.unwrap_or(0);
        let mut head = Self {
            status,
            length,
            content_length: 0,
            location: None,
        };
        for field in response.headers {
            if field.name.eq_ignore_ascii_case("content-length") {
                head.content_length = std::str::from_utf8(field.value)?.parse()?;
            } else if field.name.eq_ignore_ascii_case("location") {
                head.location = Some(String::from_utf8(field.value.to_vec())?);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                return Err("an answer came in chunks; the client reads exact lengths only".into());
            }
        }
        Ok(Some(head))
    }
}

/// Where a server is, and how to speak to it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its address.
    pub address: SocketAddr,
    /// What clients of a server that speaks TLS are set up with.
    pub tls: Option<Arc<ClientConfig>>,
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

/// One connection to a server.
pub struct Connection {
    stream: Box<dyn Stream>,
    address: SocketAddr,
    head: Vec<u8>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Connection {
    /// Connects to `target`.
    pub fn open(target: &Target) -> Outcome<Self> {
        let address = target.address;
        let stream = TcpStream::connect(address)
            .map_err(|error| format!("cannot connect to {address}: {error}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        let stream: Box<dyn Stream> = match &target.tls {
            None => Box::new(stream),
            Some(config) => Box::new(encrypted(stream, config)?),
        };
        let buffer = vec![0; BUFFER_BYTES];
        Ok(Self {
            stream,
            address,
            head: Vec::with_capacity(1024),
            buffer,
            start: 0,
            end: 0,
        })
    }

    /// Gives the buffer back, of a connection among very many.
    pub fn shrink(&mut self) {
        self.buffer = vec![0; 4096];
        (self.start, self.end) = (0, 0);
    }

    /// Sends a request without body and reads the whole answer, whose body goes to `sink`.
    pub fn ask(
        &mut self,
        method: &str,
        target: &str,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Outcome<Head> {
        self.ask_with(method, target, "", sink)
    }

    /// The same with complete header lines of its own.
    pub fn ask_with(
        &mut self,
        method: &str,
        target: &str,
        fields: &str,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Outcome<Head> {
        self.start_request(method, target, fields);
        self.write_parts(&[])?;
        self.receive(method, sink)
    }

    /// Sends a request with a body in parts and reads the answer, whose body is dropped.
    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        media_type: &str,
        body: &[&[u8]],
    ) -> Outcome<Head> {
        self.begin(
            method,
            target,
            media_type,
            body.iter().map(|part| part.len()).sum(),
        );
        self.write_parts(body)?;
        self.receive(method, &mut |_| {})
    }

    /// Sends only the head of a request that announces `length` bytes of body.
    pub fn announce(&mut self, method: &str, target: &str, length: usize) -> Outcome<()> {
        self.begin(method, target, "application/octet-stream", length);
        self.write_parts(&[])
    }

    /// Sends some bytes of an announced body.
    pub fn feed(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.stream.write_all(bytes)?;
        Ok(())
    }

    fn begin(&mut self, method: &str, target: &str, media_type: &str, length: usize) {
        let fields = if media_type.is_empty() {
            format!("Content-Length: {length}\r\n")
        } else {
            format!("Content-Type: {media_type}\r\nContent-Length: {length}\r\n")
        };
        self.start_request(method, target, &fields);
    }

    fn start_request(&mut self, method: &str, target: &str, fields: &str) {
        self.head.clear();
        self.head
            .extend_from_slice(request(method, target, self.address, fields).as_bytes());
    }

    /// Writes the prepared head and the parts, in as few calls as the kernel allows.
    fn write_parts(&mut self, parts: &[&[u8]]) -> Outcome<()> {
        let mut slices = Vec::with_capacity(parts.len() + 1);
        slices.push(IoSlice::new(&self.head));
        slices.extend(parts.iter().map(|part| IoSlice::new(part)));
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match self.stream.write_vectored(rest) {
                Ok(0) => return Err("the server closed the connection while it was sent to".into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("sending failed: {error}").into()),
            }
        }
        Ok(())
    }

    /// Reads one answer to `method`; its body goes to `sink` as it arrives.
    pub fn receive(&mut self, method: &str, sink: &mut dyn FnMut(&[u8])) -> Outcome<Head> {
        let head = loop {
            if let Some(head) = Head::parse(&self.buffer[self.start..self.end])? {
                break head;
            }
            self.fill()?;
        };
        self.start += head.length;
        let mut remaining = head.body_bytes(method);
        while remaining > 0 {
            if self.start == self.end {
                self.fill()?;
            }
            let ready = self.end - self.start;
            let take = usize::try_from(remaining).map_or(ready, |left| left.min(ready));
            sink(&self.buffer[self.start..self.start + take]);
            self.start += take;
            remaining -= take as u64;
        }
        Ok(head)
    }

    /// Reads once more into the buffer.
    fn fill(&mut self) -> Outcome<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            return Err("an answer's head is larger than the client's buffer".into());
        }
        let read = self
            .stream
            .read(&mut self.buffer[self.end..])
            .map_err(|error| format!("receiving failed: {error}"))?;
        if read == 0 {
            return Err("the server closed the connection before its answer was complete".into());
        }
        self.end += read;
        Ok(())
    }
}

/// What a connection reads from and writes to.
trait Stream: io::Read + io::Write + Send {}

impl Stream for TcpStream {}

impl Stream for StreamOwned<ClientConnection, Ahead> {}

/// A stream that is read ahead in large pieces: the TLS library asks for small ones.
struct Ahead {
    stream: BufReader<TcpStream>,
}

impl io::Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.stream.read(out)
    }
}

impl io::Write for Ahead {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.get_mut().write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.get_mut().write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn encrypted(
    stream: TcpStream,
    config: &Arc<ClientConfig>,
) -> Outcome<StreamOwned<ClientConnection, Ahead>> {
    let name = ServerName::from(stream.peer_addr()?.ip());
    let mut connection = ClientConnection::new(Arc::clone(config), name)?;
    let mut stream = Ahead {
        stream: BufReader::with_capacity(BUFFER_BYTES, stream),
    };
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// A request head. `fields` are complete header lines.
pub fn request(method: &str, target: &str, address: SocketAddr, fields: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: compare\r\n\
         Accept: {ACCEPT}\r\n{fields}\r\n"
    )
}

/// The answer's head if its status is `wanted`, else an error that names request and status.
pub fn expect(head: Head, wanted: u16, method: &str, target: &str) -> Outcome<Head> {
    if head.status == wanted {
        return Ok(head);
    }
    Err(format!(
        "{method} {target} answered {} instead of {wanted}",
        head.status
    )
    .into())
}
