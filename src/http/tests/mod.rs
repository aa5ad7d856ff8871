//! The server under real sockets on loopback, and its parsers alone. Timeouts are made small
//! where a test waits for one to strike; no test judges how long anything took.

mod bodies;
mod connections;
mod faults;
mod framing;
mod grammar;
mod heads;
mod limits;
mod own;
mod sending;
mod stopping;
mod support;
mod tls;
mod tls_clients;
mod tls_hostile;
mod tls_support;
mod turns;
