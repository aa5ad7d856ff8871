//! The command line: what is printed where, and with which code the program ends.

use crate::support::image::Image;
use crate::support::{Client, Server, coracle, eventually};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

const OK: i32 = 0;
const USAGE: i32 = 2;

/// Runs the program with these words: its exit code, stdout and stderr.
fn run(words: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = coracle().args(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

#[test]
fn help_names_every_command_and_every_exit_code() {
    let (code, stdout, stderr) = run(&["help"]);
    assert_eq!((code, stderr.as_str()), (OK, ""));
    for word in [
        "serve",
        "check",
        "config",
        "version",
        "--config",
        "CORACLE_CONFIG",
    ] {
        assert!(stdout.contains(word), "{word} in\n{stdout}");
    }
    for code in [0, 1, 2, 3, 4, 5, 6, 75] {
        let line = stdout
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{code} ")));
        assert!(line.is_some(), "the exit code {code} in\n{stdout}");
    }
    for command in ["serve", "check", "config", "version"] {
        let (code, stdout, _) = run(&[command, "--help"]);
        assert_eq!(code, OK);
        assert!(
            stdout.contains(&format!("Usage: coracle {command}")),
            "{stdout}"
        );
        assert!(
            stdout.lines().all(|line| line.chars().count() <= 100),
            "{stdout}"
        );
        let (_, again, _) = run(&["help", command]);
        assert_eq!(stdout, again);
    }
}

#[test]
fn the_short_help_is_what_a_person_sees_first() {
    let (code, stdout, _) = run(&["-h"]);
    assert_eq!(code, OK);
    let expected = "A container registry small enough to carry\n\n\
        Usage: coracle [OPTIONS] <COMMAND>\n";
    assert!(stdout.starts_with(expected), "{stdout}");
    assert!(
        stdout.lines().count() <= 36,
        "it fits on a screen\n{stdout}"
    );
}

#[test]
fn what_is_not_understood_is_told_on_stderr_with_a_suggestion() {
    for (words, hint) in [
        (&["serve", "--lisen", "x"][..], "--listen"),
        (&["serv"], "serve"),
        (&["check", "--depp"], "--deep"),
        (&["config", "shwo"], "show"),
        (&["serve", "--data"], "--data"),
        (&["version", "extra"], "extra"),
        (&[], "Usage: coracle"),
        (&["config"], "Usage: coracle config"),
    ] {
        let (code, stdout, stderr) = run(words);
        assert_eq!((code, stdout.as_str()), (USAGE, ""), "{words:?}");
        assert!(stderr.contains(hint), "{words:?}: {stderr}");
    }
}

#[test]
fn the_version_is_the_crates_in_all_forms() {
    let version = env!("CARGO_PKG_VERSION");
    for words in [&["version"][..], &["--version"], &["-V"]] {
        let (code, stdout, stderr) = run(words);
        assert_eq!((code, stderr.as_str()), (OK, ""));
        assert!(
            stdout.starts_with(&format!("coracle {version}")),
            "{stdout}"
        );
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
    }
    let (_, stdout, _) = run(&["version", "--json"]);
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["version"], version);
    assert!(
        json["sqlite"].is_string() && json["target"].is_string(),
        "{json}"
    );
}

/// `coracle config default | head` is no failure.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for words in [
        "config default",
        "config show",
        "config check",
        "version",
        "help",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = coracle();
        let output = command
            .args(words.split(' '))
            .stdout(writer)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said, "", "coracle {words}");
    }
}

#[test]
fn the_first_line_on_stdout_is_the_address_and_nothing_else_follows() {
    let mut child = coracle()
        .args(["serve", "--memory", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let url = line.trim_end().to_owned();
    let port = url
        .strip_prefix("http://127.0.0.1:")
        .and_then(|port| port.parse::<u16>().ok());
    assert!(port.is_some_and(|port| port != 0), "{url}");
    Client::new(&url).get("/v2/").expect(200);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut rest = String::new();
    while stdout.read_line(&mut rest).unwrap() > 0 {}
    assert!(child.wait().unwrap().success());
    assert_eq!(rest, "");
}

#[test]
fn several_addresses_are_served_and_written_to_the_ready_file() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let socket = format!("unix:{}/coracle.sock", folder.path().display());
    let server = Server::start(&[
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
        "--listen",
        &socket,
        "--ready-file",
        ready.to_str().unwrap(),
    ]);
    let written = eventually("the ready file is there", || {
        fs::read_to_string(&ready).ok()
    });
    let addresses: Vec<&str> = written.lines().collect();
    assert_eq!(addresses.len(), 3, "{written}");
    assert_eq!(addresses[0], server.url());
    let image = Image::oci(1, &[1000]);
    Client::new(addresses[0]).push_image("a", "v1", &image);
    for address in &addresses {
        Client::new(address).expect_image("a", "v1", &image);
    }
    assert!(addresses[2].starts_with("unix:/"), "{written}");
}

#[test]
fn the_ready_file_appears_whole_and_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let mut server = Server::start(&["--memory", "--ready-file", ready.to_str().unwrap()]);
    let written = eventually("the ready file is there", || {
        fs::read_to_string(&ready).ok()
    });
    assert_eq!(written.trim_end(), server.url());
    server.stop();
    server.launch();
    let url = server.url().to_owned();
    eventually("the ready file names the new address", || {
        (fs::read_to_string(&ready).ok()?.trim_end() == url).then_some(())
    });
}

#[test]
fn a_unix_socket_alone_serves_all() {
    let folder = tempfile::tempdir().unwrap();
    let listen = format!("unix:{}/coracle.sock", folder.path().display());
    let mut server = Server::start(&["--listen", &listen]);
    assert_eq!(server.url(), listen);
    let image = Image::oci(1, &[100_000]);
    server.client().push_image("a", "v1", &image);
    server.client().expect_image("a", "v1", &image);
    server.stop_and_check();
    let left = folder.path().join("coracle.sock");
    assert!(!left.exists(), "the socket goes with the server");
}

#[test]
fn ipv6_is_listened_on() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return crate::support::disk::skip("the test of IPv6", "there is no ::1 here");
    }
    let server = Server::start(&["--memory", "--listen", "[::1]:0"]);
    assert!(
        server.url().starts_with("http://[::1]:"),
        "{}",
        server.url()
    );
    server.client().get("/v2/").expect(200);
}

#[test]
fn check_is_quiet_or_json_or_for_people() {
    let mut server = Server::start(&[]);
    server
        .client()
        .push_image("a", "v1", &Image::oci(1, &[1000]));
    server.stop();
    let data = server.data().to_str().unwrap().to_owned();
    let (code, stdout, stderr) = run(&["check", "--quiet", "--data", &data]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (OK, "", ""));
    let (code, stdout, _) = run(&["check", "--deep", "--json", "--data", &data]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (code, &report["faults"], &report["blobs"]),
        (OK, &0.into(), &2.into())
    );
    let (code, stdout, _) = run(&["check", "--deep", "--data", &data]);
    assert_eq!(code, OK);
    assert!(!stdout.is_empty(), "a person is told");
}

#[test]
fn check_of_a_folder_that_is_not_there_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("nowhere");
    let (code, stdout, stderr) = run(&["check", "--data", data.to_str().unwrap()]);
    assert_ne!(code, OK, "{stdout}");
    assert!(stderr.contains("nowhere"), "{stderr}");
    assert!(!data.exists());
}
