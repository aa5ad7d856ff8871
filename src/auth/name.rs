//! Names of users, groups and tokens.

use std::fmt;

use crate::oci::RepositoryName;

/// The longest name, in characters.
pub const LENGTH_MAX: usize = 64;

/// Why a text is no name of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    /// What the name was for: `user`, `group` or `token`.
    kind: &'static str,
    name: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name } = self;
        write!(f, "{name:?} is no name for a {kind}: ")?;
        if name.len() > LENGTH_MAX {
            return write!(f, "it is longer than {LENGTH_MAX} characters");
        }
        f.write_str(
            "it must be one component of a repository's name, so that {user} can stand in the \
             patterns of repositories: lower-case letters and digits, with '.', '_' or '-' only \
             between them",
        )
    }
}

impl std::error::Error for NameError {}

/// Holds `name` to the grammar of one component of a repository's name. With any other character
/// `{user}` in a pattern could never match, or, with a slash, match what belongs to somebody else.
///
/// # Errors
/// It is none, or too long.
pub fn check(kind: &'static str, name: &str) -> Result<(), NameError> {
    let is_component =
        name.len() <= LENGTH_MAX && !name.contains('/') && name.parse::<RepositoryName>().is_ok();
    if is_component {
        return Ok(());
    }
    // What is shown stays short, whatever was sent.
    let shown: String = name.chars().take(2 * LENGTH_MAX).collect();
    Err(NameError { kind, name: shown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_components_of_repositories() {
        for name in ["ada", "a", "7", "ci-linux", "a.b", "a_b", "a__b", "a--b"] {
            assert_eq!(check("user", name), Ok(()), "{name}");
        }
        let long = "a".repeat(65);
        for name in [
            "", "Ada", "a/b", "-a", "a-", "a..b", "a b", "ada@x", "é", "a:b", "*", "{user}", &long,
        ] {
            let error = check("user", name).unwrap_err().to_string();
            assert!(error.contains("is no name for a user: it "), "{error}");
        }
        assert!(check("group", &"x".repeat(64)).is_ok());
        let huge = check("token", &"é".repeat(10_000)).unwrap_err();
        assert!(huge.to_string().len() < 1000);
    }
}
