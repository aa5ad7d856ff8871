//! Clients that mean ill, or speak something else, on a port that speaks TLS.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use rustls::HandshakeKind;

use super::support::{Client, HANG, TestServer, assert_well_for};
use super::tls_support::{GET, Setup, TLS_1_2, connect_with, shake};
use crate::http::Limits;

/// What a client says first.
fn hello(setup: &Setup, server: &TestServer) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut client = setup.connect(server);
    client.tls.as_mut().unwrap().write_tls(&mut bytes).unwrap();
    bytes
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = std::time::Instant::now() + HANG;
    while !is_so() {
        assert!(std::time::Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn half_a_handshake_keeps_no_worker_and_ends_in_time() {
    let setup = Setup::new();
    let server = setup.start(Limits {
        workers_min: 1,
        workers_max: 2,
        requests_per_client_max: 2,
        handshake_timeout: Duration::from_secs(3),
        ..Limits::default()
    });
    let hello = hello(&setup, &server);
    let lengths = [0, 1, 4, 5, 6, hello.len() / 2, hello.len() - 1, hello.len()];
    let mut halves: Vec<Client> = Vec::new();
    for round in 0..5 {
        for length in lengths {
            let mut client = server.connect();
            client.stream.write_all(&hello[..length]).unwrap();
            halves.push(client);
            if round == length % 5 {
                assert_well_for(setup.connect(&server));
            }
        }
    }
    for half in &mut halves {
        half.rest_bytes();
    }
    assert_eq!(
        server.handle.stats().handshakes_failed_total,
        halves.len() as u64
    );
    assert!(server.handle.stats().workers <= 2);
    assert_well_for(setup.connect(&server));
}

#[test]
fn not_more_handshakes_wait_than_may_and_the_oldest_goes_first() {
    let setup = Setup::new();
    let server = setup.start(Limits {
        handshakes_max: 3,
        handshake_timeout: HANG,
        ..Limits::default()
    });
    let mut silent: Vec<Client> = Vec::new();
    for count in 1..=6 {
        silent.push(server.connect());
        until("it is accepted", || {
            server.handle.stats().accepted_total == count
        });
    }
    for client in &mut silent[..3] {
        assert_eq!(client.rest(), "");
    }
    assert_eq!(server.handle.stats().connections, 3);
    assert_well_for(setup.connect(&server));
    assert_eq!(silent[3].rest(), "");
    assert_eq!(server.handle.stats().handshakes_failed_total, 4);
}

#[test]
fn what_is_no_tls_is_refused() {
    let setup = Setup::new();
    let server = setup.start(Limits::default());
    let long = [&[0x16, 3, 1, 0xff, 0xff][..], &vec![1; 70_000]].concat();
    let hello = hello(&setup, &server);
    let with_a_wrong_byte = |at: usize| {
        let mut bytes = hello.clone();
        bytes[at] ^= 0x80;
        bytes
    };
    let cases: [Vec<u8>; 8] = [
        vec![0; 100],
        vec![0xff; 100],
        b"\x16\x03\x01\x00\x00".to_vec(),
        b"\x15\x03\x01\x00\x02\x02\x28".to_vec(),
        b"\x17\x03\x03\x00\x05hello".to_vec(),
        long,
        with_a_wrong_byte(0),
        with_a_wrong_byte(5),
    ];
    for bytes in cases {
        let mut client = server.connect();
        let _ = client.stream.write_all(&bytes);
        client.finish_if_open();
        // An alert at most.
        assert!(client.rest_bytes().len() < 32, "{:?}", &bytes[..5]);
    }
    assert_well_for(setup.connect(&server));
}

#[test]
fn a_record_that_is_damaged_or_too_long_ends_the_connection() {
    let setup = Setup::new();
    let server = setup.start(Limits::default());
    let too_long = [&[0x17, 3, 3, 0x48, 0x10][..], &vec![7; 0x4810]].concat();
    let damaged = b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_vec();
    let plain = b"\x15\x03\x03\x00\x02\x01\x00".to_vec();
    for bytes in [too_long, damaged, plain, GET.as_bytes().to_vec()] {
        let mut client = setup.connect(&server);
        client.send(GET);
        assert_eq!(client.response().status, 200);
        client.stream.write_all(&bytes).unwrap();
        client.finish_if_open();
        // The client's library fails on the alert.
        assert!(!client.is_answered());
    }
    assert_well_for(setup.connect(&server));
}

#[test]
fn plain_http_is_told_where_it_is() {
    let setup = Setup::new();
    let server = setup.start(Limits::default());
    for request in [
        GET,
        "POST /v2/ HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\nabc",
    ] {
        let mut client = server.connect();
        client.send(request);
        let answer = client.response();
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.header("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(answer.header("Connection"), Some("close"));
        assert!(answer.text().contains("https://"), "{}", answer.text());
        assert_eq!(client.rest(), "");
    }
    assert_well_for(setup.connect(&server));
}

#[test]
fn a_hello_on_a_plain_port_is_told_so_and_closed() {
    let setup = Setup::new();
    let encrypted = setup.start(Limits::default());
    let server = TestServer::start(Limits::default());
    let hello = hello(&setup, &encrypted);
    let mut client = server.connect();
    client.send(&hello);
    let answer = client.response();
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("plain HTTP"), "{}", answer.text());
    assert_eq!(client.rest(), "");
    server.assert_well();
}

#[test]
fn closing_in_the_middle_of_anything_hurts_nobody() {
    let setup = Setup::new();
    let server = setup.start(Limits::default());
    let config = Arc::new(setup.client_config(TLS_1_2, None));
    for step in 0..6 {
        let mut client = connect_with(&server, &config, "localhost");
        match step {
            0 => {}
            1 => {
                let tls = client.tls.as_mut().unwrap();
                tls.write_tls(&mut client.stream).unwrap();
            }
            2 => shake(&mut client).unwrap(),
            3 => client.send("GET /a"),
            4 => client.send("GET /bytes/50000000 HTTP/1.1\r\nHost: h\r\n\r\n"),
            _ => client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\na"),
        }
    }
    assert_well_for(setup.connect(&server));
    until("all are let go of", || {
        server.handle.stats().connections == 0
    });
}

#[test]
fn a_stop_at_once_cuts_off_handshakes_and_transfers() {
    let setup = Setup::new();
    let mut server = setup.start(Limits::default());
    let mut silent = server.connect();
    let mut shaking = server.connect();
    let hello = hello(&setup, &server);
    shaking.stream.write_all(&hello[..20]).unwrap();
    let mut busy = setup.connect(&server);
    busy.send("GET /bytes/90000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    busy.head();
    server.handle.stop_now();
    server.join();
    assert_eq!(silent.rest(), "");
    assert_eq!(shaking.rest(), "");
    busy.rest();
    assert!(busy.is_truncated);
}

#[test]
fn a_client_that_never_reads_its_tickets_is_served_and_resumed() {
    let setup = Setup::new();
    let server = setup.start(Limits::default());
    let config = Arc::new(setup.client_config(rustls::ALL_VERSIONS, None));
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut client = connect_with(&server, &config, "localhost");
        client.send([GET; 40].concat());
        for _ in 0..40 {
            assert_eq!(client.response().status, 200);
        }
        assert_eq!(client.tls.as_ref().unwrap().handshake_kind(), Some(kind));
    }
}
