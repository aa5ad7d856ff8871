//! One TLS connection behind the seam that the server knows connections by.
//!
//! The library's unbuffered side is used: records are decrypted and made in the worker's own
//! buffers, so that a connection which waits holds none. What is left in them when a worker lets
//! go of it (the beginning of a record) moves into a buffer of its own size.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, ReadTraffic, UnbufferedStatus,
    WriteTraffic,
};

use super::super::buffer::Buffer;
use super::super::stream::{Connection, Plain, Scratch, Socket};
use super::certificate::CertificateFacts;
use super::identity::ClientCertificate;
use super::load::Loaded;
use super::reload::Tls;

/// Read at once from the socket, and so the most that is held of what was not decrypted yet. A
/// handshake message may be this long, a record less.
const INCOMING_BYTES: usize = 64 * 1024;
/// Encrypted at once: what leaves in one call.
const OUTGOING_BYTES: usize = 128 * 1024;
/// The largest record of TLS 1.3; that of TLS 1.2 is shorter in practice and longer by right.
const RECORD_PAYLOAD_BYTES: usize = 16 * 1024;
/// What a record has besides its payload, at most (header, explicit nonce, tag, content type).
const RECORD_EXTRA_BYTES: usize = 32;
/// Room for a short message of the library; a longer one says what it needs.
const MESSAGE_BYTES: usize = 512;
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
    /// What came is no TLS but looks like the head of a request.
    PlainHttp,
}

/// A connection that speaks TLS, or will once its client says hello.
pub(in super::super) struct TlsConnection {
    transport: Plain,
    tls: Arc<Tls>,
    session: Option<Box<Session>>,
    /// Came from the socket, not decrypted yet.
    incoming: Buffer,
    /// Decrypted, not read yet.
    plain: Buffer,
    /// Encrypted, not written yet.
    outgoing: Buffer,
    is_done: bool,
    /// The client has said that nothing more comes.
    is_at_end: bool,
    has_failed: bool,
    client: Option<Arc<ClientCertificate>>,
}

struct Session {
    library: UnbufferedServerConnection,
    loaded: Arc<Loaded>,
}

/// Where processing what came has led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Nothing more can be done with what is here.
    Starved,
    /// Bytes were decrypted; there may be more.
    Decrypted,
    /// What was to be encrypted is.
    Encrypted,
}

impl TlsConnection {
    pub(in super::super) const fn new(socket: Arc<Socket>, tls: Arc<Tls>) -> Self {
        Self {
            transport: Plain(socket),
            tls,
            session: None,
            incoming: Buffer::new(),
            plain: Buffer::new(),
            outgoing: Buffer::new(),
            is_done: false,
            is_at_end: false,
            has_failed: false,
            client: None,
        }
    }

