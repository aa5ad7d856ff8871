//! A disk for tests that keeps only what was synced, fails a chosen call, or runs out of space.
//!
//! Everything is in memory, in two images. The live one is what the process sees. The durable one
//! gains a file's bytes when the file is synced and a folder's names when the folder is synced.
//! [`CrashDisk::crash`] makes a new disk from the durable image, as the next boot would find it;
//! [`CrashDisk::kill`] keeps the live one, as after the end of the process.

mod world;

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use super::BlobReader;
use super::disk::{Access, Disk, Metadata, Room};
use world::{Inode, Node, World};

/// What becomes of bytes that were written and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// They are gone, and the file has its last synced length.
    Lost,
    /// The length is there, the bytes are zero.
    Zeros,
    /// The length grew beyond what was written, and what was not synced is zero.
    Longer,
    /// The first half made it, the rest is zero.
    Half,
    /// They made it.
    Kept,
}

/// What becomes of names that were changed in a folder that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// Only synced folders have their new names.
    Synced,
    /// All names made it, as when the journal was committed for another reason.
    Live,
}

impl Tail {
    pub(crate) const ALL: [Self; 5] = [
        Self::Lost,
        Self::Zeros,
        Self::Longer,
        Self::Half,
        Self::Kept,
    ];
}

impl Names {
    pub(crate) const ALL: [Self; 2] = [Self::Synced, Self::Live];
}

/// When the disk stops doing what it is told. Calls and syncs are counted from 1.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// This call and every later one fail.
    pub freeze_at_call: Option<u64>,
    /// This sync and every later call fail.
    pub freeze_at_sync: Option<u64>,
    /// This call fails, with this error number.
    pub fail_at_call: Option<(u64, i32)>,
    /// Every call whose count this divides fails, with this error number.
    pub fail_every: Option<(u64, i32)>,
    /// Writes beyond this many bytes in all files together find no space.
    pub bytes_max: Option<u64>,
}

pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;
const EXDEV: i32 = 18;

/// The disk; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct CrashDisk(Arc<Mutex<World>>);

/// An open file.
#[derive(Debug)]
pub(crate) struct CrashFile {
    inode: u64,
    writable: bool,
}

impl CrashDisk {
    /// An empty disk on which `root` and the folders above it exist, durably.
    pub(crate) fn new(root: &Path) -> Self {
        let mut world = World {
            now: 1_000_000,
            ..World::default()
        };
        for path in root.ancestors() {
            world.live.insert(path.to_owned(), Node::Folder);
        }
        world.durable = world.live.clone();
        Self(Arc::new(Mutex::new(world)))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// Sets what goes wrong, and counts calls and syncs from 0 again.
    pub(crate) fn set_faults(&self, faults: Faults) {
        let mut world = self.world();
        world.faults = faults;
        world.frozen = false;
        world.calls = 0;
        world.syncs = 0;
    }

    /// Calls since the faults were set.
    pub(crate) fn calls(&self) -> u64 {
        self.world().calls
    }

    /// Syncs of files and folders since the faults were set.
    pub(crate) fn syncs(&self) -> u64 {
        self.world().syncs
    }

    /// The disk's clock, by which files are dated.
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.world().now)
    }

    /// Whether it can link and clone files, as one that holds both ends can.
    pub(crate) fn set_ways(&self, can_link: bool, can_clone: bool) {
        let mut world = self.world();
        (world.can_link, world.can_clone) = (can_link, can_clone);
    }

    /// Writes all that stands below `folder` into a real folder of the same place below `to`.
    pub(crate) fn write_out(&self, folder: &Path, to: &Path) {
        let world = self.world();
        for (path, node) in &world.live {
            let Ok(rest) = path.strip_prefix(folder) else {
                continue;
            };
            match node {
                Node::Folder => std::fs::create_dir_all(to.join(rest)).unwrap(),
                Node::File(inode) => {
                    std::fs::write(to.join(rest), &world.inodes[inode].live).unwrap();
                }
            }
        }
    }

    /// The disk after the process ended: nothing is lost, and the boot is the same.
    pub(crate) fn kill(&self) -> Self {
        let world = self.world();
        Self(Arc::new(Mutex::new(World {
            live: world.live.clone(),
            durable: world.durable.clone(),
            inodes: world.inodes.clone(),
            inode_last: world.inode_last,
            now: world.now,
            boot: world.boot,
            can_link: world.can_link,
            can_clone: world.can_clone,
            ..World::default()
        })))
    }

    /// The disk at the next boot after a power cut, the same for all files.
    pub(crate) fn crash(&self, names: Names, tail: Tail) -> Self {
        self.crash_with(names, |_| tail)
    }

    /// The disk at the next boot after a power cut; `tail` chooses by the name that a file has
    /// then.
    pub(crate) fn crash_with(&self, names: Names, tail: impl Fn(&Path) -> Tail) -> Self {
        let next = self.kill();
        {
            let mut world = next.world();
            world.boot += 1;
            let mut found = match names {
                Names::Synced => world.durable.clone(),
                Names::Live => world.live.clone(),
            };
            // What stands below a folder whose own name was lost is lost. Folders come before what
            // stands in them.
            let mut folders = HashSet::new();
            found.retain(|path, node| {
                let kept = path.parent().is_none_or(|parent| folders.contains(parent));
                if kept && *node == Node::Folder {
                    folders.insert(path.clone());
                }
                kept
            });
            for (path, node) in &found {
                if let Node::File(inode) = node {
                    let inode = world.inodes.get_mut(inode).unwrap();
                    inode.live = inode.after_crash(tail(path));
                    inode.durable.clone_from(&inode.live);
                }
            }
            world.live.clone_from(&found);
            world.durable = found;
        }
        next
    }

    /// The bytes of a file, for a test to look at.
    pub(crate) fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let world = self.world();
        let inode = world.file_at(path).ok()?;
        Some(world.inodes[&inode].live.clone())
    }

    /// Names below a folder, for a test to look at.
    pub(crate) fn names(&self, folder: &Path) -> Vec<PathBuf> {
        let world = self.world();
        let below = world.live.keys();
        below
            .filter(|path| path.parent() == Some(folder))
            .cloned()
            .collect()
    }
}

