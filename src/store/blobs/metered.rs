//! A [`Disk`] that counts what goes through it: bytes that are written, flushes, and how long the
//! usual actions take. It changes nothing.

use std::io;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use super::BlobReader;
use super::disk::{Access, Disk, Metadata, Room};
use crate::metrics::DiskMetrics;
use crate::metrics::labels::Action;

/// Another disk, counted.
#[derive(Clone, Debug)]
pub struct Metered<D> {
    disk: D,
    metrics: Arc<DiskMetrics>,
}

impl<D: Disk> Metered<D> {
    /// Counts what goes to `disk`.
    pub const fn new(disk: D, metrics: Arc<DiskMetrics>) -> Self {
        Self { disk, metrics }
    }
}

impl<D: Disk> Disk for Metered<D> {
    type File = D::File;

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.make_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<D::File> {
        self.disk.create(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<D::File> {
        self.disk.open(path, access)
    }

    fn metadata(&self, file: &D::File) -> io::Result<Metadata> {
        self.disk.metadata(file)
    }

    fn lookup(&self, path: &Path) -> io::Result<Option<Metadata>> {
        let look = || self.disk.lookup(path);
        self.metrics.timed(Action::Stat, look)
    }

    fn list(
        &self,
        path: &Path,
        each: &mut dyn FnMut(&str, Metadata) -> io::Result<bool>,
    ) -> io::Result<()> {
        let list = || self.disk.list(path, each);
        self.metrics.timed(Action::List, list)
    }

    fn write_at(&self, file: &D::File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let written = self.disk.write_at(file, bytes, offset);
        if written.is_ok() {
            self.metrics.written_bytes.add(bytes.len() as u64);
        }
        written
    }

    fn read_at(&self, file: &D::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.read_at(file, buffer, offset)
    }

    fn set_length(&self, file: &D::File, length: u64) -> io::Result<()> {
        self.disk.set_length(file, length)
    }

    fn touch(&self, file: &D::File) -> io::Result<()> {
        self.disk.touch(file)
    }

    fn reserve(&self, file: &D::File, offset: u64, bytes: NonZeroU64) -> io::Result<u64> {
        self.disk.reserve(file, offset, bytes)
    }

    fn allocate(&self, file: &D::File, bytes: NonZeroU64) -> io::Result<()> {
        self.disk.allocate(file, bytes)
    }

    fn room(&self, folder: &Path) -> io::Result<Room> {
        self.disk.room(folder)
    }

    fn start_writeback(&self, file: &D::File, offset: u64, bytes: NonZeroU64) {
        self.disk.start_writeback(file, offset, bytes);
    }

    fn sync(&self, file: &D::File) -> io::Result<()> {
        self.metrics.file_flushes.add_one();
        self.disk.sync(file)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.metrics.folder_flushes.add_one();
        self.disk.sync_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let rename = || self.disk.rename(from, to);
        self.metrics.timed(Action::Move, rename)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let rename = || self.disk.rename_new(from, to);
        self.metrics.timed(Action::Move, rename)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let remove = || self.disk.remove(path);
        self.metrics.timed(Action::Delete, remove)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.link(from, to)
    }

    fn clone_bytes(&self, from: &D::File, to: &D::File) -> io::Result<bool> {
        self.disk.clone_bytes(from, to)
    }

    fn adopt(&self, path: &Path) -> io::Result<()> {
        self.disk.adopt(path)
    }

    fn reader(&self, file: D::File) -> io::Result<BlobReader> {
        self.disk.reader(file)
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        self.disk.boot_id()
    }
}
