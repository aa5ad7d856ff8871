//! The one thread that accepts connections and watches all that wait. It never blocks on a
//! client: what can be read goes to a worker, what is overdue is closed, what is too much is
//! refused.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, Event, EventFlags};
use rustix::io::Errno;

use super::accept::Deferred;
use super::asked::Asked;
use super::date::DateCache;
use super::handler::Refusal;
use super::listen::Listening;
use super::pool::Pool;
use super::send;
use super::share::Turn;
use super::shared::{Shared, WAKE};
use super::shed::Shed;
use super::stream::timespec;
use super::table::{Conn, Token, Waiting};

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 512;
/// Read and thrown away at once from a connection that is closing.
const DRAIN_BYTES: usize = 64 * 1024;
/// How often, before others get their turn.
const DRAINS_AT_ONCE_MAX: usize = 8;

/// The state of that thread.
pub(super) struct Dispatcher {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Pool,
    pub(super) listeners: Vec<Listening>,
    /// Set while accepting pauses.
    pub(super) paused_until: Option<Instant>,
    /// A connection for which there may be room after the pause.
    pub(super) deferred: Option<Deferred>,
    /// Set once a graceful stop has begun.
    pub(super) stop_deadline: Option<Instant>,
    /// Set once everything was cut off.
    pub(super) cut_off_deadline: Option<Instant>,
    pub(super) scratch: Vec<u8>,
    pub(super) date: DateCache,
}

impl Dispatcher {
    pub(super) fn new(shared: Arc<Shared>, listeners: Vec<Listening>) -> io::Result<Self> {
        let pool = Pool::start(&shared)?;
        let dispatcher = Self {
            shared,
            pool,
            listeners,
            paused_until: None,
            deferred: None,
            stop_deadline: None,
            cut_off_deadline: None,
            scratch: vec![0; DRAIN_BYTES],
            date: DateCache::new(),
        };
        dispatcher.watch_listeners()?;
        Ok(dispatcher)
    }

