//! Copies of a catalog, for backups: made from an open one while it is written to, looked at, and
//! taken from a file.
//!
//! A copy is one file without a log beside it, and nobody else uses it. Making it durable and
//! giving it its name is left to who asked for it.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind as Io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, Result as SqliteResult};

use super::connection::{Place, opening, set_common};
use super::failure::failed;
use super::readers::run;
use super::transaction::{ReadTx, WriteTx};
use super::{Catalog, check, schema};
use crate::oci::Digest;
use crate::store::{Error, ErrorKind};

/// Pages that are copied at a time.
const PAGES_PER_STEP: i32 = 256;
/// Page cache of a copy that is looked at, in KiB.
const CACHE_KIB: i64 = 1024;
/// What SQLite may leave beside a file.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A copy of a catalog, open for its one user.
pub struct CatalogCopy {
    connection: Connection,
    place: Place,
}

impl Catalog {
    /// Writes the catalog as it is at this moment to the file `to`, replacing what stands there,
    /// and tells `each` bytes done and bytes in all. Reads and writes go on meanwhile (of a
    /// catalog in memory: reads only).
    ///
    /// # Errors
    /// Kind `Full`, `Denied`, `Io` of either file; `Closed` when the catalog is closed meanwhile.
    pub fn copy_to(&self, to: &Path, each: &mut dyn FnMut(u64, u64)) -> Result<CatalogCopy, Error> {
        remove_all(to)?;
        let copying =
            |error: &rusqlite::Error| failed(error, "copying the catalog to", to.display());
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut copy = Connection::open_with_flags(to, flags).map_err(|error| copying(&error))?;
        make_private(to)?;
        let copied = self.readers.read_apart(|connection| {
            // One snapshot held over all steps, or each write would make it start again.
            run(connection, "BEGIN")?;
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            // What a crash leaves is thrown away, so nothing need be undone or synced here.
            copy.pragma_update(None, "journal_mode", "OFF")?;
            copy.pragma_update(None, "synchronous", "OFF")?;
            let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let backup = Backup::new(connection, &mut copy)?;
            loop {
                let step = backup.step(PAGES_PER_STEP)?;
                let progress = backup.progress();
                let bytes = |pages: i32| u64::try_from(pages).unwrap_or(0) * u64::from(page);
                each(
                    bytes(progress.pagecount - progress.remaining),
                    bytes(progress.pagecount),
                );
                match step {
                    StepResult::Done => return Ok(true),
                    _ if self.readers.is_closed() => return Ok(false),
                    _ => {}
                }
            }
        })?;
        if !copied.map_err(|error| copying(&error))? {
            return Err(Error::new(ErrorKind::Closed, "copying", "the catalog"));
        }
        copy.close().map_err(|(_, error)| copying(&error))?;
        CatalogCopy::open(to)
    }
}

impl CatalogCopy {
    /// Takes the file `from`, which nobody writes to, as the file `to`, replacing what stands
    /// there; a copy that an older version made is brought up to date.
    ///
    /// # Errors
    /// Kind `Corrupt` when it is no catalog of ours, or not all of one; `Newer`; `Full`, `Denied`,
    /// `Io`.
    pub fn of_file(from: &Path, to: &Path) -> Result<Self, Error> {
        remove_all(to)?;
        fs::copy(from, to).map_err(|error| {
            let both = format_args!("{} to {}", from.display(), to.display());
            Error::io("copying", both, error)
        })?;
        make_private(to)?;
        Self::open(to)
    }

    /// Opens a copy.
    ///
    /// # Errors
    /// As for [`of_file`](Self::of_file).
    fn open(path: &Path) -> Result<Self, Error> {
        let place = Place::File(path.to_owned());
        let during = |error: rusqlite::Error| opening(&place, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(during)?;
        // No shared index of a log: nobody else looks at this file.
        let exclusive = |connection: &Connection| -> SqliteResult<()> {
            connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))
        };
        exclusive(&connection).map_err(during)?;
        let version = schema::recognise(&connection, &place)?;
        if version == 0 {
            let what = "the file is empty";
            return Err(super::failure::damaged("opening", &place, what));
        }
        // The header says that there is a log until it is told otherwise; then a crash may take
        // what it likes, and nothing need lie beside the file.
        for mode in ["DELETE", "MEMORY"] {
            connection
                .pragma_update_and_check(None, "journal_mode", mode, |_| Ok(()))
                .map_err(during)?;
        }
        connection
            .pragma_update(None, "synchronous", "OFF")
            .map_err(during)?;
        set_common(&connection, CACHE_KIB).map_err(during)?;
        schema::bring_up_to_date(&mut connection, version).map_err(during)?;
        Ok(Self { connection, place })
    }

    /// Looks at it.
    ///
    /// # Errors
    /// What `work` returns.
    pub fn read<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&ReadTx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        work(&ReadTx::new(&self.connection))
    }

    /// Marks these blobs as not to be served.
    ///
    /// # Errors
    /// A failed write, after which none is marked.
    pub fn quarantine(&self, digests: &BTreeSet<Digest>) -> Result<(), Error> {
        let control = |sql| {
            run(&self.connection, sql).map_err(|error| failed(&error, "marking", &self.place))
        };
        control("BEGIN")?;
        // A mark has no time, and no grace.
        let (now, grace) = (SystemTime::UNIX_EPOCH, Duration::ZERO);
        let mut transaction = WriteTx::new(&self.connection, now, grace);
        for digest in digests {
            if let Err(error) = transaction.set_quarantine(digest, true) {
                // The whole copy is of no use now.
                let _ = control("ROLLBACK");
                return Err(error);
            }
        }
        control("COMMIT")
    }

    /// What is wrong with it, a sentence each, as [`Catalog::integrity`] tells it.
    ///
    /// # Errors
    /// The check could not run.
    pub fn integrity(&self) -> Result<Vec<String>, Error> {
        check::of(&self.connection)
    }

    /// Closes it, so that its file has all of it.
    ///
    /// # Errors
    /// A failed write.
    pub fn close(self) -> Result<(), Error> {
        let closed = self.connection.close();
        closed.map_err(|(_, error)| failed(&error, "closing", &self.place))?;
        match &self.place {
            // An exclusive user leaves its journal behind, of no use to anybody.
            Place::File(path) => remove_companions(path),
            Place::Memory(_) => Ok(()),
        }
    }
}

/// Removes the file and what SQLite may have left beside it.
fn remove_all(path: &Path) -> Result<(), Error> {
    remove_companions(path)?;
    remove(path)
}

fn remove_companions(path: &Path) -> Result<(), Error> {
    COMPANIONS
        .iter()
        .try_for_each(|companion| remove(&beside(path, companion)))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != Io::NotFound => {
            Err(Error::io("removing", path.display(), error))
        }
        _ => Ok(()),
    }
}

fn beside(path: &Path, companion: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(companion);
    name.into()
}

/// Whether a log lies beside the file that holds what the file has not: it is no copy.
pub fn has_log(path: &Path) -> bool {
    let length = |companion| fs::metadata(beside(path, companion)).map_or(0, |file| file.len());
    length("-wal") > 0 || length("-journal") > 0
}

/// It has the hashes of passwords.
fn make_private(path: &Path) -> Result<(), Error> {
    match fs::set_permissions(path, fs::Permissions::from_mode(0o600)) {
        // The file is our own, so its file system has no permissions.
        Err(error) if error.kind() == Io::PermissionDenied => Ok(()),
        result => result.map_err(|error| Error::io("making private", path.display(), error)),
    }
}
