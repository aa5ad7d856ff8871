//! Work in the background: one thread that sweeps, a little at a time, until it is told to stop.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::clock::{Clock, MADE_AFTER};
use crate::registry::Registry;
use crate::store::Shard;

/// How old things must be before they are swept, and how often somebody looks.
#[derive(Clone, Copy, Debug)]
pub struct SweepOptions {
    /// Time between two sweeps.
    pub interval: Duration,
    /// Age at which an upload session that nobody touches is removed.
    pub upload_age: Duration,
    /// Age at which a file without a row is removed.
    pub orphan_age: Duration,
}

/// A step of the clock that is no drift: it was set.
const CLOCK_STEP_MAX: Duration = Duration::from_secs(300);

/// Sweeps between two visits to the same folder: a day at the default interval.
const SWEEPS_PER_ROUND: usize = 24;

/// The running background thread; dropping it stops and joins it.
pub struct Jobs {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Jobs {
    /// Starts sweeping.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(
        registry: Arc<Registry>,
        clock: Arc<dyn Clock>,
        options: SweepOptions,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let thread = thread::Builder::new()
            .name("sweep".to_owned())
            .stack_size(256 << 10)
            .spawn(move || run(&registry, clock.as_ref(), options, &stopped))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn run(registry: &Registry, clock: &dyn Clock, options: SweepOptions, stopped: &Receiver<()>) {
    let shards: Vec<Shard> = Shard::all().collect();
    let mut rounds = shards
        .chunks(shards.len().div_ceil(SWEEPS_PER_ROUND))
        .cycle();
    let mut next = Instant::now() + options.interval;
    let mut watch = ClockWatch::new(clock.now(), Instant::now());
    loop {
        match stopped.recv_deadline(next) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        next = Instant::now() + options.interval;
        let shards = rounds.next().unwrap_or_default();
        if watch.is_trusted(clock.now(), Instant::now(), options.upload_age) {
            sweep(registry, clock, options, shards);
        } else {
            log::warn!("nothing is removed by age for now: the clock is wrong or was set");
        }
    }
}

/// Whether ages can be believed: files carry the time of the clock that was right or wrong when
/// they were written.
pub(super) struct ClockWatch {
    wall: SystemTime,
    steady: Instant,
    quiet_until: Option<Instant>,
}

impl ClockWatch {
    pub(super) fn new(wall: SystemTime, steady: Instant) -> Self {
        Self {
            wall,
            steady,
            quiet_until: None,
        }
    }

    /// False while the clock stands before this version was made, and for `pause` after it was
    /// set by more than it can have drifted.
    pub(super) fn is_trusted(
        &mut self,
        wall: SystemTime,
        steady: Instant,
        pause: Duration,
    ) -> bool {
        let expected = self.wall + steady.duration_since(self.steady);
        let step = wall
            .duration_since(expected)
            .unwrap_or_else(|behind| behind.duration());
        (self.wall, self.steady) = (wall, steady);
        if step > CLOCK_STEP_MAX {
            self.quiet_until = Some(steady + pause);
        }
        wall >= SystemTime::UNIX_EPOCH + MADE_AFTER
            && self.quiet_until.is_none_or(|until| steady >= until)
    }
}

fn sweep(registry: &Registry, clock: &dyn Clock, options: SweepOptions, shards: &[Shard]) {
    let now = clock.now();
    if let Some(before) = now.checked_sub(options.upload_age) {
        match registry.expire_uploads(before) {
            Ok(0) => {}
            Ok(count) => log::info!("removed {count} upload sessions that nobody touched"),
            Err(error) => log::warn!("expired uploads could not be removed: {error}"),
        }
    }
    let Some(before) = now.checked_sub(options.orphan_age) else {
        return;
    };
    for shard in shards {
        match registry.sweep_orphans(*shard, before) {
            Ok(0) => {}
            Ok(count) => log::info!("removed {count} files without a row"),
            Err(error) => log::warn!("files without a row could not be removed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_not_believed_after_the_clock_was_set_nor_before_this_version_was_made() {
        let second = Duration::from_secs(1);
        let (wall, steady) = (SystemTime::UNIX_EPOCH + MADE_AFTER, Instant::now());
        let mut watch = ClockWatch::new(wall, steady);
        let mut at = |wall_s: u64, steady_s: u32| {
            let wall = wall + Duration::from_secs(wall_s);
            watch.is_trusted(wall, steady + second * steady_s, second * 1000)
        };
        assert!(at(60, 60));
        assert!(at(130, 120), "drift");
        assert!(!at(1_000_000, 180), "set forward");
        assert!(!at(1_000_060, 240), "still");
        assert!(at(1_001_060, 1240), "the pause is over");
        assert!(!at(5000, 1300), "set back");
        let mut wrong = ClockWatch::new(SystemTime::UNIX_EPOCH, steady);
        assert!(!wrong.is_trusted(SystemTime::UNIX_EPOCH + second, steady + second, second));
    }
}
