//! A webhook's other end: takes deliveries over a raw socket, and answers as a test says, also not
//! at all.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::eventually;

/// How a delivery is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With this status and no body.
    Status(u16),
    /// With this status and this `Location`.
    Redirect(u16, String),
    /// With 200 and a body of so many bytes that never comes whole.
    Endless(usize),
    /// With the beginning of a head, after which the connection ends.
    Half,
    /// Not at all: the connection ends.
    Close,
    /// Not at all: the connection stays as long as the receiver.
    Stall,
}

/// What arrived, and how it was answered.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Method and path.
    pub line: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// How it was answered.
    pub answer: Answer,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

impl Delivery {
    /// The value of a header that was sent once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(own, _)| own == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} was sent twice: {self:?}");
        value
    }

    /// The events of the body.
    pub fn events(&self) -> Vec<Value> {
        let body: Value = serde_json::from_slice(&self.body).expect("a body of JSON");
        body["events"].as_array().expect("events").clone()
    }

    fn was_taken(&self) -> bool {
        matches!(self.answer, Answer::Status(200..=299) | Answer::Endless(_))
    }
}

struct Shared {
    received: Mutex<Vec<Delivery>>,
    script: Mutex<VecDeque<Answer>>,
    always: Mutex<Answer>,
    open: Mutex<Vec<TcpStream>>,
    over: AtomicBool,
    tls: Option<Arc<ServerConfig>>,
}

/// The other end. Dropping it ends all connections.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// One that takes everything.
    pub fn new() -> Receiver {
        Receiver::with(None)
    }

    /// The same over TLS.
    pub fn tls(config: Arc<ServerConfig>) -> Receiver {
        Receiver::with(Some(config))
    }

    fn with(tls: Option<Arc<ServerConfig>>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            script: Mutex::default(),
            always: Mutex::new(Answer::Status(200)),
            open: Mutex::default(),
            over: AtomicBool::new(false),
            tls,
        });
        let mut receiver = Receiver {
            address: listener.local_addr().expect("an address"),
            shared,
            thread: None,
        };
        receiver.accept(listener);
        receiver
    }

    fn accept(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        self.thread = Some(thread::spawn(move || {
            for (stream, number) in listener.incoming().zip(0..) {
                if shared.over.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&shared)) else {
                    continue;
                };
                if let Ok(own) = stream.try_clone() {
                    shared.open.lock().unwrap().push(own);
                }
                // It ends with its connection, at the latest with the receiver.
                thread::spawn(move || serve(&shared, stream, number));
            }
        }));
    }

    /// Its address.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    /// Answers the next deliveries so, and those behind them as always.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.script.lock().unwrap().extend(answers);
    }

    /// Answers all deliveries so for which nothing else was said.
    pub fn always(&self, answer: Answer) {
        *self.shared.always.lock().unwrap() = answer;
    }

    /// Is gone: nobody listens at its address.
    pub fn disappear(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            // Wakes it.
            let _ = TcpStream::connect(self.address);
            thread.join().expect("the receiver's thread");
        }
    }

    /// Is back at the same address.
    pub fn come_back(&mut self) {
        self.shared.over.store(false, Ordering::Release);
        let listener = eventually("the port is free again", || {
            TcpListener::bind(self.address).ok()
        });
        self.accept(listener);
    }

    /// Everything that arrived, in its order, however it was answered.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Returns once so many deliveries have arrived.
    #[track_caller]
    pub fn wait_for_deliveries(&self, count: usize) -> Vec<Delivery> {
        eventually("deliveries arrive", || {
            Some(self.deliveries()).filter(|all| all.len() >= count)
        })
    }

    /// The events of all deliveries that were taken.
    pub fn events(&self) -> Vec<Value> {
        let deliveries = self.deliveries();
        let taken = deliveries.iter().filter(|own| own.was_taken());
        taken.flat_map(Delivery::events).collect()
    }

    /// The events that were taken, once there are so many.
    #[track_caller]
    pub fn wait_for_events(&self, count: usize) -> Vec<Value> {
        eventually("events arrive", || {
            Some(self.events()).filter(|all| all.len() >= count)
        })
    }

    /// Forgets what has arrived.
    pub fn forget(&self) {
        self.shared.received.lock().unwrap().clear();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.disappear();
    }
}

fn serve(shared: &Shared, stream: TcpStream, number: usize) {
    let own = stream.try_clone();
    // Whoever closes a connection in the middle is part of the tests.
    let _ = match &shared.tls {
        None => converse(shared, stream, number),
        Some(config) => match ServerConnection::new(Arc::clone(config)) {
            Ok(connection) => converse(shared, StreamOwned::new(connection, stream), number),
            Err(error) => panic!("{error}"),
        },
    };
    if let Ok(own) = own {
        let _ = own.shutdown(Shutdown::Both);
    }
}

fn converse(shared: &Shared, stream: impl Read + Write, number: usize) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some((line, headers)) = read_head(&mut stream)? {
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.map_or(0, |(_, value)| value.parse().expect("a length"));
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let answer = shared.script.lock().unwrap().pop_front();
        let answer = answer.unwrap_or_else(|| shared.always.lock().unwrap().clone());
        shared.received.lock().unwrap().push(Delivery {
            line,
            headers,
            body,
            answer: answer.clone(),
            connection: number,
        });
        let out = stream.get_mut();
        match answer {
            Answer::Status(status) => {
                write!(out, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")?;
            }
            Answer::Redirect(status, to) => write!(
                out,
                "HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
            )?,
            Answer::Endless(length) => {
                write!(out, "HTTP/1.1 200 X\r\nContent-Length: {length}\r\n\r\nabc")?;
                out.flush()?;
                return Ok(());
            }
            Answer::Half => {
                write!(out, "HTTP/1.1 200 X\r\nContent-Le")?;
                out.flush()?;
                return Ok(());
            }
            Answer::Close => return Ok(()),
            Answer::Stall => {}
        }
        out.flush()?;
    }
    Ok(())
}

/// The next request's line and headers; `None` at the end.
#[expect(clippy::type_complexity, reason = "read where it is called")]
fn read_head(stream: &mut impl BufRead) -> io::Result<Option<(String, Vec<(String, String)>)>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut field = String::new();
        stream.read_line(&mut field)?;
        let Some((name, value)) = field.trim_end().split_once(':') else {
            return Ok(Some((line.trim_end().to_owned(), headers)));
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}
