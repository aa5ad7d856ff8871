//! The body of a request, read from the connection as the handler asks for it. A body that ends
//! before its framing says so is an error, never an end.

use std::fmt;
use std::io::{self, Cursor, Read};

use super::body_state::{BodyState, Framing, Source};
use super::limits::Limits;
use super::wire::Wire;

/// Why a body could not be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is, or says that it will be, longer than the limit.
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The client closed the connection before the end of the body.
    Truncated,
    /// The client sent fewer bytes per second than it must.
    TooSlow,
    /// The chunked coding is malformed; the text says how.
    BadFraming(&'static str),
    /// The connection failed.
    Io(io::ErrorKind),
}

impl BodyError {
    // By value, so that it can stand where an error is mapped.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "used as a function of map_err"
    )]
    pub(super) fn from_io(error: io::Error) -> Self {
        Self::Io(error.kind())
    }

    /// The body error inside `error`, when reading a [`Body`] through [`Read`] failed.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => {
                write!(
                    f,
                    "the request body is larger than the limit of {limit} bytes"
                )
            }
            Self::Truncated => f.write_str("the request body ended before its declared end"),
            Self::TooSlow => f.write_str("the request body arrived too slowly"),
            Self::BadFraming(why) => write!(f, "the request body is malformed: {why}"),
            Self::Io(kind) => write!(f, "the connection failed while reading the body: {kind}"),
        }
    }
}

impl std::error::Error for BodyError {}

impl From<BodyError> for io::Error {
    fn from(error: BodyError) -> Self {
        Self::other(error)
    }
}

/// A request body. Reading it to its end returns zero bytes; every other end is an error, and
/// after an error each further read repeats it.
pub struct Body<'c> {
    source: Source<'c>,
    state: BodyState,
}

impl Body<'static> {
    /// A body that is there already.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let declared = bytes.len() as u64;
        Self::from_reader(Cursor::new(bytes), Some(declared))
    }

    /// No body at all.
    pub fn empty() -> Self {
        Self::from_reader(io::empty(), Some(0))
    }
}

impl<'c> Body<'c> {
    /// A body from inside the process. With a declared length, a reader that ends earlier is
    /// truncated and one that goes on is cut; without one, the reader's end is the body's.
    pub fn from_reader(reader: impl Read + Send + 'c, declared: Option<u64>) -> Self {
        let framing = match declared {
            Some(declared) => Framing::Length {
                declared,
                remaining: declared,
            },
            None => Framing::UntilEnd { ended: false },
        };
        let limits = Limits::default();
        Self {
            source: Source::Reader(Box::new(reader)),
            state: BodyState::new(framing, false, &limits),
        }
    }

    /// The body in `state`, to be read from `wire`.
    pub(super) fn on_wire(wire: &'c mut Wire, state: BodyState) -> Self {
        Self {
            source: Source::Wire(wire),
            state,
        }
    }

    pub(super) fn into_state(self) -> BodyState {
        self.state
    }

    /// The length that the request declared, in bytes; none when it is chunked.
    pub fn declared_length(&self) -> Option<u64> {
        match self.state.framing {
            Framing::Length { declared, .. } => Some(declared),
            Framing::Chunked(_) | Framing::UntilEnd { .. } => None,
        }
    }

    /// Whether the length is known only once the end was read.
    pub fn is_chunked(&self) -> bool {
        self.declared_length().is_none()
    }

    /// Bytes of the body that were read so far, without their framing.
    pub fn bytes_read(&self) -> u64 {
        self.state.bytes_read
    }

    /// Whether the body was read to its end.
    pub fn is_complete(&self) -> bool {
        self.state.is_complete()
    }

    /// Sets the largest length that is accepted, in bytes. A body that declares more fails at the
    /// first read, before any of it is asked for.
    pub fn set_limit(&mut self, limit: u64) {
        self.state.limit = limit;
    }

    /// Reads some bytes into `out`; zero is the end of the body (or an empty `out`). The first
    /// read tells a client that waits for it to go on (RFC 9110 section 10.1.1).
    ///
    /// # Errors
    /// Why there will be no further bytes.
    pub fn read_some(&mut self, out: &mut [u8]) -> Result<usize, BodyError> {
        self.state.read(&mut self.source, out)
    }

    /// Reads the whole body, which may be at most `limit` bytes.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] beyond the limit, or why the body has no end.
    pub fn read_to_vec(&mut self, limit: u64) -> Result<Vec<u8>, BodyError> {
        const STEP_BYTES: usize = 64 * 1024;
        self.set_limit(limit.min(self.state.limit));
        // A declared length is a claim: memory is taken as bytes arrive.
        let declared = self.declared_length().unwrap_or(0);
        let expected = usize::try_from(declared)
            .unwrap_or(STEP_BYTES)
            .clamp(1, STEP_BYTES);
        let mut bytes = Vec::with_capacity(expected);
        loop {
            let filled = bytes.len();
            if filled == bytes.capacity() && !self.is_complete() {
                bytes.reserve(filled.clamp(1024, 1 << 20));
            }
            bytes.resize(bytes.capacity(), 0);
            let count = if filled == bytes.len() {
                self.read_some(&mut [0])?
            } else {
                self.read_some(&mut bytes[filled..])?
            };
            bytes.truncate(filled + count);
            if count == 0 {
                return Ok(bytes);
            }
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Ok(self.read_some(out)?)
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}
