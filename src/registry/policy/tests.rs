//! What rules keep and what goes, as tables and as properties.

use proptest::prelude::*;

use super::quota::Measure;
use super::*;
use crate::clock::Life;
use crate::oci::TagGlob;

const DAY: i64 = 86_400_000;
const NOW: i64 = 1_000 * DAY;

fn life(text: &str) -> Life {
    text.parse().unwrap()
}

fn globs(texts: &[&str]) -> Vec<Glob> {
    let parse = |text: &&str| Glob::parse_plain(text).unwrap();
    texts.iter().map(parse).collect()
}

fn tag_globs(texts: &[&str]) -> Vec<TagGlob> {
    let parse = |text: &&str| TagGlob::parse(text).unwrap();
    texts.iter().map(parse).collect()
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

/// What a test says of a tag.
#[derive(Clone, Debug)]
struct Known {
    name: Tag,
    pushed_at: i64,
    pulled_at: Option<i64>,
    expires_at: Option<i64>,
    immutable: bool,
}

impl Known {
    fn facts(&self) -> TagFacts<'_> {
        TagFacts {
            name: &self.name,
            pushed_at: self.pushed_at,
            pulled_at: self.pulled_at,
            expires_at: self.expires_at,
            immutable: self.immutable,
        }
    }
}

/// A tag that was pushed so many days ago.
fn tag(name: &str, days: i64) -> Known {
    Known {
        name: name.parse().unwrap(),
        pushed_at: NOW - days * DAY,
        pulled_at: None,
        expires_at: None,
        immutable: false,
    }
}

fn rule() -> Retention {
    Retention {
        origin: "coracle.toml:7".to_owned(),
        ..Retention::default()
    }
}

/// What goes, in the order of `tags`.
fn plan<'a>(rule: Option<&Retention>, tags: &'a [Known], now: i64) -> Vec<(&'a Known, Verdict)> {
    let mut decision = Decision::new(rule, now);
    if decision.compares() {
        for tag in tags {
            decision.see(&tag.facts());
        }
    }
    tags.iter()
        .filter_map(|tag| Some((tag, decision.goes(&tag.facts())?)))
        .collect()
}

fn going(rule: Option<&Retention>, tags: &[Known], now: i64) -> Vec<String> {
    let planned = plan(rule, tags, now);
    planned
        .iter()
        .map(|(tag, _)| tag.name.to_string())
        .collect()
}

#[test]
fn each_clause_keeps_what_it_names() {
    let pulled = |name, days, pulled: i64| Known {
        pulled_at: Some(NOW - pulled * DAY),
        ..tag(name, days)
    };
    let tags = [
        tag("1.0.0", 40),
        tag("v1.10.0", 30),
        pulled("1.9.0", 20, 3),
        tag("2.0.0-rc1", 10),
        tag("latest", 5),
        pulled("dev", 4, 400),
    ];
    let cases: [(Retention, &[&str]); 10] = [
        (rule(), &[]),
        (
            Retention {
                keep_last: Some(2),
                ..rule()
            },
            &["1.0.0", "v1.10.0", "1.9.0", "2.0.0-rc1"],
        ),
        (
            Retention {
                keep_last: Some(100),
                ..rule()
            },
            &[],
        ),
        (
            Retention {
                keep_semver: Some(2),
                ..rule()
            },
            &["1.0.0", "1.9.0", "latest", "dev"],
        ),
        (
            Retention {
                keep_tags: tag_globs(&["late*", "1.?.0"]),
                ..rule()
            },
            &["v1.10.0", "2.0.0-rc1", "dev"],
        ),
        (
            Retention {
                keep_pulled: Some(life("30d")),
                ..rule()
            },
            &["1.0.0", "v1.10.0", "2.0.0-rc1", "latest", "dev"],
        ),
        (
            Retention {
                expire: Some(life("10d")),
                ..rule()
            },
            &["1.0.0", "v1.10.0", "1.9.0"],
        ),
        (
            Retention {
                expire: Some(life("10d")),
                keep_semver: Some(2),
                ..rule()
            },
            &["1.0.0", "1.9.0"],
        ),
        (
            Retention {
                untagged: Some(life("1s")),
                ..rule()
            },
            &[],
        ),
        (
            Retention {
                keep_last: Some(1),
                keep_semver: Some(1),
                keep_pulled: Some(life("1w")),
                ..rule()
            },
            &["1.0.0", "v1.10.0", "latest"],
        ),
    ];
    for (rule, expected) in cases {
        assert_eq!(going(Some(&rule), &tags, NOW), expected, "{rule:?}");
    }
    assert_eq!(going(None, &tags, NOW), [""; 0]);
}

