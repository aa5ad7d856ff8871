//! Many connections from one thread: for requests so small that a thread per client would spend
//! the processor on switching instead of leaving it to the server.
//!
//! Each connection always has exactly one request under way, like a client that waits.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::Outcome;
use crate::client::{Head, request};
use crate::load::Repeated;

/// A server that answers none of the connections for this long has failed its row.
const SILENCE_MAX: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};
/// Room for an answer to a small request.
const BUFFER_BYTES: usize = 64 * 1024;

/// One client: a connection, what it has received, and which request is under way.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Target {
    /// Path and query.
    pub path: String,
    /// Complete header lines of its own.
    pub fields: String,
}

impl Target {
    /// One without header lines of its own.
    pub fn plain(path: String) -> Self {
        let fields = String::new();
        Self { path, fields }
    }
}

/// Asks `targets` in turn on `clients` connections for `window`, each answer's status being
/// `status`, and counts the answers.
pub fn flood(
    address: SocketAddr,
    clients: usize,
    window: Duration,
    method: &str,
    targets: &[Target],
    status: u16,
) -> Outcome<Repeated> {
    let requests: Vec<Vec<u8>> = targets
        .iter()
        .map(|target| request(method, &target.path, address, &target.fields).into_bytes())
        .collect();
    let mut clients = (0..clients)
        .map(|_| Client::open(address))
        .collect::<Outcome<Vec<_>>>()?;
    let mut asked = 0;
    let started = Instant::now();
    for client in &mut clients {
        client.stream.write_all(&requests[asked % requests.len()])?;
        asked += 1;
    }
    let mut done = 0;
    while started.elapsed() < window {
        for index in ready(&clients)? {
            if clients[index].receive(method, status)? {
                done += 1;
                clients[index]
                    .stream
                    .write_all(&requests[asked % requests.len()])?;
                asked += 1;
            }
        }
    }
    Ok(Repeated {
        done,
        took: started.elapsed(),
    })
}

/// Indexes of the clients that have bytes to read; waits for at least one.
fn ready(clients: &[Client]) -> Outcome<Vec<usize>> {
    let mut watched: Vec<PollFd<'_>> = clients
        .iter()
        .map(|client| PollFd::new(&client.stream, PollFlags::IN))
        .collect();
    if poll(&mut watched, Some(&SILENCE_MAX))? == 0 {
        return Err("no connection was answered for 30 s".into());
    }
    let indexes = watched
        .iter()
        .enumerate()
        .filter(|(_, it)| !it.revents().is_empty());
    Ok(indexes.map(|(index, _)| index).collect())
}

impl Client {
    fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
        })
    }

    /// Reads what is there; `true` when the answer is complete.
    fn receive(&mut self, method: &str, status: u16) -> Outcome<bool> {
        let read = self.stream.read(&mut self.buffer[self.filled..])?;
        if read == 0 {
            return Err("the server closed a connection that had a request under way".into());
        }
        self.filled += read;
        let Some(head) = Head::parse(&self.buffer[..self.filled])? else {
            return Ok(false);
        };
        if head.status != status {
            return Err(format!("{method} answered {} instead of {status}", head.status).into());
        }
        let whole = head.length as u64 + head.body_bytes(method);
        if (self.filled as u64) < whole {
            return Ok(false);
        }
        self.filled = 0;
        Ok(true)
    }
}
