//! How a client is told to log in: `WWW-Authenticate` (RFC 7617, RFC 6750, and Distribution's token
//! specification).

use std::fmt::Write as _;

use crate::auth::{Asked, Authenticator, Realm, Scope};
use crate::http::Request;

/// The value of `WWW-Authenticate` for a request that lacks these scopes; `error` as RFC 6750
/// section 3.1 has it.
pub fn write(
    auth: &Authenticator,
    request: &Request<'_>,
    scopes: &[Scope],
    error: Option<&'static str>,
) -> String {
    let (realm, service) = match auth.asks() {
        Asked::Basic { realm } => return format!("Basic realm=\"{}\"", quoted(realm)),
        Asked::Bearer { realm, service } => (realm, service),
    };
    let realm = match realm {
        Realm::Address(address) => address.to_owned(),
        Realm::Path(path) => format!("{}{path}", base(auth.url(), request)),
        Realm::Autoredirect(path) => {
            let scheme = forwarded_scheme(request).unwrap_or("https");
            format!(
                "{scheme}://{}/{}",
                host(request),
                path.trim_start_matches('/')
            )
        }
    };
    let mut value = format!(
        "Bearer realm=\"{}\",service=\"{}\"",
        quoted(&realm),
        quoted(service)
    );
    // Writing to a string does not fail.
    if !scopes.is_empty() {
        let texts: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        let _ = write!(value, ",scope=\"{}\"", texts.join(" "));
    }
    if let Some(error) = error {
        let _ = write!(value, ",error=\"{error}\"");
    }
    value
}

/// The address by which the client reached the registry, as far as can be told: the configured one,
/// else the scheme that a proxy names and the host that the client wrote.
pub fn base(configured: Option<&str>, request: &Request<'_>) -> String {
    if let Some(url) = configured {
        return url.trim_end_matches('/').to_owned();
    }
    let own = if request.is_tls { "https" } else { "http" };
    let scheme = forwarded_scheme(request).unwrap_or(own);
    format!("{scheme}://{}", host(request))
}

/// The scheme by which a client reached the proxy in front.
fn forwarded_scheme(request: &Request<'_>) -> Option<&'static str> {
    let value = request.headers.get("x-forwarded-proto")?;
    match value.split(',').next().unwrap_or_default().trim() {
        "https" => Some("https"),
        "http" => Some("http"),
        _ => None,
    }
}

fn host<'r>(request: &'r Request<'_>) -> &'r str {
    request.headers.get("host").unwrap_or("localhost")
}

/// Text as it may stand between quotes (RFC 9110 section 5.6.4).
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
