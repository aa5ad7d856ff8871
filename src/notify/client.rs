//! One delivery: a POST, and the redirects that it meets. The one place that knows the HTTP client.
//!
//! What a webhook answers is looked at as far as its status; of the body a little is read, so that
//! the connection can be used again. No error tells an address.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error, Proxy, Timeout};

use super::address::Address;
use super::endpoint::Endpoint;
use super::sign::{DELIVERY_HEADER, SIGNATURE_HEADER, Signer};
use crate::http::tls::client_provider;

/// The most redirects of one delivery.
const REDIRECTS_MAX: u32 = 5;
/// The longest head and the longest body of an answer that are read, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
const BODY_BYTES_MAX: u64 = 64 << 10;
/// How long a connection is kept for the next delivery: less than servers keep theirs.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// What came of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken, with this status.
    Taken(u16),
    /// It was answered with a status that means that it was not.
    Refused(u16),
    /// It was not answered, for this reason.
    Failed(String),
}

/// What an endpoint needs beside what its table says: read from files by whoever may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// What signs bodies.
    pub secret: Option<Vec<u8>>,
    /// The authorities whose certificates are believed, in DER.
    pub authorities: Vec<Vec<u8>>,
}

/// Delivers to one webhook.
pub(super) struct Client {
    agent: Agent,
    address: Address,
    headers: Vec<(String, String)>,
    content_type: &'static str,
    signer: Option<Signer>,
    timeout: Duration,
}

impl Client {
    /// A client of this webhook. It connects at its first delivery.
    ///
    /// # Errors
    /// The proxy is none: a sentence.
    pub(super) fn new(endpoint: &Endpoint, keys: &Keys) -> Result<Self, String> {
        let authorities = keys.authorities.iter();
        let authorities: Vec<Certificate<'static>> = authorities
            .map(|der| Certificate::from_der(der).to_owned())
            .collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(authorities)))
            .unversioned_rustls_crypto_provider(client_provider())
            .build();
        let proxy = endpoint.proxy.as_ref().map(|proxy| Proxy::new(&proxy.0));
        let proxy = proxy
            .transpose()
            .map_err(|_| "the proxy must be an address such as http://proxy.example:3128")?;
        let config = Config::builder()
            .tls_config(tls)
            // The environment's is never asked.
            .proxy(proxy)
            .http_status_as_error(false)
            // Those that follow a redirect make a GET of a POST.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("coracle/", env!("CARGO_PKG_VERSION")))
            .max_response_header_size(HEAD_BYTES_MAX)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE_MAX)
            .timeout_connect(Some(endpoint.timeout))
            .build();
        let authorization = endpoint.url.authorization();
        let own = authorization.map(|value| ("Authorization".to_owned(), value.to_owned()));
        let listed = endpoint.headers.iter();
        let listed = listed.map(|(name, value)| (name.clone(), value.0.clone()));
        Ok(Self {
            agent: config.new_agent(),
            address: endpoint.url.clone(),
            headers: own.into_iter().chain(listed).collect(),
            content_type: endpoint.media_type.as_str(),
            signer: keys.secret.as_deref().map(Signer::new),
            timeout: endpoint.timeout,
        })
    }

    /// Delivers a body. `delivery` is the id of the delivery, the same for each attempt.
    pub(super) fn deliver(&self, body: &[u8], delivery: &str) -> Outcome {
        let end = Instant::now() + self.timeout;
        let mut address = self.address.clone();
        for _ in 0..=REDIRECTS_MAX {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Outcome::Failed(format!("no answer within {:?}", self.timeout));
            }
            let mut response = match self.post(&address, body, delivery, left) {
                Ok(response) => response,
                Err(error) => return Outcome::Failed(self.sentence(&error)),
            };
            let location = response.headers().get("location");
            let location = location.and_then(|value| value.to_str().ok());
            let step = step(response.status().as_u16(), location, &address);
            finish(&mut response);
            match step {
                Step::End(outcome) => return outcome,
                Step::Follow(next) => address = next,
            }
        }
        Outcome::Failed(format!("more than {REDIRECTS_MAX} redirects"))
    }

    fn post(
        &self,
        address: &Address,
        body: &[u8],
        delivery: &str,
        left: Duration,
    ) -> Result<Response<Body>, Error> {
        let mut request = self
            .agent
            .post(address.uri().clone())
            .header("Content-Type", self.content_type)
            .header(DELIVERY_HEADER, delivery);
        // What proves who we are is for the webhook alone.
        if address.is_same_origin(&self.address) {
            for (name, value) in &self.headers {
                request = request.header(name, value);
            }
            if let Some(signer) = &self.signer {
                request = request.header(SIGNATURE_HEADER, signer.sign(body));
            }
        }
        let request = request.config().timeout_global(Some(left)).build();
        request.send(body)
    }

    /// An error in words that name no address.
    fn sentence(&self, error: &Error) -> String {
        match error {
            Error::Timeout(Timeout::Resolve) => {
                "the host's address took too long to find".to_owned()
            }
            Error::Timeout(Timeout::Connect) => {
                format!("no connection within {:?}", self.timeout)
            }
            Error::Timeout(_) => format!("no answer within {:?}", self.timeout),
            Error::HostNotFound => "the host's address was not found".to_owned(),
            Error::ConnectionFailed => "no connection could be made".to_owned(),
            Error::Io(error) => format!("the connection failed: {error}"),
            Error::Protocol(error) => format!("the answer is no HTTP: {error}"),
            Error::Rustls(error) => format!("TLS failed: {error}"),
            Error::Tls(error) => format!("TLS failed: {error}"),
            Error::LargeResponseHeader(..) => {
                format!("the head of the answer has more than {HEAD_BYTES_MAX} bytes")
            }
            _ => "the request could not be made".to_owned(),
        }
    }
}

