//! One TLS connection behind the seam that the server knows connections by.
//!
//! Records are decrypted and made in the worker's own buffers, so that a connection which waits
//! holds none. What is left in them when a worker lets go of it (the beginning of a record) moves
//! into a buffer of its own size.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::super::buffer::Buffer;
use super::super::stream::{Connection, Plain, Scratch, Socket};
use super::certificate::CertificateFacts;
use super::identity::ClientCertificate;
use super::load::Loaded;
use super::records::{OUTGOING_BYTES, Records, invalid};
use super::reload::Tls;

/// Read at once from the socket, and so the most that is held of what was not decrypted yet. A
/// handshake message may be this long, a record less.
const INCOMING_BYTES: usize = 64 * 1024;
/// Reads from the socket in one read, when what comes holds no bytes for the application.
const EMPTY_READS_MAX: usize = 4;

/// How far a handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Shaken {
    Done,
    /// The client has to send the rest of something.
    Wait,
    /// The client was answered and has to say more.
    Answered,
    /// The client does not take the answer for the moment.
    Unsent,
    /// What came is no TLS but looks like the head of a request.
    PlainHttp,
}

/// A connection that speaks TLS, or will once its client says hello.
pub(in super::super) struct TlsConnection {
    transport: Plain,
    tls: Arc<Tls>,
    /// What the handshake began with.
    loaded: Option<Arc<Loaded>>,
    records: Records,
    is_done: bool,
    client: Option<Arc<ClientCertificate>>,
}

impl TlsConnection {
    pub(in super::super) fn new(socket: Arc<Socket>, tls: Arc<Tls>) -> Self {
        Self {
            transport: Plain(socket),
            tls,
            loaded: None,
            records: Records::default(),
            is_done: false,
            client: None,
        }
    }

