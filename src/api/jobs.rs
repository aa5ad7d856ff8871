//! Work in the background: one thread that sweeps, a little at a time, until it is told to stop;
//! and that makes room as soon as there is little.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded, select};

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
    /// Age at which an upload session is removed when there is little room.
    pub idle_age: Duration,
}

/// How often somebody looks how much room there is: others use the disk as well.
const LOOK: Duration = Duration::from_secs(10);
/// The same while there is little.
const LOOK_CLOSELY: Duration = Duration::from_secs(1);
/// Time between two attempts to make room, while there is little.
const RELIEF_AGAIN: Duration = Duration::from_secs(30);

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
    let mut due = Due::new(Instant::now(), options.interval);
    let mut watch = ClockWatch::new(clock.now(), Instant::now());
    loop {
        let mut is_pressed = false;
        select! {
            // It is never sent to: its other end is gone.
            recv(stopped) -> _ => return,
            recv(registry.space().pressure()) -> _ => is_pressed = true,
            default(due.wait(Instant::now())) => {}
        }
        let now = Instant::now();
        let is_low = is_room_low(registry);
        let turn = due.turn(now, is_low, is_pressed);
        if !(turn.sweep || turn.relieve) {
            continue;
        }
        if !watch.is_trusted(clock.now(), now, options.upload_age) {
            log::warn!("nothing is removed by age for now: the clock is wrong or was set");
            continue;
        }
        if turn.sweep {
            sweep(registry, clock, options, rounds.next().unwrap_or_default());
        }
        if turn.relieve {
            relieve(registry, clock, options);
        }
    }
}

/// When what is to be done next.
struct Due {
    interval: Duration,
    sweep: Instant,
    look: Instant,
    relief: Instant,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
struct Turn {
    sweep: bool,
    relieve: bool,
}

impl Due {
    fn new(now: Instant, interval: Duration) -> Self {
        Self {
            interval,
            sweep: now + interval,
            look: now,
            relief: now,
        }
    }

    /// How long nothing is to be done.
    fn wait(&self, now: Instant) -> Duration {
        self.sweep.min(self.look).saturating_duration_since(now)
    }

    /// What is to be done, and when it is next. Room is made when it runs short, and again as long
    /// as it is: uploads come to rest meanwhile.
    fn turn(&mut self, now: Instant, is_low: bool, is_pressed: bool) -> Turn {
        self.look = now + if is_low { LOOK_CLOSELY } else { LOOK };
        let sweep = now >= self.sweep;
        if sweep {
            self.sweep = now + self.interval;
        }
        let relieve = is_low && (is_pressed || now >= self.relief);
        if relieve {
            self.relief = now + RELIEF_AGAIN;
        }
        Turn { sweep, relieve }
    }
}

/// Whether there is little room; sees to the ballast on the way.
fn is_room_low(registry: &Registry) -> bool {
    let space = registry.space();
    space.keep_ballast();
    match space.standing() {
        Ok(standing) => standing.is_some_and(|now| now.is_low || now.is_full),
        Err(error) => {
            log::warn!("{error}");
            false
        }
    }
}

/// Makes room while there is little: what nobody will miss first. Expired uploads go, then those
/// that rest, the oldest first, until there is room.
///
/// Collection, which takes what nobody refers to, has its place after them.
fn relieve(registry: &Registry, clock: &dyn Clock, options: SweepOptions) {
    let now = clock.now();
    expire_uploads(registry, now, options.upload_age);
    if let Some(before) = now.checked_sub(options.idle_age) {
        match registry.expire_idle_uploads(before) {
            Ok(0) => {}
            Ok(count) => log::info!("removed {count} resting upload sessions to make room"),
            Err(error) => log::warn!("resting uploads could not be removed: {error}"),
        }
    }
}

/// Whether ages can be believed: files carry the time of the clock that was right or wrong when
/// they were written.
struct ClockWatch {
    wall: SystemTime,
    steady: Instant,
    quiet_until: Option<Instant>,
}

impl ClockWatch {
    fn new(wall: SystemTime, steady: Instant) -> Self {
        Self {
            wall,
            steady,
            quiet_until: None,
        }
    }

    /// False while the clock stands before this version was made, and for `pause` after it was
    /// set by more than it can have drifted.
    fn is_trusted(&mut self, wall: SystemTime, steady: Instant, pause: Duration) -> bool {
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

fn expire_uploads(registry: &Registry, now: SystemTime, age: Duration) {
    if let Some(before) = now.checked_sub(age) {
        match registry.expire_uploads(before) {
            Ok(0) => {}
            Ok(count) => log::info!("removed {count} upload sessions that nobody touched"),
            Err(error) => log::warn!("expired uploads could not be removed: {error}"),
        }
    }
}

fn sweep(registry: &Registry, clock: &dyn Clock, options: SweepOptions, shards: &[Shard]) {
    let now = clock.now();
    expire_uploads(registry, now, options.upload_age);
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
    fn room_is_made_when_it_runs_short_and_again_while_it_is() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let turn = |sweep, relieve| Turn { sweep, relieve };
        let mut due = Due::new(begin, Duration::from_secs(100));
        assert_eq!(due.wait(begin), Duration::ZERO, "the first look is at once");
        assert_eq!(due.turn(begin, false, false), turn(false, false));
        assert_eq!(due.wait(at(3)), Duration::from_secs(7));
        assert_eq!(due.turn(at(4), true, true), turn(false, true));
        assert_eq!(due.wait(at(4)), LOOK_CLOSELY);
        assert_eq!(due.turn(at(5), true, false), turn(false, false));
        assert_eq!(due.turn(at(34), true, false), turn(false, true));
        assert_eq!(
            due.turn(at(35), true, true),
            turn(false, true),
            "it got worse"
        );
        assert_eq!(
            due.turn(at(36), false, true),
            turn(false, false),
            "others made room"
        );
        assert_eq!(due.turn(at(100), true, false), turn(true, true));
        assert_eq!(due.turn(at(199), false, false), turn(false, false));
        assert_eq!(due.wait(at(199)), Duration::from_secs(1));
    }

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
