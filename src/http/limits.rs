//! Every bound of the server, with its name and default. All can be set; none can be absent.

use std::time::Duration;

/// What one server accepts, holds and waits for at most.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a request head, from its first byte to its empty line. Beyond: 431.
    pub head_bytes_max: usize,
    /// Header fields of a request. Beyond: 431. No more than [`Limits::HEADER_COUNT_CEILING`].
    pub header_count_max: usize,
    /// Bytes of the request line. Beyond: 414.
    pub request_line_bytes_max: usize,
    /// Bytes of a request body. A declared length beyond it is refused with 413 before the
    /// handler is asked; the handler lowers it with [`super::Body::set_limit`].
    pub body_bytes_max: u64,
    /// Open connections, lowered to what the limit of open files allows. Beyond: the connection
    /// that has been idle longest is closed; when none is idle, 503.
    pub connections_max: usize,
    /// Open connections of one client address; UNIX sockets are exempt. Beyond: 503.
    pub connections_per_client_max: usize,
    /// Requests of one client address that run at once; UNIX sockets are exempt. Below
    /// [`Limits::workers_max`], so that no single client takes all workers. Beyond: they wait
    /// until one of them ends.
    pub requests_per_client_max: usize,
    /// Worker threads that stay when there is nothing to do.
    pub workers_min: usize,
    /// Worker threads, and so requests that run at once.
    pub workers_max: usize,
    /// Stack of a worker thread, in bytes.
    pub worker_stack_bytes: usize,
    /// Bytes of all incomplete request heads together. Beyond: the connection that has been in
    /// the middle of one longest is closed.
    pub partial_heads_bytes_max: usize,
    /// How long a worker beyond `workers_min` waits for work before it ends.
    pub worker_idle_timeout: Duration,
    /// Connections with a request that wait for a worker, and as many that wait until another
    /// request of their client ends. Beyond: 503.
    pub requests_waiting_max: usize,
    /// How long a request waits until another one of its client ends. Beyond: 503.
    pub turn_timeout: Duration,
    /// From the first byte of a head to its last. Beyond: 408.
    pub head_timeout: Duration,
    /// From accepting a TLS connection to the end of its handshake. Beyond: closed.
    pub handshake_timeout: Duration,
    /// TLS connections whose handshake waits for their client. Beyond: the one that has waited
    /// longest is closed.
    pub handshakes_max: usize,
    /// From one response to the first byte of the next request. Beyond: closed without a word.
    pub idle_timeout: Duration,
    /// How long a worker waits on a connection for its next request before it hands it back.
    /// It does so only while no other connection is waiting for a worker.
    pub linger_timeout: Duration,
    /// How long a write may take without a single byte leaving. Beyond: closed.
    pub write_stall_timeout: Duration,
    /// The rate at which bodies must at least travel, in bytes per second, either way. Only the
    /// time spent waiting for the client counts. Beyond: the body is an error, or closed.
    pub body_rate_min_bytes_per_s: u64,
    /// The time over which that rate is measured: a client may do nothing for this long.
    pub body_rate_window: Duration,
    /// Bytes of a request body that the handler left unread which are read and thrown away to
    /// keep the connection. Beyond: closed.
    pub drain_bytes_max: u64,
    /// Bytes that are read and thrown away before a connection is closed, so that a client that
    /// is still sending sees the response instead of a reset.
    pub close_drain_bytes_max: u64,
    /// How long that may take.
    pub close_drain_timeout: Duration,
    /// How long a graceful stop waits for running requests.
    pub stop_timeout: Duration,
    /// What `Retry-After` says with a 503.
    pub retry_after: Duration,
}

impl Limits {
    /// No head may have more fields than this, whatever `header_count_max` says.
    pub const HEADER_COUNT_CEILING: usize = 256;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 64 * 1024,
            header_count_max: 100,
            request_line_bytes_max: 16 * 1024,
            body_bytes_max: 1 << 40,
            connections_max: 16_384,
            connections_per_client_max: 16_384,
            requests_per_client_max: 64,
            workers_min: 2,
            workers_max: 128,
            worker_stack_bytes: 512 * 1024,
            worker_idle_timeout: Duration::from_secs(10),
            partial_heads_bytes_max: 16 << 20,
            requests_waiting_max: 4096,
            turn_timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            handshakes_max: 256,
            idle_timeout: Duration::from_secs(120),
            linger_timeout: Duration::from_millis(5),
            write_stall_timeout: Duration::from_secs(60),
            body_rate_min_bytes_per_s: 256,
            body_rate_window: Duration::from_secs(60),
            drain_bytes_max: 1 << 20,
            close_drain_bytes_max: 64 << 20,
            close_drain_timeout: Duration::from_secs(3),
            stop_timeout: Duration::from_secs(30),
            retry_after: Duration::from_secs(1),
        }
    }
}
