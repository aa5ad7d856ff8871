//! A running server with a small application, and a client that sends exactly what it is told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ClientConnection;

use crate::http::tls::Tls;
use crate::http::{
    BodyError, Endpoint, Handler, Limits, ListenAddress, Refusal, Request, Response, ResponseBody,
    Sent, Server, ServerHandle,
};

/// A test that waits this long has hung. Nothing is measured by it.
pub(super) const HANG: Duration = Duration::from_secs(60);

/// What the test application noted, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    /// A handler was called for this path.
    Called(String),
    /// Reading a body ended so.
    Body(Result<u64, BodyError>),
    /// A response with this status was sent, or cut off.
    Sent {
        status: u16,
        complete: bool,
        bytes_out: u64,
    },
}

/// An application for tests: what it does is in the path.
pub(super) struct App {
    notes: Mutex<Sender<Note>>,
    /// Requests to `/wait` return once a message comes, or its sender is gone.
    gate: Mutex<Receiver<()>>,
}

impl App {
    /// One for a server that the test makes itself.
    pub(super) fn silent() -> (Self, Receiver<Note>) {
        let (notes_in, notes) = channel();
        let gate = Mutex::new(channel().1);
        (
            Self {
                notes: Mutex::new(notes_in),
                gate,
            },
            notes,
        )
    }

    fn note(&self, note: Note) {
        // A test that looks at no notes has dropped their receiver.
        let _ = self.notes.lock().unwrap().send(note);
    }

    fn noting(&self, response: Response) -> Response {
        let notes = self.notes.lock().unwrap().clone();
        response.on_sent(move |sent: &Sent| {
            let Sent {
                status,
                complete,
                bytes_out,
                ..
            } = *sent;
            let _ = notes.send(Note::Sent {
                status,
                complete,
                bytes_out,
            });
        })
    }

    fn echo(&self, request: &mut Request<'_>) -> Response {
        let body = request.body.read_to_vec(64 << 20);
        self.note(Note::Body(
            body.as_ref()
                .map(|bytes| bytes.len() as u64)
                .map_err(|e| *e),
        ));
        match body {
            Ok(bytes) => Response::new(200).bytes(bytes),
            Err(BodyError::TooLarge { .. }) => Response::new(413),
            Err(_) => Response::new(400),
        }
    }

    fn answer(&self, request: &mut Request<'_>) -> Response {
        let path = request.path.clone();
        let number = |prefix: &str| {
            path.strip_prefix(prefix)
                .and_then(|n| n.parse::<u64>().ok())
        };
        if let Some(limit) = number("/echo-at-most/") {
            request.body.set_limit(limit);
            return self.echo(request);
        }
        if let Some(length) = number("/bytes/") {
            return Response::new(200).bytes(pattern(usize::try_from(length).unwrap()));
        }
        match path.as_str() {
            "/echo" => self.echo(request),
            "/wait" => {
                let _ = self.gate.lock().unwrap().recv();
                Response::new(200).bytes("waited")
            }
            "/panic" => panic!("a handler that panics on purpose"),
            "/close" => Response {
                close: true,
                ..Response::new(200).bytes("bye")
            },
            "/no-content" => Response::new(204),
            "/not-modified" => Response::new(304).header("ETag", "\"x\""),
            "/inject" => Response::new(200)
                .header("X-Bad", "a\r\nSet-Cookie: b\0")
                .header("Content-Length", "77")
                .header("Transfer-Encoding", "chunked"),
            "/short-reader" => Response::new(200).body(ResponseBody::Reader {
                reader: Box::new(&b"abc"[..]),
                length: 9,
            }),
            "/reader" => Response::new(200).body(ResponseBody::Reader {
                reader: Box::new(&b"abcdef"[..]),
                length: 4,
            }),
            "/length-only" => Response::new(200).body(ResponseBody::LengthOnly { length: 12345 }),
            _ => Response::new(200).bytes(format!("{} {}", request.method, request.target())),
        }
    }
}

