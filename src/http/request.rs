//! What a handler is given: method, target, headers, peer and body of one request.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::body::Body;
use super::headers::Headers;
use super::tls::ClientCertificate;

/// The request methods that have a name here; all others are [`Method::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// Any other token; [`Request::method_token`] keeps it.
    Other,
}

impl Method {
    /// The method called `token`; methods are case-sensitive (RFC 9110 section 9.1).
    pub fn parse(token: &str) -> Self {
        match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }

    /// The method's token; `OTHER` for [`Method::Other`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "OTHER",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who sent the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A client over TCP; an IPv4 client of a dual-stack listener is shown as IPv4.
    Ip(SocketAddr),
    /// A client over a UNIX socket, or a request made inside the process.
    Unix,
}

impl Peer {
    /// What counts as one client: an IPv4 address, or the /64 that one IPv6 host can choose from;
    /// none over a UNIX socket.
    pub fn client(&self) -> Option<IpAddr> {
        match self.ip()? {
            IpAddr::V6(address) => Some(IpAddr::V6(Ipv6Addr::from_bits(
                address.to_bits() & !u128::from(u64::MAX),
            ))),
            v4 @ IpAddr::V4(_) => Some(v4),
        }
    }

    /// The client's address without its port; none over a UNIX socket.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// One request.
pub struct Request<'c> {
    /// The method, where it is one that has a name here.
    pub method: Method,
    /// The method exactly as it was sent.
    pub method_token: Cow<'static, str>,
    /// The target's path, still percent-encoded, without the query.
    pub path: String,
    /// What follows the first `?` of the target, still percent-encoded.
    pub query: Option<String>,
    /// The header fields.
    pub headers: Headers,
    /// Who asks.
    pub peer: Peer,
    /// Whether the request came over TLS.
    pub is_tls: bool,
    /// The certificate that the client has shown; look at [`ClientCertificate::verified`].
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// The body, which is read from the connection as the handler asks for it.
    pub body: Body<'c>,
}

impl<'c> Request<'c> {
    /// A request made inside the process: for embedding and for tests. `target` is a path,
    /// perhaps with a query.
    pub fn new(method: Method, target: &str, headers: Headers, body: Body<'c>) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        Self {
            method,
            method_token: Cow::Borrowed(method.as_str()),
            path: path.to_owned(),
            query,
            headers,
            peer: Peer::Unix,
            is_tls: false,
            client_certificate: None,
            body,
        }
    }

    /// The path with its query, as it was sent.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} from {}",
            self.method_token,
            self.target(),
            self.peer
        )
    }
}
