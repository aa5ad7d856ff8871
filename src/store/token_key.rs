//! The key that signs the registry's own tokens: made at the first start, and kept in the data
//! folder for its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::layout::Layout;
use super::{Error, ErrorKind};

/// The key's length, in bytes.
pub const KEY_BYTES: usize = 32;

/// How the file begins: what it is, and the number of its format.
const MAGIC: &str = "coracle-token-key-1";

/// The most that is read of the file, in bytes; it has 73.
const FILE_BYTES_MAX: u64 = 4096;

/// A new key, for a registry that keeps everything in memory.
///
/// # Errors
/// The system has no randomness.
pub fn random() -> Result<[u8; KEY_BYTES], Error> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key)
        .map_err(|error| Error::new(ErrorKind::Io, "making", "a token key").because(error))?;
    Ok(key)
}

/// The key of this data folder, which is made, durably, when there is none.
///
/// # Errors
/// Kind `Corrupt` when the file is damaged: tokens would be issued with a key that nobody made.
/// `Denied`, `Full`, `Io`.
pub fn load_or_make(layout: &Layout) -> Result<[u8; KEY_BYTES], Error> {
    let path = layout.token_key();
    match File::open(&path) {
        Ok(file) => load(&path, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = random()?;
            make(layout, &path, &key)
                .map_err(|error| Error::io("making the token key", path.display(), error))?;
            Ok(key)
        }
        Err(error) => Err(Error::io("reading the token key", path.display(), error)),
    }
}

fn load(path: &Path, file: File) -> Result<[u8; KEY_BYTES], Error> {
    let failed = |error| Error::io("reading the token key", path.display(), error);
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        log::warn!(
            "others than its owner may read {}, with which tokens can be made; chmod 600 it",
            path.display()
        );
    }
    let mut text = Vec::new();
    let mut file = file.take(FILE_BYTES_MAX);
    file.read_to_end(&mut text).map_err(failed)?;
    parse(&text).ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "reading the token key", path.display()).because(
            "it is not what was written; remove the file, and the next start makes a new key, \
             for which clients have to log in again",
        )
    })
}

fn make(layout: &Layout, path: &Path, key: &[u8; KEY_BYTES]) -> io::Result<()> {
    let part = path.with_extension("key.part");
    // What a crash left would keep its permissions.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)?;
    file.write_all(render(key).as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    File::open(layout.root())?.sync_all()
}

fn render(key: &[u8; KEY_BYTES]) -> String {
    let encoded = URL_SAFE_NO_PAD.encode(key);
    format!("{MAGIC} {encoded} {}\n", checksum(&encoded))
}

fn parse(text: &[u8]) -> Option<[u8; KEY_BYTES]> {
    let text = std::str::from_utf8(text).ok()?;
    let rest = text.strip_suffix('\n')?.strip_prefix(MAGIC)?;
    let (encoded, sum) = rest.strip_prefix(' ')?.split_once(' ')?;
    if sum != checksum(encoded) {
        return None;
    }
    URL_SAFE_NO_PAD.decode(encoded).ok()?.try_into().ok()
}

/// Against damage, not against people: eight letters of the SHA-256.
fn checksum(encoded: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(encoded)[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        (folder, layout)
    }

    #[test]
    fn the_key_is_made_once_and_is_its_owners() {
        let (_folder, layout) = folder();
        // A crash between making and naming the file.
        fs::write(layout.token_key().with_extension("key.part"), "half").unwrap();
        let key = load_or_make(&layout).unwrap();
        assert_eq!(load_or_make(&layout).unwrap(), key);
        assert_ne!(random().unwrap(), key);
        let mode = fs::metadata(layout.token_key()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let names: Vec<_> = fs::read_dir(layout.root()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing else is left");
    }

    #[test]
    fn damage_is_found_whatever_it_is() {
        let (_folder, layout) = folder();
        load_or_make(&layout).unwrap();
        let good = fs::read(layout.token_key()).unwrap();
        let mut damaged: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            damaged.push(changed);
        }
        damaged.push([good.as_slice(), b"x"].concat());
        damaged.push(vec![0; 100_000]);
        for bytes in damaged {
            fs::write(layout.token_key(), &bytes).unwrap();
            let error = load_or_make(&layout).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{bytes:?}");
            assert!(error.to_string().contains("token.key"), "{error}");
            assert!(error.to_string().contains("remove the file"), "{error}");
        }
    }
}
