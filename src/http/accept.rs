//! New connections: accepting them, making room for them, refusing those for which there is none.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use super::dispatcher::Dispatcher;
use super::listen::Listening;
use super::request::Peer;
use super::scan::Scan;
use super::shared::WAKE;
use super::shed::Shed;
use super::stream::{Connection, Plain, Socket};
use super::table::{Conn, Waiting};
use super::tls::{Tls, TlsConnection};
use super::wire::Wire;

/// Connections accepted from one listener before others get their turn.
const ACCEPTED_AT_ONCE_MAX: usize = 256;
/// How long no connection is accepted after the system had no room for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often such a pause is repeated for a connection, while there may be room soon.
const PAUSES_MAX: u32 = 20;

/// A connection that was accepted while there was no room.
pub(super) struct Deferred {
    socket: Socket,
    peer: Peer,
    tls: Option<Arc<Tls>>,
    pauses: u32,
}

impl Dispatcher {
    pub(super) fn watch_listeners(&self) -> io::Result<()> {
        for (index, listener) in self.listeners.iter().enumerate() {
            let data = EventData::new_u64(WAKE - 1 - index as u64);
            epoll::add(&self.shared.epoll, &listener.listener, data, EventFlags::IN)?;
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
            let _ = epoll::delete(&self.shared.epoll, &listener.listener);
        }
        self.paused_until = Some(Instant::now() + pause);
    }

    pub(super) fn resume_accepting(&mut self) {
        self.paused_until = None;
        if let Some(Deferred {
            socket,
            peer,
            tls,
            pauses,
        }) = self.deferred.take()
        {
            if pauses < PAUSES_MAX && !self.has_room() && self.some_linger() {
                return self.defer(socket, peer, tls, pauses + 1);
            }
            self.enter(socket, peer, tls);
        }
        if let Err(error) = self.watch_listeners() {
            log::warn!("cannot watch for connections for a moment: {error}");
            self.pause_accepting(ACCEPT_PAUSE);
        }
    }

