//! The servers: how each one is configured, started, watched and stopped.
//!
//! Each is run as its users would run it for speed: no authentication and no TLS but where a row is
//! about them, loopback, and nothing but errors in the log of `docker-registry`. Coracle keeps its
//! default configuration, which writes one access-log line per request (to a file here); nginx
//! writes one as well.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use tempfile::TempDir;

use crate::client::{Connection, Target, expect};
use crate::tls::Material;
use crate::work::fresh_in;
use crate::{Failure, Outcome, Skipped, system};

/// What a server stores, below its own folder.
const DATA: &str = "data";
/// A server that does not answer for this long after its start has failed.
const START_MAX: Duration = Duration::from_secs(60);
/// A server that is still there this long after it was told to end is killed.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This crate.
    Coracle,
    /// CNCF Distribution as Debian ships it.
    DockerRegistry,
    /// A static file server that sends with `sendfile`.
    Nginx,
}

impl Kind {
    /// Name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coracle => "coracle",
            Self::DockerRegistry => "docker-registry",
            Self::Nginx => "nginx",
        }
    }

    /// The program, found through PATH except for our own.
    pub fn program(self, coracle: &Path) -> PathBuf {
        match self {
            Self::Coracle => coracle.to_owned(),
            Self::DockerRegistry => "docker-registry".into(),
            Self::Nginx if Path::new("/usr/sbin/nginx").exists() => "/usr/sbin/nginx".into(),
            Self::Nginx => "nginx".into(),
        }
    }
}

