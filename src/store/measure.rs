//! How fast a folder's disk is at what the registry does: writing a blob, and flushing a commit.
//!
//! One file of [`FILE_BYTES`] is written and removed again; nothing of the registry is touched.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Error;

/// The length of the file that is written, in bytes.
pub const FILE_BYTES: u64 = 16 << 20;
/// How much is written at a time, in bytes.
const PIECE_BYTES: usize = 1 << 20;
/// The length of a small write, in bytes: a page of the catalog's log.
const PAGE_BYTES: usize = 4096;
/// How many small writes are flushed at most.
const FLUSHES_MAX: u32 = 64;
/// How long flushing goes on at most, so that a card that takes a second for each is soon known.
const FLUSHING_MAX: Duration = Duration::from_secs(3);

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DiskFigures {
    /// Bytes a second of one file that was written and flushed.
    pub write_bytes_per_second: u64,
    /// Milliseconds of a flush of one page, of half of them at most.
    pub flush_ms_median: f64,
    /// Milliseconds of the slowest flush.
    pub flush_ms_max: f64,
    /// How many flushes that is from.
    pub flushes: u32,
}

/// Removes the file, whatever happens.
struct Probe {
    path: PathBuf,
    file: File,
}

impl Drop for Probe {
    fn drop(&mut self) {
        // Whoever removed it first did what was to be done.
        let _ = fs::remove_file(&self.path);
    }
}

/// Measures the disk of `folder`.
///
/// # Errors
/// A file cannot be made in it, or not be written: kinds `Denied`, `Full`, `Io`.
pub fn measure(folder: &Path) -> Result<DiskFigures, Error> {
    let path = folder.join(format!(".coracle-doctor-{}", std::process::id()));
    let failed = |error| Error::io("measuring the disk of", folder.display(), error);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    let mut probe = Probe { path, file };
    let write_bytes_per_second = write(&mut probe.file).map_err(failed)?;
    let mut flushes = flush(&probe.file).map_err(failed)?;
    flushes.sort_unstable();
    let ms = |at: usize| {
        flushes
            .get(at)
            .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    Ok(DiskFigures {
        write_bytes_per_second,
        flush_ms_median: ms(flushes.len() / 2),
        flush_ms_max: ms(flushes.len().saturating_sub(1)),
        flushes: u32::try_from(flushes.len()).unwrap_or(u32::MAX),
    })
}

/// Writes the file as a push would; bytes a second.
fn write(file: &mut File) -> std::io::Result<u64> {
    // A device that compresses must not find anything to compress.
    let mut piece = vec![0; PIECE_BYTES];
    getrandom::fill(&mut piece).map_err(std::io::Error::other)?;
    let begin = Instant::now();
    for _ in 0..FILE_BYTES / PIECE_BYTES as u64 {
        file.write_all(&piece)?;
    }
    file.sync_data()?;
    let micros = begin.elapsed().as_micros().max(1);
    let per_second = u128::from(FILE_BYTES) * 1_000_000 / micros;
    Ok(u64::try_from(per_second).unwrap_or(u64::MAX))
}

/// Writes pages over what is there and flushes each, as commits into the log do.
fn flush(file: &File) -> std::io::Result<Vec<Duration>> {
    let page = [0x5a; PAGE_BYTES];
    let mut times = Vec::new();
    let begin = Instant::now();
    for number in 0..FLUSHES_MAX {
        let start = Instant::now();
        file.write_all_at(&page, u64::from(number) * PAGE_BYTES as u64)?;
        file.sync_data()?;
        times.push(start.elapsed());
        if begin.elapsed() > FLUSHING_MAX {
            break;
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_there_and_the_file_is_gone() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let figures = measure(folder.path()).expect("figures");
        assert!(figures.write_bytes_per_second > 0 && figures.flushes > 0);
        assert!(figures.flush_ms_median <= figures.flush_ms_max);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
        assert!(measure(&folder.path().join("missing")).is_err());
    }
}
