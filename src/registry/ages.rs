//! Whether ages can be believed: everything that is removed because it is old asks here first.
//!
//! The rules. A clock that stands before this version was made is wrong. One that was set while
//! the process ran, or that is far ahead of the newest time in the catalog at its start, may be: an
//! age is believed again once the process has itself seen that much time pass steadily. So whatever
//! the clock does, what is removed stays for as long as was promised. A clock behind the newest
//! time in the catalog is wrong, or that time was: after a day the clock is believed.

use std::fmt;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use super::{Error, Registry};
use crate::clock::{MADE_AFTER, rfc3339, unix_ms};

/// A step of the clock that is no drift: it was set.
const STEP_MAX: Duration = Duration::from_secs(300);

/// How far the clock may be ahead of the newest time in the catalog when a process starts. Longer
/// ago, either the machine was off or the clock is wrong.
const AHEAD_MAX: Duration = Duration::from_secs(7 * DAY);

/// How long the clock must run steadily behind the newest time in the catalog to be believed.
const BEHIND_PATIENCE: Duration = Duration::from_secs(DAY);

/// The longest time that must have been seen to pass, whatever the age is.
const SEEN_MAX: Duration = Duration::from_secs(DAY);

/// How far the newest time in the catalog may fall back before it is noted anew.
const NOTED_EVERY: Duration = Duration::from_secs(3600);

const DAY: u64 = 86_400;

/// Why ages are not believed at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The clock stands before this version was made.
    Early,
    /// The clock stands before the newest time in the catalog, in milliseconds since 1970.
    Behind {
        /// That time.
        newest_at: i64,
    },
    /// The clock was set, or stands far ahead of the newest time in the catalog.
    Unproven {
        /// For so long it has run steadily.
        seen: Duration,
        /// For so long it must.
        needed: Duration,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Early => {
                f.write_str("the clock is wrong: it stands before this version was made")
            }
            Self::Behind { newest_at } => write!(
                f,
                "the clock stands before {}, when something was last written",
                rfc3339(*newest_at)
            ),
            Self::Unproven { seen, needed } => write!(
                f,
                "the clock was set, or nothing was written for long: it must run steadily for {} \
                 s, and has for {} s",
                needed.as_secs(),
                seen.as_secs()
            ),
        }
    }
}

/// What was seen of the clock.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    /// Wall-clock and steady time when somebody last looked.
    last: Option<(SystemTime, Duration)>,
    /// Since when, by steady time, it has run without a step that nobody can explain.
    steady_since: Option<Duration>,
    /// Since when it is behind the newest time in the catalog.
    behind_since: Option<Duration>,
}

impl ClockWatch {
    fn look(&mut self, wall: SystemTime, steady: Duration, newest_at: i64) {
        let newest =
            SystemTime::UNIX_EPOCH + Duration::from_millis(newest_at.max(0).unsigned_abs());
        match self.last {
            Some((wall_then, steady_then)) => {
                let expected = wall_then + steady.saturating_sub(steady_then);
                if apart(wall, expected) > STEP_MAX {
                    self.steady_since = Some(steady);
                    self.behind_since = None;
                }
            }
            None if newest_at > 0 && wall > newest + AHEAD_MAX => {
                self.steady_since = Some(steady);
            }
            None => {}
        }
        self.last = Some((wall, steady));
        if wall + STEP_MAX >= newest {
            self.behind_since = None;
        } else {
            self.behind_since.get_or_insert(steady);
        }
    }

    fn doubt(&self, age: Duration, newest_at: i64) -> Option<Doubt> {
        let (wall, steady) = self.last?;
        if wall < SystemTime::UNIX_EPOCH + MADE_AFTER {
            return Some(Doubt::Early);
        }
        let behind = self.behind_since.map(|since| steady.saturating_sub(since));
        if behind.is_some_and(|behind| behind < BEHIND_PATIENCE) {
            return Some(Doubt::Behind { newest_at });
        }
        let seen = steady.saturating_sub(self.steady_since?);
        let needed = age.min(SEEN_MAX);
        (seen < needed).then_some(Doubt::Unproven { seen, needed })
    }
}

fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other)
        .unwrap_or_else(|behind| behind.duration())
}

