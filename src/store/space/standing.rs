//! How it stands with the room: enough, little, none for pushes; and when that is said.
//!
//! Each state is left a little above where it is entered, so that a push and a delete at its edge
//! do not fill the log.

use std::fmt;

use super::figures::{Shortage, human};

/// A push of this length that finds no room means that there is none, in bytes. Until twice as
/// much is free it is not said that there is some again.
const SMALL_PUSH: u64 = 1 << 20;

/// What is to be kept free on a file system, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    pub(super) reserve: u64,
    pub(super) low_water: u64,
}

/// How it stands with the room of a data folder, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What there is in all.
    pub total: u64,
    /// What is free, the ballast among it.
    pub free: u64,
    /// What pushes leave free.
    pub reserve: u64,
    /// Below this, room is made.
    pub low_water: u64,
    /// Whether there is less than that.
    pub is_low: bool,
    /// Whether pushes are refused.
    pub is_full: bool,
}

impl Standing {
    /// What keeps `asked` bytes more from being admitted beside `announced` ones.
    pub(super) const fn shortage(&self, announced: u64, asked: u64) -> Option<Shortage> {
        let free = self.free.saturating_sub(announced);
        if asked <= free.saturating_sub(self.reserve) {
            return None;
        }
        Some(Shortage {
            asked,
            free,
            reserve: self.reserve,
        })
    }
}

impl fmt::Display for Standing {
    /// One sentence about the worst of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (free, reserve) = (human(self.free), human(self.reserve));
        if self.is_full {
            write!(f, "writes are refused: {free} free, {reserve} reserved")
        } else if self.is_low {
            let low = human(self.low_water);
            write!(f, "there is little room: {free} free, less than {low}")
        } else {
            write!(f, "there is room: {free} free, {reserve} reserved")
        }
    }
}

/// Which states hold at this moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    is_low: bool,
    is_full: bool,
}

/// States that were entered or left just now, each with its figures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changes {
    pub(super) low: Option<bool>,
    pub(super) full: Option<bool>,
    now: Standing,
}

impl Turn {
    /// Notes what was measured, and what was refused because of it.
    pub(super) fn note(&mut self, now: &Standing, refused: Option<&Shortage>) -> Changes {
        let above = now.free.saturating_sub(now.reserve);
        let is_full = if self.is_full {
            above < 2 * SMALL_PUSH
        } else {
            let small = refused.is_some_and(|shortage| shortage.asked <= SMALL_PUSH);
            // What was promised to others may never come.
            above == 0 || small && above < SMALL_PUSH
        };
        let leave = now.low_water.saturating_add(now.low_water / 16);
        let is_low = now.free < if self.is_low { leave } else { now.low_water };
        let before = std::mem::replace(self, Self { is_low, is_full });
        Changes {
            low: (before.is_low != is_low).then_some(is_low),
            full: (before.is_full != is_full).then_some(is_full),
            now: Standing {
                is_low,
                is_full,
                ..*now
            },
        }
    }

    /// Whether there is little room, and whether there is none.
    pub(super) const fn flags(self) -> (bool, bool) {
        (self.is_low, self.is_full)
    }
}

impl Changes {
    /// Writes a line for each; whether room is to be made.
    pub(super) fn log(&self) -> bool {
        let (free, low) = (human(self.now.free), human(self.now.low_water));
        match self.low {
            Some(true) => log::warn!(
                "there is little room: {free} free, less than {low} (storage.low_water); uploads \
                 that rest are removed and what nobody refers to is collected"
            ),
            Some(false) => log::info!("there is enough room again: {free} free"),
            None => {}
        }
        let reserve = human(self.now.reserve);
        match self.full {
            Some(true) => log::warn!(
                "writes are refused: {free} free, {reserve} reserved; delete content, run \
                 `coracle gc`, or make room (storage.reserve)"
            ),
            Some(false) => log::info!("writes are taken again: {free} free, {reserve} reserved"),
            None => {}
        }
        self.low == Some(true) || self.full == Some(true)
    }
}
