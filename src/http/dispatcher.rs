//! The one thread that accepts connections and watches all that wait. It never blocks on a
//! client: what can be read goes to a worker, what is overdue is closed, what is too much is
//! refused.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;

use super::asked::Asked;
use super::buffer::Buffer;
use super::date::DateCache;
use super::handler::Refusal;
use super::head::Scan;
use super::listen::Listener;
use super::pool::Pool;
use super::request::Peer;
use super::send;
use super::shared::{Phase, Shared, WAKE};
use super::stream::{Plain, Socket, timespec};
use super::table::{Conn, Token, Waiting};
use super::wire::Wire;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 512;
/// Connections accepted from one listener before others get their turn.
const ACCEPTED_AT_ONCE_MAX: usize = 256;
/// How long no connection is accepted after the system had no room for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long workers have to let go of connections that were cut off.
const CUT_OFF_TIMEOUT: Duration = Duration::from_secs(2);
/// Read and thrown away at once from a connection that is closing.
const DRAIN_BYTES: usize = 64 * 1024;

/// The state of that thread.
pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    pool: Pool,
    listeners: Vec<Listener>,
    /// Set while accepting pauses.
    paused_until: Option<Instant>,
    /// A connection for which there may be room after the pause.
    deferred: Option<(Socket, Peer)>,
    /// Set once a graceful stop has begun.
    stop_deadline: Option<Instant>,
    /// Set once everything was cut off.
    cut_off_deadline: Option<Instant>,
    scratch: Vec<u8>,
    date: DateCache,
}

