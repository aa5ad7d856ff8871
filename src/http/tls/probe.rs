//! TLS as a client of one's own server: whoever answers is talked to, for nothing is told and
//! nothing is believed but that something answers.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustls::StreamOwned;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use super::load::TlsError;

/// How such a client speaks.
pub(in crate::http) struct Asking(Arc<ClientConfig>);

impl Asking {
    pub(in crate::http) fn new() -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let anybody = Arc::new(Anybody(Arc::clone(&provider)));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(format!("TLS cannot be set up: {error}")))?;
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(anybody)
            .with_no_client_auth();
        // A whole handshake each time is what clients begin with.
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }

    /// Begins a connection over `stream`; the handshake is done by its first read or write.
    pub(in crate::http) fn over<S: Read + Write>(
        &self,
        stream: S,
    ) -> io::Result<StreamOwned<ClientConnection, S>> {
        // An address, so that no name is asked for: the first certificate is shown.
        let name = ServerName::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let connection =
            ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }

    /// Whether the server has said why it does not talk on: it was there, and looked at the
    /// handshake.
    pub(in crate::http) fn is_alert(error: &io::Error) -> bool {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        matches!(inner, Some(Error::AlertReceived(_)))
    }
}

/// Takes any certificate whose key the server holds.
struct Anybody(Arc<CryptoProvider>);

impl fmt::Debug for Anybody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anybody")
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
