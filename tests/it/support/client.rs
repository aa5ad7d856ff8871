//! A raw HTTP/1.1 client: sends any bytes, keeps its connection, reads responses strictly.
//!
//! It never retries and never follows a redirect: what a test sends is what the server sees.

use super::Response;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::fmt::Write as _;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// How long a read or a write may stand still before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection to a server, opened when it is needed and kept while the server keeps it.
pub struct Client {
    url: String,
    headers: Vec<(String, String)>,
    stream: Option<BufReader<Socket>>,
    /// The server has said that it closes this connection: the next request opens another.
    closing: bool,
    /// The head of the last request that was sent, for messages of failure.
    request: String,
    /// How TLS is spoken, and the name that is asked for.
    tls: Option<(Arc<ClientConfig>, String)>,
}

enum Socket {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Unix(UnixStream),
}

impl Client {
    /// A client of the server at `http://host:port` or `unix:/path`.
    pub fn new(url: &str) -> Client {
        Client {
            url: url.to_owned(),
            headers: Vec::new(),
            stream: None,
            closing: false,
            request: String::new(),
            tls: None,
        }
    }

    /// Speaks TLS with a server at `https://host:port`, asking for `name`.
    pub fn with_tls(mut self, config: &Arc<ClientConfig>, name: &str) -> Client {
        self.tls = Some((Arc::clone(config), name.to_owned()));
        self
    }

    /// The state of TLS on the connection that is open.
    #[track_caller]
    pub fn tls(&self) -> &ClientConnection {
        match self.stream.as_ref().map(BufReader::get_ref) {
            Some(Socket::Tls(stream)) => &stream.conn,
            _ => panic!("no TLS connection is open"),
        }
    }

    /// Opens the connection, with its handshake.
    pub fn try_connect(&mut self) -> io::Result<()> {
        self.stream().map(drop)
    }

    /// Adds a header to every request that is made by method (`get`, `put`, …).
    pub fn with_header(mut self, name: &str, value: &str) -> Client {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// GET.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, &[], None)
    }

    /// HEAD.
    #[track_caller]
    pub fn head(&mut self, path: &str) -> Response {
        self.request("HEAD", path, &[], None)
    }

    /// DELETE.
    #[track_caller]
    pub fn delete(&mut self, path: &str) -> Response {
        self.request("DELETE", path, &[], None)
    }

    /// POST with a body (`Content-Length` is always sent).
    #[track_caller]
    pub fn post(&mut self, path: &str, body: impl AsRef<[u8]>) -> Response {
        self.request("POST", path, &[], Some(body.as_ref()))
    }

    /// PUT with a body.
    #[track_caller]
    pub fn put(&mut self, path: &str, body: impl AsRef<[u8]>) -> Response {
        self.request("PUT", path, &[], Some(body.as_ref()))
    }

    /// PATCH with a body.
    #[track_caller]
    pub fn patch(&mut self, path: &str, body: impl AsRef<[u8]>) -> Response {
        self.request("PATCH", path, &[], Some(body.as_ref()))
    }

    /// Any request with extra headers; a body brings its `Content-Length`.
    #[track_caller]
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Response {
        let length = body.map(|body| body.len().to_string());
        let length = length.as_deref().map(|length| ("Content-Length", length));
        let headers: Vec<_> = headers.iter().copied().chain(length).collect();
        self.send_head(method, path, &headers);
        // A server may answer and close before it has read the body: its answer is what counts.
        let _ = self.try_send(body.unwrap_or_default());
        self.receive()
    }

