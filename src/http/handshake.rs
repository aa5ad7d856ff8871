//! The handshake of a TLS connection, on a worker and within its client's share. While the client
//! is silent no worker is kept: the connection goes back to the dispatcher, with its deadline.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use super::handler::Refusal;
use super::send;
use super::serve::{Next, Worker};
use super::share::{Share, Shares, Turn};
use super::table::{Conn, Waiting};
use super::tls::Shaken;

impl Worker {
    /// Goes on with the handshake. None when it is done.
    pub(super) fn shake(&mut self, conn: &mut Conn, share: Option<Share>) -> Option<Next> {
        let shared = Arc::clone(&self.shared);
        let start = Instant::now();
        // What a handshake costs is computing, and nobody may have all processors compute for him.
        let Some(_share) = share.or_else(|| Shares::enter(&shared, &conn.peer)) else {
            let (head, share) = (None, None);
            return Some(Next::Turn(Turn { head, start, share }));
        };
        let limits = &shared.limits;
        let deadline = conn
            .handshake_deadline
            .unwrap_or(start + limits.handshake_timeout);
        loop {
            match conn.wire.connection.shake() {
                Ok(Shaken::Done) => {
                    conn.handshake_deadline = None;
                    return None;
                }
                Ok(Shaken::PlainHttp) => {
                    self.send_to_https(conn);
                    return Some(Next::CloseGently);
                }
                Err(error) => return Some(Next::GiveUp(error)),
                Ok(_) if Instant::now() >= deadline => {
                    return Some(Next::GiveUp(ErrorKind::TimedOut.into()));
                }
                // A new socket takes all that a handshake says, unless its client is slow to read.
                Ok(Shaken::Unsent) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if let Err(error) = conn.wire.connection.socket().wait_writable(left) {
                        return Some(Next::GiveUp(error));
                    }
                }
                // A client nearby says the rest at once; then the way over the dispatcher is the
                // longer one. But no thread is to be started because this one waits.
                Ok(Shaken::Answered) if shared.has_idle_worker() => {
                    let socket = conn.wire.connection.socket();
                    if !socket.wait_readable(limits.linger_timeout).unwrap_or(false) {
                        return Some(Next::Park(Waiting::Handshake, deadline));
                    }
                }
                Ok(Shaken::Wait | Shaken::Answered) => {
                    return Some(Next::Park(Waiting::Handshake, deadline));
                }
            }
        }
    }

    /// Tells a client that speaks plain HTTP what this port speaks, in plain HTTP.
    fn send_to_https(&mut self, conn: &mut Conn) {
        let refusal = Refusal {
            status: 400,
            why: "this port speaks HTTPS: ask it with https:// instead of http://".to_owned(),
            peer: conn.peer,
            retry_after: None,
            request_line: None,
        };
        log::debug!(
            "{} speaks plain HTTP on a port that speaks HTTPS",
            conn.peer
        );
        // Not the application's words: whoever reads this is a person with the wrong address.
        let response = refusal.response();
        let framing = send::Framing {
            date: self.date.now(),
            connection: Some("close"),
        };
        let out = &mut self.out;
        out.clear();
        send::write_head(out, &response, &framing);
        send::append_body(out, &response.body);
        // A client that does not take so little is closed like one that does.
        let _ = conn.wire.connection.socket().write_now(out);
    }
}