/// Whom a server lets in.
#[derive(Clone, Copy)]
pub enum Door<'a> {
    /// Everybody.
    Open,
    /// Who is in this htpasswd file.
    Htpasswd(&'a Path),
    /// Who has an account in its data, as the rules of this configuration file have it; Coracle
    /// only.
    Rules(&'a Path),
    /// Everybody, with the settings of this configuration file; Coracle only.
    Settings(&'a Path),
    /// Everybody, over TLS with this certificate.
    Tls(&'a Material),
}

impl<'a> Door<'a> {
    fn tls(self) -> Option<&'a Material> {
        match self {
            Self::Tls(tls) => Some(tls),
            Self::Open | Self::Htpasswd(_) | Self::Rules(_) | Self::Settings(_) => None,
        }
    }
}

/// A running server. Dropping it ends its processes, then removes its folder.
#[derive(Debug)]
pub struct Server {
    /// Which one it is.
    pub kind: Kind,
    /// Where it listens.
    pub address: SocketAddr,
    /// From before its process was made until its first answer had arrived.
    pub started_in: Duration,
    child: Child,
    data: PathBuf,
    tls: Option<Arc<ClientConfig>>,
    own_folder: Option<TempDir>,
}

impl Server {
    /// Starts a server on a fresh folder inside `parent` and waits for its first answer.
    pub fn start(kind: Kind, coracle: &Path, parent: &Path, door: Door<'_>) -> Outcome<Self> {
        let folder = fresh_in(parent)?;
        let mut server = Self::start_on(kind, coracle, folder.path(), door)?;
        server.own_folder = Some(folder);
        Ok(server)
    }

    /// Starts a server on what is already in `folder`, which outlives it.
    pub fn start_on(kind: Kind, coracle: &Path, folder: &Path, door: Door<'_>) -> Outcome<Self> {
        let program = kind.program(coracle);
        let data = folder.join(DATA);
        fs::create_dir_all(&data)?;
        let log = folder.join("server.log");
        let mut address = free_address()?;
        let mut command = match kind {
            Kind::Coracle => coracle_command(&program, &data, door),
            Kind::DockerRegistry => registry_command(&program, folder, &data, address, door)?,
            Kind::Nginx => nginx_command(&program, folder, &data, address, door.tls())?,
        };
        command.stdin(Stdio::null()).stderr(File::create(&log)?);
        let started = Instant::now();
        let child = command
            .spawn()
            .map_err(|error| cannot_start(kind, &program, &error))?;
        let mut server = Self {
            kind,
            address,
            started_in: Duration::ZERO,
            child,
            data,
            tls: door.tls().map(|tls| Arc::clone(&tls.client)),
            own_folder: None,
        };
        if kind == Kind::Coracle {
            address = server
                .printed_address()
                .map_err(|error| with_log(&*error, &log))?;
            server.address = address;
        }
        server
            .wait_for_answer(started, door)
            .map_err(|error| with_log(&*error, &log))?;
        server.started_in = started.elapsed();
        Ok(server)
    }

    /// Id of the server's main process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder that holds what it stores or serves.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Name in the report.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// A new connection to it.
    pub fn connect(&self) -> Outcome<Connection> {
        Connection::open(&self.target())
    }

    /// Where it is, and how to speak to it.
    pub fn target(&self) -> Target {
        Target {
            address: self.address,
            tls: self.tls.clone(),
        }
    }

    /// Reads the bound address that Coracle prints as its first line, then keeps its standard
    /// output open and empty until it ends.
    fn printed_address(&mut self) -> Outcome<SocketAddr> {
        let stdout = self
            .child
            .stdout
            .take()
            .ok_or("its standard output is not a pipe")?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout);
            let mut first = String::new();
            let read = lines.read_line(&mut first).map(|_| first);
            // The receiver has given up if this fails; its server is being ended.
            let _ = sender.send(read);
            let mut rest = [0; 4096];
            while lines.read(&mut rest).is_ok_and(|read| read > 0) {}
        });
        let first = receiver
            .recv_timeout(START_MAX)
            .map_err(|_| format!("printed no address within {START_MAX:?}"))??;
        let printed = first
            .trim()
            .trim_start_matches("http://")
            .trim_start_matches("https://")
            .trim_end_matches('/');
        Ok(printed
            .parse()
            .map_err(|_| format!("printed {:?} instead of its address", first.trim()))?)
    }

    /// Asks until there is an answer.
    fn wait_for_answer(&mut self, started: Instant, door: Door<'_>) -> Outcome<()> {
        let (target, status) = match (self.kind, door) {
            (Kind::Nginx, _) => ("/", 403),
            (_, Door::Open | Door::Settings(_) | Door::Tls(_)) => ("/v2/", 200),
            (_, Door::Htpasswd(_) | Door::Rules(_)) => ("/v2/", 401),
        };
        loop {
            let ask = || {
                let head = self.connect()?.ask("GET", target, &mut |_| {})?;
                expect(head, status, "GET", target)
            };
            let Err(error) = ask() else {
                return Ok(());
            };
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("ended at its start with {status}").into());
            }
            if started.elapsed() > START_MAX {
                return Err(format!("did not answer within its {START_MAX:?}: {error}").into());
            }
            thread::sleep(Duration::from_micros(500));
        }
    }

    /// Ends it in the way it is meant to be ended, so that its folder can be used again.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let family = system::family(self.child.id());
        signal(self.child.id(), Signal::TERM);
        let told = Instant::now();
        while told.elapsed() < STOP_MAX {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(2)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        // Only what has not ended by itself, and the workers that it would leave behind.
        for pid in family {
            signal(pid, Signal::KILL);
        }
        if let Err(error) = self.child.wait() {
            eprintln!("compare: cannot wait for {}: {error}", self.kind.name());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end();
        }
        if let Some(folder) = self.own_folder.take() {
            // Left for the end of the run, with its parent.
            empty_files(&folder.keep());
        }
    }
}

/// Gives the space of all files below `folder` back and leaves their names. ext4 does not use an
/// inode again for a minute after it was freed and searches past all of them meanwhile: a server
/// that starts after a thousand files were removed would be measured searching.
fn empty_files(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => empty_files(&entry.path()),
            Ok(kind) if kind.is_file() => {
                let emptied = File::options()
                    .write(true)
                    .truncate(true)
                    .open(entry.path());
                // A file that cannot be emptied only costs space until the end.
                drop(emptied);
            }
            _ => {}
        }
    }
}

/// Signals one process; that it is already gone is no error.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Why a program did not even start; a peer that is not installed is skipped.
fn cannot_start(kind: Kind, program: &Path, error: &io::Error) -> Failure {
    if kind != Kind::Coracle && error.kind() == io::ErrorKind::NotFound {
        return Skipped(format!("{} is MISSING from this host", program.display())).into();
    }
    format!("cannot start {}: {error}", program.display()).into()
}