    /// A request whose body goes out in these chunks with `Transfer-Encoding: chunked`.
    #[track_caller]
    pub fn request_chunked(&mut self, method: &str, path: &str, chunks: &[&[u8]]) -> Response {
        self.send_head(method, path, &[("Transfer-Encoding", "chunked")]);
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
            let _ = self.try_send(&framed);
        }
        let _ = self.try_send(b"0\r\n\r\n");
        self.receive()
    }

    /// Sends a request's head only; its body goes with [`Client::send`].
    #[track_caller]
    pub fn send_head(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host());
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        self.expect_nothing_unread();
        self.send(head.as_bytes());
        self.request = head;
    }

    /// Sends exactly these bytes. Call [`Client::about`] first if a failure should name them.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes)
            .unwrap_or_else(|e| panic!("send to {}: {e}", self.url));
    }

    /// Sends exactly these bytes, or says why that was not possible.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let socket = self.stream()?.get_mut();
        socket.write_all(bytes)?;
        socket.flush()
    }

    /// Names what the next response answers, where no request was sent by method. A name that
    /// starts with `HEAD ` makes the client expect no body.
    pub fn about(&mut self, request: &str) {
        request.clone_into(&mut self.request);
    }

    /// Tells the server that nothing more will be sent.
    #[track_caller]
    pub fn finish_sending(&mut self) {
        let stream = self.stream().expect("connect");
        stream
            .get_mut()
            .shutdown(Shutdown::Write)
            .expect("shut down the sending half");
    }

    /// Reads one response.
    #[track_caller]
    pub fn receive(&mut self) -> Response {
        let request = self.request.clone();
        self.try_receive()
            .unwrap_or_else(|e| panic!("no response: {e}\n--- request\n{request}"))
    }

    /// Waits for `100 Continue`: the server has begun to read the body of a request whose head
    /// was sent with `Expect: 100-continue`.
    #[track_caller]
    pub fn receive_continue(&mut self) {
        let mut bytes = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        let stream = self.stream.as_mut().expect("a connection");
        let outcome = stream.read_exact(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        assert!(outcome.is_ok(), "{outcome:?} instead of 100: {text}");
        assert_eq!(text, "HTTP/1.1 100 Continue\r\n\r\n", "{}", self.request);
    }

    /// Reads one response, or says why there is none.
    pub fn try_receive(&mut self) -> io::Result<Response> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let result = Response::read(stream, &self.request);
        match &result {
            Ok(response) => {
                let connection = response.headers("connection");
                self.closing = connection
                    .iter()
                    .any(|value| value.eq_ignore_ascii_case("close"));
            }
            Err(_) => self.stream = None,
        }
        result
    }

    /// Waits for the server to close the connection; fails if it sends a byte instead.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let mut stream = self
            .stream
            .take()
            .expect("a connection that the server can close");
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => assert!(
                rest.is_empty(),
                "more came: {}",
                String::from_utf8_lossy(&rest)
            ),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::ConnectionReset, "{e}"),
        }
    }

    /// Closes the connection at once, in the middle of whatever is under way.
    pub fn disconnect(&mut self) {
        self.stream = None;
    }

    /// Whether the connection is still good for another request, as far as responses have said.
    pub fn is_kept_alive(&self) -> bool {
        self.stream.is_some() && !self.closing
    }

    fn host(&self) -> &str {
        let host = self.url.strip_prefix("http://");
        host.or_else(|| self.url.strip_prefix("https://"))
            .unwrap_or("localhost")
    }

    /// Bytes beyond the last response (a body after HEAD, say) would be taken for the next one.
    #[track_caller]
    fn expect_nothing_unread(&self) {
        let unread = self.stream.as_ref().map_or(&[][..], BufReader::buffer);
        let text = String::from_utf8_lossy(unread);
        assert!(
            unread.is_empty(),
            "never read, after\n{}\n---\n{text}",
            self.request
        );
    }

    fn stream(&mut self) -> io::Result<&mut BufReader<Socket>> {
        if !self.is_kept_alive() {
            self.stream = Some(BufReader::new(Socket::connect(
                &self.url,
                self.tls.as_ref(),
            )?));
            self.closing = false;
        }
        Ok(self.stream.as_mut().expect("it was just put there"))
    }
}

impl Socket {
    fn connect(url: &str, tls: Option<&(Arc<ClientConfig>, String)>) -> io::Result<Socket> {
        if let Some(path) = url.strip_prefix("unix:") {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            return Ok(Socket::Unix(stream));
        }
        let host = url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host.trim_start_matches("https://"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let Some((config, name)) = tls else {
            return Ok(Socket::Tcp(stream));
        };
        let name = ServerName::try_from(name.clone()).map_err(io::Error::other)?;
        let mut connection =
            ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Socket::Tls(Box::new(StreamOwned::new(connection, stream))))
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.shutdown(how),
            Socket::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.conn.write_tls(&mut stream.sock)?;
                stream.sock.shutdown(how)
            }
            Socket::Unix(stream) => stream.shutdown(how),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buffer),
            Socket::Tls(stream) => stream.read(buffer),
            Socket::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Tls(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Tls(stream) => stream.flush(),
            Socket::Tcp(_) | Socket::Unix(_) => Ok(()),
        }
    }
}
