//! Whether bytes can be written durably: what the last sync said, and a test of the disk.

use std::io::ErrorKind as Io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::disk::Disk;
use crate::store::{Error, ErrorKind};

/// What is known of the disk.
#[derive(Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Default)]
struct State {
    /// A failed sync that no probe has told of yet.
    failure: Option<String>,
    /// When the last probe succeeded.
    proved: Option<Instant>,
}

impl Health {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a sync failed: the disk has lost something, whatever it says next.
    pub fn sync_failed(&self, error: &Error) {
        let mut state = self.lock();
        state.failure = Some(error.to_string());
        state.proved = None;
    }

    /// Runs `test` unless one succeeded within `interval`. A sync that failed meanwhile is told
    /// by one probe at least; the next that succeeds ends it.
    pub fn probe(
        &self,
        interval: Duration,
        test: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut state = self.lock();
        let fresh = |at: Instant| at.elapsed() < interval;
        if state.failure.is_none() && state.proved.is_some_and(fresh) {
            return Ok(());
        }
        state.proved = None;
        test()?;
        if let Some(failure) = state.failure.take() {
            return Err(Error::new(ErrorKind::Io, "probing", "the disk").because(failure));
        }
        state.proved = Some(Instant::now());
        Ok(())
    }
}

/// Writes a few bytes durably and removes them.
pub(super) fn write_and_remove<D: Disk>(disk: &D, path: &Path, relaxed: bool) -> Result<(), Error> {
    let probing = |error| Error::io("probing", path.display(), error);
    let file = match disk.create(path) {
        // Left by a probe that did not come to its end.
        Err(error) if error.kind() == Io::AlreadyExists => {
            disk.remove(path).map_err(probing)?;
            disk.create(path).map_err(probing)?
        }
        result => result.map_err(probing)?,
    };
    let written = disk
        .write_at(&file, b"coracle\n", 0)
        .and_then(|()| if relaxed { Ok(()) } else { disk.sync(&file) });
    let removed = disk.remove(path);
    written.and(removed).map_err(probing)
}
