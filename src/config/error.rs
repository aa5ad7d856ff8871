//! What is wrong with the settings: which key, which value, where it stands, why.

use std::fmt;

use crate::exit::Exit;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said otherwise.
    Default,
    /// The configuration file.
    File {
        /// The file as it was named.
        path: String,
        /// The line, counted from 1; 0 when the whole file is meant.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// The command line.
    Flag {
        /// The flag with its dashes.
        flag: String,
    },
}

impl Origin {
    /// The kind of source in one word: `default`, `file`, `environment` or `flag`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File { .. } => "file",
            Self::Environment { .. } => "environment",
            Self::Flag { .. } => "flag",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0 } => f.write_str(path),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment { variable } => f.write_str(variable),
            Self::Flag { flag } => f.write_str(flag),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, `section.name`, where one is meant.
    pub key: Option<String>,
    /// The value as it was written, shortened.
    pub value: Option<String>,
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong and what would be right.
    pub why: String,
}

impl Problem {
    /// Something wrong with a source itself.
    pub(super) fn of_source(origin: Origin, why: impl Into<String>) -> Self {
        Self {
            key: None,
            value: None,
            origin,
            why: why.into(),
        }
    }

    /// Something wrong with a key.
    pub(super) fn of_key(key: String, origin: Origin, why: impl Into<String>) -> Self {
        Self {
            key: Some(key),
            ..Self::of_source(origin, why)
        }
    }

    /// Something wrong with a value.
    pub(super) fn of_value(key: String, value: &str, origin: Origin, why: String) -> Self {
        Self {
            value: Some(shorten(value)),
            ..Self::of_key(key, origin, why)
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            value,
            origin,
            why,
        } = self;
        match (key, value) {
            (Some(key), Some(value)) => write!(f, "{key} = {value} in {origin}: {why}"),
            (Some(key), None) => write!(f, "{key} in {origin}: {why}"),
            (None, _) => write!(f, "{origin}: {why}"),
        }
    }
}

/// Settings that cannot be used; prints one line for each [`Problem`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// `Err` unless there is nothing wrong.
    pub(super) fn unless_empty(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self { problems })
        }
    }

    /// What is wrong; at least one thing, in the order of the sources.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

impl From<&ConfigError> for Exit {
    fn from(_: &ConfigError) -> Self {
        Self::Configuration
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// A value or a name as it may stand in a message: on one line, without control characters, short.
pub(super) fn shorten(text: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    let mut characters = text.chars();
    let mut short = String::new();
    for character in characters.by_ref().take(CHARACTERS_MAX) {
        if character.is_control() {
            short.extend(character.escape_default());
        } else {
            short.push(character);
        }
    }
    if characters.next().is_some() {
        short.push('…');
    }
    short
}
