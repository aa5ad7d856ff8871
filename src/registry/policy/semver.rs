//! Tags that are semantic versions (semver 2.0), and their order.
//!
//! A leading `v` is allowed. A tag cannot hold the `+` before a version's build metadata, so that
//! `_` stands for it, as Helm writes it; build metadata has no part in the order.

use std::cmp::Ordering;

/// A semantic version within a tag's text.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// Major, minor and patch: digits without leading zeros, of any length.
    numbers: [&'a str; 3],
    /// What follows a `-`: dotted identifiers. Empty for a release.
    pre_release: &'a str,
}

impl<'a> Version<'a> {
    /// The version that the text is; `None` when it is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = match text.split_once('_') {
            Some((version, build)) if identifiers(build, |_| true) => version,
            Some(_) => return None,
            None => text,
        };
        let (core, pre_release) = match text.split_once('-') {
            Some((core, pre)) if identifiers(pre, is_pre_release) => (core, pre),
            Some(_) => return None,
            None => (text, ""),
        };
        let mut parts = core.split('.');
        let numbers = [parts.next()?, parts.next()?, parts.next()?];
        let are_numbers = numbers.iter().all(|number| is_number(number));
        (are_numbers && parts.next().is_none()).then_some(Self {
            numbers,
            pre_release,
        })
    }
}

/// Whether the text is dotted identifiers, each of which is as it must be.
fn identifiers(text: &str, is_allowed: impl Fn(&str) -> bool) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.split('.').all(|identifier| {
        !identifier.is_empty() && identifier.chars().all(is_word) && is_allowed(identifier)
    })
}

/// Only an identifier with a letter or a `-` may begin with a zero.
fn is_pre_release(identifier: &str) -> bool {
    !is_digits(identifier) || is_number(identifier)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    is_digits(text) && (text == "0" || !text.starts_with('0'))
}

/// Numbers of any length: without leading zeros the longer one is the larger.
fn compare_numbers(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// Numbers stand below words.
fn compare_identifiers(one: &str, other: &str) -> Ordering {
    match (is_digits(one), is_digits(other)) {
        (true, true) => compare_numbers(one, other),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => one.cmp(other),
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = self.numbers.iter().zip(other.numbers);
        for (one, other) in numbers {
            let order = compare_numbers(one, other);
            if order.is_ne() {
                return order;
            }
        }
        match (self.pre_release, other.pre_release) {
            ("", "") => Ordering::Equal,
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            (one, other) => {
                let (mut one, mut other) = (one.split('.'), other.split('.'));
                loop {
                    let order = match (one.next(), other.next()) {
                        (None, None) => return Ordering::Equal,
                        (None, Some(_)) => Ordering::Less,
                        (Some(_), None) => Ordering::Greater,
                        (Some(one), Some(other)) => compare_identifiers(one, other),
                    };
                    if order.is_ne() {
                        return order;
                    }
                }
            }
        }
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version<'_> {
        Version::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn versions_have_the_order_of_the_specification() {
        let ascending = [
            "0.0.0-0",
            "0.0.0",
            "0.9.99",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "v2.0.0",
            "2.1.0",
            "2.1.1-9",
            "2.1.1-10",
            "2.1.1--",
            "2.1.1-1a",
            "2.1.1-A",
            "2.1.1-a",
            "2.1.1",
            "10.0.0",
            "99999999999999999999999.0.0",
            "100000000000000000000000.0.0",
        ];
        for (at, one) in ascending.iter().enumerate() {
            for (place, other) in ascending.iter().enumerate() {
                let found = version(one).cmp(&version(other));
                assert_eq!(found, at.cmp(&place), "{one} {other}");
            }
        }
    }

    #[test]
    fn build_metadata_has_no_part_in_the_order() {
        assert_eq!(version("1.2.3_5"), version("v1.2.3"));
        assert_eq!(version("1.2.3-rc.1_build.007"), version("1.2.3-rc.1_x"));
    }

    #[test]
    fn what_is_no_version_is_not_taken_for_one() {
        for text in [
            "",
            "latest",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.02.3",
            "1.2.x",
            "v",
            "vv1.2.3",
            "V1.2.3",
            "1.2.3-",
            "1.2.3-a..b",
            "1.2.3-01",
            "1.2.3_",
            "1.2.3_a_b",
            "1.2.3-a_",
            "-1.2.3",
            "1.2.3 ",
            "1..3",
            ".1.2",
        ] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }
}
