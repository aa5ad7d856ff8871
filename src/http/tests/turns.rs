//! One client's share of the workers, and the requests that wait for their turn in it.

use std::time::Duration;

use super::support::{Client, HANG, TestServer, assert_busy};
use crate::http::Limits;

#[test]
fn one_client_cannot_take_all_workers() {
    let server = TestServer::start(Limits {
        workers_max: 4,
        requests_per_client_max: 2,
        ..Limits::default()
    });
    let mut slow: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for client in &mut slow {
        client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
    }
    while server.handle.stats().requests_active < 2 {
        std::thread::yield_now();
    }
    let mut third = wait_for_a_turn(&server, 1);
    // Another address is another client.
    let mut other = server.connect_from([127, 0, 0, 2]);
    other.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(other.response().status, 200);
    assert_eq!(server.handle.stats().requests_waiting, 1);
    for client in &mut slow {
        client.send("cd");
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(third.response().text(), "GET /a");
    third.send("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(third.response().text(), "GET /b");
    server.assert_well();
}

/// A client whose request waits because all of its share is running, and `waiting` wait with it.
fn wait_for_a_turn(server: &TestServer, waiting: usize) -> Client {
    let mut client = server.connect();
    client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    while server.handle.stats().requests_waiting < waiting {
        std::thread::yield_now();
    }
    client
}

/// A server whose only client has all of its one request running.
fn start_with_a_full_share(limits: &Limits) -> (TestServer, Client) {
    let server = TestServer::start(Limits {
        workers_max: 4,
        requests_per_client_max: 1,
        ..limits.clone()
    });
    let mut slow = server.connect();
    slow.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
    while server.handle.stats().requests_active < 1 {
        std::thread::yield_now();
    }
    (server, slow)
}

#[test]
fn turns_come_in_the_order_of_the_requests_and_bodies_follow() {
    let (server, mut slow) = start_with_a_full_share(&Limits::default());
    let mut clients: Vec<_> = (1..=20)
        .map(|waiting| wait_for_a_turn(&server, waiting))
        .collect();
    let mut last = server.connect();
    last.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
    slow.send("cd");
    assert_eq!(slow.response().text(), "abcd");
    for client in &mut clients {
        assert_eq!(client.response().text(), "GET /a");
    }
    last.send("cd");
    assert_eq!(last.response().text(), "abcd");
    server.assert_well();
}

#[test]
fn not_more_requests_wait_for_their_turn_than_may() {
    let (server, mut slow) = start_with_a_full_share(&Limits {
        requests_waiting_max: 2,
        ..Limits::default()
    });
    let mut waiting = [wait_for_a_turn(&server, 1), wait_for_a_turn(&server, 2)];
    let mut beyond = server.connect();
    beyond.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_busy(&mut beyond);
    slow.send("cd");
    for client in &mut waiting {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn a_turn_that_does_not_come_is_refused_in_time() {
    let (server, mut slow) = start_with_a_full_share(&Limits {
        turn_timeout: Duration::from_millis(50),
        ..Limits::default()
    });
    let mut waiting = server.connect();
    waiting.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_busy(&mut waiting);
    slow.send("cd");
    assert_eq!(slow.response().status, 200);
    server.assert_well();
}

#[test]
fn a_turn_of_a_client_that_has_gone_is_passed_on() {
    let (server, mut slow) = start_with_a_full_share(&Limits::default());
    drop(wait_for_a_turn(&server, 1));
    let mut second = wait_for_a_turn(&server, 2);
    slow.send("cd");
    assert_eq!(second.response().status, 200);
    server.assert_well();
}

#[test]
fn requests_that_wait_for_their_turn_are_served_before_a_graceful_stop() {
    let (mut server, mut slow) = start_with_a_full_share(&Limits::default());
    let mut waiting = wait_for_a_turn(&server, 1);
    server.handle.stop();
    slow.send("cd");
    assert_eq!(slow.response().status, 200);
    assert_eq!(waiting.response().status, 200);
    server.join();
}

#[test]
fn a_stop_at_once_cuts_off_who_waits_for_a_turn() {
    let (mut server, _slow) = start_with_a_full_share(&Limits::default());
    let mut waiting = wait_for_a_turn(&server, 1);
    server.handle.stop_now();
    assert_eq!(waiting.rest(), "");
    server.join();
}

#[test]
fn an_unread_body_counts_as_its_client_s_share_until_it_is_drained() {
    let server = TestServer::start(Limits {
        workers_max: 4,
        requests_per_client_max: 2,
        close_drain_timeout: HANG,
        ..Limits::default()
    });
    let mut slow: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for client in &mut slow {
        client.send("POST /no-content HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na");
        assert_eq!(client.response().status, 204);
    }
    let mut third = wait_for_a_turn(&server, 1);
    let mut other = server.connect_from([127, 0, 0, 2]);
    other.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(other.response().status, 200);
    for client in &mut slow {
        client.send("bcGET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(third.response().status, 200);
}