    /// Goes on with the handshake as far as what has arrived allows, without waiting for more.
    fn go_on(&mut self) -> io::Result<Shaken> {
        let mut wait = Shaken::Wait;
        if !self.send_now()? {
            return Ok(Shaken::Unsent);
        }
        loop {
            if !self.records.has_begun() && !self.records.incoming.is_empty() {
                if looks_like_http(self.records.incoming.bytes()) {
                    return Ok(Shaken::PlainHttp);
                }
                let loaded = self.tls.current();
                self.records.begin(&loaded.config)?;
                self.loaded = Some(loaded);
            }
            if self.records.has_begun() {
                let processed = self.records.process(&mut []);
                if self.is_unsent() {
                    wait = Shaken::Answered;
                }
                let is_sent = self.send_now()?;
                processed?;
                if !is_sent {
                    return Ok(Shaken::Unsent);
                }
                if self.records.is_established() {
                    self.client = self.identify()?;
                    self.is_done = true;
                    return Ok(Shaken::Done);
                }
            }
            let room = self.records.incoming.room(INCOMING_BYTES);
            if room.is_empty() {
                return Err(invalid("a message of the handshake is too long"));
            }
            match self.transport.0.read_now(room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.records.incoming.filled(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(wait),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Who the client is, once the handshake is done: also where a session was resumed, which
    /// keeps the certificate.
    fn identify(&self) -> io::Result<Option<Arc<ClientCertificate>>> {
        let Some(certificate) = self.records.peer_certificate() else {
            return Ok(None);
        };
        let loaded = self.loaded.as_ref();
        let verified = loaded.is_some_and(|loaded| loaded.verifies_clients);
        let facts = CertificateFacts::of_der(certificate)
            .ok_or_else(|| invalid("the client's certificate cannot be read"))?;
        // A full handshake has looked at the dates; a resumed one looks at no certificate.
        if verified && !facts.is_valid_at(self.tls.now()) {
            return Err(invalid(
                "the client's certificate has expired since its session began",
            ));
        }
        Ok(Some(Arc::new(ClientCertificate::new(facts, verified))))
    }

    /// As [`Records::process`], and says in return what the library has to say (an alert,
    /// new keys), as far as that is possible without waiting. The rest leaves with the next write.
    fn decrypt(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let filled = self.records.process(out);
        let _ = self.send_now();
        filled
    }

    /// Writes what was encrypted, as far as that is possible without waiting; whether all of it is
    /// on its way.
    fn send_now(&mut self) -> io::Result<bool> {
        while self.is_unsent() {
            match self.transport.0.write_now(self.records.outgoing.bytes()) {
                Ok(count) => self.records.outgoing.consume(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

impl Read for TlsConnection {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        for _ in 0..EMPTY_READS_MAX {
            if !self.records.plain.is_empty() || out.is_empty() {
                return Ok(self.records.plain.take_into(out));
            }
            if self.records.is_at_end {
                return Ok(0);
            }
            if !self.records.incoming.is_empty() {
                let filled = self.decrypt(out)?;
                if filled > 0 || self.records.is_at_end {
                    return Ok(filled);
                }
            }
            let room = self.records.incoming.room(INCOMING_BYTES);
            if room.is_empty() {
                return Err(invalid("a record is too long"));
            }
            match self.transport.read(room)? {
                // Whoever ends in earnest says so; this may be somebody on the way.
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.records.incoming.filled(count),
            }
        }
        if self.records.incoming.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let filled = self.decrypt(out)?;
        if filled > 0 || self.records.is_at_end {
            Ok(filled)
        } else {
            Err(ErrorKind::WouldBlock.into())
        }
    }
}

impl Write for TlsConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.records.encrypt(bytes)?;
        self.push()?;
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut total = 0;
        for slice in slices {
            let count = self.records.encrypt(slice)?;
            total += count;
            if count < slice.len() || self.records.outgoing.len() >= OUTGOING_BYTES {
                break;
            }
        }
        self.push()?;
        Ok(total)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection for TlsConnection {
    fn ready(&self) -> bool {
        self.records.is_ready()
    }

    fn plain(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn socket(&self) -> &Arc<Socket> {
        &self.transport.0
    }

    fn is_tls(&self) -> bool {
        true
    }

    fn client_certificate(&self) -> Option<&Arc<ClientCertificate>> {
        self.client.as_ref()
    }

    fn is_shaking(&self) -> bool {
        !self.is_done
    }

    fn shake(&mut self) -> io::Result<Shaken> {
        if self.is_done {
            return Ok(Shaken::Done);
        }
        self.go_on()
    }

    fn held_bytes(&self) -> usize {
        self.records.incoming.len() + self.records.plain.len()
    }

    fn is_unsent(&self) -> bool {
        !self.records.outgoing.is_empty()
    }

    fn push(&mut self) -> io::Result<usize> {
        if !self.is_unsent() {
            return Ok(0);
        }
        let count = self.transport.write(self.records.outgoing.bytes())?;
        self.records.outgoing.consume(count);
        Ok(count)
    }

    fn attach(&mut self, scratch: &mut Scratch) {
        let held = std::mem::replace(
            &mut self.records.incoming,
            std::mem::take(&mut scratch.incoming),
        );
        self.records.incoming.append(held.bytes());
        if self.records.outgoing.is_empty() {
            self.records.outgoing = std::mem::take(&mut scratch.outgoing);
        }
    }

    fn detach(&mut self, scratch: &mut Scratch) {
        let rest = std::mem::take(&mut self.records.incoming);
        if !rest.is_empty() {
            self.records.incoming.append(rest.bytes());
        }
        scratch.incoming = rest;
        scratch.incoming.reset(INCOMING_BYTES);
        if self.records.plain.is_empty() {
            self.records.plain = Buffer::new();
        }
        if !self.is_unsent() {
            scratch.outgoing = std::mem::take(&mut self.records.outgoing);
        }
    }

    fn write_now(&mut self, bytes: &[u8]) -> usize {
        if !self.is_done || self.is_unsent() {
            return 0;
        }
        let is_sent = self
            .records
            .encrypt(bytes)
            .is_ok_and(|count| count == bytes.len())
            && self.send_now().is_ok();
        if is_sent { bytes.len() } else { 0 }
    }

    fn farewell(&mut self) {
        // In the middle of a record it would be taken for a part of it.
        if self.is_unsent() || !self.is_done || self.records.has_failed {
            return;
        }
        if self.records.end().is_ok() {
            // A client that does not take it is left without it.
            let _ = self.send_now();
        }
    }
}

/// A request line begins with the capital letters of a method; no record of TLS does.
fn looks_like_http(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_uppercase)
}
