//! Authorities, certificates in files, and clients that speak TLS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;

use super::support::{Client, TestServer};
use crate::http::Limits;
use crate::http::tls::{ClientAuth, MinimumVersion, PairFiles, Tls, TlsOptions};

pub(super) static TLS_1_2: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub(super) static TLS_1_3: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Somebody who issues certificates.
pub(super) struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pub(super) pem: String,
}

/// A certificate and its key, in PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    /// A certificate for hosts.
    pub(super) fn issue(&self, hosts: &[&str]) -> Pair {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        self.sign(&CertificateParams::new(hosts).unwrap())
    }

    /// A certificate for a person or a program.
    pub(super) fn issue_client(&self, name: &str) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Boats, Inc.");
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![
            SanType::Rfc822Name(format!("{name}@example.org").try_into().unwrap()),
            SanType::DnsName(format!("{name}.example.org").try_into().unwrap()),
            SanType::URI(format!("spiffe://example.org/{name}").try_into().unwrap()),
        ];
        self.sign(&params)
    }

    /// A certificate that was valid until a while ago.
    pub(super) fn issue_expired_client(&self, name: &str, now: SystemTime) -> Pair {
        self.issue_short_client(name, now - Duration::from_secs(5_000))
    }

    /// A certificate that is valid until `end`.
    pub(super) fn issue_short_client(&self, name: &str, end: SystemTime) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = (end - Duration::from_secs(90_000)).into();
        params.not_after = end.into();
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        Pair {
            certificate: params.signed_by(&key, &issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A folder of certificates, and how TLS is set up with them.
pub(super) struct Setup {
    pub(super) folder: TempDir,
    pub(super) authority: Authority,
    pub(super) options: TlsOptions,
}

impl Setup {
    /// One certificate for `localhost`.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("servers");
        let mut setup = Self {
            options: TlsOptions {
                pairs: Vec::new(),
                client_ca: Vec::new(),
                client_auth: ClientAuth::RequireAndVerify,
                minimum_version: MinimumVersion::Tls12,
                now: Arc::new(SystemTime::now),
                clock_min: SystemTime::UNIX_EPOCH,
            },
            folder,
            authority,
        };
        setup.add(&["localhost"]);
        setup
    }

    /// One more certificate for these hosts.
    pub(super) fn add(&mut self, hosts: &[&str]) {
        let index = self.options.pairs.len();
        let pair = self.authority.issue(hosts);
        let files = PairFiles {
            certificate: self.write(&format!("{index}.pem"), &pair.certificate),
            key: self.write(&format!("{index}.key"), &pair.key),
        };
        self.options.pairs.push(files);
    }

    /// Clients are asked for certificates of this authority.
    pub(super) fn ask_clients(&mut self, authority: &Authority, how: ClientAuth) {
        self.options.client_ca = vec![self.write("clients.pem", &authority.pem)];
        self.options.client_auth = how;
    }

    /// Writes a file as a whole.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let part = self.folder.path().join("part");
        std::fs::write(&part, text).unwrap();
        std::fs::rename(&part, &path).unwrap();
        path
    }

    pub(super) fn tls(&self) -> Arc<Tls> {
        Tls::new(self.options.clone()).unwrap()
    }

    pub(super) fn start(&self, limits: Limits) -> TestServer {
        TestServer::start_tls(limits, self.tls())
    }

    /// How a client is set up that trusts the authority, perhaps with a certificate of its own.
    pub(super) fn client_config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Pair>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder
                    .with_client_auth_cert(vec![certificate.unwrap()], key)
                    .unwrap()
            }
        }
    }

    /// A client of `localhost` that trusts the authority.
    pub(super) fn connect(&self, server: &TestServer) -> Client {
        let config = self.client_config(rustls::ALL_VERSIONS, None);
        connect_with(server, &Arc::new(config), "localhost")
    }
}

/// A client that asks for `name`.
pub(super) fn connect_with(server: &TestServer, config: &Arc<ClientConfig>, name: &str) -> Client {
    encrypted(server.connect(), config, name)
}

/// The client, speaking TLS from now on.
pub(super) fn encrypted(mut client: Client, config: &Arc<ClientConfig>, name: &str) -> Client {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    client.tls = Some(Box::new(connection));
    client
}

/// Finishes the handshake, or says why it cannot be.
pub(super) fn shake(client: &mut Client) -> std::io::Result<()> {
    let Client { tls, stream, .. } = client;
    let tls = tls.as_mut().unwrap();
    while tls.is_handshaking() {
        tls.complete_io(stream)?;
    }
    Ok(())
}

pub(super) const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
