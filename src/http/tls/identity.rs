//! Who a client is, as far as its certificate says so.

use super::certificate::CertificateFacts;

/// The certificate that a client has shown, and whether an authority vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Whether it was issued by one of the configured authorities. Without that anybody could
    /// have written it: the client holds its key, and nothing else is known.
    pub verified: bool,
    /// The common name of its subject; the most specific one, should there be several.
    pub common_name: Option<String>,
    /// All of its subject, the most specific part first: `CN=ci,OU=builders,O=Example` (RFC 4514).
    pub subject: String,
    /// DNS names among its alternative names.
    pub dns_names: Vec<String>,
    /// Mail addresses among them.
    pub emails: Vec<String>,
    /// URIs among them.
    pub uris: Vec<String>,
    /// SHA-256 of the certificate, in lower-case hexadecimal.
    pub fingerprint: String,
}

impl ClientCertificate {
    pub(super) fn new(facts: CertificateFacts, verified: bool) -> Self {
        Self {
            verified,
            common_name: facts.common_name,
            subject: facts.subject,
            dns_names: facts.dns_names,
            emails: facts.emails,
            uris: facts.uris,
            fingerprint: facts.fingerprint,
        }
    }
}
