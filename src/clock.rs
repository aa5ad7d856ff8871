//! Wall-clock time, which comes from here only, so that a test can say what time it is.
//!
//! The wall clock may jump and may be wrong; what acts on age has to expect that. Beside it runs a
//! steady one, which cannot be set and means nothing to another process. How long a piece of work
//! takes is measured with [`Instant`] where it is done.

pub mod life;

pub use life::Life;

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// When this version was made, as the time since 1970: a clock that stands before it is wrong.
pub const MADE_AFTER: Duration = Duration::from_secs(1_795_478_400);

/// The day of [`MADE_AFTER`], for what is printed with a version: `2026-11-24`.
pub fn made_on() -> String {
    let ms = i64::try_from(MADE_AFTER.as_millis()).unwrap_or(i64::MAX);
    rfc3339(ms).chars().take("2026-11-24".len()).collect()
}

/// A source of wall-clock time, and of the steady time beside it.
pub trait Clock: Send + Sync {
    /// What time it is.
    fn now(&self) -> SystemTime;

    /// Time since some moment in the life of this process; it only ever goes forwards.
    fn steady(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<SystemTime>,
    steady: Mutex<Duration>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub const fn new(now: SystemTime) -> Self {
        Self {
            now: Mutex::new(now),
            steady: Mutex::new(Duration::ZERO),
        }
    }

    /// Sets the clock to `now`, forwards or backwards; no steady time passes.
    pub fn set(&self, now: SystemTime) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += by;
        *self.steady.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn steady(&self) -> Duration {
        *self.steady.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Microseconds of the kernel's `CLOCK_MONOTONIC`, by which all processes of the machine agree.
pub fn monotonic_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let microseconds = u64::try_from(time.tv_nsec).unwrap_or_default() / 1000;
    seconds * 1_000_000 + microseconds
}

/// Milliseconds since 1970 UTC, negative before it, held at the bounds of the type.
pub fn unix_ms(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

/// A time as people and programs read it: RFC 3339, in UTC, to the second. `ms` are milliseconds
/// since 1970; a time that no calendar has is written as that number.
pub fn rfc3339(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms);
    time.map_or_else(|_| ms.to_string(), |time| format!("{time:.0}"))
}

/// As [`rfc3339`], to the millisecond: for what may change many times within a second.
pub fn rfc3339_ms(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms);
    time.map_or_else(|_| ms.to_string(), |time| format!("{time:.3}"))
}

/// Reads a time of RFC 3339, in whatever zone: milliseconds since 1970. `None` for what is none.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_on_both_sides_of_1970() {
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(unix_ms(epoch), 0);
        assert_eq!(unix_ms(epoch + Duration::from_millis(1_500)), 1_500);
        assert_eq!(unix_ms(epoch - Duration::from_millis(1_500)), -1_500);
    }

    #[test]
    fn times_are_written_for_people() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_709_210_096_789), "2024-02-29T12:34:56Z");
        assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
        assert_eq!(rfc3339_ms(1_709_210_096_789), "2024-02-29T12:34:56.789Z");
        assert_eq!(rfc3339_ms(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn the_day_of_a_version_is_a_date() {
        let midnight = format!("{}T00:00:00Z", made_on());
        assert!(parse_rfc3339(&midnight).is_some(), "{midnight}");
    }

    #[test]
    fn times_of_people_are_read() {
        let ms = 1_709_210_096_789;
        for text in [
            "2024-02-29T12:34:56.789Z",
            "2024-02-29T13:34:56.789+01:00",
            "2024-02-29T12:34:56.7890Z",
        ] {
            assert_eq!(parse_rfc3339(text), Some(ms), "{text}");
        }
        assert_eq!(parse_rfc3339("1970-01-01T00:00:00Z"), Some(0));
        for text in [
            "",
            "yesterday",
            "2024-02-29",
            "2024-02-30T00:00:00Z",
            "12:34",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn a_manual_clock_goes_where_it_is_moved() {
        let clock = ManualClock::new(SystemTime::UNIX_EPOCH);
        clock.advance(Duration::from_secs(2));
        assert_eq!(unix_ms(clock.now()), 2_000);
        clock.set(SystemTime::UNIX_EPOCH);
        assert_eq!(unix_ms(clock.now()), 0);
        assert_eq!(clock.steady(), Duration::from_secs(2));
    }
}
