//! What the events of a request tell of it: who asked, from where, and by which address.

use std::net::IpAddr;

use super::Api;
use super::challenge::base;
use crate::http::{Peer, Request};
use crate::registry::events::{Answering, Origin, RequestFacts};

/// Names the request that this thread answers for the events that come of it, until what is
/// returned is dropped. Nothing is found out where nobody wants events.
pub fn begin(api: &Api, request: &Request<'_>, id: &str, actor: Option<&str>) -> Option<Answering> {
    if !api.registry.events().are_heard() {
        return None;
    }
    let text = |name: &str| request.headers.get(name).unwrap_or_default().to_owned();
    let facts = RequestFacts {
        id: id.to_owned(),
        addr: address(request),
        host: text("host"),
        method: request.method_token.clone().into_owned(),
        useragent: text("user-agent"),
        base: base(api.auth.url(), request),
    };
    let origin = Origin {
        actor: actor.map(str::to_owned),
        request: facts.bounded(),
    };
    Some(origin.begin())
}

/// Who asked, as Distribution tells it: whom the proxies in front name first, where that is an
/// address, else the peer.
fn address(request: &Request<'_>) -> String {
    let named = |name: &str| {
        let value = request.headers.get(name)?;
        let first = value.split(',').next().unwrap_or_default().trim();
        first.parse::<IpAddr>().ok().map(|ip| ip.to_string())
    };
    let forwarded = named("x-forwarded-for").or_else(|| named("x-real-ip"));
    forwarded.unwrap_or_else(|| match request.peer {
        Peer::Ip(address) => address.to_string(),
        Peer::Unix => String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Body, Headers, Method};

    #[test]
    fn proxies_are_believed_where_they_name_an_address() {
        for (fields, expected) in [
            (&[][..], "192.0.2.7:4711"),
            (
                &[("X-Forwarded-For", "198.51.100.1, 10.0.0.1")],
                "198.51.100.1",
            ),
            (&[("X-Forwarded-For", "unknown")], "192.0.2.7:4711"),
            (&[("X-Real-Ip", "2001:db8::1")], "2001:db8::1"),
        ] {
            let mut headers = Headers::new();
            for (name, value) in fields {
                headers.push(name, value);
            }
            let mut request = Request::new(Method::Get, "/v2/", headers, Body::empty());
            request.peer = Peer::Ip("192.0.2.7:4711".parse().unwrap());
            assert_eq!(address(&request), expected);
        }
    }
}
