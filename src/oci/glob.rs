//! Patterns over repository names: `*` is any run of characters within one component, `**` any
//! run of characters, also over `/`, and `{user}` the name of whoever asks. Only what is decided
//! about somebody who asks knows `{user}`; all else reads its patterns with [`Glob::parse_plain`].

use std::fmt;

use super::RepositoryName;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `*`
    Component,
    /// `**`
    Anything,
    /// `{user}`
    User,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobError {
    /// Nothing at all.
    Empty,
    /// Longer than any name can be.
    TooLong,
    /// A brace that is not `{user}`.
    Braces,
    /// `{user}`, where nobody asks.
    User,
    /// A character that no repository name has, so that it would match nothing.
    Character(char),
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty; ** matches every repository"),
            Self::TooLong => write!(
                f,
                "is longer than {} characters, the most that a repository name has",
                RepositoryName::LENGTH_MAX
            ),
            Self::Braces => f.write_str("has braces, which may only stand in {user}"),
            Self::User => f.write_str("has {user}, which means something in access rules only"),
            Self::Character(character) => write!(
                f,
                "has {character:?}, which no repository name has; names are of lower-case \
                 letters, digits, '.', '_', '-' and '/'"
            ),
        }
    }
}

impl std::error::Error for GlobError {}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`GlobError`].
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.len() > RepositoryName::LENGTH_MAX {
            return Err(GlobError::TooLong);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("{user}") {
                parts.push(Part::User);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("**") {
                parts.push(Part::Anything);
                // More stars say nothing more, and would only cost time.
                rest = after.trim_start_matches('*');
            } else if first == '*' {
                parts.push(Part::Component);
                rest = &rest[1..];
            } else {
                let end = rest.find(['*', '{']).unwrap_or(rest.len());
                if end == 0 {
                    return Err(GlobError::Braces);
                }
                parts.push(Part::Text(plain(&rest[..end])?.to_owned()));
                rest = &rest[end..];
            }
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// Reads a pattern that is the same for everybody.
    ///
    /// # Errors
    /// [`GlobError`], also for `{user}`.
    pub fn parse_plain(text: &str) -> Result<Self, GlobError> {
        let glob = Self::parse(text)?;
        if glob.parts.contains(&Part::User) {
            return Err(GlobError::User);
        }
        Ok(glob)
    }

    /// Whether the pattern fits every repository there can be.
    pub fn is_everything(&self) -> bool {
        self.parts == [Part::Anything]
    }

    /// Whether `name` fits when asked by a user of this name; nobody is `{user}` without one.
    pub fn matches(&self, name: &RepositoryName, user: Option<&str>) -> bool {
        matches(&self.parts, name.as_str(), user)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn plain(text: &str) -> Result<&str, GlobError> {
    let is_known = |c: char| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | '/')
    };
    match text.chars().find(|c| !is_known(*c)) {
        None => Ok(text),
        Some('}') => Err(GlobError::Braces),
        Some(character) => Err(GlobError::Character(character)),
    }
}

/// Where the match goes on when what follows a star did not fit.
#[derive(Clone, Copy)]
struct Retry<'a> {
    part: usize,
    rest: &'a str,
}

/// Matches greedily to the left with two places to go back to, the last `*` and the last `**`, so
/// that no pattern costs more than its length times the name's length, squared.
fn matches(parts: &[Part], name: &str, user: Option<&str>) -> bool {
    let mut at = 0;
    let mut rest = name;
    let (mut component, mut anything): (Option<Retry<'_>>, Option<Retry<'_>>) = (None, None);
    loop {
        let fits = match parts.get(at) {
            None => rest.is_empty(),
            Some(Part::Text(text)) => take(&mut rest, text),
            Some(Part::User) => match user {
                // A name with a slash would reach into what belongs to somebody else.
                Some(user) if !user.is_empty() && !user.contains('/') => take(&mut rest, user),
                _ => return false,
            },
            Some(Part::Component) => {
                component = Some(Retry { part: at + 1, rest });
                true
            }
            Some(Part::Anything) => {
                anything = Some(Retry { part: at + 1, rest });
                component = None;
                true
            }
        };
        if fits {
            if at == parts.len() {
                return true;
            }
            at += 1;
            continue;
        }
        // A `*` takes one character more, as long as that is no `/`; else a `**` does.
        let wider = component
            .filter(|retry| !retry.rest.starts_with('/'))
            .and_then(longer)
            .inspect(|retry| component = Some(*retry))
            .or_else(|| {
                component = None;
                anything
                    .and_then(longer)
                    .inspect(|retry| anything = Some(*retry))
            });
        let Some(Retry { part, rest: from }) = wider else {
            return false;
        };
        at = part;
        rest = from;
    }
}

