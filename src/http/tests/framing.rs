//! Refused heads over the wire: the status, the close, and nothing after it.

use super::support::{Note, TestServer};
use crate::http::Limits;

#[test]
fn refused_heads_are_answered_and_the_connection_closes() {
    let server = TestServer::start(Limits::default());
    let line = format!("GET /{} HTTP/1.1\r\n", "a".repeat(17_000));
    let field = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n",
        "b".repeat(70_000)
    );
    let fields = format!(
        "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
        "a: b\r\n".repeat(101)
    );
    let cases = [
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "\u{16}\u{3}\u{1}\u{2}\0"),
        (400, "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"),
        (
            400,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        ),
        (
            400,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
             0\r\n\r\n",
        ),
        (
            400,
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
        ),
        (
            400,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ten\r\n\r\n",
        ),
        (414, &line),
        (417, "GET / HTTP/1.1\r\nHost: h\r\nExpect: more\r\n\r\n"),
        (431, &field),
        (431, &fields),
        (505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n"),
    ];
    for (status, request) in cases {
        let mut client = server.connect();
        client.send(request);
        client.send("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = client.response();
        assert_eq!(answer.status, status, "{request:.60}");
        assert_eq!(answer.header("Connection"), Some("close"));
        assert_eq!(answer.header("X-Refused"), Some("yes"));
        assert_eq!(client.rest(), "", "{request:.60}");
        assert!(matches!(
            server.note(),
            Note::Sent { status: noted, complete: true, .. } if noted == status
        ));
    }
    server.assert_well();
}

#[test]
fn a_bad_request_behind_a_good_one_is_refused_after_it() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGARBAGE\r\n\r\n");
    assert_eq!(client.response().text(), "GET /a");
    assert_eq!(client.response().status, 400);
    assert_eq!(client.rest(), "");
}
