//! An upload session of the file store in the hands of a request: appending, acknowledging,
//! finishing.
//!
//! What is kept of it is in `session`; what survives, and how it is picked up again, in `resume`.

use std::io::ErrorKind as Io;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::disk::{Disk, RESERVE_BYTES_MAX};
use super::file::Shared;
use super::resume::write_checkpoint;
use super::session::{Held, Session, file_at, hash_again, state_path};
use super::sessions::Ticket;
use super::staged::Staged;
use super::{FinishError, Upload};
use crate::oci::Digest;
use crate::store::space::Claim;
use crate::store::{Error, ErrorKind, StagedBlob};

/// Room for less than this is not reserved: it is written before a reservation would pay, in bytes.
const RESERVE_MIN: u64 = 1 << 20;
/// Writing to the device is started each time this many bytes have come.
const WRITEBACK_STEP: u64 = 8 << 20;
/// What must be free on the file system for a blob to be kept inline, in bytes: more than the whole
/// write-ahead log. With less the log might not fit into the catalog's file any more, and then
/// nothing could be deleted; as a file, a blob takes no room from it.
const INLINE_ROOM_MIN: u64 = 8 << 20;
/// What a file takes beyond its bytes: the rest of its last block, and its checkpoint; in bytes.
const FILE_EXTRA: u64 = 8 << 10;
/// What is claimed at once for bytes that were not announced.
const CLAIM_STEP: u64 = 1 << 20;

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
    /// Room for what comes.
    claim: Claim,
    /// Offset up to which there is room: claimed, or on the disk.
    covered_to: u64,
    /// Offset up to which the file has its room on the disk.
    on_disk_to: u64,
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
            claim: shared.space.claim(),
            covered_to: session.length,
            on_disk_to: session.length,
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
        let path = state_path(&self.path);
        if session.acknowledged.offset > 0 {
            let (state, reached) = (&mut session.state, &session.acknowledged);
            return write_checkpoint(&self.shared, &path, state, reached);
        }
        session.state = None;
        match self.shared.disk.remove(&path) {
            Err(error) if error.kind() != Io::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Sees to it that `bytes` more have room when nobody announced them, or more than that.
    fn cover(&mut self, bytes: u64) -> Result<(), Error> {
        let end = self.length().saturating_add(bytes);
        if end <= self.covered_to {
            return Ok(());
        }
        let needed = end - self.covered_to;
        let step = needed.max(CLAIM_STEP);
        // Close to the reserve there may be less than a step, and still enough.
        let taken = self.claim.take(step, step).map(|()| step);
        let taken = taken.or_else(|error| match error.kind() {
            ErrorKind::Full => self.claim.take(needed, needed).map(|()| needed),
            _ => Err(error),
        });
        self.covered_to += taken?;
        Ok(())
    }

    /// What was written or reserved up to `end` is in the file system's own count now.
    fn settle(&mut self, end: u64) {
        self.claim.settle(end.saturating_sub(self.on_disk_to));
        self.on_disk_to = self.on_disk_to.max(end);
    }

    /// Whether the blob is to be kept inline; if not, all of it is in the file then.
    fn choose_form(&mut self) -> Result<bool, Error> {
        let (options, path) = (self.shared.options, self.path.clone());
        let (_, session) = self.session()?;
        let (length, again) = (session.length, session.written());
        if options.may_be_inline(length) {
            // What is in the session's file is written a second time, into the catalog.
            if again > 0 || self.claim.free().is_none() {
                self.claim.take(again, again)?;
            }
            if self.claim.free() >= Some(INLINE_ROOM_MIN) {
                return Ok(true);
            }
        }
        let (disk, session) = self.session()?;
        let spilled = session
            .spill(disk, &path)
            .and_then(|()| file_at(disk, &path, &mut session.file).map(|_| false));
        spilled.map_err(|error| {
            self.broken = true;
            Error::io("writing", "an upload", error)
        })
    }

    /// Compares the bytes with `expected`, hashing them again if that takes another algorithm.
    /// Their number, and the bytes themselves if the blob is kept inline.
    fn verify(
        &mut self,
        expected: &Digest,
        inline: bool,
    ) -> Result<(u64, Option<Vec<u8>>), FinishError> {
        let (disk, session) = self.session()?;
        let reading = |error| Error::io("reading", "an upload", error);
        let short = || Error::new(ErrorKind::Corrupt, "reading", "an upload");
        let (length, algorithm) = (session.length, expected.algorithm());
        let bytes = if inline {
            let bytes = session.take_bytes(disk).map_err(reading)?;
            Some(bytes.ok_or_else(short)?)
        } else {
            None
        };
        let actual = match (&bytes, &session.file) {
            _ if algorithm == session.hasher.algorithm() => session.hasher.clone().finish(),
            (Some(bytes), _) => Digest::of(algorithm, bytes),
            (None, Some(file)) => hash_again(disk, file, length, algorithm)
                .map_err(reading)?
                .ok_or_else(short)?
                .finish(),
            (None, None) => return Err(short().into()),
        };
        if actual != *expected {
            return Err(FinishError::DigestMismatch { actual });
        }
        if let Some(file) = session.file.as_ref().filter(|_| !inline)
            && session.reserved_to > length
        {
            disk.set_length(file, length)
                .map_err(|error| Error::io("freeing space of", "an upload", error))?;
        }
        Ok((length, bytes))
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
        let (options, path) = (self.shared.options, self.path.clone());
        let start = self.length();
        let extra = bytes.saturating_add(FILE_EXTRA);
        let hold = bytes.min(RESERVE_BYTES_MAX);
        self.claim.take(hold + FILE_EXTRA, extra)?;
        self.covered_to = start.saturating_add(hold);
        let (disk, session) = self.session()?;
        let end = session.length.saturating_add(bytes);
        if options.may_be_inline(end) {
            // No more than that bound.
            session.tail.reserve(usize::try_from(bytes).unwrap_or(0));
            return Ok(());
        }
        let Some(count) = NonZeroU64::new(bytes).filter(|_| bytes >= RESERVE_MIN) else {
            return Ok(());
        };
        // Set first: a reservation that failed half-way is given back as well.
        session.reserved_to = session.reserved_to.max(end);
        let reserved = file_at(disk, &path, &mut session.file)
            .and_then(|file| disk.reserve(file, session.length, count))
            .map_err(|error| Error::io("reserving space for", "an upload", error))?;
        if reserved > 0 {
            self.settle(start + reserved);
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Err(error) = self.cover(bytes.len() as u64) {
            self.broken = true;
            return Err(error);
        }
        let (options, path) = (self.shared.options, self.path.clone());
        let (disk, session) = self.session()?;
        let length = session.length + bytes.len() as u64;
        if options.may_be_inline(length) {
            session.tail.extend_from_slice(bytes);
        } else {
            let written = session.spill(disk, &path).and_then(|()| {
                let file = file_at(disk, &path, &mut session.file)?;
                disk.write_at(file, bytes, session.length)
            });
            if let Err(error) = written {
                self.broken = true;
                return Err(Error::io("writing", "an upload", error));
            }
        }
        session.hasher.update(bytes);
        session.length = length;
        if !options.relaxed {
            start_writeback(disk, session);
        }
        let written = session.written();
        self.settle(written);
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), Error> {
        let (named, path, shared) = (self.named, self.path.clone(), Arc::clone(&self.shared));
        let (disk, session) = self.session()?;
        if session.length == session.acknowledged.offset {
            return Ok(());
        }
        let reached = Checkpoint {
            offset: session.length,
            hasher: session.hasher.clone(),
        };
        if named && let Err(error) = session.spill(disk, &path) {
            self.broken = true;
            return Err(Error::io("writing", "an upload", error));
        }
        if named
            && let Err(error) =
                write_checkpoint(&shared, &state_path(&path), &mut session.state, &reached)
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
        let inline = self.choose_form()?;
        if let Some((ticket, _)) = &self.held {
            ticket.leaving();
        }
        let verified = self.verify(expected, inline);
        let claim = std::mem::replace(&mut self.claim, self.shared.space.claim());
        let staged = self.take();
        // When it did not verify, dropping what was staged removes it.
        let (size, bytes) = verified?;
        let mut holder =
            staged.ok_or_else(|| Error::new(ErrorKind::Closed, "finishing", "an upload"))?;
        if bytes.is_some() {
            holder.set_claim(claim);
        }
        holder.set_bytes(bytes);
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
        if let Some(file) = &session.file
            && (self.broken || session.written() > offset || session.reserved_to > offset)
            // If it cannot be cut back now, it will be when it is opened again.
            && self.shared.disk.set_length(file, offset).is_err()
        {
            return;
        }
        session.go_back();
        ticket.park(session, offset);
    }
}

/// Has the device begin with what was written since it last did, when that is much.
fn start_writeback<D: Disk>(disk: &D, session: &mut Session<D::File>) {
    let dirty = session.length - session.written_back_to;
    if dirty >= WRITEBACK_STEP
        && let (Some(dirty), Some(file)) = (NonZeroU64::new(dirty), &session.file)
    {
        disk.start_writeback(file, session.written_back_to, dirty);
        session.written_back_to = session.length;
    }
}
