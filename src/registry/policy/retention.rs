//! Which tags go: a decision over what is known of the tags of one repository, and nothing else.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::semver::Version;
use crate::clock::{Life, rfc3339};
use crate::oci::{Glob, Tag, TagGlob};

/// What removed a tag that had a time to live, in the place of a rule.
pub const TIME_TO_LIVE: &str = "time to live";

/// A `[[retention]]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Of which repositories.
    pub repositories: Vec<Glob>,
    /// So many tags stay, those pushed last.
    pub keep_last: Option<usize>,
    /// So many tags stay, those that are the highest semantic versions.
    pub keep_semver: Option<usize>,
    /// Tags of these names stay.
    pub keep_tags: Vec<TagGlob>,
    /// Tags that were pulled within this time stay.
    pub keep_pulled: Option<Life>,
    /// Tags that nothing above keeps go when they were pushed longer ago; without it, at once.
    pub expire: Option<Life>,
    /// Manifests that nothing holds go after this time; without it they stay.
    pub untagged: Option<Life>,
    /// Where it was written, for people.
    pub origin: String,
}

/// What is known of a tag. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagFacts<'a> {
    /// The tag.
    pub name: &'a Tag,
    /// When it was last pushed.
    pub pushed_at: i64,
    /// When it was last pulled, if ever.
    pub pulled_at: Option<i64>,
    /// When its time to live ends, if it has one.
    pub expires_at: Option<i64>,
    /// Whether a rule says that it never moves.
    pub immutable: bool,
}

/// That a tag goes, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where the rule was written, or [`TIME_TO_LIVE`].
    pub origin: String,
    /// Why, in a sentence.
    pub reason: String,
}

impl Retention {
    /// Whether it says anything about tags; a rule with `untagged` alone does not.
    pub const fn is_about_tags(&self) -> bool {
        self.keeps_some() || self.expire.is_some()
    }

    const fn keeps_some(&self) -> bool {
        self.keep_last.is_some()
            || self.keep_semver.is_some()
            || !self.keep_tags.is_empty()
            || self.keep_pulled.is_some()
    }
}

/// A decision about the tags of one repository at one time.
///
/// A tag that is immutable or that a `keep_*` names stays whatever else is said. Of the others go
/// those whose time to live is over; those older than `expire`; and where there is a `keep_*` and
/// no `expire`, all.
///
/// Where the rule [compares](Self::compares), all tags are shown to it first, in any order. So it
/// never holds more of them than the rule keeps.
pub struct Decision<'a> {
    rule: Option<&'a Retention>,
    /// Milliseconds since 1970.
    now: i64,
    last: Highest<(i64, String)>,
    versions: Highest<NamedVersion>,
}

impl<'a> Decision<'a> {
    /// By `rule`, which is the one of the repository, at `now` in milliseconds since 1970.
    pub fn new(rule: Option<&'a Retention>, now: i64) -> Self {
        let count = |of: fn(&Retention) -> Option<usize>| rule.and_then(of).unwrap_or(0);
        Self {
            rule,
            now,
            last: Highest::new(count(|rule| rule.keep_last)),
            versions: Highest::new(count(|rule| rule.keep_semver)),
        }
    }

    /// Whether a tag is compared with the others, so that it must see all of them.
    pub const fn compares(&self) -> bool {
        self.last.count > 0 || self.versions.count > 0
    }

    /// Sees one of the tags.
    pub fn see(&mut self, tag: &TagFacts<'_>) {
        let name = tag.name.as_str();
        let own = (tag.pushed_at, name);
        self.last.offer(
            |(pushed, least)| own > (*pushed, least.as_str()),
            || (tag.pushed_at, name.to_owned()),
        );
        if self.versions.count > 0
            && let Some(own) = version(name)
        {
            self.versions.offer(
                |least| least.key().is_none_or(|least| own > least),
                || NamedVersion(name.to_owned()),
            );
        }
    }

    /// Whether the tag goes, and why. All tags have been seen where that is needed.
    pub fn goes(&self, tag: &TagFacts<'_>) -> Option<Verdict> {
        if tag.immutable || self.keeps(tag) {
            return None;
        }
        time_to_live(tag, self.now).or_else(|| condemn(self.rule?, tag, self.now))
    }

    fn keeps(&self, tag: &TagFacts<'_>) -> bool {
        let Some(rule) = self.rule else {
            return false;
        };
        let name = tag.name.as_str();
        let is_recent = self
            .last
            .least()
            .is_some_and(|(pushed, least)| (tag.pushed_at, name) >= (*pushed, least.as_str()));
        let is_high = || {
            let least = self.versions.least().and_then(NamedVersion::key);
            least.is_some_and(|least| version(name).is_some_and(|own| own >= least))
        };
        let is_pulled = |life| {
            let pulled = tag.pulled_at;
            pulled.is_some_and(|pulled| !is_older(pulled, life, self.now))
        };
        is_recent
            || is_high()
            || rule.keep_tags.iter().any(|glob| glob.matches(tag.name))
            || rule.keep_pulled.is_some_and(is_pulled)
    }
}

fn time_to_live(tag: &TagFacts<'_>, now: i64) -> Option<Verdict> {
    let end = tag.expires_at.filter(|end| *end <= now)?;
    Some(Verdict {
        origin: TIME_TO_LIVE.to_owned(),
        reason: format!("its time to live ended at {}", rfc3339(end)),
    })
}

/// What the rule says about a tag that it does not keep.
fn condemn(rule: &Retention, tag: &TagFacts<'_>, now: i64) -> Option<Verdict> {
    let reason = match rule.expire {
        Some(expire) if is_older(tag.pushed_at, expire, now) => format!(
            "pushed at {}, more than {expire} ago",
            rfc3339(tag.pushed_at)
        ),
        None if rule.keeps_some() => "none of the rule's keep_* names it".to_owned(),
        Some(_) | None => return None,
    };
    Some(Verdict {
        origin: rule.origin.clone(),
        reason,
    })
}

/// Whether more than `life` lies between `then` and `now`.
fn is_older(then: i64, life: Life, now: i64) -> bool {
    now.saturating_sub(then) > life.as_ms()
}

/// A tag's version; of two that are equal in order the name decides, so that the order in which
/// tags come in does not.
fn version(name: &str) -> Option<(Version<'_>, &str)> {
    Some((Version::parse(name)?, name))
}

/// The name of a tag that is a version, in the order of versions.
struct NamedVersion(String);

impl NamedVersion {
    fn key(&self) -> Option<(Version<'_>, &str)> {
        version(&self.0)
    }
}

impl Ord for NamedVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for NamedVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for NamedVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for NamedVersion {}

/// The `count` highest of the values that were offered.
struct Highest<T> {
    count: usize,
    best: BinaryHeap<Reverse<T>>,
}

impl<T: Ord> Highest<T> {
    fn new(count: usize) -> Self {
        Self {
            count,
            best: BinaryHeap::new(),
        }
    }

    /// Takes a value that is above the least of those that are held, or for which there is room.
    fn offer(&mut self, is_above: impl FnOnce(&T) -> bool, value: impl FnOnce() -> T) {
        if self.best.len() < self.count {
            self.best.push(Reverse(value()));
        } else if self.least().is_some_and(is_above) {
            self.best.pop();
            self.best.push(Reverse(value()));
        }
    }

    fn least(&self) -> Option<&T> {
        self.best.peek().map(|least| &least.0)
    }
}
