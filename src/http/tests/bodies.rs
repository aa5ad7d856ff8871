//! Request bodies: lengths, chunks, early ends, limits, what is left unread, 100-continue.

use proptest::prelude::*;

use super::support::{HANG, Note, TestServer, pattern};
use crate::http::{Body, BodyError, Headers, Limits, Method, Request};
use std::io::Read;
use std::time::Duration;

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n")
}

fn chunked(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn body_note(server: &TestServer) -> Result<u64, BodyError> {
    server.note_of(|note| {
        if let Note::Body(outcome) = note {
            Some(outcome)
        } else {
            None
        }
    })
}

#[test]
fn bodies_arrive_byte_for_byte() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    for size in [0, 1, 100, 20_000, 300_000, 5_000_000] {
        let sent = pattern(size);
        client.send(post("/echo", size));
        client.send(&sent);
        assert!(client.response().body == sent, "{size} bytes with a length");
        client.send(chunked("/echo"));
        for chunk in sent.chunks(40_000) {
            client.send(format!("{:X}\r\n", chunk.len()));
            client.send(chunk);
            client.send("\r\n");
        }
        client.send("0\r\nTrailer: x\r\n\r\n");
        assert!(client.response().body == sent, "{size} bytes in chunks");
    }
    assert_eq!(server.handle.stats().accepted_total, 1);
}

#[test]
fn a_body_that_breaks_off_is_an_error() {
    let server = TestServer::start(Limits::default());
    let cut = [
        post("/echo", 10) + "12345",
        post("/echo", 10),
        chunked("/echo") + "5\r\n12345\r\n",
        chunked("/echo") + "5\r\n123",
        chunked("/echo") + "5",
        chunked("/echo") + "0\r\n",
        post("/echo", 1 << 40) + "12345",
    ];
    for request in cut {
        let mut client = server.connect();
        client.send(&request);
        client.finish();
        let expected = if request.contains("1099511627776") {
            BodyError::TooLarge { limit: 64 << 20 }
        } else {
            BodyError::Truncated
        };
        assert_eq!(body_note(&server), Err(expected), "{request}");
    }
    server.assert_well();
}

#[test]
fn malformed_chunks_are_an_error_and_close() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.send(
        chunked("/echo") + "5\r\n123456\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    let answer = client.response();
    assert_eq!(
        (answer.status, answer.header("Connection")),
        (400, Some("close"))
    );
    assert_eq!(client.rest(), "");
    assert_eq!(
        body_note(&server),
        Err(BodyError::BadFraming(
            "a chunk is longer than its size says"
        ))
    );
}

#[test]
fn limits_hold_for_lengths_and_for_chunks() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.send(post("/echo-at-most/5", 5) + "12345");
    assert_eq!(client.response().text(), "12345");
    client.send(chunked("/echo-at-most/5") + "5\r\n12345\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "12345");
    for request in [
        post("/echo-at-most/5", 6),
        chunked("/echo-at-most/5") + "6\r\n123456\r\n0\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(request);
        assert_eq!(client.response().status, 413);
    }
}

#[test]
fn a_length_beyond_all_limits_is_refused_without_the_handler() {
    let server = TestServer::start(Limits {
        body_bytes_max: 100,
        ..Limits::default()
    });
    let mut client = server.connect();
    client.send(post("/a", 101));
    let answer = client.response();
    assert_eq!(
        (answer.status, answer.header("X-Refused")),
        (413, Some("yes"))
    );
    assert_eq!(client.rest(), "");
    assert!(matches!(
        server.note(),
        Note::Sent {
            status: 413,
            complete: true,
            ..
        }
    ));
}

#[test]
fn an_unread_body_is_never_read_as_a_request() {
    let server = TestServer::start(Limits::default());
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut client = server.connect();
    client.send(post("/ignore", smuggled.len()) + smuggled);
    client.send(chunked("/ignore") + &format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()));
    client.send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    for expected in ["POST /ignore", "POST /ignore", "GET /next"] {
        assert_eq!(client.response().text(), expected);
    }
}

