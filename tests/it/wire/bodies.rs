//! Bodies: broken framing, early answers, `Expect`, and what is left unread.

use super::{exchange, head, is_refusal, is_well};
use crate::support::image::{bytes, digest};
use crate::support::session::with_query;
use crate::support::{Client, Server, eventually, for_each_open_shape};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn broken_chunks_are_400_and_leave_the_session_as_it_was() {
    for_each_open_shape(|server| {
        let mut client = server.client();
        let session = client.start_upload_with("a", b"hello");
        let extension = format!("5;{}\r\nworld\r\n0\r\n\r\n", "x".repeat(10_000));
        let trailer = format!("5\r\nworld\r\n0\r\nX: {}\r\n\r\n", "y".repeat(20_000));
        for body in [
            &b"x\r\nworld\r\n0\r\n\r\n"[..],
            b"-5\r\nworld\r\n0\r\n\r\n",
            b"+5\r\nworld\r\n0\r\n\r\n",
            b"0x5\r\nworld\r\n0\r\n\r\n",
            b" 5\r\nworld\r\n0\r\n\r\n",
            b"\r\nworld\r\n0\r\n\r\n",
            b"5\nworld\n0\n\n",
            b"5\r\nworldX\r\n0\r\n\r\n",
            b"5\r\nworld0\r\n\r\n",
            b"5\rworld\r\n0\r\n\r\n",
            b"11111111111111111\r\nworld\r\n0\r\n\r\n",
            b"5;a=\0\r\nworld\r\n0\r\n\r\n",
            b"5\r\nworld\r\n0\r\n\0\r\n\r\n",
            b"5\r\nworld\r\n0\r\nX: y\n\r\n",
            extension.as_bytes(),
            trailer.as_bytes(),
        ] {
            let head = head(
                &format!("PATCH {session} HTTP/1.1"),
                &["Transfer-Encoding: chunked"],
            );
            let smuggled = super::head("GET /v2/smuggled/tags/list HTTP/1.1", &[]);
            let (mut broken, answer) = exchange(server, &[&head[..], body, &smuggled].concat());
            is_refusal(answer.expect(400));
            broken.expect_closed();
            client.expect_offset(&session, 5);
        }
        client
            .finish_upload(&session, &digest("hello"), b"")
            .expect(201);
    });
}

#[test]
fn chunks_with_extensions_and_trailers_are_read() {
    for_each_open_shape(|server| {
        let mut client = server.client();
        let session = client.start_upload("a");
        let body = b"3;a=b\r\nhel\r\n0002 ;x\r\nlo\r\n0;y\r\nX-Trailer: z\r\n\r\n";
        let head = head(
            &format!("PATCH {session} HTTP/1.1"),
            &["Transfer-Encoding: chunked"],
        );
        let (mut sender, answer) = exchange(server, &[&head[..], body].concat());
        answer.expect(202);
        sender
            .finish_upload(&session, &digest("hello"), b"")
            .expect(201);
        client.expect_blob("a", "hello");
    });
}

/// The body of a refused request is not the next request, whether or not it was read.
#[test]
fn an_unread_chunked_body_is_never_parsed_as_a_request() {
    for_each_open_shape(|server| {
        let inner = head("GET /v2/smuggled/tags/list HTTP/1.1", &[]);
        let chunk = [
            format!("{:x}\r\n", inner.len()).as_bytes(),
            &inner,
            b"\r\n0\r\n\r\n",
        ]
        .concat();
        let next = head("GET /v2/_catalog HTTP/1.1", &[]);
        for line in [
            "PUT /nothing/here HTTP/1.1",
            "POST /v2/A/blobs/uploads/ HTTP/1.1",
            "PATCH /v2/a/blobs/uploads/unknown HTTP/1.1",
            "GET /v2/ HTTP/1.1",
            "DELETE /v2/a/manifests/unknown HTTP/1.1",
        ] {
            let first = head(line, &["Transfer-Encoding: chunked"]);
            let (mut client, answer) = exchange(server, &[&first[..], &chunk, &next].concat());
            assert!(answer.status < 500, "{answer}");
            follows(&mut client);
            let length = format!("Content-Length: {}", inner.len());
            let first = head(line, &[&length]);
            let (mut client, answer) = exchange(server, &[&first[..], &inner, &next].concat());
            assert!(answer.status < 500, "{answer}");
            follows(&mut client);
        }
    });
}

/// The next answer is the catalog's, or the connection was closed.
fn follows(client: &mut Client) {
    if client.is_kept_alive() {
        let answer = client.receive().expect(200);
        assert_eq!(answer.json(), json!({"repositories": []}), "{answer}");
    } else {
        client.expect_closed();
    }
}

/// One request with a huge length, answered before its body, ended other servers.
#[test]
fn a_huge_length_is_answered_early() {
    for_each_open_shape(|server| {
        let mut client = server.client();
        let session = client.start_upload_with("a", b"hello");
        for length in [
            "1000000000000",
            "4611686018427387904",
            "18446744073709551615",
        ] {
            let field = format!("Content-Length: {length}");
            for (line, statuses) in [
                ("PUT /nothing HTTP/1.1", &[404, 413][..]),
                ("POST /v2/A/blobs/uploads/ HTTP/1.1", &[400, 413]),
                ("PATCH /v2/a/blobs/uploads/unknown HTTP/1.1", &[404, 413]),
                ("PUT /v2/a/manifests/x HTTP/1.1", &[413]),
                (&format!("PATCH {session} HTTP/1.1"), &[413, 507]),
            ] {
                let (_, answer) = exchange(server, &head(line, &[&field]));
                assert!(statuses.contains(&answer.status), "{answer}");
                is_refusal(answer);
            }
        }
        eventually("the session is free", || {
            (client.get(&session).status == 204).then_some(())
        });
        client.expect_offset(&session, 5);
        is_well(server);
    });
}

