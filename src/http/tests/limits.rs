//! Limits and timeouts over the wire. Timeouts are small where they are meant to strike, and
//! huge everywhere else, so that no outcome depends on how fast anything is.

use std::time::Duration;

use super::support::{Client, Note, TestServer, assert_busy};
use crate::http::Limits;

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn a_head_that_does_not_end_is_answered_with_408() {
    let server = TestServer::start(Limits {
        head_timeout: SHORT,
        ..Limits::default()
    });
    let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost:");
    }
    for client in &mut clients {
        let answer = client.response();
        assert_eq!(
            (answer.status, answer.header("X-Refused")),
            (408, Some("yes"))
        );
        assert_eq!(client.rest(), "");
    }
    assert!(matches!(
        server.note(),
        Note::Sent {
            status: 408,
            complete: true,
            ..
        }
    ));
}

#[test]
fn slow_heads_hold_no_worker() {
    let server = TestServer::start(Limits {
        workers_max: 2,
        ..Limits::default()
    });
    let mut slow: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for client in &mut slow {
        client.send("GET /slow HTTP/1.1\r\n");
    }
    server.assert_well();
    for client in &mut slow {
        client.send("Host: h\r\n\r\n");
    }
    for client in &mut slow {
        assert_eq!(client.response().text(), "GET /slow");
    }
}

#[test]
fn idle_connections_are_closed_without_a_word() {
    let server = TestServer::start(Limits {
        idle_timeout: SHORT,
        ..Limits::default()
    });
    let mut fresh = server.connect();
    let mut used = server.connect();
    used.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    used.response();
    assert_eq!(fresh.rest(), "");
    assert_eq!(used.rest(), "");
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let server = TestServer::start(Limits {
        write_stall_timeout: SHORT,
        ..Limits::default()
    });
    let mut client = server.connect();
    client.send("GET /bytes/30000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    let complete = server.note_of(|note| match note {
        Note::Sent { complete, .. } => Some(complete),
        _ => None,
    });
    assert!(!complete);
    server.assert_well();
}

#[test]
fn the_longest_idle_connection_makes_room() {
    let server = TestServer::start(Limits {
        connections_max: 3,
        ..Limits::default()
    });
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        client.response();
    }
    // The server counts a request out after the client has its answer.
    while server.handle.stats().requests_active > 0 {
        std::thread::yield_now();
    }
    server.assert_well();
    let closed = clients.iter_mut().map(is_open).filter(|open| !open).count();
    assert!(closed >= 1, "one of them made room");
    assert!(server.handle.stats().shed_total() >= 1);
}

/// Whether the server still answers on this connection.
fn is_open(client: &mut Client) -> bool {
    let request = b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut client.stream, request).is_ok() && !client.rest().is_empty()
}

#[test]
fn when_all_connections_are_busy_another_is_refused() {
    let server = TestServer::start(Limits {
        connections_max: 2,
        ..Limits::default()
    });
    let mut busy: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for client in &mut busy {
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(server.note(), Note::Called("/wait".to_owned()));
    }
    assert_busy(&mut server.connect());
    server.gate.as_ref().unwrap().send(()).unwrap();
    server.gate.as_ref().unwrap().send(()).unwrap();
    for client in &mut busy {
        assert_eq!(client.response().text(), "waited");
    }
}

#[test]
fn incomplete_heads_share_a_bound() {
    let limits = Limits {
        partial_heads_bytes_max: 50_000,
        ..Limits::default()
    };
    let server = TestServer::start(limits);
    let mut clients: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: h\r\nA: {}",
            "a".repeat(15_000)
        ));
    }
    while server.handle.stats().shed_total() < 3 {
        std::thread::yield_now();
    }
    let answered = clients.iter_mut().map(|client| {
        let _ = std::io::Write::write_all(&mut client.stream, b"\r\n\r\n");
        client.finish_if_open();
        client.rest().starts_with("HTTP/1.1 200 OK")
    });
    assert_eq!(answered.filter(|answered| *answered).count(), 3);
}

#[test]
fn one_client_cannot_take_all_connections() {
    let server = TestServer::start(Limits {
        connections_per_client_max: 2,
        ..Limits::default()
    });
    let mut first = server.connect();
    let mut second = server.connect();
    for client in [&mut first, &mut second] {
        client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        client.response();
    }
    assert_busy(&mut server.connect());
    drop(second);
    // Another gets in once the server has seen that one left.
    while server.handle.stats().connections > 1 {
        std::thread::yield_now();
    }
    server.assert_well();
}

#[test]
fn when_too_many_requests_wait_another_is_refused() {
    let limits = Limits {
        workers_min: 1,
        workers_max: 1,
        requests_waiting_max: 1,
        ..Limits::default()
    };
    let mut server = TestServer::start(limits);
    let mut running = server.connect();
    running.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(server.note(), Note::Called("/wait".to_owned()));
    let mut waiting = server.connect();
    waiting.send("GET /queued HTTP/1.1\r\nHost: h\r\n\r\n");
    while server.handle.stats().requests_waiting == 0 {
        std::thread::yield_now();
    }
    let mut refused = server.connect();
    refused.send("GET /too-many HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_busy(&mut refused);
    server.gate = None;
    assert_eq!(running.response().text(), "waited");
    assert_eq!(waiting.response().text(), "GET /queued");
}
