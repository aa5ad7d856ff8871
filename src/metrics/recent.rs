//! How often something has happened within the last seconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Whole seconds that are looked at.
const SECONDS: u64 = 10;
/// More than that, so that what is counted now is not what is read.
const SLOTS: usize = 16;

/// Counts by the second. A slot holds a second in its upper half and the count of it in its lower.
#[derive(Debug)]
pub struct Recent {
    start: Instant,
    slots: [AtomicU64; SLOTS],
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            slots: Default::default(),
        }
    }
}

impl Recent {
    /// Counts one.
    pub fn count(&self) {
        self.count_at(self.start.elapsed());
    }

    /// How many a second, on the average of the last seconds that are over.
    pub fn per_second(&self) -> f64 {
        self.per_second_at(self.start.elapsed())
    }

    fn count_at(&self, time: Duration) {
        let second = time.as_secs() & 0xffff_ffff;
        let next = |slot: u64| {
            let same = slot >> 32 == second;
            // Four thousand million in a second do not happen.
            Some(if same { slot + 1 } else { second << 32 | 1 })
        };
        // It gives a value always, so this does not fail.
        let _ = self.slots[at(second)].fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    fn per_second_at(&self, time: Duration) -> f64 {
        let now = time.as_secs() & 0xffff_ffff;
        let over = SECONDS.min(now);
        let count: u64 = (now - over..now)
            .map(|second| {
                let slot = self.slots[at(second)].load(Ordering::Relaxed);
                if slot >> 32 == second {
                    slot & 0xffff_ffff
                } else {
                    0
                }
            })
            .sum();
        super::instruments::scaled(count, over.max(1))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "less than SLOTS")]
const fn at(second: u64) -> usize {
    (second % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_whole_seconds() {
        let recent = Recent::default();
        let ms = Duration::from_millis;
        assert!(recent.per_second_at(ms(0)).abs() < f64::EPSILON);
        for at in 0..40_u64 {
            recent.count_at(ms(at * 100));
        }
        assert!((recent.per_second_at(ms(4000)) - 10.0).abs() < 1e-9);
        assert!((recent.per_second_at(ms(13_500)) - 1.0).abs() < 1e-9);
        assert!(recent.per_second_at(ms(14_000)).abs() < f64::EPSILON);
        // A slot that was used before counts anew.
        recent.count_at(ms(16_500));
        assert!((recent.per_second_at(ms(17_000)) - 0.1).abs() < 1e-9);
    }
}
