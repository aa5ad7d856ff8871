//! HTTP over TLS: the same as without, and what only TLS has.

use std::sync::Arc;
use std::time::Duration;

use rustls::HandshakeKind;

use super::support::{HANG, Note, TestServer, assert_well_for, pattern};
use super::tls_support::{GET, Setup, TLS_1_2, TLS_1_3, connect_with, encrypted, shake};
use crate::http::tls::MinimumVersion;
use crate::http::{BodyError, Limits};

#[test]
fn requests_are_answered_in_both_versions() {
    let setup = Setup::new();
    let server = setup.start(Limits::default());
    for versions in [TLS_1_2, TLS_1_3] {
        let config = Arc::new(setup.client_config(versions, None));
        let mut client = connect_with(&server, &config, "localhost");
        for _ in 0..3 {
            client.send(GET);
            assert_eq!(client.response().text(), "GET /a");
        }
        // Sent ahead, in one record and in many.
        client.send([GET; 5].concat());
        for part in GET.as_bytes() {
            client.send([*part]);
        }
        for _ in 0..6 {
            assert_eq!(client.response().text(), "GET /a");
        }
        client.send("GET /close HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.response().text(), "bye");
        assert_eq!(client.rest(), "");
        assert!(!client.is_truncated, "the end is said");
    }
}

#[test]
fn only_what_is_asked_for_is_spoken() {
    let mut setup = Setup::new();
    let server = setup.start(Limits::default());
    let mut config = setup.client_config(rustls::ALL_VERSIONS, None);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut client = connect_with(&server, &Arc::new(config.clone()), "localhost");
    shake(&mut client).unwrap();
    let chosen = client.tls.as_ref().unwrap().alpn_protocol();
    assert_eq!(chosen, Some(&b"http/1.1"[..]));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = connect_with(&server, &Arc::new(config), "localhost");
    assert!(shake(&mut client).is_err());

    setup.options.minimum_version = MinimumVersion::Tls13;
    let server = setup.start(Limits::default());
    let old = Arc::new(setup.client_config(TLS_1_2, None));
    assert!(shake(&mut connect_with(&server, &old, "localhost")).is_err());
    assert_well_for(setup.connect(&server));
}

#[test]
fn the_certificate_is_the_one_with_the_name() {
    let mut setup = Setup::new();
    setup.add(&["a.example.org", "*.b.example.org"]);
    setup.add(&["*.example.org", "x.b.example.org"]);
    let server = setup.start(Limits::default());
    let status = setup.tls().status();
    let config = setup.client_config(rustls::ALL_VERSIONS, None);
    let shown = |name: &str| {
        let mut config = config.clone();
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(any::Any));
        let mut client = connect_with(&server, &Arc::new(config), name);
        shake(&mut client).unwrap();
        let tls = client.tls.as_ref().unwrap();
        let certificate = tls.peer_certificates().unwrap()[0].clone();
        let facts = crate::http::tls::CertificateFacts::of_der(&certificate).unwrap();
        let is_it =
            |one: &crate::http::tls::CertificateStatus| one.fingerprint == facts.fingerprint;
        status.certificates.iter().position(is_it).unwrap()
    };
    let cases = [
        ("localhost", 0),
        ("a.example.org", 1),
        ("A.Example.ORG", 1),
        ("y.b.example.org", 1),
        ("x.b.example.org", 2),
        ("other.example.org", 2),
        // A wildcard stands for one label.
        ("p.q.b.example.org", 0),
        ("example.org", 0),
        ("127.0.0.1", 0),
        ("nobody.invalid", 0),
    ];
    for (name, index) in cases {
        assert_eq!(shown(name), index, "{name}");
    }
}

/// A client that believes everything, to see what it is shown.
mod any {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub(super) struct Any;

    impl ServerCertVerifier for Any {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }
}

