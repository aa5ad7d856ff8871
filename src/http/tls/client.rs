//! What those need who are clients of others over TLS: the ciphers, and the authorities.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

use super::certificate::read_chain;
use super::load::TlsError;

/// Where systems keep the authorities that everybody trusts: Debian and Alpine, Red Hat, SUSE, BSD.
const SYSTEM_AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The ciphers that are spoken as a client: those that are spoken as a server.
pub fn client_provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The authorities of a PEM file, in DER; those of the system without one, which may be none.
///
/// # Errors
/// The file cannot be read, or holds no certificate in PEM.
pub fn read_authorities(path: Option<&Path>) -> Result<Vec<Vec<u8>>, TlsError> {
    let system = || {
        let mut known = SYSTEM_AUTHORITIES.iter().map(Path::new);
        known.find(|path| path.exists())
    };
    let Some(path) = path.or_else(system) else {
        return Ok(Vec::new());
    };
    let chain = read_chain(path)?;
    Ok(chain.iter().map(|own| own.to_vec()).collect())
}
