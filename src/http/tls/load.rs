//! From files to a configuration of the TLS library: all of it is good, or none of it is used.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::certificate::{CertificateFacts, read_chain, read_file};
use super::options::{MinimumVersion, Now, PairFiles, TlsOptions};
use super::resolve::ByName;
use super::status::CertificateStatus;
use super::verify::verifier;

/// Why certificates cannot be used: a sentence that names the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError {
    text: String,
    kind: Option<io::ErrorKind>,
}

impl TlsError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: None,
        }
    }

    pub(super) fn of_io(what: &str, error: &io::Error) -> Self {
        Self {
            text: format!("{what}: {error}"),
            kind: Some(error.kind()),
        }
    }

    /// What the system said, where it was asked.
    pub const fn io_kind(&self) -> Option<io::ErrorKind> {
        self.kind
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TlsError {}

/// What was loaded together.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    pub(super) certificates: Vec<CertificateStatus>,
    /// Whether a certificate that a client shows was verified.
    pub(super) verifies_clients: bool,
}

/// What tells that a file has changed: its modification time with nanoseconds, length, device
/// and inode. None while it cannot be looked at.
pub(super) type Stamp = Option<(i64, i64, u64, u64, u64)>;

/// The stamps of all files.
pub(super) fn stamps(options: &TlsOptions) -> Vec<Stamp> {
    let stamp = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((
            meta.mtime(),
            meta.mtime_nsec(),
            meta.size(),
            meta.dev(),
            meta.ino(),
        ))
    };
    let pairs = options.pairs.iter();
    pairs
        .flat_map(|pair| [&pair.certificate, &pair.key])
        .chain(&options.client_ca)
        .map(|path| stamp(path))
        .collect()
}

/// Loads everything that `options` name.
pub(super) fn load(options: &TlsOptions) -> Result<Loaded, TlsError> {
    static TLS_1_3: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
    let unusable = |error: rustls::Error| TlsError::new(format!("TLS cannot be set up: {error}"));
    let provider = Arc::new(ring::default_provider());
    let mut pairs = Vec::new();
    let mut certificates = Vec::new();
    for files in &options.pairs {
        let (pair, facts) = load_pair(files, &provider)?;
        pairs.push((Arc::new(pair), facts.dns_names.clone()));
        certificates.push(CertificateStatus {
            file: files.certificate.clone(),
            subject: facts.subject.clone(),
            hosts: facts.hosts(),
            not_before: facts.not_before,
            not_after: facts.not_after,
            fingerprint: facts.fingerprint,
        });
    }
    if pairs.is_empty() {
        return Err(TlsError::new("TLS needs a certificate and its key"));
    }
    let clock = Arc::new(Clock(Arc::clone(&options.now)));
    let versions = match options.minimum_version {
        MinimumVersion::Tls12 => rustls::ALL_VERSIONS,
        MinimumVersion::Tls13 => &TLS_1_3,
    };
    let builder = ServerConfig::builder_with_details(Arc::clone(&provider), clock)
        .with_protocol_versions(versions)
        .map_err(unusable)?;
    let asks_clients = !options.client_ca.is_empty();
    let builder = if asks_clients {
        let roots = load_roots(options)?;
        builder.with_client_cert_verifier(verifier(options.client_auth, roots, &provider)?)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByName::new(pairs)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Sessions go with the client, encrypted: they cost no memory here, and hold the certificate
    // that the client has shown. Their keys end with this configuration, so what was verified by
    // other authorities is never resumed.
    config.ticketer = ring::Ticketer::new().map_err(unusable)?;
    Ok(Loaded {
        config: Arc::new(config),
        certificates,
        verifies_clients: asks_clients && options.client_auth.verifies(),
    })
}

fn load_pair(
    files: &PairFiles,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, CertificateFacts), TlsError> {
    let chain = read_chain(&files.certificate)?;
    let (certificate, key_file) = (files.certificate.display(), files.key.display());
    let damaged = || TlsError::new(format!("the certificate in {certificate} is damaged"));
    let facts = CertificateFacts::of_der(&chain[0]).ok_or_else(damaged)?;
    let pem = read_file(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        TlsError::new(format!(
            "{key_file} holds no private key in PEM that is not encrypted: {error}"
        ))
    })?;
    let pair = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        TlsError::new(match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                format!("the key in {key_file} does not belong to the certificate in {certificate}")
            }
            rustls::Error::InvalidCertificate(_) => damaged().text,
            error => format!("the key in {key_file} cannot be used: {error}"),
        })
    })?;
    Ok((pair, facts))
}

fn load_roots(options: &TlsOptions) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for path in &options.client_ca {
        for certificate in read_chain(path)? {
            roots.add(certificate).map_err(|error| {
                let path = path.display();
                TlsError::new(format!("an authority in {path} cannot be used: {error}"))
            })?;
        }
    }
    Ok(roots)
}

/// The clock as the TLS library asks for it.
struct Clock(Now);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since_1970 = (self.0)().duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since_1970))
    }
}
