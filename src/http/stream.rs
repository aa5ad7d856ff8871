//! The seam below the server: a connection is bytes in, bytes out, and whether it holds bytes
//! that the kernel does not know of. Plain TCP and UNIX sockets are here; TLS is in `tls`.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::buffer::Buffer;
use super::limits::Limits;
use super::tls::{ClientCertificate, Shaken};

/// One connection as the server uses it.
///
/// Sockets are blocking with short timeouts: a read returns `WouldBlock` when nothing came within
/// [`Limits::linger_timeout`], a write when nothing left within [`Limits::write_stall_timeout`].
pub(super) trait Connection: Read + Write + Send {
    /// Whether bytes that can be read are held above the socket, so that waiting for the socket
    /// to become readable would miss them.
    fn ready(&self) -> bool;

    /// The socket, where bytes written to it reach the client unchanged: for sendfile(2).
    fn plain(&self) -> Option<BorrowedFd<'_>>;

    /// Writes bytes that more bytes will follow at once, so that they may share a packet.
    fn write_more(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    /// The socket below, for waiting and for shutting down.
    fn socket(&self) -> &Arc<Socket>;

    /// Whether the bytes on the socket are encrypted.
    fn is_tls(&self) -> bool {
        false
    }

    /// The certificate that the client has shown.
    fn client_certificate(&self) -> Option<&Arc<ClientCertificate>> {
        None
    }

    /// Whether a handshake has to be finished before anything can be read or written.
    fn is_shaking(&self) -> bool {
        false
    }

    /// Goes on with that handshake as far as what has arrived allows.
    fn shake(&mut self) -> io::Result<Shaken> {
        Ok(Shaken::Done)
    }

    /// Bytes that are held above the socket and were not read yet.
    fn held_bytes(&self) -> usize {
        0
    }

    /// Whether bytes that a write has taken are still to be written to the socket, with
    /// [`Connection::push`].
    fn is_unsent(&self) -> bool {
        false
    }

    /// Writes some of those; how many.
    fn push(&mut self) -> io::Result<usize> {
        Ok(0)
    }

    /// Lends the buffers of a worker, until [`Connection::detach`].
    fn attach(&mut self, _scratch: &mut Scratch) {}

    /// Gives them back.
    fn detach(&mut self, _scratch: &mut Scratch) {}

    /// Writes a short answer without waiting; how much of it was taken.
    fn write_now(&mut self, bytes: &[u8]) -> usize {
        self.socket().write_now(bytes).unwrap_or(0)
    }

    /// Says, without waiting, that nothing more will be sent, where that is something to say.
    fn farewell(&mut self) {}
}

/// Buffers of a worker which the connection at hand may use.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) incoming: Buffer,
    pub(super) outgoing: Buffer,
}

/// A connected socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Sets what every connection needs once, so that no request needs a call for it.
    pub(super) fn prepare(&self, limits: &Limits) -> io::Result<()> {
        let at_least_1_ms = |timeout: Duration| Some(timeout.max(Duration::from_millis(1)));
        let read_timeout = at_least_1_ms(limits.linger_timeout);
        let write_timeout = at_least_1_ms(limits.write_stall_timeout);
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(read_timeout)?;
                stream.set_write_timeout(write_timeout)
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(read_timeout)?;
                stream.set_write_timeout(write_timeout)
            }
        }
    }

    /// Ends one or both directions. The other side may have done so before; that is no error here.
    pub(super) fn shutdown(&self, how: Shutdown) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        };
    }

    /// Waits until there is something to read (or an end or an error), for at most `timeout`.
    pub(super) fn wait_readable(&self, timeout: Duration) -> io::Result<bool> {
        self.wait_for(PollFlags::IN, timeout)
    }

    /// Waits until something can be written (or until an error), for at most `timeout`.
    pub(super) fn wait_writable(&self, timeout: Duration) -> io::Result<bool> {
        self.wait_for(PollFlags::OUT, timeout)
    }

    fn wait_for(&self, what: PollFlags, timeout: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::new(self, what)];
        let ready = poll(&mut fds, Some(&timespec(timeout)));
        match ready {
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what is there, without waiting.
    pub(super) fn read_now(&self, out: &mut [u8]) -> io::Result<usize> {
        let (_, count) = rustix::net::recv(self, out, rustix::net::RecvFlags::DONTWAIT)?;
        Ok(count)
    }

    /// Writes what fits, without waiting.
    pub(super) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::net::SendFlags;
        Ok(rustix::net::send(
            self,
            bytes,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        )?)
    }

    /// Whether the other side has closed its direction and nothing is left to read.
    pub(super) fn is_at_end(&self) -> bool {
        use rustix::net::RecvFlags;
        let mut byte = [0];
        let peeked = rustix::net::recv(self, &mut byte[..], RecvFlags::DONTWAIT | RecvFlags::PEEK);
        match peeked {
            Ok((_, count)) => count == 0,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            Err(_) => true,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

/// `duration` for the kernel, rounded up to whole milliseconds: with those, older and sandboxed
/// kernels need no newer call than the plain one.
pub(super) fn timespec(duration: Duration) -> Timespec {
    const DAY_MS: u128 = 86_400_000;
    let ms = duration.as_nanos().div_ceil(1_000_000).min(DAY_MS);
    let ms = i64::try_from(ms).unwrap_or(0);
    Timespec {
        tv_sec: ms / 1000,
        tv_nsec: ms % 1000 * 1_000_000,
    }
}

/// A connection without anything between the bytes and the socket.
pub(super) struct Plain(pub(super) Arc<Socket>);

impl Read for Plain {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &*self.0 {
            Socket::Tcp(stream) => (&mut &*stream).read(out),
            Socket::Unix(stream) => (&mut &*stream).read(out),
        }
    }
}

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &*self.0 {
            Socket::Tcp(stream) => (&mut &*stream).write(bytes),
            Socket::Unix(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &*self.0 {
            Socket::Tcp(stream) => (&mut &*stream).write_vectored(slices),
            Socket::Unix(stream) => (&mut &*stream).write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection for Plain {
    fn ready(&self) -> bool {
        false
    }

    fn plain(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn write_more(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::net::SendFlags;
        Ok(rustix::net::send(
            &*self.0,
            bytes,
            SendFlags::MORE | SendFlags::NOSIGNAL,
        )?)
    }

    fn socket(&self) -> &Arc<Socket> {
        &self.0
    }
}
