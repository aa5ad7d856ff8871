//! A place where a client program keeps its state, and that leaves no process, mount or content.
//! (What engines run by root do leave: empty control groups, empty folders below `/run`, and their
//! cache of known blobs in `/var/lib/containers`.)
//!
//! Every process started here inherits a variable that names the sandbox. That is how the
//! processes a daemon leaves behind are found again: by their ids, never by a name that others
//! on the machine may share.

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Names the sandbox in the environment of everything that runs in it.
const MARK: &str = "CORACLE_TEST_SANDBOX";

/// After how many seconds a command is killed; far above what any of them needs.
const COMMAND_SECONDS_MAX: &str = "240";

/// How long the processes of a sandbox may take to end once they are killed.
const KILL_PATIENCE: Duration = Duration::from_secs(60);

/// Container engines share cgroups, mounts and namespaces of the machine: one at a time.
static ENGINES: Mutex<()> = Mutex::new(());

/// A sandbox for a test that needs these programs. Without them there is none: the test is
/// skipped with a line on stderr, or fails if `CORACLE_CLIENTS=required`.
#[track_caller]
pub fn require(programs: &[&str]) -> Option<Sandbox> {
    let missing: Vec<_> = programs
        .iter()
        .filter(|name| find(name).is_none())
        .collect();
    if missing.is_empty() {
        return Some(Sandbox::new(programs[0]));
    }
    skip(programs[0], &format!("not installed: {missing:?}"));
    None
}

/// Says on stderr, past the capture of the test runner, that a client was not tested.
#[track_caller]
pub fn skip(program: &str, why: &str) {
    let line = format!("SKIPPED: the test with {program} did not run: {why}");
    assert!(
        std::env::var_os("CORACLE_CLIENTS").is_none_or(|value| value != "required"),
        "{line} (and CORACLE_CLIENTS=required)"
    );
    let _ = writeln!(io::stderr(), "{line}");
}

/// Debian's own folders first: another program of the same name may stand before them.
fn path() -> OsString {
    let mut path = OsString::from("/usr/sbin:/usr/bin:/sbin:/bin:");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&path())
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// A folder with the whole state of a client program, and the environment that points there.
pub struct Sandbox {
    folder: TempDir,
    program: String,
    environment: Vec<(OsString, OsString)>,
    turn: Option<MutexGuard<'static, ()>>,
}

