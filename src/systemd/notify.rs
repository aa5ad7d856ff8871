//! Messages to the service manager, over the datagram socket that `NOTIFY_SOCKET` names.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::variable;
use crate::http::Datagram;

/// The variable that names the socket.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// The longest text of a status, in bytes: it is shown on a line.
const STATUS_BYTES_MAX: usize = 512;

/// One message: lines of `NAME=VALUE`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Message(String);

impl Message {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The service has started, or a reload has ended; `pid` is its main process.
    #[must_use]
    pub fn ready(self, pid: u32) -> Self {
        self.line("READY", "1").line("MAINPID", pid)
    }

    /// A reload has begun, at this time of `CLOCK_MONOTONIC` in microseconds.
    #[must_use]
    pub fn reloading(self, monotonic_usec: u64) -> Self {
        self.line("RELOADING", "1")
            .line("MONOTONIC_USEC", monotonic_usec)
    }

    /// The service has begun to stop.
    #[must_use]
    pub fn stopping(self) -> Self {
        self.line("STOPPING", "1")
    }

    /// It is alive: the watchdog starts anew.
    #[must_use]
    pub fn watchdog(self) -> Self {
        self.line("WATCHDOG", "1")
    }

    /// What goes on may take as long as this from now on.
    #[must_use]
    pub fn extend_timeout(self, by: Duration) -> Self {
        self.line("EXTEND_TIMEOUT_USEC", by.as_micros())
    }

    /// What the service does, in a line for people.
    #[must_use]
    pub fn status(self, text: &str) -> Self {
        let mut line = String::with_capacity(text.len().min(STATUS_BYTES_MAX));
        for character in text.chars() {
            if line.len() + character.len_utf8() > STATUS_BYTES_MAX {
                break;
            }
            // A message is made of lines.
            line.push(if character.is_control() {
                ' '
            } else {
                character
            });
        }
        self.line("STATUS", line)
    }

    fn line(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        // Writing to a text does not fail.
        let _ = write!(self.0, "{name}={value}");
        self
    }

    /// The message as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Sends messages to the service manager.
#[derive(Debug)]
pub struct Notifier {
    socket: Datagram,
    /// Whether the last message did not arrive: said once, not each time.
    is_failing: AtomicBool,
}

impl Notifier {
    /// The one that the environment names; `None` where the service manager wants no messages, or
    /// wants them at an address that cannot be used, which is logged.
    pub fn from_environment(environment: &[(OsString, OsString)]) -> Option<Self> {
        let name = variable(environment, VARIABLE)?;
        match Datagram::to(name) {
            Ok(socket) => Some(Self {
                socket,
                is_failing: AtomicBool::new(false),
            }),
            Err(error) => {
                let name = name.to_string_lossy();
                log::error!(
                    "the service manager cannot be told anything: {VARIABLE}={name}: {error}"
                );
                None
            }
        }
    }

    /// Sends a message. That it did not arrive is logged, and ends nothing.
    pub fn send(&self, message: &Message) {
        match self.socket.send(message.as_str().as_bytes()) {
            Ok(()) => self.is_failing.store(false, Ordering::Relaxed),
            Err(error) => {
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    log::warn!("the service manager could not be told something: {error}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_what_systemd_reads() {
        let text = |message: Message| message.as_str().to_owned();
        assert_eq!(
            text(Message::new().ready(42).status("serving")),
            "READY=1\nMAINPID=42\nSTATUS=serving"
        );
        assert_eq!(
            text(Message::new().reloading(1_234_567)),
            "RELOADING=1\nMONOTONIC_USEC=1234567"
        );
        let drain = Duration::from_millis(2500);
        assert_eq!(
            text(Message::new().stopping().extend_timeout(drain)),
            "STOPPING=1\nEXTEND_TIMEOUT_USEC=2500000"
        );
        assert_eq!(text(Message::new().watchdog()), "WATCHDOG=1");
    }

    #[test]
    fn a_status_is_one_line_and_short() {
        let message = Message::new().status("a\nREADY=1\r\tb");
        assert_eq!(message.as_str(), "STATUS=a READY=1  b");
        let message = Message::new().status(&"ä".repeat(1000));
        assert_eq!(message.as_str().len(), "STATUS=".len() + STATUS_BYTES_MAX);
    }

    #[test]
    fn without_a_socket_nobody_is_told() {
        let environment = |value: &str| [(OsString::from(VARIABLE), OsString::from(value))];
        assert!(Notifier::from_environment(&[]).is_none());
        assert!(Notifier::from_environment(&environment("")).is_none());
        assert!(Notifier::from_environment(&environment("vsock:1:2")).is_none());
        let notifier = Notifier::from_environment(&environment("/nobody/listens")).unwrap();
        notifier.send(&Message::new().watchdog());
        assert!(notifier.is_failing.load(Ordering::Relaxed));
    }
}