#[test]
fn large_bodies_arrive_whole_in_both_directions() {
    let setup = Setup::new();
    let server = setup.start(Limits::default());
    let sent = pattern(5_000_001);
    for versions in [TLS_1_2, TLS_1_3] {
        let config = Arc::new(setup.client_config(versions, None));
        let mut client = connect_with(&server, &config, "localhost");
        client.send("GET /bytes/5000001 HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(client.response().body == sent);
        let head = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5000001\r\n\r\n";
        client.send(head);
        client.send(&sent);
        assert!(client.response().body == sent);
        client.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in sent.chunks(70_000) {
            client.send(format!("{:x}\r\n", chunk.len()));
            client.send([chunk, b"\r\n"].concat());
        }
        client.send("0\r\n\r\n");
        assert!(client.response().body == sent);
        client.send(GET);
        assert_eq!(client.response().text(), "GET /a");
    }
}

#[test]
fn a_client_that_waits_to_go_on_is_told_to() {
    let setup = Setup::new();
    let server = setup.start(Limits::default());
    let mut client = setup.connect(&server);
    client.send(
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    );
    assert!(client.head().starts_with("HTTP/1.1 100 "));
    client.send("abc");
    assert_eq!(client.response().text(), "abc");
}

#[test]
fn a_body_that_breaks_off_is_an_error_however_it_ends() {
    let setup = Setup::new();
    let server = setup.start(Limits::default());
    for says_so in [true, false] {
        let mut client = setup.connect(&server);
        client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
        if says_so {
            client.tls.as_mut().unwrap().send_close_notify();
            let _ = client.try_send("");
        }
        client.finish();
        let ended = server.note_of(|note| match note {
            Note::Body(ended) => Some(ended),
            _ => None,
        });
        assert_eq!(ended, Err(BodyError::Truncated), "said so: {says_so}");
        client.rest();
    }
    assert_well_for(setup.connect(&server));
}

#[test]
fn a_response_that_breaks_off_does_not_look_complete() {
    let setup = Setup::new();
    let server = setup.start(Limits::default());
    let mut client = setup.connect(&server);
    client.send("GET /short-reader HTTP/1.1\r\nHost: h\r\n\r\n");
    client.rest();
    assert!(client.is_truncated);
    assert_well_for(setup.connect(&server));
}

#[test]
fn sessions_are_resumed() {
    let setup = Setup::new();
    let server = setup.start(Limits::default());
    for versions in [TLS_1_2, TLS_1_3] {
        let config = Arc::new(setup.client_config(versions, None));
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut client = connect_with(&server, &config, "localhost");
            client.send(GET);
            assert_eq!(client.response().status, 200);
            let kind = client.tls.as_ref().unwrap().handshake_kind();
            assert_eq!(kind, Some(expected));
        }
    }
}

#[test]
fn an_idle_connection_is_kept_and_then_closed_with_a_word() {
    let setup = Setup::new();
    let server = setup.start(Limits {
        idle_timeout: Duration::from_secs(2),
        linger_timeout: Duration::from_millis(1),
        ..Limits::default()
    });
    let mut client = setup.connect(&server);
    client.send(GET);
    assert_eq!(client.response().status, 200);
    assert_eq!(client.rest(), "");
    assert!(!client.is_truncated);
}

#[test]
fn a_request_line_in_two_records_is_within_the_deadline_of_a_head() {
    let setup = Setup::new();
    let server = setup.start(Limits {
        head_timeout: Duration::from_millis(50),
        ..Limits::default()
    });
    let mut client = setup.connect(&server);
    client.send("GET /a HT");
    let answer = client.response();
    assert_eq!(answer.status, 408);
    assert_eq!(client.rest(), "");
    assert!(!client.is_truncated);
    // The beginning of a record is the beginning of a head as well.
    let mut client = setup.connect(&server);
    shake(&mut client).unwrap();
    std::io::Write::write_all(&mut client.stream, &[0x17, 3, 3, 1, 0, 9, 9]).unwrap();
    assert!(client.rest().starts_with("HTTP/1.1 408 "));
    assert_well_for(setup.connect(&server));
}

#[test]
fn what_the_dispatcher_refuses_is_said_over_tls_too() {
    let setup = Setup::new();
    let server = setup.start(Limits {
        workers_max: 1,
        requests_waiting_max: 1,
        ..Limits::default()
    });
    let mut clients: Vec<_> = (0..3).map(|_| setup.connect(&server)).collect();
    for client in &mut clients {
        shake(client).unwrap();
        client.send(GET);
        assert_eq!(client.response().status, 200);
    }
    clients[0].send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    server.note_of(|note| (note == Note::Called("/wait".to_owned())).then_some(()));
    clients[1].send(GET);
    while server.handle.stats().requests_waiting < 1 {
        std::thread::yield_now();
    }
    clients[2].send(GET);
    let answer = clients[2].response();
    assert_eq!(answer.status, 503);
    assert_eq!(clients[2].rest(), "");
    assert!(!clients[2].is_truncated);
    server.gate.as_ref().unwrap().send(()).unwrap();
    assert_eq!(clients[0].response().text(), "waited");
    assert_eq!(clients[1].response().text(), "GET /a");
}

