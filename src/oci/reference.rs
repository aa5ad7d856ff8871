//! Tags, and the reference that names a manifest: a tag or a digest.

use std::fmt;
use std::str::FromStr;

use super::{Digest, DigestError};

/// A tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`, case-sensitive, ordered by bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// The longest tag, in bytes.
    pub const LENGTH_MAX: usize = 128;

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagError;

impl fmt::Display for TagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a tag has 1 to {} characters of A-Z a-z 0-9 _ . - and starts with a letter, a digit \
             or _",
            Tag::LENGTH_MAX
        )
    }
}

impl std::error::Error for TagError {}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let mut bytes = text.bytes();
        let valid = text.len() <= Self::LENGTH_MAX
            && bytes.next().is_some_and(word)
            && bytes.all(|byte| word(byte) || byte == b'.' || byte == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(TagError)
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What names a manifest within a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A name that can be moved.
    Tag(Tag),
    /// The content itself.
    Digest(Digest),
}

/// Why a text is neither a tag nor a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceError {
    /// It has no colon and is not a tag.
    Tag(TagError),
    /// It has a colon and is not a digest.
    Digest(DigestError),
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(error) => error.fmt(f),
            Self::Digest(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReferenceError {}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// A tag cannot hold a colon, so one colon is enough to tell the two apart.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') {
            text.parse()
                .map(Self::Digest)
                .map_err(ReferenceError::Digest)
        } else {
            text.parse().map(Self::Tag).map_err(ReferenceError::Tag)
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}
