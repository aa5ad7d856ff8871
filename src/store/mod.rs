//! State: the catalog (rows, in SQLite), the blobs (bytes, in files), and copies of both.
//!
//! The two halves do not know each other. What joins them is [`proof`]: the values that only
//! the blob store can make and without which the catalog writes no blob row. No rule of the
//! registry lives here, and no word of HTTP.

pub mod backup;
pub mod blobs;
pub mod catalog;
pub mod content;
mod error;
pub mod folder;
pub mod layout;
pub mod locks;
pub mod look;
pub mod measure;
pub mod proof;
pub mod space;
pub mod token_key;

pub use error::{Error, ErrorKind};
pub use proof::{Shard, StagedBlob, StoredBlob};
