//! Connections from request to request: keeping, pipelining, parking, HTTP/1.0, UNIX sockets.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use super::support::{App, Client, HANG, Note, TestServer};
use crate::http::{Limits, ListenAddress, Response, Server};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_connection_serves_request_after_request() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    for _ in 0..3 {
        client.send(GET);
        let answer = client.response();
        assert_eq!((answer.status, answer.text()), (200, "GET /a".to_owned()));
        assert_eq!(answer.header("Connection"), None);
        assert_eq!(answer.header("Date").map(str::len), Some(29));
    }
    assert_eq!(server.handle.stats().accepted_total, 1);
}

#[test]
fn a_parked_connection_is_found_again() {
    // Without lingering, each request comes by way of the dispatcher.
    let limits = Limits {
        linger_timeout: std::time::Duration::ZERO,
        ..Limits::default()
    };
    let server = TestServer::start(limits);
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for _ in 0..5 {
        for client in &mut clients {
            client.send(GET);
        }
        for client in &mut clients {
            assert_eq!(client.response().text(), "GET /a");
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start(Limits::default());
    let many: Vec<_> = (0..200)
        .map(|n| format!("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n{n:04}"))
        .collect();
    let mut client = server.connect();
    client.send(many.concat());
    for n in 0..200 {
        assert_eq!(client.response().text(), format!("{n:04}"));
    }
}

#[test]
fn a_client_that_pipelines_without_end_lets_others_in() {
    let limits = Limits {
        workers_min: 1,
        workers_max: 1,
        ..Limits::default()
    };
    let mut server = TestServer::start(limits);
    let mut greedy = server.connect();
    greedy.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + &GET.repeat(400));
    assert_eq!(server.note(), Note::Called("/wait".to_owned()));
    let mut other = server.connect();
    other.send("GET /other HTTP/1.1\r\nHost: h\r\n\r\n");
    while server.handle.stats().requests_waiting == 0 {
        std::thread::yield_now();
    }
    server.gate = None;
    assert_eq!(other.response().text(), "GET /other");
    let answers = greedy.rest();
    let answered = answers.matches("HTTP/1.1 200 OK").count();
    assert!(
        answered < 400 && answers.contains("Connection: close"),
        "{answered} answers"
    );
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    for byte in "\r\n\r\nGET /slow?x HTTP/1.1\r\nHost: h\r\n\r\n".bytes() {
        client.send([byte]);
    }
    assert_eq!(client.response().text(), "GET /slow?x");
}

#[test]
fn http_1_0_closes_unless_asked_to_stay() {
    let server = TestServer::start(Limits::default());
    let mut client = server.connect();
    client.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.response().header("Connection"), Some("keep-alive"));
    client.send("GET /b HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().header("Connection"), Some("close"));
    assert_eq!(client.rest(), "");
}

#[test]
fn client_and_handler_can_each_close() {
    let server = TestServer::start(Limits::default());
    for request in [
        "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "GET /close HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(request);
        client.send(GET);
        assert_eq!(client.response().header("Connection"), Some("close"));
        assert_eq!(client.rest(), "", "the second request is not answered");
    }
}

#[test]
fn a_half_closed_client_still_gets_its_answers() {
    let server = TestServer::start(Limits::default());
    let all = server.exchange([GET, GET].concat());
    assert_eq!(all.matches("HTTP/1.1 200 OK\r\n").count(), 2);
}

#[test]
fn connections_that_end_are_forgotten() {
    let server = TestServer::start(Limits::default());
    drop((0..50).map(|_| server.connect()).collect::<Vec<_>>());
    let mut client = server.connect();
    loop {
        client.send(GET);
        client.response();
        if server.handle.stats().connections == 1 {
            break;
        }
        std::thread::yield_now();
    }
}

#[test]
fn many_connections_at_once_are_all_served() {
    let server = TestServer::start(Limits {
        workers_max: 3,
        ..Limits::default()
    });
    let mut clients: Vec<_> = (0..300).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(GET);
    }
    for client in clients.iter_mut().rev() {
        assert_eq!(client.response().status, 200);
    }
    assert!(server.handle.stats().workers <= 3);
}

#[test]
fn workers_are_added_while_others_are_busy() {
    let server = TestServer::start(Limits {
        workers_min: 1,
        workers_max: 9,
        ..Limits::default()
    });
    let mut waiting: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut waiting {
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(server.note(), Note::Called("/wait".to_owned()));
    }
    server.assert_well();
    let stats = server.handle.stats();
    assert!(
        stats.requests_active >= 8 && stats.workers == 9,
        "{stats:?}"
    );
    for _ in 0..8 {
        server.gate.as_ref().unwrap().send(()).unwrap();
    }
    for client in &mut waiting {
        assert_eq!(client.response().text(), "waited");
    }
}

#[test]
fn idle_workers_end() {
    let limits = Limits {
        workers_min: 1,
        worker_idle_timeout: std::time::Duration::from_millis(20),
        ..Limits::default()
    };
    let mut server = TestServer::start(limits);
    let mut waiting: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for client in &mut waiting {
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(server.note(), Note::Called("/wait".to_owned()));
    }
    server.gate = None;
    for client in &mut waiting {
        client.response();
    }
    while server.handle.stats().workers > 1 {
        std::thread::yield_now();
    }
    server.assert_well();
}

fn ask_unix(path: &std::path::Path) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream
        .write_all(b"GET /u HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn unix_sockets_are_served_replaced_when_stale_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a socket that its owner left behind");
    let addresses = [
        ListenAddress::Unix(path.clone()),
        "127.0.0.1:0".parse().unwrap(),
    ];
    let (app, _notes) = App::silent();
    let app = Arc::new(app);
    let server = Server::bind(&addresses, Limits::default(), app.clone()).unwrap();
    let bound = server.local_endpoints();
    assert_eq!(bound[0].address, addresses[0]);
    let taken = Server::bind(&addresses[..1], Limits::default(), app).unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    assert!(taken.to_string().contains("s.sock"), "{taken}");
    let handle = server.handle();
    let thread = std::thread::spawn(move || server.run());
    assert!(ask_unix(&path).ends_with("\r\n\r\nGET /u"));
    let ListenAddress::Tcp(address) = bound[1].address else {
        panic!("{bound:?}")
    };
    let mut client = Client::connect(address);
    client.send(GET);
    assert_eq!(client.response().status, 200);
    handle.stop();
    thread.join().unwrap().unwrap();
    assert!(!path.exists(), "the socket is removed");
}

#[test]
fn a_file_that_is_no_socket_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let (app, _notes) = App::silent();
    let bound = Server::bind(
        &[ListenAddress::Unix(path.clone())],
        Limits::default(),
        Arc::new(app),
    );
    assert!(bound.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn a_response_can_be_made_and_asked_about() {
    let response = Response::new(404).header("A", "b").bytes("x");
    assert_eq!((response.status, response.body.length()), (404, 1));
}