impl Disk for CrashDisk {
    type File = CrashFile;

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        world.check_parent(path)?;
        match world.live.get(path) {
            Some(Node::File(_)) => Err(ErrorKind::AlreadyExists.into()),
            Some(Node::Folder) => Ok(()),
            None => {
                world.live.insert(path.to_owned(), Node::Folder);
                Ok(())
            }
        }
    }

    fn create(&self, path: &Path) -> io::Result<CrashFile> {
        let mut world = self.world();
        world.call()?;
        world.check_parent(path)?;
        if world.live.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        world.inode_last += 1;
        let (inode, modified) = (world.inode_last, world.now);
        world.live.insert(path.to_owned(), Node::File(inode));
        let empty = Inode {
            modified,
            ..Inode::default()
        };
        world.inodes.insert(inode, empty);
        Ok(CrashFile {
            inode,
            writable: true,
        })
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<CrashFile> {
        let mut world = self.world();
        world.call()?;
        Ok(CrashFile {
            inode: world.file_at(path)?,
            writable: access == Access::ReadWrite,
        })
    }

    fn metadata(&self, file: &CrashFile) -> io::Result<Metadata> {
        let mut world = self.world();
        world.call()?;
        Ok(world.metadata(Node::File(file.inode)))
    }

    fn lookup(&self, path: &Path) -> io::Result<Option<Metadata>> {
        let mut world = self.world();
        world.call()?;
        Ok(world.live.get(path).map(|node| world.metadata(*node)))
    }

    fn list(
        &self,
        path: &Path,
        each: &mut dyn FnMut(&str, Metadata) -> io::Result<bool>,
    ) -> io::Result<()> {
        // Copied first: `each` uses the disk.
        let entries: Vec<(String, Metadata)> = {
            let mut world = self.world();
            world.call()?;
            if world.live.get(path) != Some(&Node::Folder) {
                return Err(ErrorKind::NotFound.into());
            }
            let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            let below = world.live.range(path.to_owned()..);
            below
                .take_while(|(other, _)| other.starts_with(path))
                .filter(|(other, _)| other.parent() == Some(path))
                .map(|(other, node)| (name(other), world.metadata(*node)))
                .collect()
        };
        for (name, metadata) in entries {
            if !each(&name, metadata)? {
                break;
            }
        }
        Ok(())
    }

    fn write_at(&self, file: &CrashFile, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        let room = world.room();
        let inode = world.writable(file)?;
        let offset = usize::try_from(offset).unwrap();
        let end = offset + bytes.len();
        let grown = end.saturating_sub(inode.live.len()) as u64;
        // A full disk takes what fits.
        let missing = usize::try_from(grown.saturating_sub(room)).unwrap();
        let taken = &bytes[..bytes.len().saturating_sub(missing)];
        let end = offset + taken.len();
        if inode.live.len() < end {
            inode.live.resize(end, 0);
        }
        inode.live[offset..end].copy_from_slice(taken);
        if missing > 0 {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    }

    fn read_at(&self, file: &CrashFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut world = self.world();
        world.call()?;
        let bytes = &world.inode(file).live;
        let start = usize::try_from(offset).unwrap().min(bytes.len());
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn set_length(&self, file: &CrashFile, length: u64) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        let length = usize::try_from(length).unwrap();
        world.writable(file)?.live.resize(length, 0);
        Ok(())
    }

    fn touch(&self, file: &CrashFile) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        world.writable(file).map(|_| ())
    }

    fn reserve(&self, file: &CrashFile, offset: u64, bytes: NonZeroU64) -> io::Result<u64> {
        let mut world = self.world();
        world.call()?;
        let length = world.inode(file).live.len() as u64;
        if (offset + bytes.get()).saturating_sub(length) > world.room() {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        // Like a file system that cannot.
        Ok(0)
    }

    fn allocate(&self, file: &CrashFile, bytes: NonZeroU64) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        let room = world.room();
        let inode = world.writable(file)?;
        let length = usize::try_from(bytes.get()).unwrap();
        let grown = length.saturating_sub(inode.live.len());
        if grown as u64 > room {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let length = inode.live.len() + grown;
        inode.live.resize(length, 0);
        Ok(())
    }

    fn room(&self, _folder: &Path) -> io::Result<Room> {
        let mut world = self.world();
        world.call()?;
        Ok(Room {
            free: world.room(),
            total: world.faults.bytes_max.unwrap_or(u64::MAX),
        })
    }

    fn start_writeback(&self, _file: &CrashFile, _offset: u64, _bytes: NonZeroU64) {
        // It cannot fail and promises nothing; what it may have kept is `Tail::Half`.
        let _ = self.world().call();
    }

    fn sync(&self, file: &CrashFile) -> io::Result<()> {
        let mut world = self.world();
        world.sync_call()?;
        let inode = world.inode(file);
        inode.durable.clone_from(&inode.live);
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.sync_call()?;
        if world.live.get(path) != Some(&Node::Folder) {
            return Err(ErrorKind::NotFound.into());
        }
        let child = |other: &Path| other.parent() == Some(path);
        world.durable.retain(|other, _| !child(other));
        let names: Vec<(PathBuf, Node)> = world
            .live
            .iter()
            .filter(|(other, _)| child(other))
            .map(|(other, node)| (other.clone(), *node))
            .collect();
        world.durable.extend(names);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        world.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let mut world = self.world();
        world.call()?;
        if world.live.contains_key(to) {
            return Ok(false);
        }
        world.rename(from, to).map(|()| true)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        world.file_at(path)?;
        world.live.remove(path);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        if !world.can_link {
            return Err(io::Error::from_raw_os_error(EXDEV));
        }
        let inode = world.file_at(from)?;
        world.check_parent(to)?;
        if world.live.contains_key(to) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        world.live.insert(to.to_owned(), Node::File(inode));
        Ok(())
    }

    fn clone_bytes(&self, from: &CrashFile, to: &CrashFile) -> io::Result<bool> {
        let mut world = self.world();
        world.call()?;
        if !world.can_clone {
            return Ok(false);
        }
        let bytes = world.inode(from).live.clone();
        world.writable(to)?.live = bytes;
        Ok(true)
    }

    /// Reads the real file that stands at the same path.
    fn adopt(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        world.check_parent(path)?;
        let live = std::fs::read(path)?;
        world.inode_last += 1;
        let (number, modified) = (world.inode_last, world.now);
        world.live.insert(path.to_owned(), Node::File(number));
        let inode = Inode {
            live,
            modified,
            ..Inode::default()
        };
        world.inodes.insert(number, inode);
        Ok(())
    }

    fn reader(&self, file: CrashFile) -> io::Result<BlobReader> {
        let mut world = self.world();
        world.call()?;
        Ok(BlobReader::Memory(
            world.inode(&file).live.as_slice().into(),
        ))
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        Some([self.world().boot; 16])
    }
}
