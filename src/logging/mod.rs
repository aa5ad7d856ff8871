//! Logging: one line a record on standard error, as text for people or JSON for programs.
//!
//! All floors log through the `log` facade; this sets it up, once, and gives the access log its
//! shape. Whatever a client sent reaches the log escaped and bounded, so that it can neither
//! forge a line nor steer a terminal.
//!
//! A reader of standard error that stops reading must not stop the registry: a line waits for it
//! a moment, then lines are dropped and counted until it reads again (`sink.rs`).

mod access;
mod audit;
mod escape;
mod sink;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal, Write};

use env_logger::fmt::Formatter;
use jiff::Timestamp;
use log::{Level, LevelFilter, Record};

pub use access::{AccessRecord, TARGET as ACCESS_TARGET, log_access};
pub use audit::{AuditRecord, AuditedRequest, Event, TARGET as AUDIT_TARGET, audit};
use escape::{Escaped, Quoting};
use sink::Sink;

/// The longest message that is logged, in bytes; longer ones are cut.
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// The target of this module's own records.
const TARGET: &str = "coracle::logging";

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Time, level, target, message.
    #[default]
    Text,
    /// One JSON object a line, with the same.
    Json,
}

/// Starts logging to standard error: what is at least as important as `level`, in `format`, and
/// requests too if `access`, and who did what if `audit`. Colours are used on a terminal only, and
/// not with `NO_COLOR`.
///
/// # Errors
/// A logger was set before; it stays.
pub fn init(
    level: LevelFilter,
    format: Format,
    access: bool,
    audit: bool,
) -> Result<(), log::SetLoggerError> {
    let journal = stderr_is_journal();
    let sink = Sink::stderr(format, journal, Timestamp::now);
    let style = Style {
        format,
        journal,
        colour: format == Format::Text && stderr_has_colours(),
        now: Timestamp::now,
    };
    // What is wanted is decided before a record is made, so that it can change.
    let logger = build(LevelFilter::Trace, style, Box::new(sink));
    log::set_boxed_logger(Box::new(logger))?;
    change(level, format, access, audit);
    Ok(())
}

/// Changes what is logged from now on. `format` is the one that logging was started with.
pub fn change(level: LevelFilter, format: Format, access: bool, audit: bool) {
    log::set_max_level(level);
    access::enable(access.then_some(format));
    audit::enable(audit.then_some(format));
}

/// Whether standard error is a stream to the journal of systemd: then `JOURNAL_STREAM` names its
/// device and inode. It may have been inherited by a process whose output goes elsewhere.
fn stderr_is_journal() -> bool {
    let stat = rustix::fs::fstat(io::stderr());
    let named = std::env::var("JOURNAL_STREAM");
    matches!((stat, named), (Ok(stat), Ok(named)) if names(&named, stat.st_dev, stat.st_ino))
}

/// Whether a text of the form `device:inode` names these.
fn names(text: &str, device: u64, inode: u64) -> bool {
    let is = |text: &str, number: u64| text.parse() == Ok(number);
    text.split_once(':')
        .is_some_and(|(own, other)| is(own, device) && is(other, inode))
}

/// How the journal is told of a level: the priority of syslog at the line's beginning.
const fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

/// Whether standard error is a terminal on which colours are wanted (<https://no-color.org>).
fn stderr_has_colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stderr().is_terminal() && !refused && !dumb
}

/// How a line is written.
#[derive(Clone, Copy)]
struct Style {
    format: Format,
    /// Each line begins with its priority, and one of text has neither time nor level: the journal
    /// keeps both.
    journal: bool,
    colour: bool,
    now: fn() -> Timestamp,
}

fn build(level: LevelFilter, style: Style, output: Box<dyn Write + Send>) -> env_logger::Logger {
    env_logger::Builder::new()
        .filter_level(level)
        // The HTTP client of webhooks writes down what it sends, also what is secret.
        .filter_module("ureq", LevelFilter::Off)
        .target(env_logger::Target::Pipe(output))
        // The lines hold escape codes only where they are wanted.
        .write_style(env_logger::WriteStyle::Always)
        .format(move |formatter, record| style.write(formatter, record))
        .build()
}

impl Style {
    fn write(self, out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
        let time = (self.now)();
        if self.journal {
            out.write_all(priority(record.level()).as_bytes())?;
        }
        match self.format {
            Format::Text if self.journal => {
                write!(out, "{}: ", record.target())?;
                write_message(out, record, Quoting::Line)?;
                out.write_all(b"\n")
            }
            Format::Text => self.write_text(out, record, time),
            Format::Json => write_json(out, record, time),
        }
    }

    fn write_text(
        self,
        out: &mut Formatter,
        record: &Record<'_>,
        time: Timestamp,
    ) -> io::Result<()> {
        let (level, target) = (record.level(), record.target());
        let (begin, end) = match level {
            _ if !self.colour => ("", ""),
            Level::Error => ("\x1b[31m", "\x1b[0m"),
            Level::Warn => ("\x1b[33m", "\x1b[0m"),
            Level::Info => ("\x1b[32m", "\x1b[0m"),
            Level::Debug => ("\x1b[34m", "\x1b[0m"),
            Level::Trace => ("\x1b[36m", "\x1b[0m"),
        };
        write!(out, "{time:.3} {begin}{level:<5}{end} {target}: ")?;
        write_message(out, record, Quoting::Line)?;
        out.write_all(b"\n")
    }
}

fn write_json(out: &mut Formatter, record: &Record<'_>, time: Timestamp) -> io::Result<()> {
    let level = level_name(record.level());
    write!(
        out,
        "{{\"time\":\"{time:.3}\",\"level\":\"{level}\",\"target\":\""
    )?;
    Escaped::new(record.target(), Quoting::Json, 256).write_io(out)?;
    out.write_all(b"\",\"message\":\"")?;
    match record.target() {
        // These records have written their fields as JSON, and escaped them, themselves.
        ACCESS_TARGET => write!(out, "request\",{}}}", record.args())?,
        AUDIT_TARGET => write!(out, "audit\",{}}}", record.args())?,
        _ => {
            write_message(out, record, Quoting::Json)?;
            out.write_all(b"\"}")?;
        }
    }
    out.write_all(b"\n")
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Writes the message, escaped and cut.
fn write_message(out: &mut Formatter, record: &Record<'_>, quoting: Quoting) -> io::Result<()> {
    if let Some(message) = record.args().as_str() {
        return Escaped::new(message, quoting, MESSAGE_BYTES_MAX).write_io(out);
    }
    let mut escaping = escape::Escaping::new(quoting, MESSAGE_BYTES_MAX, out);
    escaping.write_args(record.args())
}
