//! A client of one's own server: asks it something through its own listeners, to see whether it
//! answers.
//!
//! What is answered does not matter here beyond the status. Where no network leads to a listener
//! (the process has none, or a packet filter is before it), the server is asked over a connection
//! that is handed to its dispatcher: everything but accepting is the same.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::listen::{Endpoint, ListenAddress};
use super::server::ServerHandle;
use super::stream::timespec;
use super::tls::Asking;

/// The most of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A response with this status.
    Status(u16),
    /// No more than an alert of TLS: it wants a certificate that this client has not.
    Alert,
}

impl Answer {
    /// Whether a worker has looked at the request: it was neither refused because there was none
    /// to be had, nor did its handler fail.
    pub const fn is_served(self) -> bool {
        match self {
            Self::Status(status) => status < 500,
            Self::Alert => true,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Alert => f.write_str("a TLS alert"),
        }
    }
}

/// Asks one server the same thing again and again.
pub struct Probe {
    handle: ServerHandle,
    target: &'static str,
    /// Those that can be reached from here.
    endpoints: Vec<Endpoint>,
    /// The one that is asked next.
    next: usize,
    asking: Asking,
}

impl Probe {
    /// For `GET target` of the server behind `handle`, which listens at `endpoints`.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(
        handle: ServerHandle,
        endpoints: Vec<Endpoint>,
        target: &'static str,
    ) -> io::Result<Self> {
        Ok(Self {
            handle,
            target,
            endpoints,
            next: 0,
            asking: Asking::new().map_err(io::Error::other)?,
        })
    }

    /// Asks through each listener once, and then never again through those that do not answer,
    /// because no network leads there, nor through those that want a certificate, because each
    /// attempt is a failed handshake. Without any the server is asked directly.
    ///
    /// # Errors
    /// It did not answer at all.
    pub fn settle(&mut self, within: Duration) -> io::Result<Answer> {
        let mut answer = None;
        for endpoint in std::mem::take(&mut self.endpoints) {
            match self.ask_at(&endpoint, Instant::now() + within) {
                Ok(Answer::Alert) => answer = Some(Answer::Alert),
                Ok(one) => {
                    answer = Some(one);
                    self.endpoints.push(endpoint);
                }
                Err(error) => log::info!(
                    "{} cannot be reached from the server itself ({error}); it is asked whether \
                     it is alive in another way",
                    endpoint.url()
                ),
            }
        }
        match answer {
            Some(answer) => Ok(answer),
            None => self.ask_directly(Instant::now() + within),
        }
    }

    /// Asks once, each time through another listener.
    ///
    /// # Errors
    /// Nothing came back within this time.
    pub fn ask(&mut self, within: Duration) -> io::Result<Answer> {
        let deadline = Instant::now() + within;
        let Some(endpoint) = self.endpoints.get(self.next % self.endpoints.len().max(1)) else {
            return self.ask_directly(deadline);
        };
        self.next = self.next.wrapping_add(1);
        match self.ask_at(endpoint, deadline) {
            Err(error) if error.kind() != ErrorKind::TimedOut => {
                log::debug!("{} could not be asked: {error}", endpoint.url());
                self.ask_directly(deadline)
            }
            outcome => outcome,
        }
    }

    fn ask_directly(&self, deadline: Instant) -> io::Result<Answer> {
        let stream = self.handle.connect()?;
        self.exchange(Within { stream, deadline })
    }

    fn ask_at(&self, endpoint: &Endpoint, deadline: Instant) -> io::Result<Answer> {
        match &endpoint.address {
            ListenAddress::Unix(path) => {
                let stream = connect_unix(path)?;
                self.speak(endpoint, Within { stream, deadline })
            }
            ListenAddress::Tcp(address) => {
                let address = reachable(*address);
                let stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
                self.speak(endpoint, Within { stream, deadline })
            }
        }
    }

    fn speak(&self, endpoint: &Endpoint, stream: impl Read + Write) -> io::Result<Answer> {
        if endpoint.tls.is_none() {
            return self.exchange(stream);
        }
        match self.exchange(self.asking.over(stream)?) {
            Err(error) if Asking::is_alert(&error) => Ok(Answer::Alert),
            outcome => outcome,
        }
    }

    fn exchange(&self, mut stream: impl Read + Write) -> io::Result<Answer> {
        let (target, version) = (self.target, env!("CARGO_PKG_VERSION"));
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: coracle/{version}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.flush()?;
        let mut answer = Vec::new();
        match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
            // How it ends does not matter once it is there.
            Err(error) if answer.is_empty() => return Err(error),
            _ => {}
        }
        status_of(&answer).map(Answer::Status)
    }
}

fn status_of(answer: &[u8]) -> io::Result<u16> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(answer);
    response
        .code
        .filter(|_| parsed.is_ok())
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the answer is no HTTP response"))
}

/// The address by which this machine reaches a listener on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    match (address, ip) {
        // Keeps the scope of a link-local address.
        (SocketAddr::V6(own), IpAddr::V6(ip)) => {
            let mut own = own;
            own.set_ip(ip);
            own.into()
        }
        (_, ip) => (ip, address.port()).into(),
    }
}

/// Connects without waiting for room in the listener's queue.
fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let address = match path.as_os_str().as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
        _ => SocketAddrUnix::new(path)?,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Err(rustix::io::Errno::AGAIN) => return Err(ErrorKind::TimedOut.into()),
        outcome => outcome?,
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// A blocking stream that is waited for until one moment, however many reads and writes it takes.
pub(super) struct Within<S> {
    stream: S,
    deadline: Instant,
}

impl<S: AsFd> Within<S> {
    fn wait_for(&self, what: rustix::event::PollFlags) -> io::Result<()> {
        loop {
            let timeout = timespec(left(self.deadline)?);
            let mut fds = [rustix::event::PollFd::new(&self.stream, what)];
            match rustix::event::poll(&mut fds, Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<S: AsFd + Read> Read for Within<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.wait_for(rustix::event::PollFlags::IN)?;
        self.stream.read(out)
    }
}

impl<S: AsFd + Write> Write for Within<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait_for(rustix::event::PollFlags::OUT)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_by_the_loopback() {
        let of = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(of("0.0.0.0:5000"), "127.0.0.1:5000");
        assert_eq!(of("[::]:5000"), "[::1]:5000");
        assert_eq!(of("192.0.2.7:5000"), "192.0.2.7:5000");
        assert_eq!(of("[fe80::1%3]:5000"), "[fe80::1%3]:5000");
    }

    #[test]
    fn an_answer_is_its_status() {
        let head = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(status_of(head).unwrap(), 429);
        assert!(status_of(b"").is_err());
        assert!(status_of(b"SSH-2.0-OpenSSH_9\r\n").is_err());
        assert!(Answer::Status(429).is_served() && Answer::Alert.is_served());
        assert!(!Answer::Status(503).is_served());
    }
}
