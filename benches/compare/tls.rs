//! One certificate for all servers, and how clients that trust it are set up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::Outcome;

/// A certificate for the loopback address.
#[derive(Debug)]
pub struct Material {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// Its key's file.
    pub key: PathBuf,
    /// Clients that trust it, speak TLS 1.3 and never resume a session.
    pub client: Arc<ClientConfig>,
}

impl Material {
    /// Makes one in `folder`, with the program itself.
    pub fn make(coracle: &Path, folder: &Path) -> Outcome<Self> {
        let mut command = Command::new(coracle);
        command
            .args(["cert", "self-signed", "--json", "--out"])
            .arg(folder);
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&fs::read(
            folder.join("ca.pem"),
        )?)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.resumption = Resumption::disabled();
        Ok(Self {
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
            client: Arc::new(client),
        })
    }
}
