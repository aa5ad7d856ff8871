//! Rules between settings, each of which is within its own bounds.

use super::Key;
use super::error::{Origin, Problem};
use super::settings::KEYS;
use super::value::Value;
use crate::auth::Rule;
use crate::http::Scheme;

/// Pairs of keys of which the first must not be larger than the second.
const NOT_LARGER: [(&str, &str); 3] = [
    ("limits.request_line_bytes_max", "limits.head_bytes_max"),
    ("listing.catalog_page_default", "listing.catalog_page_max"),
    ("storage.reserve", "storage.low_water"),
];

/// What is wrong between the values, which are in the order of [`KEYS`].
pub(super) fn problems(values: &[(Value, Origin)]) -> Vec<Problem> {
    let pairs = NOT_LARGER.iter();
    pairs
        .filter_map(|(smaller, larger)| not_larger(find(values, smaller)?, find(values, larger)?))
        .chain(tls(values))
        .collect()
}

/// What is wrong between the settings of TLS. Nothing that looks protected may be open.
fn tls(values: &[(Value, Origin)]) -> Vec<Problem> {
    let of = |path: &str| {
        let index = KEYS.iter().position(|key| key.path() == path)?;
        values
            .get(index)
            .map(|(value, origin)| (value, origin.clone()))
    };
    let count = |path: &str| match of(path) {
        Some((Value::Paths(paths), origin)) => (paths.len(), origin),
        _ => (0, Origin::Default),
    };
    let blame = |path: &str, origin, why: String| Problem::of_key(path.to_owned(), origin, why);
    let mut problems = Vec::new();
    let (certificates, certificate_origin) = count("tls.certificate");
    let (keys, key_origin) = count("tls.key");
    if certificates != keys {
        let (path, origin) = match certificate_origin {
            Origin::Default => ("tls.key", key_origin),
            origin => ("tls.certificate", origin),
        };
        let why = format!(
            "there are {certificates} files in tls.certificate and {keys} in tls.key; each \
             certificate needs its key, in the same order"
        );
        problems.push(blame(path, origin, why));
    }
    let (authorities, ca_origin) = count("tls.client_ca");
    if authorities > 0 && certificates == 0 {
        let why = "clients show certificates over TLS only: set tls.certificate and tls.key";
        problems.push(blame("tls.client_ca", ca_origin, why.to_owned()));
    }
    if let Some((Value::Name(name), origin)) = of("tls.client_auth")
        && *name != "auto"
        && authorities == 0
    {
        let why = "no client is asked for a certificate without authorities: set tls.client_ca";
        problems.push(blame("tls.client_auth", origin, why.to_owned()));
    }
    for path in ["server.listen", "ops.listen"] {
        if let Some((Value::Addresses(addresses), origin)) = of(path)
            && certificates == 0
            && addresses.iter().any(|it| it.scheme == Some(Scheme::Https))
        {
            let why = "https:// needs a certificate: set tls.certificate and tls.key, or make \
                       them with `coracle cert self-signed`";
            problems.push(blame(path, origin, why.to_owned()));
        }
    }
    problems
}

/// What a token server needs: without it nothing would be verified. And what goes with none: it
/// alone knows accounts and decides who may do what.
pub(super) fn of_token_server(values: &[(Value, Origin)], rules: &[Rule]) -> Vec<Problem> {
    let written = |path: &str| {
        let index = KEYS.iter().position(|key| key.path() == path)?;
        let (value, origin) = values.get(index)?;
        match value {
            Value::Text(Some(_)) | Value::Path(Some(_)) | Value::Switch(true) => Some(origin),
            _ => None,
        }
    };
    let used = written("token.realm").or_else(|| written("token.autoredirect"));
    let Some(used) = used else {
        return missing_realm(written("token.service").or_else(|| written("token.jwks")));
    };
    let mut problems = Vec::new();
    let mut refuse = |key: &str, origin: &Origin, why: &str| {
        problems.push(Problem::of_key(key.to_owned(), origin.clone(), why));
    };
    for key in ["token.service", "token.issuer"] {
        if written(key).is_none() {
            refuse(key, used, "is missing, and a token server needs it");
        }
    }
    if written("token.root_certificates").is_none() && written("token.jwks").is_none() {
        let why = "is missing, and so is token.jwks; one of them says whose tokens are trusted";
        refuse("token.root_certificates", used, why);
    }
    if let Some(origin) = written("auth.htpasswd") {
        let why = "goes without a token server: remove it or token.realm";
        refuse("auth.htpasswd", origin, why);
    }
    if let Some(rule) = rules.first() {
        let why = "a token server alone decides who may do what: remove the rules or token.realm";
        let place = format!("access ({})", rule.origin);
        refuse(&place, used, why);
    }
    problems
}

fn missing_realm(origin: Option<&Origin>) -> Vec<Problem> {
    let why = "is missing, so that no token server is used; set it or remove the other token keys";
    let problem = |origin: &Origin| Problem::of_key("token.realm".to_owned(), origin.clone(), why);
    origin.map(problem).into_iter().collect()
}

/// A number with its key and where it comes from.
struct Found<'a> {
    key: &'static Key,
    number: u64,
    written: String,
    origin: &'a Origin,
}

fn find<'a>(values: &'a [(Value, Origin)], path: &str) -> Option<Found<'a>> {
    let index = KEYS.iter().position(|key| key.path() == path)?;
    let (key, (value, origin)) = (&KEYS[index], values.get(index)?);
    let Value::Number(number) = *value else {
        return None;
    };
    let written = value.to_toml(&key.kind)?;
    Some(Found {
        key,
        number,
        written,
        origin,
    })
}

/// Blames the value that was set rather than a default.
fn not_larger(smaller: Found<'_>, larger: Found<'_>) -> Option<Problem> {
    // 0 switches a key off where it is allowed beside larger numbers.
    let is_off = larger.number == 0 && larger.key.kind.has_zero();
    if smaller.number <= larger.number || is_off {
        return None;
    }
    let (blamed, other, word) = match smaller.origin {
        Origin::Default => (larger, smaller, "smaller"),
        _ => (smaller, larger, "larger"),
    };
    let why = format!(
        "must not be {word} than {} = {} ({})",
        other.key.path(),
        other.written,
        other.origin
    );
    let origin = blamed.origin.clone();
    Some(Problem::of_value(
        blamed.key.path(),
        &blamed.written,
        origin,
        why,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Kind;

    #[test]
    fn rules_speak_of_numbers_that_exist() {
        for path in NOT_LARGER.iter().flat_map(|(one, other)| [one, other]) {
            let key = KEYS.iter().find(|key| key.path() == *path).unwrap();
            assert!(matches!(
                key.kind,
                Kind::Count(_) | Kind::Bytes(_) | Kind::AutoBytes(_) | Kind::Seconds(_)
            ));
        }
    }
}