    /// Runs until the server was told to stop and has.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            self.wait(&mut events)?;
            self.handle_events(&events);
            self.begin_turns();
            let now = Instant::now();
            self.expire(now);
            if self.paused_until.is_some_and(|until| until <= now) {
                self.resume_accepting();
            }
            if self.shared.is_stopping() && self.is_stopped(now, &mut events)? {
                break;
            }
        }
        self.finish(&mut events)
    }

    pub(super) fn handle_events(&mut self, events: &[Event]) {
        for event in events {
            let (number, flags) = (event.data.u64(), event.flags);
            if number == WAKE {
                self.shared.woken();
                self.enter_handed_in();
            } else if let Some(token) = Token::from_u64(number) {
                self.readable(token, flags);
            } else {
                self.accept(usize::try_from(WAKE - 1 - number).unwrap_or(usize::MAX));
            }
        }
    }

    /// Waits for events, or for the next thing that is due.
    fn wait(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let next_turn = self.shared.shares.next_deadline();
        let mut table = self.shared.table();
        let due = [
            table.next_deadline(),
            next_turn,
            self.paused_until,
            self.stop_deadline,
            self.cut_off_deadline,
        ];
        let due = due.into_iter().flatten().min();
        table.looks_at = due;
        drop(table);
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
        wait_for(&self.shared, events, timeout)
    }

    /// Answers without a worker and closes: `gently`, where the connection may still be kept
    /// for a while.
    pub(super) fn refuse(&mut self, conn: Box<Conn>, status: u16, why: String, gently: bool) {
        let mut conn = conn;
        let shared = Arc::clone(&self.shared);
        let asked = match conn.turn.take() {
            Some(Turn {
                head: Some(head),
                start,
                ..
            }) => Asked::head(*head, conn.peer, start),
            _ => Asked::nothing(conn.peer),
        };
        let refusal = Refusal {
            status,
            why,
            peer: conn.peer,
            retry_after: (status == 503).then_some(shared.limits.retry_after),
            request_line: asked.request_line(),
        };
        let mut response = shared.phrase(&refusal);
        let framing = send::Framing {
            date: self.date.now(),
            connection: Some("close"),
        };
        let mut out = Vec::with_capacity(512);
        send::write_head(&mut out, &response, &framing);
        let head_bytes = out.len();
        send::append_body(&mut out, &response.body);
        let written = conn.wire.connection.write_now(&out);
        let is_complete = written == out.len();
        let body_bytes = written.saturating_sub(head_bytes) as u64;
        Shared::report(response.on_sent.take(), || {
            asked.sent(status, body_bytes, is_complete)
        });
        if gently {
            shared.close_gently(conn);
        } else {
            // What has arrived is taken, so that closing is less likely to become a reset.
            let _ = conn.wire.connection.socket().read_now(&mut self.scratch);
            conn.wire.connection.farewell();
            conn.wire.connection.socket().shutdown(Shutdown::Write);
            shared.close(conn);
        }
    }

    /// Something happened on a connection that waits.
    fn readable(&mut self, token: Token, flags: EventFlags) {
        let Some((conn, waiting)) = self.shared.table().take(token) else {
            return;
        };
        if waiting == Waiting::Closing {
            return self.read_away(conn);
        }
        let has_ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        if has_ended && conn.wire.connection.socket().is_at_end() {
            return self.shared.close(conn);
        }
        self.hand_over(conn);
    }

    /// Finds workers for the requests whose turn it is.
    fn begin_turns(&mut self) {
        for conn in self.shared.shares.take_ready() {
            self.hand_over(conn);
        }
    }

    fn hand_over(&mut self, conn: Box<Conn>) {
        if let Err(conn) = self.pool.hand_over(conn) {
            let waiting_max = self.shared.limits.requests_waiting_max;
            let why = format!("{waiting_max} requests are waiting already");
            self.shared.counters.shed.count(Shed::RequestsWaiting);
            self.refuse(conn, 503, why, true);
        }
    }

    /// Throws away what a client still sends after its last response.
    fn read_away(&mut self, mut conn: Box<Conn>) {
        let limits = &self.shared.limits;
        for _ in 0..DRAINS_AT_ONCE_MAX {
            match conn.wire.connection.socket().read_now(&mut self.scratch) {
                Ok(count) if count > 0 => conn.drained_bytes += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                _ => return self.shared.close(conn),
            }
        }
        let deadline = conn.closing_deadline.unwrap_or_else(Instant::now);
        if conn.drained_bytes > limits.close_drain_bytes_max {
            self.shared.close(conn);
        } else {
            self.shared.park(conn, Waiting::Closing, deadline);
        }
    }

    /// Deals with all connections that have waited too long.
    fn expire(&mut self, now: Instant) {
        while let Some(conn) = self.shared.shares.take_expired(now) {
            let running = self.shared.limits.requests_per_client_max;
            let why = format!("the client's other requests, {running} at a time, did not end");
            self.shared.counters.shed.count(Shed::ClientRequests);
            self.refuse(conn, 503, why, true);
        }
        loop {
            let expired = self.shared.table().take_expired(now);
            let Some((conn, waiting)) = expired else {
                return;
            };
            match waiting {
                Waiting::Closing | Waiting::Idle => self.shared.close(conn),
                Waiting::Handshake => self.shared.give_up_handshake(conn, "it took too long"),
                Waiting::Head => {
                    let timeout = self.shared.limits.head_timeout;
                    let why = format!("the request head was not complete within {timeout:?}");
                    self.refuse(conn, 408, why, true);
                }
            }
        }
    }
}

/// Waits for events, for at most `timeout`.
pub(super) fn wait_for(
    shared: &Shared,
    events: &mut Vec<Event>,
    timeout: Option<Duration>,
) -> io::Result<()> {
    events.clear();
    let timeout = timeout.map(timespec);
    let spare = rustix::buffer::spare_capacity(events);
    match epoll::wait(&shared.epoll, spare, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
