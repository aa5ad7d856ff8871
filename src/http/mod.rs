//! A generic, synchronous HTTP/1.1 server: sockets, framing, limits, timeouts, bodies.
//!
//! One dispatcher thread owns the listeners and every connection that is waiting; a connection
//! with bytes to read goes to a worker thread, which reads the head, calls the [`Handler`],
//! streams the bodies with blocking I/O and hands the connection back. So an idle connection
//! costs a file descriptor and a few hundred bytes, never a thread or a buffer.
//!
//! It knows no word of the application above it: no route, no error body, no media type.
//! What it refuses itself (a malformed head, a full queue) it asks the handler to phrase.
//!
//! - [`head`], [`chunked`], [`range`], [`percent`], [`date`]: pure functions over bytes.
//! - [`Request`], [`Body`], [`Response`], [`Handler`]: what the application sees.
//! - [`tls`]: certificates, keys, and who clients are.
//! - [`Server`], [`ServerHandle`], [`Limits`], [`ListenAddress`]: what the process wires up.

mod accept;
mod asked;
mod body;
mod body_state;
mod buffer;
pub mod chunked;
pub mod client;
mod datagram;
pub mod date;
mod dispatcher;
mod handed;
mod handler;
mod handshake;
pub mod head;
mod headers;
mod limits;
mod listen;
mod pace;
pub mod percent;
mod pool;
mod probe;
pub mod range;
mod reply;
mod request;
mod response;
mod scan;
mod send;
mod serve;
mod server;
mod share;
mod shared;
mod shed;
mod status;
mod stop;
mod stream;
mod table;
pub mod tls;
pub mod trace;
mod wire;

#[cfg(test)]
mod tests;

pub use body::{Body, BodyError};
pub use datagram::Datagram;
pub use handed::Handed;
pub use handler::{Handler, Refusal};
pub use headers::Headers;
pub use limits::Limits;
pub use listen::{Endpoint, Listen, ListenAddress, ListenAddressError, Scheme, try_tcp};
pub use probe::{Answer, Probe};
pub use request::{Method, Peer, Request};
pub use response::{OnSent, Response, ResponseBody, Sent, Text};
pub use server::{Server, ServerHandle, Stats};
pub use shed::Shed;
pub use status::reason;
