//! Coracle: a container registry small enough to carry.
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod exit;
pub mod http;
pub mod logging;
pub mod oci;
pub mod progress;
pub mod store;
