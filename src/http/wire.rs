//! A connection while a worker has it: the stream, what was read ahead, and paced reads and
//! writes. Everything that can block on a client goes through here.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::body::BodyError;
use super::buffer::Buffer;
use super::pace::{Pace, TooSlow};
use super::stream::Connection;

/// The stream of one connection with its input buffer.
pub(super) struct Wire {
    pub(super) connection: Box<dyn Connection>,
    pub(super) input: Buffer,
    /// Bytes written since the connection was accepted.
    pub(super) written: u64,
    /// Bytes of bodies and responses that all connections of the server have moved.
    moved: Arc<AtomicU64>,
    /// Whether a response was cut off: the client must not take the end for one that was meant.
    pub(super) is_cut_off: bool,
}

/// What one read of a request head found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    Bytes,
    Nothing,
    End,
    /// There is no room; the caller's bound is met.
    Full,
}

impl Wire {
    /// A new connection, whose bytes are added to `moved`.
    pub(super) fn new(connection: Box<dyn Connection>, moved: Arc<AtomicU64>) -> Self {
        Self {
            moved,
            connection,
            input: Buffer::new(),
            written: 0,
            is_cut_off: false,
        }
    }

    /// Reads once into the input buffer, waiting no longer than the socket's own read timeout.
    pub(super) fn read_ahead(&mut self, capacity: usize) -> io::Result<Arrived> {
        let room = self.input.room(capacity);
        if room.is_empty() {
            return Ok(Arrived::Full);
        }
        loop {
            match self.connection.read(room) {
                Ok(0) => return Ok(Arrived::End),
                Ok(count) => {
                    self.input.filled(count);
                    return Ok(Arrived::Bytes);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Ok(Arrived::Nothing),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads straight into `out`, which must not be empty, waiting as long as `pace` allows.
    /// Zero is the end of the stream. The input buffer must have been emptied before.
    pub(super) fn read_paced(
        &mut self,
        out: &mut [u8],
        pace: &mut Pace,
    ) -> Result<usize, BodyError> {
        let mut start = Instant::now();
        loop {
            let outcome = self.connection.read(out);
            let moved = *outcome.as_ref().unwrap_or(&0);
            let now = Instant::now();
            pace.add(now - start, moved as u64)
                .map_err(|TooSlow| BodyError::TooSlow)?;
            start = now;
            match outcome {
                Ok(count) => {
                    self.moved.fetch_add(count as u64, Ordering::Relaxed);
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {
                    let left = pace.left().max(Duration::from_millis(1));
                    self.connection
                        .socket()
                        .wait_readable(left)
                        .map_err(BodyError::from_io)?;
                }
                // Over TLS: the connection has ended and nobody has said that it would.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(BodyError::Truncated);
                }
                Err(error) => return Err(BodyError::from_io(error)),
            }
        }
    }

    /// Reads into the input buffer, waiting as long as `pace` allows. Zero is the end.
    pub(super) fn fill_paced(
        &mut self,
        capacity: usize,
        pace: &mut Pace,
    ) -> Result<usize, BodyError> {
        let mut input = std::mem::take(&mut self.input);
        let outcome = self.read_paced(input.room(capacity), pace);
        input.filled(*outcome.as_ref().unwrap_or(&0));
        self.input = input;
        outcome
    }

    /// Writes all of `first` and then of `second`, in one call where the kernel takes it.
    pub(super) fn write_all(
        &mut self,
        mut first: &[u8],
        mut second: &[u8],
        pace: &mut Pace,
    ) -> io::Result<()> {
        while !first.is_empty() || !second.is_empty() {
            let count = self.write_once(pace, |connection| match (first, second) {
                (only, []) | ([], only) => connection.write(only),
                _ => connection.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
            })?;
            let of_first = count.min(first.len());
            first = &first[of_first..];
            second = &second[(count - of_first).min(second.len())..];
        }
        self.push_all(pace)
    }

    /// Writes all of `bytes`, telling the kernel that more follows at once.
    pub(super) fn write_more(&mut self, mut bytes: &[u8], pace: &mut Pace) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.write_once(pace, |connection| connection.write_more(bytes))?;
            bytes = &bytes[count.min(bytes.len())..];
        }
        Ok(())
    }

    /// Waits until everything that was written is on its way.
    fn push_all(&mut self, pace: &mut Pace) -> io::Result<()> {
        while self.connection.is_unsent() {
            self.attempt(pace, |connection| connection.push())?;
        }
        Ok(())
    }

    /// One attempt to write with `write`, repeated when interrupted. No progress at all within
    /// the socket's write timeout, or too little within the pace's window, is `TimedOut`.
    pub(super) fn write_once(
        &mut self,
        pace: &mut Pace,
        write: impl FnMut(&mut dyn Connection) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.push_all(pace)?;
        let count = self.attempt(pace, write)?;
        self.written += count as u64;
        Ok(count)
    }

    fn attempt(
        &mut self,
        pace: &mut Pace,
        mut write: impl FnMut(&mut dyn Connection) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let start = Instant::now();
            match write(&mut *self.connection) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.moved.fetch_add(count as u64, Ordering::Relaxed);
                    let slow = pace.add(start.elapsed(), count as u64);
                    return slow
                        .map(|()| count)
                        .map_err(|TooSlow| ErrorKind::TimedOut.into());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether a socket's own timeout ended a read or a write.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
