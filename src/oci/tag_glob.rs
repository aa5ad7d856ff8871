//! Patterns over tags: `*` is any run of characters, `?` one character, all else itself.

use std::fmt;

use super::Tag;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagGlob(String);

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagGlobError {
    /// Nothing at all.
    Empty,
    /// Longer than any tag can be.
    TooLong,
    /// A character that no tag has, so that it would match nothing.
    Character(char),
}

impl fmt::Display for TagGlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty; * matches every tag"),
            Self::TooLong => write!(
                f,
                "is longer than {} characters, the most that a tag has",
                Tag::LENGTH_MAX
            ),
            Self::Character(character) => write!(
                f,
                "has {character:?}, which no tag has; tags are of letters, digits, '_', '.' and \
                 '-', and in a pattern * is any run of them and ? one"
            ),
        }
    }
}

impl std::error::Error for TagGlobError {}

impl TagGlob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`TagGlobError`].
    pub fn parse(text: &str) -> Result<Self, TagGlobError> {
        if text.is_empty() {
            return Err(TagGlobError::Empty);
        }
        if text.len() > Tag::LENGTH_MAX {
            return Err(TagGlobError::TooLong);
        }
        let is_known = |c: char| c.is_ascii_alphanumeric() || "_.-*?".contains(c);
        match text.chars().find(|c| !is_known(*c)) {
            None => Ok(Self(text.to_owned())),
            Some(character) => Err(TagGlobError::Character(character)),
        }
    }

    /// Whether the tag fits.
    pub fn matches(&self, tag: &Tag) -> bool {
        matches(self.0.as_bytes(), tag.as_str().as_bytes())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TagGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Matches greedily, with the last `*` as the place to go back to: no pattern costs more than its
/// length times the tag's.
fn matches(glob: &[u8], tag: &[u8]) -> bool {
    let (mut at, mut pos) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while pos < tag.len() {
        match glob.get(at) {
            Some(b'*') => {
                at += 1;
                retry = Some((at, pos));
            }
            Some(byte) if *byte == b'?' || *byte == tag[pos] => {
                at += 1;
                pos += 1;
            }
            _ => {
                // The last `*` takes one character more.
                let Some((after, from)) = retry else {
                    return false;
                };
                retry = Some((after, from + 1));
                (at, pos) = (after, from + 1);
            }
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_they_say() {
        for (glob, tag, expected) in [
            ("*", "a", true),
            ("latest", "latest", true),
            ("latest", "latest2", false),
            ("latest", "Latest", false),
            ("v1.*", "v1.2", true),
            ("v1.*", "v1", false),
            ("v1.*", "v1.", true),
            ("v?.?", "v1.2", true),
            ("v?.?", "v1.22", false),
            ("*-rc?", "1.0-rc1", true),
            ("*-rc?", "1.0-rc", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("**a", "bbba", true),
            ("???", "ab", false),
        ] {
            let found = TagGlob::parse(glob).unwrap().matches(&tag.parse().unwrap());
            assert_eq!(found, expected, "{glob} on {tag}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for (text, error) in [
            ("", TagGlobError::Empty),
            ("a/b", TagGlobError::Character('/')),
            ("v{1}", TagGlobError::Character('{')),
            ("é", TagGlobError::Character('é')),
        ] {
            assert_eq!(TagGlob::parse(text), Err(error), "{text}");
        }
        assert_eq!(TagGlob::parse(&"a".repeat(129)), Err(TagGlobError::TooLong));
    }

    /// The plainest way to match, for comparison.
    fn model(glob: &[u8], tag: &[u8]) -> bool {
        match glob.split_first() {
            None => tag.is_empty(),
            Some((b'*', rest)) => (0..=tag.len()).any(|from| model(rest, &tag[from..])),
            Some((byte, rest)) => tag.split_first().is_some_and(|(first, after)| {
                (*byte == b'?' || byte == first) && model(rest, after)
            }),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_plainest_way(glob in "[ab*?]{1,9}", tag in "[ab]{1,9}") {
            let parsed = TagGlob::parse(&glob).unwrap();
            let found = parsed.matches(&tag.parse().unwrap());
            prop_assert_eq!(found, model(glob.as_bytes(), tag.as_bytes()));
        }
    }
}
