//! The blobs of a backup or of a folder that is being restored: listed, and brought there one
//! after the other by the cheapest way that works.
//!
//! A file that has its final name here has all its bytes, durably: a link is made to one that
//! has them, a copy is synced before it is renamed. The names themselves are durable after
//! [`BlobFolder::sync`].

use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind as Io};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use crate::oci::{Algorithm, Digest, Hasher};
use crate::store::blobs::BlobReader;
use crate::store::blobs::disk::{Access, Disk};
use crate::store::layout::Layout;
use crate::store::{Error, Shard};

/// Bytes that are copied or hashed at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Ends the name of a file that is not whole yet.
const PART: &str = ".part";

/// How a blob came where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By one more name for the same file.
    Linked,
    /// As a file of its own that shares the bytes.
    Cloned,
    /// As a copy.
    Copied,
}

/// What came of bringing a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there.
    There(Way),
    /// There is no file where it should come from.
    Missing,
    /// Its file there has another length, or cannot be read.
    WrongSize,
    /// The bytes are others.
    Corrupt,
}

/// What a shard's folder holds.
#[derive(Debug, Default)]
pub struct Listed {
    /// Blobs and their lengths in bytes.
    pub blobs: HashMap<Digest, u64>,
    /// Whether there is a file that is none, left by a run that came to no end.
    pub has_strays: bool,
}

/// The folder of blobs below a data folder or a backup.
pub struct BlobFolder<D: Disk> {
    disk: D,
    layout: Layout,
    can_link: bool,
    can_clone: bool,
    /// Shards whose folders are there.
    made: BTreeSet<Shard>,
    /// Algorithms whose folders were looked into.
    looked_into: BTreeSet<Algorithm>,
    /// Algorithms below which a folder was made.
    parents: BTreeSet<Algorithm>,
    /// Shards with names that may not be durable.
    touched: BTreeSet<Shard>,
    buffer: Vec<u8>,
}

impl<D: Disk> BlobFolder<D> {
    /// The blobs below `layout`. Links are made only where `may_link`.
    pub fn new(disk: D, layout: Layout, may_link: bool) -> Self {
        Self {
            disk,
            layout,
            can_link: may_link,
            can_clone: true,
            made: BTreeSet::new(),
            looked_into: BTreeSet::new(),
            parents: BTreeSet::new(),
            touched: BTreeSet::new(),
            buffer: Vec::new(),
        }
    }

