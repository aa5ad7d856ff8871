//! The programs that people push and pull with, against the real registry: one file a program.
//!
//! Each test has its own server and its own sandbox, in which the program keeps all of its state;
//! daemons run one at a time. Where a program is missing, or the machine does not let it work,
//! the test says so on stderr and passes, unless `CORACLE_CLIENTS=required`: then it fails.
//! After each test `coracle check --deep` has to find nothing wrong in the server's folder.

mod accounts;
mod buildah;
mod containerd;
mod daemon;
mod docker;
mod payload;
mod podman;
mod sandbox;
mod skopeo;
mod tls;
mod tree;
mod umoci;

use daemon::Daemon;
use sandbox::Sandbox;
pub use sandbox::require;
