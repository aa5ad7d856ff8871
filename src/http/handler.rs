//! The seam between the server and the application.

use std::time::Duration;

use super::request::{Peer, Request};
use super::response::Response;

/// The application: turns requests into responses, on many threads at once.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. A panic in here becomes a refusal with status 500.
    fn handle(&self, request: &mut Request<'_>) -> Response;

    /// Phrases the answer to what the server refuses by itself. It must return
    /// [`Refusal::status`] as its status, be quick, and not block: it may run on the thread that
    /// watches all connections.
    fn refuse(&self, refusal: &Refusal) -> Response {
        refusal.response()
    }
}

/// Something that the server refuses without (or after) asking the handler.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// 400, 408, 413, 414, 417, 431, 500, 503 or 505.
    pub status: u16,
    /// A sentence for people: what was wrong, and which bound was met.
    pub why: String,
    /// Who is refused.
    pub peer: Peer,
    /// With status 503, when to come back.
    pub retry_after: Option<Duration>,
    /// The method and target of the request, where its head could be read.
    pub request_line: Option<String>,
}

impl Refusal {
    /// The plainest answer: the status, the reason as text, and `Retry-After` where it applies.
    pub fn response(&self) -> Response {
        let mut response = Response::new(self.status)
            .header("Content-Type", "text/plain; charset=utf-8")
            .bytes(format!("{}\n", self.why));
        if let Some(seconds) = self.retry_after_seconds() {
            response = response.header("Retry-After", seconds.to_string());
        }
        response
    }

    /// The value for `Retry-After`: whole seconds, at least one.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|after| after.as_secs().max(1))
    }
}
