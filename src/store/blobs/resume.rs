//! Upload sessions between requests: checkpoints, picking a session up from disk, expiry.
//!
//! A session's length is not its offset. After a power cut the part of a file that was not synced
//! can come back missing, zero-filled or longer than it ever was. So a session that is opened
//! again is cut back to its checkpoint, and after another boot its bytes are hashed and compared
//! with the checkpoint first. What does not agree is removed, never finished wrong.

use std::io::{self, ErrorKind as Io};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::checkpoint::{Checkpoint, RECORD_LENGTH_MAX};
use super::disk::{Access, Disk, Metadata};
use super::file::Shared;
use super::session::{Held, Session, hash_again, state_path};
use super::sessions::Ticket;
use super::spares::SPARE;
use super::{UploadError, UploadId};
use crate::oci::Algorithm;
use crate::store::Error;
use crate::store::layout::Layout;

/// What the names of uploads that arrive in a single request begin with.
pub(super) const ANONYMOUS: &str = "once-";
const STATE_SUFFIX: &str = ".state";

/// Writes a checkpoint in place, making its file the first time.
pub(super) fn write_checkpoint<D: Disk>(
    shared: &Shared<D>,
    path: &Path,
    state: &mut Option<D::File>,
    checkpoint: &Checkpoint,
) -> io::Result<()> {
    let disk = &shared.disk;
    let file = match state {
        Some(file) => file,
        None => state.insert(match shared.spares.make(disk, path) {
            // Made by an earlier attempt that could not write it.
            Err(error) if error.kind() == Io::AlreadyExists => {
                disk.open(path, Access::ReadWrite)?
            }
            result => result?,
        }),
    };
    disk.write_at(file, &checkpoint.encode(shared.boot), 0)
}

/// What stands beside a session.
enum Found<F> {
    /// Nothing was ever acknowledged.
    Nothing,
    Checkpoint(Box<Checkpoint>, [u8; 16], F),
    Damaged,
}

