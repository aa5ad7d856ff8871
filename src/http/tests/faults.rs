//! What must never end the server: panics, broken uploads, no more files.

use std::fs::File;
use std::io::Read;
use std::process::Command;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::support::{Note, TestServer};
use crate::http::{Handler, Limits, Refusal, Request, Response, ResponseBody, Shed};

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

/// An application of which every part fails.
struct Broken;

impl Handler for Broken {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        match request.path.as_str() {
            "/status" => Response::new(42),
            "/sent" => Response::new(200).on_sent(|_| panic!("on purpose, after the response")),
            "/reader" => Response::new(200).body(ResponseBody::Reader {
                reader: Box::new(BrokenReader),
                length: 5,
            }),
            _ => Response::new(200).bytes("fine"),
        }
    }

    fn refuse(&self, _: &Refusal) -> Response {
        panic!("on purpose, while refusing")
    }
}

struct BrokenReader;

impl Read for BrokenReader {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        panic!("on purpose, while reading")
    }
}

#[test]
fn a_broken_application_does_not_end_the_server() {
    let limits = Limits {
        workers_max: 1,
        workers_min: 1,
        connections_max: 1,
        ..Limits::default()
    };
    let server = TestServer::start_handler(limits, Arc::new(Broken));
    let ask = |request: &str| {
        let mut client = server.connect();
        client.send(request);
        client.finish();
        client.rest()
    };
    for _ in 0..2 {
        assert!(ask("GET /status HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 500 "));
        assert!(ask("GET /sent HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 200 "));
        assert_eq!(ask("GET /reader HTTP/1.1\r\nHost: h\r\n\r\n"), "");
        assert!(ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
        assert!(ask(GET).ends_with("fine"));
    }
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
    // One file is left, for the client's end of a connection; the server's end has none, and
    // there is no other connection that could be given up.
    let mut files = all_files();
    drop(files.pop());
    let mut first = server.connect();
    first.send(GET);
    while server.handle.stats().shed[Shed::System as usize] == 0 {
        std::thread::yield_now();
    }
    assert_eq!(server.handle.stats().accepted_total, 0);
    drop(files);
    assert_eq!(first.response().status, 200);
    // Now there is an idle connection to be given up.
    let mut files = all_files();
    drop(files.pop());
    let mut second = server.connect();
    second.send(GET);
    assert_eq!(second.response().status, 200);
    assert_eq!(first.rest(), "");
    assert_eq!(server.handle.stats().shed[Shed::Connections as usize], 1);
    drop(files);
    server.assert_well();
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// Opens files until there are none left.
fn all_files() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}
