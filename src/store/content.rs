//! Where the bytes of a row are: with it in the catalog, or in a file of the blob store.
//!
//! The row says which. These are the only questions whose answer depends on it, so whoever asks
//! them here need not know the two forms.

use std::sync::Arc;

use super::Error;
use super::blobs::{BlobReader, BlobStore, Opened};
use super::catalog::BlobRow;
use crate::oci::Digest;

/// Length of the bytes that stand for a row; `None` when there are none.
///
/// # Errors
/// A failed look-up of a file.
pub fn size(blobs: &dyn BlobStore, digest: &Digest, row: &BlobRow) -> Result<Option<u64>, Error> {
    match row.inline {
        Some(length) => Ok(Some(length)),
        None => blobs.size(digest),
    }
}

/// Opens the bytes of a row, checking that they have the length that it says; `inline` are those
/// that the catalog gave with it.
///
/// # Errors
/// A failed open of a file that is not a plain absence.
pub fn open(
    blobs: &dyn BlobStore,
    digest: &Digest,
    row: &BlobRow,
    inline: Option<Arc<[u8]>>,
) -> Result<Opened, Error> {
    if row.inline.is_none() {
        return blobs.open(digest, row.size);
    }
    Ok(match inline {
        Some(bytes) if bytes.len() as u64 == row.size => Opened::Blob(BlobReader::Memory(bytes)),
        Some(bytes) => Opened::WrongSize {
            found: bytes.len() as u64,
        },
        None => Opened::Missing,
    })
}

/// Whether a file under the digest's name is what the row means; if not, it is an orphan.
pub fn names_file(row: Option<BlobRow>) -> bool {
    row.is_some_and(|row| row.inline.is_none())
}
