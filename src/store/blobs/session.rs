//! What is kept of an upload session of the file store: its file, its running hash, and the bytes
//! that need not be in the file yet.
//!
//! Bytes that have just come wait in memory as long as the whole upload may become an inline blob,
//! and go to the file with the first that may not, or when they are acknowledged. So a short blob
//! that comes in one piece is never written to a file.

use std::io;
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::disk::Disk;
use super::file::Shared;
use super::sessions::Ticket;
use super::{UploadError, UploadKey};
use crate::oci::{Algorithm, Digest, Hasher};
use crate::store::Error;

/// How much is read at once where bytes must be hashed again.
const READ_LENGTH: usize = 256 << 10;

/// What is kept of a session while it is open.
pub(super) struct Session<F> {
    /// `None` until there are bytes to be written; a session that others can find has one.
    pub file: Option<F>,
    /// The hash of the first `length` bytes.
    pub hasher: Hasher,
    pub length: u64,
    /// The last of these bytes, which the file does not have.
    pub tail: Vec<u8>,
    /// What a broken chunk goes back to.
    pub acknowledged: Checkpoint,
    /// The checkpoint's file, once there is one.
    pub state: Option<F>,
    /// Room was reserved up to here.
    pub reserved_to: u64,
    /// Writing to the device was started up to here.
    pub written_back_to: u64,
}

/// A session and the right to it.
pub(super) type Held<F> = (Ticket<Session<F>>, Session<F>);

impl<F> Session<F> {
    /// A session that has just what was acknowledged.
    pub fn new(file: Option<F>, acknowledged: Checkpoint, state: Option<F>) -> Self {
        Self {
            file,
            hasher: acknowledged.hasher.clone(),
            length: acknowledged.offset,
            tail: Vec::new(),
            reserved_to: acknowledged.offset,
            written_back_to: acknowledged.offset,
            acknowledged,
            state,
        }
    }

    /// Length of what was written to the file.
    pub fn written(&self) -> u64 {
        self.length - self.tail.len() as u64
    }

    /// Forgets all that was not acknowledged. The file is the caller's business.
    pub fn go_back(&mut self) {
        let offset = self.acknowledged.offset;
        self.hasher = self.acknowledged.hasher.clone();
        self.length = offset;
        self.tail = Vec::new();
        self.reserved_to = offset;
        self.written_back_to = self.written_back_to.min(offset);
    }

    /// Writes what waits in memory to the file at `path`.
    pub fn spill<D: Disk<File = F>>(&mut self, disk: &D, path: &Path) -> io::Result<()> {
        if !self.tail.is_empty() {
            let written = self.written();
            disk.write_at(file_at(disk, path, &mut self.file)?, &self.tail, written)?;
            self.tail = Vec::new();
        }
        Ok(())
    }

    /// All bytes, for a blob that is kept inline; `None` when the file has fewer than it should.
    pub fn take_bytes<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<Option<Vec<u8>>> {
        let written = usize::try_from(self.written()).unwrap_or(usize::MAX);
        let tail = std::mem::take(&mut self.tail);
        let Some(file) = self.file.as_ref().filter(|_| written > 0) else {
            return Ok(Some(tail));
        };
        let mut bytes = vec![0; written];
        let mut filled = 0;
        while filled < written {
            match disk.read_at(file, &mut bytes[filled..], filled as u64)? {
                0 => return Ok(None),
                read => filled += read,
            }
        }
        bytes.extend_from_slice(&tail);
        Ok(Some(bytes))
    }
}

/// The session's file, made when it is needed.
pub(super) fn file_at<'f, D: Disk>(
    disk: &D,
    path: &Path,
    file: &'f mut Option<D::File>,
) -> io::Result<&'f D::File> {
    Ok(match file {
        Some(file) => file,
        None => file.insert(disk.create(path)?),
    })
}

/// The name of a session's file: it cannot be reached from another repository, nor guessed from
/// the folder's listing.
pub(super) fn session_name(key: &UploadKey) -> String {
    let text = format!("{}\n{}", key.repository, key.id);
    let mut name = Digest::of(Algorithm::Sha256, text.as_bytes()).hex();
    name.truncate(32);
    name
}

/// The file of a session's checkpoint.
pub(super) fn state_path(file: &Path) -> PathBuf {
    file.with_extension("state")
}

/// Makes the file of a new session: one call, nothing synced.
pub(super) fn create<D: Disk>(
    shared: &Shared<D>,
    ticket: Ticket<Session<D::File>>,
    algorithm: Algorithm,
) -> Result<Held<D::File>, UploadError> {
    let path = shared.uploads.join(ticket.name());
    match shared.spares.make(&shared.disk, &path) {
        Ok(file) => Ok((
            ticket,
            Session::new(Some(file), Checkpoint::empty(algorithm), None),
        )),
        Err(error) => {
            let error = Error::io("starting", "an upload", error);
            ticket.gone();
            Err(error.into())
        }
    }
}

/// The hash of a file's first `length` bytes, read again; `None` when there are fewer.
pub(super) fn hash_again<D: Disk>(
    disk: &D,
    file: &D::File,
    length: u64,
    algorithm: Algorithm,
) -> io::Result<Option<Hasher>> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; READ_LENGTH];
    let mut offset = 0;
    while offset < length {
        let read = disk.read_at(file, &mut buffer, offset)? as u64;
        if read == 0 {
            return Ok(None);
        }
        let read = read.min(length - offset);
        // No more than the buffer holds, so the cast is exact.
        #[expect(clippy::cast_possible_truncation, reason = "at most READ_LENGTH")]
        hasher.update(&buffer[..read as usize]);
        offset += read;
    }
    Ok(Some(hasher))
}
