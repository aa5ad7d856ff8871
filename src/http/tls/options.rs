//! What TLS is made of, as an operator declares it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// Where the time of day comes from: certificates are valid within dates.
pub type Now = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The files of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFiles {
    /// PEM: the certificate, then those that issued it.
    pub certificate: PathBuf,
    /// PEM: its private key, in PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
}

/// Whether a client shows a certificate, and what it is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Asked for; not required, and not verified.
    Request,
    /// Required, and not verified.
    RequireAny,
    /// Asked for; one that is shown must be issued by a known authority.
    VerifyIfGiven,
    /// Required, and issued by a known authority.
    RequireAndVerify,
}

impl ClientAuth {
    /// Whether a certificate that a client shows was verified.
    pub const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    /// Whether a client without a certificate is refused.
    pub const fn requires(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinimumVersion {
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

/// Everything that TLS needs to know.
#[derive(Clone)]
pub struct TlsOptions {
    /// One pair or more; the first is for clients that name no host, or one that nobody has.
    pub pairs: Vec<PairFiles>,
    /// PEM: authorities that issue the certificates of clients. With none, no client is asked.
    pub client_ca: Vec<PathBuf>,
    /// What is asked of clients where there are authorities.
    pub client_auth: ClientAuth,
    /// The oldest version that is spoken.
    pub minimum_version: MinimumVersion,
    /// The clock.
    pub now: Now,
    /// A clock that stands before this is wrong.
    pub clock_min: SystemTime,
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("pairs", &self.pairs)
            .field("client_ca", &self.client_ca)
            .field("client_auth", &self.client_auth)
            .field("minimum_version", &self.minimum_version)
            .finish_non_exhaustive()
    }
}
