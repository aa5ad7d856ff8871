//! `[[retention]]`, `[[quota]]` and `[[immutable]]` tables. Their meaning is in `registry::policy`.

use toml::Spanned;
use toml::de::DeValue;

use super::error::Problem;
use super::file::Lines;
use super::tables::{Entry, Kind, Reader, Shown};
use crate::clock::Life;
use crate::oci::{Glob, TagGlob};
use crate::registry::policy::{Immutable, Quota, Retention};

/// The most tags that a rule can ask to keep, and the largest quota of tags.
const TAGS_MAX: u64 = 1_000_000_000;
/// The largest quota of bytes: 8 PiB.
const BYTES_MAX: u64 = 1 << 53;

/// Tables that say which tags and manifests are kept.
pub(super) const RETENTION: Kind = Kind {
    name: "retention",
    keys: &[
        "repositories",
        "keep_last",
        "keep_semver",
        "keep_tags",
        "keep_pulled",
        "expire",
        "untagged",
    ],
    example: RETENTION_EXAMPLE,
};

/// Tables that say how much there may be.
pub(super) const QUOTA: Kind = Kind {
    name: "quota",
    keys: &["repositories", "bytes", "tags", "each"],
    example: QUOTA_EXAMPLE,
};

/// Tables that say which tags never move.
pub(super) const IMMUTABLE: Kind = Kind {
    name: "immutable",
    keys: &["repositories", "tags"],
    example: IMMUTABLE_EXAMPLE,
};

const RETENTION_EXAMPLE: &str = "\
# Which tags are kept. The first table that fits a repository holds for it; without one all stay.
# A tag that any keep_* names stays. The others go once they were pushed longer ago than expire
# says, and at once where there is a keep_* and no expire. `coracle retention plan` tells what would
# go.
#
# [[retention]]
# repositories = [\"ci/**\"]
# keep_last = 10               # so many tags, those pushed last
# keep_semver = 5              # so many tags, the highest semantic versions
# keep_tags = [\"latest\", \"v*\"] # * is any run of characters, ? one
# keep_pulled = \"30d\"          # tags that were pulled within this time
# expire = \"14d\"               # the other tags go when they were last pushed longer ago
# untagged = \"7d\"              # manifests that nothing holds go after this time
";

const QUOTA_EXAMPLE: &str = "\
# How much there may be; all tables that fit a repository hold. What would be more is refused.
#
# [[quota]]
# repositories = [\"team/**\"]
# bytes = \"10GiB\"  # of blobs and manifests
# tags = 500
# each = true      # for each of the repositories; false: for all of them together
";

const IMMUTABLE_EXAMPLE: &str = "\
# Tags that never move: pushing something else to one, or deleting it or its manifest, is refused.
#
# [[immutable]]
# repositories = [\"release/**\"]
# tags = [\"v*\"]    # all tags without it
";

/// Reads all rules of retention; what is wrong goes to `problems`.
pub(super) fn read_retention(
    value: &Spanned<DeValue<'_>>,
    lines: &Lines<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Retention> {
    RETENTION.read(value, lines, problems, |table| Retention {
        repositories: repositories(table),
        keep_last: keep(table, "keep_last"),
        keep_semver: keep(table, "keep_semver"),
        keep_tags: tags(table, "keep_tags").unwrap_or_default(),
        keep_pulled: life(table, "keep_pulled"),
        expire: life(table, "expire"),
        untagged: life(table, "untagged"),
        origin: table.origin(),
    })
}

/// Reads all quotas; what is wrong goes to `problems`.
pub(super) fn read_quotas(
    value: &Spanned<DeValue<'_>>,
    lines: &Lines<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Quota> {
    QUOTA.read(value, lines, problems, |table| {
        let quota = Quota {
            repositories: repositories(table),
            bytes: table.bytes("bytes", BYTES_MAX),
            tags: table.count("tags", TAGS_MAX),
            each: table.switch("each").unwrap_or(true),
            origin: table.origin(),
        };
        if !table.has("bytes") && !table.has("tags") {
            let why = "is missing, and so is tags; a quota bounds at least one of them";
            table.problem(why.to_owned(), "bytes");
        }
        quota
    })
}

/// Reads which tags never move; what is wrong goes to `problems`.
pub(super) fn read_immutable(
    value: &Spanned<DeValue<'_>>,
    lines: &Lines<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Immutable> {
    IMMUTABLE.read(value, lines, problems, |table| Immutable {
        repositories: repositories(table),
        tags: tags(table, "tags").unwrap_or_else(|| TagGlob::parse("*").into_iter().collect()),
        origin: table.origin(),
    })
}

fn repositories(table: &mut Reader<'_>) -> Vec<Glob> {
    table.list("repositories", |text| {
        Glob::parse_plain(text).map_err(|error| format!("{text:?} {error}"))
    })
}

fn tags(table: &mut Reader<'_>, name: &str) -> Option<Vec<TagGlob>> {
    table.list_if_any(name, |text| {
        TagGlob::parse(text).map_err(|error| format!("{text:?} {error}"))
    })
}

fn life(table: &mut Reader<'_>, name: &str) -> Option<Life> {
    table.text(name, |text| {
        text.parse().map_err(|error| format!("{text:?} {error}"))
    })
}

fn keep(table: &mut Reader<'_>, name: &str) -> Option<usize> {
    let count = table.count(name, TAGS_MAX)?;
    // The bound fits every machine.
    usize::try_from(count).ok()
}

/// A rule of retention as it is shown.
pub(super) fn show_retention(rule: &Retention) -> Shown {
    let count = |name, count: Option<usize>| Some((name, Entry::Number(count? as u64)));
    let time = |name, life: Option<Life>| Some((name, Entry::Text(life?.to_string())));
    let patterns = Some(&rule.keep_tags).filter(|tags| !tags.is_empty());
    let entries = [
        Some(("repositories", Entry::texts(&rule.repositories))),
        count("keep_last", rule.keep_last),
        count("keep_semver", rule.keep_semver),
        patterns.map(|tags| ("keep_tags", Entry::texts(tags))),
        time("keep_pulled", rule.keep_pulled),
        time("expire", rule.expire),
        time("untagged", rule.untagged),
    ];
    Shown {
        origin: rule.origin.clone(),
        entries: entries.into_iter().flatten().collect(),
    }
}

/// A quota as it is shown.
pub(super) fn show_quota(quota: &Quota) -> Shown {
    let entries = [
        Some(("repositories", Entry::texts(&quota.repositories))),
        quota.bytes.map(|bytes| ("bytes", Entry::Bytes(bytes))),
        quota.tags.map(|tags| ("tags", Entry::Number(tags))),
        Some(("each", Entry::Switch(quota.each))),
    ];
    Shown {
        origin: quota.origin.clone(),
        entries: entries.into_iter().flatten().collect(),
    }
}

/// A rule about tags that never move, as it is shown.
pub(super) fn show_immutable(rule: &Immutable) -> Shown {
    Shown {
        origin: rule.origin.clone(),
        entries: vec![
            ("repositories", Entry::texts(&rule.repositories)),
            ("tags", Entry::texts(&rule.tags)),
        ],
    }
}

#[cfg(test)]
mod tests;
