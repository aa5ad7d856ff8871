//! What a handler gives back, and what it is told once that was sent.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use super::headers::Headers;
use super::request::Peer;

/// A header field's name or value.
pub type Text = Cow<'static, str>;

/// What is called after a response was sent, or could not be.
pub type OnSent = Box<dyn FnOnce(&Sent) + Send>;

/// One response. The server adds `Content-Length`, `Connection` and `Date`, and ignores fields of
/// these names and `Transfer-Encoding` among `headers`.
#[derive(Default)]
pub struct Response {
    /// The status code, 200 to 599.
    pub status: u16,
    /// Header fields in the order in which they go out.
    pub headers: Vec<(Text, Text)>,
    /// The body. To a HEAD it is only measured: the same response serves GET and HEAD.
    pub body: ResponseBody,
    /// Closes the connection after this response, whatever the client asked for.
    pub close: bool,
    /// Called once, on the thread that sent the response, when it is on its way or has failed.
    pub on_sent: Option<OnSent>,
}

/// The bytes of a response, whose number is always known.
#[derive(Default)]
pub enum ResponseBody {
    /// Nothing; `Content-Length: 0`, or none where the status forbids a body.
    #[default]
    Empty,
    /// Bytes of this response alone.
    Bytes(Vec<u8>),
    /// Bytes that others hold as well.
    Shared(Arc<[u8]>),
    /// A part of a file, sent by the kernel where the connection is a plain socket.
    File {
        /// The file, open for reading; its own position is neither used nor changed.
        file: File,
        /// Where the part starts, in bytes.
        offset: u64,
        /// The part's length, in bytes. A file that ends earlier ends the connection.
        length: u64,
    },
    /// Bytes from a reader, which must yield at least `length` of them.
    Reader {
        /// Where the bytes come from.
        reader: Box<dyn Read + Send>,
        /// How many bytes of it are sent.
        length: u64,
    },
    /// For the answer to a HEAD: the length that the GET would have, without its bytes.
    LengthOnly {
        /// The length, in bytes.
        length: u64,
    },
}

impl ResponseBody {
    /// The body's length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Shared(bytes) => bytes.len() as u64,
            Self::File { length, .. }
            | Self::Reader { length, .. }
            | Self::LengthOnly { length } => *length,
        }
    }
}

impl ResponseBody {
    /// All its bytes, for whoever uses a handler without a server.
    ///
    /// # Errors
    /// The file or the reader failed, or holds fewer bytes than promised.
    pub fn into_bytes(self) -> io::Result<Vec<u8>> {
        let (mut reader, length): (Box<dyn Read>, u64) = match self {
            Self::Empty | Self::LengthOnly { .. } => return Ok(Vec::new()),
            Self::Bytes(bytes) => return Ok(bytes),
            Self::Shared(bytes) => return Ok(bytes.to_vec()),
            Self::Reader { reader, length } => (reader, length),
            Self::File {
                mut file,
                offset,
                length,
            } => {
                file.seek(SeekFrom::Start(offset))?;
                (Box::new(file), length)
            }
        };
        let mut bytes = Vec::new();
        reader.by_ref().take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == length {
            Ok(bytes)
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Empty => "empty",
            Self::Bytes(_) => "bytes",
            Self::Shared(_) => "shared",
            Self::File { .. } => "file",
            Self::Reader { .. } => "reader",
            Self::LengthOnly { .. } => "length only",
        };
        write!(f, "{kind} of {} bytes", self.length())
    }
}

impl Response {
    /// A response with no header of its own and no body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// Adds a header field. A control character in the value goes out as a space, so no value can
    /// start a line of its own.
    #[must_use]
    pub fn header(mut self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: ResponseBody) -> Self {
        self.body = body;
        self
    }

    /// Sets the body to these bytes.
    #[must_use]
    pub fn bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body(ResponseBody::Bytes(bytes.into()))
    }

    /// Sets what is called once the response was sent.
    #[must_use]
    pub fn on_sent(mut self, call: impl FnOnce(&Sent) + Send + 'static) -> Self {
        self.on_sent = Some(Box::new(call));
        self
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .field("close", &self.close)
            .finish_non_exhaustive()
    }
}

/// What became of one response: everything that a line of an access log needs.
#[derive(Debug)]
pub struct Sent {
    /// The status code that went out.
    pub status: u16,
    /// Bytes of the request's body that were read, without its framing.
    pub bytes_in: u64,
    /// Bytes of the response's body that were written.
    pub bytes_out: u64,
    /// From the complete head to the last byte of the response.
    pub duration: Duration,
    /// Whether all of the response was handed to the kernel.
    pub complete: bool,
    /// The method as it was sent; empty when no head could be read.
    pub method_token: Text,
    /// The path as it was sent, percent-encoded; empty when no head could be read.
    pub path: String,
    /// The query as it was sent, if there was one.
    pub query: Option<String>,
    /// The header fields of the request.
    pub headers: Headers,
    /// Who asked.
    pub peer: Peer,
}

impl Sent {
    /// The path with its query.
    pub fn target(&self) -> Cow<'_, str> {
        match &self.query {
            Some(query) => Cow::Owned(format!("{}?{query}", self.path)),
            None => Cow::Borrowed(&self.path),
        }
    }

    /// What the client calls itself.
    pub fn user_agent(&self) -> Option<&str> {
        self.headers.get("user-agent")
    }
}
