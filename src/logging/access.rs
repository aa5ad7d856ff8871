//! The access log: one record a request, escaped and bounded.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::Format;
use super::escape::{Escaped, Quoting};

/// The target of access records.
pub const TARGET: &str = "access";

/// The longest path, user agent and other text that is logged, in bytes.
const PATH_BYTES_MAX: usize = 1024;
const USER_AGENT_BYTES_MAX: usize = 256;
const TEXT_BYTES_MAX: usize = 128;

const OFF: u8 = 0;
const AS_TEXT: u8 = 1;
const AS_JSON: u8 = 2;

/// How records are written. Set once at the start, so no order with other memory matters.
static MODE: AtomicU8 = AtomicU8::new(OFF);

/// Sets how records are written; `None` for not at all.
pub(super) fn enable(format: Option<Format>) {
    let mode = match format {
        None => OFF,
        Some(Format::Text) => AS_TEXT,
        Some(Format::Json) => AS_JSON,
    };
    MODE.store(mode, Ordering::Relaxed);
}

/// One request and its answer. The texts come from clients and may hold anything.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    /// The method as it was sent.
    pub method: &'a str,
    /// The target as it was sent: path and query.
    pub path: &'a str,
    /// The status that was answered.
    pub status: u16,
    /// Bytes of the request's body that were read.
    pub bytes_in: u64,
    /// Bytes of the response's body that were sent.
    pub bytes_out: u64,
    /// From the head of the request to the last byte of the response.
    pub duration: Duration,
    /// The address of the client.
    pub client: &'a str,
    /// Who it is, as far as that was verified; empty for nobody in particular.
    pub actor: &'a str,
    /// The `User-Agent` header; empty when there was none.
    pub user_agent: &'a str,
    /// The id that error bodies and other log lines name too.
    pub request_id: &'a str,
    /// The id of the trace that the client says the request belongs to; empty for none.
    pub trace_id: &'a str,
    /// Whether the whole response was sent.
    pub complete: bool,
}

/// Logs a request, at level `info`: one write, and no allocation once a thread has logged before.
/// Does nothing, and costs nothing, where the access log is off.
pub fn log_access(record: &AccessRecord<'_>) {
    let mode = MODE.load(Ordering::Relaxed);
    if mode == OFF {
        return;
    }
    if mode == AS_JSON {
        log::info!(target: TARGET, "{}", Json(record));
    } else {
        log::info!(target: TARGET, "{}", Text(record));
    }
}

/// `key=value` pairs.
pub(super) struct Text<'a>(pub(super) &'a AccessRecord<'a>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        write!(
            f,
            "method={} path={} status={} bytes_in={} bytes_out={} duration_ms={} client={} \
             actor={} user_agent={} request_id={} complete={}",
            Bare(record.method, TEXT_BYTES_MAX),
            Bare(record.path, PATH_BYTES_MAX),
            record.status,
            record.bytes_in,
            record.bytes_out,
            Millis(record.duration),
            Bare(record.client, TEXT_BYTES_MAX),
            Bare(record.actor, TEXT_BYTES_MAX),
            Bare(record.user_agent, USER_AGENT_BYTES_MAX),
            Bare(record.request_id, TEXT_BYTES_MAX),
            record.complete,
        )?;
        if !record.trace_id.is_empty() {
            write!(f, " trace_id={}", Bare(record.trace_id, TEXT_BYTES_MAX))?;
        }
        Ok(())
    }
}

/// The members of a JSON object, without its braces.
pub(super) struct Json<'a>(pub(super) &'a AccessRecord<'a>);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        let text = |text, bytes_max| Escaped::new(text, Quoting::Json, bytes_max);
        write!(
            f,
            "\"method\":\"{}\",\"path\":\"{}\",\"status\":{},\"bytes_in\":{},\"bytes_out\":{},\
             \"duration_ms\":{},\"client\":\"{}\",\"actor\":\"{}\",\"user_agent\":\"{}\",\
             \"request_id\":\"{}\",\"complete\":{}",
            text(record.method, TEXT_BYTES_MAX),
            text(record.path, PATH_BYTES_MAX),
            record.status,
            record.bytes_in,
            record.bytes_out,
            Millis(record.duration),
            text(record.client, TEXT_BYTES_MAX),
            text(record.actor, TEXT_BYTES_MAX),
            text(record.user_agent, USER_AGENT_BYTES_MAX),
            text(record.request_id, TEXT_BYTES_MAX),
            record.complete,
        )?;
        if !record.trace_id.is_empty() {
            write!(
                f,
                ",\"trace_id\":\"{}\"",
                text(record.trace_id, TEXT_BYTES_MAX)
            )?;
        }
        Ok(())
    }
}

/// A text in quotes, or without where nothing in it could be mistaken.
pub(super) struct Bare<'a>(pub(super) &'a str, pub(super) usize);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, bytes_max) = *self;
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if !text.is_empty() && text.len() <= bytes_max && text.bytes().all(plain) {
            return f.write_str(text);
        }
        write!(f, "\"{}\"", Escaped::new(text, Quoting::Quoted, bytes_max))
    }
}

/// Milliseconds with three decimals.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        write!(f, "{}.{:03}", micros / 1000, micros % 1000)
    }
}
