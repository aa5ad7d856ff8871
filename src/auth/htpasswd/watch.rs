//! The htpasswd file on disk: read at the start, looked at again now and then, and kept as it was
//! last good when an edit went wrong.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{BYTES_MAX, LineError, Users};

/// How often the file is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The most lines that are reported one by one.
const REPORTED_MAX: usize = 10;

/// Why a file cannot be used.
#[derive(Debug)]
pub enum FileError {
    /// It cannot be read.
    Io(PathBuf, io::Error),
    /// It is larger than any such file.
    Large(PathBuf),
    /// It is a folder, a pipe or a device.
    NoFile(PathBuf),
    /// A line of it is none.
    Line(PathBuf, LineError),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Large(path) => {
                let path = path.display();
                write!(f, "{path}: is larger than {BYTES_MAX} bytes")
            }
            Self::NoFile(path) => write!(f, "{}: is no regular file", path.display()),
            Self::Line(path, error) => write!(f, "{}:{error}", path.display()),
        }
    }
}

impl std::error::Error for FileError {}

/// What tells one version of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// An htpasswd file that is watched.
pub struct Htpasswd {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    users: Arc<Users>,
    /// The version that was read last, good or bad; none when it could not be read.
    stamp: Option<Stamp>,
    /// Whether it was read again after its stamp last changed: times of files are coarse, and a
    /// second edit within one tick leaves no trace in them.
    settled: bool,
    looked_at: Instant,
    problem: Option<String>,
}

impl Htpasswd {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(path: PathBuf, now: Instant) -> Result<Self, FileError> {
        let (stamp, users) = read(&path)?;
        report(&path, &users);
        let state = State {
            users: Arc::new(users),
            stamp: Some(stamp),
            settled: false,
            looked_at: now,
            problem: None,
        };
        Ok(Self {
            path,
            state: Mutex::new(state),
        })
    }

    /// The users as the file was last good.
    pub fn users(&self) -> Arc<Users> {
        Arc::clone(&self.lock().users)
    }

    /// What is wrong with the file at this moment, which is why an older version is in use.
    pub fn problem(&self) -> Option<String> {
        self.lock().problem.clone()
    }

    /// Looks whether the file has changed, unless somebody did a moment ago; whether other users
    /// are in it now.
    pub fn look(&self, now: Instant) -> bool {
        let mut state = self.lock();
        if now.saturating_duration_since(state.looked_at) < LOOK_EVERY {
            return false;
        }
        state.looked_at = now;
        let stamp = std::fs::metadata(&self.path).map(|file| Stamp::of(&file));
        match stamp {
            Ok(stamp) if state.settled && state.stamp == Some(stamp) => false,
            _ => self.read_again(&mut state),
        }
    }

    /// Reads the file again, whatever it looks like; whether other users are in it now.
    pub fn reload(&self) -> bool {
        self.read_again(&mut self.lock())
    }

    fn read_again(&self, state: &mut State) -> bool {
        let outcome = read(&self.path);
        let before = state.stamp;
        match outcome {
            Ok((stamp, users)) => {
                state.settled = before == Some(stamp);
                state.stamp = Some(stamp);
                if state.problem.take().is_some() {
                    log::info!("the htpasswd file {} is good again", self.path.display());
                }
                if *state.users == users {
                    return false;
                }
                report(&self.path, &users);
                state.users = Arc::new(users);
                true
            }
            Err(error) => {
                let stamp = std::fs::metadata(&self.path).map(|file| Stamp::of(&file));
                state.settled = before.is_some() && before == stamp.as_ref().ok().copied();
                state.stamp = stamp.ok();
                let problem = error.to_string();
                // Once for each thing that is wrong, however often somebody logs in.
                if state.problem.as_ref() != Some(&problem) {
                    log::error!(
                        "the htpasswd file was not taken: {problem}; its last good version with {} \
                         users stays in use",
                        state.users.len()
                    );
                }
                state.problem = Some(problem);
                false
            }
        }
    }

    // The state is only assigned field by field after all that can fail.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    fn of(file: &std::fs::Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

fn read(path: &Path) -> Result<(Stamp, Users), FileError> {
    let failed = |error| FileError::Io(path.to_owned(), error);
    // Without blocking, so that a pipe in its place does not hold whoever logs in.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(FileError::NoFile(path.to_owned()));
    }
    let mut text = Vec::new();
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(FileError::Large(path.to_owned()));
    }
    let users = Users::parse(&text).map_err(|error| FileError::Line(path.to_owned(), error))?;
    Ok((Stamp::of(&metadata), users))
}