#[test]
fn an_unread_body_beyond_the_bound_closes_the_connection() {
    let limits = Limits {
        drain_bytes_max: 1000,
        ..Limits::default()
    };
    let server = TestServer::start(limits);
    let mut client = server.connect();
    client.send(post("/ignore", 1000));
    client.send(pattern(1000));
    assert_eq!(client.response().header("Connection"), None);
    client.send(post("/ignore", 1001));
    assert_eq!(client.response().header("Connection"), Some("close"));
    client.send(pattern(1001));
    assert_eq!(client.rest(), "");
    let mut client = server.connect();
    client.send(chunked("/ignore") + "800\r\n");
    client.send(pattern(0x800));
    client.send("\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response().text(), "POST /ignore");
    assert_eq!(client.rest(), "");
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.send(post("/echo-at-most/5", 30_000_000));
    client.send(pattern(30_000_000));
    assert_eq!(client.response().status, 413);
    assert_eq!(client.rest(), "");
}

#[test]
fn a_huge_length_answered_early_costs_no_memory() {
    let resident_kib = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let server = TestServer::start(Limits {
        body_bytes_max: u64::MAX,
        ..Limits::default()
    });
    let before = resident_kib();
    for path in ["/ignore", "/echo-at-most/5", "/panic"] {
        let mut client = server.connect();
        client.send(format!(
            "PUT {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\nx",
            u64::MAX
        ));
        assert_eq!(client.response().header("Connection"), Some("close"));
        client.finish();
        assert_eq!(client.rest(), "");
    }
    assert!(resident_kib() - before < 512 * 1024, "peak memory grew");
    server.assert_well();
}

#[test]
fn continue_is_said_when_the_body_is_read_and_only_then() {
    let server = TestServer::start(Limits::default());
    let expecting = |path: &str| {
        format!(
            "PUT {path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
    };
    let mut client = server.connect();
    client.send(expecting("/echo"));
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("12345");
    assert_eq!(client.response().text(), "12345");
    // A client that does not wait is not told to go on.
    client.send(expecting("/echo") + "12345");
    assert_eq!(client.response().text(), "12345");
    for (path, status) in [("/ignore", 200), ("/echo-at-most/4", 413)] {
        let mut client = server.connect();
        client.send(expecting(path));
        let answer = client.response();
        assert_eq!(
            (answer.status, answer.header("Connection")),
            (status, Some("close"))
        );
        assert_eq!(client.rest(), "");
    }
}

#[test]
fn a_body_that_stalls_is_an_error() {
    let limits = Limits {
        body_rate_window: Duration::from_millis(60),
        ..Limits::default()
    };
    let server = TestServer::start(limits);
    let mut client = server.connect();
    client.send(post("/echo", 10) + "12345");
    assert_eq!(body_note(&server), Err(BodyError::TooSlow));
    assert_eq!(client.response().status, 400);
    assert_eq!(client.rest(), "");
}

#[test]
fn a_body_that_trickles_is_an_error() {
    let limits = Limits {
        body_rate_window: Duration::from_millis(60),
        body_rate_min_bytes_per_s: 1 << 30,
        ..Limits::default()
    };
    let server = TestServer::start(limits);
    let mut client = server.connect();
    client.send(post("/echo", 1 << 20));
    // Sends until the server has had enough.
    client.stream.set_nonblocking(false).unwrap();
    let outcome = loop {
        if std::io::Write::write_all(&mut client.stream, b"x").is_err() {
            break body_note(&server);
        }
        if let Ok(note) = server.notes.try_recv()
            && let Note::Body(outcome) = note
        {
            break outcome;
        }
    };
    assert_eq!(outcome, Err(BodyError::TooSlow));
}

#[test]
fn bodies_inside_the_process_follow_the_same_rules() {
    let mut body = Body::from_bytes("hello");
    assert_eq!(
        (body.declared_length(), body.is_chunked()),
        (Some(5), false)
    );
    let mut text = String::new();
    body.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), body.bytes_read()), ("hello", 5));
    let mut short = Body::from_reader(&b"abc"[..], Some(4));
    assert_eq!(short.read_to_vec(10), Err(BodyError::Truncated));
    assert_eq!(
        short.read_some(&mut [0; 9]),
        Err(BodyError::Truncated),
        "it stays an error"
    );
    let error = std::io::copy(&mut short, &mut std::io::sink()).unwrap_err();
    assert_eq!(BodyError::of(&error), Some(BodyError::Truncated));
    let mut open = Body::from_reader(&b"abc"[..], None);
    assert!(open.is_chunked());
    assert_eq!(open.read_to_vec(3), Ok(b"abc".to_vec()));
    let mut long = Body::from_reader(&b"abcd"[..], None);
    assert_eq!(long.read_to_vec(3), Err(BodyError::TooLarge { limit: 3 }));
    assert_eq!(Body::empty().read_to_vec(0), Ok(Vec::new()));
    let request = Request::new(Method::Get, "/a?b=c", Headers::new(), Body::empty());
    assert_eq!(
        (request.path.as_str(), request.query.as_deref()),
        ("/a", Some("b=c"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn chunks_arrive_however_packets_are_cut(
        sizes in prop::collection::vec(1_usize..3000, 0..12),
        cuts in prop::collection::vec(1_usize..4000, 1..40),
    ) {
        let server = TestServer::start(Limits::default());
        let mut coded = chunked("/echo").into_bytes();
        let mut data = Vec::new();
        for size in sizes {
            let chunk = pattern(size);
            coded.extend_from_slice(format!("{size:x}\r\n").as_bytes());
            coded.extend_from_slice(&chunk);
            coded.extend_from_slice(b"\r\n");
            data.extend_from_slice(&chunk);
        }
        coded.extend_from_slice(b"0\r\n\r\n");
        let mut client = server.connect();
        let mut rest = &coded[..];
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            client.send(piece);
            rest = after;
        }
        client.send(rest);
        prop_assert!(client.response().body == data);
        client.stream.set_read_timeout(Some(HANG)).unwrap();
    }
}