/// A loopback address that nobody listens on now.
fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// An error with the last lines of the server's log.
fn with_log(error: &dyn std::fmt::Display, log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(3)..].join(" | ");
    if last.is_empty() {
        error.to_string()
    } else {
        format!("{error}; its log ends: {last}")
    }
}

fn coracle_command(program: &Path, data: &Path, door: Door<'_>) -> Command {
    let mut command = Command::new(program);
    match door {
        Door::Open => {}
        Door::Tls(tls) => {
            command.env("CORACLE_TLS_CERTIFICATE", &tls.certificate);
            command.env("CORACLE_TLS_KEY", &tls.key);
        }
        Door::Htpasswd(file) => {
            command.env("CORACLE_AUTH_HTPASSWD", file);
        }
        Door::Rules(file) | Door::Settings(file) => {
            command.env("CORACLE_CONFIG", file);
        }
    }
    // All load comes from one address here; in the field these bounds keep one client from
    // taking everything.
    command.env("CORACLE_LIMITS_CONNECTIONS_PER_CLIENT_MAX", "0");
    command.env("CORACLE_LIMITS_REQUESTS_PER_CLIENT_MAX", "0");
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .stdout(Stdio::piped());
    command
}

/// The configuration that Debian ships asks for a password file that is not there, so this one
/// is written here. Its cache of blob sizes is the one that Debian's has.
fn registry_command(
    program: &Path,
    folder: &Path,
    data: &Path,
    address: SocketAddr,
    door: Door<'_>,
) -> Outcome<Command> {
    let configuration = folder.join("registry.yml");
    let auth = match door {
        Door::Open => String::new(),
        Door::Htpasswd(file) => {
            let file = file.display();
            format!("auth:\n  htpasswd:\n    realm: measured\n    path: {file}\n")
        }
        Door::Rules(_) | Door::Settings(_) => {
            return Err("docker-registry has no settings of ours".into());
        }
        Door::Tls(_) => return Err("docker-registry is not measured over TLS".into()),
    };
    let text = format!(
        "version: 0.1\n\
         log:\n  level: info\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n  \
         cache:\n    blobdescriptor: inmemory\n  \
         maintenance:\n    uploadpurging:\n      enabled: false\n\
         http:\n  addr: {address}\n  secret: measured\n{auth}",
        data.display()
    );
    fs::write(&configuration, text)?;
    let mut command = Command::new(program);
    command
        .arg("serve")
        .arg(configuration)
        .stdout(File::create(folder.join("access.log"))?);
    Ok(command)
}

fn nginx_command(
    program: &Path,
    folder: &Path,
    data: &Path,
    address: SocketAddr,
    tls: Option<&Material>,
) -> Outcome<Command> {
    let (ssl, ssl_settings) = match tls {
        None => ("", String::new()),
        Some(tls) => (
            " ssl",
            format!(
                " ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3;",
                tls.certificate.display(),
                tls.key.display()
            ),
        ),
    };
    let here = folder.display();
    // As root, workers would become a user who may not read these folders.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {here}/tmp_{kind};\n"))
        .concat();
    let text = format!(
        "daemon off;\n{user}\nworker_processes 2;\npid {here}/nginx.pid;\n\
         error_log {here}/error.log;\nevents {{ worker_connections 12000; }}\n\
         http {{\n{temporary}  access_log {here}/access.log;\n  sendfile on;\n  tcp_nopush on;\n  \
         keepalive_timeout 75;\n  keepalive_requests 1000000000;\n  \
         default_type application/octet-stream;\n  \
         server {{ listen {address}{ssl};{ssl_settings} root {}; }}\n}}\n",
        data.display()
    );
    let configuration = folder.join("nginx.conf");
    fs::write(&configuration, text)?;
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(folder)
        .arg("-e")
        .arg(folder.join("error.log"))
        .arg("-c")
        .arg(configuration)
        .stdout(File::create(folder.join("access.log"))?);
    Ok(command)
}
