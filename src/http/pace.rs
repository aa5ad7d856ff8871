//! The minimum transfer rate: decides whether a client keeps up. It reads no clock itself.

use std::time::Duration;

/// Adds up the time spent waiting for a client and the bytes that moved meanwhile, window by
/// window. What a handler does between two reads is not the client's time.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    rate_min_bytes_per_s: u64,
    window: Duration,
    waited: Duration,
    moved: u64,
}

/// The client moved fewer bytes in a window than it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSlow;

impl Pace {
    pub(super) fn new(rate_min_bytes_per_s: u64, window: Duration) -> Self {
        Self {
            rate_min_bytes_per_s,
            window,
            waited: Duration::ZERO,
            moved: 0,
        }
    }

    /// Records that waiting for `waited` moved `bytes`, and judges the window if it is over.
    pub(super) fn add(&mut self, waited: Duration, bytes: u64) -> Result<(), TooSlow> {
        self.waited += waited;
        self.moved = self.moved.saturating_add(bytes);
        if self.waited < self.window {
            return Ok(());
        }
        let moved_min = self.waited.as_millis() * u128::from(self.rate_min_bytes_per_s) / 1000;
        let enough = u128::from(self.moved) >= moved_min.max(1);
        self.waited = Duration::ZERO;
        self.moved = 0;
        if enough { Ok(()) } else { Err(TooSlow) }
    }

    /// How long until the window is judged.
    pub(super) fn left(&self) -> Duration {
        self.window.saturating_sub(self.waited)
    }
}
