//! `[[webhook]]` tables: who is told of what happens, and how. Their meaning is in `notify`.

mod show;

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::error::Problem;
use super::file::Lines;
use super::tables::{Kind, Reader};
use crate::notify::{Address, Backoff, ENDPOINTS_MAX, Endpoint, EventsMediaType, Hidden, Secret};
use crate::oci::{Glob, MediaType};
use crate::registry::events::Filter;
use crate::store::catalog::ChangeAction;
pub(super) use show::show;
use show::written;

/// These tables.
pub(super) const KIND: Kind = Kind {
    name: "webhook",
    keys: &[
        "name",
        "url",
        "headers",
        "secret",
        "secret_file",
        "actions",
        "repositories",
        "ignore_actions",
        "ignore_media_types",
        "include_references",
        "pull",
        "pull_head",
        "media_type",
        "batch_max",
        "batch_wait",
        "timeout",
        "threshold",
        "backoff",
        "backoff_max",
        "age_max",
        "pending_max",
        "authorities",
        "proxy",
        "disabled",
    ],
    example: EXAMPLE,
};

const EXAMPLE: &str = "\
# Webhooks: who is told of pushes, mounts and deletes, in the form of Distribution's notifications.
# What is for a webhook is written down with the change itself and delivered at least once, in
# order. `coracle events list` tells how it stands with them.
#
# [[webhook]]
# name = \"ci\"
# url = \"https://ci.example/hooks/registry\"  # http:// or https://
# headers = { Authorization = \"Bearer TOKEN\" }
# secret = \"a long text\"      # signs bodies: X-Coracle-Signature-256; or secret_file, a path
# actions = [\"push\", \"delete\"] # push, mount, delete; all of them without
# repositories = [\"team/**\"]   # all of them without
# ignore_actions = [\"mount\"]
# ignore_media_types = [\"application/octet-stream\"]  # blobs
# include_references = false   # what a manifest refers to
# pull = false                 # pulls too, from memory: not all of them may arrive
# pull_head = true             # with pull: pulls by HEAD, which fetch nothing
# media_type = \"application/vnd.docker.distribution.events.v2+json\"  # or …v1+json
# batch_max = 1                # the most events in one delivery
# batch_wait = \"0s\"            # how long an event may wait for others to go with it
# timeout = \"5s\"               # of a delivery as a whole
# threshold = 10               # so many failures in a row before the first pause
# backoff = \"1s\"               # the first pause; each further one is twice as long
# backoff_max = \"5m\"           # the longest one
# age_max = \"7d\"               # what waits longer is dropped
# pending_max = 100000         # of more changes than this that wait, the oldest are dropped
# authorities = \"/etc/ssl/own.pem\"  # whose certificates are believed; those of the system without
# proxy = \"http://proxy.example:3128\"  # those of the environment are ignored
# disabled = false
";

/// The default of `timeout`, `threshold`, `backoff`, `backoff_max`, `age_max`, `pending_max`.
const TIMEOUT: Duration = Duration::from_secs(5);
const THRESHOLD: u64 = 10;
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(300);
const AGE_MAX: Duration = Duration::from_secs(7 * 86_400);
const PENDING_MAX: u64 = 100_000;

/// The longest name, header and secret, in characters.
const NAME_MAX: usize = 64;
const TEXT_MAX: usize = 4096;

/// Units of time with their milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
];

/// Header fields that are the business of the protocol, or of ours.
const RESERVED: [&str; 8] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
    "x-coracle-delivery",
    "x-coracle-signature-256",
];

/// Reads all webhooks; what is wrong goes to `problems`.
pub(super) fn read(
    value: &Spanned<DeValue<'_>>,
    lines: &Lines<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Endpoint> {
    let mut names: Vec<String> = Vec::new();
    KIND.read(value, lines, problems, |table| {
        let endpoint = endpoint(table);
        if !endpoint.name.is_empty() {
            if names.contains(&endpoint.name) {
                let why = format!("{:?} is the name of another one", endpoint.name);
                table.problem(why, "name");
            }
            names.push(endpoint.name.clone());
        }
        if names.len() == ENDPOINTS_MAX + 1 {
            let why = format!("there are more than {ENDPOINTS_MAX}, which is the most");
            table.problem(why, "name");
        }
        endpoint
    })
}

fn endpoint(table: &mut Reader<'_>) -> Endpoint {
    let url = required(table, "url", Address::parse);
    let endpoint = Endpoint {
        name: required(table, "name", name).unwrap_or_default(),
        // A table with a mistake is left out, whatever stands here.
        url: url.unwrap_or_else(nowhere),
        headers: table.fields("headers", header),
        timeout: span(table, "timeout", 100, 300_000).unwrap_or(TIMEOUT),
        backoff: backoff(table),
        disabled: table.switch("disabled").unwrap_or(false),
        filter: filter(table),
        media_type: table
            .text("media_type", str::parse::<EventsMediaType>)
            .unwrap_or_default(),
        batch_max: count(table, "batch_max", 1000).unwrap_or(1),
        batch_wait: span(table, "batch_wait", 0, 3_600_000).unwrap_or_default(),
        secret: secret(table),
        pull: table.switch("pull").unwrap_or(false),
        pull_head: table.switch("pull_head").unwrap_or(true),
        include_references: table.switch("include_references").unwrap_or(false),
        age_max: span(table, "age_max", 60_000, 3_650 * 86_400_000).unwrap_or(AGE_MAX),
        pending_max: table
            .count("pending_max", 10_000_000)
            .unwrap_or(PENDING_MAX),
        authorities: table.text("authorities", path),
        proxy: table.text("proxy", proxy),
        origin: table.origin(),
    };
    if endpoint.authorities.is_some() && table.has("url") && !endpoint.url.is_tls() {
        let why = "are of no use: the address does not begin with https://";
        table.problem(why.to_owned(), "authorities");
    }
    endpoint
}

#[expect(clippy::expect_used, reason = "a constant, and a test reads it")]
fn nowhere() -> Address {
    Address::parse("http://localhost/").expect("an address")
}

fn required<T>(
    table: &mut Reader<'_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    if !table.has(key) {
        table.problem("is missing".to_owned(), key);
    }
    table.text(key, parse)
}

