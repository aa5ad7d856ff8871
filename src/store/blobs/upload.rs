//! An upload session of the file store: appending, acknowledging, finishing.
//!
//! What of a session survives, and how it is picked up again, is in `resume`.

use std::io::ErrorKind as Io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::disk::Disk;
use super::file::Shared;
use super::resume::write_checkpoint;
use super::sessions::Ticket;
use super::staged::Staged;
use super::{FinishError, Upload, UploadError, UploadKey};
use crate::oci::{Algorithm, Digest, Hasher};
use crate::store::{Error, ErrorKind, StagedBlob};

/// Room for less than this is not reserved: it is written before a reservation would pay, in bytes.
const RESERVE_MIN: u64 = 1 << 20;
/// Writing to the device is started each time this many bytes have come.
const WRITEBACK_STEP: u64 = 8 << 20;
/// How much is read at once where bytes must be hashed again.
const READ_LENGTH: usize = 256 << 10;

/// What is kept of a session while it is open.
pub(super) struct Session<F> {
    pub file: F,
    /// The hash of the first `length` bytes.
    pub hasher: Hasher,
    pub length: u64,
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
    pub fn new(file: F, acknowledged: Checkpoint, state: Option<F>) -> Self {
        Self {
            file,
            hasher: acknowledged.hasher.clone(),
            length: acknowledged.offset,
            reserved_to: acknowledged.offset,
            written_back_to: acknowledged.offset,
            acknowledged,
            state,
        }
    }
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
    match shared.disk.create(&shared.uploads.join(ticket.name())) {
        Ok(file) => Ok((
            ticket,
            Session::new(file, Checkpoint::empty(algorithm), None),
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
) -> std::io::Result<Option<Hasher>> {
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

/// A session in the hands of one request.
pub(super) struct FileUpload<D: Disk> {
    shared: Arc<Shared<D>>,
    path: PathBuf,
    /// Both are there until the session is finished or cancelled.
    held: Option<Held<D::File>>,
    /// Whether it outlives this request.
    named: bool,
    /// No more bytes are taken: the end of the file is not what was hashed.
    broken: bool,
    /// The checkpoint on disk may be the old one, the new one, or neither.
    doubtful: bool,
}

impl<D: Disk> FileUpload<D> {
    pub fn new(
        shared: Arc<Shared<D>>,
        ticket: Ticket<Session<D::File>>,
        session: Session<D::File>,
        named: bool,
    ) -> Self {
        Self {
            path: shared.uploads.join(ticket.name()),
            shared,
            held: Some((ticket, session)),
            named,
            broken: false,
            doubtful: false,
        }
    }

    /// The session, unless a write failed before.
    fn session(&mut self) -> Result<(&D, &mut Session<D::File>), Error> {
        match &mut self.held {
            Some((_, session)) if !self.broken => Ok((&self.shared.disk, session)),
            _ => Err(
                Error::new(ErrorKind::Closed, "continuing", "an upload").because(
                    "an earlier write failed; claim the session again and go on at its offset",
                ),
            ),
        }
    }

    /// The session's file, at its end; `None` when it was taken before.
    fn take(&mut self) -> Option<Staged<D>> {
        let held = self.held.take()?;
        let (shared, path) = (Arc::clone(&self.shared), self.path.clone());
        Some(Staged::new(shared, path, held))
    }

    /// After a checkpoint that failed: what is on disk must not run ahead of what counts, or bytes
    /// that are written there later would be taken for those that were hashed.
    fn restore_checkpoint(&mut self) -> std::io::Result<()> {
        let Some((_, session)) = &mut self.held else {
            return Ok(());
        };
        let (disk, path) = (&self.shared.disk, state_path(&self.path));
        if session.acknowledged.offset > 0 {
            let (state, reached) = (&mut session.state, &session.acknowledged);
            return write_checkpoint(disk, &path, state, reached, self.shared.boot);
        }
        session.state = None;
        match disk.remove(&path) {
            Err(error) if error.kind() != Io::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Compares the bytes with `expected`, hashing them again if that takes another algorithm.
    fn verify(&mut self, expected: &Digest) -> Result<u64, FinishError> {
        let (disk, session) = self.session()?;
        let reading = |error| Error::io("reading", "an upload", error);
        let length = session.length;
        let hasher = if expected.algorithm() == session.hasher.algorithm() {
            session.hasher.clone()
        } else {
            hash_again(disk, &session.file, length, expected.algorithm())
                .map_err(reading)?
                .ok_or_else(|| Error::new(ErrorKind::Corrupt, "reading", "an upload"))?
        };
        let actual = hasher.finish();
        if actual != *expected {
            return Err(FinishError::DigestMismatch { actual });
        }
        if session.reserved_to > length {
            disk.set_length(&session.file, length)
                .map_err(|error| Error::io("freeing space of", "an upload", error))?;
        }
        Ok(length)
    }
}

impl<D: Disk> Upload for FileUpload<D> {
    fn offset(&self) -> u64 {
        let held = self.held.as_ref();
        held.map_or(0, |(_, session)| session.acknowledged.offset)
    }

    fn length(&self) -> u64 {
        self.held.as_ref().map_or(0, |(_, session)| session.length)
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), Error> {
        let (disk, session) = self.session()?;
        let Some(count) = NonZeroU64::new(bytes).filter(|_| bytes >= RESERVE_MIN) else {
            return Ok(());
        };
        // Set first: a reservation that failed half-way is given back as well.
        session.reserved_to = session
            .reserved_to
            .max(session.length.saturating_add(bytes));
        disk.reserve(&session.file, session.length, count)
            .map_err(|error| Error::io("reserving space for", "an upload", error))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let early_writeback = !self.shared.options.relaxed;
        let (disk, session) = self.session()?;
        if let Err(error) = disk.write_at(&session.file, bytes, session.length) {
            self.broken = true;
            return Err(Error::io("writing", "an upload", error));
        }
        session.hasher.update(bytes);
        session.length += bytes.len() as u64;
        let dirty = session.length - session.written_back_to;
        if dirty >= WRITEBACK_STEP
            && early_writeback
            && let Some(dirty) = NonZeroU64::new(dirty)
        {
            disk.start_writeback(&session.file, session.written_back_to, dirty);
            session.written_back_to = session.length;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), Error> {
        let (named, boot, path) = (self.named, self.shared.boot, state_path(&self.path));
        let (disk, session) = self.session()?;
        if session.length == session.acknowledged.offset {
            return Ok(());
        }
        let reached = Checkpoint {
            offset: session.length,
            hasher: session.hasher.clone(),
        };
        if named
            && let Err(error) = write_checkpoint(disk, &path, &mut session.state, &reached, boot)
        {
            self.broken = true;
            self.doubtful = self.restore_checkpoint().is_err();
            return Err(Error::io("writing", "the checkpoint of an upload", error));
        }
        let offset = reached.offset;
        session.acknowledged = reached;
        if let Some((ticket, _)) = &self.held {
            ticket.acknowledge(offset);
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, expected: &Digest) -> Result<StagedBlob, FinishError> {
        if let Some((ticket, _)) = &self.held {
            ticket.leaving();
        }
        let verified = self.verify(expected);
        let staged = self.take();
        // When it did not verify, dropping what was staged removes it.
        let size = verified?;
        let holder =
            staged.ok_or_else(|| Error::new(ErrorKind::Closed, "finishing", "an upload"))?;
        Ok(StagedBlob {
            digest: *expected,
            size,
            holder: Box::new(holder),
        })
    }

    fn cancel(mut self: Box<Self>) -> Result<(), Error> {
        let Some(mut staged) = self.take() else {
            return Ok(());
        };
        staged
            .remove()
            .map_err(|error| Error::io("removing", "an upload", error))
    }
}

impl<D: Disk> Drop for FileUpload<D> {
    /// Back to what was acknowledged.
    fn drop(&mut self) {
        if !self.named {
            // Dropping what is staged removes it.
            drop(self.take());
            return;
        }
        let Some((ticket, mut session)) = self.held.take() else {
            return;
        };
        if self.doubtful {
            // Whatever is on disk agrees with itself; opening the session again finds out.
            return;
        }
        let offset = session.acknowledged.offset;
        if self.broken || session.length > offset || session.reserved_to > offset {
            // If it cannot be cut back now, it will be when it is opened again.
            if self.shared.disk.set_length(&session.file, offset).is_err() {
                return;
            }
            session.hasher = session.acknowledged.hasher.clone();
            session.length = offset;
            session.reserved_to = offset;
            session.written_back_to = session.written_back_to.min(offset);
        }
        ticket.park(session, offset);
    }
}
