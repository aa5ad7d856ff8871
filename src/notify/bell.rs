//! A bell that wakes whoever waits for something new: it cannot be missed between looking and
//! waiting.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The bell.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<Rung>,
    changed: Condvar,
}

/// How often it was rung, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rung {
    /// Something happened that is to be delivered.
    news: u64,
    /// Somebody wants something of those who wait: to end, to look at what they are anew.
    calls: u64,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Whatever it is rung for.
    News,
    /// To be called.
    Calls,
}

impl Bell {
    /// Wakes those that wait for news.
    pub(super) fn ring(&self) {
        self.change(|rung| rung.news = rung.news.wrapping_add(1));
    }

    /// Wakes all that wait.
    pub(super) fn call(&self) {
        self.change(|rung| rung.calls = rung.calls.wrapping_add(1));
    }

    fn change(&self, change: impl FnOnce(&mut Rung)) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut rung);
        self.changed.notify_all();
    }

    /// How often it was rung: to be asked before one looks.
    pub(super) fn heard(&self) -> Rung {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is rung once more than `heard`, or the time is over.
    pub(super) fn wait(&self, heard: Rung, what: For, time: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let is_still = |rung: &mut Rung| match what {
            For::News => *rung == heard,
            For::Calls => rung.calls == heard.calls,
        };
        // Whoever panicked while holding it left a number behind; there is nothing to repair.
        let _ = self.changed.wait_timeout_while(rung, time, is_still);
    }
}
