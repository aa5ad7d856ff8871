//! Reading a file that nobody asked for, without keeping it in the kernel's cache in the place of
//! what clients ask for.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU64;

use rustix::fs::{Advice, fadvise};

use super::BlobReader;

/// Advice takes whole pages; the largest there are.
const PAGE_BYTES: u64 = 64 << 10;

struct QuietFile {
    file: File,
    at: u64,
}

impl Read for QuietFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let begin = self.at - self.at % PAGE_BYTES;
        self.at += count as u64;
        // At the end all of it, with what the kernel has read ahead.
        let length = (count > 0).then_some(self.at - begin);
        let begin = if count > 0 { begin } else { 0 };
        // Advice that was not taken changes nothing but the cache.
        let _ = fadvise(
            &self.file,
            begin,
            length.and_then(NonZeroU64::new),
            Advice::DontNeed,
        );
        Ok(count)
    }
}

impl BlobReader {
    /// Reads all bytes in order like [`into_read`](Self::into_read), and leaves none of them in
    /// the kernel's cache.
    pub fn into_quiet_read(self) -> Box<dyn Read + Send> {
        match self {
            Self::File(file) => Box::new(QuietFile { file, at: 0 }),
            memory @ Self::Memory(_) => memory.into_read(),
        }
    }
}
