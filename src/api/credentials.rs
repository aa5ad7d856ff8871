//! What a request shows of who sent it: the `Authorization` header (RFC 9110 section 11.6.2) in
//! the schemes Basic (RFC 7617) and Bearer (RFC 6750), its address, its certificate.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::auth::{CertificateUser, Credentials};
use crate::http::Request;
use crate::http::tls::ClientCertificate;

/// The longest user name and password together, in bytes. Nothing longer was ever given out.
const BASIC_BYTES_MAX: usize = 4096;

/// What a request shows.
pub struct Shown<'r> {
    /// Its credential.
    pub credentials: Credentials<'r>,
    /// Whom its certificate names, where that was verified.
    pub certified: Option<&'r str>,
    /// The address of the client; none over a UNIX socket.
    pub client: Option<IpAddr>,
}

impl Shown<'_> {
    /// Whether it shows a token.
    pub const fn is_bearer(&self) -> bool {
        matches!(self.credentials, Credentials::Bearer(_))
    }
}

/// What `request` shows; `part` of its certificate names a user.
pub fn of<'r>(request: &'r Request<'_>, part: CertificateUser) -> Shown<'r> {
    let mut headers = request.headers.get_all("authorization");
    let credentials = match (headers.next(), headers.next()) {
        (None, _) => Credentials::None,
        (Some(header), None) => parse(header),
        // Two of them: whatever checks the first could be led astray by the second.
        (Some(_), Some(_)) => Credentials::Unreadable,
    };
    let certificate = request.client_certificate.as_deref();
    Shown {
        credentials,
        certified: certificate.and_then(|certificate| named(certificate, part)),
        client: request.peer.ip(),
    }
}

/// Whom a certificate names. One that was not verified could name anybody.
fn named(certificate: &ClientCertificate, part: CertificateUser) -> Option<&str> {
    if !certificate.verified {
        return None;
    }
    let name = match part {
        CertificateUser::None => None,
        CertificateUser::CommonName => certificate.common_name.as_ref(),
        CertificateUser::Dns => certificate.dns_names.first(),
        CertificateUser::Email => certificate.emails.first(),
        CertificateUser::Uri => certificate.uris.first(),
    };
    name.map(String::as_str).filter(|name| !name.is_empty())
}

/// Reads the header's value.
pub fn parse(header: &str) -> Credentials<'_> {
    let header = header.trim();
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
        return Credentials::Bearer(rest);
    }
    if scheme.eq_ignore_ascii_case("basic") {
        return basic(rest).unwrap_or(Credentials::Unreadable);
    }
    Credentials::Unreadable
}

/// `user:password` in base64; the user's name has no colon, the password may.
fn basic(text: &str) -> Option<Credentials<'static>> {
    if text.len() > BASIC_BYTES_MAX {
        return None;
    }
    let bytes = STANDARD.decode(text).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credentials::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorization_headers() {
        let basic = |user: &str, password: &str| Credentials::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        for (header, expected) in [
            ("Basic YWRhOnNlY3JldA==", basic("ada", "secret")),
            ("basic  YWRhOnNlY3JldA==", basic("ada", "secret")),
            ("Basic YWRhOmE6Yg==", basic("ada", "a:b")),
            ("Basic Og==", basic("", "")),
            ("Basic YWRh", Credentials::Unreadable),
            ("Basic YWRhOnNlY3JldA", Credentials::Unreadable),
            ("Basic !!", Credentials::Unreadable),
            ("Basic", Credentials::Unreadable),
            ("Basic /zo=", Credentials::Unreadable),
            ("Bearer abc.def", Credentials::Bearer("abc.def")),
            ("BEARER abc", Credentials::Bearer("abc")),
            ("Bearer ", Credentials::Unreadable),
            ("Digest x", Credentials::Unreadable),
            ("", Credentials::Unreadable),
        ] {
            assert_eq!(parse(header), expected, "{header}");
        }
        let long = format!("Basic {}", STANDARD.encode("a:".repeat(3000)));
        assert_eq!(parse(&long), Credentials::Unreadable);
    }
}
