//! Why connections and requests were given up, and how often.

use std::sync::atomic::{AtomicU64, Ordering};

/// A bound that was met, or a room that the system did not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shed {
    /// There are as many connections as there may be: one that rested was closed, or the new one
    /// refused.
    Connections,
    /// One client has as many connections as it may.
    ClientConnections,
    /// As many requests wait for a worker as may.
    RequestsWaiting,
    /// The other requests of a client did not end in time, or too many wait for that.
    ClientRequests,
    /// Incomplete heads together were too long.
    IncompleteHeads,
    /// The system had no file or memory for a connection.
    System,
}

impl Shed {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Connections,
        Self::ClientConnections,
        Self::RequestsWaiting,
        Self::ClientRequests,
        Self::IncompleteHeads,
        Self::System,
    ];

    /// As a metric's label: `client_connections`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ClientConnections => "client_connections",
            Self::RequestsWaiting => "requests_waiting",
            Self::ClientRequests => "client_requests",
            Self::IncompleteHeads => "incomplete_heads",
            Self::System => "system",
        }
    }
}

/// A count for each.
#[derive(Default)]
pub(super) struct ShedCounters([AtomicU64; Shed::ALL.len()]);

impl ShedCounters {
    /// Counts one; how many there were before.
    pub(super) fn count(&self, why: Shed) -> u64 {
        self.0[why as usize].fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn read(&self) -> [u64; Shed::ALL.len()] {
        self.0.each_ref().map(|own| own.load(Ordering::Relaxed))
    }
}
