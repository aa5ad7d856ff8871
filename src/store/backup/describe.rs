//! `backup.json`: what makes a folder a backup, and a few words about it for people.
//!
//! The file says what the folder is, never whether it is whole: that a catalog has its name there
//! says so.

use std::fs;
use std::io::{self, ErrorKind as Io};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::store::blobs::disk::{Access, Disk};
use crate::store::{Error, ErrorKind};

/// The name of the file.
pub const NAME: &str = "backup.json";

/// The form of a backup that this program writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// The longest file that is read, in bytes.
const BYTES_MAX: usize = 64 << 10;

/// What is written into the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The form of the backup.
    pub format: u32,
    /// The program that wrote it, with its version.
    pub program: String,
    /// When the catalog was copied, RFC 3339; none before the first whole backup.
    pub taken_at: Option<String>,
    /// Repositories in it.
    pub repositories: u64,
    /// Manifests in it.
    pub manifests: u64,
    /// Tags in it.
    pub tags: u64,
    /// Blobs in it.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub blob_bytes: u64,
}

impl Description {
    /// A backup that holds nothing yet.
    pub fn empty() -> Self {
        Self {
            format: FORMAT,
            program: concat!("coracle ", env!("CARGO_PKG_VERSION")).to_owned(),
            taken_at: None,
            repositories: 0,
            manifests: 0,
            tags: 0,
            blobs: 0,
            blob_bytes: 0,
        }
    }

    /// Reads the description of a folder; `None` when it has none.
    ///
    /// # Errors
    /// Kind `Newer` when it is of a form that is not known here, `Corrupt` when it is none.
    pub(super) fn read<D: Disk>(disk: &D, folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(NAME);
        let reading = |error| Error::io("reading", path.display(), error);
        let file = match disk.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == Io::NotFound => return Ok(None),
            Err(error) => return Err(reading(error)),
        };
        let mut bytes = vec![0; BYTES_MAX];
        let mut length = 0;
        loop {
            let count = disk.read_at(&file, &mut bytes[length..], length as u64);
            match count.map_err(reading)? {
                0 => break,
                count => length += count,
            }
        }
        let damaged = |error: serde_json::Error| {
            Error::new(ErrorKind::Corrupt, "reading", path.display()).because(error)
        };
        // The form first: a newer one may have other fields.
        let form: Form = serde_json::from_slice(&bytes[..length]).map_err(damaged)?;
        if form.format > FORMAT {
            let error = Error::new(ErrorKind::Newer, "reading", path.display());
            return Err(error.because(format!(
                "the backup has format {}, this program knows formats up to {FORMAT}; use the \
                 newer program",
                form.format
            )));
        }
        serde_json::from_slice(&bytes[..length])
            .map(Some)
            .map_err(damaged)
    }

    /// Writes the description, whole or not at all. Its name is durable once the folder is synced.
    pub(super) fn write<D: Disk>(&self, disk: &D, folder: &Path) -> Result<(), Error> {
        let path = folder.join(NAME);
        let part = folder.join("backup.json.part");
        let write = || -> io::Result<()> {
            match disk.remove(&part) {
                Err(error) if error.kind() != Io::NotFound => return Err(error),
                _ => {}
            }
            let file = disk.create(&part)?;
            // Where the file is a real one.
            let _ = fs::set_permissions(&part, fs::Permissions::from_mode(0o600));
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            disk.write_at(&file, &text, 0)?;
            disk.sync(&file)?;
            disk.rename(&part, &path)
        };
        write().map_err(|error| Error::io("writing", path.display(), error))
    }
}

#[derive(Deserialize)]
struct Form {
    format: u32,
}
