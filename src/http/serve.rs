//! What a worker does with one connection: heads in, handler, responses out, until the client
//! has nothing more to say for the moment.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::asked::Asked;
use super::body::Body;
use super::body_state::{BodyState, Framing};
use super::buffer::Buffer;
use super::chunked::Decoder;
use super::date::DateCache;
use super::head::{BodyLength, Head, HeadError, parse_complete};
use super::pace::Pace;
use super::reply::KeepAlive;
use super::request::{Method, Request};
use super::response::Response;
use super::scan::Scan;
use super::share::{Share, Shares, Turn};
use super::shared::Shared;
use super::shed::Shed;
use super::stream::Scratch;
use super::table::{Conn, Waiting};
use super::tls::is_about_certificate;
use super::wire::Arrived;

/// Read at once for a head; a longer head makes the buffer grow to its limit.
const HEAD_READ_BYTES: usize = 16 * 1024;
/// A worker keeps no more than this of its buffers from one connection to the next.
const KEPT_BYTES: usize = 128 * 1024;
/// Thrown away at once while draining a body.
const DRAIN_BYTES: usize = 16 * 1024;

/// Requests that were sent ahead and are answered in one go while other clients wait.
const PIPELINED_MAX: usize = 128;

/// One worker's own memory, used for one connection after the other.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) input: Buffer,
    pub(super) out: Vec<u8>,
    pub(super) date: DateCache,
    pub(super) scratch: Scratch,
    /// Requests of the connection at hand since this worker has it.
    pub(super) turn_requests: usize,
}

/// What becomes of a connection when its worker is done with it.
pub(super) enum Next {
    /// Its client has all requests running that it may.
    Turn(Turn),
    /// A handshake that leads nowhere.
    GiveUp(io::Error),
    Park(Waiting, Instant),
    Close,
    CloseGently,
}

