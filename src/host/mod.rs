//! What this machine tells about itself: mounts, listening sockets, limits, names of users, what
//! this process uses.
//!
//! Only reads, mostly below `/proc`, and what cannot be read is not known: nothing here fails. No
//! word of the registry, and no opinion about what is found.

pub mod limits;
pub mod mounts;
pub mod ports;
pub mod usage;
pub mod users;

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The most bytes that are read of one file: thousands of mounts or sockets.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The text of a file of the kernel or of the system, at most [`FILE_BYTES_MAX`] of it.
fn read(path: impl AsRef<Path>) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What this machine calls itself.
pub fn name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