#[test]
fn uploads_that_break_off_leave_nothing_and_end_nothing() {
    for_each_open_shape(|server| {
        let pid = server.pid();
        for size in [0, 1, 100, 4096, 100_000, 1_000_000] {
            for framing in ["Content-Length: 5000000", "Transfer-Encoding: chunked"] {
                let own = digest("never");
                let line = format!("POST /v2/a/blobs/uploads/?digest={own} HTTP/1.1");
                let mut client = server.client();
                client.send(&head(&line, &[framing]));
                if framing.ends_with("chunked") {
                    client.send(b"4c4b40\r\n");
                }
                client.send(&bytes(1, size));
                client.disconnect();
            }
        }
        is_well(server);
        assert_eq!(server.pid(), pid);
        let mut client = server.client();
        client
            .get("/v2/a/tags/list")
            .expect_error(404, "NAME_UNKNOWN");
        if server.data().exists() {
            eventually("nothing is left of them", || {
                let left = std::fs::read_dir(server.data().join("uploads"))
                    .unwrap()
                    .count();
                (left == 0).then_some(())
            });
        }
    });
}

/// 100 Continue comes when the body is wanted, and only then.
#[test]
fn expect_100_continue_is_answered_when_the_body_is_wanted() {
    for_each_open_shape(|server| {
        let session = server.client().start_upload("a");
        let path = with_query(&session, &format!("digest={}", digest("hello")));
        let mut client = server.client();
        client.begin("PUT", &path, &[("Content-Length", "5")]);
        client.send(b"hello");
        client.receive().expect(201);
        server.client().expect_blob("a", "hello");
    });
}

#[test]
fn expect_100_continue_is_refused_before_the_bytes_travel() {
    for_each_open_shape(|server| {
        let session = server.client().start_upload("a");
        for (line, range, status) in [
            ("PATCH /v2/a/blobs/uploads/unknown HTTP/1.1", "X: y", 404),
            (
                "PUT /v2/a/blobs/uploads/unknown?digest=x HTTP/1.1",
                "X: y",
                404,
            ),
            ("POST /v2/A/blobs/uploads/ HTTP/1.1", "X: y", 400),
            ("PUT /v2/a/manifests/x HTTP/1.1", "X: y", 413),
            ("PUT /v2/a/manifests/.x HTTP/1.1", "X: y", 400),
            ("PUT /nothing HTTP/1.1", "X: y", 404),
            (
                &format!("PATCH {session} HTTP/1.1"),
                "Content-Range: 7-9",
                416,
            ),
            (&format!("PUT {session} HTTP/1.1"), "X: y", 400),
        ] {
            let fields = ["Content-Length: 1000000000", "Expect: 100-continue", range];
            let (mut client, answer) = exchange(server, &head(line, &fields));
            assert_eq!(answer.interim, [0_u16; 0], "{answer}");
            is_refusal(answer.expect(status));
            // The body never came, so the connection cannot be used for another request.
            client.expect_closed();
        }
    });
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    for_each_open_shape(|server| {
        let mut raw = Vec::new();
        for n in 0..20 {
            let own = digest(format!("{n}"));
            let length = format!("Content-Length: {}", n.to_string().len());
            let line = format!("POST /v2/a/blobs/uploads/?digest={own} HTTP/1.1");
            raw.extend(head(&line, &[&length]));
            raw.extend(n.to_string().bytes());
            raw.extend(head(&format!("GET /v2/a/blobs/{own} HTTP/1.1"), &[]));
        }
        let mut client = server.client();
        client.about("twenty blobs and twenty questions");
        client.send(&raw);
        for n in 0..20 {
            let own = digest(format!("{n}"));
            client
                .receive()
                .expect(201)
                .expect_header("Docker-Content-Digest", &own);
            client.receive().expect(200).expect_body(n.to_string());
        }
        client.get("/v2/").expect(200);
    });
}

#[test]
fn a_client_that_has_said_all_is_still_answered() {
    for_each_open_shape(|server| {
        let mut client = server.client();
        let blob = bytes(1, 2_000_000);
        let path = format!("/v2/a/blobs/{}", client.push_blob("a", &blob));
        let mut client = server.client();
        client.about("a half-closed connection");
        client.send(&head(&format!("GET {path} HTTP/1.1"), &[]));
        client.finish_sending();
        client.receive().expect(200).expect_body(&blob);
        client.expect_closed();
    });
}

#[test]
fn connection_close_is_honoured() {
    for_each_open_shape(|server| {
        let (mut client, answer) =
            exchange(server, &head("GET /v2/ HTTP/1.1", &["Connection: close"]));
        answer.expect(200).expect_header("Connection", "close");
        client.expect_closed();
    });
}

#[test]
fn a_reader_that_goes_away_in_the_middle_ends_nothing() {
    let server = Server::start(&[]);
    let blob = bytes(1, 8 << 20);
    let path = format!("/v2/a/blobs/{}", server.client().push_blob("a", &blob));
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.host()).unwrap();
        stream
            .write_all(&head(&format!("GET {path} HTTP/1.1"), &[]))
            .unwrap();
        let mut some = [0; 1000];
        stream.read_exact(&mut some).unwrap();
    }
    server.client().expect_blob("a", &blob);
    is_well(&server);
}
