//! Which tags go: a decision over what is known of the tags of one repository, and nothing else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::semver::Version;
use crate::clock::{Life, rfc3339};
use crate::oci::{Digest, Glob, Tag, TagGlob};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFacts {
    /// The tag.
    pub name: Tag,
    /// The manifest it points to.
    pub digest: Digest,
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

/// The tags that go at `now` (milliseconds since 1970), in the order of `tags`, each with why.
/// `rule` is the one of their repository, `tags` are all of its tags, in any order.
///
/// A tag that is immutable or that a `keep_*` names stays whatever else is said. Of the others go
/// those whose time to live is over; those older than `expire`; and where there is a `keep_*` and
/// no `expire`, all.
pub fn plan<'a>(
    rule: Option<&Retention>,
    tags: &'a [TagFacts],
    now: i64,
) -> Vec<(&'a TagFacts, Verdict)> {
    let kept = rule.map(|rule| Kept::of(rule, tags, now));
    let goes = |tag: &TagFacts| {
        if tag.immutable || kept.as_ref().is_some_and(|kept| kept.holds(tag)) {
            return None;
        }
        time_to_live(tag, now).or_else(|| condemn(rule?, tag, now))
    };
    tags.iter()
        .filter_map(|tag| Some((tag, goes(tag)?)))
        .collect()
}

fn time_to_live(tag: &TagFacts, now: i64) -> Option<Verdict> {
    let end = tag.expires_at.filter(|end| *end <= now)?;
    Some(Verdict {
        origin: TIME_TO_LIVE.to_owned(),
        reason: format!("its time to live ended at {}", rfc3339(end)),
    })
}

/// What the rule says about a tag that it does not keep.
fn condemn(rule: &Retention, tag: &TagFacts, now: i64) -> Option<Verdict> {
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

/// What a rule keeps, as bounds that a single tag can be compared with.
struct Kept<'a> {
    rule: &'a Retention,
    now: i64,
    /// The least of the tags pushed last that still stays; `None` when none does.
    last: Option<(i64, &'a str)>,
    /// The lowest version that still stays.
    lowest: Option<(Version<'a>, &'a str)>,
}

impl<'a> Kept<'a> {
    fn of(rule: &'a Retention, tags: &'a [TagFacts], now: i64) -> Self {
        let pushed = tags.iter().map(|tag| (tag.pushed_at, tag.name.as_str()));
        let versions = tags.iter().filter_map(version);
        Self {
            rule,
            now,
            last: rule.keep_last.and_then(|count| highest(pushed, count)),
            lowest: rule.keep_semver.and_then(|count| highest(versions, count)),
        }
    }

    fn holds(&self, tag: &TagFacts) -> bool {
        let is_recent = || (tag.pushed_at, tag.name.as_str());
        self.last.is_some_and(|least| is_recent() >= least)
            || self
                .lowest
                .is_some_and(|lowest| version(tag).is_some_and(|own| own >= lowest))
            || self
                .rule
                .keep_tags
                .iter()
                .any(|glob| glob.matches(&tag.name))
            || self.rule.keep_pulled.is_some_and(|life| {
                tag.pulled_at
                    .is_some_and(|pulled| !is_older(pulled, life, self.now))
            })
    }
}

/// A tag's version; of two that are equal in order the name decides, so that the order in which
/// tags come in does not.
fn version(tag: &TagFacts) -> Option<(Version<'_>, &str)> {
    let name = tag.name.as_str();
    Some((Version::parse(name)?, name))
}

/// The least of the `count` highest values, without sorting all of them; `None` for none.
fn highest<T: Ord + Copy>(values: impl Iterator<Item = T>, count: usize) -> Option<T> {
    let mut best = BinaryHeap::new();
    for value in values {
        if best.len() < count {
            best.push(Reverse(value));
        } else if best
            .peek()
            .is_some_and(|least: &Reverse<T>| value > least.0)
        {
            best.pop();
            best.push(Reverse(value));
        }
    }
    best.peek().map(|least| least.0)
}
