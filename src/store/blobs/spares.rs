//! Empty files that wait for the next upload session.
//!
//! A session has a file from its start, so that it survives the process; that of a short blob is
//! not needed any more once the catalog has the bytes. Such files are renamed and used again: a
//! file system may take its time over inodes that were removed a moment ago (ext4 passes over each
//! of them for a minute, which cost more than all else in a push).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::disk::Disk;

/// What the names of spare files begin with.
pub(super) const SPARE: &str = "spare-";

/// How many are kept, each an open file without a byte.
const SPARES_MAX: usize = 64;

/// The spare files of one store.
pub(super) struct Spares<F> {
    state: Mutex<State<F>>,
}

struct State<F> {
    idle: Vec<(PathBuf, F)>,
    /// Names given so far; those of an earlier process were removed at the start.
    names: u64,
}

impl<F> Spares<F> {
    /// None yet.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                idle: Vec::new(),
                names: 0,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<F>> {
        // Every change below is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new file at `path`, open for reading and writing; an existing name is an error.
    pub fn make<D: Disk<File = F>>(&self, disk: &D, path: &Path) -> io::Result<F> {
        let spare = self.lock().idle.pop();
        if let Some((from, file)) = spare {
            // It is as old as its session from now on.
            let taken = disk
                .touch(&file)
                .and_then(|()| disk.rename_new(&from, path));
            if matches!(taken, Ok(true)) {
                return Ok(file);
            }
            // Somebody took it away, or the file system cannot do this; or the name is taken, and
            // that is said below.
            let _ = disk.remove(&from);
        }
        disk.create(path)
    }

    /// Takes the file at `path` away, and keeps it here if there is room; `is_empty` when it has
    /// no bytes, and no room was reserved for some.
    pub fn keep<D: Disk<File = F>>(
        &self,
        disk: &D,
        path: &Path,
        file: F,
        is_empty: bool,
    ) -> io::Result<()> {
        let Some(name) = self.next_name() else {
            return disk.remove(path);
        };
        let spare = path.with_file_name(name);
        let emptied = if is_empty {
            Ok(())
        } else {
            disk.set_length(&file, 0)
        };
        if emptied.and_then(|()| disk.rename(path, &spare)).is_err() {
            return disk.remove(path);
        }
        self.lock().idle.push((spare, file));
        Ok(())
    }

    fn next_name(&self) -> Option<String> {
        let mut state = self.lock();
        state.names += 1;
        (state.idle.len() < SPARES_MAX).then(|| format!("{SPARE}{}", state.names))
    }
}
