//! The two images of a [`CrashDisk`](super::CrashDisk), and what goes wrong with them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{CrashFile, EIO, Faults, Tail};
use crate::store::blobs::disk::Metadata;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Folder,
    File(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) modified: u64,
}

pub(super) type NameTable = BTreeMap<PathBuf, Node>;

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) live: NameTable,
    pub(super) durable: NameTable,
    pub(super) inodes: HashMap<u64, Inode>,
    pub(super) inode_last: u64,
    /// Seconds since the epoch; each call takes one.
    pub(super) now: u64,
    pub(super) boot: u8,
    pub(super) calls: u64,
    pub(super) syncs: u64,
    pub(super) faults: Faults,
    pub(super) frozen: bool,
    /// Whether one more name for a file can be had.
    pub(super) can_link: bool,
    /// Whether files can share bytes.
    pub(super) can_clone: bool,
}

impl World {
    /// Counts a call; fails it when its time has come.
    pub(super) fn call(&mut self) -> io::Result<()> {
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

    pub(super) fn sync_call(&mut self) -> io::Result<()> {
        self.syncs += 1;
        if self.faults.freeze_at_sync == Some(self.syncs) {
            self.frozen = true;
        }
        self.call()
    }

    pub(super) fn inode(&mut self, file: &CrashFile) -> &mut Inode {
        self.inodes.get_mut(&file.inode).unwrap()
    }

    pub(super) fn writable(&mut self, file: &CrashFile) -> io::Result<&mut Inode> {
        if !file.writable {
            return Err(io::Error::from_raw_os_error(9));
        }
        let now = self.now;
        let inode = self.inode(file);
        inode.modified = now;
        Ok(inode)
    }

    pub(super) fn check_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent().map(|parent| self.live.get(parent)) {
            Some(Some(Node::Folder)) => Ok(()),
            Some(Some(Node::File(_))) => Err(io::Error::from_raw_os_error(20)),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn file_at(&self, path: &Path) -> io::Result<u64> {
        match self.live.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Folder) => Err(io::Error::from_raw_os_error(21)),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.file_at(from)?;
        self.check_parent(to)?;
        if self.live.get(to) == Some(&Node::Folder) {
            return Err(io::Error::from_raw_os_error(21));
        }
        self.live.remove(from);
        self.live.insert(to.to_owned(), Node::File(inode));
        Ok(())
    }

    pub(super) fn metadata(&self, node: Node) -> Metadata {
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
    pub(super) fn room(&self) -> u64 {
        let Some(bytes_max) = self.faults.bytes_max else {
            return u64::MAX;
        };
        let mut seen = BTreeSet::new();
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
    pub(super) fn after_crash(&self, tail: Tail) -> Vec<u8> {
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