    /// What a shard holds.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn list(&mut self, shard: Shard) -> Result<Listed, Error> {
        let mut found = Listed::default();
        let path = self.layout.shard(shard);
        self.look_into(shard.algorithm)?;
        if !self.made.contains(&shard) {
            return Ok(found);
        }
        let listed = self.disk.list(&path, &mut |name, metadata| {
            match blob_of(shard, name).filter(|_| metadata.is_file) {
                Some(digest) => {
                    found.blobs.insert(digest, metadata.length);
                }
                None => found.has_strays |= name.ends_with(PART),
            }
            Ok(true)
        });
        match listed {
            Ok(()) => Ok(found),
            Err(error) => Err(Error::io("listing", path.display(), error)),
        }
    }

    /// Learns which shards have a folder: most backups have none of sha512.
    fn look_into(&mut self, algorithm: Algorithm) -> Result<(), Error> {
        if !self.looked_into.insert(algorithm) {
            return Ok(());
        }
        let folder = self.layout.blobs().join(algorithm.as_str());
        let listed = self.disk.list(&folder, &mut |name, metadata| {
            let first_byte = u8::from_str_radix(name, 16).ok();
            // Not another way to write the same number.
            let is_own = |byte: &u8| !metadata.is_file && format!("{byte:02x}") == name;
            self.made
                .extend(first_byte.filter(is_own).map(|first_byte| Shard {
                    algorithm,
                    first_byte,
                }));
            Ok(true)
        });
        match listed {
            Err(error) if error.kind() != Io::NotFound => {
                Err(Error::io("listing", folder.display(), error))
            }
            _ => Ok(()),
        }
    }

    /// Names in this shard may not be durable, because a run before this one came to no end.
    pub fn distrust_names(&mut self, shard: Shard) {
        if self.made.contains(&shard) {
            self.touched.insert(shard);
            self.parents.insert(shard.algorithm);
        }
    }

    /// Brings a blob of `size` bytes from the file `from`, replacing what stands under its name;
    /// with `hashed`, its bytes are compared with its digest on the way.
    ///
    /// # Errors
    /// The folder cannot be written. What is wrong with `from` is no error.
    pub fn put(
        &mut self,
        from: &Path,
        digest: &Digest,
        size: u64,
        hashed: bool,
    ) -> Result<Put, Error> {
        let source = match self.disk.open(from, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == Io::NotFound => return Ok(Put::Missing),
            Err(error) => return Ok(unreadable(digest, &error)),
        };
        match self.disk.metadata(&source) {
            Ok(found) if found.is_file && found.length == size => {}
            Ok(_) => return Ok(Put::WrongSize),
            Err(error) => return Ok(unreadable(digest, &error)),
        }
        let to = self.make_room(digest)?;
        let putting = |error| Error::io("saving blob", to.display(), error);
        if self.can_link && self.link(from, &to).map_err(putting)? {
            if hashed && !self.is_right_file(&source, digest) {
                self.disk.remove(&to).map_err(putting)?;
                return Ok(Put::Corrupt);
            }
            return Ok(Put::There(Way::Linked));
        }
        self.write(&source, digest, size, hashed).map_err(putting)
    }

    /// Brings a blob from memory, or from another store than one of files.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn put_bytes(&mut self, reader: BlobReader, digest: &Digest) -> Result<Put, Error> {
        let to = self.make_room(digest)?;
        let putting = |error| Error::io("saving blob", to.display(), error);
        let (part, file) = self.start_part(digest).map_err(putting)?;
        let mut reader = reader.into_read();
        let mut at = 0;
        self.buffer.resize(PIECE_BYTES, 0);
        loop {
            let count = reader.read(&mut self.buffer).map_err(putting)?;
            if count == 0 {
                break;
            }
            let written = self.disk.write_at(&file, &self.buffer[..count], at);
            written.map_err(putting)?;
            at += count as u64;
        }
        self.end_part(&part, &file, digest).map_err(putting)?;
        Ok(Put::There(Way::Copied))
    }

    /// Whether the bytes under the blob's name here hash to it.
    pub fn is_right(&mut self, digest: &Digest) -> bool {
        match self.disk.open(&self.layout.blob(digest), Access::Read) {
            Ok(file) => self.is_right_file(&file, digest),
            Err(error) => {
                log::warn!("blob {digest} cannot be opened: {error}");
                false
            }
        }
    }

    /// Removes what stands under the blob's name; nothing there is no error.
    ///
    /// # Errors
    /// A failed removal.
    pub fn remove(&self, digest: &Digest) -> Result<(), Error> {
        let path = self.layout.blob(digest);
        self.remove_path(&path)
            .map_err(|error| Error::io("removing", path.display(), error))
    }

    /// Removes what a run that came to no end has left in a shard.
    ///
    /// # Errors
    /// A failed removal.
    pub fn remove_strays(&self, shard: Shard) -> Result<(), Error> {
        let folder = self.layout.shard(shard);
        let mut strays = Vec::new();
        let removed = self
            .disk
            .list(&folder, &mut |name, metadata| {
                if metadata.is_file && name.ends_with(PART) {
                    strays.push(folder.join(name));
                }
                Ok(true)
            })
            .and_then(|()| strays.iter().try_for_each(|path| self.remove_path(path)));
        removed.map_err(|error| Error::io("cleaning up", folder.display(), error))
    }

    /// Makes all names durable.
    ///
    /// # Errors
    /// A failed sync, after which nothing may rely on them.
    pub fn sync(&mut self) -> Result<(), Error> {
        let blobs = self.layout.blobs();
        let shards = self.touched.iter().map(|shard| self.layout.shard(*shard));
        let parents = self.parents.iter().map(|one| blobs.join(one.as_str()));
        let own = (!self.parents.is_empty()).then(|| blobs.clone());
        for folder in shards.chain(parents).chain(own) {
            self.disk
                .sync_folder(&folder)
                .map_err(|error| Error::io("syncing", folder.display(), error))?;
        }
        self.touched.clear();
        self.parents.clear();
        Ok(())
    }

    /// Makes the shard's folder and clears the name; the path that the blob gets.
    fn make_room(&mut self, digest: &Digest) -> Result<PathBuf, Error> {
        let (shard, path) = (Shard::of(digest), self.layout.blob(digest));
        let ready = self.make_folder(shard).and_then(|is_new| {
            if is_new {
                Ok(())
            } else {
                self.remove_path(&path)
            }
        });
        ready.map_err(|error| Error::io("making room for", path.display(), error))?;
        self.touched.insert(shard);
        Ok(path)
    }

    /// Whether it had to be made.
    fn make_folder(&mut self, shard: Shard) -> io::Result<bool> {
        if self.made.contains(&shard) {
            return Ok(false);
        }
        let folder = self.layout.shard(shard);
        let blobs = self.layout.blobs();
        for path in [&blobs, &blobs.join(shard.algorithm.as_str()), &folder] {
            self.disk.make_folder(path)?;
        }
        self.made.insert(shard);
        self.parents.insert(shard.algorithm);
        Ok(true)
    }

    /// False when it cannot be done between these two.
    fn link(&mut self, from: &Path, to: &Path) -> io::Result<bool> {
        match self.disk.link(from, to) {
            Ok(()) => Ok(true),
            // This one file has as many names as it can have, or may not have another.
            Err(error) if matches!(error.kind(), Io::TooManyLinks | Io::PermissionDenied) => {
                Ok(false)
            }
            Err(error) if matches!(error.kind(), Io::CrossesDevices | Io::Unsupported) => {
                self.can_link = false;
                Ok(false)
            }
            // The source went meanwhile, but it is open.
            Err(error) if error.kind() == Io::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A file of its own: by a clone, or byte by byte.
    fn write(
        &mut self,
        source: &D::File,
        digest: &Digest,
        size: u64,
        hashed: bool,
    ) -> io::Result<Put> {
        let (part, file) = self.start_part(digest)?;
        let written = self.fill(source, &file, digest, size, hashed);
        let ended = match written {
            Ok(Put::There(_)) => self.end_part(&part, &file, digest),
            _ => Ok(()),
        };
        if !matches!((&written, &ended), (Ok(Put::There(_)), Ok(()))) {
            // On a full disk what is not whole must not take the room of what could be.
            let _ = self.disk.remove(&part);
        }
        ended.and(written)
    }

    /// Gives an empty file the bytes of another one.
    fn fill(
        &mut self,
        source: &D::File,
        file: &D::File,
        digest: &Digest,
        size: u64,
        hashed: bool,
    ) -> io::Result<Put> {
        if self.can_clone && self.disk.clone_bytes(source, file)? {
            return Ok(if hashed && !self.is_right_file(file, digest) {
                Put::Corrupt
            } else {
                Put::There(Way::Cloned)
            });
        }
        self.can_clone = false;
        self.copy(source, file, digest, size, hashed)
    }

    fn copy(
        &mut self,
        source: &D::File,
        file: &D::File,
        digest: &Digest,
        size: u64,
        hashed: bool,
    ) -> io::Result<Put> {
        let mut running = hashed.then(|| Hasher::new(digest.algorithm()));
        let mut at = 0;
        self.buffer.resize(PIECE_BYTES, 0);
        loop {
            let count = match self.disk.read_at(source, &mut self.buffer, at) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Ok(unreadable(digest, &error)),
            };
            let bytes = &self.buffer[..count];
            if let Some(running) = &mut running {
                running.update(bytes);
            }
            self.disk.write_at(file, bytes, at)?;
            at += count as u64;
        }
        if at != size {
            return Ok(Put::WrongSize);
        }
        let is_right = running.is_none_or(|running| running.finish() == *digest);
        Ok(if is_right {
            Put::There(Way::Copied)
        } else {
            Put::Corrupt
        })
    }

    fn start_part(&self, digest: &Digest) -> io::Result<(PathBuf, D::File)> {
        let mut part = self.layout.blob(digest).into_os_string();
        part.push(PART);
        let part = PathBuf::from(part);
        self.remove_path(&part)?;
        let file = self.disk.create(&part)?;
        Ok((part, file))
    }

    fn end_part(&self, part: &Path, file: &D::File, digest: &Digest) -> io::Result<()> {
        self.disk.sync(file)?;
        // Whoever reads it again, to verify it, should read what the device has.
        let length = self.disk.metadata(file)?.length;
        if let Some(length) = NonZeroU64::new(length) {
            self.disk.start_writeback(file, 0, length);
        }
        self.disk.rename(part, &self.layout.blob(digest))
    }

    fn is_right_file(&mut self, file: &D::File, digest: &Digest) -> bool {
        let mut hasher = Hasher::new(digest.algorithm());
        let mut at = 0;
        self.buffer.resize(PIECE_BYTES, 0);
        loop {
            match self.disk.read_at(file, &mut self.buffer, at) {
                Ok(0) => return hasher.finish() == *digest,
                Ok(count) => {
                    hasher.update(&self.buffer[..count]);
                    at += count as u64;
                }
                Err(error) => {
                    log::warn!("blob {digest} cannot be read: {error}");
                    return false;
                }
            }
        }
    }

    fn remove_path(&self, path: &Path) -> io::Result<()> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != Io::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The blob that a name in a shard's folder stands for.
fn blob_of(shard: Shard, name: &str) -> Option<Digest> {
    let digest: Digest = format!("{}:{name}", shard.algorithm).parse().ok()?;
    (Shard::of(&digest) == shard).then_some(digest)
}

fn unreadable(digest: &Digest, error: &io::Error) -> Put {
    log::warn!("blob {digest} cannot be read: {error}");
    Put::WrongSize
}
