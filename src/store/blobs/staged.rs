//! A finished upload on its way to its final name, into the catalog, or to nothing.

use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::file::Shared;
use super::session::{Held, Session, state_path};
use super::sessions::Ticket;
use crate::oci::Digest;
use crate::store::Error;
use crate::store::space::Claim;

/// What is left of a session at its end. Its file gets its final name, or goes when this is
/// dropped: because the upload came to nothing, or because the catalog has the bytes.
pub(super) struct Staged<D: Disk> {
    shared: Arc<Shared<D>>,
    /// The session's file.
    session: PathBuf,
    /// The same, or its final name.
    path: PathBuf,
    /// The checkpoint's file, if there is one.
    state: Option<D::File>,
    /// There until it is published or removed.
    ticket: Option<Ticket<Session<D::File>>>,
    /// `None` when nothing was written.
    file: Option<D::File>,
    /// Whether it has no byte and no room, if the blob is kept inline.
    is_empty: bool,
    /// All bytes, when the blob is to be kept inline.
    bytes: Option<Vec<u8>>,
    /// Room for these, until they are in the catalog.
    claim: Option<Claim>,
    /// The blob is no file, so the session's files can serve another one.
    is_spare: bool,
}

impl<D: Disk> Staged<D> {
    /// The file of a session that is at its end; from now on nobody else finds the session.
    pub fn new(shared: Arc<Shared<D>>, path: PathBuf, held: Held<D::File>) -> Self {
        let (ticket, session) = held;
        ticket.leaving();
        Self {
            shared,
            state: session.state,
            is_empty: session.acknowledged.offset == 0 && session.reserved_to == 0,
            is_spare: false,
            session: path.clone(),
            path,
            ticket: Some(ticket),
            file: session.file,
            bytes: None,
            claim: None,
        }
    }

    pub fn belongs_to(&self, shared: &Arc<Shared<D>>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the blob inline if these are its bytes; `None` makes it a file.
    pub fn set_bytes(&mut self, bytes: Option<Vec<u8>>) {
        self.is_spare = bytes.is_some();
        self.bytes = bytes;
    }

    /// Keeps room for the bytes until they are in the catalog.
    pub fn set_claim(&mut self, claim: Claim) {
        self.claim = Some(claim);
    }

    /// The bytes of a blob that is kept inline; what is left of its session goes with this value.
    pub fn take_bytes(&mut self) -> Option<Vec<u8>> {
        self.bytes.take()
    }

    /// The file has another name now, and that is what a failure removes.
    pub fn moved(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Makes the bytes durable. A failure is final.
    pub fn sync(&self, digest: &Digest) -> Result<(), Error> {
        let Some(file) = self.file.as_ref().filter(|_| !self.shared.options.relaxed) else {
            return Ok(());
        };
        self.shared.disk.sync(file).map_err(|error| {
            let error = Error::io("syncing blob", digest, error);
            self.shared.health.sync_failed(&error);
            error
        })
    }

    /// The file stays under its new name.
    pub fn keep(mut self) {
        self.remove_state();
        // All of it is on the disk.
        self.claim = None;
        if let Some(ticket) = self.ticket.take() {
            ticket.gone();
        }
    }

    /// A checkpoint without a session means nothing and is swept if it stays.
    fn remove_state(&mut self) {
        if let Some(file) = self.state.take() {
            let _ = self.take_away(&state_path(&self.session), file, false);
        }
    }

    fn take_away(&self, path: &Path, file: D::File, is_empty: bool) -> std::io::Result<()> {
        if self.is_spare {
            return self
                .shared
                .spares
                .keep(&self.shared.disk, path, file, is_empty);
        }
        self.shared.disk.remove(path)
    }

    /// Ends it all.
    pub fn remove(&mut self) -> std::io::Result<()> {
        let Some(ticket) = self.ticket.take() else {
            return Ok(());
        };
        if let Some(file) = self.file.take() {
            match self.take_away(&self.path, file, self.is_empty) {
                Err(error) if error.kind() != Io::NotFound => return Err(error),
                _ => {}
            }
        }
        ticket.gone();
        self.remove_state();
        Ok(())
    }
}

impl<D: Disk> Drop for Staged<D> {
    fn drop(&mut self) {
        // What cannot be removed now is an expired session or an orphan later.
        let _ = self.remove();
    }
}