#[test]
fn a_pre_release_stands_below_its_release_and_words_are_no_versions() {
    let rule = Retention {
        keep_semver: Some(1),
        ..rule()
    };
    let tags = [tag("2.0.0-rc.1", 1), tag("2.0.0", 2), tag("3", 1)];
    assert_eq!(going(Some(&rule), &tags, NOW), ["2.0.0-rc.1", "3"]);
}

#[test]
fn a_time_to_live_needs_no_rule_and_yields_to_what_is_kept() {
    let tags = [
        Known {
            expires_at: Some(NOW),
            ..tag("over", 1)
        },
        Known {
            expires_at: Some(NOW + 1),
            ..tag("not-yet", 1)
        },
        Known {
            expires_at: Some(NOW - 1),
            immutable: true,
            ..tag("fixed", 1)
        },
    ];
    assert_eq!(going(None, &tags, NOW), ["over"]);
    let keeping = Retention {
        keep_tags: tag_globs(&["over"]),
        expire: Some(life("30d")),
        ..rule()
    };
    assert_eq!(going(Some(&keeping), &tags, NOW), [""; 0]);
    let expiring = Retention {
        expire: Some(life("30d")),
        ..rule()
    };
    let planned = plan(Some(&expiring), &tags, NOW);
    assert_eq!(planned.len(), 1);
    assert_eq!(planned[0].1.origin, retention::TIME_TO_LIVE);
    assert_eq!(
        planned[0].1.reason,
        "its time to live ended at 1972-09-27T00:00:00Z"
    );
}

#[test]
fn immutable_tags_stay_and_reasons_are_said() {
    let expiring = Retention {
        expire: Some(life("30d")),
        ..rule()
    };
    let fixed = Known {
        immutable: true,
        ..tag("fixed", 31)
    };
    let tags = [fixed, tag("old", 31), tag("young", 30)];
    let planned = plan(Some(&expiring), &tags, NOW);
    let [(gone, verdict)] = planned.as_slice() else {
        panic!("{planned:?}");
    };
    assert_eq!(gone.name.as_str(), "old");
    assert_eq!(verdict.origin, "coracle.toml:7");
    assert_eq!(
        verdict.reason,
        "pushed at 1972-08-27T00:00:00Z, more than 30d ago"
    );
    let keeping = Retention {
        keep_tags: tag_globs(&["young"]),
        ..rule()
    };
    let planned = plan(Some(&keeping), &tags, NOW);
    assert_eq!(planned[0].1.reason, "none of the rule's keep_* names it");
}

#[test]
fn the_first_rule_that_fits_holds() {
    let of = |repositories: &[&str], origin: &str| Retention {
        repositories: globs(repositories),
        origin: origin.to_owned(),
        ..Retention::default()
    };
    let rules = Rules {
        retention: vec![of(&["ci/**", "tmp/*"], "1"), of(&["**"], "2")],
        ..Rules::default()
    };
    let origin = |text| rules.retention_of(&name(text)).unwrap().origin.as_str();
    assert_eq!(origin("ci/a/b"), "1");
    assert_eq!(origin("tmp/a"), "1");
    assert_eq!(origin("tmp/a/b"), "2");
    assert_eq!(Rules::default().retention_of(&name("a")), None);
}

fn quota(repositories: &[&str], bytes: Option<u64>, tags: Option<u64>, each: bool) -> Quota {
    Quota {
        repositories: globs(repositories),
        bytes,
        tags,
        each,
        origin: "coracle.toml:9".to_owned(),
    }
}

