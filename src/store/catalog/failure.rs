//! From what SQLite reports to the error of the state floor.

use std::fmt;

use rusqlite::{Error as Sqlite, ErrorCode, ffi};

use crate::store::{Error, ErrorKind};

/// What a person can do about a damaged file.
const DAMAGED: &str = "run `coracle check`; if it finds damage, restore a backup";

/// A failure that several callers share: all that were in one transaction.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: ErrorKind,
    pub(super) doing: &'static str,
    pub(super) cause: String,
}

impl Failure {
    /// A failure of SQLite.
    pub(super) fn sqlite(doing: &'static str, error: &Sqlite) -> Self {
        Self {
            kind: kind_of(error),
            doing,
            cause: sentence(error),
        }
    }

    /// One caller's copy.
    pub(super) fn to_error(&self) -> Error {
        Error::new(self.kind, self.doing, "the catalog").because(self.cause.clone())
    }
}

/// An error of SQLite while `doing` something to `subject`.
pub(super) fn failed(error: &Sqlite, doing: &'static str, subject: impl fmt::Display) -> Error {
    Error::new(kind_of(error), doing, subject).because(sentence(error))
}

/// What a caller can act on.
pub(super) fn kind_of(error: &Sqlite) -> ErrorKind {
    let code = match error {
        Sqlite::SqliteFailure(code, _) => code,
        Sqlite::FromSqlConversionFailure(..)
        | Sqlite::IntegralValueOutOfRange(..)
        | Sqlite::InvalidColumnType(..) => return ErrorKind::Corrupt,
        _ => return ErrorKind::Io,
    };
    match (code.code, code.extended_code) {
        // The shared index of the write-ahead log could not grow: the file system is full.
        (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => ErrorKind::Full,
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => ErrorKind::Corrupt,
        (ErrorCode::PermissionDenied | ErrorCode::ReadOnly, _) => ErrorKind::Denied,
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => ErrorKind::Locked,
        _ => ErrorKind::Io,
    }
}

fn sentence(error: &Sqlite) -> String {
    let text = match error {
        Sqlite::SqliteFailure(code, Some(message)) => {
            format!("{message} (SQLite {})", code.extended_code)
        }
        Sqlite::SqliteFailure(code, None) => format!("SQLite {}", code.extended_code),
        Sqlite::FromSqlConversionFailure(_, _, cause) => cause.to_string(),
        other => other.to_string(),
    };
    if kind_of(error) == ErrorKind::Corrupt {
        format!("{text}; {DAMAGED}")
    } else {
        text
    }
}

/// Damage that was recognised here, not by SQLite.
pub(super) fn damaged(doing: &'static str, subject: impl fmt::Display, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, doing, subject).because(format!("{what}; {DAMAGED}"))
}
