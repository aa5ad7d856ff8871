//! Sockets that the manager hands over.

use super::manager::{Manager, Program};
use crate::clients::require;
use crate::support::ops::scrape;
use crate::support::tls::Certificates;
use crate::support::{Client, eventually};
use rustix::process::Signal;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Hands the socket on its standard input over as the third file, and becomes the program.
const HAND_OVER: &str = "exec 3<&0 0</dev/null; LISTEN_PID=$$; export LISTEN_PID; exec \"$@\"";

/// What differs from the tests' own environment for a command does so for its launcher too.
fn share_environment(command: &Command, launcher: &mut Command) {
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => launcher.env(name, value),
            None => launcher.env_remove(name),
        };
    }
}

/// The command, run with one socket and perhaps its name.
fn handed(command: &Command, socket: OwnedFd, name: Option<&str>) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", HAND_OVER, "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    share_environment(command, &mut shell);
    shell.env("LISTEN_FDS", "1").stdin(Stdio::from(socket));
    if let Some(name) = name {
        shell.env("LISTEN_FDNAMES", name);
    }
    shell
}

/// Binds three TCP sockets and a UNIX socket, hands them over under four names, and becomes the
/// program.
const SEVERAL: &str = "
import os, socket, sys
path, program, *arguments = sys.argv[1:]
sockets = [socket.socket(), socket.socket(socket.AF_INET6), socket.socket(socket.AF_UNIX)]
sockets.append(socket.socket())
sockets[0].bind(('127.0.0.1', 0))
sockets[1].bind(('::1', 0))
sockets[2].bind(path)
sockets[3].bind(('127.0.0.1', 0))
high = [os.dup(it.fileno()) for it in sockets]
for it in sockets: it.listen()
high = [os.dup2(it, 100 + index) for index, it in enumerate(high)]
for index, it in enumerate(high): os.dup2(it, 3 + index)
os.environ.update(LISTEN_FDS='4', LISTEN_PID=str(os.getpid()))
os.environ.update(LISTEN_FDNAMES='https:http:control:ops')
os.execv(program, [program, *arguments])
";

