//! Where log lines go: standard error, without ever waiting long for its reader.
//!
//! A pipe or socket whose reader has stopped (a stuck log collector, a suspended terminal) fills
//! up, and a plain write to it would then hold the writing thread, and behind it every other one
//! that logs, for good. So before each write to anything but a regular file the kernel is asked
//! whether there is room. If not, the line waits [`WAIT_MAX`] for a reader that is merely slow;
//! after that, lines are dropped at once until there is room again, and then one line tells how
//! many were lost.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use jiff::Timestamp;
use log::Level;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use super::Format;

/// How long a line waits for room before lines are dropped.
const WAIT_MAX: Duration = Duration::from_millis(200);

/// The most bytes for which "there is room" promises that a write does not wait: `PIPE_BUF`.
const WRITE_BYTES_MAX: usize = 4096;

/// Standard error, or something in its place. Each `write` is one line.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is known of the stream by itself"
)]
pub(super) struct Sink {
    /// `None` where there is no standard error: then all lines are lost.
    file: Option<File>,
    /// Whether writes can wait for a reader at all.
    can_block: bool,
    /// Whether the last line found no room.
    blocked: bool,
    /// Lines lost since the last one that was written.
    lost: u64,
    /// Whether a line was cut off in its middle.
    mid_line: bool,
    format: Format,
    /// Whether it is the journal of systemd.
    journal: bool,
    now: fn() -> Timestamp,
}

impl Sink {
    /// Standard error.
    pub(super) fn stderr(format: Format, journal: bool, now: fn() -> Timestamp) -> Self {
        let fd = io::stderr().as_fd().try_clone_to_owned();
        Self {
            journal,
            ..Self::new(fd.ok().map(File::from), format, now)
        }
    }

    pub(super) fn new(file: Option<File>, format: Format, now: fn() -> Timestamp) -> Self {
        let is_regular = |file: &File| {
            fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file())
        };
        Self {
            can_block: !file.as_ref().is_some_and(is_regular),
            file,
            blocked: false,
            lost: 0,
            mid_line: false,
            format,
            journal: false,
            now,
        }
    }

    /// Lines lost since the last one that was written.
    #[cfg(test)]
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Writes a line, or counts it as lost.
    fn write_line(&mut self, line: &[u8]) {
        if self.lost > 0 || self.mid_line {
            let note = self.note();
            if !self.write_all(note.as_bytes()) {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        if !self.write_all(line) {
            self.lost += 1;
        }
    }

    /// Writes all bytes and returns true, or stops where there is no room.
    fn write_all(&mut self, bytes: &[u8]) -> bool {
        for (index, part) in bytes.chunks(WRITE_BYTES_MAX).enumerate() {
            if !self.has_room() {
                self.mid_line |= index > 0;
                return false;
            }
            if let Some(file) = &mut self.file {
                // There is nobody to tell that the log cannot be written.
                let _ = file.write_all(part);
            }
        }
        self.mid_line = false;
        true
    }

    /// Whether a write would not wait. A reader that is gone counts as room: the write fails.
    fn has_room(&mut self) -> bool {
        let Some(file) = self.file.as_ref().filter(|_| self.can_block) else {
            return true;
        };
        let wait = if self.blocked {
            Duration::ZERO
        } else {
            WAIT_MAX
        };
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: wait.subsec_nanos().into(),
        };
        let ready = loop {
            match poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&timeout)) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        self.blocked = ready == Ok(0);
        !self.blocked
    }

    /// The line that tells how many were lost; it ends one that was cut off.
    fn note(&self) -> String {
        let Self { lost, format, .. } = self;
        let time = (self.now)();
        let begin = if self.mid_line { "\n" } else { "" };
        let message = format!("{lost} log lines were lost because nothing read them");
        let priority = if self.journal {
            super::priority(Level::Warn)
        } else {
            ""
        };
        match format {
            Format::Text if self.journal => {
                format!("{begin}{priority}{}: {message}\n", super::TARGET)
            }
            Format::Text => format!("{begin}{time:.3} WARN  {}: {message}\n", super::TARGET),
            Format::Json => format!(
                "{begin}{priority}{{\"time\":\"{time:.3}\",\"level\":\"warn\",\"target\":\"{}\",\
                 \"message\":\"{message}\"}}\n",
                super::TARGET
            ),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
