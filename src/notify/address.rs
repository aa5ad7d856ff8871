//! Addresses of webhooks: `http://` and `https://` URLs, what may be shown of them, and where a
//! redirect leads. Nothing is connected here.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::http::Uri;

/// The longest address, in bytes.
const LENGTH_MAX: usize = 2048;

/// Where a webhook is.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
    /// The value of `Authorization` that the address itself had, as `user:password@`.
    authorization: Option<String>,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// A sentence for people, without the address: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "must be an address such as https://hooks.example/registry";
        let form = || FORM.to_owned();
        if text.len() > LENGTH_MAX {
            return Err(format!("must not be longer than {LENGTH_MAX} characters"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err("must begin with http:// or https://".to_owned());
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if path.contains('#') {
            return Err("must not have a fragment (#…), which no server sees".to_owned());
        }
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        let uri: Uri = format!("{scheme}://{host}{slash}{path}")
            .parse()
            .map_err(|_| form())?;
        let named = uri.host().unwrap_or_default();
        let port = host.strip_prefix(named).unwrap_or_default();
        if named.is_empty() || (!port.is_empty() && uri.port_u16().is_none_or(|port| port == 0)) {
            return Err(form());
        }
        let authorization = user.map(|user| {
            let decoded = percent_decoded(user);
            let pair = if decoded.contains(&b':') {
                decoded
            } else {
                [&decoded[..], b":"].concat()
            };
            format!("Basic {}", STANDARD.encode(pair))
        });
        Ok(Self { uri, authorization })
    }

    /// The address without user and password.
    pub(super) const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What `Authorization` is to be, where the address says it.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Whether it is reached over TLS.
    pub fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Scheme, host and port: what a log may name.
    pub fn origin(&self) -> String {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let authority = self.uri.authority().map_or("", |own| own.as_str());
        format!("{scheme}://{authority}")
    }

    /// Whether both are the same server by the same protocol, so that what is meant for one may go
    /// to the other (RFC 6454 section 5).
    pub(super) fn is_same_origin(&self, other: &Self) -> bool {
        let port = |own: &Self| {
            let default = if own.is_tls() { 443 } else { 80 };
            own.uri.port_u16().unwrap_or(default)
        };
        let host = |own: &Self| own.uri.host().unwrap_or_default().to_ascii_lowercase();
        self.is_tls() == other.is_tls() && host(self) == host(other) && port(self) == port(other)
    }

    /// Where a `Location` of this address leads (RFC 3986 section 5.2, without fragments).
    ///
    /// # Errors
    /// It is no address.
    pub(super) fn join(&self, location: &str) -> Result<Self, String> {
        let location = location.split('#').next().unwrap_or_default().trim();
        let is_absolute = location
            .split_once("://")
            .is_some_and(|(scheme, _)| !scheme.contains(['/', '?']));
        if is_absolute {
            return Self::parse(location);
        }
        let scheme = self.uri.scheme_str().unwrap_or_default();
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{scheme}://{rest}"));
        }
        let path = self.uri.path();
        let target = if location.starts_with('/') {
            location.to_owned()
        } else if location.starts_with('?') || location.is_empty() {
            format!("{path}{location}")
        } else {
            let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
            format!("{folder}{location}")
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (target.as_str(), String::new()),
        };
        Self::parse(&format!("{}{}{query}", self.origin(), without_dots(path)))
    }
}

/// The path without `.` and `..` (RFC 3986 section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    for (at, part) in parts.iter().enumerate() {
        let is_last = at + 1 == parts.len();
        match *part {
            "." => {}
            ".." => {
                kept.pop();
            }
            part => {
                kept.push(part);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
        if let Some(byte) = byte.filter(|_| *first == b'%') {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

/// Without what may be secret: user, password and query.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.uri.path())?;
        if self.uri.query().is_some() {
            f.write_str("?…")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn what_is_shown_has_no_secret() {
        for (text, shown, authorization) in [
            ("http://a.example", "http://a.example/", None),
            ("HTTPS://a:8443/x/y", "https://a:8443/x/y", None),
            ("https://a?key=s3cret", "https://a/?…", None),
            (
                "https://ada:p%40ss@a/x?key=s3cret",
                "https://a/x?…",
                Some("Basic YWRhOnBAc3M="),
            ),
            (
                "http://token@[::1]:80/",
                "http://[::1]:80/",
                Some("Basic dG9rZW46"),
            ),
        ] {
            let own = address(text);
            assert_eq!(own.to_string(), shown);
            assert_eq!(format!("{own:?}"), format!("Address({shown})"));
            assert_eq!(own.authorization(), authorization);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_saying_it() {
        let long = format!("http://a/{}", "x".repeat(LENGTH_MAX));
        for text in [
            "",
            "a",
            "a.example/x",
            "ftp://a",
            "http://",
            "http:///x",
            "http://a b/",
            "http://a/\n",
            "http://a:0/",
            "http://a:99999/",
            "https://s3cret@/",
            "http://a/#x",
            "unix:/run/x",
            &long,
        ] {
            let why = Address::parse(text).unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
    }

    #[test]
    fn a_redirect_leads_where_its_location_says() {
        let from = address("https://a:8443/hooks/one?x=1");
        for (location, expected) in [
            ("https://b/two?y=2", "https://b/two"),
            ("//b/two", "https://b/two"),
            ("/two", "https://a:8443/two"),
            ("two", "https://a:8443/hooks/two"),
            ("./two", "https://a:8443/hooks/two"),
            ("../two/", "https://a:8443/two/"),
            ("../../../two", "https://a:8443/two"),
            ("?z=3", "https://a:8443/hooks/one"),
            ("", "https://a:8443/hooks/one"),
            ("/two#part", "https://a:8443/two"),
            ("/x?u=http://c/", "https://a:8443/x"),
        ] {
            let joined = from.join(location).unwrap();
            let shown = joined.to_string();
            assert_eq!(shown.trim_end_matches("?…"), expected, "{location}");
        }
        for none in ["ftp://a/", "https://", "http://a b"] {
            assert!(from.join(none).is_err(), "{none}");
        }
    }

    #[test]
    fn only_the_same_server_by_the_same_protocol_is_the_same_origin() {
        let own = address("https://Hooks.example/a");
        assert!(own.is_same_origin(&address("https://hooks.EXAMPLE:443/b?c")));
        for other in [
            "http://hooks.example/a",
            "https://hooks.example:8443/a",
            "https://hooks.example.evil/a",
            "https://example/a",
        ] {
            assert!(!own.is_same_origin(&address(other)), "{other}");
        }
    }
}
