//! Why something could not be done to accounts, for people.

use std::fmt;
use std::io;

use super::super::action::ActionError;
use super::super::name::NameError;
use super::super::password::hash::PasswordError;
use crate::oci::glob::GlobError;
use crate::store;

/// Why something could not be done to accounts.
#[derive(Debug)]
pub enum AccountError {
    /// A name that is none.
    Name(NameError),
    /// A password that cannot be set.
    Password(PasswordError),
    /// The name is in use.
    Taken {
        /// `user` or `token`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// There is nothing of this name.
    Unknown {
        /// `user` or `token`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A pattern of repositories that is none.
    Pattern(String, GlobError),
    /// An action that is none.
    Action(String),
    /// What must be said, or is said too often or too much.
    Bounds(&'static str),
    /// An end in time cannot be told while the clock is wrong.
    Clock,
    /// The system gives no random bytes.
    Random(io::Error),
    /// The catalog could not be read or written.
    Store(store::Error),
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Password(error) => error.fmt(f),
            Self::Taken { kind, name } => write!(
                f,
                "there is a {kind} {name} already; choose another name, or remove it first"
            ),
            Self::Unknown { kind, name } => write!(
                f,
                "there is no {kind} {name:?}; `coracle {kind} list` shows them all"
            ),
            Self::Pattern(text, error) => write!(f, "the pattern {text:?} {error}"),
            Self::Action(text) => {
                write!(f, "{text:?} is no action; {ActionError}")
            }
            Self::Bounds(what) => f.write_str(what),
            Self::Clock => f.write_str(
                "the clock of this host is wrong, so that no end can be told; set it, or make a \
                 token without an end",
            ),
            Self::Random(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AccountError {}

impl From<NameError> for AccountError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl From<PasswordError> for AccountError {
    fn from(error: PasswordError) -> Self {
        Self::Password(error)
    }
}

impl From<store::Error> for AccountError {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl AccountError {
    /// There is nothing of this kind and name.
    pub(super) fn unknown(kind: &'static str, name: &str) -> Self {
        // What is shown stays short, whatever was sent.
        let name = name.chars().take(128).collect();
        Self::Unknown { kind, name }
    }

    /// The name is in use.
    pub(super) fn taken(kind: &'static str, name: &str) -> Self {
        let name = name.to_owned();
        Self::Taken { kind, name }
    }
}
