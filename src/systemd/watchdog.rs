//! How often the service manager wants to hear that the service is alive.

use std::ffi::OsString;
use std::time::Duration;

use super::variable;

/// The watchdog of the service manager: it ends the service when it hears nothing for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watchdog {
    period: Duration,
}

impl Watchdog {
    /// The one that the environment sets for the process `pid` (`WATCHDOG_USEC`, `WATCHDOG_PID`).
    pub fn from_environment(environment: &[(OsString, OsString)], pid: u32) -> Option<Self> {
        let number = |name| variable(environment, name)?.to_str()?.parse::<u64>().ok();
        let period = number("WATCHDOG_USEC").filter(|period| *period > 0)?;
        // Without a process id it is for whoever reads it.
        let is_ours = variable(environment, "WATCHDOG_PID").is_none()
            || number("WATCHDOG_PID") == Some(pid.into());
        is_ours.then(|| Self {
            period: Duration::from_micros(period),
        })
    }

    /// How often it is fed: with the look that comes before it, [`Watchdog::patience`], never less
    /// often than after half of the period.
    pub fn interval(&self) -> Duration {
        self.period / 3
    }

    /// How long one look may take.
    pub fn patience(&self) -> Duration {
        self.period / 6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Watchdog> {
        let environment: Vec<_> = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect();
        Watchdog::from_environment(&environment, 42)
    }

    #[test]
    fn it_is_for_the_process_that_is_named() {
        let watchdog = of(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "42")]).unwrap();
        assert_eq!(watchdog.interval(), Duration::from_secs(10));
        assert!(watchdog.interval() + watchdog.patience() <= Duration::from_secs(15));
        assert!(of(&[("WATCHDOG_USEC", "30000000")]).is_some());
        for not_ours in [
            &[][..],
            &[("WATCHDOG_USEC", "0")],
            &[("WATCHDOG_USEC", "often")],
            &[("WATCHDOG_USEC", "-1")],
            &[("WATCHDOG_PID", "42")],
            &[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "43")],
            &[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "me")],
        ] {
            assert_eq!(of(not_ours), None, "{not_ours:?}");
        }
    }
}
