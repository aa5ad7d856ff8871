//! Webhooks: what is told of what, and that it arrives, whatever the other end and the machine do.

mod control;
mod delivery;
mod told;

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::receiver::Receiver;
use crate::support::{Configured, start_configured};

/// A `[[webhook]]` table that is tried again quickly, with these further lines.
pub fn webhook(name: &str, url: &str, more: &str) -> String {
    format!(
        "[[webhook]]\nname = \"{name}\"\nurl = \"{url}/hook\"\nthreshold = 1\n\
         backoff = \"20ms\"\nbackoff_max = \"100ms\"\n{more}\n"
    )
}

/// A server with one webhook at this receiver.
#[track_caller]
pub fn server_for(receiver: &Receiver, more: &str) -> Configured {
    start_configured(&webhook("ci", &receiver.url(), more), &[])
}

/// An event in a line: `push a:v1 manifest`, `delete a@sha256:… `.
pub fn line(event: &Value) -> String {
    let text = |key: &str| event["target"][key].as_str().unwrap_or_default();
    let action = event["action"].as_str().unwrap_or_default();
    let mut line = format!("{action} {}", text("repository"));
    if !text("tag").is_empty() {
        let _ = write!(line, ":{}", text("tag"));
    }
    if !text("digest").is_empty() {
        let _ = write!(line, "@{}", text("digest"));
    }
    if !text("fromRepository").is_empty() {
        let _ = write!(line, " from {}", text("fromRepository"));
    }
    line
}

/// Events in lines.
pub fn lines(events: &[Value]) -> Vec<String> {
    events.iter().map(line).collect()
}
