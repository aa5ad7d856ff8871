//! The scrub in the background: when it reads, and how fast.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::clock::Clock;
use crate::registry::scrub::RoundEnd;
use crate::registry::{Error, Registry};
use crate::store::ErrorKind;

/// How often it is looked whether a round is due, at the most: the clock may be set meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The rate of a small store. To read it slower than this spares nobody anything, and a long blob
/// should come to its end before the next restart.
const RATE_MIN: u64 = 1 << 20;

/// What of the time that was not used may be used later, at once.
const CREDIT_MAX: Duration = Duration::from_secs(1);

/// When and how fast everything is read again.
#[derive(Clone, Copy, Debug)]
pub struct ScrubOptions {
    /// Time from the beginning of one round to that of the next; 0 for none.
    pub period: Duration,
    /// The most bytes that are read a second.
    pub bytes_per_second_max: u64,
}

/// The running thread; dropping it stops and joins it.
pub struct Scrubber {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Scrubber {
    /// Starts it; `None` when there is nothing to do.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(
        registry: Arc<Registry>,
        clock: Arc<dyn Clock>,
        options: ScrubOptions,
    ) -> io::Result<Option<Self>> {
        if options.period.is_zero() {
            return Ok(None);
        }
        let (stop, stopped) = bounded(0);
        let thread = thread::Builder::new()
            .name("scrub".to_owned())
            .stack_size(256 << 10)
            .spawn(move || run(&registry, clock.as_ref(), options, &stopped))?;
        Ok(Some(Self {
            stop: Some(stop),
            thread: Some(thread),
        }))
    }
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn run(registry: &Registry, clock: &dyn Clock, options: ScrubOptions, stopped: &Receiver<()>) {
    let look_every = LOOK_EVERY.min(options.period);
    // Also at the start, which has other things to do.
    while !is_stopped(stopped, look_every) {
        let outcome = match registry.scrub_row() {
            Ok(row) if row.is_due(clock.now(), options.period) => {
                round(registry, clock, options, stopped)
            }
            Ok(_) => continue,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(RoundEnd::Whole) => tell(registry),
            Ok(RoundEnd::Stopped) => return,
            Err(Error::Store(error)) if error.kind() == ErrorKind::Closed => return,
            Err(error) => log::warn!("the scrub could not go on: {error}"),
        }
    }
}

/// Waits for as long; true when it was told to stop meanwhile.
fn is_stopped(stopped: &Receiver<()>, wait: Duration) -> bool {
    !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}

fn round(
    registry: &Registry,
    clock: &dyn Clock,
    options: ScrubOptions,
    stopped: &Receiver<()>,
) -> Result<RoundEnd, Error> {
    let bytes = registry.totals()?.blob_bytes;
    let mut pace = Pace::new(rate(bytes, options), Instant::now());
    registry.scrub(clock, &mut |count| {
        let wait = pace.after(count, Instant::now());
        !is_stopped(stopped, wait)
    })
}

fn tell(registry: &Registry) {
    // It was just written.
    let Ok(Some(last)) = registry.scrub_state().map(|state| state.last) else {
        return;
    };
    log::info!(
        "the scrub has read all {} blobs with {} bytes and found {} damaged",
        last.counts.blobs,
        last.counts.bytes,
        last.counts.found
    );
}

/// Bytes a second with which a store of `bytes` is read within three quarters of the period, so
/// that it may grow meanwhile; never more than the bound.
fn rate(bytes: u64, options: ScrubOptions) -> u64 {
    let seconds = (options.period.as_secs() * 3 / 4).max(1);
    (bytes / seconds)
        .max(RATE_MIN)
        .min(options.bytes_per_second_max.max(1))
}

/// Keeps reading at a rate.
struct Pace {
    bytes_per_second: u64,
    /// When all that was read until now may have been read.
    due: Instant,
}

impl Pace {
    fn new(bytes_per_second: u64, now: Instant) -> Self {
        Self {
            bytes_per_second,
            due: now,
        }
    }

    /// How long to wait at `now`, after `count` more bytes.
    fn after(&mut self, count: u64, now: Instant) -> Duration {
        if let Some(earliest) = now.checked_sub(CREDIT_MAX) {
            self.due = self.due.max(earliest);
        }
        let nanos = u128::from(count) * 1_000_000_000 / u128::from(self.bytes_per_second);
        self.due += Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.due.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(period: u64, max: u64) -> ScrubOptions {
        ScrubOptions {
            period: Duration::from_secs(period),
            bytes_per_second_max: max,
        }
    }

    #[test]
    fn a_store_is_read_within_its_period_and_never_above_the_bound() {
        let month = 30 * 86_400;
        let max = 8 << 20;
        assert_eq!(rate(0, options(month, max)), RATE_MIN);
        assert_eq!(rate(5 << 30, options(month, max)), RATE_MIN);
        let large = 4 << 40;
        let found = rate(large, options(month, max));
        assert!(found < max && found * month > large, "{found}");
        assert_eq!(rate(large << 10, options(month, max)), max);
        assert_eq!(
            rate(5 << 30, options(month, 1000)),
            1000,
            "also below the least"
        );
        assert_eq!(rate(5 << 30, options(1, max)), max);
    }

    #[test]
    fn reading_keeps_its_rate_whatever_comes_between() {
        let start = Instant::now();
        let mut pace = Pace::new(1000, start);
        let ms = Duration::from_millis;
        assert_eq!(pace.after(0, start), ms(0));
        assert_eq!(pace.after(500, start), ms(500));
        assert_eq!(pace.after(500, start + ms(500)), ms(500));
        assert_eq!(
            pace.after(100, start + ms(1100)),
            ms(0),
            "as long as that took"
        );
        // The device was slow: what was missed is made up for, up to a second's worth.
        let late = start + ms(61_100);
        assert_eq!(pace.after(1000, late), ms(0));
        assert_eq!(pace.after(1000, late), ms(1000));
        // In all, never more than a second's worth above the rate.
        let (mut pace, mut now, mut read) = (Pace::new(1000, start), start, 0);
        for step in 0..1000_u64 {
            let count = step * 7919 % 400;
            now += pace.after(count, now) + ms(step % 3);
            read += count;
            let most = 1000 * u128::from(read);
            let allowed = 1000 * ((now - start).as_millis() + CREDIT_MAX.as_millis());
            assert!(most <= allowed, "{read} bytes in {:?}", now - start);
        }
    }
}
