//! The folder that one run measures in. It is removed at the end, and what a run that was killed
//! left behind is removed by the next one.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Outcome, loopfs, peers, system};

/// Folders of a run are named by this and the process that owns them.
const PREFIX: &str = "compare-";
/// How long a server that was left behind may take to end.
const END_MAX: Duration = Duration::from_secs(5);

/// A run's own folder.
#[derive(Debug)]
pub struct WorkFolder {
    path: PathBuf,
}

impl WorkFolder {
    /// Makes the folder inside `parent`, after removing those whose owner is gone.
    pub fn make(parent: &Path) -> Outcome<Self> {
        fs::create_dir_all(parent)?;
        for entry in fs::read_dir(parent)?.flatten() {
            let name = entry.file_name();
            let Some(owner) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
                continue;
            };
            if owner.parse::<u32>().is_ok() && !Path::new("/proc").join(owner).exists() {
                end_users(&entry.path());
                loopfs::unmount_below(&entry.path());
                fs::remove_dir_all(entry.path())?;
            }
        }
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path)
            .map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A fresh folder inside, removed when the value is dropped.
    pub fn fresh(&self) -> Outcome<TempDir> {
        fresh_in(&self.path)
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("compare: cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Ends the servers that still run on a folder whose owner is gone: those that were started with
/// its path in their arguments.
fn end_users(folder: &Path) {
    for pid in system::processes_naming(folder) {
        eprintln!("compare: ending process {pid}, left behind by a run that was killed");
        peers::signal(pid, Signal::TERM);
        let told = Instant::now();
        while Path::new("/proc").join(pid.to_string()).exists() && told.elapsed() < END_MAX {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A fresh folder inside `parent`, removed when the value is dropped.
pub fn fresh_in(parent: &Path) -> Outcome<TempDir> {
    Ok(tempfile::Builder::new().prefix("s-").tempdir_in(parent)?)
}
