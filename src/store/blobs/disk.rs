//! The seam below the file store: every effect on the file system goes through [`Disk`].
//!
//! [`RealDisk`] is the file system itself. Tests put another one in its place, which keeps only
//! what was synced, fails a chosen call, or runs out of space. The calls are large-grained and
//! statically dispatched, so the seam costs nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{
    Advice, FallocateFlags, OFlags, RenameFlags, StatVfs, Timespec, Timestamps, UTIME_NOW,
};
use rustix::io::Errno;

use super::BlobReader;

/// What is reserved of an announced length at once. A length is only a claim: if all of it were
/// reserved, a client could fill the disk for everybody without sending a byte.
pub const RESERVE_BYTES_MAX: u64 = 64 << 20;

/// Zeros that are written at a time where a file system cannot allocate.
const ZEROS: usize = 16 << 10;

/// How large a file system is, for whoever this process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that there are in all.
    pub total: u64,
}

/// What the store needs to know about a name.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    /// Length in bytes.
    pub length: u64,
    /// When the bytes were last written.
    pub modified: SystemTime,
    /// How many names the file has.
    pub links: u64,
    /// Whether it is a plain file.
    pub is_file: bool,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For reading only.
    Read,
    /// For reading and writing.
    ReadWrite,
}

/// A file system. Paths are absolute or relative to the working folder, as for the system calls.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file; dropping it closes it.
    type File: Send + Sync + 'static;

    /// Makes one folder; an existing one is no error.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes a new file, open for reading and writing; an existing name is an error.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens an existing file, never through a symbolic link.
    fn open(&self, path: &Path, access: Access) -> io::Result<Self::File>;

    /// What an open file is.
    fn metadata(&self, file: &Self::File) -> io::Result<Metadata>;

    /// What stands under a name; `None` when nothing does.
    fn lookup(&self, path: &Path) -> io::Result<Option<Metadata>>;

    /// Calls `each` with the names in a folder until it returns false. Names that are not UTF-8
    /// are passed over: the store makes none.
    fn list(
        &self,
        path: &Path,
        each: &mut dyn FnMut(&str, Metadata) -> io::Result<bool>,
    ) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reads some bytes at `offset`; 0 at the end of the file.
    fn read_at(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Cuts or extends a file to `length` bytes and frees what was reserved beyond.
    fn set_length(&self, file: &Self::File, length: u64) -> io::Result<()>;

    /// Makes now the time when the bytes were last written.
    fn touch(&self, file: &Self::File) -> io::Result<()>;

    /// Makes sure that there is room for `bytes` at `offset`, and reserves some of it, without
    /// changing the length; how many bytes it reserved. A file system that cannot is no error.
    fn reserve(&self, file: &Self::File, offset: u64, bytes: NonZeroU64) -> io::Result<u64>;

    /// Makes a file at least `bytes` long, all of them really taken from the free room.
    fn allocate(&self, file: &Self::File, bytes: NonZeroU64) -> io::Result<()>;

    /// The room of the file system of a folder.
    fn room(&self, folder: &Path) -> io::Result<Room>;

    /// Starts writing a range to the device without waiting. A hint: it cannot fail, and
    /// promises nothing.
    fn start_writeback(&self, file: &Self::File, offset: u64, bytes: NonZeroU64);

    /// Makes the file's bytes and length durable. An error is final for the file.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Renames, replacing what stood at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames unless something stands at `to`; `false` when something does, or when the file
    /// system cannot tell in one step, and then nothing has happened.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<bool>;

    /// Removes a file's name.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file one more name; an existing one is an error.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the bytes of an empty file those of another one without copying them; `false` when
    /// the file system cannot, and then nothing has happened.
    fn clone_bytes(&self, from: &Self::File, to: &Self::File) -> io::Result<bool>;

    /// Learns of a file that was written beside this seam, by the database. Its bytes are not
    /// durable yet, nor is its name.
    fn adopt(&self, path: &Path) -> io::Result<()>;

    /// Hands an open file to a reader.
    fn reader(&self, file: Self::File) -> io::Result<BlobReader>;

    /// What tells one life of the file system from the next; `None` when nothing does that can be
    /// trusted, and then every process is taken for a new one.
    fn boot_id(&self) -> Option<[u8; 16]>;
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

fn metadata_of(metadata: &std::fs::Metadata) -> io::Result<Metadata> {
    Ok(Metadata {
        length: metadata.len(),
        modified: metadata.modified()?,
        links: metadata.nlink(),
        is_file: metadata.is_file(),
    })
}

const fn room_of(system: &StatVfs) -> Room {
    Room {
        free: system.f_bavail.saturating_mul(system.f_frsize),
        total: system.f_blocks.saturating_mul(system.f_frsize),
    }
}

/// Allocates a range of a file; false when the file system cannot.
fn fallocate(file: &File, flags: FallocateFlags, offset: u64, bytes: u64) -> io::Result<bool> {
    loop {
        match rustix::fs::fallocate(file, flags, offset, bytes) {
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
            result => return Ok(result.map(|()| true)?),
        }
    }
}

impl Disk for RealDisk {
    type File = File;

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            result => result,
        }
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<File> {
        // A pipe that somebody put there must not be waited for; a plain file never blocks.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        OpenOptions::new()
            .read(true)
            .write(access == Access::ReadWrite)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
    }

    fn metadata(&self, file: &File) -> io::Result<Metadata> {
        metadata_of(&file.metadata()?)
    }

    fn lookup(&self, path: &Path) -> io::Result<Option<Metadata>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => metadata_of(&metadata).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(
        &self,
        path: &Path,
        each: &mut dyn FnMut(&str, Metadata) -> io::Result<bool>,
    ) -> io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata_of(&metadata)?,
                // Removed since the folder was read.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if !each(name, metadata)? {
                break;
            }
        }
        Ok(())
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match file.read_at(buffer, offset) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn set_length(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn touch(&self, file: &File) -> io::Result<()> {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        Ok(rustix::fs::futimens(file, &times)?)
    }

    fn reserve(&self, file: &File, offset: u64, bytes: NonZeroU64) -> io::Result<u64> {
        if bytes.get() > room_of(&rustix::fs::fstatvfs(file)?).free {
            return Err(Errno::NOSPC.into());
        }
        let bytes = bytes.get().min(RESERVE_BYTES_MAX);
        let reserved = fallocate(file, FallocateFlags::KEEP_SIZE, offset, bytes)?;
        Ok(if reserved { bytes } else { 0 })
    }

    fn allocate(&self, file: &File, bytes: NonZeroU64) -> io::Result<()> {
        if fallocate(file, FallocateFlags::empty(), 0, bytes.get())? {
            return Ok(());
        }
        let zeros = [0; ZEROS];
        let mut end = 0;
        while end < bytes.get() {
            let step = (bytes.get() - end).min(ZEROS as u64);
            // No more than the length of `zeros`, so the cast is exact.
            #[expect(clippy::cast_possible_truncation, reason = "at most ZEROS")]
            file.write_all_at(&zeros[..step as usize], end)?;
            end += step;
        }
        Ok(())
    }

    fn room(&self, folder: &Path) -> io::Result<Room> {
        Ok(room_of(&rustix::fs::statvfs(folder)?))
    }

    /// Linux answers this advice by starting to write the range's dirty pages; they stay cached
    /// until they are on the device, and the closing sync finds little left to write.
    fn start_writeback(&self, file: &File, offset: u64, bytes: NonZeroU64) {
        // A hint that was refused changes nothing but the time of the closing sync.
        let _ = rustix::fs::fadvise(file, offset, Some(bytes), Advice::DontNeed);
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<bool> {
        use rustix::fs::{CWD, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn clone_bytes(&self, from: &File, to: &File) -> io::Result<bool> {
        match rustix::fs::ioctl_ficlone(to, from) {
            Ok(()) => Ok(true),
            // It cannot, not across file systems, or not for these files.
            Err(
                Errno::OPNOTSUPP
                | Errno::NOTTY
                | Errno::NOSYS
                | Errno::XDEV
                | Errno::INVAL
                | Errno::PERM
                | Errno::TXTBSY,
            ) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn adopt(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn reader(&self, file: File) -> io::Result<BlobReader> {
        Ok(BlobReader::File(file))
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        // The machine's boot is not all: a file system can be lost and mounted again within one,
        // and come back without what was never synced. So each process looks at the bytes again.
        None
    }
}
