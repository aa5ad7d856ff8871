//! Coracle: a container registry small enough to carry.
#![forbid(unsafe_code)]

pub mod http;
pub mod oci;
pub mod store;
