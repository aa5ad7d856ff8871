//! TLS: certificates and keys from files, chosen by the name that a client asks for, loaded anew
//! when the files change, and client certificates.
//!
//! Nothing above `http` sees a type of the TLS library. What is seen is here: [`Tls`] (the
//! certificates in use and their state), [`TlsOptions`], [`ClientCertificate`],
//! [`CertificateFacts`], and the making of certificates for hosts that have none ([`self_sign`]).
//!
//! A connection is encrypted and decrypted in the buffers of the worker that has it, so that one
//! which waits holds its keys and nothing else.

mod certificate;
mod client;
mod connection;
mod identity;
mod load;
mod options;
mod probe;
mod records;
mod reload;
mod resolve;
mod self_sign;
mod status;
mod verify;

pub use certificate::{CertificateFacts, read_certificates};
pub use client::{client_provider, read_authorities};
pub(super) use connection::{Shaken, TlsConnection};
pub use identity::ClientCertificate;
pub use load::TlsError;
pub use options::{ClientAuth, MinimumVersion, Now, PairFiles, TlsOptions};
pub(super) use probe::Asking;
pub(super) use records::is_about_certificate;
pub use reload::{Tls, TlsWatch};
pub use self_sign::{SelfSigned, self_sign};
pub use status::{CertificateStatus, TlsStatus};
