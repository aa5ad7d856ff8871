//! The ballast: a file inside the reserve whose room only the catalog ever gets.
//!
//! Somebody else's file can fill the disk to the last byte. Then a commit that finds no room has
//! the ballast cut to nothing, and deletions go on. It is cut and not removed: that needs no room,
//! not even for a name.

use std::io::{self, ErrorKind as Io};
use std::num::NonZeroU64;
use std::path::PathBuf;

use super::Ground;
use crate::store::blobs::disk::{Access, Disk, Room};
use crate::store::layout::Layout;

/// A data folder on a disk.
pub(super) struct OnDisk<D: Disk> {
    disk: D,
    root: PathBuf,
    ballast: PathBuf,
}

impl<D: Disk> OnDisk<D> {
    pub(super) fn new(disk: D, layout: &Layout) -> Self {
        Self {
            disk,
            root: layout.root().to_owned(),
            ballast: layout.ballast(),
        }
    }

    fn open(&self) -> io::Result<D::File> {
        match self.disk.open(&self.ballast, Access::ReadWrite) {
            Err(error) if error.kind() == Io::NotFound => {
                let file = self.disk.create(&self.ballast)?;
                // A name that is lost costs the next start its room.
                self.disk.sync_folder(&self.root)?;
                Ok(file)
            }
            result => result,
        }
    }
}

impl<D: Disk> Ground for OnDisk<D> {
    fn room(&self) -> io::Result<Room> {
        self.disk.room(&self.root)
    }

    fn ballast(&self) -> io::Result<u64> {
        let found = self.disk.lookup(&self.ballast)?;
        Ok(found.map_or(0, |found| found.length))
    }

    fn set_ballast(&self, bytes: u64) -> io::Result<()> {
        let file = self.open()?;
        let Some(count) = NonZeroU64::new(bytes) else {
            return self.disk.set_length(&file, 0);
        };
        let made = self
            .disk
            .allocate(&file, count)
            .and_then(|()| self.disk.set_length(&file, bytes));
        if made.is_err() {
            // What it got so far would be missing and help nobody.
            self.disk.set_length(&file, 0)?;
        }
        made
    }

    fn sync_ballast(&self) -> io::Result<()> {
        self.disk.sync(&self.open()?)
    }
}
