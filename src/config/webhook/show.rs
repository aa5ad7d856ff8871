//! A `[[webhook]]` table as it is shown: without secrets.

use std::path::Path;
use std::time::Duration;

use super::UNITS;
use crate::config::tables::{Entry, Shown};
use crate::notify::{Endpoint, Secret};
use crate::store::catalog::ChangeAction;

/// What is shown of what is hidden.
const HIDDEN: &str = "(hidden)";

type Pair = (&'static str, Entry);

/// A webhook without its secrets.
pub fn show(endpoint: &Endpoint) -> Shown {
    let entries = identity(endpoint)
        .into_iter()
        .chain(told(endpoint))
        .chain(sent(endpoint));
    Shown {
        origin: endpoint.origin.clone(),
        entries: entries.collect(),
    }
}

/// Who it is.
fn identity(endpoint: &Endpoint) -> Vec<Pair> {
    let headers = endpoint.headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, _)| (name.clone(), HIDDEN.to_owned()))
        .collect();
    let secret = endpoint.secret.as_ref().map(|secret| match secret {
        Secret::Text(_) => ("secret", hidden()),
        Secret::File(file) => ("secret_file", path(file)),
    });
    let entries = [
        Some(("name", Entry::Text(endpoint.name.clone()))),
        Some(("url", Entry::Text(endpoint.url.to_string()))),
        (!headers.is_empty()).then_some(("headers", Entry::Fields(headers))),
        secret,
    ];
    entries.into_iter().flatten().collect()
}

/// What it is told of.
fn told(endpoint: &Endpoint) -> Vec<Pair> {
    let words = |actions: &[ChangeAction]| {
        let words: Vec<_> = actions.iter().copied().map(word).collect();
        (!words.is_empty()).then(|| Entry::texts(&words))
    };
    let filter = &endpoint.filter;
    let (globs, types) = (&filter.repositories, &filter.ignore_media_types);
    let head = Entry::Switch(endpoint.pull_head);
    let references = Entry::Switch(endpoint.include_references);
    let entries = [
        words(&filter.actions).map(|own| ("actions", own)),
        (!globs.is_empty()).then(|| ("repositories", Entry::texts(globs))),
        words(&filter.ignore_actions).map(|own| ("ignore_actions", own)),
        (!types.is_empty()).then(|| ("ignore_media_types", Entry::texts(types))),
        Some(("include_references", references)),
        Some(("pull", Entry::Switch(endpoint.pull))),
        endpoint.pull.then_some(("pull_head", head)),
    ];
    entries.into_iter().flatten().collect()
}

/// How it gets it.
fn sent(endpoint: &Endpoint) -> Vec<Pair> {
    let time = |time: Duration| Entry::Text(written(time));
    let backoff = &endpoint.backoff;
    let media_type = endpoint.media_type.as_str().to_owned();
    let authorities = endpoint.authorities.as_deref();
    let entries = [
        Some(("media_type", Entry::Text(media_type))),
        Some(("batch_max", Entry::Number(endpoint.batch_max as u64))),
        Some(("batch_wait", time(endpoint.batch_wait))),
        Some(("timeout", time(endpoint.timeout))),
        Some(("threshold", Entry::Number(backoff.threshold.into()))),
        Some(("backoff", time(backoff.first))),
        Some(("backoff_max", time(backoff.longest))),
        Some(("age_max", time(endpoint.age_max))),
        Some(("pending_max", Entry::Number(endpoint.pending_max))),
        authorities.map(|own| ("authorities", path(own))),
        endpoint.proxy.as_ref().map(|_| ("proxy", hidden())),
        Some(("disabled", Entry::Switch(endpoint.disabled))),
    ];
    entries.into_iter().flatten().collect()
}

fn hidden() -> Entry {
    Entry::Text(HIDDEN.to_owned())
}

fn path(path: &Path) -> Entry {
    Entry::Text(path.display().to_string())
}

const fn word(action: ChangeAction) -> &'static str {
    match action {
        ChangeAction::Push => "push",
        ChangeAction::Mount => "mount",
        ChangeAction::Delete => "delete",
        ChangeAction::Pull => "pull",
    }
}

/// A time in the largest unit that divides it.
pub(super) fn written(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, each): &&(&str, u64)| ms != 0 && ms.is_multiple_of(*each);
    let found = UNITS.iter().skip(1).find(fits);
    match found {
        Some((unit, each)) => format!("{}{unit}", ms / each),
        None if ms == 0 => "0s".to_owned(),
        None => format!("{ms}ms"),
    }
}
