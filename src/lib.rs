//! Coracle: a container registry small enough to carry.
//!
//! The program is a thin user of this library: [`Coracle::open`] gives a registry that answers
//! requests with [`Coracle::handle`] or serves them with [`Coracle::bind`].
//!
//! ```
//! use coracle::config::Settings;
//! use coracle::http::{Body, Headers, Method, Request};
//!
//! let mut settings = Settings::default();
//! settings.storage.memory = true;
//! let coracle = coracle::Coracle::open(settings)?;
//! let mut request = Request::new(Method::Get, "/v2/", Headers::new(), Body::empty());
//! assert_eq!(coracle.handle(&mut request).status, 200);
//! # Ok::<(), coracle::serve::Error>(())
//! ```
//!
//! `ARCHITECTURE.md` has the map: the floors, the one rule, the walkthroughs.
#![forbid(unsafe_code)]

pub mod cli;
pub mod commands;
pub mod config;
pub mod exit;
pub mod progress;
pub mod serve;

pub mod api;

pub mod notify;

pub mod auth;
pub mod registry;

pub mod store;

pub mod clock;
mod der;
pub mod host;
pub mod metrics;
pub mod oci;

pub mod http;
pub mod logging;
pub mod systemd;

pub use serve::Coracle;
