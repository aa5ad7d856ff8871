//! What the dispatcher, the workers and the handles of one server share: the table of
//! connections under its lock, the kernel's watch over those that wait, and the counters.
//!
//! The lock is held for bookkeeping and one `epoll_ctl(2)`, never while reading, writing or
//! calling the handler.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicIsize, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};

use super::handler::{Handler, Refusal};
use super::limits::Limits;
use super::response::{OnSent, Response, Sent};
use super::share::Shares;
use super::shed::{Shed, ShedCounters};
use super::stream::{Plain, Socket};
use super::table::{Conn, Table, Waiting};

/// The event number of [`Shared::wake`].
pub(super) const WAKE: u64 = u64::MAX;

/// How far a server is on its way from running to stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Running,
    /// Running requests finish, nothing new begins.
    Stopping,
    /// Everything is cut off.
    StoppingNow,
}

/// Counters, each on its own; together they are no snapshot.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) requests_active: AtomicUsize,
    pub(super) workers: AtomicUsize,
    /// Workers that wait for a connection, less the connections that wait for a worker.
    pub(super) available: AtomicIsize,
    pub(super) accepted_total: AtomicU64,
    pub(super) shed: ShedCounters,
    pub(super) handshakes_failed_total: AtomicU64,
    /// Bytes of bodies and responses, either way. Shared with every connection.
    pub(super) moved_bytes: Arc<AtomicU64>,
}

pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) counters: Counters,
    pub(super) shares: Shares,
    pub(super) epoll: OwnedFd,
    wakeup: OwnedFd,
    table: Mutex<Table>,
    /// Connections that came by no listener, until the dispatcher takes them.
    handed_in: Mutex<Vec<Socket>>,
    phase: AtomicU8,
}

/// How long the client of a new connection has to begin its request when the server stops. One
/// that connected to a socket which outlives the server would have lost it.
pub(super) const NEW_TIMEOUT: Duration = Duration::from_secs(1);

/// The most of those that wait for the dispatcher.
const HANDED_IN_MAX: usize = 16;

