//! Responses: lengths, HEAD, files, readers, statuses without a body, what is reported as sent.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use super::support::{Note, TestServer, pattern};
use crate::http::range::{self, Range};
use crate::http::{Handler, Limits, Request, Response, ResponseBody};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn sent(server: &TestServer) -> (bool, u64) {
    server.note_of(|note| match note {
        Note::Sent {
            complete,
            bytes_out,
            ..
        } => Some((complete, bytes_out)),
        _ => None,
    })
}

#[test]
fn bytes_of_all_sizes_arrive() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    for size in [0_usize, 1, 1000, 32_768, 32_769, 200_000, 10_000_000] {
        client.send(get(&format!("/bytes/{size}")));
        let answer = client.response();
        assert_eq!(
            answer.header("Content-Length"),
            Some(size.to_string().as_str())
        );
        assert!(answer.body == pattern(size), "{size} bytes");
        assert_eq!(sent(&server), (true, size as u64));
    }
}

#[test]
fn a_head_request_gets_the_lengths_and_no_body() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    for (path, length) in [
        ("/bytes/100000", "100000"),
        ("/length-only", "12345"),
        ("/reader", "4"),
    ] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let answer = client.response_to_head();
        assert_eq!(
            (answer.status, answer.header("Content-Length")),
            (200, Some(length))
        );
        assert_eq!(sent(&server), (true, 0));
    }
    client.send(get("/a"));
    assert_eq!(client.response().text(), "GET /a");
}

#[test]
fn statuses_without_a_body_have_no_length() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    for (path, status) in [("/no-content", 204), ("/not-modified", 304)] {
        client.send(get(path));
        let answer = client.response();
        assert_eq!(
            (answer.status, answer.header("Content-Length")),
            (status, None)
        );
    }
}

#[test]
fn handlers_cannot_break_the_framing() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.send(get("/inject"));
    let answer = client.response();
    assert_eq!(answer.header("X-Bad"), Some("a  Set-Cookie: b "));
    assert_eq!(answer.header("Set-Cookie"), None);
    assert_eq!(answer.header("Transfer-Encoding"), None);
    assert_eq!(answer.head.matches("Content-Length").count(), 1);
    client.send(get("/a"));
    assert_eq!(client.response().text(), "GET /a");
}

#[test]
fn readers_are_cut_at_their_length_and_never_padded() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.send(get("/reader"));
    assert_eq!(client.response().text(), "abcd");
    assert_eq!(sent(&server), (true, 4));
    client.send(get("/short-reader"));
    assert_eq!(client.rest(), "", "a head would promise too much");
    assert!(!sent(&server).0);
    server.assert_well();
}

/// Serves one file, whole or in part.
struct Files(tempfile::NamedTempFile);

impl Handler for Files {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        let file = File::open(self.0.path()).unwrap();
        let size = file.metadata().unwrap().len();
        // Promises more than there is, where asked to.
        let promised = request
            .query
            .as_deref()
            .map_or(size, |more| size + more.parse::<u64>().unwrap());
        let wanted = request
            .headers
            .get("Range")
            .map_or(Range::Whole, |r| range::parse(r, promised));
        let body = |offset, length| ResponseBody::File {
            file,
            offset,
            length,
        };
        match wanted {
            Range::Whole => Response::new(200).body(body(0, promised)),
            Range::Part { first, last } => Response::new(206).body(body(first, last - first + 1)),
            Range::Unsatisfiable => Response::new(416),
        }
    }
}

fn file_server(size: usize) -> TestServer {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&pattern(size)).unwrap();
    TestServer::start_handler(Limits::default(), Arc::new(Files(file)))
}

#[test]
fn files_arrive_whole_and_in_parts() {
    let size = 5_000_000;
    let all = pattern(size);
    let server = file_server(size);
    let mut client = server.connect();
    client.send(get("/"));
    assert!(client.response().body == all);
    for (first, last) in [(0, 0), (10, 29_999), (1, 4_999_999), (4_000_000, 4_100_000)] {
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: h\r\nRange: bytes={first}-{last}\r\n\r\n"
        ));
        let answer = client.response();
        assert_eq!(answer.status, 206);
        assert!(answer.body == all[first..=last], "{first}-{last}");
    }
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: h\r\nRange: bytes={size}-\r\n\r\n"
    ));
    assert_eq!(client.response().status, 416);
}

#[test]
fn a_file_that_is_too_short_ends_the_connection() {
    for size in [100, 100_000] {
        let server = file_server(size);
        let mut client = server.connect();
        client.send(get("/?50"));
        let got = client.rest_bytes();
        let body = got
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .map_or(0, |end| end + 4);
        assert!(
            pattern(size).starts_with(&got[body..]),
            "no byte is made up"
        );
        let mut client = server.connect();
        client.send(get("/"));
        assert!(
            client.response().body == pattern(size),
            "and the next client is served"
        );
    }
}

#[test]
fn a_client_that_leaves_is_reported() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.send(get("/bytes/30000000"));
    client.head();
    drop(client);
    let (complete, bytes_out) = sent(&server);
    assert!(!complete && bytes_out < 30_000_000);
    server.assert_well();
}