#[test]
fn a_graceful_stop_lets_a_transfer_finish() {
    let setup = Setup::new();
    let mut server = setup.start(Limits::default());
    let mut idle = setup.connect(&server);
    idle.send(GET);
    assert_eq!(idle.response().status, 200);
    let silent = server.connect();
    let mut client = setup.connect(&server);
    client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    server.note_of(|note| (note == Note::Called("/wait".to_owned())).then_some(()));
    server.handle.stop();
    assert_eq!(idle.rest(), "");
    assert!(!idle.is_truncated);
    server.gate.as_ref().unwrap().send(()).unwrap();
    assert_eq!(client.response().text(), "waited");
    assert_eq!(client.rest(), "");
    assert!(!client.is_truncated);
    server.join();
    drop(silent);
}

#[test]
fn a_handshake_waits_for_its_turn_in_its_client_s_share() {
    let setup = Setup::new();
    let server = setup.start(Limits {
        workers_max: 4,
        requests_per_client_max: 1,
        ..Limits::default()
    });
    let mut slow = setup.connect(&server);
    slow.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
    while server.handle.stats().requests_active < 1 {
        std::thread::yield_now();
    }
    let mut second = setup.connect(&server);
    let tls = second.tls.as_mut().unwrap();
    tls.write_tls(&mut second.stream).unwrap();
    while server.handle.stats().requests_waiting < 1 {
        std::thread::yield_now();
    }
    // Another address is another client.
    let config = Arc::new(setup.client_config(rustls::ALL_VERSIONS, None));
    let mut other = encrypted(server.connect_from([127, 0, 0, 2]), &config, "localhost");
    other.send(GET);
    assert_eq!(other.response().status, 200);
    slow.send("cd");
    assert_eq!(slow.response().text(), "abcd");
    second.send(GET);
    assert_eq!(second.response().status, 200);
}

#[test]
fn certificates_change_while_connections_are_open() {
    let setup = Setup::new();
    let tls = setup.tls();
    let server = TestServer::start_tls(Limits::default(), Arc::clone(&tls));
    let fingerprint = || tls.status().certificates[0].fingerprint.clone();
    let first = fingerprint();
    let mut open = setup.connect(&server);
    open.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
    while server.handle.stats().requests_active < 1 {
        std::thread::yield_now();
    }

    // A key that belongs to another certificate, half a file, and none.
    let other = setup.authority.issue(&["localhost"]);
    let key = std::fs::read_to_string(setup.folder.path().join("0.key")).unwrap();
    for bad in [&other.key, &key[..key.len() / 2], ""] {
        setup.write("0.key", bad);
        let error = tls.reload().unwrap_err().to_string();
        assert!(error.contains("0.key"), "{error}");
        assert_eq!(tls.status().last_error, Some(error));
        assert_eq!(fingerprint(), first);
        assert_well_for(setup.connect(&server));
    }
    setup.write("0.key", &other.key);
    setup.write("0.pem", &other.certificate);
    tls.reload().unwrap();
    let status = tls.status();
    assert_eq!((status.last_error, status.reloads_total), (None, 1));
    assert_ne!(fingerprint(), first);
    assert_well_for(setup.connect(&server));
    open.send("cd");
    assert_eq!(open.response().text(), "abcd");
    open.send(GET);
    assert_eq!(open.response().status, 200);
}

#[test]
fn files_that_change_are_seen() {
    let setup = Setup::new();
    let tls = setup.tls();
    let watch = tls.watch(Duration::from_millis(5)).unwrap();
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let end = std::time::Instant::now() + HANG;
        while !is_so() {
            assert!(std::time::Instant::now() < end, "{what}");
            std::thread::yield_now();
        }
    };
    setup.write("0.pem", "not a certificate");
    until("the damage is seen", &|| tls.status().last_error.is_some());
    let other = setup.authority.issue(&["localhost"]);
    setup.write("0.pem", &other.certificate);
    setup.write("0.key", &other.key);
    until("the new pair is in use", &|| {
        let status = tls.status();
        status.last_error.is_none() && status.reloads_total > 0
    });
    drop(watch);
}
