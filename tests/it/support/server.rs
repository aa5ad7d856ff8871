//! Starts the real program in a fresh folder and ends it with its owner.
//!
//! The program is the one cargo has just built; `CORACLE_TEST_PROGRAM=/usr/bin/coracle` puts an
//! installed one in its place. The log goes to a file and is shown only when a test fails.

use super::Client;
use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start or a stop may take before the test fails; far above what either needs, so
/// that a loaded machine does not matter.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of the server's log that a failing test shows.
const LOG_LINES_SHOWN: usize = 200;

/// The program with its arguments still to come, without the caller's own `CORACLE_` settings.
pub fn coracle() -> Command {
    let program = std::env::var_os("CORACLE_TEST_PROGRAM")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_coracle").into());
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CORACLE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Asks `coracle check --deep` about a stopped server's folder and fails unless all is well.
#[track_caller]
pub fn check_clean(data: &Path) {
    let mut check = coracle();
    check
        .args(["check", "--deep", "--json", "--data"])
        .arg(data);
    let Output {
        status,
        stdout,
        stderr,
    } = check.output().expect("run coracle check");
    assert!(
        status.success(),
        "{check:?} found something wrong: {status}\n{}\n{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
}

/// Where tests keep their data that do not ask about the disk: in memory where there is room,
/// because a fresh store makes hundreds of folders, and some disks take a second for that.
pub fn quick_folder() -> PathBuf {
    const ROOM_BYTES_MIN: u64 = 2 << 30;
    let shared = Path::new("/dev/shm");
    match rustix::fs::statvfs(shared) {
        Ok(stat) if stat.f_bavail * stat.f_frsize >= ROOM_BYTES_MIN => shared.to_path_buf(),
        _ => std::env::temp_dir(),
    }
}

/// A line of an htpasswd file, and the header of whom it lets in. The hash is of the lowest cost
/// there is, so that tests spend their time elsewhere.
pub const HTPASSWD: &str = "ada:$2y$04$BIdWWg8yfJMUGw4GUowMT.hfyFeYHugGcmcsGsVaCAXVcX0WQOwRu\n";
/// `ada` with the password `correct horse battery`.
pub const ADA: &str = "Basic YWRhOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==";

/// A running `coracle serve`. Dropping it kills the process and removes its folder.
pub struct Server {
    folder: TempDir,
    data: PathBuf,
    flags: Vec<String>,
    /// Settings from its environment.
    variables: Vec<(String, String)>,
    child: Option<Child>,
    /// What the first line on stdout said: `http://127.0.0.1:40123` or `unix:/path`.
    url: String,
    /// The `Authorization` header of its clients, where they need one.
    authorization: Option<&'static str>,
}

impl Server {
    /// Starts the program with extra flags on a free port of the loopback interface, its data in
    /// a fresh folder. With `--memory` among the flags there is no data folder; with `--listen`
    /// the given address replaces the free port.
    #[track_caller]
    pub fn start(flags: &[&str]) -> Server {
        Server::start_below(&std::env::temp_dir(), flags)
    }

    /// As [`Server::start`], with the fresh folder below this one.
    #[track_caller]
    pub fn start_below(root: &Path, flags: &[&str]) -> Server {
        let folder = tempfile::Builder::new()
            .prefix("coracle-it-")
            .tempdir_in(root)
            .expect("temp folder");
        let data = folder.path().join("data");
        let flags = flags.iter().map(ToString::to_string).collect();
        let mut server = Server {
            folder,
            data,
            flags,
            variables: Vec::new(),
            child: None,
            url: String::new(),
            authorization: None,
        };
        server.launch();
        server
    }

    /// Starts the program on the memory store with an htpasswd file; its clients show that they
    /// are in it.
    #[track_caller]
    pub fn with_accounts() -> Server {
        let folder = tempfile::Builder::new()
            .prefix("coracle-it-")
            .tempdir_in(quick_folder())
            .expect("temp folder");
        fs::write(folder.path().join("htpasswd"), HTPASSWD).expect("write the htpasswd file");
        let mut server = Server {
            data: folder.path().join("data"),
            folder,
            flags: vec!["--memory".to_owned()],
            variables: Vec::new(),
            child: None,
            url: String::new(),
            authorization: Some(ADA),
        };
        server.launch();
        server
    }

    /// Starts the program on the memory store.
    #[track_caller]
    pub fn memory() -> Server {
        Server::start(&["--memory"])
    }

    /// Starts the stopped or killed program again on the same folder (on another free port).
    #[track_caller]
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "the server is already running");
        let mut command = coracle();
        command.arg("serve");
        if !self.has_flag("--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !self.has_flag("--memory") {
            command.arg("--data").arg(&self.data);
        }
        let log = self.open_log();
        command.args(&self.flags).current_dir(self.folder.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if self.authorization.is_some() {
            command.env("CORACLE_AUTH_HTPASSWD", "htpasswd");
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("start {command:?}: {e}"));
        let stdout = child.stdout.take().expect("stdout is piped");
        self.child = Some(child);
        self.url = first_line(stdout).unwrap_or_else(|why| panic!("{command:?} {why}"));
    }

    /// As [`Server::launch`], with other flags from now on.
    #[track_caller]
    pub fn launch_with(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(ToString::to_string).collect();
        self.launch();
    }

    /// Sets a variable in the environment of its next starts: `STORAGE_RESERVE`.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        let name = format!("CORACLE_{name}");
        self.variables.retain(|(own, _)| *own != name);
        self.variables.push((name, value.to_owned()));
    }

    /// As [`set_variable`](Self::set_variable), for a variable that is no setting.
    pub fn set_plain_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Sends SIGTERM and waits for the end; fails unless the program leaves with success.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "stopped with {status}");
    }

    /// Sends SIGKILL and waits for the end: what a crash of the process leaves behind.
    #[track_caller]
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Stops gracefully and starts again on the same folder (on another free port).
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.launch();
    }

    /// Stops gracefully and lets `coracle check --deep` look at the folder, if there is one.
    #[track_caller]
    pub fn stop_and_check(&mut self) {
        if self.child.is_some() {
            self.stop();
        }
        if !self.has_flag("--memory") {
            check_clean(&self.data);
        }
    }

    /// Sends a signal to the running program.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a pid");
        kill_process(pid, signal).expect("signal the server");
    }

    /// Waits for the program to end by itself.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server is running");
        let patience_end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("wait for the server") {
                return status;
            }
            if Instant::now() > patience_end {
                self.child = Some(child);
                panic!("the server did not end within {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The running program's process id.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server is running").id()
    }

    /// The data folder. It does not exist with `--memory`.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The address as the program printed it: `http://127.0.0.1:40123` or `unix:/path`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address as image references carry it: `127.0.0.1:40123`.
    #[track_caller]
    pub fn host(&self) -> &str {
        let host = self.url.strip_prefix("http://");
        host.or_else(|| self.url.strip_prefix("https://"))
            .expect("a server on TCP")
    }

    /// A new connection's worth of client; it connects at its first request.
    pub fn client(&self) -> Client {
        let client = Client::new(&self.url);
        match self.authorization {
            Some(value) => client.with_header("Authorization", value),
            None => client,
        }
    }

    /// As [`Server::client`], for a server that speaks TLS.
    pub fn tls_client(&self, config: &Arc<ClientConfig>) -> Client {
        self.client().with_tls(config, "localhost")
    }

    /// Everything the program has logged so far, over all its starts.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let skipped = lines.len().saturating_sub(LOG_LINES_SHOWN);
        let mut tail = format!("--- log of the server ({skipped} earlier lines not shown)\n");
        for line in &lines[skipped..] {
            let _ = writeln!(tail, "{line}");
        }
        tail + "--- end of the log"
    }

    fn open_log(&self) -> File {
        let path = self.folder.path().join("log");
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("open the log")
    }

    fn has_flag(&self, name: &str) -> bool {
        self.flags
            .iter()
            .any(|flag| flag.split('=').next() == Some(name))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
    }
}

/// The first line on stdout; a thread goes on reading, so that the program never waits for us.
fn first_line(stdout: impl std::io::Read + Send + 'static) -> Result<String, String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(line) => Ok(line),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err("ended before it listened".to_owned()),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("said nothing within {PATIENCE:?}")),
    }
}
