//! The one error of the state floor: what was being done, to what, and why it failed.

use std::error::Error as StdError;
use std::fmt;

use super::space::Shortage;
use serde::{Deserialize, Serialize};

/// The outcomes of a failed storage operation that a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The file system or a quota on it is full.
    Full,
    /// What was read is not what was written: a damaged catalog, or a blob of the wrong length.
    Corrupt,
    /// The data folder is held by another process.
    Locked,
    /// The catalog was written by a newer version.
    Newer,
    /// Permission denied, or a read-only file system.
    Denied,
    /// The store is closing, or gave up after an earlier failure.
    Closed,
    /// Anything else: an I/O error, a failure of SQLite.
    Io,
}

/// A failed storage operation.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    doing: &'static str,
    subject: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` while `doing` (a gerund: "publishing a blob") something to `subject`.
    pub fn new(kind: ErrorKind, doing: &'static str, subject: impl fmt::Display) -> Self {
        Self {
            kind,
            doing,
            subject: subject.to_string(),
            source: None,
        }
    }

    /// The same, with its cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An I/O error; the kind is told by the error.
    pub fn io(doing: &'static str, subject: impl fmt::Display, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::Full,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Denied,
            _ => ErrorKind::Io,
        };
        Self::new(kind, doing, subject).because(source)
    }

    /// The figures of a push that would have broken into the reserve.
    pub fn shortage(&self) -> Option<&Shortage> {
        self.source.as_ref()?.downcast_ref()
    }

    /// What a caller can act on.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.doing, self.subject)?;
        let what = match self.kind {
            ErrorKind::Full => ": no space left",
            ErrorKind::Corrupt => ": the data is damaged",
            ErrorKind::Locked => ": held by another process",
            ErrorKind::Newer => ": written by a newer version",
            ErrorKind::Denied => ": permission denied",
            ErrorKind::Closed => ": the store is closed",
            ErrorKind::Io => "",
        };
        f.write_str(what)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}