fn backoff(table: &mut Reader<'_>) -> Backoff {
    let first = span(table, "backoff", 10, 3_600_000).unwrap_or(BACKOFF);
    let longest = span(table, "backoff_max", 10, 86_400_000);
    if longest.is_some_and(|longest| longest < first) {
        let why = "must not be shorter than backoff";
        table.problem(why.to_owned(), "backoff_max");
    }
    let threshold = table.count("threshold", 1000).unwrap_or(THRESHOLD);
    Backoff {
        threshold: u32::try_from(threshold).unwrap_or(u32::MAX),
        first,
        longest: longest.unwrap_or(BACKOFF_MAX).max(first),
    }
}

fn filter(table: &mut Reader<'_>) -> Filter {
    Filter {
        ignore_actions: table
            .list_if_any("ignore_actions", action)
            .unwrap_or_default(),
        ignore_media_types: table
            .list_if_any("ignore_media_types", |text| match MediaType::parse(text) {
                Some(_) => Ok(text.to_owned()),
                None => Err(format!("{text:?} is no media type")),
            })
            .unwrap_or_default(),
        actions: table.list_if_any("actions", action).unwrap_or_default(),
        repositories: table
            .list_if_any("repositories", |text| {
                Glob::parse_plain(text).map_err(|error| format!("{text:?} {error}"))
            })
            .unwrap_or_default(),
    }
}

fn secret(table: &mut Reader<'_>) -> Option<Secret> {
    let text = table.text("secret", |text| {
        let is_long_enough = (8..=TEXT_MAX).contains(&text.chars().count());
        let hidden = || Hidden(text.to_owned());
        is_long_enough
            .then(hidden)
            .ok_or_else(|| format!("must have 8 to {TEXT_MAX} characters"))
    });
    let file = table.text("secret_file", path);
    if table.has("secret") && table.has("secret_file") {
        let why = "and secret exclude each other";
        table.problem(why.to_owned(), "secret_file");
    }
    text.map(Secret::Text).or(file.map(Secret::File))
}

fn name(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "must be 1 to {NAME_MAX} letters, digits, '.', '_' or '-'"
        ))
    }
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("must be a path".to_owned());
    }
    Ok(PathBuf::from(text))
}

fn proxy(text: &str) -> Result<Hidden, String> {
    let is_plain = Address::parse(text).is_ok_and(|own| !own.is_tls());
    let hidden = || Hidden(text.to_owned());
    let why = || "must be an address such as http://proxy.example:3128".to_owned();
    is_plain.then(hidden).ok_or_else(why)
}

/// What happened, as it is filtered by. A pull is chosen by `pull`.
fn action(text: &str) -> Result<ChangeAction, String> {
    match text {
        "push" => Ok(ChangeAction::Push),
        "mount" => Ok(ChangeAction::Mount),
        "delete" => Ok(ChangeAction::Delete),
        "pull" => Ok(ChangeAction::Pull),
        _ => Err(format!(
            "{text:?} is none: an action is push, mount, delete or pull"
        )),
    }
}

/// A header field: a name that a client may choose, and a value that is one line of ASCII.
fn header(name: &str, value: &str) -> Result<(String, Hidden), String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_visible = |byte: u8| (b' '..=b'~').contains(&byte);
    let short = super::error::shorten(name);
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_token) {
        return Err(format!("{short:?} is no name of a header"));
    }
    if RESERVED.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(format!("{short} is not to be chosen"));
    }
    if value.len() > TEXT_MAX || !value.bytes().all(is_visible) {
        return Err(format!(
            "the value of {short} must be at most {TEXT_MAX} visible ASCII characters"
        ));
    }
    Ok((name.to_owned(), Hidden(value.to_owned())))
}

fn count(table: &mut Reader<'_>, key: &str, max: u64) -> Option<usize> {
    // The bound fits every machine.
    usize::try_from(table.count(key, max)?).ok()
}

/// A time with its unit, within bounds in milliseconds.
fn span(table: &mut Reader<'_>, key: &str, min: u64, max: u64) -> Option<Duration> {
    table.text(key, |text| {
        let known = UNITS
            .iter()
            .find_map(|(unit, each)| Some((text.strip_suffix(unit)?, *each)));
        let digits = known.filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()));
        let number =
            digits.and_then(|(number, each)| number.parse::<u64>().ok()?.checked_mul(each));
        match number {
            None => Err("must be a number and a unit: ms, s, m, h or d, as in 30s".to_owned()),
            Some(number) if !(min..=max).contains(&number) => Err(format!(
                "must be between {} and {}",
                written(Duration::from_millis(min)),
                written(Duration::from_millis(max))
            )),
            Some(number) => Ok(Duration::from_millis(number)),
        }
    })
}

#[cfg(test)]
mod tests;
