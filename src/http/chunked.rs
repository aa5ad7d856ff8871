//! The chunked transfer coding (RFC 9112 section 7.1) as a state machine over bytes. It does no
//! I/O, so it can be fed byte by byte.

/// A chunk-size line, with its extensions, may not be longer than this, in bytes.
pub const SIZE_LINE_BYTES_MAX: usize = 1024;
/// All trailer lines together may not be longer than this, in bytes.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// Decodes one chunked body.
#[derive(Debug, Clone)]
pub struct Decoder {
    state: State,
    /// Bytes of the current size line, or of all trailers so far.
    line_bytes: usize,
    /// The size of the chunk, while its line is read and while its data is.
    remaining: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    SizeStart,
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// This many of the bytes were framing; go on behind them.
    Framing(usize),
    /// This many of the bytes at most are data: take some and say so with [`Decoder::took`].
    Data(u64),
    /// The body is complete; the bytes belong to the next request.
    End,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// At the start of a body.
    pub fn new() -> Self {
        Self {
            state: State::SizeStart,
            line_bytes: 0,
            remaining: 0,
        }
    }

    /// Whether the last chunk and the trailers have been read.
    pub fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// Says what the next bytes are. Framing is consumed up to the start of data or the end.
    ///
    /// # Errors
    /// The reason why the bytes are not a chunked body.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, &'static str> {
        match self.state {
            State::Data => return Ok(Step::Data(self.remaining)),
            State::End => return Ok(Step::End),
            _ => {}
        }
        for (index, byte) in input.iter().enumerate() {
            self.framing(*byte)?;
            if matches!(self.state, State::Data | State::End) {
                return Ok(Step::Framing(index + 1));
            }
        }
        Ok(Step::Framing(input.len()))
    }

    /// Says that `count` bytes of data were taken.
    pub fn took(&mut self, count: u64) {
        self.remaining = self.remaining.saturating_sub(count);
        if self.state == State::Data && self.remaining == 0 {
            self.state = State::DataCr;
        }
    }

    fn framing(&mut self, byte: u8) -> Result<(), &'static str> {
        self.state = match (self.state, byte) {
            (State::SizeStart | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.size_digit(byte)?;
                self.line(State::Size, SIZE_LINE_BYTES_MAX)?
            }
            (State::Size | State::Extension, b'\r') => State::SizeLf,
            (State::Size, b';' | b' ' | b'\t')
            | (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.line(State::Extension, SIZE_LINE_BYTES_MAX)?
            }
            (State::SizeStart | State::Size, _) => return Err("a chunk size is not hexadecimal"),
            (State::Extension, _) => return Err("a chunk extension holds a control character"),
            (State::SizeLf, b'\n') => self.after_size_line(),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::SizeStart,
            (State::DataCr | State::DataLf, _) => {
                return Err("a chunk is longer than its size says");
            }
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerStart | State::Trailer, b'\t' | b' '..=b'~' | 0x80..) => {
                self.line(State::Trailer, TRAILER_BYTES_MAX)?
            }
            (State::TrailerStart | State::Trailer, _) => {
                return Err("a trailer holds a control character");
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::End,
            (State::SizeLf | State::TrailerLf | State::EndLf, _) => {
                return Err("a line of the chunked body ends without a line feed");
            }
            (State::Data | State::End, _) => self.state,
        };
        Ok(())
    }

    fn size_digit(&mut self, byte: u8) -> Result<(), &'static str> {
        let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
        if self.state == State::SizeStart {
            self.remaining = 0;
            self.line_bytes = 0;
        }
        if self.remaining >> 60 != 0 {
            return Err("a chunk size does not fit 64 bits");
        }
        self.remaining = self.remaining << 4 | digit;
        Ok(())
    }

    fn line(&mut self, next: State, bytes_max: usize) -> Result<State, &'static str> {
        self.line_bytes += 1;
        if self.line_bytes > bytes_max {
            return Err("a line of the chunked body's framing is too long");
        }
        Ok(next)
    }

    fn after_size_line(&mut self) -> State {
        self.line_bytes = 0;
        if self.remaining == 0 {
            State::TrailerStart
        } else {
            State::Data
        }
    }
}
