//! The records of one TLS connection: what came is decrypted, what goes is encrypted, in buffers
//! that are lent by whoever has the connection. Nothing here touches a socket.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, ReadTraffic, UnbufferedStatus,
    WriteTraffic,
};

use super::super::buffer::Buffer;

/// Encrypted at once: what leaves in one call.
pub(super) const OUTGOING_BYTES: usize = 128 * 1024;
/// The largest payload of a record.
const RECORD_PAYLOAD_BYTES: usize = 16 * 1024;
/// What a record has besides its payload, at most (header, explicit nonce, tag, content type).
const RECORD_EXTRA_BYTES: usize = 32;
/// Room for a short message of the library; a longer one says what it needs.
const MESSAGE_BYTES: usize = 512;

/// The state of the encryption, and the bytes on both sides of it.
#[derive(Default)]
pub(super) struct Records {
    /// None until the client has said something.
    library: Option<Box<UnbufferedServerConnection>>,
    /// Came from the socket, not decrypted yet.
    pub(super) incoming: Buffer,
    /// Decrypted, not read yet.
    pub(super) plain: Buffer,
    /// Encrypted, not written yet.
    pub(super) outgoing: Buffer,
    /// The client has said that nothing more comes.
    pub(super) is_at_end: bool,
    /// Nothing more can be read or written.
    pub(super) has_failed: bool,
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

/// Encrypts into the buffer by way of the library's state.
type Encrypt<'a> =
    dyn FnMut(&mut WriteTraffic<'_, ServerConnectionData>, &mut Buffer) -> io::Result<()> + 'a;

impl Records {
    /// Whether a handshake has begun.
    pub(super) const fn has_begun(&self) -> bool {
        self.library.is_some()
    }

    /// Begins a handshake.
    pub(super) fn begin(&mut self, config: &Arc<ServerConfig>) -> io::Result<()> {
        let library = UnbufferedServerConnection::new(Arc::clone(config)).map_err(failed)?;
        self.library = Some(Box::new(library));
        Ok(())
    }

    /// Whether application bytes can travel in both directions.
    pub(super) fn is_established(&self) -> bool {
        let library = self.library.as_ref();
        library.is_some_and(|library| !library.is_handshaking())
    }

    /// The certificate that the client has shown, in this handshake or in that of the session
    /// which it resumed.
    pub(super) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.library.as_ref()?.peer_certificates()?.first()
    }

    /// Whether something can be read without anything more from the socket.
    pub(super) fn is_ready(&self) -> bool {
        !self.plain.is_empty() || self.is_at_end || has_whole_record(self.incoming.bytes())
    }

    /// Decrypts what came, into `out` and, where it is full, behind it; makes what has to be
    /// said in return. How many bytes of `out` were filled.
    pub(super) fn process(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while self.step(out, &mut filled, None)? != Stop::Starved {
            if filled == out.len() && !out.is_empty() {
                break;
            }
        }
        Ok(filled)
    }

    /// States of the library until bytes were decrypted or nothing is left to do. With `encrypt`,
    /// until the library takes what the application says.
    fn step(
        &mut self,
        out: &mut [u8],
        filled: &mut usize,
        mut encrypt: Option<&mut Encrypt<'_>>,
    ) -> io::Result<Stop> {
        let Some(library) = &mut self.library else {
            return Err(ErrorKind::NotConnected.into());
        };
        loop {
            let status = library.process_tls_records(self.incoming.bytes_mut());
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
                    collect_alert(library, incoming, &mut self.outgoing);
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
    pub(super) fn encrypt(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(OUTGOING_BYTES);
        let records = count.div_ceil(RECORD_PAYLOAD_BYTES);
        let size = count + records * RECORD_EXTRA_BYTES;
        self.encrypt_with(&mut |traffic, outgoing| {
            append(outgoing, size, |room| {
                traffic
                    .encrypt(&bytes[..count], room)
                    .map_err(|error| needed(&error))
            })
        })?;
        Ok(count)
    }

    /// Says that nothing more will be written.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.encrypt_with(&mut |traffic, outgoing| {
            append(outgoing, MESSAGE_BYTES, |room| {
                traffic
                    .queue_close_notify(room)
                    .map_err(|error| needed(&error))
            })
        })
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
fn needed(error: &EncryptError) -> Option<usize> {
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

pub(super) fn invalid(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

pub(super) fn failed(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// Whether a handshake failed for the certificate that its client showed, or did not show: that is
/// worth a word, because whoever set the client up cannot see why.
pub(in super::super) fn is_about_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(
        inner,
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    )
}