    /// Accepts what is waiting at a listener.
    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTED_AT_ONCE_MAX {
            let Some(Listening { listener, tls }) = self.listeners.get(index) else {
                return;
            };
            if self.paused_until.is_some() {
                return;
            }
            match listener.accept() {
                Ok((socket, peer)) => {
                    let tls = tls.clone();
                    if self.has_room() {
                        self.enter(socket, peer, tls);
                    } else {
                        self.defer(socket, peer, tls, 1);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The kernel looks for a free file first and for a connection second: nothing is
                // to be given up for a connection that is not there.
                Err(_) if !listener.is_pending() => return,
                Err(error) => self.accept_failed(&error),
            }
        }
    }

    /// No error ends a listener: some are about one connection only, for the others something
    /// is given up, or time is.
    fn accept_failed(&mut self, error: &io::Error) {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) if self.shed() => {}
            Some(
                Errno::CONNABORTED
                | Errno::INTR
                | Errno::PROTO
                | Errno::PERM
                | Errno::HOSTUNREACH
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::TIMEDOUT,
            ) => log::debug!("a connection ended before it was accepted: {error}"),
            _ => {
                let total = self.shared.counters.shed.count(Shed::System);
                if total.is_power_of_two() || total == 0 {
                    log::warn!("cannot accept connections for a moment: {error}");
                }
                self.pause_accepting(ACCEPT_PAUSE);
            }
        }
    }

    /// Closes the connection that can be missed most. False when all are busy.
    fn shed(&self) -> bool {
        let mut table = self.shared.table();
        let longest = Waiting::ALL
            .into_iter()
            .find_map(|waiting| table.take_longest(waiting));
        drop(table);
        let Some((conn, waiting)) = longest else {
            return false;
        };
        if waiting != Waiting::Closing {
            self.shared.counters.shed.count(Shed::Connections);
        }
        self.shared.close(conn);
        true
    }

    /// Whether one more connection may be open, perhaps after giving another up.
    fn has_room(&self) -> bool {
        let open = self.shared.table().open();
        open < self.shared.limits.connections_max || self.shed()
    }

    /// Whether workers have connections without a running request: they wait there for the next
    /// one for a moment, or are about to begin.
    fn some_linger(&self) -> bool {
        let open = self.shared.table().open();
        self.shared.counters.requests_active.load(Ordering::Relaxed) < open
    }

    /// Keeps a connection for which there is no room until some that workers have are handed
    /// back.
    fn defer(&mut self, socket: Socket, peer: Peer, tls: Option<Arc<Tls>>, pauses: u32) {
        self.deferred = Some(Deferred {
            socket,
            peer,
            tls,
            pauses,
        });
        self.pause_accepting(self.shared.limits.linger_timeout + Duration::from_millis(5));
    }

    /// Takes up the connections that came by no listener.
    pub(super) fn enter_handed_in(&mut self) {
        for socket in self.shared.take_handed_in() {
            self.enter(socket, Peer::Unix, None);
        }
    }

    /// Takes the listeners out of the kernel's watch, before they are closed: one that another
    /// process holds too stays alive, and would be reported for ever.
    pub(super) fn forget_listeners(&mut self) {
        for listener in &self.listeners {
            // While accepting pauses it is not watched.
            let _ = epoll::delete(&self.shared.epoll, &listener.listener);
        }
        self.listeners.clear();
    }

    /// Lets a new connection wait for its first request, or refuses it.
    fn enter(&mut self, socket: Socket, peer: Peer, tls: Option<Arc<Tls>>) {
        let limits = &self.shared.limits;
        let counters = &self.shared.counters;
        counters.accepted_total.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = socket.prepare(limits) {
            log::debug!("a connection ended before it was prepared: {error}");
            return;
        }
        let now = Instant::now();
        let (waiting, deadline) = match tls {
            Some(_) => (Waiting::Handshake, now + limits.handshake_timeout),
            None => (Waiting::Idle, now + limits.idle_timeout),
        };
        let (open_max, per_client_max) =
            (limits.connections_max, limits.connections_per_client_max);
        let is_client_over = self.shared.table().open_of(&peer) >= per_client_max;
        let is_full = !self.has_room();
        let socket = Arc::new(socket);
        let token = self.shared.table().enter(Arc::clone(&socket), &peer);
        let connection: Box<dyn Connection> = match tls {
            Some(tls) => Box::new(TlsConnection::new(socket, tls)),
            None => Box::new(Plain(socket)),
        };
        let conn = Box::new(Conn {
            token,
            peer,
            accepted_at: now,
            wire: Wire::new(connection, Arc::clone(&self.shared.counters.moved_bytes)),
            scan: Scan::default(),
            head_deadline: None,
            handshake_deadline: (waiting == Waiting::Handshake).then_some(deadline),
            closing_deadline: None,
            drained_bytes: 0,
            is_watched: false,
            turn: None,
        });
        if is_full {
            self.shared.counters.shed.count(Shed::Connections);
            self.refuse(
                conn,
                503,
                format!("the server has {open_max} open connections"),
                false,
            );
        } else if is_client_over {
            self.shared.counters.shed.count(Shed::ClientConnections);
            let why = format!("the client has more than {per_client_max} open connections");
            self.refuse(conn, 503, why, true);
        } else {
            self.make_room_for_handshake(waiting);
            self.shared.park(conn, waiting, deadline);
        }
    }

    /// Gives up the handshake that has waited longest when one more would be too many.
    fn make_room_for_handshake(&self, waiting: Waiting) {
        let mut table = self.shared.table();
        let is_full = table.count(Waiting::Handshake) >= self.shared.limits.handshakes_max.max(1);
        if waiting != Waiting::Handshake || !is_full {
            return;
        }
        let longest = table.take_longest(Waiting::Handshake);
        drop(table);
        if let Some((conn, _)) = longest {
            self.shared
                .give_up_handshake(conn, "too many are in progress");
        }
    }
}
