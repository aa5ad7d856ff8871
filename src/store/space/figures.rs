//! Figures of room for people and programs.

use std::fmt;

/// Why a push was refused: it would have broken into the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Bytes that it asked for.
    pub asked: u64,
    /// Bytes that are free, the ballast among them, less what was promised to others.
    pub free: u64,
    /// Bytes that are kept free.
    pub reserve: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} asked for, {} free, {} reserved; delete content, run `coracle gc`, or make room \
             (storage.reserve)",
            human(self.asked),
            human(self.free),
            human(self.reserve)
        )
    }
}

impl std::error::Error for Shortage {}

/// A number of bytes for people, in the largest unit that it fills, with one digit behind the
/// point where the number is short: `12 MiB`, `1.5 GiB`, `700 bytes`. Never more than there are.
pub fn human(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, shift)) = units.into_iter().find(|(_, shift)| bytes >> shift > 0) else {
        return format!("{bytes} bytes");
    };
    let whole = bytes >> shift;
    let tenths = ((bytes >> (shift - 10)) & 1023) * 10 / 1024;
    if whole < 10 && tenths > 0 {
        format!("{whole}.{tenths} {unit}")
    } else {
        format!("{whole} {unit}")
    }
}
