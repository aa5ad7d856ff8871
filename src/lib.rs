//! Coracle: a container registry small enough to carry.
#![forbid(unsafe_code)]

pub mod clock;
pub mod oci;
pub mod store;