#[track_caller]
fn refused(mut command: Command, code: i32) -> String {
    let output = command.output().expect("run the program");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

fn ask(url: &str) -> u16 {
    Client::new(url).get("/v2/").status
}

#[test]
fn a_socket_takes_the_place_of_the_configured_addresses() {
    for name in [None, Some("http"), Some("coracle.socket")] {
        let manager = Manager::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let command = manager.command("");
        let command = handed(&command, listener.into(), name);
        let mut program = Program::start(command, manager.folder.path());
        assert_eq!(program.url, url);
        manager.expect("READY=1");
        assert_eq!(ask(&url), 200);
        let log = program.log();
        assert!(log.contains(&format!("serving on {url}")), "{log}");
        assert!(!log.contains(", http"), "no other address: {log}");
        program.stop();
    }
}

#[test]
fn a_unix_socket_is_served_and_its_file_left_to_its_owner() {
    let manager = Manager::new();
    let path = manager.path("handed");
    let listener = UnixListener::bind(&path).unwrap();
    let command = handed(&manager.command(""), listener.into(), Some("http"));
    let mut program = Program::start(command, manager.folder.path());
    assert_eq!(program.url, format!("unix:{}", path.display()));
    assert_eq!(ask(&program.url), 200);
    program.stop();
    assert!(path.exists());
}

#[test]
fn a_socket_for_metrics_and_health_takes_the_place_of_their_address() {
    let manager = Manager::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let command = handed(&manager.command(""), listener.into(), Some("ops"));
    let mut program = Program::start(command, manager.folder.path());
    assert_ne!(program.url, url);
    let mut ops = Client::new(&url);
    ops.get("/readyz").expect(200);
    let page = scrape(&mut ops);
    assert!(page.value("coracle_connections{listener=\"ops\"}") > 0.0);
    ops.get("/v2/").expect(404);
    program.stop();
}

#[test]
fn several_sockets_are_told_apart_by_their_names() {
    let Some(_sandbox) = require(&["python3"]) else {
        return;
    };
    let certificates = Certificates::new();
    let manager = Manager::new();
    let command = manager.command(&certificates.toml(""));
    let control = manager.path("control");
    let mut python = Command::new("python3");
    python.args(["-c", SEVERAL]).arg(&control);
    python.arg(command.get_program()).args(command.get_args());
    share_environment(&command, &mut python);
    python.env("NOTIFY_SOCKET", manager.path("notify"));
    let program = Program::start(python, manager.folder.path());
    let (https, http) = (program.url.clone(), program.line());
    assert!(https.starts_with("https://127.0.0.1:"), "{https}");
    assert!(http.starts_with("http://[::1]:"), "{http}");
    manager.expect("READY=1");
    let mut client = Client::new(&https).with_tls(&certificates.client(), "localhost");
    client.get("/v2/").expect(200);
    assert_eq!(ask(&http), 200);
    let control = format!("unix:{}", control.display());
    let mut client = Client::new(&control);
    client.post("/reload", "{}").expect(200);
    let log = program.log();
    let ops = log
        .split("metrics and health are at ")
        .nth(1)
        .expect("its address");
    let mut client = Client::new(ops.lines().next().unwrap());
    let metrics = client.get("/metrics").expect(200);
    assert!(metrics.text().contains("coracle_"), "{metrics}");
    // It stands beside the one in the data folder.
    let own = format!("unix:{}", manager.path("data/control.sock").display());
    Client::new(&own).post("/reload", "{}").expect(200);
}

#[test]
fn what_cannot_be_served_is_said_in_one_sentence() {
    let manager = Manager::new();
    let tcp = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let command = manager.command("");
    let said = refused(handed(&command, tcp(), Some("metrics")), 3);
    assert!(
        said.contains("'metrics'") && said.contains("FileDescriptorName="),
        "{said}"
    );
    let said = refused(handed(&command, tcp(), Some("https")), 3);
    assert!(said.contains("there is no certificate"), "{said}");
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let said = refused(handed(&command, udp.into(), Some("http")), 3);
    assert!(said.contains("no listening TCP or UNIX socket"), "{said}");
    let mut many = handed(&command, tcp(), None);
    many.env("LISTEN_FDS", "1000000000");
    let said = refused(many, 3);
    assert!(said.contains("the most is 64"), "{said}");
}

/// The variables of a parent process, say of a shell that was itself activated.
#[test]
fn sockets_of_another_process_are_not_taken() {
    let manager = Manager::new();
    let mut command = manager.command("");
    command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    let program = Program::start(command, manager.folder.path());
    assert_eq!(ask(&program.url), 200);
}

#[test]
fn systemd_s_own_launcher_starts_it_at_the_first_connection() {
    let Some(_sandbox) = require(&["systemd-socket-activate"]) else {
        return;
    };
    let manager = Manager::new();
    let command = manager.command("");
    let path = manager.path("activated");
    let mut launcher = Command::new("systemd-socket-activate");
    launcher.arg("--listen").arg(&path).arg("--fdname=http");
    launcher.arg(command.get_program()).args(command.get_args());
    share_environment(&command, &mut launcher);
    let url = format!("unix:{}", path.display());
    let asking = thread::spawn(move || {
        // Its file is there a moment before it listens.
        let mut client = eventually("it listens", || {
            let mut client = Client::new(&url);
            client.try_connect().ok().map(|()| client)
        });
        client.get("/v2/")
    });
    let mut program = Program::start(launcher, manager.folder.path());
    assert_eq!(asking.join().unwrap().status, 200);
    program.stop();
}

/// The manager keeps the socket: whoever connects meanwhile waits, and nobody is refused.
#[test]
fn no_request_is_lost_across_restarts() {
    const RESTARTS: usize = 3;
    let manager = Manager::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let start = || {
        let command = manager.command("");
        let socket = listener.try_clone().unwrap();
        let command = handed(&command, socket.into(), Some("http"));
        Program::start(command, manager.folder.path())
    };
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let clients = || {
        while !is_over.load(Ordering::Relaxed) {
            assert_eq!(ask(&url), 200);
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    let some_more = || {
        let before = answered.load(Ordering::Relaxed);
        eventually("requests are answered", || {
            (answered.load(Ordering::Relaxed) > before + 50).then_some(())
        });
    };
    let mut program = start();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(clients);
        }
        for _ in 0..RESTARTS {
            some_more();
            program.signal(Signal::TERM);
            assert!(program.wait().success());
            program = start();
        }
        some_more();
        is_over.store(true, Ordering::Relaxed);
    });
    program.stop();
}
