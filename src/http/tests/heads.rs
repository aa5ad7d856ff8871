//! Request heads: what is accepted, what is refused and with which status.

use proptest::prelude::*;

use crate::http::head::{BodyLength, Head, parse};
use crate::http::scan::Scan;
use crate::http::{Limits, Method};

fn accepted(text: &str) -> Head {
    let (head, length) = parse(text.as_bytes(), &Limits::default()).unwrap().unwrap();
    assert_eq!(length, text.len(), "all of {text:?} is the head");
    head
}

fn refused(text: &str) -> u16 {
    match parse(text.as_bytes(), &Limits::default()) {
        Err(error) => error.status,
        Ok(outcome) => panic!("{text:?} was accepted as {outcome:?}"),
    }
}

fn with(field: &str) -> String {
    format!("PUT /a HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n")
}

#[test]
fn a_plain_head_is_taken_apart() {
    let head =
        accepted("GET /v2/a%2Fb?x=1?&y HTTP/1.1\r\nHost: h\r\nAccept:  a \r\naccept:b\r\n\r\n");
    assert_eq!((head.method, &*head.method_token), (Method::Get, "GET"));
    assert_eq!(
        (head.path.as_str(), head.query.as_deref()),
        ("/v2/a%2Fb", Some("x=1?&y"))
    );
    assert_eq!(
        head.headers.get_all("Accept").collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(head.length, BodyLength::Known(0));
    assert!(head.keep_alive && !head.is_http_1_0 && !head.expects_continue);
}

#[test]
fn targets_have_several_forms() {
    let cases = [
        ("GET http://host:80/a?b", "/a", Some("b")),
        ("GET HTTPS://host", "/", None),
        ("GET http://host?q", "/", Some("q")),
        ("OPTIONS *", "*", None),
        ("CONNECT host:443", "host:443", None),
        ("GET /?", "/", Some("")),
    ];
    for (line, path, query) in cases {
        let head = accepted(&format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(
            (head.path.as_str(), head.query.as_deref()),
            (path, query),
            "{line}"
        );
    }
    for line in [
        "GET a",
        "GET *",
        "GET ftp://x/",
        "GET /a#b",
        "GET /\u{e9}",
        "GET http:/x",
    ] {
        assert_eq!(
            refused(&format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n")),
            400,
            "{line}"
        );
    }
}

#[test]
fn other_methods_keep_their_token() {
    let head = accepted("PROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(
        (head.method, &*head.method_token),
        (Method::Other, "PROPFIND")
    );
    assert_eq!(
        accepted("get / HTTP/1.1\r\nHost: h\r\n\r\n").method,
        Method::Other
    );
}

#[test]
fn lengths_are_read_strictly() {
    assert_eq!(
        accepted(&with("Content-Length: 0017")).length,
        BodyLength::Known(17)
    );
    assert_eq!(
        accepted(&with("content-LENGTH: 5")).length,
        BodyLength::Known(5)
    );
    assert_eq!(
        accepted(&with("Transfer-Encoding: Chunked")).length,
        BodyLength::Chunked
    );
    let wrong = [
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5, 5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
        "Transfer-Encoding: \u{b}chunked",
    ];
    for field in wrong {
        assert_eq!(refused(&with(field)), 400, "{field}");
    }
}

#[test]
fn lines_are_read_strictly() {
    let wrong = [
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\n",
        "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /\r\nHost: h\r\n\r\n",
        "GET\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
        "\u{16}\u{3}\u{1}",
        "GET / http/1.1\r\nHost: h\r\n\r\n",
    ];
    for text in wrong {
        assert_eq!(refused(text), 400, "{text:?}");
    }
}

#[test]
fn versions_and_hosts_and_expectations() {
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.0"] {
        assert_eq!(
            refused(&format!("GET / {version}\r\nHost: h\r\n\r\n")),
            505,
            "{version}"
        );
    }
    assert_eq!(refused("PRI * HTTP/2.0\r\n\r\n"), 505);
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(refused(&with("Expect: a miracle")), 417);
    assert!(accepted(&with("Expect: 100-Continue")).expects_continue);
    assert!(!accepted("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expects_continue);
    assert_eq!(
        refused("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        400
    );
}

#[test]
fn keeping_alive_depends_on_version_and_connection() {
    let keeps = |version: &str, connection: &str| {
        accepted(&format!("GET / {version}\r\nHost: h\r\n{connection}\r\n")).keep_alive
    };
    assert!(keeps("HTTP/1.1", ""));
    assert!(keeps("HTTP/1.1", "Connection: upgrade, Keep-Alive\r\n"));
    assert!(!keeps("HTTP/1.1", "Connection: x, Close\r\n"));
    assert!(!keeps("HTTP/1.0", ""));
    assert!(keeps("HTTP/1.0", "Connection: keep-alive\r\n"));
    assert!(!keeps(
        "HTTP/1.0",
        "Connection: keep-alive\r\nConnection: close\r\n"
    ));
}

#[test]
fn sizes_are_bounded() {
    let limits = Limits {
        head_bytes_max: 300,
        request_line_bytes_max: 50,
        header_count_max: 4,
        ..Limits::default()
    };
    let status = |text: &str| parse(text.as_bytes(), &limits).map_err(|error| error.status);
    let line_of = |length: usize| format!("GET /{} HTTP/1.1", "a".repeat(length - 14));
    let fields = |count: usize| "a: b\r\n".repeat(count);
    assert!(
        status(&format!("{}\r\nHost: h\r\n\r\n", line_of(50)))
            .unwrap()
            .is_some()
    );
    assert_eq!(status(&line_of(51)).unwrap_err(), 414);
    assert!(
        status(&format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", fields(3)))
            .unwrap()
            .is_some()
    );
    assert_eq!(
        status(&format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", fields(4))).unwrap_err(),
        431
    );
    let endless = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}", "b".repeat(300));
    assert_eq!(status(&endless[..299]).map(|head| head.is_none()), Ok(true));
    assert_eq!(status(&endless[..300]).unwrap_err(), 431);
    assert_eq!(status(&"\r\n".repeat(150)).unwrap_err(), 431);
}

#[test]
fn values_that_are_not_utf8_are_latin1() {
    let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nX: caf\xe9\r\nY: caf\xc3\xa9\r\n\r\n";
    let (head, _) = parse(bytes, &Limits::default()).unwrap().unwrap();
    assert_eq!(
        (head.headers.get("x"), head.headers.get("y")),
        (Some("café"), Some("café"))
    );
}

proptest! {
    #[test]
    fn any_bytes_are_a_head_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Some((_, length))) = parse(&bytes, &Limits::default()) {
            prop_assert!(length <= bytes.len());
        }
    }

    #[test]
    fn nearly_heads_are_read_the_same_in_pieces(
        text in "(\r\n)?(GET|PUT) /[a-z]{0,5} HTTP/1.[01]\r\n([A-Za-z-]{1,8}: ?[ -~]{0,8}\r?\n){0,4}\r\n[a-z]{0,5}",
        cuts in prop::collection::vec(1_usize..20, 0..30),
    ) {
        let limits = Limits::default();
        let whole = Scan::default().find_end(text.as_bytes(), &limits);
        let mut scan = Scan::default();
        let mut end = 0;
        let mut pieces = Ok(None);
        for cut in cuts.into_iter().chain([text.len()]) {
            end = text.len().min(end + cut);
            pieces = scan.find_end(&text.as_bytes()[..end], &limits);
            if pieces != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn accepted_fields_hold_no_line_ends(
        text in "GET / HTTP/1.1\r\nHost: h\r\n([A-Za-z:\t -]{1,8}[\r\n\0a-z]{0,6}){0,4}\r\n\r\n",
    ) {
        if let Ok(Some((head, _))) = parse(text.as_bytes(), &Limits::default()) {
            for (name, value) in head.headers.iter() {
                prop_assert!(!name.contains(['\r', '\n', '\0', ' ', '\t', ':']));
                prop_assert!(!value.contains(['\r', '\n', '\0']));
            }
        }
    }
}
