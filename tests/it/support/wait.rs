//! Waiting for what happens by itself: asked again and again until it is so, or the test fails.

use std::thread;
use std::time::{Duration, Instant};

/// How long something may take that happens by itself; far above what it needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns once `is_so` answers with a value.
#[track_caller]
pub fn eventually<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = is_so() {
            return value;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
