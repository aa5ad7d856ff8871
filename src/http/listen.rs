//! Listening sockets: the addresses as people write them, binding, accepting.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::request::Peer;
use super::stream::Socket;
use super::tls::Tls;

/// How many connections the kernel may hold that were not accepted yet.
const BACKLOG: i32 = 4096;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An address and a port; port 0 lets the kernel choose one.
    Tcp(SocketAddr),
    /// The path of a UNIX socket, which is made at the start and removed at the end.
    Unix(PathBuf),
}

/// What is spoken at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// An address as it is written in a configuration: perhaps with what is spoken there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listen {
    /// Said before the address; never said of a UNIX socket.
    pub scheme: Option<Scheme>,
    /// The address.
    pub address: ListenAddress,
}

impl Listen {
    /// What is spoken there: what was said, else TLS over TCP where there is a certificate.
    pub const fn scheme_or(&self, has_certificate: bool) -> Scheme {
        match (self.scheme, &self.address) {
            (Some(scheme), _) => scheme,
            (None, ListenAddress::Tcp(_)) if has_certificate => Scheme::Https,
            (None, _) => Scheme::Http,
        }
    }
}

impl From<ListenAddress> for Listen {
    fn from(address: ListenAddress) -> Self {
        Self {
            scheme: None,
            address,
        }
    }
}

impl FromStr for Listen {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ListenAddressError {
            text: text.to_owned(),
        };
        let (scheme, rest) = if let Some(rest) = text.strip_prefix("http://") {
            (Some(Scheme::Http), rest)
        } else if let Some(rest) = text.strip_prefix("https://") {
            (Some(Scheme::Https), rest)
        } else {
            (None, text)
        };
        let address = rest.strip_suffix('/').filter(|_| scheme.is_some());
        let address: ListenAddress = address.unwrap_or(rest).parse().map_err(|_| refuse())?;
        if scheme.is_some() && matches!(address, ListenAddress::Unix(_)) {
            return Err(refuse());
        }
        Ok(Self { scheme, address })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Some(scheme) => write!(f, "{}://{}", scheme.as_str(), self.address),
            None => self.address.fmt(f),
        }
    }
}

/// An address to serve at, and the certificates where TLS is spoken there.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The address.
    pub address: ListenAddress,
    /// None for plain HTTP.
    pub tls: Option<Arc<Tls>>,
}

impl Endpoint {
    /// The address as a client writes it.
    pub fn url(&self) -> String {
        match (&self.address, &self.tls) {
            (ListenAddress::Tcp(address), None) => format!("http://{address}"),
            (ListenAddress::Tcp(address), Some(_)) => format!("https://{address}"),
            (ListenAddress::Unix(_), _) => self.address.to_string(),
        }
    }
}

impl From<ListenAddress> for Endpoint {
    fn from(address: ListenAddress) -> Self {
        Self { address, tls: None }
    }
}

/// A text that is no [`ListenAddress`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddressError {
    text: String,
}

impl fmt::Display for ListenAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        write!(
            f,
            "'{text}' is not an address to listen on; write it as 127.0.0.1:5000, [::1]:5000, \
             :5000 (all addresses), perhaps with http:// or https:// before it, or \
             unix:/path/to/socket"
        )
    }
}

impl std::error::Error for ListenAddressError {}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ListenAddressError {
            text: text.to_owned(),
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err(refuse())
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        let port_of = |port: &str| port.parse::<u16>().map_err(|_| refuse());
        if let Some(port) = text.strip_prefix(':') {
            return Ok(Self::Tcp((Ipv6Addr::UNSPECIFIED, port_of(port)?).into()));
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            return Ok(Self::Tcp((Ipv4Addr::LOCALHOST, port_of(port)?).into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| refuse())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listening socket and what is spoken on it.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) listener: Listener,
    pub(super) tls: Option<Arc<Tls>>,
}

impl Listening {
    /// Binds the address of `endpoint`.
    pub(super) fn bind(endpoint: Endpoint) -> io::Result<Self> {
        Ok(Self {
            listener: Listener::bind(&endpoint.address)?,
            tls: endpoint.tls,
        })
    }

    /// As it was bound, with the port that the kernel chose.
    pub(super) fn endpoint(&self) -> io::Result<Endpoint> {
        Ok(Endpoint {
            address: self.listener.address()?,
            tls: self.tls.clone(),
        })
    }
}

/// A bound, non-blocking listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        path: PathBuf,
        /// Device and inode of the socket's file, so that only that file is ever removed.
        identity: Option<(u64, u64)>,
    },
}

impl Listener {
    /// Binds `address`.
    pub(super) fn bind(address: &ListenAddress) -> io::Result<Self> {
        let describe = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        };
        match address {
            ListenAddress::Tcp(address) => Self::bind_tcp(*address),
            ListenAddress::Unix(path) => Self::bind_unix(path),
        }
        .map_err(describe)
    }

    fn bind_tcp(address: SocketAddr) -> io::Result<Self> {
        let listener = match TcpListener::bind(address) {
            // A host without IPv6 still has all addresses.
            Err(error) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
                let without_v6 = (Ipv4Addr::UNSPECIFIED, address.port());
                TcpListener::bind(without_v6).map_err(|_| error)?
            }
            bound => bound?,
        };
        rustix::net::listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        Ok(Self::Tcp(listener))
    }

    fn bind_unix(path: &Path) -> io::Result<Self> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_stale(path) => {
                std::fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        rustix::net::listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        Ok(Self::Unix {
            listener,
            path: path.to_owned(),
            identity: identity(path),
        })
    }

    /// The address that was bound, with the port that the kernel chose.
    pub(super) fn address(&self) -> io::Result<ListenAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(ListenAddress::Tcp),
            Self::Unix { path, .. } => Ok(ListenAddress::Unix(path.clone())),
        }
    }

    /// Whether a connection waits to be accepted.
    pub(super) fn is_pending(&self) -> bool {
        let mut fds = [PollFd::new(self, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|count| count > 0)
    }

    /// The next connection; `WouldBlock` when there is none.
    pub(super) fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                Ok((Socket::Tcp(stream), Peer::Ip(address)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::Unix(stream), Peer::Unix))
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix { listener, .. } => listener.as_fd(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix {
            path,
            identity: Some(bound),
            ..
        } = self
            && identity(path) == Some(*bound)
        {
            // Whoever removed it first did what was to be done.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether this process could listen on an address at this moment: it tries, and lets go.
///
/// # Errors
/// Why not: the address is taken, not this machine's, or its port is for the administrator only.
pub fn try_tcp(address: SocketAddr) -> io::Result<()> {
    Listener::bind_tcp(address).map(drop)
}

/// Whether `path` is a socket on which nobody listens any more.
fn is_stale(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    let refused = matches!(
        UnixStream::connect(path),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused
    );
    is_socket && refused
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path)
        .ok()
        .map(|meta| (meta.dev(), meta.ino()))
}
