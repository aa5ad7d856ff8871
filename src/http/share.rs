//! How many requests of one client run at once: whoever sends slowly, on however many connections,
//! keeps workers for the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::request::Peer;
use super::table::client_of;

/// Running requests by client. A client without one is not in it, so it is never larger than the
/// number of workers.
#[derive(Default)]
pub(super) struct Shares {
    running: Mutex<HashMap<IpAddr, usize>>,
}

/// A running request's part in its client's share, until it is dropped.
pub(super) struct Share<'s> {
    shares: &'s Shares,
    client: Option<IpAddr>,
}

impl Shares {
    /// Counts one more request of `peer` in; `None` when it has `limit` running. UNIX sockets are
    /// exempt: their clients cannot be told apart.
    pub(super) fn enter(&self, peer: &Peer, limit: usize) -> Option<Share<'_>> {
        let client = client_of(peer);
        if let Some(client) = client {
            let mut running = self.lock();
            let count = running.entry(client).or_default();
            // One that is not there yet has none running, and every limit is at least one.
            if *count >= limit.max(1) {
                return None;
            }
            *count += 1;
        }
        Some(Share {
            shares: self,
            client,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Nothing between two steps of the counting panics.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut running = self.shares.lock();
        if let Some(count) = running.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                running.remove(&client);
            }
        }
    }
}