/// What the bytes of a connection are.
enum Incoming {
    Head(Box<Head>),
    /// Nothing yet, or not all of it.
    Wait,
    End,
    Bad(HeadError),
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            input: Buffer::default(),
            out: Vec::new(),
            date: DateCache::new(),
            scratch: Scratch::default(),
            turn_requests: 0,
        }
    }

    /// Serves a connection that has something to read, and lets go of it.
    pub(super) fn serve(&mut self, mut conn: Box<Conn>) {
        let parked = std::mem::replace(&mut conn.wire.input, std::mem::take(&mut self.input));
        conn.wire.input.append(parked.bytes());
        drop(parked);
        conn.wire.connection.attach(&mut self.scratch);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.serve_requests(&mut conn)));
        let rest = std::mem::take(&mut conn.wire.input);
        if !rest.is_empty() {
            conn.wire.input.append(rest.bytes());
        }
        self.input = rest;
        self.input.reset(KEPT_BYTES);
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES);
        conn.wire.connection.detach(&mut self.scratch);
        match outcome {
            Ok(Next::Turn(turn)) => self.wait_for_turn(conn, turn),
            Ok(Next::Park(waiting, deadline)) => self.shared.park(conn, waiting, deadline),
            Ok(Next::CloseGently) => self.shared.close_gently(conn),
            Ok(Next::GiveUp(why)) => {
                if is_about_certificate(&why) {
                    log::info!("the certificate of {} was refused: {why}", conn.peer);
                }
                self.shared.give_up_handshake(conn, why);
            }
            Ok(Next::Close) => self.shared.close(conn),
            Err(_) => {
                log::error!("a worker panicked outside of a handler; its connection is closed");
                self.shared.close(conn);
            }
        }
    }

    /// Puts a connection aside whose client has all requests running that it may.
    fn wait_for_turn(&mut self, mut conn: Box<Conn>, turn: Turn) {
        conn.turn = Some(turn);
        let Err(mut conn) = Shares::wait(&self.shared, conn) else {
            return;
        };
        if let Some(Turn {
            head: Some(head),
            start,
            ..
        }) = conn.turn.take()
        {
            let running = self.shared.limits.requests_per_client_max;
            let why = format!("the client has {running} requests running, and too many wait");
            let asked = Asked::head(*head, conn.peer, start);
            self.shared.counters.shed.count(Shed::ClientRequests);
            self.refuse(&mut conn, asked, 503, why);
        }
        self.shared.close_gently(conn);
    }

    fn serve_requests(&mut self, conn: &mut Conn) -> Next {
        self.turn_requests = 0;
        let begun = match conn.turn.take() {
            Some(Turn {
                head: Some(head),
                start,
                share,
            }) => self.exchange(conn, head, start, share),
            Some(Turn { share, .. }) => self.shake(conn, share),
            None if conn.wire.connection.is_shaking() => self.shake(conn, None),
            None => None,
        };
        if let Some(next) = begun {
            return next;
        }
        loop {
            let next = match self.next_head(conn) {
                Incoming::Head(head) => self.exchange(conn, head, Instant::now(), None),
                Incoming::Wait => return self.wait(conn),
                Incoming::End => return Next::Close,
                Incoming::Bad(error) => {
                    let why = error.why.into_owned();
                    self.refuse(conn, Asked::nothing(conn.peer), error.status, why);
                    return Next::CloseGently;
                }
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    /// Reads until a head is complete or nothing more comes for the moment.
    fn next_head(&mut self, conn: &mut Conn) -> Incoming {
        let limits = &self.shared.limits;
        let mut has_read = false;
        loop {
            match conn.scan.find_end(conn.wire.input.bytes(), limits) {
                Ok(Some(end)) => {
                    let parsed = parse_complete(&conn.wire.input.bytes()[..end], limits);
                    conn.wire.input.consume(end);
                    conn.scan = Scan::default();
                    conn.head_deadline = None;
                    return match parsed {
                        Ok(head) => Incoming::Head(Box::new(head)),
                        Err(error) => Incoming::Bad(error),
                    };
                }
                Ok(None) => {}
                Err(error) => return Incoming::Bad(error),
            }
            if has_read && !self.shared.may_linger() && !conn.wire.connection.ready() {
                return Incoming::Wait;
            }
            let is_full = conn.wire.input.len() >= HEAD_READ_BYTES;
            let capacity = if is_full {
                limits.head_bytes_max
            } else {
                HEAD_READ_BYTES
            };
            match conn.wire.read_ahead(capacity) {
                // More of this head may be there, or may be long in coming.
                Ok(Arrived::Bytes) => has_read = true,
                Ok(Arrived::Nothing) => return Incoming::Wait,
                Ok(Arrived::End | Arrived::Full) | Err(_) => return Incoming::End,
            }
        }
    }

    /// How a connection waits on which there is no complete head.
    fn wait(&mut self, conn: &mut Conn) -> Next {
        let limits = &self.shared.limits;
        let now = Instant::now();
        if conn.held_bytes() == 0 {
            conn.head_deadline = None;
            return Next::Park(Waiting::Idle, now + limits.idle_timeout);
        }
        let deadline = *conn.head_deadline.get_or_insert(now + limits.head_timeout);
        Next::Park(Waiting::Head, deadline)
    }

    /// Answers one request. None when the connection is ready for the next one.
    fn exchange(
        &mut self,
        conn: &mut Conn,
        head: Box<Head>,
        start: Instant,
        share: Option<Share>,
    ) -> Option<Next> {
        let shared = Arc::clone(&self.shared);
        let limits = &shared.limits;
        let keep_alive = KeepAlive {
            asked: head.keep_alive,
            is_http_1_0: head.is_http_1_0,
        };
        let is_head = head.method == Method::Head;
        let bytes_max = limits.body_bytes_max;
        if matches!(head.length, BodyLength::Known(declared) if declared > bytes_max) {
            let why = format!("the request body is larger than the limit of {bytes_max} bytes");
            self.refuse(conn, Asked::head(*head, conn.peer, start), 413, why);
            return Some(Next::CloseGently);
        }
        let Some(share) = share.or_else(|| Shares::enter(&shared, &conn.peer)) else {
            let (head, share) = (Some(head), None);
            return Some(Next::Turn(Turn { head, start, share }));
        };
        let active = Active::new(&shared);
        let (handled, asked, mut state) = self.handle(conn, *head, start);
        let Some(mut response) = handled else {
            self.refuse(
                conn,
                asked,
                500,
                "the request failed unexpectedly".to_owned(),
            );
            return Some(Next::CloseGently);
        };
        let stays = keep_alive.asked
            && !response.close
            && !self.hogs(conn)
            && !shared.is_stopping()
            && (state.is_complete() || state.is_drainable(limits.drain_bytes_max));
        let is_sent = self.send(conn, &mut response, asked, keep_alive.field(stays), is_head);
        drop(active);
        if !is_sent {
            return Some(Next::Close);
        }
        let is_drained = stays && self.drain(conn, &mut state);
        // Not before: reading what the handler left takes the worker's time as well.
        drop(share);
        if is_drained {
            let is_quiet = conn.wire.input.is_empty() && !conn.wire.connection.ready();
            if is_quiet && !shared.may_linger() {
                return Some(self.wait(conn));
            }
            return None;
        }
        Some(leave(conn, &state))
    }

    /// Lets the handler answer. No response when it panicked.
    fn handle(
        &self,
        conn: &mut Conn,
        head: Head,
        start: Instant,
    ) -> (Option<Response>, Asked, BodyState) {
        let framing = match head.length {
            BodyLength::Known(declared) => Framing::Length {
                declared,
                remaining: declared,
            },
            BodyLength::Chunked => Framing::Chunked(Decoder::new()),
        };
        let state = BodyState::new(framing, head.expects_continue, &self.shared.limits);
        let mut request = Request {
            method: head.method,
            method_token: head.method_token,
            path: head.path,
            query: head.query,
            headers: head.headers,
            peer: conn.peer,
            is_tls: conn.wire.connection.is_tls(),
            client_certificate: conn.wire.connection.client_certificate().cloned(),
            body: Body::on_wire(&mut conn.wire, state),
        };
        let app = &self.shared.handler;
        let handled = catch_unwind(AssertUnwindSafe(|| app.handle(&mut request)));
        let (asked, state) = Asked::request(request, start);
        if handled.is_err() {
            log::error!(
                "the handler panicked at {} {}",
                asked.method_token,
                asked.path
            );
        }
        let mut response = handled.ok();
        if let Some(response) = &mut response
            && !(200..600).contains(&response.status)
        {
            log::error!(
                "the handler answered {} with status {}",
                asked.path,
                response.status
            );
            response.status = 500;
        }
        (response, asked, state)
    }

    /// Whether a client keeps this worker busy with pipelined requests while others wait for one.
    fn hogs(&mut self, conn: &Conn) -> bool {
        self.turn_requests += 1;
        self.turn_requests >= PIPELINED_MAX
            && !conn.wire.input.is_empty()
            && !self.shared.may_linger()
    }

    /// Reads what the handler left of the body; whether its end was reached.
    fn drain(&mut self, conn: &mut Conn, state: &mut BodyState) -> bool {
        if state.is_complete() {
            return true;
        }
        let limits = &self.shared.limits;
        self.out.resize(DRAIN_BYTES, 0);
        state.set_pace(Pace::new(
            limits.body_rate_min_bytes_per_s,
            limits.close_drain_timeout,
        ));
        let deadline = Instant::now() + limits.close_drain_timeout;
        state.drain(
            &mut conn.wire,
            &mut self.out,
            limits.drain_bytes_max,
            deadline,
        )
    }
}

/// How to close a connection after its last response: gently while the client may still send.
fn leave(conn: &Conn, state: &BodyState) -> Next {
    if state.is_complete() && conn.wire.input.is_empty() {
        Next::Close
    } else {
        Next::CloseGently
    }
}

/// Counts a request while it runs.
struct Active<'a>(&'a Shared);

impl<'a> Active<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared
            .counters
            .requests_active
            .fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0
            .counters
            .requests_active
            .fetch_sub(1, Ordering::Relaxed);
    }
}