/// Reads the rest of an answer within bounds. What is wrong with it does not matter: the status
/// has said what became of the delivery.
fn finish(response: &mut Response<Body>) {
    let rest = response.body_mut().with_config().limit(BODY_BYTES_MAX);
    let _ = rest.read_to_vec();
}

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    End(Outcome),
    Follow(Address),
}

/// A redirect is followed with the same method and body, whatever its status: nobody has a use for
/// a GET of a webhook. It never leads from TLS to a connection that everybody can read.
fn step(status: u16, location: Option<&str>, from: &Address) -> Step {
    let is_redirect = matches!(status, 301 | 302 | 303 | 307 | 308);
    let Some(location) = location.filter(|_| is_redirect) else {
        return Step::End(match status {
            200..=399 => Outcome::Taken(status),
            _ => Outcome::Refused(status),
        });
    };
    match from.join(location) {
        Ok(next) if from.is_tls() && !next.is_tls() => {
            let why = "it redirects from https:// to http://, where everybody can read along";
            Step::End(Outcome::Failed(why.to_owned()))
        }
        Ok(next) => Step::Follow(next),
        Err(_) => Step::End(Outcome::Failed(
            "it redirects to what is no address".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_became_of_it_as_in_distribution() {
        let from = Address::parse("https://a/x").unwrap();
        for (status, taken) in [
            (200, true),
            (204, true),
            (299, true),
            (300, true),
            (302, true),
            (304, true),
            (400, false),
            (401, false),
            (404, false),
            (410, false),
            (429, false),
            (500, false),
            (503, false),
        ] {
            let end = if taken {
                Outcome::Taken(status)
            } else {
                Outcome::Refused(status)
            };
            assert_eq!(step(status, None, &from), Step::End(end));
        }
    }

    #[test]
    fn redirects_are_followed_but_not_out_of_tls() {
        let from = Address::parse("https://a/x").unwrap();
        for status in [301, 302, 303, 307, 308] {
            let next = Address::parse("https://b/y").unwrap();
            let found = step(status, Some("https://b/y"), &from);
            assert_eq!(found, Step::Follow(next));
        }
        for location in ["http://a/x", "ftp://a/x", "https://"] {
            let found = step(307, Some(location), &from);
            assert!(matches!(found, Step::End(Outcome::Failed(_))), "{found:?}");
        }
        // A location is for a redirect.
        let found = step(201, Some("https://b/y"), &from);
        assert_eq!(found, Step::End(Outcome::Taken(201)));
        let found = step(304, Some("https://b/y"), &from);
        assert_eq!(found, Step::End(Outcome::Taken(304)));
    }
}