impl Shared {
    pub(super) fn new(limits: Limits, handler: Arc<dyn Handler>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wakeup = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wakeup, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Self {
            limits,
            handler,
            counters: Counters::default(),
            shares: Shares::default(),
            epoll,
            wakeup,
            table: Mutex::default(),
            handed_in: Mutex::default(),
            phase: AtomicU8::new(0),
        })
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing between two steps of the bookkeeping panics, so its state is whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Running,
            1 => Phase::Stopping,
            _ => Phase::StoppingNow,
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.phase() > Phase::Running
    }

    /// Goes on to `phase`; there is no way back.
    pub(super) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
        self.wake();
    }

    /// Makes the dispatcher look around.
    pub(super) fn wake(&self) {
        // It fails only when the counter is full, and then the dispatcher is awake anyhow.
        let _ = rustix::io::write(&self.wakeup, &1_u64.to_ne_bytes());
    }

    /// Takes the wake-up back, before looking around.
    pub(super) fn woken(&self) {
        let _ = rustix::io::read(&self.wakeup, &mut [0; 8]);
    }

    /// Gives the dispatcher a connection that came by no listener.
    pub(super) fn hand_in(&self, socket: Socket) -> io::Result<()> {
        let mut waiting = self.lock_handed_in();
        if waiting.len() >= HANDED_IN_MAX {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        waiting.push(socket);
        drop(waiting);
        self.wake();
        Ok(())
    }

    /// The connections that came so.
    pub(super) fn take_handed_in(&self) -> Vec<Socket> {
        std::mem::take(&mut *self.lock_handed_in())
    }

    fn lock_handed_in(&self) -> MutexGuard<'_, Vec<Socket>> {
        self.handed_in
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a worker may wait for its connection's next request: nobody waits for a worker.
    pub(super) fn may_linger(&self) -> bool {
        self.counters.available.load(Ordering::Relaxed) >= 0 && !self.is_stopping()
    }

    /// Whether a connection that comes now finds a worker that waits for one.
    pub(super) fn has_idle_worker(&self) -> bool {
        self.counters.available.load(Ordering::Relaxed) > 0 && !self.is_stopping()
    }

    /// Lets a connection wait for its client. From here on any thread may have it.
    pub(super) fn park(&self, mut conn: Box<Conn>, waiting: Waiting, mut deadline: Instant) {
        if waiting == Waiting::Handshake && self.is_stopping() {
            deadline = deadline.min(conn.accepted_at + NEW_TIMEOUT);
            conn.handshake_deadline = Some(deadline);
        }
        let socket = Arc::clone(conn.wire.connection.socket());
        let data = EventData::new_u64(conn.token.to_u64());
        let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ONESHOT;
        let is_watched = std::mem::replace(&mut conn.is_watched, true);
        let mut table = self.table();
        // Under the lock, because the dispatcher closes idle connections under it as well. One that
        // was never answered may have come in time, and so may a request that its worker has just
        // ceased to wait for.
        let is_late = self.is_stopping()
            && match waiting {
                Waiting::Idle => {
                    let is_used = conn.wire.written > 0 || conn.wire.connection.is_tls();
                    is_used && !socket.wait_readable(Duration::ZERO).unwrap_or(false)
                }
                Waiting::Handshake => conn.accepted_at.elapsed() >= NEW_TIMEOUT,
                Waiting::Closing | Waiting::Head => false,
            };
        let watched = if is_late {
            Err(rustix::io::Errno::CANCELED)
        } else if is_watched {
            epoll::modify(&self.epoll, socket.as_fd(), data, flags)
        } else {
            epoll::add(&self.epoll, socket.as_fd(), data, flags)
        };
        if let Err(error) = watched.map_err(io::Error::from) {
            drop(table);
            if !is_late {
                log::warn!("closing a connection that cannot be watched: {error}");
            }
            self.close(conn);
            return;
        }
        table.park(conn, waiting, deadline);
        let is_too_much = table.partial_heads_bytes() > self.limits.partial_heads_bytes_max;
        let given_up = if is_too_much {
            table.take_longest(Waiting::Head)
        } else {
            None
        };
        let is_earlier = table.looks_at.is_none_or(|looks_at| deadline < looks_at);
        drop(table);
        if is_earlier {
            self.wake();
        }
        if let Some((conn, _)) = given_up {
            self.counters.shed.count(Shed::IncompleteHeads);
            self.close(conn);
        }
    }

    /// Closes a connection at once.
    pub(super) fn close(&self, mut conn: Box<Conn>) {
        let token = conn.token;
        if !conn.wire.is_cut_off {
            conn.wire.connection.farewell();
        }
        drop(conn);
        let socket = self.table().leave(token);
        drop(socket);
        if self.is_stopping() {
            self.wake();
        }
    }

    /// Closes a connection whose client may still be sending: says that nothing more will come,
    /// and reads for a while, so that no reset overtakes the response (RFC 9112 section 9.6).
    pub(super) fn close_gently(&self, mut conn: Box<Conn>) {
        if self.phase() == Phase::StoppingNow {
            self.close(conn);
            return;
        }
        if !conn.wire.is_cut_off {
            conn.wire.connection.farewell();
        }
        let socket = Arc::clone(conn.wire.connection.socket());
        socket.shutdown(Shutdown::Write);
        // What still comes is not looked at, so nothing that looks at it has to be kept.
        conn.wire.connection = Box::new(Plain(socket));
        conn.wire.input = super::buffer::Buffer::default();
        let deadline = Instant::now() + self.limits.close_drain_timeout;
        conn.closing_deadline = Some(deadline);
        self.park(conn, Waiting::Closing, deadline);
    }

    /// Closes a connection whose handshake leads nowhere.
    pub(super) fn give_up_handshake(&self, conn: Box<Conn>, why: impl fmt::Display) {
        self.counters
            .handshakes_failed_total
            .fetch_add(1, Ordering::Relaxed);
        log::debug!("the TLS handshake of {} is given up: {why}", conn.peer);
        self.close(conn);
    }

    /// Tells whoever wants to know that a response was sent. It may run on the dispatcher, which
    /// must outlive a panic in it.
    pub(super) fn report(on_sent: Option<OnSent>, sent: impl FnOnce() -> Sent) {
        if let Some(on_sent) = on_sent
            && catch_unwind(AssertUnwindSafe(|| on_sent(&sent()))).is_err()
        {
            log::error!("what was to be called after a response panicked");
        }
    }

    /// The handler's answer to what is refused; a plain one should it panic.
    pub(super) fn phrase(&self, refusal: &Refusal) -> Response {
        let phrased = catch_unwind(AssertUnwindSafe(|| self.handler.refuse(refusal)));
        let mut response = phrased.unwrap_or_else(|_| {
            log::error!("the handler panicked while refusing: {}", refusal.why);
            refusal.response()
        });
        response.status = refusal.status;
        response
    }
}
