//! The two views of the catalog that a closure gets: [`ReadTx`] and [`WriteTx`].
//!
//! What can be asked and changed is written resource by resource in the files beside this one.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, Params, Result as SqliteResult, Row};

use super::failure::{failed, kind_of};
use crate::clock::unix_ms;
use crate::store::{Error, ErrorKind, Shard};

/// Names the statements of a file, so that a test can ask for the plan of every one of them.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* const $name: &str = $sql;)*

        #[cfg(test)]
        pub(super) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}
pub(super) use statements;

/// A consistent view for reading, borrowed for the length of one closure.
pub struct ReadTx<'c> {
    connection: &'c Connection,
    /// The last failure, for the writer: SQLite may have ended the transaction because of it.
    last_failure: Cell<Option<ErrorKind>>,
}

/// The writer's view: reads see what this transaction wrote. Derefs to [`ReadTx`].
pub struct WriteTx<'c> {
    read: ReadTx<'c>,
    now: SystemTime,
    /// How long a blob that nothing uses yet is kept from the collection.
    blob_grace: Duration,
    /// Who asked for what is changed; `None` when nobody was logged in.
    actor: Option<String>,
    pub(super) shards: Vec<Shard>,
    /// The last row that it added to the outbox; 0 for none.
    pub(super) outbox: i64,
    /// Bytes of content that it wrote, which bounds how much shares one commit.
    pub(super) bytes: usize,
    /// Whether it left tags that are to be taken away before anything else is written.
    pub(super) ending: bool,
}

impl<'c> ReadTx<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            last_failure: Cell::new(None),
        }
    }

    pub(super) fn last_failure(&self) -> Option<ErrorKind> {
        self.last_failure.get()
    }

    /// The one row of a statement, if there is one.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> SqliteResult<T>,
    ) -> SqliteResult<Option<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_row(params, map).optional()
    }

    /// Every row of a statement, which bounds them by itself.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> SqliteResult<T>,
    ) -> SqliteResult<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_map(params, map)?.collect()
    }

    /// Calls `each` with the rows of a statement until it answers false.
    pub(super) fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut each: impl FnMut(&Row<'_>) -> SqliteResult<bool>,
    ) -> SqliteResult<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            if !each(row)? {
                break;
            }
        }
        Ok(())
    }

    /// What a failed statement was doing, and to what.
    pub(super) fn failed(
        &self,
        error: &rusqlite::Error,
        doing: &'static str,
        subject: impl fmt::Display,
    ) -> Error {
        self.last_failure.set(Some(kind_of(error)));
        failed(error, doing, subject)
    }
}

impl<'c> WriteTx<'c> {
    pub(super) fn new(connection: &'c Connection, now: SystemTime, blob_grace: Duration) -> Self {
        Self {
            read: ReadTx::new(connection),
            now,
            blob_grace,
            actor: None,
            shards: Vec::new(),
            outbox: 0,
            bytes: 0,
            ending: false,
        }
    }

    /// When this transaction began, by the catalog's clock: the time of all that it writes.
    pub const fn now(&self) -> SystemTime {
        self.now
    }

    pub(super) fn now_ms(&self) -> i64 {
        unix_ms(self.now)
    }

    /// From when on a blob that nothing uses yet may be collected.
    pub(super) fn collect_after_ms(&self) -> i64 {
        unix_ms(self.now + self.blob_grace)
    }

    /// Names who asks for what this transaction changes, for the history of tags.
    pub fn set_actor(&mut self, actor: Option<String>) {
        self.actor = actor;
    }

    /// Who asks for what this transaction changes, as far as that was said.
    pub fn actor(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    /// Runs a statement that returns nothing; how many rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> SqliteResult<usize> {
        self.read.connection.prepare_cached(sql)?.execute(params)
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        self.read.connection
    }
}

impl<'c> Deref for WriteTx<'c> {
    type Target = ReadTx<'c>;

    fn deref(&self) -> &ReadTx<'c> {
        &self.read
    }
}
