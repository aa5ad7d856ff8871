//! How long a webhook that fails is left alone: a pure function.

use std::time::Duration;

/// When a delivery that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// So many attempts in a row may fail before there is a pause, as in Distribution.
    pub threshold: u32,
    /// The first pause.
    pub first: Duration,
    /// The longest one; they double up to it.
    pub longest: Duration,
}

impl Backoff {
    /// The pause after so many failures in a row. `chance` is random: a pause is shortened by up to
    /// half, so that webhooks that failed together do not come back together.
    pub fn pause(&self, failures: u32, chance: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(self.threshold.max(1)) else {
            return Duration::ZERO;
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(factor).min(self.longest);
        let half = whole / 2;
        whole.saturating_sub(half.mul_f64(f64::from(chance) / f64::from(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Backoff = Backoff {
        threshold: 3,
        first: Duration::from_secs(1),
        longest: Duration::from_secs(60),
    };

    #[test]
    fn up_to_the_threshold_it_is_tried_at_once_and_then_pauses_double() {
        let pauses: Vec<u64> = (0..12).map(|n| RULES.pause(n, 0).as_secs()).collect();
        assert_eq!(pauses, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(RULES.pause(3, u32::MAX), Duration::from_millis(500));
        assert_eq!(RULES.pause(u32::MAX, 0).as_secs(), 60);
        let none = Backoff {
            threshold: 0,
            ..RULES
        };
        assert_eq!(none.pause(0, 0), Duration::ZERO);
        assert_eq!(none.pause(1, 0).as_secs(), 1);
    }

    proptest! {
        #[test]
        fn a_pause_is_within_its_bounds(
            threshold in 0..20_u32, first in 0..100_000_u64, longest in 0..1_000_000_u64,
            failures: u32, chance: u32
        ) {
            let rules = Backoff {
                threshold,
                first: Duration::from_millis(first),
                longest: Duration::from_millis(longest),
            };
            let pause = rules.pause(failures, chance);
            prop_assert!(pause <= rules.longest);
            if failures >= threshold.max(1) {
                prop_assert!(pause >= rules.first.min(rules.longest) / 2);
                prop_assert!(pause <= rules.pause(failures.saturating_add(1), 0));
            } else {
                prop_assert!(pause.is_zero());
            }
        }
    }
}