fn take(rest: &mut &str, text: &str) -> bool {
    match rest.strip_prefix(text) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

fn longer(retry: Retry<'_>) -> Option<Retry<'_>> {
    let mut characters = retry.rest.chars();
    characters.next()?;
    Some(Retry {
        rest: characters.as_str(),
        ..retry
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(glob: &str, name: &str, user: Option<&str>) -> bool {
        Glob::parse(glob)
            .unwrap()
            .matches(&name.parse().unwrap(), user)
    }

    #[test]
    fn patterns_match_as_they_say() {
        for (glob, name, expected) in [
            ("**", "a", true),
            ("**", "a/b/c", true),
            ("*", "a", true),
            ("*", "a/b", false),
            ("team/*", "team/app", true),
            ("team/*", "team/app/x", false),
            ("team/*", "team", false),
            ("team/**", "team/app/x", true),
            ("team/**", "team", false),
            ("team**", "team", true),
            ("*/app", "team/app", true),
            ("*/app", "a/team/app", false),
            ("**/app", "a/team/app", true),
            ("**/app", "app", false),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*b*c", "aXbXc".to_lowercase().as_str(), true),
            ("a*/b*/c", "a1/b2/c", true),
            ("a*/b*/c", "a1/x/c", false),
            ("**/b/**/d", "a/b/c/b/d", true),
            ("**a*b", "xa/ayb", true),
            ("**a*b", "xa/yb", false),
            ("app", "app2", false),
            ("app", "ap", false),
            ("ci-*", "ci-linux", true),
        ] {
            assert_eq!(fits(glob, name, None), expected, "{glob} on {name}");
        }
    }

    #[test]
    fn the_user_is_whoever_asks() {
        assert!(fits("home/{user}/**", "home/ada/app", Some("ada")));
        assert!(!fits("home/{user}/**", "home/ada/app", Some("bob")));
        assert!(!fits("home/{user}/**", "home/ada/app", None));
        assert!(!fits("home/{user}", "home/a", Some("")));
        // A name is never read as a pattern.
        assert!(!fits("home/{user}/x", "home/ada/x", Some("*")));
        assert!(!fits("home/{user}/x", "home/ada/x", Some("a{user}")));
        assert!(!fits("home/{user}/x", "home/ada/b/x", Some("ada/b")));
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for (text, error) in [
            ("", GlobError::Empty),
            ("a{b}", GlobError::Braces),
            ("{user", GlobError::Braces),
            ("user}", GlobError::Braces),
            ("Team/*", GlobError::Character('T')),
            ("a b", GlobError::Character(' ')),
        ] {
            assert_eq!(Glob::parse(text), Err(error), "{text}");
        }
        assert_eq!(Glob::parse(&"a".repeat(256)), Err(GlobError::TooLong));
    }

    #[test]
    fn where_nobody_asks_no_pattern_speaks_of_who_does() {
        assert!(Glob::parse("home/{user}").is_ok());
        assert_eq!(Glob::parse_plain("home/{user}"), Err(GlobError::User));
        assert_eq!(Glob::parse_plain("A"), Err(GlobError::Character('A')));
        assert!(Glob::parse_plain("***").unwrap().is_everything());
        for part in ["*", "**/a", "a**"] {
            assert!(!Glob::parse_plain(part).unwrap().is_everything(), "{part}");
        }
    }

    /// The plainest way to match, for comparison.
    fn model(parts: &[Part], name: &str) -> bool {
        match parts.split_first() {
            None => name.is_empty(),
            Some((Part::Text(text), rest)) => name
                .strip_prefix(text.as_str())
                .is_some_and(|after| model(rest, after)),
            Some((Part::User, _)) => false,
            Some((part, rest)) => (0..=name.len()).any(|end| {
                let is_component = *part == Part::Component;
                !(is_component && name[..end].contains('/')) && model(rest, &name[end..])
            }),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_plainest_way(
            glob in "[ab/*]{1,9}",
            name in "[ab]{1,4}(/[ab]{1,4}){0,3}",
        ) {
            let glob = Glob::parse(&glob).unwrap();
            let name: RepositoryName = name.parse().unwrap();
            prop_assert_eq!(glob.matches(&name, None), model(&glob.parts, name.as_str()));
        }
    }

    #[test]
    fn a_pattern_of_stars_costs_little() {
        let glob = "*a".repeat(100);
        let name = "a/".repeat(100) + "b";
        assert!(!fits(&glob, &name, None));
        let glob = "**a*a".repeat(40);
        assert!(!fits(&glob, &name, None));
    }
}
