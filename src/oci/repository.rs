//! Repository names (OCI Distribution Specification, "Pulling manifests").

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};

/// A repository name: path components of lower-case letters and digits, joined inside a component
/// by one `.`, one or two `_` or any run of `-`, and between components by `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(String);

impl RepositoryName {
    /// The longest name, in bytes: the bound that clients and Distribution share.
    pub const LENGTH_MAX: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a repository name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryNameError {
    /// Nothing at all.
    Empty,
    /// Longer than [`RepositoryName::LENGTH_MAX`].
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A character or a run of separators that the grammar does not allow.
    Malformed,
}

impl fmt::Display for RepositoryNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the repository name is empty"),
            Self::TooLong { length } => write!(
                f,
                "the repository name has {length} characters, the most is {}",
                RepositoryName::LENGTH_MAX
            ),
            Self::Malformed => f.write_str(
                "a repository name is made of components of lower-case letters and digits, \
                 joined by '.', '_', '__' or '-', and separated by '/'",
            ),
        }
    }
}

impl std::error::Error for RepositoryNameError {}

impl FromStr for RepositoryName {
    type Err = RepositoryNameError;

    fn from_str(text: &str) -> Result<Self, RepositoryNameError> {
        if text.is_empty() {
            return Err(RepositoryNameError::Empty);
        }
        if text.len() > Self::LENGTH_MAX {
            return Err(RepositoryNameError::TooLong { length: text.len() });
        }
        if text
            .split('/')
            .all(|component| is_component(component.as_bytes()))
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(RepositoryNameError::Malformed)
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &[u8]) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (Some(first), Some(last)) = (component.first(), component.last()) else {
        return false;
    };
    alphanumeric(first)
        && alphanumeric(last)
        && component
            .split(alphanumeric)
            .all(|run| matches!(run, b"" | b"." | b"_" | b"__") || run.iter().all(|b| *b == b'-'))
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for RepositoryName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for RepositoryName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RepositoryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
