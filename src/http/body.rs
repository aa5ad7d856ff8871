//! The body of a request, read from the connection as the handler asks for it. A body that ends
//! before its framing says so is an error, never an end.

use std::fmt;
use std::io::{self, Cursor, Read};

use super::chunked::{Decoder, Step};
use super::limits::Limits;
use super::pace::Pace;
use super::wire::Wire;

/// Bytes read at once when the framing has to be looked at.
const READ_AHEAD_BYTES: usize = 128 * 1024;

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

enum Source<'c> {
    Wire(&'c mut Wire),
    Reader(Box<dyn Read + Send + 'c>),
}

/// Where the end of a body is.
#[derive(Debug, Clone)]
pub(super) enum Framing {
    Length {
        declared: u64,
        remaining: u64,
    },
    Chunked(Decoder),
    /// The end of a reader inside the process.
    UntilEnd {
        ended: bool,
    },
}

/// How far a body was read: all of it but the connection, which the response needs meanwhile.
#[derive(Debug, Clone)]
pub(super) struct BodyState {
    framing: Framing,
    limit: u64,
    bytes_read: u64,
    error: Option<BodyError>,
    /// The client waits for `100 Continue` before it sends the body.
    continue_expected: bool,
    pace: Pace,
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

impl BodyState {
    pub(super) fn new(framing: Framing, continue_expected: bool, limits: &Limits) -> Self {
        Self {
            framing,
            limit: limits.body_bytes_max,
            bytes_read: 0,
            error: None,
            continue_expected,
            pace: Pace::new(limits.body_rate_min_bytes_per_s, limits.body_rate_window),
        }
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Judges the client by `pace` from here on.
    pub(super) fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Whether the next byte on the connection belongs to the next request.
    pub(super) fn is_complete(&self) -> bool {
        self.error.is_none()
            && match &self.framing {
                Framing::Length { remaining, .. } => *remaining == 0,
                Framing::Chunked(decoder) => decoder.is_complete(),
                Framing::UntilEnd { ended } => *ended,
            }
    }

    /// Whether what was not read may be read and thrown away to keep the connection: nothing
    /// failed, the client is sending, and it is not known to be more than `bytes_max`.
    pub(super) fn is_drainable(&self, bytes_max: u64) -> bool {
        self.error.is_none()
            && !self.continue_expected
            && match &self.framing {
                Framing::Length { remaining, .. } => *remaining <= bytes_max,
                Framing::Chunked(_) | Framing::UntilEnd { .. } => true,
            }
    }

    /// Reads and throws away the rest, at most `bytes_max`; whether the end was reached.
    pub(super) fn drain(&mut self, wire: &mut Wire, scratch: &mut [u8], bytes_max: u64) -> bool {
        let end = self.bytes_read.saturating_add(bytes_max);
        self.limit = end;
        let mut source = Source::Wire(wire);
        while !self.is_complete() {
            match self.read(&mut source, scratch) {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        self.is_complete()
    }

    fn read(&mut self, source: &mut Source<'_>, out: &mut [u8]) -> Result<usize, BodyError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if out.is_empty() || self.is_complete() {
            return Ok(0);
        }
        let outcome = self.read_checked(source, out);
        match outcome {
            Ok(count) => self.bytes_read += count as u64,
            Err(error) => self.error = Some(error),
        }
        outcome
    }

    fn read_checked(
        &mut self,
        source: &mut Source<'_>,
        out: &mut [u8],
    ) -> Result<usize, BodyError> {
        let allowed = self.limit.saturating_sub(self.bytes_read);
        let too_large = BodyError::TooLarge { limit: self.limit };
        if matches!(self.framing, Framing::Length { remaining, .. } if remaining > allowed) {
            return Err(too_large);
        }
        if let (true, Source::Wire(wire)) = (self.continue_expected, &mut *source) {
            // A client that has begun to send does not wait.
            if wire.input.is_empty() {
                let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
                wire.write_all(go_on, b"", &mut self.pace)
                    .map_err(BodyError::from_io)?;
            }
            self.continue_expected = false;
        }
        let count = match &mut self.framing {
            Framing::Length { remaining, .. } => {
                let most = at_most(out, *remaining);
                let count = source.read(most, &mut self.pace)?;
                if count == 0 {
                    return Err(BodyError::Truncated);
                }
                *remaining -= count as u64;
                count
            }
            Framing::Chunked(decoder) => source.read_chunked(decoder, out, &mut self.pace)?,
            Framing::UntilEnd { ended } => {
                let count = source.read(out, &mut self.pace)?;
                *ended = count == 0;
                count
            }
        };
        if count as u64 > allowed {
            Err(too_large)
        } else {
            Ok(count)
        }
    }
}

/// The first `count` bytes of `out`, or all of it.
fn at_most(out: &mut [u8], count: u64) -> &mut [u8] {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(out.len());
    &mut out[..count]
}

impl Source<'_> {
    /// Some bytes of the source; zero is its end.
    fn read(&mut self, out: &mut [u8], pace: &mut Pace) -> Result<usize, BodyError> {
        match self {
            Self::Wire(wire) if wire.input.is_empty() => wire.read_paced(out, pace),
            Self::Wire(wire) => Ok(wire.input.take_into(out)),
            Self::Reader(reader) => loop {
                match reader.read(out) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        let inner = BodyError::of(&error);
                        return Err(inner.unwrap_or(BodyError::Io(error.kind())));
                    }
                    Ok(count) => return Ok(count),
                }
            },
        }
    }

    /// Some decoded bytes; zero is the end of the body.
    fn read_chunked(
        &mut self,
        decoder: &mut Decoder,
        out: &mut [u8],
        pace: &mut Pace,
    ) -> Result<usize, BodyError> {
        let Self::Wire(wire) = self else {
            return Err(BodyError::BadFraming("only a connection has chunks"));
        };
        // Small chunks are gathered: as many as are here already, up to the size of `out`.
        let mut filled = 0;
        loop {
            match decoder
                .step(wire.input.bytes())
                .map_err(BodyError::BadFraming)?
            {
                Step::End => return Ok(filled),
                Step::Framing(count) if count > 0 => wire.input.consume(count),
                Step::Data(remaining) if !wire.input.is_empty() => {
                    let count = wire.input.take_into(at_most(&mut out[filled..], remaining));
                    decoder.took(count as u64);
                    filled += count;
                    if filled == out.len() {
                        return Ok(filled);
                    }
                }
                _ if filled > 0 => return Ok(filled),
                Step::Data(remaining) if remaining >= out.len() as u64 => {
                    let count = wire.read_paced(out, pace)?;
                    decoder.took(count as u64);
                    return if count == 0 {
                        Err(BodyError::Truncated)
                    } else {
                        Ok(count)
                    };
                }
                _ => {
                    if wire.fill_paced(READ_AHEAD_BYTES, pace)? == 0 {
                        return Err(BodyError::Truncated);
                    }
                }
            }
        }
    }
}
