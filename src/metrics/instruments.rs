//! Counters, gauges and histograms over atomics. Each is exact by itself; several together are no
//! snapshot.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many of something there are at this moment.
#[derive(Debug, Default)]
pub struct Level(AtomicUsize);

impl Level {
    /// One more. It counts until [`leave`](Self::leave), which its caller owes.
    pub fn enter(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where the buckets of a histogram end, and in what unit it is told.
#[derive(Debug)]
pub struct Bounds {
    /// The largest value of each bucket, ascending; the last bucket has no end.
    pub ends: &'static [u64],
    /// So many of the counted unit are one of the told unit.
    pub scale: u64,
}

/// Nanoseconds in a second: durations are counted in the one and told in the other.
const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

/// From a cached read to a push of minutes. Distribution's buckets are among them.
pub static REQUEST_SECONDS: Bounds = Bounds {
    ends: &[
        MS / 10,
        MS / 4,
        MS / 2,
        MS,
        5 * MS / 2,
        5 * MS,
        10 * MS,
        25 * MS,
        50 * MS,
        100 * MS,
        250 * MS,
        500 * MS,
        SECOND,
        5 * SECOND / 2,
        5 * SECOND,
        10 * SECOND,
        30 * SECOND,
        60 * SECOND,
        300 * SECOND,
    ],
    scale: SECOND,
};

/// From a row in the page cache to a flush of a worn card.
pub static STORE_SECONDS: Bounds = Bounds {
    ends: &[
        MS / 100,
        MS / 40,
        MS / 10,
        MS / 4,
        MS,
        5 * MS / 2,
        5 * MS,
        10 * MS,
        25 * MS,
        50 * MS,
        100 * MS,
        250 * MS,
        500 * MS,
        SECOND,
        5 * SECOND / 2,
        5 * SECOND,
        10 * SECOND,
    ],
    scale: SECOND,
};

/// Distribution's buckets of durations.
pub static DISTRIBUTION_SECONDS: Bounds = Bounds {
    ends: &[
        5 * MS,
        10 * MS,
        25 * MS,
        50 * MS,
        100 * MS,
        250 * MS,
        500 * MS,
        SECOND,
        5 * SECOND / 2,
        5 * SECOND,
        10 * SECOND,
    ],
    scale: SECOND,
};

/// Distribution's buckets of lengths: from 1 KiB on, each twice the one before.
pub static BODY_BYTES: Bounds = Bounds {
    ends: &{
        let mut ends = [0; 22];
        let mut at = 0;
        while at < ends.len() {
            ends[at] = 1024 << at;
            at += 1;
        }
        ends
    },
    scale: 1,
};

/// Writes that share a commit.
pub static BATCH_WRITES: Bounds = Bounds {
    ends: &[1, 2, 4, 8, 16, 32, 64, 128, 256],
    scale: 1,
};

/// How often a value fell into which bucket.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static Bounds,
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// An empty one.
    pub fn new(bounds: &'static Bounds) -> Self {
        let buckets = (0..=bounds.ends.len()).map(|_| AtomicU64::new(0));
        Self {
            bounds,
            buckets: buckets.collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a value in the counted unit.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.ends.partition_point(|end| *end < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a duration, in nanoseconds.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// What it holds now.
    pub fn read(&self) -> Reading {
        let buckets = self.buckets.iter();
        Reading {
            bounds: self.bounds,
            buckets: buckets.map(|own| own.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// What a histogram held when it was looked at.
#[derive(Clone, Debug)]
pub struct Reading {
    bounds: &'static Bounds,
    /// How many values fell into each bucket alone.
    buckets: Vec<u64>,
    sum: u64,
}

impl Reading {
    /// One of nothing.
    pub fn empty(bounds: &'static Bounds) -> Self {
        Self {
            bounds,
            buckets: vec![0; bounds.ends.len() + 1],
            sum: 0,
        }
    }

    /// Adds another one with the same bounds.
    pub fn add(&mut self, other: &Self) {
        for (own, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *own += more;
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// The same with fewer buckets, whose ends are all among its own.
    #[must_use]
    pub fn coarser(&self, bounds: &'static Bounds) -> Self {
        let mut coarse = Self::empty(bounds);
        for (at, count) in self.buckets.iter().enumerate() {
            let end = self.bounds.ends.get(at).copied().unwrap_or(u64::MAX);
            let bucket = bounds.ends.partition_point(|own| *own < end);
            coarse.buckets[bucket] += count;
        }
        coarse.sum = self.sum;
        coarse
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum, in the counted unit.
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// Their sum in the told unit.
    pub fn told_sum(&self) -> f64 {
        scaled(self.sum, self.bounds.scale)
    }

    /// The end of each bucket in the told unit, and how many values were no larger; the last bucket
    /// is left to [`count`](Self::count).
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut below = 0;
        self.bounds
            .ends
            .iter()
            .zip(&self.buckets)
            .map(move |(end, count)| {
                below += count;
                (scaled(*end, self.bounds.scale), below)
            })
    }
}

/// A count in a larger unit. Prometheus has no other numbers.
#[expect(
    clippy::cast_precision_loss,
    reason = "a double is what the format holds"
)]
pub fn scaled(value: u64, scale: u64) -> f64 {
    value as f64 / scale as f64
}
