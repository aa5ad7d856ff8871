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
mod tests {
    use crate::config::parse_toml;

    #[test]
    fn rules_are_read_in_their_order() {
        let text = "[[retention]]\nrepositories = \"ci/**\"\nkeep_last = 10\nkeep_semver = 5\n\
                    keep_tags = [\"latest\", \"v?\"]\nkeep_pulled = \"30d\"\nexpire = \"2w\"\n\
                    untagged = \"12h\"\n\n[[retention]]\nrepositories = [\"keep\", \"a/*\"]\n\n\
                    [[quota]]\nrepositories = \"**\"\nbytes = \"10GiB\"\neach = false\n\n\
                    [[quota]]\nrepositories = \"**\"\ntags = 3\nbytes = 100\n\n\
                    [[immutable]]\nrepositories = \"release/**\"\n\n\
                    [[immutable]]\nrepositories = \"**\"\ntags = \"v*\"\n";
        let policy = parse_toml(text).unwrap().policy;
        let [first, second] = policy.retention.as_slice() else {
            panic!("{policy:?}");
        };
        assert_eq!((first.keep_last, first.keep_semver), (Some(10), Some(5)));
        assert_eq!(first.keep_tags.len(), 2);
        assert_eq!(first.expire.unwrap().to_string(), "14d");
        assert_eq!(first.untagged.unwrap().to_string(), "12h");
        assert_eq!(first.origin, "coracle.toml:1");
        assert!(!second.is_about_tags() && second.untagged.is_none());
        assert_eq!(second.origin, "coracle.toml:10");
        let [together, each] = policy.quotas.as_slice() else {
            panic!("{policy:?}");
        };
        assert_eq!((together.bytes, together.tags), (Some(10 << 30), None));
        assert!(!together.each && each.each);
        assert_eq!((each.bytes, each.tags), (Some(100), Some(3)));
        let [all, some] = policy.immutable.as_slice() else {
            panic!("{policy:?}");
        };
        assert_eq!(all.tags[0].as_str(), "*");
        assert_eq!(some.tags[0].as_str(), "v*");
        assert_eq!(some.origin, "coracle.toml:26");
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let retention = "[[retention]]\nrepositories = \"**\"\n";
        let quota = "[[quota]]\nrepositories = \"**\"\n";
        for (text, expected) in [
            (
                "[retention]\nkeep_last = 1\n".to_owned(),
                "retention in coracle.toml:1: is a list of tables; write [[retention]] and the \
                 rule's keys below",
            ),
            (
                "[[retention]]\nkeep_last = 1\n".to_owned(),
                "retention.repositories in coracle.toml:1: is missing",
            ),
            (
                format!("{retention}keep_lsat = 1\n"),
                "retention.keep_lsat in coracle.toml:3: no such key; did you mean keep_last?",
            ),
            (
                format!("{retention}keep_last = 0\n"),
                "retention.keep_last in coracle.toml:3: must be a whole number from 1 to \
                 1000000000",
            ),
            (
                format!("{retention}expire = \"14\"\n"),
                "retention.expire in coracle.toml:3: \"14\" must be a number and a unit: s, m, h, \
                 d or w, as in 90d",
            ),
            (
                format!("{retention}expire = 14\n"),
                "retention.expire in coracle.toml:3: must be a text",
            ),
            (
                format!("{retention}keep_tags = [\"a/b\"]\n"),
                "retention.keep_tags in coracle.toml:3: \"a/b\" has '/', which no tag has; tags are \
                 of letters, digits, '_', '.' and '-', and in a pattern * is any run of them and \
                 ? one",
            ),
            (
                "[[retention]]\nrepositories = \"home/{user}\"\n".to_owned(),
                "retention.repositories in coracle.toml:2: \"home/{user}\" has {user}, which means \
                 something in access rules only",
            ),
            (
                quota.to_owned(),
                "quota.bytes in coracle.toml:1: is missing, and so is tags; a quota bounds at \
                 least one of them",
            ),
            (
                format!("{quota}bytes = \"ten\"\n"),
                "quota.bytes in coracle.toml:3: must be a number of bytes, such as 1048576, \
                 512KiB, 4MiB or 10GB",
            ),
            (
                format!("{quota}bytes = -1\n"),
                "quota.bytes in coracle.toml:3: must be a number of bytes from 1 to \
                 9007199254740992, such as 512MiB",
            ),
            (
                format!("{quota}tags = 1\neach = \"no\"\n"),
                "quota.each in coracle.toml:4: must be true or false",
            ),
            (
                "[[immutable]]\nrepositories = []\n".to_owned(),
                "immutable.repositories in coracle.toml:2: must hold at least one entry",
            ),
            (
                "[[quotas]]\nrepositories = \"**\"\n".to_owned(),
                "[quotas] in coracle.toml:1: no such section; did you mean [[quota]]?",
            ),
        ] {
            let found = parse_toml(&text).unwrap_err().to_string();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn there_are_not_more_rules_than_are_looked_at_in_no_time() {
        let text = "[[immutable]]\nrepositories = \"**\"\n".repeat(1001);
        let error = parse_toml(&text).unwrap_err().to_string();
        let expected = "immutable in coracle.toml:1: has 1001 rules, the most is 1000";
        assert_eq!(error, expected);
        let text = "[[immutable]]\nrepository = 1\n".repeat(1000);
        assert!(parse_toml(&text).unwrap_err().problems().len() < 30);
    }
}
