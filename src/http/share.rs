//! How many requests of one client run at once: whoever sends slowly, on however many connections,
//! keeps workers for the others. A request beyond its client's share waits for its turn, without a
//! worker, until one of the same client ends.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::head::Head;
use super::request::Peer;
use super::shared::Shared;
use super::table::Conn;

/// Bytes of the heads and of what was read ahead, over all requests that wait for their turn.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// The running requests by client, and those that wait for one of them to end.
#[derive(Default)]
pub(super) struct Shares {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A client without a running request is not in it, so it is never larger than the number of
    /// workers and of those that have just been given their turn.
    running: HashMap<IpAddr, usize>,
    /// In the order in which they came.
    waiting: VecDeque<Waiter>,
    waiting_bytes: usize,
    /// Those whose turn it is, until the dispatcher finds them a worker.
    ready: VecDeque<Box<Conn>>,
}

/// A connection whose request waits for its turn.
struct Waiter {
    client: IpAddr,
    deadline: Instant,
    bytes: usize,
    conn: Box<Conn>,
}

/// A request that was read and did not begin at once, or a handshake that did not go on.
pub(super) struct Turn {
    /// None for a handshake.
    pub(super) head: Option<Box<Head>>,
    /// When its head was complete.
    pub(super) start: Instant,
    /// Its part in its client's share, once it has one.
    pub(super) share: Option<Share>,
}

/// A running request's part in its client's share, until it is dropped.
pub(super) struct Share {
    shared: Arc<Shared>,
    client: Option<IpAddr>,
}

impl Shares {
    /// Counts one more request of `peer` in; `None` when it has all running that it may. UNIX
    /// sockets are exempt: their clients cannot be told apart.
    pub(super) fn enter(shared: &Arc<Shared>, peer: &Peer) -> Option<Share> {
        let client = peer.client();
        if let Some(client) = client
            && !shared.shares.lock().enter(client, shared)
        {
            return None;
        }
        Some(Share {
            shared: Arc::clone(shared),
            client,
        })
    }

    /// Lets a connection wait until one of its client's requests ends; back when too many wait.
    pub(super) fn wait(shared: &Arc<Shared>, mut conn: Box<Conn>) -> Result<(), Box<Conn>> {
        let (Some(client), Some(turn)) = (conn.peer.client(), conn.turn.as_mut()) else {
            return Err(conn);
        };
        let mut state = shared.shares.lock();
        // The one that it would have waited for may have ended meanwhile.
        if state.enter(client, shared) {
            turn.share = Some(Share {
                shared: Arc::clone(shared),
                client: Some(client),
            });
            state.ready.push_back(conn);
            drop(state);
            shared.wake();
            return Ok(());
        }
        let bytes = turn.head.as_ref().map_or(0, |head| head.bytes()) + conn.held_bytes();
        if state.waiting.len() >= shared.limits.requests_waiting_max
            || state.waiting_bytes + bytes > WAITING_BYTES_MAX
        {
            return Err(conn);
        }
        let is_first = state.waiting.is_empty();
        state.waiting_bytes += bytes;
        state.waiting.push_back(Waiter {
            client,
            deadline: Instant::now() + shared.limits.turn_timeout,
            bytes,
            conn,
        });
        drop(state);
        if is_first {
            // The dispatcher has a deadline to look at.
            shared.wake();
        }
        Ok(())
    }

    /// The connections whose turn it is.
    pub(super) fn take_ready(&self) -> VecDeque<Box<Conn>> {
        std::mem::take(&mut self.lock().ready)
    }

    /// A connection that has waited for its turn for too long.
    pub(super) fn take_expired(&self, now: Instant) -> Option<Box<Conn>> {
        let mut state = self.lock();
        let is_due = state.waiting.front().is_some_and(|it| it.deadline <= now);
        if is_due { state.take_waiter(0) } else { None }
    }

    /// Any connection that waits, or whose turn has just come.
    pub(super) fn take_any(&self) -> Option<Box<Conn>> {
        let mut state = self.lock();
        state.ready.pop_front().or_else(|| state.take_waiter(0))
    }

    /// When the one that has waited longest has waited too long.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.lock().waiting.front().map(|waiter| waiter.deadline)
    }

    /// How many requests wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between two steps of the counting panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts one more in, unless that is too much.
    fn enter(&mut self, client: IpAddr, shared: &Shared) -> bool {
        let count = self.running.entry(client).or_default();
        // One that is not there yet has none running, and every limit is at least one.
        if *count >= shared.limits.requests_per_client_max.max(1) {
            return false;
        }
        *count += 1;
        true
    }

    fn leave(&mut self, client: IpAddr) {
        if let Some(count) = self.running.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.running.remove(&client);
            }
        }
    }

    fn take_waiter(&mut self, index: usize) -> Option<Box<Conn>> {
        let waiter = self.waiting.remove(index)?;
        self.waiting_bytes -= waiter.bytes;
        Some(waiter.conn)
    }
}

impl Drop for Share {
    /// Gives its place to the request of the same client that has waited longest.
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut state = self.shared.shares.lock();
        let next = state.waiting.iter().position(|it| it.client == client);
        let Some(mut conn) = next.and_then(|index| state.take_waiter(index)) else {
            return state.leave(client);
        };
        if let Some(turn) = &mut conn.turn {
            turn.share = Some(Self {
                shared: Arc::clone(&self.shared),
                client: Some(client),
            });
        }
        state.ready.push_back(conn);
        drop(state);
        self.shared.wake();
    }
}
