//! Opening connections: where the database is, and the settings that every connection has.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Result as SqliteResult};

use super::failure::{damaged, failed};
use super::{Durability, Location, schema};
use crate::store::{Error, ErrorKind};

/// How long SQLite waits for a lock of another connection. In normal work there is none to wait
/// for: this covers the recovery of the log after a crash, and a person with a database shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Page cache of the writer, in KiB.
const WRITER_CACHE_KIB: i64 = 1024;
/// Page cache of one reader, in KiB. Small: the kernel caches the file, and there may be many.
const READER_CACHE_KIB: i64 = 256;
/// Prepared statements kept by one connection; more than there are.
const STATEMENTS_MAX: usize = 64;
/// Length to which the log is cut when it is started afresh after it had grown past it, in bytes.
const LOG_SIZE_MAX: i64 = 16 * 1024 * 1024;

/// Where the database of an open catalog is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    File(PathBuf),
    /// A database of the `memdb` file system under this name, unique in the process.
    Memory(String),
}

impl Place {
    pub(super) fn new(location: Location<'_>) -> Self {
        static MEMORIES: AtomicU64 = AtomicU64::new(0);
        match location {
            // SQLite takes a name that begins with "file:" for a URI.
            Location::File(path) if path.is_relative() => Self::File(Path::new(".").join(path)),
            Location::File(path) => Self::File(path.to_owned()),
            Location::Memory => {
                let number = MEMORIES.fetch_add(1, Ordering::Relaxed);
                Self::Memory(format!("/coracle-{number}"))
            }
        }
    }

    /// The database file and its log; `None` in memory.
    pub(super) fn files(&self) -> Option<[PathBuf; 2]> {
        match self {
            Self::File(path) => {
                let mut log = path.clone().into_os_string();
                log.push("-wal");
                Some([path.clone(), log.into()])
            }
            Self::Memory(_) => None,
        }
    }

    fn connect(&self, flags: OpenFlags) -> SqliteResult<Connection> {
        // A connection is used by one thread at a time, so SQLite need not lock it.
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match self {
            Self::File(path) => Connection::open_with_flags(path, flags),
            Self::Memory(name) => Connection::open_with_flags_and_vfs(name, flags, "memdb"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory(_) => f.write_str("the catalog in memory"),
        }
    }
}

/// The writer's connection, to a file that is ours and has the newest schema.
pub(super) fn open_writer(place: &Place, durability: Durability) -> Result<Connection, Error> {
    refuse_lost_database(place)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let during = |error| opening(place, &error);
    let mut connection = place.connect(flags).map_err(during)?;
    // First, so that all that follows waits instead of failing.
    connection.busy_timeout(BUSY_TIMEOUT).map_err(during)?;
    let version = schema::recognise(&connection, place)?;
    set_journal(&connection, place, durability)?;
    set_common(&connection, WRITER_CACHE_KIB).map_err(during)?;
    connection
        .pragma_update(None, "foreign_keys", true)
        .map_err(during)?;
    schema::bring_up_to_date(&mut connection, version).map_err(during)?;
    // A file that had no log until now, as one that was restored, gets it and its index with the
    // first read; who comes next relies on them.
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .map_err(during)?;
    Ok(connection)
}

/// A connection that folds the log in: it reads and writes pages, and never a row.
pub(super) fn open_for_folding(place: &Place, durability: Durability) -> Result<Connection, Error> {
    let during = |error| opening(place, &error);
    let connection = place
        .connect(OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(during)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(during)?;
    set_journal(&connection, place, durability)?;
    set_common(&connection, READER_CACHE_KIB).map_err(during)?;
    Ok(connection)
}

/// A connection that can only read.
pub(super) fn open_reader(place: &Place) -> SqliteResult<Connection> {
    let connection = place.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    set_common(&connection, READER_CACHE_KIB)?;
    Ok(connection)
}

pub(super) fn set_common(connection: &Connection, cache_kib: i64) -> SqliteResult<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // One plan for a statement, whatever values are bound to it. For the same reason nothing here
    // ever runs ANALYZE or "PRAGMA optimize".
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    // An I/O error under a memory mapping would be a signal, not an error.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

fn set_journal(
    connection: &Connection,
    place: &Place,
    durability: Durability,
) -> Result<(), Error> {
    let during = |error| opening(place, &error);
    let wanted = match place {
        Place::File(_) => "wal",
        Place::Memory(_) => "memory",
    };
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", wanted, |row| row.get(0))
        .map_err(during)?;
    if mode != wanted {
        return Err(Error::new(ErrorKind::Io, "opening", place).because(format!(
            "the file system cannot hold a write-ahead log (journal mode {mode}); put the data \
             folder on a local file system"
        )));
    }
    let synchronous = match (place, durability) {
        (Place::File(_), Durability::Full) => "FULL",
        _ => "OFF",
    };
    let update = |name, value: &dyn rusqlite::ToSql| connection.pragma_update(None, name, value);
    update("synchronous", &synchronous).map_err(during)?;
    update("journal_size_limit", &LOG_SIZE_MAX).map_err(during)?;
    // When the log is folded in, and by whom, is decided in `log_file`.
    update("wal_autocheckpoint", &0).map_err(during)
}

/// A log without its database is a database that was lost or cut off. SQLite would take it for a
/// new one and throw the log away.
fn refuse_lost_database(place: &Place) -> Result<(), Error> {
    let Some([path, log]) = place.files() else {
        return Ok(());
    };
    let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    if length(&path) == 0 && length(&log) > 0 {
        let what = "the file is empty or missing, but its write-ahead log is not";
        return Err(damaged("opening", place, what));
    }
    Ok(())
}

/// The error of an open that failed. SQLite says only that it cannot open a file; why, the
/// operating system says when it is asked again.
pub(super) fn opening(place: &Place, error: &rusqlite::Error) -> Error {
    let cannot_open = error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen);
    if let (true, Place::File(path)) = (cannot_open, place) {
        let mut options = fs::OpenOptions::new();
        if let Err(reason) = options.read(true).write(true).open(path) {
            return Error::io("opening", place, reason);
        }
    }
    failed(error, "opening", place)
}