    /// Goes on with the handshake as far as what has arrived allows, without waiting for more.
    fn go_on(&mut self) -> io::Result<Shaken> {
        let mut wait = Shaken::Wait;
        loop {
            if self.session.is_some() || !self.incoming.is_empty() {
                if self.session.is_none() {
                    if looks_like_http(self.incoming.bytes()) {
                        return Ok(Shaken::PlainHttp);
                    }
                    self.session = Some(Box::new(Session::new(&self.tls)?));
                }
                let processed = self.process(&mut []);
                if self.is_unsent() {
                    wait = Shaken::Answered;
                    self.send_now()?;
                }
                processed?;
                if self
                    .session
                    .as_ref()
                    .is_some_and(|it| !it.library.is_handshaking())
                {
                    self.client = self.identify()?;
                    self.is_done = true;
                    return Ok(Shaken::Done);
                }
            }
            let room = self.incoming.room(INCOMING_BYTES);
            if room.is_empty() {
                return Err(invalid("a message of the handshake is too long"));
            }
            match self.transport.0.read_now(room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.incoming.filled(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(wait),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Who the client is, once the handshake is done: also where a session was resumed, which
    /// keeps the certificate.
    fn identify(&self) -> io::Result<Option<Arc<ClientCertificate>>> {
        let Some(session) = &self.session else {
            return Ok(None);
        };
        let chain = session.library.peer_certificates().unwrap_or_default();
        let Some(certificate) = chain.first() else {
            return Ok(None);
        };
        let verified = session.loaded.verifies_clients;
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

    /// Decrypts what came, into `out` and, where it is full, behind it; makes what has to be
    /// said in return. How many bytes of `out` were filled.
    fn process(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while self.step(out, &mut filled, None)? != Stop::Starved {
            if filled == out.len() && !out.is_empty() {
                break;
            }
        }
        Ok(filled)
    }

    /// As [`TlsConnection::process`], and says in return what the library has to say (an alert,
    /// new keys), as far as that is possible without waiting. The rest leaves with the next write.
    fn decrypt(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let filled = self.process(out);
        let _ = self.send_now();
        filled
    }

    /// States of the library until bytes were decrypted or nothing is left to do. With `encrypt`,
    /// until the library takes what the application says.
    fn step(
        &mut self,
        out: &mut [u8],
        filled: &mut usize,
        mut encrypt: Option<&mut Encrypt<'_>>,
    ) -> io::Result<Stop> {
        let Some(session) = &mut self.session else {
            return Err(ErrorKind::NotConnected.into());
        };
        loop {
            let status = session
                .library
                .process_tls_records(self.incoming.bytes_mut());
            let UnbufferedStatus { discard, state } = status;
            let stop = match state {
                Ok(ConnectionState::ReadTraffic(traffic)) => {
                    read(traffic, &mut out[*filled..], filled, &mut self.plain)?;
                    encrypt.is_none().then_some(Stop::Decrypted)
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    encode(data, &mut self.outgoing)?;
                    None
                }
                // It stands in `outgoing`, which leaves before anything else does.
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.is_at_end = true;
                    None
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    if let Some(encrypt) = encrypt.take() {
                        encrypt(&mut traffic, &mut self.outgoing)?;
                        Some(Stop::Encrypted)
                    } else {
                        Some(Stop::Starved)
                    }
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => {
                    Some(Stop::Starved)
                }
                Ok(_) => return Err(invalid("the client sends what was not agreed on")),
                Err(error) => {
                    self.incoming.consume(discard);
                    self.has_failed = true;
                    let incoming = self.incoming.bytes_mut();
                    collect_alert(&mut session.library, incoming, &mut self.outgoing);
                    return Err(failed(error));
                }
            };
            self.incoming.consume(discard);
            if let Some(stop) = stop {
                return Ok(stop);
            }
        }
    }

    /// Encrypts with `encrypt`, behind what the library itself has to say.
    fn encrypt_with(&mut self, encrypt: &mut Encrypt<'_>) -> io::Result<()> {
        if self.has_failed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        match self.step(&mut [], &mut 0, Some(encrypt))? {
            Stop::Encrypted => Ok(()),
            _ => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    /// Encrypts as much of `bytes` as one call takes; how much that was.
    fn encrypt(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(OUTGOING_BYTES);
        let records = count.div_ceil(RECORD_PAYLOAD_BYTES);
        let size = count + records * RECORD_EXTRA_BYTES;
        self.encrypt_with(&mut |traffic, outgoing| {
            append(outgoing, size, |room| {
                traffic.encrypt(&bytes[..count], room).map_err(needed)
            })
        })?;
        Ok(count)
    }

    /// Writes what was encrypted, as far as that is possible without waiting.
    fn send_now(&mut self) -> io::Result<()> {
        while self.is_unsent() {
            match self.transport.0.write_now(self.outgoing.bytes()) {
                Ok(count) => self.outgoing.consume(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // A new socket takes all that a handshake says, unless its client means ill.
                    return Err(ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Encrypts into the buffer by way of the library's state.
type Encrypt<'a> =
    dyn FnMut(&mut WriteTraffic<'_, ServerConnectionData>, &mut Buffer) -> io::Result<()> + 'a;

impl Session {
    fn new(tls: &Tls) -> io::Result<Self> {
        let loaded = tls.current();
        let library =
            UnbufferedServerConnection::new(Arc::clone(&loaded.config)).map_err(failed)?;
        Ok(Self { library, loaded })
    }
}

impl Read for TlsConnection {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        for _ in 0..EMPTY_READS_MAX {
            if !self.plain.is_empty() || out.is_empty() {
                return Ok(self.plain.take_into(out));
            }
            if self.is_at_end {
                return Ok(0);
            }
            if !self.incoming.is_empty() {
                let filled = self.decrypt(out)?;
                if filled > 0 || self.is_at_end {
                    return Ok(filled);
                }
            }
            let room = self.incoming.room(INCOMING_BYTES);
            if room.is_empty() {
                return Err(invalid("a record is too long"));
            }
            match self.transport.read(room)? {
                // Whoever ends in earnest says so; this may be somebody on the way.
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.incoming.filled(count),
            }
        }
        if self.incoming.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let filled = self.decrypt(out)?;
        if filled > 0 || self.is_at_end {
            Ok(filled)
        } else {
            Err(ErrorKind::WouldBlock.into())
        }
    }
}

impl Write for TlsConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.encrypt(bytes)?;
        self.push()?;
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut total = 0;
        for slice in slices {
            let count = self.encrypt(slice)?;
            total += count;
            if count < slice.len() || self.outgoing.len() >= OUTGOING_BYTES {
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
        !self.plain.is_empty() || self.is_at_end || has_whole_record(self.incoming.bytes())
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
        self.incoming.len() + self.plain.len()
    }

    fn is_unsent(&self) -> bool {
        !self.outgoing.is_empty()
    }

    fn push(&mut self) -> io::Result<usize> {
        if !self.is_unsent() {
            return Ok(0);
        }
        let count = self.transport.write(self.outgoing.bytes())?;
        self.outgoing.consume(count);
        Ok(count)
    }

    fn attach(&mut self, scratch: &mut Scratch) {
        let held = std::mem::replace(&mut self.incoming, std::mem::take(&mut scratch.incoming));
        self.incoming.append(held.bytes());
        if self.outgoing.is_empty() {
            self.outgoing = std::mem::take(&mut scratch.outgoing);
        }
    }

    fn detach(&mut self, scratch: &mut Scratch) {
        let rest = std::mem::take(&mut self.incoming);
        if !rest.is_empty() {
            self.incoming.append(rest.bytes());
        }
        scratch.incoming = rest;
        scratch.incoming.reset(INCOMING_BYTES);
        if self.plain.is_empty() {
            self.plain = Buffer::new();
        }
        if !self.is_unsent() {
            scratch.outgoing = std::mem::take(&mut self.outgoing);
        }
    }

    fn write_now(&mut self, bytes: &[u8]) -> usize {
        if !self.is_done || self.is_unsent() {
            return 0;
        }
        let is_sent =
            self.encrypt(bytes).is_ok_and(|count| count == bytes.len()) && self.send_now().is_ok();
        if is_sent { bytes.len() } else { 0 }
    }

    fn farewell(&mut self) {
        // In the middle of a record it would be taken for a part of it.
        if self.is_unsent() || !self.is_done || self.has_failed {
            return;
        }
        let said = self.encrypt_with(&mut |traffic, outgoing| {
            append(outgoing, MESSAGE_BYTES, |room| {
                traffic.queue_close_notify(room).map_err(needed)
            })
        });
        if said.is_ok() {
            // A client that does not take it is left without it.
            let _ = self.send_now();
        }
    }
}

/// Takes what was decrypted, into `out` and, where that is full, into `plain`.
fn read(
    mut traffic: ReadTraffic<'_, '_, ServerConnectionData>,
    mut out: &mut [u8],
    filled: &mut usize,
    plain: &mut Buffer,
) -> io::Result<()> {
    while let Some(record) = traffic.next_record() {
        let payload = record.map_err(failed)?.payload;
        let count = payload.len().min(out.len());
        let (here, behind) = out.split_at_mut(count);
        here.copy_from_slice(&payload[..count]);
        out = behind;
        *filled += count;
        if count < payload.len() {
            plain.append(&payload[count..]);
        }
    }
    Ok(())
}

/// Takes the alert that the library has made of its failure.
fn collect_alert(
    library: &mut UnbufferedServerConnection,
    incoming: &mut [u8],
    outgoing: &mut Buffer,
) {
    let UnbufferedStatus { state, .. } = library.process_tls_records(incoming);
    if let Ok(ConnectionState::EncodeTlsData(data)) = state {
        // Without it the client learns less.
        let _ = encode(data, outgoing);
    }
}

/// Appends what the library itself has to say.
fn encode(
    mut data: EncodeTlsData<'_, ServerConnectionData>,
    outgoing: &mut Buffer,
) -> io::Result<()> {
    append(outgoing, MESSAGE_BYTES, |room| match data.encode(room) {
        Ok(count) => Ok(count),
        Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    })
}

/// Lets `write` append to `outgoing`, with room for `size` bytes at first: it says how many bytes
/// it wrote, or how many it needs.
fn append(
    outgoing: &mut Buffer,
    size: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> io::Result<()> {
    let mut size = size;
    loop {
        let room = outgoing.room(outgoing.len() + size);
        match write(room) {
            Ok(count) => {
                outgoing.filled(count);
                return Ok(());
            }
            Err(Some(needed)) if needed > size => size = needed,
            Err(_) => return Err(ErrorKind::BrokenPipe.into()),
        }
    }
}

/// What the library says of its failure to encrypt, for [`append`].
fn needed(error: EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(size) => Some(size.required_size),
        EncryptError::EncryptExhausted => None,
    }
}

/// Whether there is a record whose end is here as well.
fn has_whole_record(bytes: &[u8]) -> bool {
    match bytes {
        [_, _, _, high, low, payload @ ..] => {
            payload.len() >= usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => false,
    }
}

/// A request line begins with the capital letters of a method; no record of TLS does.
fn looks_like_http(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_uppercase)
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

fn failed(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