impl Sandbox {
    fn new(program: &str) -> Sandbox {
        // The name is short because paths of sockets are: 107 bytes.
        let folder = tempfile::Builder::new()
            .prefix("coracle-")
            .tempdir()
            .expect("temp folder");
        let root = folder.path().to_path_buf();
        let mut environment = vec![("PATH".into(), path()), (MARK.into(), root.clone().into())];
        for (name, place) in [
            ("HOME", "home"),
            ("TMPDIR", "tmp"),
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "share"),
            ("DOCKER_CONFIG", "docker"),
        ] {
            fs::create_dir(root.join(place)).expect("make a folder");
            environment.push((name.into(), root.join(place).into()));
        }
        environment.push(("REGISTRY_AUTH_FILE".into(), root.join("auth.json").into()));
        fs::write(root.join("auth.json"), "{}").expect("write auth.json");
        Sandbox {
            folder,
            program: program.to_owned(),
            environment,
            turn: None,
        }
    }

    /// For a program that makes containers: waits for its turn, and skips the test where there
    /// are no rights to mount and to make namespaces.
    #[track_caller]
    pub fn with_containers(mut self) -> Option<Sandbox> {
        self.turn = Some(ENGINES.lock().unwrap_or_else(PoisonError::into_inner));
        let probe = "mount -t tmpfs none /mnt && mount -t proc none /proc";
        let namespaces = ["--mount", "--pid", "--fork", "--net", "--ipc", "--uts"];
        let mut unshare = self.command("unshare");
        let output = unshare.args(namespaces).args(["sh", "-c", probe]).output();
        let output = output.expect("run unshare");
        if rustix::process::geteuid().is_root() && output.status.success() {
            return Some(self);
        }
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        skip(
            &self.program,
            &format!("no rights to make containers here: {why}"),
        );
        None
    }

    /// A name that nothing else on the machine has.
    pub fn name(&self) -> String {
        let name = self.folder.path().file_name().expect("a folder's name");
        name.to_str().expect("a name of UTF-8").to_owned()
    }

    /// A path in the sandbox.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in the sandbox as the text of an argument.
    pub fn arg(&self, name: &str) -> String {
        self.path(name)
            .to_str()
            .expect("a path of UTF-8")
            .to_owned()
    }

    /// Writes a file in the sandbox, with the folders above it; answers its path as an argument.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("make the folders");
        fs::write(&path, text).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        self.arg(name)
    }

    /// Sets a variable for everything that is started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    /// Makes skopeo keep its cache of known blobs in the sandbox: run by root it uses one of the
    /// whole machine, and what that remembers of other tests would change what it sends.
    pub fn keep_skopeo_inside(&mut self) {
        self.set("_CONTAINERS_ROOTLESS_UID", "1000");
    }

    /// A command with the sandbox's environment and nothing else of ours, killed after a while.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.bare("timeout");
        command.args(["--kill-after=10", COMMAND_SECONDS_MAX, program]);
        command
    }

    /// A command that may run for as long as it likes.
    pub fn bare(&self, program: &str) -> Command {
        let mut command = Command::new(find(program).unwrap_or_else(|| program.into()));
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs a command that has to succeed; answers what it printed, without the last line's end.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self
            .command(program)
            .args(arguments)
            .output()
            .expect("run timeout");
        assert!(
            output.status.success(),
            "{}",
            describe(program, arguments, &output)
        );
        String::from_utf8(output.stdout)
            .expect("output in UTF-8")
            .trim_end()
            .to_owned()
    }

    /// Runs a command that has to fail by itself; answers what it printed on stderr.
    #[track_caller]
    pub fn run_to_fail(&self, program: &str, arguments: &[&str]) -> String {
        let output = self
            .command(program)
            .args(arguments)
            .output()
            .expect("run timeout");
        let by_itself = output
            .status
            .code()
            .is_some_and(|code| (1..124).contains(&code));
        assert!(
            by_itself,
            "it should have failed: {}",
            describe(program, arguments, &output)
        );
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The processes that run in this sandbox.
    fn processes(&self) -> Vec<Pid> {
        let mark = format!("{MARK}={}", self.folder.path().display()).into_bytes();
        let runs_here = |pid: &Pid| {
            let file = format!("/proc/{}/environ", pid.as_raw_nonzero());
            fs::read(file).is_ok_and(|text| text.split(|byte| *byte == 0).any(|one| one == mark))
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(Pid::from_raw).filter(runs_here).collect()
    }

    /// The mounts below this sandbox, the innermost first.
    fn mounts(&self) -> Vec<PathBuf> {
        let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let places = table
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .map(PathBuf::from);
        let mut mounts: Vec<_> = places
            .filter(|m| m.starts_with(self.folder.path()))
            .collect();
        mounts.reverse();
        mounts
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let patience_end = Instant::now() + KILL_PATIENCE;
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() > patience_end {
                break;
            }
            for pid in left {
                let _ = kill_process(pid, Signal::KILL);
            }
            thread::sleep(Duration::from_millis(10));
        }
        for mount in self.mounts() {
            let _ = Command::new("umount").arg("--lazy").arg(mount).status();
        }
    }
}

fn describe(program: &str, arguments: &[&str], output: &Output) -> String {
    let end = match (output.status.code(), output.status.signal()) {
        (Some(124), _) => format!("no end within {COMMAND_SECONDS_MAX} s"),
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {signal:?}"),
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let command = arguments.join(" ");
    format!("{program} {command}: {end}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
}

/// Runs a program of the base system that prepares a test's content, outside any sandbox.
#[track_caller]
pub fn prepare(folder: &Path, program: &str, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|e| panic!("run {program}: {e}"));
    assert!(
        output.status.success(),
        "{}",
        describe(program, arguments, &output)
    );
    output.stdout
}