impl Handler for App {
    fn handle(&self, request: &mut Request<'_>) -> Response {
        self.note(Note::Called(request.path.clone()));
        let response = self.answer(request);
        self.noting(response)
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        self.noting(refusal.response().header("X-Refused", "yes"))
    }
}

/// Bytes of which each part differs from its neighbours.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| ((index % 251) ^ (index / 65_536 % 256)).to_le_bytes()[0])
        .collect()
}

/// A running server, which is stopped when it goes out of scope.
pub(super) struct TestServer {
    pub(super) address: SocketAddr,
    pub(super) handle: ServerHandle,
    pub(super) notes: Receiver<Note>,
    /// Lets one `/wait` return a message; all when dropped.
    pub(super) gate: Option<Sender<()>>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl TestServer {
    pub(super) fn start(limits: Limits) -> Self {
        let (notes_in, notes) = channel();
        let (gate_in, gate) = channel();
        let app = App {
            notes: Mutex::new(notes_in),
            gate: Mutex::new(gate),
        };
        Self::start_with(limits, Arc::new(app), notes, gate_in)
    }

    pub(super) fn start_handler(limits: Limits, handler: Arc<dyn Handler>) -> Self {
        Self::start_with(limits, handler, channel().1, channel().0)
    }

    fn start_with(
        limits: Limits,
        handler: Arc<dyn Handler>,
        notes: Receiver<Note>,
        gate: Sender<()>,
    ) -> Self {
        Self::start_at(None, limits, handler, notes, gate)
    }

    /// With the test application, over TLS.
    pub(super) fn start_tls(limits: Limits, tls: Arc<Tls>) -> Self {
        let (notes_in, notes) = channel();
        let (gate_in, gate) = channel();
        let app = App {
            notes: Mutex::new(notes_in),
            gate: Mutex::new(gate),
        };
        Self::start_at(Some(tls), limits, Arc::new(app), notes, gate_in)
    }

    /// With this handler, over TLS.
    pub(super) fn start_tls_handler(tls: Arc<Tls>, handler: Arc<dyn Handler>) -> Self {
        Self::start_at(
            Some(tls),
            Limits::default(),
            handler,
            channel().1,
            channel().0,
        )
    }

    fn start_at(
        tls: Option<Arc<Tls>>,
        limits: Limits,
        handler: Arc<dyn Handler>,
        notes: Receiver<Note>,
        gate: Sender<()>,
    ) -> Self {
        let any = Endpoint {
            address: ListenAddress::Tcp(([127, 0, 0, 1], 0).into()),
            tls,
        };
        let server = Server::bind(&[any], limits, handler).unwrap();
        let ListenAddress::Tcp(address) = server.local_endpoints()[0].address.clone() else {
            panic!("a TCP address was asked for");
        };
        let handle = server.handle();
        let thread = Some(std::thread::spawn(move || server.run()));
        Self {
            address,
            handle,
            notes,
            gate: Some(gate),
            thread,
        }
    }

    pub(super) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// A connection from another address of the loopback network.
    pub(super) fn connect_from(&self, address: [u8; 4]) -> Client {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddr::from((address, 0))).unwrap();
        connect(&socket, &self.address).unwrap();
        Client::of(TcpStream::from(socket))
    }

    /// Sends `bytes` on a new connection, which is then half closed, and gives all that came.
    pub(super) fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.send(bytes);
        client.finish();
        client.rest()
    }

    /// The next note.
    pub(super) fn note(&self) -> Note {
        self.notes.recv_timeout(HANG).unwrap()
    }

    /// The next note that `choose` takes.
    pub(super) fn note_of<T>(&self, mut choose: impl FnMut(Note) -> Option<T>) -> T {
        loop {
            if let Some(chosen) = choose(self.note()) {
                return chosen;
            }
        }
    }

    /// Waits until the server has returned.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }

    /// The server answers as it should: nothing that happened before has hurt it.
    pub(super) fn assert_well(&self) {
        assert_well_for(self.connect());
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.gate = None;
        self.handle.stop_now();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                std::thread::panicking() || matches!(ended, Ok(Ok(()))),
                "the server failed"
            );
        }
    }
}

