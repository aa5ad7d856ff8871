//! The server as the process sees it: bind, run, stop, look.
use std::io;
use std::sync::Arc;

use super::handler::Handler;
use super::limits::Limits;
use super::listen::{ListenAddress, Listener};

/// A server.
pub struct Server {
    listeners: Vec<Listener>,
    limits: Limits,
    handler: Arc<dyn Handler>,
}

/// Stops a running server, from any thread.
#[derive(Debug, Clone)]
pub struct ServerHandle {}

/// What a server holds right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Open connections.
    pub connections: usize,
    /// Requests whose handler runs or whose response is being sent.
    pub requests_active: usize,
    /// Worker threads.
    pub workers: usize,
    /// Connections that wait for a worker.
    pub requests_waiting: usize,
    /// Connections accepted since the start.
    pub accepted_total: u64,
    /// Connections closed or refused because a limit of connections or of waiting was reached.
    pub shed_total: u64,
}

impl Server {
    /// Binds.
    pub fn bind(
        addresses: &[ListenAddress],
        limits: Limits,
        handler: Arc<dyn Handler>,
    ) -> io::Result<Self> {
        let listeners = addresses
            .iter()
            .map(Listener::bind)
            .collect::<io::Result<_>>()?;
        Ok(Self {
            listeners,
            limits,
            handler,
        })
    }
    /// Addresses.
    pub fn local_addresses(&self) -> Vec<ListenAddress> {
        self.listeners
            .iter()
            .filter_map(|l| l.address().ok())
            .collect()
    }
    /// Handle.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle {}
    }
    /// Runs.
    pub fn run(self) -> io::Result<()> {
        let _ = (&self.limits, &self.handler);
        Ok(())
    }
}
impl ServerHandle {
    /// Graceful.
    pub fn stop(&self) {}
    /// At once.
    pub fn stop_now(&self) {}
    /// Counters.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
