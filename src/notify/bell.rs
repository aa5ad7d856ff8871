//! A bell that wakes whoever waits for something new: it cannot be missed between looking and
//! waiting.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The bell.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<u64>,
    changed: Condvar,
}

impl Bell {
    /// Wakes all that wait.
    pub(super) fn ring(&self) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        *rung = rung.wrapping_add(1);
        self.changed.notify_all();
    }

    /// How often it was rung: to be asked before one looks.
    pub(super) fn heard(&self) -> u64 {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is rung once more than `heard`, or the time is over.
    pub(super) fn wait(&self, heard: u64, time: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever panicked while holding it left a number behind; there is nothing to repair.
        let _ = self
            .changed
            .wait_timeout_while(rung, time, |rung| *rung == heard);
    }
}
