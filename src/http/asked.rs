//! What was asked, as far as it is known: kept while the response is sent, for whoever logs it.

use std::borrow::Cow;
use std::time::Instant;

use super::body_state::BodyState;
use super::head::Head;
use super::headers::Headers;
use super::request::{Peer, Request};
use super::response::Sent;

/// One request without its body.
pub(super) struct Asked {
    pub(super) method_token: Cow<'static, str>,
    pub(super) path: String,
    query: Option<String>,
    headers: Headers,
    pub(super) peer: Peer,
    bytes_in: u64,
    start: Instant,
}

impl Asked {
    /// For a head that could not be read.
    pub(super) fn nothing(peer: Peer) -> Self {
        Self {
            method_token: "".into(),
            path: String::new(),
            query: None,
            headers: Headers::new(),
            peer,
            bytes_in: 0,
            start: Instant::now(),
        }
    }

    pub(super) fn head(head: Head, peer: Peer, start: Instant) -> Self {
        Self {
            method_token: head.method_token,
            path: head.path,
            query: head.query,
            headers: head.headers,
            peer,
            bytes_in: 0,
            start,
        }
    }

    /// Takes a request apart: lets go of its connection.
    pub(super) fn request(request: Request<'_>, start: Instant) -> (Self, BodyState) {
        let state = request.body.into_state();
        let asked = Self {
            method_token: request.method_token,
            path: request.path,
            query: request.query,
            headers: request.headers,
            peer: request.peer,
            bytes_in: state.bytes_read,
            start,
        };
        (asked, state)
    }

    pub(super) fn request_line(&self) -> Option<String> {
        (!self.path.is_empty()).then(|| match &self.query {
            Some(query) => format!("{} {}?{query}", self.method_token, self.path),
            None => format!("{} {}", self.method_token, self.path),
        })
    }

    pub(super) fn sent(self, status: u16, bytes_out: u64, complete: bool) -> Sent {
        Sent {
            status,
            bytes_in: self.bytes_in,
            bytes_out,
            duration: self.start.elapsed(),
            complete,
            method_token: self.method_token,
            path: self.path,
            query: self.query,
            headers: self.headers,
            peer: self.peer,
        }
    }
}
