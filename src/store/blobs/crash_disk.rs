//! A disk for tests that keeps only what was synced, fails a chosen call, or runs out of space.
//!
//! Everything is in memory, in two images. The live one is what the process sees. The durable one
//! gains a file's bytes when the file is synced and a folder's names when the folder is synced.
//! [`CrashDisk::crash`] makes a new disk from the durable image, as the next boot would find it;
//! [`CrashDisk::kill`] keeps the live one, as after the end of the process.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use super::BlobReader;
use super::disk::{Access, Disk, Metadata};

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

/// The disk; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct CrashDisk(Arc<Mutex<World>>);

/// An open file.
#[derive(Debug)]
pub(crate) struct CrashFile {
    inode: u64,
    writable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(u64),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    modified: u64,
}

type NameTable = BTreeMap<PathBuf, Node>;

#[derive(Debug, Default)]
struct World {
    live: NameTable,
    durable: NameTable,
    inodes: HashMap<u64, Inode>,
    inode_last: u64,
    /// Seconds since the epoch; each call takes one.
    now: u64,
    boot: u8,
    calls: u64,
    syncs: u64,
    faults: Faults,
    frozen: bool,
}

impl World {
    /// Counts a call; fails it when its time has come.
    fn call(&mut self) -> io::Result<()> {
        self.now += 1;
        self.calls += 1;
        if self.faults.freeze_at_call == Some(self.calls) {
            self.frozen = true;
        }
        if self.frozen {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        match (self.faults.fail_at_call, self.faults.fail_every) {
            (Some((at, error)), _) if at == self.calls => Err(io::Error::from_raw_os_error(error)),
            (_, Some((every, error))) if self.calls.is_multiple_of(every) => {
                Err(io::Error::from_raw_os_error(error))
            }
            _ => Ok(()),
        }
    }

    fn sync_call(&mut self) -> io::Result<()> {
        self.syncs += 1;
        if self.faults.freeze_at_sync == Some(self.syncs) {
            self.frozen = true;
        }
        self.call()
    }

    fn inode(&mut self, file: &CrashFile) -> &mut Inode {
        self.inodes.get_mut(&file.inode).unwrap()
    }

    fn writable(&mut self, file: &CrashFile) -> io::Result<&mut Inode> {
        if !file.writable {
            return Err(io::Error::from_raw_os_error(9));
        }
        let now = self.now;
        let inode = self.inode(file);
        inode.modified = now;
        Ok(inode)
    }

    fn check_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent().map(|parent| self.live.get(parent)) {
            Some(Some(Node::Folder)) => Ok(()),
            Some(Some(Node::File(_))) => Err(io::Error::from_raw_os_error(20)),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    fn file_at(&self, path: &Path) -> io::Result<u64> {
        match self.live.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Folder) => Err(io::Error::from_raw_os_error(21)),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.file_at(from)?;
        self.check_parent(to)?;
        if self.live.get(to) == Some(&Node::Folder) {
            return Err(io::Error::from_raw_os_error(21));
        }
        self.live.remove(from);
        self.live.insert(to.to_owned(), Node::File(inode));
        Ok(())
    }

    fn metadata(&self, node: Node) -> Metadata {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        match node {
            Node::Folder => Metadata {
                length: 0,
                modified: at(0),
                links: 1,
                is_file: false,
            },
            Node::File(inode) => Metadata {
                length: self.inodes[&inode].live.len() as u64,
                modified: at(self.inodes[&inode].modified),
                links: self.live.values().filter(|other| **other == node).count() as u64,
                is_file: true,
            },
        }
    }

    /// How many more bytes fit.
    fn room(&self) -> u64 {
        let Some(bytes_max) = self.faults.bytes_max else {
            return u64::MAX;
        };
        let mut seen = std::collections::BTreeSet::new();
        let used: u64 = self
            .live
            .values()
            .filter_map(|node| match node {
                Node::File(inode) if seen.insert(*inode) => {
                    Some(self.inodes[inode].live.len() as u64)
                }
                _ => None,
            })
            .sum();
        bytes_max.saturating_sub(used)
    }
}

impl Inode {
    /// The bytes that the next boot finds.
    fn after_crash(&self, tail: Tail) -> Vec<u8> {
        if self.live == self.durable {
            return self.durable.clone();
        }
        let zeros_from = |kept: usize, length: usize| {
            let mut bytes = self.live[..kept.min(self.live.len())].to_vec();
            bytes.resize(length, 0);
            bytes
        };
        let same = self.live.iter().zip(&self.durable);
        let synced = same.take_while(|(live, durable)| live == durable).count();
        match tail {
            Tail::Lost => self.durable.clone(),
            Tail::Zeros => zeros_from(synced, self.live.len()),
            Tail::Longer => zeros_from(synced, self.live.len() + 4096),
            Tail::Half => {
                let half = synced + (self.live.len() - synced) / 2;
                zeros_from(half, self.live.len())
            }
            Tail::Kept => self.live.clone(),
        }
    }
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
            // What stands below a folder whose own name was lost is lost.
            let folders = found.clone();
            found.retain(|path, _| {
                let mut above = path.ancestors().skip(1);
                above.all(|folder| folders.get(folder) == Some(&Node::Folder))
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

    fn reserve(&self, file: &CrashFile, offset: u64, bytes: NonZeroU64) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        let length = world.inode(file).live.len() as u64;
        if (offset + bytes.get()).saturating_sub(length) > world.room() {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
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

    fn reader(&self, file: CrashFile) -> io::Result<BlobReader> {
        let mut world = self.world();
        world.call()?;
        Ok(BlobReader::Memory(world.inode(&file).live.as_slice().into()))
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        Some([self.world().boot; 16])
    }
}