fn read_checkpoint<D: Disk>(disk: &D, path: &Path) -> io::Result<Found<D::File>> {
    let file = match disk.open(path, Access::ReadWrite) {
        Ok(file) => file,
        Err(error) if error.kind() == Io::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let mut record = [0; RECORD_LENGTH_MAX];
    let mut length = 0;
    while length < record.len() {
        match disk.read_at(&file, &mut record[length..], length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    Ok(match Checkpoint::decode(&record[..length]) {
        Some((checkpoint, boot)) => Found::Checkpoint(Box::new(checkpoint), boot, file),
        None if length == 0 => Found::Nothing,
        None => Found::Damaged,
    })
}

/// The session behind a ticket, read from disk.
///
/// # Errors
/// [`UploadError::Unknown`] when there is none, or its bytes are not those that were acknowledged.
pub(super) fn resume<D: Disk>(
    shared: &Shared<D>,
    ticket: Ticket<Session<D::File>>,
) -> Result<Held<D::File>, UploadError> {
    let path = shared.uploads.join(ticket.name());
    let reading = |error| UploadError::Store(Error::io("resuming", "an upload", error));
    let file = match shared.disk.open(&path, Access::ReadWrite) {
        Ok(file) => file,
        Err(error) if error.kind() == Io::NotFound => return Err(UploadError::Unknown),
        Err(error) => return Err(reading(error)),
    };
    if let Some(session) = check(shared, &path, file).map_err(reading)? {
        return Ok((ticket, session));
    }
    ticket.leaving();
    remove(shared, &path).map_err(reading)?;
    ticket.gone();
    Err(UploadError::Unknown)
}

/// The session in `file`, cut back to its checkpoint; `None` when the two do not agree.
fn check<D: Disk>(
    shared: &Shared<D>,
    path: &Path,
    file: D::File,
) -> io::Result<Option<Session<D::File>>> {
    let disk = &shared.disk;
    let metadata = disk.metadata(&file)?;
    // A file system without a journal may keep both names of a rename: then the bytes belong to a
    // blob already, and must not be touched through this one.
    if metadata.links > 1 {
        return Ok(None);
    }
    let state = state_path(path);
    let (checkpoint, boot, mut state_file) = match read_checkpoint(disk, &state)? {
        Found::Nothing => (Checkpoint::empty(Algorithm::Sha256), shared.boot, None),
        Found::Checkpoint(checkpoint, boot, file) => (*checkpoint, boot, Some(file)),
        Found::Damaged => return Ok(None),
    };
    if metadata.length < checkpoint.offset {
        return Ok(None);
    }
    let (hasher, length) = (&checkpoint.hasher, checkpoint.offset);
    if boot != shared.boot {
        let found = hash_again(disk, &file, length, hasher.algorithm())?;
        if found.is_none_or(|found| found.save() != hasher.save()) {
            return Ok(None);
        }
        // So that the next time in this boot reads nothing.
        write_checkpoint(shared, &state, &mut state_file, &checkpoint)?;
    }
    if metadata.length > length {
        disk.set_length(&file, length)?;
    }
    Ok(Some(Session::new(Some(file), checkpoint, state_file)))
}

/// Removes a session's file, then its checkpoint. A name that is not there is no error.
fn remove<D: Disk>(shared: &Shared<D>, path: &Path) -> io::Result<()> {
    let absent_is_fine = |result: io::Result<()>| match result {
        Err(error) if error.kind() == Io::NotFound => Ok(()),
        result => result,
    };
    absent_is_fine(shared.disk.remove(path))?;
    absent_is_fine(shared.disk.remove(&state_path(path)))
}

/// What a name below `uploads/` stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Session,
    Anonymous,
    State,
    Spare,
    Foreign,
}

fn kind_of(name: &str) -> Kind {
    let is_session = |name: &str| {
        name.len() == 32 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    if is_session(name) {
        Kind::Session
    } else if name.strip_suffix(STATE_SUFFIX).is_some_and(is_session) {
        Kind::State
    } else if name
        .strip_prefix(ANONYMOUS)
        .is_some_and(|id| id.parse::<UploadId>().is_ok())
    {
        Kind::Anonymous
    } else if name.starts_with(SPARE) {
        Kind::Spare
    } else {
        Kind::Foreign
    }
}

/// How many sessions there are at the start; removes what nobody can come back to.
pub(super) fn count_sessions<D: Disk>(disk: &D, layout: &Layout) -> Result<usize, Error> {
    let uploads = layout.uploads();
    let mut count = 0;
    disk.list(&uploads, &mut |name, _| {
        match kind_of(name) {
            Kind::Session => count += 1,
            // If it cannot be removed it is swept by age.
            Kind::Anonymous if disk.remove(&uploads.join(name)).is_err() => count += 1,
            // Its name may be given again, and one that stays is replaced then.
            Kind::Spare => drop(disk.remove(&uploads.join(name))),
            Kind::Anonymous | Kind::State | Kind::Foreign => {}
        }
        Ok(true)
    })
    .map_err(|error| Error::io("listing", uploads.display(), error))?;
    Ok(count)
}

/// Removes what nobody owns and nobody has touched since `before`; returns how many sessions.
pub(super) fn expire<D: Disk>(shared: &Shared<D>, before: SystemTime) -> Result<usize, Error> {
    let mut removed = 0;
    shared
        .disk
        .list(&shared.uploads, &mut |name, metadata| {
            if metadata.modified < before {
                removed += usize::from(expire_one(shared, name, before)?);
            }
            Ok(true)
        })
        .map_err(|error| Error::io("expiring uploads in", shared.uploads.display(), error))?;
    Ok(removed)
}

/// Removes sessions that nobody owns and nobody has touched since `before`, the oldest first, until
/// `enough`; returns how many.
pub(super) fn expire_oldest<D: Disk>(
    shared: &Shared<D>,
    before: SystemTime,
    enough: &mut dyn FnMut() -> bool,
) -> Result<usize, Error> {
    let failed = |error| Error::io("removing uploads in", shared.uploads.display(), error);
    // No more than there may be sessions.
    let mut resting = Vec::new();
    let each = &mut |name: &str, metadata: Metadata| {
        if metadata.modified < before && matches!(kind_of(name), Kind::Session | Kind::Anonymous) {
            resting.push((metadata.modified, name.to_owned()));
        }
        Ok(true)
    };
    shared.disk.list(&shared.uploads, each).map_err(failed)?;
    resting.sort_unstable();
    let mut removed = 0;
    for (_, name) in resting {
        if enough() {
            break;
        }
        removed += usize::from(expire_one(shared, &name, before).map_err(failed)?);
    }
    Ok(removed)
}

/// Whether `name` was a session, and is no more.
fn expire_one<D: Disk>(shared: &Shared<D>, name: &str, before: SystemTime) -> io::Result<bool> {
    let path: PathBuf = shared.uploads.join(name);
    match kind_of(name) {
        Kind::Session | Kind::Anonymous => {
            // Whether it is still old is asked again now that nobody else can touch it.
            let Some(ticket) = shared.sessions.evict(name) else {
                return Ok(false);
            };
            let old = |found: Metadata| found.modified < before;
            if !shared.disk.lookup(&path)?.is_some_and(old) {
                return Ok(false);
            }
            remove(shared, &path)?;
            ticket.gone();
            Ok(true)
        }
        // A checkpoint whose session is gone. Names are never used again.
        Kind::State if shared.disk.lookup(&path.with_extension(""))?.is_none() => {
            match shared.disk.remove(&path) {
                Err(error) if error.kind() != Io::NotFound => Err(error),
                _ => Ok(false),
            }
        }
        Kind::State | Kind::Spare | Kind::Foreign => Ok(false),
    }
}