impl Dispatcher {
    pub(super) fn new(shared: Arc<Shared>, listeners: Vec<Listener>) -> io::Result<Self> {
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
            let now = Instant::now();
            self.expire(now);
            if self.paused_until.is_some_and(|until| until <= now) {
                self.resume_accepting()?;
            }
            if self.shared.is_stopping() && self.is_stopped(now, &mut events)? {
                break;
            }
        }
        self.finish(&mut events)
    }

    /// Waits until the workers have ended, so that nobody uses the handler any more. One whose
    /// handler never returns is left behind.
    fn finish(self, events: &mut Vec<Event>) -> io::Result<()> {
        let Self { shared, pool, .. } = self;
        drop(pool);
        let deadline = Instant::now() + CUT_OFF_TIMEOUT;
        while shared.counters.workers.load(Ordering::SeqCst) > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                log::warn!("a request did not end in time; its thread is left behind");
                break;
            }
            wait_for(&shared, events, Some(left))?;
            shared.woken();
        }
        Ok(())
    }

    fn handle_events(&mut self, events: &[Event]) {
        for event in events {
            let (number, flags) = (event.data.u64(), event.flags);
            if number == WAKE {
                self.shared.woken();
            } else if let Some(token) = Token::from_u64(number) {
                self.readable(token, flags);
            } else {
                self.accept(usize::try_from(WAKE - 1 - number).unwrap_or(usize::MAX));
            }
        }
    }

    /// Waits for events, or for the next thing that is due.
    fn wait(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let mut table = self.shared.table();
        let due = [
            table.next_deadline(),
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

    fn watch_listeners(&self) -> io::Result<()> {
        for (index, listener) in self.listeners.iter().enumerate() {
            let data = EventData::new_u64(WAKE - 1 - index as u64);
            epoll::add(&self.shared.epoll, listener, data, EventFlags::IN)?;
        }
        Ok(())
    }

    /// Stops accepting for a moment: the system has no room, and a listener that stays readable
    /// would keep this thread busy.
    fn pause_accepting(&mut self, pause: Duration) {
        if self.paused_until.is_some() {
            return;
        }
        for listener in &self.listeners {
            // A listener that is not watched needs no pause.
            let _ = epoll::delete(&self.shared.epoll, listener);
        }
        self.paused_until = Some(Instant::now() + pause);
    }

    fn resume_accepting(&mut self) -> io::Result<()> {
        self.paused_until = None;
        if let Some((socket, peer)) = self.deferred.take() {
            self.enter(socket, peer);
        }
        self.watch_listeners()
    }

    fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTED_AT_ONCE_MAX {
            let Some(listener) = self.listeners.get(index) else {
                return;
            };
            match listener.accept() {
                Ok((socket, peer)) if self.is_room_soon() => {
                    self.deferred = Some((socket, peer));
                    let pause = self.shared.limits.linger_timeout + Duration::from_millis(5);
                    self.pause_accepting(pause);
                    return;
                }
                Ok((socket, peer)) => self.enter(socket, peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                    Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                        if !self.shed() {
                            log::warn!("cannot accept connections for a moment: {error}");
                            self.pause_accepting(ACCEPT_PAUSE);
                            return;
                        }
                    }
                    // The client gave up, or its network did: the next one may have not.
                    _ => log::debug!("a connection ended before it was accepted: {error}"),
                },
            }
        }
    }

    /// Closes the connection that can be missed most. False when all are busy.
    fn shed(&self) -> bool {
        let mut table = self.shared.table();
        let longest = [Waiting::Closing, Waiting::Idle, Waiting::Head]
            .into_iter()
            .find_map(|waiting| table.take_longest(waiting));
        drop(table);
        let Some((conn, waiting)) = longest else {
            return false;
        };
        if waiting != Waiting::Closing {
            self.shared
                .counters
                .shed_total
                .fetch_add(1, Ordering::Relaxed);
        }
        self.shared.close(conn);
        true
    }

    /// Whether the limit of connections is met only because workers linger on some of them that
    /// could be given up as soon as they are handed back.
    fn is_room_soon(&self) -> bool {
        let open = self.shared.table().open();
        open >= self.shared.limits.connections_max
            && !self.shed()
            && self.shared.counters.requests_active.load(Ordering::Relaxed) < open
    }

    /// Lets a new connection wait for its first request, or refuses it.
    fn enter(&mut self, socket: Socket, peer: Peer) {
        let limits = &self.shared.limits;
        let counters = &self.shared.counters;
        counters.accepted_total.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = socket.prepare(limits) {
            log::debug!("a connection ended before it was prepared: {error}");
            return;
        }
        let idle_timeout = limits.idle_timeout;
        let (open_max, per_client_max) =
            (limits.connections_max, limits.connections_per_client_max);
        let is_client_over = self.shared.table().open_of(&peer) >= per_client_max;
        let is_full = self.shared.table().open() >= open_max && !self.shed();
        let socket = Arc::new(socket);
        let token = self.shared.table().enter(Arc::clone(&socket), &peer);
        let conn = Box::new(Conn {
            token,
            peer,
            wire: Wire {
                connection: Box::new(Plain(socket)),
                input: Buffer::default(),
                written: 0,
            },
            scan: Scan::default(),
            head_deadline: None,
            closing_deadline: None,
            drained_bytes: 0,
            is_watched: false,
        });
        if is_full {
            self.refuse(
                conn,
                503,
                format!("the server has {open_max} open connections"),
                false,
            );
        } else if is_client_over {
            let why = format!("the client has more than {per_client_max} open connections");
            self.refuse(conn, 503, why, true);
        } else {
            self.shared
                .park(conn, Waiting::Idle, Instant::now() + idle_timeout);
        }
    }

    /// Answers without a worker and closes: `gently`, where the connection may still be kept
    /// for a while.
    fn refuse(&mut self, conn: Box<Conn>, status: u16, why: String, gently: bool) {
        let shared = Arc::clone(&self.shared);
        if status == 503 {
            shared.counters.shed_total.fetch_add(1, Ordering::Relaxed);
        }
        let refusal = Refusal {
            status,
            why,
            peer: conn.peer,
            retry_after: (status == 503).then_some(shared.limits.retry_after),
            request_line: None,
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
        let socket = conn.wire.connection.socket();
        // Over anything but a plain socket an answer would need more than one write.
        let is_plain = conn.wire.connection.plain().is_some();
        let written = if is_plain {
            socket.write_now(&out).unwrap_or(0)
        } else {
            0
        };
        let is_complete = written == out.len();
        let body_bytes = written.saturating_sub(head_bytes) as u64;
        if let Some(on_sent) = response.on_sent.take() {
            on_sent(&Asked::nothing(conn.peer).sent(status, body_bytes, is_complete));
        }
        if gently {
            shared.close_gently(conn);
        } else {
            // What has arrived is taken, so that closing is less likely to become a reset.
            let _ = conn.wire.connection.socket().read_now(&mut self.scratch);
            conn.wire.connection.socket().shutdown(Shutdown::Write);
            shared.close(conn);
        }
    }

    /// Something happened on a connection that waits.
    fn readable(&mut self, token: Token, flags: EventFlags) {
        let Some((mut conn, waiting)) = self.shared.table().take(token) else {
            return;
        };
        if waiting == Waiting::Closing {
            return self.read_away(conn);
        }
        let has_ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        if has_ended && conn.wire.connection.socket().is_at_end() {
            return self.shared.close(conn);
        }
        if let Err(back) = self.pool.hand_over(conn) {
            conn = back;
            let waiting_max = self.shared.limits.requests_waiting_max;
            let why = format!("{waiting_max} requests are waiting already");
            self.refuse(conn, 503, why, true);
        }
    }

    /// Throws away what a client still sends after its last response.
    fn read_away(&mut self, mut conn: Box<Conn>) {
        let limits = &self.shared.limits;
        let read = conn.wire.connection.socket().read_now(&mut self.scratch);
        match read {
            Ok(count) if count > 0 => conn.drained_bytes += count as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => return self.shared.close(conn),
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
        loop {
            let expired = self.shared.table().take_expired(now);
            let Some((conn, waiting)) = expired else {
                return;
            };
            match waiting {
                Waiting::Closing | Waiting::Idle => self.shared.close(conn),
                Waiting::Head => {
                    let timeout = self.shared.limits.head_timeout;
                    let why = format!("the request head was not complete within {timeout:?}");
                    self.refuse(conn, 408, why, true);
                }
            }
        }
    }

    /// Goes on with stopping; whether it is done.
    fn is_stopped(&mut self, now: Instant, events: &mut Vec<Event>) -> io::Result<bool> {
        let stop_deadline = match self.stop_deadline {
            Some(deadline) => deadline,
            None => {
                self.listeners.clear();
                self.paused_until = None;
                let deadline = now + self.shared.limits.stop_timeout;
                self.stop_deadline = Some(deadline);
                // Requests that are here already are still served.
                wait_for(&self.shared, events, Some(Duration::ZERO))?;
                self.handle_events(events);
                self.close_all(Waiting::Idle);
                deadline
            }
        };
        if self.shared.table().open() == 0 {
            return Ok(true);
        }
        if self.shared.phase() == Phase::StoppingNow || stop_deadline <= now {
            self.shared.advance(Phase::StoppingNow);
            return Ok(self.cut_off(now));
        }
        Ok(false)
    }

    /// Ends all connections under the feet of whoever has them; whether all are let go of, or
    /// will not be.
    fn cut_off(&mut self, now: Instant) -> bool {
        for waiting in [Waiting::Closing, Waiting::Idle, Waiting::Head] {
            self.close_all(waiting);
        }
        for socket in self.shared.table().sockets() {
            socket.shutdown(Shutdown::Both);
        }
        // From now on only this deadline counts.
        let deadline = *self.cut_off_deadline.get_or_insert(now + CUT_OFF_TIMEOUT);
        self.stop_deadline = Some(deadline);
        self.shared.table().open() == 0 || deadline <= now
    }

    fn close_all(&mut self, waiting: Waiting) {
        loop {
            let longest = self.shared.table().take_longest(waiting);
            let Some((conn, _)) = longest else { return };
            self.shared.close(conn);
        }
    }
}

/// Waits for events, for at most `timeout`.
fn wait_for(shared: &Shared, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
    events.clear();
    let timeout = timeout.map(timespec);
    let spare = rustix::buffer::spare_capacity(events);
    match epoll::wait(&shared.epoll, spare, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
