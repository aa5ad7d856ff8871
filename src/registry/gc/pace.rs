//! How much a batch takes and how long the collection rests after it, so that nobody who pushes
//! notices: the writer's time is shared.

use std::time::Duration;

/// The fewest items of a batch.
const SIZE_MIN: usize = 32;
/// The most.
const SIZE_MAX: usize = 256;
/// How long a batch should keep the writer.
const BUSY_MAX: Duration = Duration::from_millis(1);
/// While others write, a batch and what follows it until the next take at least so many times as
/// long as it has kept the writer.
const CYCLE: u32 = 3;
/// The longest rest.
const REST_MAX: Duration = Duration::from_millis(50);

/// The pace of one run.
pub(super) struct Pace {
    size: usize,
    rest: Duration,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            size: SIZE_MIN * 2,
            rest: Duration::ZERO,
        }
    }

    /// How many items the next batch has.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// How long to rest before it.
    pub(super) const fn rest(&self) -> Duration {
        self.rest
    }

    /// A batch has kept the writer for `busy`, and took `whole` with its wait for others and for
    /// the commit; `shared` when others wrote meanwhile.
    pub(super) fn note(&mut self, busy: Duration, whole: Duration, shared: bool) {
        if busy > BUSY_MAX {
            self.size = (self.size / 2).max(SIZE_MIN);
        } else if busy < BUSY_MAX / 2 {
            self.size = (self.size * 2).min(SIZE_MAX);
        }
        self.rest = if shared {
            (busy * CYCLE).saturating_sub(whole).min(REST_MAX)
        } else {
            Duration::ZERO
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_more_while_that_is_quick_and_rests_while_others_write() {
        let ms = Duration::from_millis;
        let mut pace = Pace::new();
        for _ in 0..10 {
            pace.note(ms(0), ms(2), false);
        }
        assert_eq!((pace.size(), pace.rest()), (SIZE_MAX, Duration::ZERO));
        pace.note(ms(1), ms(2), true);
        assert_eq!((pace.size(), pace.rest()), (SIZE_MAX, ms(1)));
        pace.note(ms(1), ms(12), true);
        assert_eq!(pace.rest(), Duration::ZERO, "others had their turn");
        for _ in 0..10 {
            pace.note(ms(1000), ms(1001), true);
        }
        assert_eq!((pace.size(), pace.rest()), (SIZE_MIN, REST_MAX));
    }
}