/// Says what in the file lets nobody in, and that it was read.
fn report(path: &Path, users: &Users) {
    let path = path.display();
    for ignored in users.ignored.iter().take(REPORTED_MAX) {
        let (line, user, why) = (ignored.line, &ignored.user, &ignored.why);
        log::warn!("{path}:{line}: {user} cannot log in: {why}");
    }
    let more = users.ignored.len().saturating_sub(REPORTED_MAX);
    if more > 0 {
        log::warn!("{path}: {more} more lines let nobody in");
    }
    log::info!("{path}: {} users can log in", users.len());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuKlIPpYWBwPVcvyuhPrkHn8sGpiZoV2W";

    struct Bench {
        folder: tempfile::TempDir,
        file: Htpasswd,
        now: Instant,
    }

    fn bench(text: &str) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        fs::write(&path, text).unwrap();
        let now = Instant::now();
        let file = Htpasswd::open(path, now).unwrap();
        Bench { folder, file, now }
    }

    impl Bench {
        fn path(&self) -> PathBuf {
            self.folder.path().join("users")
        }

        /// Looks after as many milliseconds.
        fn look_after(&mut self, milliseconds: u64) -> bool {
            self.now += Duration::from_millis(milliseconds);
            self.file.look(self.now)
        }

        fn has(&self, user: &str) -> bool {
            self.file.users().get(user).is_some()
        }
    }

    #[test]
    fn a_change_is_seen_but_not_looked_for_all_the_time() {
        let mut bench = bench(&format!("ada:{HASH}\n"));
        fs::write(bench.path(), format!("bob:{HASH}\n")).unwrap();
        assert!(!bench.look_after(999) && bench.has("ada"));
        assert!(bench.look_after(1) && bench.has("bob") && !bench.has("ada"));
        assert!(!bench.look_after(1000));
        // Replaced by another file, as editors do.
        let other = bench.folder.path().join("other");
        fs::write(&other, format!("eve:{HASH}\n")).unwrap();
        fs::rename(&other, bench.path()).unwrap();
        assert!(bench.look_after(1000) && bench.has("eve"));
    }

    /// In the same tick of the file system's clock, with the same length and in the same file.
    #[test]
    fn an_edit_right_after_another_is_seen_too() {
        let mut bench = bench(&format!("ada:{HASH}\n"));
        fs::write(bench.path(), format!("bob:{HASH}\n")).unwrap();
        assert!(bench.look_after(1000));
        let stamp = bench.file.lock().stamp;
        fs::write(bench.path(), format!("eve:{HASH}\n")).unwrap();
        let mut state = bench.file.lock();
        state.stamp = fs::metadata(bench.path()).ok().map(|file| Stamp::of(&file));
        assert!(stamp.is_some() && !state.settled);
        drop(state);
        assert!(bench.look_after(1000) && bench.has("eve"));
        assert!(bench.file.lock().settled);
    }

    #[test]
    fn a_bad_edit_keeps_the_last_good_users_and_says_so() {
        let mut bench = bench(&format!("ada:{HASH}\n"));
        fs::write(bench.path(), format!("# x\nada:{HASH}\nbob\n")).unwrap();
        assert!(!bench.look_after(1000) && bench.has("ada"));
        let problem = bench.file.problem().unwrap();
        assert!(problem.contains("users:3: has no colon"), "{problem}");
        assert!(!bench.look_after(1000) && !bench.look_after(1000));
        fs::write(bench.path(), format!("bob:{HASH}\n")).unwrap();
        assert!(bench.look_after(1000) && bench.has("bob"));
        assert_eq!(bench.file.problem(), None);
    }

    #[test]
    fn a_file_that_vanishes_keeps_its_users_until_it_is_back() {
        let mut bench = bench(&format!("ada:{HASH}\n"));
        fs::remove_file(bench.path()).unwrap();
        assert!(!bench.look_after(1000) && bench.has("ada"));
        assert!(bench.file.problem().is_some());
        assert!(!bench.file.reload() && bench.has("ada"));
        fs::write(bench.path(), format!("ada:{HASH}\n")).unwrap();
        assert!(!bench.look_after(1000), "the same users");
        assert_eq!(bench.file.problem(), None);
        fs::write(bench.path(), format!("bob:{HASH}\n")).unwrap();
        assert!(bench.file.reload() && bench.has("bob"), "at once");
    }

    #[test]
    fn what_is_no_file_of_users_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Htpasswd::open(folder.path().join(name), Instant::now());
        let error = |name: &str| match open(name) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{name} was opened"),
        };
        assert!(error("missing").contains("missing: No such file"));
        assert!(error("").contains("is no regular file"));
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        assert!(error("pipe").contains("is no regular file"));
        let zeros = fs::File::create(folder.path().join("large")).unwrap();
        zeros.set_len(BYTES_MAX + 1).unwrap();
        assert!(error("large").contains("larger than 4194304 bytes"));
        fs::write(folder.path().join("bad"), "x").unwrap();
        assert!(error("bad").ends_with("bad:1: has no colon between a name and a hash"));
    }
}
