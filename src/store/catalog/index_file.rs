//! The index of the write-ahead log: a file that SQLite keeps mapped into memory.
//!
//! A write to a mapped page whose room is missing on the disk is no error but a signal, which ends
//! the process. SQLite takes room for a byte of each page, and that is all of it only where a block
//! is as long as a page. So the room is taken here: before the database is opened, and again after
//! that, because SQLite begins by cutting the file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::connection::{Place, opening};
use crate::store::{Error, ErrorKind};

/// The least that the index has, in bytes: enough for a log of 4062 frames.
const PART_BYTES: u64 = 32 << 10;
/// What is taken for it where there is room: twice the longest log that the writer tolerates.
const USUAL_BYTES: u64 = 4 * PART_BYTES;

/// The index's file, open for as long as a connection of this process is: to close it would give
/// up the locks that SQLite has on it.
pub(super) struct IndexFile(#[expect(dead_code, reason = "only held")] File);

fn path_of(database: &Path) -> PathBuf {
    let mut path = database.to_owned().into_os_string();
    path.push("-shm");
    path.into()
}

/// Before any connection is open: sees to it that there is room for the index.
///
/// # Errors
/// Kind `Full` when there is none.
pub(super) fn make_room(place: &Place) -> Result<(), Error> {
    let Place::File(database) = place else {
        return Ok(());
    };
    let path = path_of(database);
    let taking = |error| failed(place, error);
    let is_new = !path.exists();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = match options.open(&path) {
        Ok(file) => file,
        // Why it cannot be opened SQLite finds out and says.
        Err(error) if error.kind() != io::ErrorKind::StorageFull => return Ok(()),
        Err(error) => return Err(taking(error)),
    };
    let taken = take(&file, PART_BYTES);
    if is_new {
        // SQLite makes its own, with the owner and the permissions of the database.
        std::fs::remove_file(&path).map_err(taking)?;
    }
    taken.map_err(taking)
}

/// When the first connection is open: has it make the index, and takes the room for good.
///
/// # Errors
/// Kind `Full` when there is none.
pub(super) fn hold(place: &Place, first: &Connection) -> Result<Option<IndexFile>, Error> {
    let Place::File(database) = place else {
        return Ok(None);
    };
    let taking = |error| failed(place, error);
    // The index of a database that was just turned to a log is made by the first that reads it.
    first
        .pragma_query_value(None, "schema_version", |_| Ok(()))
        .map_err(|error| opening(place, &error))?;
    let path = path_of(database);
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) => return Err(taking(error)),
    };
    if take(&file, USUAL_BYTES).is_err() {
        take(&file, PART_BYTES).map_err(taking)?;
    }
    Ok(Some(IndexFile(file)))
}

fn failed(place: &Place, error: io::Error) -> Error {
    let doing = "making room for the index of";
    if error.kind() == io::ErrorKind::StorageFull {
        let why = "the disk is full; make at least 64 KiB of room on it";
        return Error::new(ErrorKind::Full, doing, place).because(why);
    }
    Error::io(doing, place, error)
}

/// Takes room for the first `bytes` of the file, whose length stays.
fn take(file: &File, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes) {
        // A file system that cannot, and one that wants room for what it has taken already.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(Errno::NOSPC) if file.metadata()?.blocks() * 512 >= bytes => Ok(()),
        result => Ok(result?),
    }
}
