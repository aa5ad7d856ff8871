//! Certificates: whether they can be used, until when, and for which names.

use std::time::{Duration, SystemTime};

use super::finding::Findings;
use crate::clock::{Clock, SystemClock, rfc3339, unix_ms};
use crate::config::Settings;
use crate::http::ListenAddress;
use crate::http::tls::{CertificateStatus, TlsStatus};
use crate::serve::open_certificates;

const CHECK: &str = "certificates";
/// From so long before its end on somebody should renew a certificate.
const RENEW_BEFORE: Duration = Duration::from_secs(21 * DAY_S);
const DAY_S: u64 = 86_400;

/// Looks at the certificates; how it stands with them, where there are some.
pub(super) fn check(settings: &Settings, findings: &mut Findings) -> Option<TlsStatus> {
    match open_certificates(settings) {
        Ok(Some(tls)) => {
            let status = tls.status();
            let now = SystemClock.now();
            for certificate in &status.certificates {
                dates(certificate, now, findings);
            }
            names(settings, &status, findings);
            Some(status)
        }
        Ok(None) => {
            none(settings, findings);
            None
        }
        Err(error) => {
            findings.fail(
                CHECK,
                error.to_string(),
                "give tls.certificate and tls.key files that fit each other and that the server's \
                 user may read; `coracle cert self-signed` makes some",
            );
            None
        }
    }
}

fn none(settings: &Settings, findings: &mut Findings) {
    if settings
        .server
        .listen
        .iter()
        .any(|own| is_public(&own.address))
    {
        findings.warn(
            CHECK,
            "there is none, and other machines may reach the registry: passwords and content \
             travel in the clear, and clients must be told that this is wanted",
            "`coracle cert self-signed --host NAME` makes one and says what to do with it; nothing \
             is to be done where a proxy in front speaks TLS",
        );
    } else {
        findings.ok(
            CHECK,
            "there is none, and only this machine reaches the registry",
        );
    }
}

/// Whether other machines may reach an address.
pub(super) fn is_public(address: &ListenAddress) -> bool {
    match address {
        ListenAddress::Tcp(address) => !address.ip().to_canonical().is_loopback(),
        ListenAddress::Unix(_) => false,
    }
}

fn dates(certificate: &CertificateStatus, now: SystemTime, findings: &mut Findings) {
    const RENEW: &str = "renew it: the files are read again when they change, without a restart";
    let (file, names) = (certificate.file.display(), certificate.hosts.join(", "));
    let date = |time| rfc3339(unix_ms(time));
    let end = date(certificate.not_after);
    if now < certificate.not_before {
        let begin = date(certificate.not_before);
        let message = format!("{file} is valid from {begin} on only");
        findings.fail(
            CHECK,
            message,
            "set the clock, or give it another certificate",
        );
    } else if now > certificate.not_after {
        findings.fail(CHECK, format!("{file} has expired on {end}"), RENEW);
    } else if now + RENEW_BEFORE > certificate.not_after {
        findings.warn(CHECK, format!("{file} ends on {end}"), RENEW);
    } else {
        findings.ok(
            CHECK,
            format!("{file} fits its key, is for {names} and ends on {end}"),
        );
    }
}

/// Whether the name that clients are told stands in one of the certificates.
fn names(settings: &Settings, status: &TlsStatus, findings: &mut Findings) {
    let Some(url) = &settings.server.url else {
        return;
    };
    let host = host_of(url);
    let mut names = status.certificates.iter().flat_map(|own| &own.hosts);
    if !names.any(|name| covers(name, &host)) {
        findings.warn(
            CHECK,
            format!("none is for {host}, by which clients are to reach the registry (server.url)"),
            format!("`coracle cert self-signed --host {host}`, or the same of your authority"),
        );
    }
}

/// The host of an address, without its port.
fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default().to_owned(),
        None => host
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase(),
    }
}

/// Whether a name of a certificate is that of the host; `*.` stands for one label.
fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(_, own)| own == parent),
        None => name == host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_addresses() {
        for (url, host) in [
            ("https://Registry.example:5000", "registry.example"),
            ("http://10.0.0.1", "10.0.0.1"),
            ("https://[fd00::1]:5000/", "fd00::1"),
            ("registry.example/x", "registry.example"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }

    #[test]
    fn names_of_certificates_cover_hosts() {
        assert!(covers("a.example", "a.example"));
        assert!(covers("*.example", "a.example"));
        assert!(!covers("*.example", "a.b.example"));
        assert!(!covers("*.example", "example"));
        assert!(!covers("b.example", "a.example"));
    }
}
