//! How a body is read: its framing, its limit, its pace, and that no error is ever forgotten.

use std::time::Instant;

use std::io::{self, Read};

use super::body::BodyError;
use super::chunked::{Decoder, Step};
use super::limits::Limits;
use super::pace::Pace;
use super::wire::Wire;

/// Bytes read at once when the framing has to be looked at.
const READ_AHEAD_BYTES: usize = 128 * 1024;

/// Where the bytes of a body come from.
pub(super) enum Source<'c> {
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
    pub(super) framing: Framing,
    pub(super) limit: u64,
    pub(super) bytes_read: u64,
    error: Option<BodyError>,
    /// The client waits for `100 Continue` before it sends the body.
    continue_expected: bool,
    pace: Pace,
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
    pub(super) fn drain(
        &mut self,
        wire: &mut Wire,
        scratch: &mut [u8],
        bytes_max: u64,
        deadline: Instant,
    ) -> bool {
        let end = self.bytes_read.saturating_add(bytes_max);
        self.limit = end;
        let mut source = Source::Wire(wire);
        while !self.is_complete() && Instant::now() < deadline {
            match self.read(&mut source, scratch) {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        self.is_complete()
    }

    /// Some bytes of the body; zero is its end.
    pub(super) fn read(
        &mut self,
        source: &mut Source<'_>,
        out: &mut [u8],
    ) -> Result<usize, BodyError> {
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
