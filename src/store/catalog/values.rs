//! How the words of the registry are written in columns, and read back.
//!
//! A value that cannot be read back is damage, and becomes an error of kind `Corrupt`.

use std::time::{Duration, SystemTime};

use rusqlite::Result;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::rows::{Ended, ReferenceKind};
use crate::oci::{
    Algorithm, Digest, MediaType, RepositoryName, RepositoryNameError, Tag, TagError,
};

/// A digest in the form of a column: the algorithm's code, then the raw bytes.
pub(super) struct DigestColumn {
    bytes: [u8; 65],
    length: usize,
}

impl From<&Digest> for DigestColumn {
    fn from(digest: &Digest) -> Self {
        let raw = digest.raw();
        let mut bytes = [0; 65];
        bytes[0] = digest.algorithm().code();
        bytes[1..=raw.len()].copy_from_slice(raw);
        Self {
            bytes,
            length: 1 + raw.len(),
        }
    }
}

impl DigestColumn {
    /// What sorts before every digest, for the start of a listing.
    pub(super) fn after(last: Option<&Digest>) -> Self {
        last.map_or(
            Self {
                bytes: [0; 65],
                length: 0,
            },
            Self::from,
        )
    }
}

impl ToSql for DigestColumn {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let bytes = &self.bytes[..self.length];
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(bytes)))
    }
}

impl FromSql for Digest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let (code, raw) = value
            .as_blob()?
            .split_first()
            .ok_or_else(|| damaged("an empty digest"))?;
        let algorithm = Algorithm::from_code(*code)
            .ok_or_else(|| damaged("a digest of an unknown algorithm"))?;
        Self::from_raw(algorithm, raw).map_err(|error| FromSqlError::Other(error.into()))
    }
}

impl FromSql for MediaType {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::parse(value.as_str()?).ok_or_else(|| damaged("a media type that is none"))
    }
}

impl FromSql for RepositoryName {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?.parse();
        name.map_err(|error: RepositoryNameError| FromSqlError::Other(error.to_string().into()))
    }
}

impl FromSql for Tag {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let tag = value.as_str()?.parse();
        tag.map_err(|error: TagError| FromSqlError::Other(error.into()))
    }
}

impl ToSql for ReferenceKind {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let code: i64 = match self {
            Self::Config => 1,
            Self::Layer => 2,
            Self::Child => 3,
        };
        Ok(code.into())
    }
}

impl FromSql for ReferenceKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            1 => Ok(Self::Config),
            2 => Ok(Self::Layer),
            3 => Ok(Self::Child),
            _ => Err(damaged("an unknown kind of reference")),
        }
    }
}

impl ToSql for Ended {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let code: i64 = match self {
            Self::Moved => 1,
            Self::Removed => 2,
            Self::RemovedWithManifest => 3,
        };
        Ok(code.into())
    }
}

impl FromSql for Ended {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            1 => Ok(Self::Moved),
            2 | 4 => Ok(Self::Removed),
            3 => Ok(Self::RemovedWithManifest),
            _ => Err(damaged("an unknown end of a tag")),
        }
    }
}

/// A time as columns keep it, in milliseconds since 1970; what lies before is 1970.
pub(super) fn time(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// A length, a count or a limit: never negative, 64 bits wide in Rust, 63 in SQLite.
pub(super) struct Count(pub(super) u64);

impl ToSql for Count {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(i64::try_from(self.0).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Count {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let value = value.as_i64()?;
        u64::try_from(value)
            .map(Self)
            .map_err(|_| FromSqlError::OutOfRange(value))
    }
}

/// A `limit` of a listing as SQLite takes it.
pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn damaged(what: &'static str) -> FromSqlError {
    FromSqlError::Other(what.into())
}
