//! What a worker says: responses and refusals, and who is told about them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::asked::Asked;
use super::handler::Refusal;
use super::pace::Pace;
use super::response::Response;
use super::send;
use super::serve::Worker;
use super::shared::Shared;
use super::table::Conn;

impl Worker {
    /// Answers what is refused here. The connection is closed after it.
    pub(super) fn refuse(&mut self, conn: &mut Conn, asked: Asked, status: u16, why: String) {
        let refusal = Refusal {
            status,
            why,
            peer: conn.peer,
            retry_after: (status == 503).then_some(self.shared.limits.retry_after),
            request_line: asked.request_line(),
        };
        let mut response = self.shared.phrase(&refusal);
        let is_head = asked.method_token == "HEAD";
        self.send(conn, &mut response, asked, Some("close"), is_head);
    }

    /// Sends a response and tells whoever wants to know; whether all of it went out.
    pub(super) fn send(
        &mut self,
        conn: &mut Conn,
        response: &mut Response,
        asked: Asked,
        connection: Option<&'static str>,
        is_head: bool,
    ) -> bool {
        let limits = &self.shared.limits;
        let mut pace = Pace::new(limits.body_rate_min_bytes_per_s, limits.body_rate_window);
        let framing = send::Framing {
            date: self.date.now(),
            connection,
        };
        let out = &mut self.out;
        out.clear();
        send::write_head(out, response, &framing);
        let body_start = conn.wire.written + out.len() as u64;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            send::send(&mut conn.wire, out, response, is_head, &mut pace)
        }));
        let is_complete = match outcome {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                log::debug!("response to {} was cut off: {error}", asked.peer);
                false
            }
            Err(_) => {
                log::error!("the body of a response panicked; its connection is closed");
                false
            }
        };
        conn.wire.is_cut_off |= !is_complete;
        let bytes_out = conn.wire.written.saturating_sub(body_start);
        Shared::report(response.on_sent.take(), || {
            asked.sent(response.status, bytes_out, is_complete)
        });
        is_complete
    }
}

/// Whether and how a connection is kept.
pub(super) struct KeepAlive {
    pub(super) asked: bool,
    pub(super) is_http_1_0: bool,
}

impl KeepAlive {
    /// The value of `Connection`: only what differs from the version's default is said.
    pub(super) fn field(&self, stays: bool) -> Option<&'static str> {
        match (stays, self.is_http_1_0) {
            (false, _) => Some("close"),
            (true, true) => Some("keep-alive"),
            (true, false) => None,
        }
    }
}
