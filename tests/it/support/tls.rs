//! Authorities and the certificates they issue, servers that use them, and clients that trust them.

use super::config::Configured;
use super::start_configured;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// TLS 1.2 and nothing else.
pub static TLS_1_2: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
/// TLS 1.3 and nothing else.
pub static TLS_1_3: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Somebody who issues certificates.
pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
    /// Its own certificate, in PEM.
    pub pem: String,
}

/// A certificate and its key, in PEM.
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one of this name.
    pub fn new(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { params, key, pem }
    }

    /// A certificate for hosts.
    pub fn issue(&self, hosts: &[&str]) -> Pair {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        self.sign(&CertificateParams::new(hosts).expect("hosts"))
    }

    /// A certificate for a client, valid from and to so many seconds from now.
    pub fn issue_client(&self, name: &str, from: i64, to: i64) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        let mail = format!("{name}@example.org")
            .try_into()
            .expect("a mail address");
        params.subject_alt_names = vec![SanType::Rfc822Name(mail)];
        params.not_before = in_seconds(from).into();
        params.not_after = in_seconds(to).into();
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

fn in_seconds(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::now() - distance
    } else {
        SystemTime::now() + distance
    }
}

/// A folder of certificates and the authority that has issued them.
pub struct Certificates {
    folder: TempDir,
    /// Whom clients trust.
    pub authority: Authority,
}

impl Certificates {
    /// `cert.pem` and `key.pem` for `localhost` and 127.0.0.1.
    pub fn new() -> Certificates {
        let certificates = Certificates {
            folder: tempfile::Builder::new()
                .prefix("coracle-it-tls-")
                .tempdir()
                .expect("temp folder"),
            authority: Authority::new("those who issue for servers"),
        };
        certificates.renew();
        certificates
    }

    /// Replaces `cert.pem` and `key.pem`.
    pub fn renew(&self) {
        let pair = self.authority.issue(&["localhost", "127.0.0.1"]);
        self.write("cert.pem", &pair.certificate);
        self.write("key.pem", &pair.key);
    }

    /// Writes a file, at once.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let part = self.path("part");
        fs::write(&part, text).expect("write a file");
        fs::rename(&part, self.path(name)).expect("rename a file");
        self.path(name)
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A `[tls]` table with `cert.pem`, `key.pem` and these further lines.
    pub fn toml(&self, lines: &str) -> String {
        format!(
            "[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n{lines}\n",
            self.path("cert.pem").display(),
            self.path("key.pem").display()
        )
    }

    /// A server on the memory store with these further lines in its `[tls]` table.
    #[track_caller]
    pub fn start(&self, lines: &str) -> Configured {
        start_configured(&self.toml(lines), &["--memory"])
    }

    /// A client's set-up, with a certificate of its own where there is one.
    pub fn client_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Pair>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).expect("PEM");
        roots.add(root).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let Some(pair) = own else {
            return builder.with_no_client_auth();
        };
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes());
        builder
            .with_client_auth_cert(vec![certificate.expect("PEM")], key.expect("PEM"))
            .expect("a client's certificate")
    }

    /// A client without a certificate, in any version.
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::new(self.client_with(rustls::ALL_VERSIONS, None))
    }
}