/// A response as a client sees it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// One connection to the server.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    /// Where the connection is encrypted.
    pub(super) tls: Option<Box<ClientConnection>>,
    /// Whether it ended without a word that it would.
    pub(super) is_truncated: bool,
    /// What was read and not yet looked at.
    ahead: Vec<u8>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).unwrap())
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_write_timeout(Some(HANG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            tls: None,
            is_truncated: false,
            ahead: Vec::new(),
        }
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// As [`Client::send`], where the server may have closed the connection.
    pub(super) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        match &mut self.tls {
            Some(tls) => {
                let mut stream = rustls::Stream::new(&mut **tls, &mut self.stream);
                stream.write_all(bytes.as_ref())?;
                stream.flush()
            }
            None => self.stream.write_all(bytes.as_ref()),
        }
    }

    /// Says that nothing more will be sent.
    pub(super) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// As [`Client::finish`], where the server may have closed the connection.
    pub(super) fn finish_if_open(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads some bytes; false at the end of the connection, however it ended.
    fn read_more(&mut self) -> bool {
        let mut bytes = vec![0; 65_536];
        let read = match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).read(&mut bytes),
            None => self.stream.read(&mut bytes),
        };
        match read {
            Ok(0) => false,
            Ok(count) => {
                self.ahead.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.is_truncated = true;
                false
            }
            Err(error) => panic!("reading from the server: {error}"),
        }
    }

    /// Reads a head, up to and with its empty line.
    pub(super) fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.ahead.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(
                self.read_more(),
                "no head, but: {:?}",
                String::from_utf8_lossy(&self.ahead)
            );
        }
    }

    /// Whether anything comes before the end of the connection, also where that is an alert.
    pub(super) fn is_answered(&mut self) -> bool {
        let Some(tls) = &mut self.tls else {
            return self.read_more();
        };
        let mut byte = [0];
        rustls::Stream::new(&mut **tls, &mut self.stream)
            .read(&mut byte)
            .is_ok_and(|count| count > 0)
    }

    /// Reads a response to anything but a HEAD.
    pub(super) fn response(&mut self) -> Answer {
        let mut answer = self.response_to_head();
        let length = answer
            .header("Content-Length")
            .map_or(0, |text| text.parse().unwrap());
        while self.ahead.len() < length {
            assert!(
                self.read_more(),
                "the body ended after {} bytes",
                self.ahead.len()
            );
        }
        answer.body = self.ahead.drain(..length).collect();
        answer
    }

    /// Reads a response that has no body.
    pub(super) fn response_to_head(&mut self) -> Answer {
        let head = self.head();
        let status = head
            .get(9..12)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0);
        Answer {
            status,
            head,
            body: Vec::new(),
        }
    }

    /// All that comes until the connection ends.
    pub(super) fn rest(&mut self) -> String {
        String::from_utf8_lossy(&self.rest_bytes()).into_owned()
    }

    /// As [`Client::rest`], as bytes.
    pub(super) fn rest_bytes(&mut self) -> Vec<u8> {
        while self.read_more() {}
        std::mem::take(&mut self.ahead)
    }
}

/// A refusal with 503, after which the connection is closed.
pub(super) fn assert_busy(client: &mut Client) {
    let answer = client.response();
    assert_eq!(
        (answer.status, answer.header("Retry-After")),
        (503, Some("1"))
    );
    assert_eq!(answer.header("X-Refused"), Some("yes"));
    assert_eq!(client.rest(), "");
}

/// As [`TestServer::assert_well`], to this client.
pub(super) fn assert_well_for(mut client: Client) {
    client.send("GET /well HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.response();
    assert_eq!(
        (answer.status, answer.text()),
        (200, "GET /well".to_owned())
    );
}
