//! Certificates for hosts that have none: an authority of one's own, and one certificate by it.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

use super::load::TlsError;

/// An authority lives longer than its certificates, so that clients need to learn of it once.
const AUTHORITY_DAYS: u32 = 3650;
/// Clocks differ: what is made now is valid from a moment ago.
const BACKDATED: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// An authority and a certificate that it has issued; all in PEM.
#[derive(Clone)]
pub struct SelfSigned {
    /// The authority's certificate: what clients have to trust.
    pub ca: String,
    /// The authority's key: whoever has it can be anybody to those clients.
    pub ca_key: String,
    /// The server's certificate.
    pub certificate: String,
    /// The server's key.
    pub key: String,
}

/// Makes an authority and a certificate for `hosts` (names, wildcards or addresses), valid for
/// `days` from `now` on. Keys are ECDSA P-256, which every client knows.
///
/// # Errors
/// A host is neither a name nor an address, or no key could be made.
pub fn self_sign(hosts: &[String], days: u32, now: SystemTime) -> Result<SelfSigned, TlsError> {
    let failed = |error: Error| TlsError::new(format!("no certificate could be made: {error}"));
    let not_before = now - BACKDATED;
    let ca_key = KeyPair::generate().map_err(failed)?;
    let mut authority = CertificateParams::default();
    authority.not_before = not_before.into();
    authority.not_after = (not_before + DAY * AUTHORITY_DAYS.max(days)).into();
    // Its own name for each, so that clients that know several can tell them apart.
    let first = hosts.first().map_or("nobody", String::as_str);
    authority.distinguished_name = named(&format!("Coracle authority for {first}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = authority.self_signed(&ca_key).map_err(failed)?;

    for host in hosts {
        check_host(host)?;
    }
    let key = KeyPair::generate().map_err(failed)?;
    let mut server = CertificateParams::new(hosts).map_err(failed)?;
    server.not_before = not_before.into();
    server.not_after = (not_before + DAY * days).into();
    // Clients look at the alternative names alone; this one is for people.
    server.distinguished_name = named(first);
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let issuer = Issuer::from_params(&authority, &ca_key);
    let certificate = server.signed_by(&key, &issuer).map_err(failed)?;
    Ok(SelfSigned {
        certificate: certificate.pem(),
        ca: ca.pem(),
        ca_key: ca_key.serialize_pem(),
        key: key.serialize_pem(),
    })
}

/// A subject with this common name, as much of it as fits into one.
fn named(name: &str) -> rcgen::DistinguishedName {
    const CHARACTERS_MAX: usize = 64;
    let name: String = name.chars().take(CHARACTERS_MAX).collect();
    let mut distinguished = rcgen::DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// A host that clients can ask for: an address, or labels of letters, digits and hyphens, of
/// which the first may be a `*`.
fn check_host(host: &str) -> Result<(), TlsError> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let labels = host.strip_prefix("*.").unwrap_or(host);
    let is_name = host.len() <= 253 && labels.split('.').all(is_label);
    if host.parse::<IpAddr>().is_ok() || is_name {
        Ok(())
    } else {
        Err(TlsError::new(format!(
            "'{host}' is no host: write a name such as registry.example.org or an address such as \
             192.0.2.1, without a port"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tls::CertificateFacts;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn what_is_made_says_what_was_asked_for() {
        let hosts = [
            "*.example.org".to_owned(),
            "::1".to_owned(),
            "a_b.c".to_owned(),
        ];
        let now = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let made = self_sign(&hosts, 825, now).unwrap();
        let der = CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap();
        let facts = CertificateFacts::of_der(&der).unwrap();
        assert_eq!(facts.hosts(), ["*.example.org", "a_b.c", "::1"]);
        assert_eq!(facts.subject, "CN=*.example.org");
        assert_eq!(facts.issuer, "CN=Coracle authority for *.example.org");
        assert!(facts.is_valid_at(now));
        let lifetime = facts.not_after.duration_since(facts.not_before).unwrap();
        assert_eq!(lifetime, DAY * 825);
        assert_ne!(made.ca_key, made.key);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in [
            "",
            "a b",
            "registry:5000",
            "-a",
            "a..b",
            "*",
            "a.*.b",
            "https://a",
        ] {
            let error = self_sign(&[host.to_owned()], 1, SystemTime::UNIX_EPOCH + DAY * 9_000);
            assert!(
                error.is_err_and(|it| it.to_string().contains("is no host")),
                "{host}"
            );
        }
    }
}
