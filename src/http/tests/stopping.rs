//! Stopping: gracefully, by its deadline, at once.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::support::{App, Note, TestServer};
use crate::http::Limits;
use crate::http::request::Peer;
use crate::http::scan::Scan;
use crate::http::shared::{Phase, Shared};
use crate::http::stream::{Plain, Socket};
use crate::http::table::{Conn, Waiting};
use crate::http::wire::Wire;

const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_graceful_stop_lets_running_requests_finish() {
    let mut server = TestServer::start(Limits::default());
    let mut idle = server.connect();
    idle.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    idle.response();
    let mut running = server.connect();
    running.send(WAIT);
    server.note_of(|note| (note == Note::Called("/wait".to_owned())).then_some(()));
    server.handle.stop();
    assert_eq!(idle.rest(), "", "idle connections are closed");
    while std::net::TcpStream::connect(server.address).is_ok() {
        std::thread::yield_now();
    }
    server.gate = None;
    let answer = running.response();
    assert_eq!(
        (answer.text().as_str(), answer.header("Connection")),
        ("waited", Some("close"))
    );
    assert_eq!(running.rest(), "");
    server.join();
    let stats = server.handle.stats();
    assert_eq!((stats.connections, stats.workers), (0, 0));
}

/// Whoever has just connected is about to ask: between the two a restart must not come.
#[test]
fn a_connection_that_came_just_before_the_stop_is_still_served() {
    let mut server = TestServer::start(Limits::default());
    let mut late = server.connect();
    let mut silent = server.connect();
    while server.handle.stats().accepted_total < 2 {
        std::thread::yield_now();
    }
    server.handle.stop();
    while std::net::TcpStream::connect(server.address).is_ok() {
        std::thread::yield_now();
    }
    late.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = late.response();
    assert_eq!(
        (answer.text().as_str(), answer.header("Connection")),
        ("GET /a", Some("close"))
    );
    assert_eq!(
        silent.rest(),
        "",
        "and nobody is waited for who says nothing"
    );
    server.join();
}

#[test]
fn a_graceful_stop_has_a_deadline() {
    let limits = Limits {
        stop_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let mut server = TestServer::start(limits);
    let mut uploading = server.connect();
    uploading.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n123");
    assert_eq!(server.note(), Note::Called("/echo".to_owned()));
    server.handle.stop();
    server.join();
    server.note_of(|note| matches!(note, Note::Body(Err(_))).then_some(()));
    uploading.rest();
}

#[test]
fn a_stop_at_once_cuts_everything_off() {
    let mut server = TestServer::start(Limits::default());
    let mut idle = server.connect();
    let mut slow = server.connect();
    slow.send("GET /a HTTP/1.1\r\n");
    let mut uploading = server.connect();
    uploading.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n123");
    assert_eq!(server.note(), Note::Called("/echo".to_owned()));
    let mut unread = server.connect();
    unread.send("GET /bytes/30000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    unread.head();
    server.handle.stop_now();
    server.join();
    for client in [&mut idle, &mut slow, &mut uploading] {
        client.rest();
    }
    assert_eq!(server.handle.stats().connections, 0);
}

#[test]
fn a_server_that_was_stopped_before_it_ran_ends_at_once() {
    let mut server = TestServer::start(Limits::default());
    server.handle.stop();
    server.handle.stop();
    server.join();
}

/// A worker that has just ceased to wait for a next request hands its connection back while the
/// server begins to stop. What came in between is a request that was there before.
#[test]
fn a_request_that_came_before_the_stop_is_not_closed_with_its_idle_connection() {
    let (app, _notes) = App::silent();
    let shared = Shared::new(Limits::default(), Arc::new(app)).unwrap();
    let open_after = |request: &[u8]| {
        let (mut client, ours) = UnixStream::pair().unwrap();
        client.write_all(request).unwrap();
        let socket = Arc::new(Socket::Unix(ours));
        let token = shared.table().enter(Arc::clone(&socket), &Peer::Unix);
        let mut wire = Wire::new(Box::new(Plain(socket)), Arc::default());
        wire.written = 1;
        let conn = Box::new(Conn {
            token,
            peer: Peer::Unix,
            accepted_at: Instant::now(),
            wire,
            scan: Scan::default(),
            head_deadline: None,
            handshake_deadline: None,
            closing_deadline: None,
            drained_bytes: 0,
            is_watched: false,
            turn: None,
        });
        let before = shared.table().open();
        shared.park(
            conn,
            Waiting::Idle,
            Instant::now() + Duration::from_secs(60),
        );
        shared.table().open() == before
    };
    assert!(
        open_after(b""),
        "idle connections stay while the server runs"
    );
    shared.advance(Phase::Stopping);
    assert!(!open_after(b""), "and are closed when it stops");
    assert!(
        open_after(b"GET / HTTP/1.1\r\n"),
        "but not with a request in them"
    );
}
