//! The server as the process sees it: bind, run, stop, look at its counters.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::dispatcher::Dispatcher;
use super::handed::Handed;
use super::handler::Handler;
use super::limits::Limits;
use super::listen::{Endpoint, Listening};
use super::shared::{Phase, Shared};
use super::shed::Shed;
use super::stream::Socket;
use super::tls::Tls;

/// A server that has its addresses and does not answer yet. Connections that arrive before
/// [`Server::run`] wait in the kernel.
pub struct Server {
    listeners: Vec<Listening>,
    shared: Arc<Shared>,
}

/// Stops a server and looks at its counters, from any thread.
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

/// What a server holds right now, and what it has seen since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Open connections.
    pub connections: usize,
    /// Requests whose handler runs or whose response is being sent.
    pub requests_active: usize,
    /// Connections that wait for a worker, or until another request of their client ends.
    pub requests_waiting: usize,
    /// Worker threads.
    pub workers: usize,
    /// Connections accepted since the start.
    pub accepted_total: u64,
    /// The most that may be open.
    pub connections_max: usize,
    /// Connections closed or refused since the start because a bound was met, in the order of
    /// [`Shed::ALL`]. The last is how often the system could not give a connection and none could
    /// be given up for it.
    pub shed: [u64; Shed::ALL.len()],
    /// TLS handshakes since the start that failed, took too long or were too many.
    pub handshakes_failed_total: u64,
}

impl Stats {
    /// Connections closed or refused since the start, for whatever reason.
    pub fn shed_total(&self) -> u64 {
        self.shed.iter().sum()
    }
}

impl Server {
    /// Binds all `endpoints`. Raises the process's soft limit of open files to the hard one, and
    /// lowers [`Limits::connections_max`] to what that allows.
    ///
    /// # Errors
    /// An address cannot be listened on; the message names it.
    pub fn bind(
        endpoints: &[impl Clone + Into<Endpoint>],
        limits: Limits,
        handler: Arc<dyn Handler>,
    ) -> io::Result<Self> {
        Self::bind_beside(Vec::new(), endpoints, limits, handler)
    }

    /// As [`Server::bind`], and serves at sockets that were handed over as well, each with the
    /// certificates where TLS is spoken there.
    ///
    /// # Errors
    /// An address cannot be listened on; the message names it.
    pub fn bind_beside(
        handed: Vec<(Handed, Option<Arc<Tls>>)>,
        endpoints: &[impl Clone + Into<Endpoint>],
        mut limits: Limits,
        handler: Arc<dyn Handler>,
    ) -> io::Result<Self> {
        limits.connections_max = connections_max(&limits, raise_open_files());
        limits.header_count_max = limits.header_count_max.min(Limits::HEADER_COUNT_CEILING);
        let handed = handed.into_iter().map(|(it, tls)| Ok(it.listen(tls)));
        let bound = endpoints
            .iter()
            .map(|endpoint| Listening::bind(endpoint.clone().into()));
        let listeners = handed.chain(bound).collect::<io::Result<_>>()?;
        Ok(Self {
            listeners,
            shared: Arc::new(Shared::new(limits, handler)?),
        })
    }

    /// The addresses as they were bound, those that were handed over first, then in the order
    /// given, with the ports that the kernel chose.
    pub fn local_endpoints(&self) -> Vec<Endpoint> {
        self.listeners
            .iter()
            .filter_map(|listening| listening.endpoint().ok())
            .collect()
    }

    /// The limits that hold, after what the system allows.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// A handle, which is good before, while and after the server runs.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Serves until it is stopped by a [`ServerHandle`], on this thread and its workers.
    ///
    /// # Errors
    /// No thread could be started, or the kernel refuses to watch sockets at all.
    pub fn run(self) -> io::Result<()> {
        Dispatcher::new(self.shared, self.listeners)?.run()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

impl ServerHandle {
    /// Stops gracefully: accepts nothing more, closes what is idle, lets running requests finish
    /// within [`Limits::stop_timeout`]. Returns at once; [`Server::run`] returns when it is done.
    pub fn stop(&self) {
        self.shared.advance(Phase::Stopping);
    }

    /// Stops at once, cutting running requests off.
    pub fn stop_now(&self) {
        self.shared.advance(Phase::StoppingNow);
    }

    /// Whether the server was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.shared.is_stopping()
    }

    /// A connection to the server without any listener: for asking it where no network leads to
    /// it. It counts as one over a UNIX socket.
    ///
    /// # Errors
    /// The system has no sockets to give, or the server does not take up those it was given.
    pub(super) fn connect(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        self.shared.hand_in(Socket::Unix(theirs))?;
        Ok(ours)
    }

    /// Bytes of bodies and responses that have moved since the start: while it grows, the server
    /// is at work.
    pub fn moved_bytes(&self) -> u64 {
        self.shared.counters.moved_bytes.load(Ordering::Relaxed)
    }

    /// The counters. Each is exact, together they are no snapshot.
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        let available = counters.available.load(Ordering::Relaxed);
        Stats {
            connections: self.shared.table().open(),
            requests_active: counters.requests_active.load(Ordering::Relaxed),
            requests_waiting: usize::try_from(-available).unwrap_or(0)
                + self.shared.shares.waiting(),
            workers: counters.workers.load(Ordering::Relaxed),
            accepted_total: counters.accepted_total.load(Ordering::Relaxed),
            connections_max: self.shared.limits.connections_max,
            shed: counters.shed.read(),
            handshakes_failed_total: counters.handshakes_failed_total.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}

/// Raises the soft limit of open files to the hard one; the limit that holds then.
fn raise_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let holds = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    holds
        .and_then(|files| usize::try_from(files).ok())
        .unwrap_or(usize::MAX)
}

/// As many connections as wanted, but leaving files for the listeners, and two a worker.
fn connections_max(limits: &Limits, open_files_max: usize) -> usize {
    let reserved = 64 + 2 * limits.workers_max;
    let possible = open_files_max
        .saturating_sub(reserved)
        .max(open_files_max / 2);
    limits.connections_max.min(possible).max(1)
}