#[test]
fn quotas_count_up_to_their_bound() {
    let usage = |bytes, tags| Usage { bytes, tags };
    let both = quota(&["team/**"], Some(100), Some(3), true);
    let measure = |used, more| {
        both.excess(&name("team/a"), used, more)
            .map(|excess| (excess.measure, excess.used, excess.asked))
    };
    assert_eq!(measure(usage(60, 0), usage(40, 1)), None);
    assert_eq!(
        measure(usage(60, 0), usage(41, 1)),
        Some((Measure::Bytes, 60, 41))
    );
    assert_eq!(
        measure(usage(0, 3), usage(1, 1)),
        Some((Measure::Tags, 3, 1))
    );
    // What adds nothing is fine, also above a bound that was lowered.
    assert_eq!(measure(usage(900, 9), usage(0, 0)), None);
    assert_eq!(
        measure(usage(900, 9), usage(1, 0)),
        Some((Measure::Bytes, 900, 1))
    );
    assert_eq!(
        measure(usage(u64::MAX, 0), usage(u64::MAX, 0)),
        Some((Measure::Bytes, u64::MAX, u64::MAX))
    );
}

#[test]
fn a_refusal_names_its_figures() {
    let used = Usage { bytes: 90, tags: 0 };
    let more = Usage { bytes: 20, tags: 1 };
    let said = |quota: &Quota| {
        let excess = quota.excess(&name("team/a"), used, more).unwrap();
        excess.to_string()
    };
    assert_eq!(
        said(&quota(&["team/**"], Some(100), None, true)),
        "repository team/a may hold at most 100 bytes, holds 90 and would need 20 more (quota in \
         coracle.toml:9); delete manifests that nobody needs, or ask for more"
    );
    let together = quota(&["team/**"], Some(100), None, false);
    assert_eq!(
        said(&together),
        "the repositories under this quota may together hold at most 100 bytes, holds 90 and \
         would need 20 more (quota in coracle.toml:9); delete manifests that nobody needs, or \
         ask for more"
    );
    assert!(!together.is_of_store());
    assert!(quota(&["**"], None, None, false).is_of_store());
    assert!(!quota(&["**"], None, None, true).is_of_store());
}

#[test]
fn every_quota_and_any_immutability_that_fits_holds() {
    let rules = Rules {
        quotas: vec![
            quota(&["**"], Some(1), None, false),
            quota(&["team/*"], None, Some(1), true),
            quota(&["other/*"], None, Some(1), true),
        ],
        immutable: vec![
            Immutable {
                repositories: globs(&["team/*"]),
                tags: tag_globs(&["v*"]),
                origin: "1".to_owned(),
            },
            Immutable {
                repositories: globs(&["**"]),
                tags: tag_globs(&["final"]),
                origin: "2".to_owned(),
            },
        ],
        ..Rules::default()
    };
    assert_eq!(rules.quotas_of(&name("team/a")).count(), 2);
    assert_eq!(rules.quotas_of(&name("a")).count(), 1);
    let fixed = |repository, tag: &str| {
        let rule = rules.immutable(&name(repository), &tag.parse().unwrap());
        rule.map(|rule| rule.origin.as_str())
    };
    assert_eq!(fixed("team/a", "v1"), Some("1"));
    assert_eq!(fixed("team/a", "final"), Some("2"));
    assert_eq!(fixed("a", "v1"), None);
}

fn any_tags() -> impl Strategy<Value = Vec<Known>> {
    let names = prop_oneof!["[a-c]{1,2}", "v?[0-2]\\.[0-2]\\.[0-2](-rc[0-2])?"];
    let one = (
        names,
        0..60_i64,
        proptest::option::of(-5..60_i64),
        proptest::option::of(-30..30_i64),
        proptest::bool::weighted(0.1),
    );
    proptest::collection::vec(one, 0..20).prop_map(|all| {
        let mut tags: Vec<Known> = all
            .into_iter()
            .map(|(name, days, pulled, expires, immutable)| Known {
                pulled_at: pulled.map(|days| NOW - days * DAY),
                expires_at: expires.map(|days| NOW - days * DAY),
                immutable,
                ..tag(&name, days)
            })
            .collect();
        tags.sort_by(|one, other| one.name.cmp(&other.name));
        tags.dedup_by(|one, other| one.name == other.name);
        tags
    })
}

fn any_rule() -> impl Strategy<Value = Retention> {
    let some_life = || proptest::option::of((1..60_u32).prop_map(|days| life(&format!("{days}d"))));
    let patterns = proptest::collection::vec("[a-c*?]{1,2}", 0..2);
    (
        proptest::option::of(1..6_usize),
        proptest::option::of(1..6_usize),
        patterns,
        some_life(),
        some_life(),
        some_life(),
    )
        .prop_map(|(last, versions, patterns, pulled, expire, untagged)| {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            Retention {
                keep_last: last,
                keep_semver: versions,
                keep_tags: tag_globs(&patterns),
                keep_pulled: pulled,
                expire,
                untagged,
                ..rule()
            }
        })
}

