//! Listening sockets that another process has opened and hands over at the start: systemd's socket
//! activation (`LISTEN_FDS`, `LISTEN_PID`). What they are for is not known here.

use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use super::listen::{Endpoint, ListenAddress, Listener, Listening};
use super::tls::Tls;

/// The most sockets that are taken.
pub const HANDED_MAX: usize = 64;

/// A listening socket that was handed over. Its file, where it has one, stays when it is closed:
/// it is not ours.
#[derive(Debug)]
pub struct Handed {
    listener: Listener,
    address: ListenAddress,
}

impl Handed {
    /// Takes all that were handed to this process, in their order. Only the first call finds any,
    /// and it has to come before threads are started: it changes the environment.
    ///
    /// # Errors
    /// There are too many, or one is no listening stream socket.
    pub fn take_all() -> io::Result<Vec<Self>> {
        let announced = std::env::var("LISTEN_FDS").ok();
        let announced = announced.and_then(|count| count.parse::<usize>().ok());
        if let Some(count) = announced.filter(|count| *count > HANDED_MAX) {
            return Err(io::Error::other(format!(
                "{count} sockets are handed over, the most is {HANDED_MAX}"
            )));
        }
        let mut fds = ListenFd::from_env();
        (0..fds.len())
            .map(|index| Self::take(&mut fds, index))
            .collect()
    }

    fn take(fds: &mut ListenFd, index: usize) -> io::Result<Self> {
        let refuse = |why: &dyn fmt::Display| {
            let number = index + 1;
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "socket {number} of those that are handed over is no listening TCP or UNIX \
                     socket ({why}); set ListenStream= and Accept=no in its unit"
                ),
            )
        };
        // What is no TCP socket is left where it is.
        let listener = match fds.take_tcp_listener(index) {
            Ok(Some(listener)) => Listener::Tcp(listener),
            _ => match fds.take_unix_listener(index) {
                Ok(Some(listener)) => of_unix(listener)?,
                Ok(None) => return Err(refuse(&"it is missing")),
                Err(error) => return Err(refuse(&error)),
            },
        };
        if !socket_acceptconn(&listener)? {
            return Err(refuse(&"nobody listens on it"));
        }
        match &listener {
            Listener::Tcp(listener) => listener.set_nonblocking(true)?,
            Listener::Unix { listener, .. } => listener.set_nonblocking(true)?,
        }
        let address = listener.address()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub const fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Where it listens, and what is spoken there.
    pub fn endpoint(&self, tls: Option<Arc<Tls>>) -> Endpoint {
        Endpoint {
            address: self.address.clone(),
            tls,
        }
    }

    pub(super) fn listen(self, tls: Option<Arc<Tls>>) -> Listening {
        Listening {
            listener: self.listener,
            tls,
        }
    }
}

#[cfg(test)]
impl Handed {
    /// As if this had been handed over.
    pub(super) fn of(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = Listener::Tcp(listener);
        let address = listener.address()?;
        Ok(Self { listener, address })
    }
}

fn of_unix(listener: UnixListener) -> io::Result<Listener> {
    let address = listener.local_addr()?;
    let path = match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => path.to_owned(),
        (None, name) => {
            let mut text = b"@".to_vec();
            text.extend_from_slice(name.unwrap_or_default());
            PathBuf::from(std::ffi::OsStr::from_bytes(&text))
        }
    };
    Ok(Listener::Unix {
        listener,
        path,
        identity: None,
    })
}
