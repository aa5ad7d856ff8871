//! A server that asks itself whether it answers, and listeners that are not its own.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use super::support::{App, HANG, Note, TestServer};
use super::tls_support::{Authority, Setup};
use crate::http::handed::Handed;
use crate::http::tls::{ClientAuth, Tls};
use crate::http::{Answer, Endpoint, Limits, ListenAddress, Probe, Server};

fn probe_of(server: &TestServer, tls: Option<Arc<Tls>>) -> Probe {
    let endpoint = Endpoint {
        address: ListenAddress::Tcp(server.address),
        tls,
    };
    Probe::new(server.handle.clone(), vec![endpoint], "/healthy").unwrap()
}

#[test]
fn a_server_answers_itself_through_its_listener() {
    let server = TestServer::start(Limits::default());
    let mut probe = probe_of(&server, None);
    assert_eq!(probe.settle(HANG).unwrap(), Answer::Status(200));
    assert_eq!(probe.ask(HANG).unwrap(), Answer::Status(200));
    assert_eq!(server.note(), Note::Called("/healthy".to_owned()));
    assert_eq!(server.handle.stats().accepted_total, 2);
    assert!(server.handle.moved_bytes() > 0);
}

#[test]
fn it_does_so_over_tls_and_where_clients_need_a_certificate() {
    let mut setup = Setup::new();
    let server = setup.start(Limits::default());
    let mut probe = probe_of(&server, Some(setup.tls()));
    assert_eq!(probe.settle(HANG).unwrap(), Answer::Status(200));

    setup.ask_clients(&Authority::new("clients"), ClientAuth::RequireAndVerify);
    let server = setup.start(Limits::default());
    let mut probe = probe_of(&server, Some(setup.tls()));
    let answer = probe.settle(HANG).unwrap();
    assert_eq!(answer, Answer::Alert);
    assert!(answer.is_served());
    // Once: each is a failed handshake, which is counted and logged.
    assert_eq!(probe.ask(HANG).unwrap(), Answer::Status(200));
    assert_eq!(server.handle.stats().handshakes_failed_total, 1);
}

#[test]
fn it_does_so_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let address = ListenAddress::Unix(folder.path().join("socket"));
    let app = Arc::new(App::silent().0);
    let server = Server::bind(&[address], Limits::default(), app).unwrap();
    let (handle, endpoints) = (server.handle(), server.local_endpoints());
    let thread = std::thread::spawn(move || server.run());
    let mut probe = Probe::new(handle.clone(), endpoints, "/").unwrap();
    assert_eq!(probe.settle(HANG).unwrap(), Answer::Status(200));
    assert_eq!(handle.stats().accepted_total, 1);
    handle.stop_now();
    thread.join().unwrap().unwrap();
}

/// In a network namespace of its own a process does not reach the socket that was handed to it.
#[test]
fn where_no_network_leads_to_a_listener_the_server_is_asked_directly() {
    let server = TestServer::start(Limits::default());
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let endpoint = Endpoint::from(ListenAddress::Tcp(nobody));
    let mut probe = Probe::new(server.handle.clone(), vec![endpoint], "/healthy").unwrap();
    assert_eq!(
        probe.ask(HANG).unwrap(),
        Answer::Status(200),
        "found out by itself"
    );
    assert_eq!(probe.settle(HANG).unwrap(), Answer::Status(200));
    assert_eq!(probe.ask(HANG).unwrap(), Answer::Status(200));
    server.assert_well();
}

#[test]
fn a_server_without_a_free_worker_does_not_answer_itself() {
    let server = TestServer::start(Limits {
        workers_max: 1,
        workers_min: 1,
        ..Limits::default()
    });
    let mut busy = server.connect();
    busy.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    server.note_of(|note| (note == Note::Called("/wait".to_owned())).then_some(()));
    let mut probe = probe_of(&server, None);
    let error = probe.ask(Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    server.gate.as_ref().unwrap().send(()).unwrap();
    assert_eq!(busy.response().text(), "waited");
    assert_eq!(probe.ask(HANG).unwrap(), Answer::Status(200));
}

/// Bytes count while a transfer goes on, not only when it is over.
#[test]
fn moving_bytes_are_seen() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\na");
    // What came with the head was read with it.
    assert_eq!(server.note(), Note::Called("/echo".to_owned()));
    let mut moved = 0;
    for byte in ["b", "c"] {
        client.send(byte);
        while server.handle.moved_bytes() == moved {
            std::thread::yield_now();
        }
        moved = server.handle.moved_bytes();
    }
    client.send("d");
    assert_eq!(client.response().text(), "abcd");
}

/// The kernel would report a listener for ever that somebody else holds open, and what waits in it
/// belongs to whoever serves next.
#[test]
fn a_listener_that_was_handed_over_outlives_the_server_with_what_waits_in_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = || {
        let handed = Handed::of(listener.try_clone().unwrap()).unwrap();
        let app = Arc::new(App::silent().0);
        let none: &[ListenAddress] = &[];
        let limits = Limits::default();
        let server = Server::bind_beside(vec![(handed, None)], none, limits, app).unwrap();
        assert_eq!(
            server.local_endpoints()[0].address,
            ListenAddress::Tcp(address)
        );
        let handle = server.handle();
        (handle, std::thread::spawn(move || server.run()))
    };
    let ask = || super::support::Client::connect(address);

    let (first, running) = serve();
    let mut client = ask();
    client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response().text(), "GET /a");
    let mut uploading = ask();
    uploading.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
    while first.stats().requests_active == 0 {
        std::thread::yield_now();
    }
    first.stop();
    assert_eq!(
        client.rest(),
        "",
        "an idle connection is closed: the stop has begun"
    );
    let mut early = ask();
    early.send("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    uploading.send("b");
    assert_eq!(uploading.response().text(), "ab");
    running.join().unwrap().unwrap();

    let (second, running) = serve();
    assert_eq!(early.response().text(), "GET /b");
    second.stop_now();
    running.join().unwrap().unwrap();
}
