//! A service manager of a test: a datagram socket that hears what the program says, and the
//! program, started with what a manager puts into its environment.

use crate::support::{Client, coracle};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The manager, and the folder of its service.
pub struct Manager {
    socket: UnixDatagram,
    /// What `NOTIFY_SOCKET` says.
    name: String,
    pub folder: TempDir,
}

impl Manager {
    /// One that listens at a path.
    pub fn new() -> Manager {
        let folder = tempfile::Builder::new().prefix("coracle-it-").tempdir();
        let folder = folder.expect("temp folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bind");
        let name = path.to_str().expect("UTF-8").to_owned();
        Manager {
            socket,
            name,
            folder,
        }
    }

    /// One that listens under an abstract name.
    pub fn abstractly() -> Manager {
        let folder = tempfile::tempdir().expect("temp folder");
        let name = format!("coracle-it-{}", folder.path().display());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        Manager {
            socket: UnixDatagram::bind_addr(&address).expect("bind"),
            name: format!("@{name}"),
            folder,
        }
    }

    /// `coracle serve` on a free port and the folder's data, with its configuration file.
    pub fn command(&self, toml: &str) -> Command {
        self.command_at("127.0.0.1:0", toml)
    }

    /// The same at this address.
    pub fn command_at(&self, listen: &str, toml: &str) -> Command {
        let mut command = coracle();
        let config = self.path("coracle.toml");
        fs::write(&config, toml).expect("write the configuration");
        command.args(["serve", "--listen", listen, "--data"]);
        command.arg(self.path("data")).arg("--config").arg(config);
        command.env("NOTIFY_SOCKET", &self.name);
        command
    }

    /// Starts the program and waits until it listens.
    #[track_caller]
    pub fn start(&self, toml: &str) -> Program {
        Program::start(self.command(toml), self.folder.path())
    }

    /// The same, with a watchdog of this period.
    #[track_caller]
    pub fn start_watched(&self, toml: &str, period: Duration) -> Program {
        let mut command = self.command(toml);
        command.env("WATCHDOG_USEC", period.as_micros().to_string());
        Program::start(command, self.folder.path())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The next message, if one comes within this time.
    pub fn next_within(&self, time: Duration) -> Option<String> {
        let time = time.max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(time)).expect("a timeout");
        let mut bytes = [0; 4096];
        let count = self.socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..count].to_vec()).expect("UTF-8"))
    }

    /// The next message that has this line, or a line that begins so.
    #[track_caller]
    pub fn expect(&self, line: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        while Instant::now() < end {
            match self.next_within(end - Instant::now()) {
                Some(message) if message.lines().any(|own| own.starts_with(line)) => {
                    return message;
                }
                other => others.extend(other),
            }
        }
        panic!("no {line} among {others:#?}");
    }

    /// What is in the socket already.
    pub fn drain(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next_within(Duration::ZERO)).collect()
    }
}

/// The value of a line of a message.
#[track_caller]
pub fn value<'m>(message: &'m str, name: &str) -> &'m str {
    let mut lines = message.lines();
    lines
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("no {name} in {message}"))
}

/// A running program. Dropping it kills the process.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
    pub url: String,
    log: PathBuf,
}

impl Program {
    /// Runs the command, its log in this folder, and waits for its first line.
    #[track_caller]
    pub fn start(mut command: Command, folder: &Path) -> Program {
        let log = folder.join("log");
        let file = File::options().create(true).append(true).open(&log);
        command
            .stdout(Stdio::piped())
            .stderr(file.expect("the log"));
        command.current_dir(folder);
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut program = Program {
            child,
            lines,
            url: String::new(),
            log,
        };
        program.url = program.line();
        program
    }

    /// The next line that it prints: the first are its addresses.
    #[track_caller]
    pub fn line(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.unwrap_or_else(|_| panic!("it said nothing\n{}", self.log()))
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a pid"), signal).expect("signal the program");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        crate::support::eventually("the program ends", || {
            self.child.try_wait().expect("wait for the program")
        })
    }

    /// Stops it as a manager does.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "{status}\n{}", self.log());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of the program\n{}", self.log());
        }
    }
}
