//! Heads that are none, that two readers could read in two ways, or that are too large.

use super::{exchange, head, is_well, refused};
use crate::support::image::bytes;
use crate::support::{Server, for_each_open_shape};

#[test]
fn what_is_no_head_is_400_and_closed() {
    for_each_open_shape(|server| {
        for raw in [
            &b"GET /v2/ HTTP/1.1\nHost: x\n\n"[..],
            b"GET /v2/ HTTP/1.1\r\nHost: x\n\r\n",
            b"GET /v2/ HTTP/1.1\rHost: x\r\r",
            b"GET /v2/ HTTP/1.1\r\n\r\n",
            b"GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
            b"GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            b"GET /v2/\r\n\r\n",
            b"GET\r\n\r\n",
            b"/v2/\r\n\r\n",
            b"GET  /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /v2/  HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /v2/ HTTP/1.1 \r\nHost: x\r\n\r\n",
            b" GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /v2/ x HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET\t/v2/\tHTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /v2/ http/1.1\r\nHost: x\r\n\r\n",
            b"GET /v2/ HTTP/11\r\nHost: x\r\n\r\n",
            b"GET /v2/ HTTP/1.1.1\r\nHost: x\r\n\r\n",
            b"G@T /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"\x00\x00\x00\x00\r\n\r\n",
            b"\xff\xfe\xfd / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"{\"schemaVersion\": 2}\r\n\r\n",
        ] {
            refused(server, raw, 400);
        }
        is_well(server);
    });
}

#[test]
fn what_is_no_field_is_400_and_closed() {
    for_each_open_shape(|server| {
        for field in [
            "A b: c",
            "A : b",
            ": b",
            "A",
            "A\u{e4}: b",
            "A: b\r\n c",
            "A: b\r\n\tc",
            "A: \0",
            "A: \x01",
            "A: b\rc",
            "A: \x7f",
            "A\0: b",
            "(A): b",
            "A: b\r\n: c",
            " A: b",
        ] {
            refused(server, &head("GET /v2/ HTTP/1.1", &[field]), 400);
        }
        // The first field must not be taken for the end of the request line.
        refused(server, b"GET /v2/ HTTP/1.1\r\n Host: x\r\n\r\n", 400);
        is_well(server);
    });
}

#[test]
fn other_versions_are_505() {
    for_each_open_shape(|server| {
        for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0"] {
            refused(server, &head(&format!("GET /v2/ {version}"), &[]), 505);
        }
        refused(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    });
}

#[test]
fn http_1_0_is_spoken_and_closes() {
    for_each_open_shape(|server| {
        let (mut client, answer) = exchange(server, b"GET /v2/ HTTP/1.0\r\n\r\n");
        answer.expect(200);
        client.expect_closed();
        let (mut client, answer) = exchange(
            server,
            b"GET /v2/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        );
        answer.expect(200);
        client.get("/v2/").expect(200);
        let raw =
            b"POST /v2/a/blobs/uploads/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        refused(server, raw, 400);
    });
}

#[test]
fn two_lengths_or_a_length_that_is_no_number_are_400() {
    for_each_open_shape(|server| {
        for fields in [
            &["Content-Length: 5", "Content-Length: 5"][..],
            &["Content-Length: 5", "Content-Length: 6"],
            &["Content-Length: 5, 5"],
            &["Content-Length: 5 5"],
            &["Content-Length: +5"],
            &["Content-Length: -5"],
            &["Content-Length: 0x5"],
            &["Content-Length: 5."],
            &["Content-Length: 5e0"],
            &["Content-Length: "],
            &["Content-Length: five"],
            &["Content-Length: 18446744073709551616"],
            &["Content-Length: 99999999999999999999999999999999"],
        ] {
            let raw = head("POST /v2/a/blobs/uploads/ HTTP/1.1", fields);
            refused(server, &[&raw[..], b"hello"].concat(), 400);
        }
        is_well(server);
    });
}

#[test]
fn smuggling_by_a_length_beside_a_coding_is_400() {
    for_each_open_shape(|server| {
        for fields in [
            &["Content-Length: 5", "Transfer-Encoding: chunked"][..],
            &["Transfer-Encoding: chunked", "Content-Length: 5"],
            &["Transfer-Encoding: chunked", "Content-Length: 0"],
            &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
            &["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
            &["Transfer-Encoding: chunked, chunked"],
            &["Transfer-Encoding: identity"],
            &["Transfer-Encoding: gzip, chunked"],
            &["Transfer-Encoding: chunked, gzip"],
            &["Transfer-Encoding: xchunked"],
            &["Transfer-Encoding: chunked;q=1"],
            &["Transfer-Encoding: \"chunked\""],
            &["Transfer-Encoding: \x0bchunked"],
            &["Transfer-Encoding:\u{a0}chunked"],
            &["Transfer-Encoding : chunked"],
            &["Transfer-Encoding\t: chunked"],
            &["X: y\r\n Transfer-Encoding: chunked"],
            &["Transfer-Encoding: chunked\n"],
            &["Transfer-Encoding: "],
            &["Transfer-Encoding:\r\n chunked"],
        ] {
            let raw = head("POST /v2/a/blobs/uploads/ HTTP/1.1", fields);
            refused(server, &[&raw[..], b"0\r\n\r\n"].concat(), 400);
        }
        is_well(server);
    });
}

#[test]
fn the_coding_is_known_in_any_case_and_with_blanks_around() {
    for_each_open_shape(|server| {
        for field in [
            "transfer-ENCODING: CHUNKED",
            "Transfer-Encoding:  \tchunked \t",
        ] {
            let raw = head("POST /v2/a/blobs/uploads/ HTTP/1.1", &[field]);
            let (mut client, answer) = exchange(server, &[&raw[..], b"0\r\n\r\n"].concat());
            answer.expect(202);
            client.get("/v2/").expect(200);
        }
    });
}

#[test]
fn an_expectation_that_is_not_known_is_417() {
    for_each_open_shape(|server| {
        let raw = head("GET /v2/ HTTP/1.1", &["Expect: a miracle"]);
        refused(server, &raw, 417);
    });
}

#[test]
fn heads_beyond_their_bounds_are_431_and_414() {
    for_each_open_shape(|server| {
        let many: Vec<String> = (0..101).map(|n| format!("X-{n}: y")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        refused(server, &head("GET /v2/ HTTP/1.1", &many), 431);
        let mut client = server.client();
        let fine: Vec<(&str, &str)> = (0..90).map(|_| ("X", "y")).collect();
        client.request("GET", "/v2/", &fine, None).expect(200);
        let long = format!("X: {}", "y".repeat(70_000));
        refused(server, &head("GET /v2/ HTTP/1.1", &[&long]), 431);
        let name = format!("{}: y", "X".repeat(70_000));
        refused(server, &head("GET /v2/ HTTP/1.1", &[&name]), 431);
        for length in [17_000, 60_000, 1_000_000] {
            let line = format!("GET /v2/?{} HTTP/1.1", "x".repeat(length));
            refused(server, &head(&line, &[]), 414);
        }
        is_well(server);
    });
}

/// A head without end must not be kept in memory.
#[test]
fn a_head_without_end_is_refused_when_it_is_too_long_and_not_later() {
    for_each_open_shape(|server| {
        let mut client = server.client();
        client.about("an endless head");
        client.send(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n");
        let line = format!("X: {}\r\n", "y".repeat(1000));
        let mut sent = 0;
        while client.try_send(line.as_bytes()).is_ok() {
            sent += line.len();
            assert!(sent < 512 << 20, "the server reads on and on");
        }
        is_well(server);
    });
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    for_each_open_shape(|server| {
        let raw = [b"\r\n\r\n\r\n".to_vec(), head("GET /v2/ HTTP/1.1", &[])].concat();
        exchange(server, &raw).1.expect(200);
    });
}

/// Every byte of a good request replaced by every byte that means something.
#[test]
fn no_mutation_of_a_request_is_answered_with_a_fault_of_the_server() {
    let server = Server::memory();
    let good = head(
        "PUT /v2/a/blobs/uploads/x?digest=y HTTP/1.1",
        &["Content-Length: 0"],
    );
    for at in 0..good.len() {
        for byte in *b"\0\r\n :%/?\x7f\xff0A" {
            let mut raw = good.clone();
            raw[at] = byte;
            let mut client = server.client();
            client.about(&format!("byte {at} is {byte:#04x}"));
            client.send(&raw);
            client.finish_sending();
            // Without an end of the head there may be no answer at all.
            if let Ok(answer) = client.try_receive() {
                assert!(answer.status < 500 || answer.status == 505, "{answer}");
            }
        }
    }
    is_well(&server);
}

#[test]
fn noise_is_no_request() {
    let server = Server::memory();
    for seed in 0..300 {
        let mut client = server.client();
        client.about(&format!("noise of seed {seed}"));
        let _ = client.try_send(&bytes(seed, 2000));
        if let Ok(answer) = client.try_receive() {
            assert!(matches!(answer.status, 400 | 414 | 431), "{answer}");
        }
    }
    is_well(&server);
}
