//! Every open connection, and for those that wait: what for, and until when. Plain bookkeeping;
//! the lock around it and the calls to the kernel are in `shared`.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::request::Peer;
use super::scan::Scan;
use super::share::Turn;
use super::stream::Socket;
use super::wire::Wire;

/// Names one connection for as long as the process lives: slots are used again, with another
/// generation, so that a late event for a closed connection finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    slot: u32,
    generation: u32,
}

impl Token {
    /// Generations stay below this, so that large numbers are free for other events.
    const GENERATION_END: u32 = 1 << 31;

    pub(super) fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// None for the number of something that is no connection.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "takes the two halves apart"
    )]
    pub(super) fn from_u64(number: u64) -> Option<Self> {
        let generation = (number >> 32) as u32;
        (generation < Self::GENERATION_END).then_some(Self {
            slot: number as u32,
            generation,
        })
    }
}

/// What a connection waits for, in the order in which connections are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The client's end: the response is out, what still arrives is thrown away.
    Closing,
    /// The first byte of a request.
    Idle,
    /// The rest of a handshake, or its first byte.
    Handshake,
    /// The rest of a request head.
    Head,
}

impl Waiting {
    /// All of them, in that order.
    pub(super) const ALL: [Self; 4] = [Self::Closing, Self::Idle, Self::Handshake, Self::Head];
}

/// One connection between two requests or within a head.
pub(super) struct Conn {
    pub(super) token: Token,
    pub(super) peer: Peer,
    pub(super) accepted_at: Instant,
    /// The stream, with the part of a head that has arrived.
    pub(super) wire: Wire,
    pub(super) scan: Scan,
    /// Set by the first byte of a head.
    pub(super) head_deadline: Option<Instant>,
    /// Set for a connection that begins with a handshake, until that is done.
    pub(super) handshake_deadline: Option<Instant>,
    /// Set when the closing begins.
    pub(super) closing_deadline: Option<Instant>,
    /// Bytes thrown away while closing.
    pub(super) drained_bytes: u64,
    /// Whether the kernel watches the socket already.
    pub(super) is_watched: bool,
    /// A request that was read and waits for its turn, or whose turn it is.
    pub(super) turn: Option<Turn>,
}

impl Conn {
    /// Bytes of an incomplete head, encrypted or not, that it holds while it waits.
    pub(super) fn held_bytes(&self) -> usize {
        self.wire.input.len() + self.wire.connection.held_bytes()
    }
}

struct Parked {
    waiting: Waiting,
    deadline: Instant,
    conn: Box<Conn>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    /// Present while the connection is open, also while a worker has it.
    socket: Option<Arc<Socket>>,
    client: Option<IpAddr>,
    parked: Option<Parked>,
}

/// The connections of one server.
#[derive(Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    open: usize,
    deadlines: [BTreeSet<(Instant, u32)>; Waiting::ALL.len()],
    clients: HashMap<IpAddr, usize>,
    /// Bytes of incomplete heads that the waiting connections hold.
    partial_heads_bytes: usize,
    /// When the dispatcher will look at the deadlines by itself; none while it waits for events
    /// alone.
    pub(super) looks_at: Option<Instant>,
}

impl Table {
    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// How many connections the client of `peer` has open.
    pub(super) fn open_of(&self, peer: &Peer) -> usize {
        peer.client()
            .and_then(|client| self.clients.get(&client))
            .copied()
            .unwrap_or(0)
    }

    /// Enters a connection.
    pub(super) fn enter(&mut self, socket: Arc<Socket>, peer: &Peer) -> Token {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // The number of open files bounds the number of slots far below 32 bits.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let client = peer.client();
        if let Some(client) = client {
            *self.clients.entry(client).or_default() += 1;
        }
        self.open += 1;
        let entry = &mut self.slots[slot as usize];
        entry.socket = Some(socket);
        entry.client = client;
        Token {
            slot,
            generation: entry.generation,
        }
    }

    /// Forgets a connection that is not parked; its socket, to be closed without the lock.
    pub(super) fn leave(&mut self, token: Token) -> Option<Arc<Socket>> {
        let entry = self.slots.get_mut(token.slot as usize)?;
        if entry.generation != token.generation {
            return None;
        }
        let socket = entry.socket.take()?;
        entry.generation = (entry.generation + 1) % Token::GENERATION_END;
        if let Some(client) = entry.client.take()
            && let Some(count) = self.clients.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&client);
            }
        }
        self.open -= 1;
        self.free.push(token.slot);
        Some(socket)
    }

    /// Lets an open connection wait until `deadline`.
    pub(super) fn park(&mut self, conn: Box<Conn>, waiting: Waiting, deadline: Instant) {
        let slot = conn.token.slot;
        self.partial_heads_bytes += partial_head_bytes(&conn, waiting);
        self.deadlines[waiting as usize].insert((deadline, slot));
        self.slots[slot as usize].parked = Some(Parked {
            waiting,
            deadline,
            conn,
        });
    }

    /// The connection, if it is waiting.
    pub(super) fn take(&mut self, token: Token) -> Option<(Box<Conn>, Waiting)> {
        let entry = self.slots.get_mut(token.slot as usize)?;
        if entry.generation != token.generation {
            return None;
        }
        let parked = entry.parked.take()?;
        self.partial_heads_bytes -= partial_head_bytes(&parked.conn, parked.waiting);
        self.deadlines[parked.waiting as usize].remove(&(parked.deadline, token.slot));
        Some((parked.conn, parked.waiting))
    }

    /// A connection whose deadline is not after `now`.
    pub(super) fn take_expired(&mut self, now: Instant) -> Option<(Box<Conn>, Waiting)> {
        let slot = self
            .deadlines
            .iter()
            .filter_map(BTreeSet::first)
            .find(|first| first.0 <= now)?
            .1;
        self.take_slot(slot)
    }

    /// Of the connections that wait for `waiting`, the one whose deadline is next: the one that
    /// has waited longest.
    pub(super) fn take_longest(&mut self, waiting: Waiting) -> Option<(Box<Conn>, Waiting)> {
        let slot = self.deadlines[waiting as usize].first()?.1;
        self.take_slot(slot)
    }

    /// How many connections wait for `waiting`.
    pub(super) fn count(&self, waiting: Waiting) -> usize {
        self.deadlines[waiting as usize].len()
    }

    fn take_slot(&mut self, slot: u32) -> Option<(Box<Conn>, Waiting)> {
        let generation = self.slots.get(slot as usize)?.generation;
        self.take(Token { slot, generation })
    }

    /// Bytes of incomplete heads that the waiting connections hold together.
    pub(super) fn partial_heads_bytes(&self) -> usize {
        self.partial_heads_bytes
    }

    /// The next deadline of all.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines
            .iter()
            .filter_map(BTreeSet::first)
            .map(|first| first.0)
            .min()
    }

    /// The sockets of all open connections.
    pub(super) fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.slots.iter().filter_map(|slot| slot.socket.as_deref())
    }
}

/// What a waiting connection counts for in the sum over all incomplete heads. Handshakes have a
/// bound of their own.
fn partial_head_bytes(conn: &Conn, waiting: Waiting) -> usize {
    match waiting {
        Waiting::Handshake => 0,
        Waiting::Closing | Waiting::Idle | Waiting::Head => conn.held_bytes(),
    }
}
