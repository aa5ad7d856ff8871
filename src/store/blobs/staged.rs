//! A finished upload on its way to its final name, or to nothing.

use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::file::Shared;
use super::sessions::Ticket;
use super::upload::{Held, Session, state_path};
use crate::oci::Digest;
use crate::store::Error;

/// A file on its way out of a session: to its final name, or to nothing when it is dropped.
pub(super) struct Staged<D: Disk> {
    shared: Arc<Shared<D>>,
    path: PathBuf,
    /// The checkpoint's file, if there is one.
    state: Option<PathBuf>,
    /// There until it is published or removed.
    ticket: Option<Ticket<Session<D::File>>>,
    file: D::File,
}

impl<D: Disk> Staged<D> {
    /// The file of a session that is at its end; from now on nobody else finds the session.
    pub fn new(shared: Arc<Shared<D>>, path: PathBuf, held: Held<D::File>) -> Self {
        let (ticket, session) = held;
        ticket.leaving();
        Self {
            shared,
            state: session.state.is_some().then(|| state_path(&path)),
            path,
            ticket: Some(ticket),
            file: session.file,
        }
    }

    pub fn belongs_to(&self, shared: &Arc<Shared<D>>) -> bool {
        Arc::ptr_eq(&self.shared, shared)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file has another name now, and that is what a failure removes.
    pub fn moved(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Makes the bytes durable. A failure is final.
    pub fn sync(&self, digest: &Digest) -> Result<(), Error> {
        if self.shared.options.relaxed {
            return Ok(());
        }
        self.shared.disk.sync(&self.file).map_err(|error| {
            let error = Error::io("syncing blob", digest, error);
            self.shared.health.sync_failed(&error);
            error
        })
    }

    /// The file stays under its new name.
    pub fn keep(mut self) {
        self.remove_state();
        if let Some(ticket) = self.ticket.take() {
            ticket.gone();
        }
    }

    /// A checkpoint without a session means nothing and is swept if it stays.
    fn remove_state(&mut self) {
        if let Some(state) = self.state.take() {
            let _ = self.shared.disk.remove(&state);
        }
    }

    /// Ends it all.
    pub fn remove(&mut self) -> std::io::Result<()> {
        let Some(ticket) = self.ticket.take() else {
            return Ok(());
        };
        match self.shared.disk.remove(&self.path) {
            Err(error) if error.kind() != Io::NotFound => return Err(error),
            _ => ticket.gone(),
        }
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