/// What the rule's clauses name, each in the plainest way.
fn named(rule: &Retention, tags: &[Known]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    let mut by_time: Vec<&Known> = tags.iter().collect();
    by_time.sort_by_key(|tag| (tag.pushed_at, tag.name.as_str()));
    let newest = by_time.iter().rev().take(rule.keep_last.unwrap_or(0));
    kept.extend(newest.map(|tag| tag.name.to_string()));
    let mut by_version: Vec<_> = tags
        .iter()
        .filter_map(|tag| Some((semver::Version::parse(tag.name.as_str())?, &tag.name)))
        .collect();
    by_version.sort();
    let highest = by_version.iter().rev().take(rule.keep_semver.unwrap_or(0));
    kept.extend(highest.map(|(_, name)| name.to_string()));
    for tag in tags {
        let matches = rule.keep_tags.iter().any(|glob| glob.matches(&tag.name));
        let is_pulled = rule.keep_pulled.is_some_and(|within| {
            tag.pulled_at
                .is_some_and(|pulled| NOW - pulled <= within.as_ms())
        });
        if matches || is_pulled || tag.immutable {
            kept.push(tag.name.to_string());
        }
    }
    kept
}

proptest! {
    #[test]
    fn nothing_goes_that_a_keep_names(rule in any_rule(), tags in any_tags()) {
        let gone = going(Some(&rule), &tags, NOW);
        let kept = named(&rule, &tags);
        for tag in &gone {
            prop_assert!(!kept.contains(tag), "{tag}");
        }
        // And all else goes that is old, over, or was not kept where nothing but that is asked.
        for tag in &tags {
            let text = tag.name.to_string();
            let is_old = rule.expire.is_some_and(|life| NOW - tag.pushed_at > life.as_ms());
            let is_over = tag.expires_at.is_some_and(|end| end <= NOW);
            let at_once = rule.is_about_tags() && rule.expire.is_none();
            let expected = !kept.contains(&text) && (is_old || is_over || at_once);
            prop_assert_eq!(gone.contains(&text), expected, "{}", text);
        }
    }

    #[test]
    fn another_clause_never_removes_more(
        rule in any_rule().prop_filter("about tags", Retention::is_about_tags),
        more in any_rule(),
        tags in any_tags(),
    ) {
        let before = going(Some(&rule), &tags, NOW);
        let wider = Retention {
            keep_last: rule.keep_last.max(more.keep_last),
            keep_semver: rule.keep_semver.max(more.keep_semver),
            keep_tags: [rule.keep_tags.clone(), more.keep_tags].concat(),
            keep_pulled: rule.keep_pulled.max(more.keep_pulled),
            ..rule
        };
        for tag in going(Some(&wider), &tags, NOW) {
            prop_assert!(before.contains(&tag), "{tag}");
        }
    }

    #[test]
    fn the_order_of_tags_does_not_matter(
        rule in any_rule(),
        (tags, shuffled) in any_tags().prop_flat_map(|tags| {
            (Just(tags.clone()), Just(tags).prop_shuffle())
        }),
    ) {
        let mut one = going(Some(&rule), &tags, NOW);
        let mut other = going(Some(&rule), &shuffled, NOW);
        one.sort();
        other.sort();
        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_clock_that_goes_back_removes_nothing_more(
        rule in any_rule(),
        tags in any_tags(),
        back in 0..100_i64,
    ) {
        let now = going(Some(&rule), &tags, NOW);
        for tag in going(Some(&rule), &tags, NOW - back * DAY) {
            prop_assert!(now.contains(&tag), "{tag}");
        }
    }

    #[test]
    fn times_at_the_ends_of_their_type_do_no_harm(
        rule in any_rule(),
        pushed_at in any::<i64>(),
        now in any::<i64>(),
    ) {
        let tags = [Known { pushed_at, pulled_at: Some(pushed_at), ..tag("a", 0) }];
        prop_assert!(plan(Some(&rule), &tags, now).len() <= 1);
    }
}
