//! A socket for short messages to one receiver on this machine, at a path or under an abstract
//! name. It only sends, and never waits long: whoever should listen may not.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a message may wait for room at its receiver.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends messages to one address.
#[derive(Debug)]
pub struct Datagram {
    socket: UnixDatagram,
    receiver: SocketAddr,
}

impl Datagram {
    /// For the receiver at `name`: a path, or an abstract name with `@` before it. Nobody has to
    /// listen there yet.
    ///
    /// # Errors
    /// It is neither, or too long, or there are no sockets to be had.
    pub fn to(name: &OsStr) -> io::Result<Self> {
        let receiver = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            [b'@', rest @ ..] if !rest.is_empty() => SocketAddr::from_abstract_name(rest)?,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "neither an absolute path nor an abstract name (@NAME)",
                ));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self { socket, receiver })
    }

    /// Sends one message, whole or not at all.
    ///
    /// # Errors
    /// Nobody listens, or the receiver has no room.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        let sent = self.socket.send_to_addr(message, &self.receiver)?;
        if sent == message.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> Vec<u8> {
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut bytes = [0; 64];
        let count = socket.recv(&mut bytes).unwrap();
        bytes[..count].to_vec()
    }

    #[test]
    fn a_message_arrives_at_a_path_and_under_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let sender = Datagram::to(path.as_os_str()).unwrap();
        assert!(sender.send(b"too early").is_err());
        let receiver = UnixDatagram::bind(&path).unwrap();
        sender.send(b"READY=1").unwrap();
        assert_eq!(received(&receiver), b"READY=1");

        let name = format!("coracle-test-{}-{:p}", std::process::id(), &receiver);
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let receiver = UnixDatagram::bind_addr(&address).unwrap();
        let sender = Datagram::to(OsStr::new(&format!("@{name}"))).unwrap();
        sender.send(b"WATCHDOG=1").unwrap();
        assert_eq!(received(&receiver), b"WATCHDOG=1");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for name in ["", "@", "relative/path", "vsock:2:1234", "/a\0b"] {
            assert!(Datagram::to(OsStr::new(name)).is_err(), "{name:?}");
        }
    }
}
