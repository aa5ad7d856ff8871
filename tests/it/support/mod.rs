//! The harness: starts the real program, talks to it, and makes images to push.
//!
//! It holds none of the code under test: digests, manifests and HTTP are written a second time
//! here, so that a mistake in the registry cannot hide behind the same mistake in its test.
//!
//! - [`Server`] runs `coracle serve` on a free port in a fresh folder, and ends with its owner.
//! - [`Client`] sends any bytes over a raw socket and reads responses strictly.
//! - [`image`] builds blobs, manifests, indexes and artifacts from a seed, and pushes them.
//! - [`for_each_shape`] runs one test against every kind of server.

mod client;
mod config;
pub mod disk;
pub mod exposition;
pub mod image;
pub mod ops;
pub mod program;
mod pushers;
pub mod receiver;
mod response;
mod server;
pub mod session;
mod tests;
pub mod tls;
mod wait;

pub use client::Client;
pub use config::{
    ConfigFile, Configured, ONLY_FILES, SOME_FILES, for_each_open_shape, for_each_shape,
    for_each_shape_configured, start_configured,
};
pub use pushers::Pushers;
pub use response::Response;
#[allow(unused_imports, reason = "a vocabulary, as main.rs says")]
pub use server::{ADA, HTPASSWD, Server, check_clean, coracle};
pub use wait::eventually;