impl Registry {
    /// Looks at the clock; why an age of this length is not to be believed, if it is not. To be
    /// called often: a step is only seen by who looks before and after it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn doubt_about_ages(&self, age: Duration) -> Result<Option<Doubt>, Error> {
        let newest_at = self.totals()?.newest_at;
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.look(self.clock.now(), self.clock.steady(), newest_at);
        Ok(watch.doubt(age, newest_at))
    }

    /// Notes in the catalog what time it is, at most once an hour, so that the next process knows
    /// when this one last saw the clock. Only for a clock that is believed.
    ///
    /// # Errors
    /// [`Error::Store`].
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method's own lifetime does not fit where the closure's does"
    )]
    pub fn note_time(&self) -> Result<(), Error> {
        let newest_at = self.totals()?.newest_at;
        let now = unix_ms(self.clock.now());
        let step = i64::try_from(NOTED_EVERY.as_millis()).unwrap_or(i64::MAX);
        if (now - newest_at).abs() < step {
            return Ok(());
        }
        Ok(self.catalog.write(move |tx| tx.note_time())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A clock, and the newest time of its catalog.
    struct Seen {
        watch: ClockWatch,
        newest_at: i64,
        base: SystemTime,
    }

    impl Seen {
        fn new() -> Self {
            let base = SystemTime::UNIX_EPOCH + MADE_AFTER + 1000 * HOUR;
            Self {
                watch: ClockWatch::default(),
                newest_at: unix_ms(base),
                base,
            }
        }

        /// Whether an age of an hour is believed, so many seconds after the base by both clocks.
        fn at(&mut self, wall: i64, steady: u64) -> bool {
            self.doubt(wall, steady, HOUR).is_none()
        }

        fn doubt(&mut self, wall: i64, steady: u64, age: Duration) -> Option<Doubt> {
            let step = Duration::from_secs(wall.unsigned_abs());
            let wall = if wall < 0 {
                self.base - step
            } else {
                self.base + step
            };
            self.watch
                .look(wall, Duration::from_secs(steady), self.newest_at);
            self.watch.doubt(age, self.newest_at)
        }
    }

    #[test]
    fn a_clock_that_runs_is_believed() {
        let mut seen = Seen::new();
        assert!(seen.at(1, 1));
        assert!(seen.at(60, 60));
        assert!(seen.at(130, 120), "drift");
        assert!(seen.at(100, 121), "drift back");
    }

    #[test]
    fn after_it_was_set_an_age_is_believed_once_it_was_seen_to_pass() {
        for set_to in [1_000_000, -100] {
            let mut seen = Seen::new();
            seen.newest_at -= 3_600_000;
            assert!(seen.at(1000, 1000));
            assert!(!seen.at(set_to + 2000, 1001), "{set_to}");
            assert!(!seen.at(set_to + 2000 + 3599, 1001 + 3599), "still");
            assert!(
                seen.at(set_to + 2000 + 3600, 1001 + 3600),
                "it was seen to pass"
            );
            let day = Duration::from_secs(DAY);
            assert!(seen.doubt(set_to + 2001 + 3600, 1002 + 3600, day).is_some());
            // No age needs more than a day.
            let end = i64::try_from(DAY).unwrap();
            assert!(
                seen.doubt(set_to + 2001 + end, 1002 + DAY, 100 * day)
                    .is_none()
            );
        }
    }

    #[test]
    fn far_ahead_of_what_was_last_written_it_must_prove_itself() {
        let mut seen = Seen::new();
        let week = i64::try_from(7 * DAY).unwrap();
        assert!(seen.at(week, 10));
        let mut seen = Seen::new();
        assert!(!seen.at(week + 1, 10));
        assert!(!seen.at(week + 1 + 3599, 10 + 3599));
        assert!(seen.at(week + 1 + 3600, 10 + 3600));
    }

    #[test]
    fn an_empty_catalog_proves_nothing() {
        let mut seen = Seen::new();
        seen.newest_at = 0;
        assert!(seen.at(1, 1));
    }

    #[test]
    fn behind_what_was_written_it_is_wrong_for_a_day() {
        let mut seen = Seen::new();
        seen.newest_at += 365 * 86_400_000;
        assert!(!seen.at(1, 1));
        assert!(!seen.at(86_000, 86_000));
        assert!(seen.at(86_401, 86_401), "it is that time which is wrong");
        seen.newest_at = unix_ms(seen.base);
        assert!(seen.at(86_402, 86_402));
        seen.newest_at += 365 * 86_400_000;
        assert!(!seen.at(86_403, 86_403), "another one");
    }

    #[test]
    fn before_this_version_was_made_it_is_wrong() {
        let mut seen = Seen::new();
        seen.newest_at = 0;
        seen.base = SystemTime::UNIX_EPOCH;
        assert_eq!(seen.doubt(1, 1, Duration::ZERO), Some(Doubt::Early));
        assert_eq!(
            seen.doubt(90_000, 90_000, Duration::ZERO),
            Some(Doubt::Early)
        );
    }
}
