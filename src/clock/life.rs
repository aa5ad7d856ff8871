//! How long something lasts, as people write it: `90s`, `15m`, `12h`, `30d`, `2w`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Units with their seconds.
const UNITS: [(char, u64); 5] = [
    ('w', 7 * 86_400),
    ('d', 86_400),
    ('h', 3600),
    ('m', 60),
    ('s', 1),
];

/// A time between a second and ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life(Duration);

/// Why a text is no such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeError {
    /// It is not a number with a unit.
    Malformed,
    /// It is nothing, or longer than [`Life::MAX`].
    Bounds,
}

impl fmt::Display for LifeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "must be a number and a unit: s, m, h, d or w, as in 90d",
            Self::Bounds => "must be between 1s and 3650d",
        })
    }
}

impl std::error::Error for LifeError {}

impl Life {
    /// The longest one.
    pub const MAX: Duration = Duration::from_secs(3650 * 86_400);

    /// The time.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// The time in milliseconds.
    pub fn as_ms(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl FromStr for Life {
    type Err = LifeError;

    fn from_str(text: &str) -> Result<Self, LifeError> {
        let known = UNITS
            .iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)));
        let (number, unit) = known.ok_or(LifeError::Malformed)?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(LifeError::Malformed);
        }
        // What no number can hold is longer than ten years as well.
        let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
        match seconds.map(Duration::from_secs) {
            Some(life) if !life.is_zero() && life <= Self::MAX => Ok(Self(life)),
            _ => Err(LifeError::Bounds),
        }
    }
}

/// In the largest unit below weeks that divides it: two weeks are `14d`.
impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = UNITS.iter().skip(1);
        let mut fitting = units.filter(|(_, each)| seconds.is_multiple_of(*each));
        match fitting.next() {
            Some((unit, each)) => write!(f, "{}{unit}", seconds / each),
            None => write!(f, "{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_bound() {
        for (text, seconds, written) in [
            ("1s", 1, "1s"),
            ("90m", 5400, "90m"),
            ("12h", 43_200, "12h"),
            ("24h", 86_400, "1d"),
            ("90d", 7_776_000, "90d"),
            ("2w", 1_209_600, "14d"),
            ("3650d", 315_360_000, "3650d"),
        ] {
            let life: Life = text.parse().unwrap();
            assert_eq!(life.duration(), Duration::from_secs(seconds));
            assert_eq!(life.to_string(), written);
            assert_eq!(life.as_ms(), i64::try_from(seconds).unwrap() * 1000);
        }
        for text in [
            "", "d", "90", "-1d", "+1d", "1.5d", "1 d", "1y", "d1", "1D", " 1d", "1d ",
        ] {
            assert_eq!(text.parse::<Life>(), Err(LifeError::Malformed), "{text}");
        }
        for text in [
            "0d",
            "3651d",
            "99999999999999999999d",
            "18446744073709551615w",
        ] {
            assert_eq!(text.parse::<Life>(), Err(LifeError::Bounds), "{text}");
        }
    }
}
