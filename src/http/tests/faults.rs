//! What must never end the server: panics, broken uploads, no more files.

use std::fs::File;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::support::{Client, HANG, Note, TestServer};
use crate::http::Limits;

#[test]
fn a_panic_becomes_a_500_and_the_worker_goes_on() {
    let server = TestServer::start(Limits {
        workers_max: 1,
        workers_min: 1,
        ..Limits::default()
    });
    for _ in 0..3 {
        let mut client = server.connect();
        client.send("GET /panic HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = client.response();
        assert_eq!(
            (answer.status, answer.header("X-Refused")),
            (500, Some("yes"))
        );
        assert_eq!(client.rest(), "");
    }
    server.assert_well();
    assert_eq!(server.handle.stats().workers, 1);
}

#[test]
fn uploads_that_break_off_hurt_nobody() {
    let server = TestServer::start(Limits::default());
    for _ in 0..50 {
        let mut client = server.connect();
        client.send("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n123");
    }
    for _ in 0..50 {
        server.note_of(|note| matches!(note, Note::Body(Err(_))).then_some(()));
    }
    server.assert_well();
}

/// Runs in a process of its own, because the limit of open files is the whole process's.
const ALONE: &str = "CORACLE_TEST_WITHOUT_FILES";

#[test]
fn running_out_of_files_does_not_end_the_listener() {
    if std::env::var_os(ALONE).is_some() {
        return survive_without_files();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "http::tests::faults::running_out_of_files_does_not_end_the_listener",
        ])
        .arg("--nocapture")
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{output:?}"
    );
}

fn survive_without_files() {
    let limit = Some(100);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit,
            maximum: limit,
        },
    )
    .unwrap();
    let server = TestServer::start(Limits::default());
    // One idle connection, which the server may give up.
    let mut idle = server.connect();
    idle.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    idle.response();
    // Clients first, then all other files: the server has none to accept them with.
    let mut clients: Vec<_> = (0..5)
        .map(|_| {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            drop(socket);
            server.connect()
        })
        .collect();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    for client in &mut clients {
        client.send("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    }
    files.truncate(files.len() / 2);
    for client in &mut clients {
        client.stream.set_read_timeout(Some(HANG)).unwrap();
        assert_eq!(client.response().status, 200);
    }
    // Fill up again, and let a client wait while there is none.
    let waiting = std::net::TcpStream::connect(server.address).unwrap();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    drop(waiting);
    drop(files.pop());
    let mut last = Client::connect(server.address);
    last.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    files.clear();
    assert_eq!(last.response().status, 200);
    server.assert_well();
}
